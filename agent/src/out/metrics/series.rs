//! The series of one endpoint: brought into being, counted and shown. The families are those of
//! [`Metrics`].

use std::{borrow::Cow, net::IpAddr, sync::Arc, time::Duration};

use regprobe_probes::{
    Endpoint, EndpointOutcome, Evidence, Expectation, Lookup, Nameserver, Reason, Scope, Stage,
};

use super::{Metrics, put};
use crate::printable::printable;

/// The series of one endpoint.
pub(super) struct Series<'a> {
    metrics: &'a Metrics,
    registry: &'a str,
    endpoint: &'a Endpoint,
    label: String,
}

impl<'a> Series<'a> {
    pub(super) fn new(metrics: &'a Metrics, registry: &'a str, endpoint: &'a Endpoint) -> Self {
        Self {
            metrics,
            registry,
            endpoint,
            label: endpoint.to_string(),
        }
    }
}

impl Series<'_> {
    pub(super) fn endpoint(&self) -> [&str; 2] {
        [self.registry, &self.label]
    }

    pub(super) fn with_role(&self) -> [&str; 3] {
        [self.registry, &self.label, self.endpoint.role.as_str()]
    }

    pub(super) fn with<'a>(&'a self, nameserver: &'a str) -> [&'a str; 3] {
        [self.registry, &self.label, nameserver]
    }

    fn with_stage(&self, stage: Stage) -> [&str; 4] {
        [
            self.registry,
            &self.label,
            self.endpoint.role.as_str(),
            stage.as_str(),
        ]
    }

    /// Brings every series of the endpoint into being that does not wait for an answer.
    pub(super) fn expect(&self, nameservers: &[Arc<Nameserver>]) {
        for stage in self.endpoint.stages() {
            self.expect_stage(stage);
        }
        if self.endpoint.literal().is_none() {
            for nameserver in nameservers {
                self.expect_nameserver(nameserver);
            }
        }
        self.metrics
            .tcp_retransmits
            .with_label_values(&self.endpoint());
    }

    pub(super) fn expect_stage(&self, stage: Stage) {
        self.metrics
            .attempts
            .with_label_values(&self.with_stage(stage));
        if let Some(durations) = &self.metrics.durations {
            durations.with_label_values(&self.with_stage(stage));
        }
    }

    fn expect_nameserver(&self, nameserver: &Nameserver) {
        let nameserver = nameserver.to_string();
        self.lookup_result(&nameserver, NO_ERROR, 0);
        self.metrics
            .answer_changes
            .with_label_values(&self.with(&nameserver));
        if let Some(durations) = &self.metrics.lookup_durations {
            durations.with_label_values(&self.with(&nameserver));
        }
    }

    /// One attempt at a stage. With the first failure every reason of the stage appears, at 0.
    pub(super) fn count(&self, stage: Stage, took: Duration, failed: Option<Reason>) {
        self.metrics
            .attempts
            .with_label_values(&self.with_stage(stage))
            .inc();
        match failed {
            None => {
                if let Some(durations) = &self.metrics.durations {
                    durations
                        .with_label_values(&self.with_stage(stage))
                        .observe(took.as_secs_f64());
                }
            }
            Some(failed) => {
                for reason in stage.reasons() {
                    let [registry, endpoint, role, stage] = self.with_stage(stage);
                    self.metrics
                        .failures
                        .with_label_values(&[registry, endpoint, role, stage, reason.as_str()])
                        .inc_by((reason == failed).into());
                }
            }
        }
    }

    pub(super) fn count_lookups(&self, seen: &EndpointOutcome) {
        if let Some(fault) = seen.no_lookup() {
            self.count(Stage::Resolve, Duration::ZERO, Some(fault.reason()));
        }
        for lookup in seen.lookups_of_host() {
            let nameserver = lookup.nameserver.to_string();
            let reason = lookup.fault().map(|fault| fault.reason());
            self.count(Stage::Resolve, lookup.took, reason);
            self.lookup_result(&nameserver, reason.map_or(NO_ERROR, Reason::as_str), 1);
            if let (None, Some(durations)) = (reason, &self.metrics.lookup_durations) {
                let seconds = lookup.took.as_secs_f64();
                durations
                    .with_label_values(&self.with(&nameserver))
                    .observe(seconds);
            }
        }
    }

    fn lookup_result(&self, nameserver: &str, result: &str, count: u64) {
        let [registry, endpoint, nameserver] = self.with(nameserver);
        let labels = [registry, endpoint, nameserver, result];
        self.metrics
            .lookups
            .with_label_values(&labels)
            .inc_by(count);
    }

    pub(super) fn show_connection(&self, before: Option<&EndpointOutcome>, seen: &EndpointOutcome) {
        let rtt = match seen.evidence(Stage::Connect) {
            Some(Evidence::Connect(connected)) => connected.rtt,
            _ => None,
        };
        put(
            &self.metrics.tcp_rtt,
            &self.endpoint(),
            rtt.map(|rtt| rtt.as_secs_f64()),
        );
        let not_after = seen.handshake().and_then(|handshake| {
            let ends = handshake
                .chain
                .certificates
                .iter()
                .map(|certificate| certificate.not_after);
            ends.min().map(|end| end.as_second() as f64)
        });
        put(
            &self.metrics.certificate_not_after,
            &self.endpoint(),
            not_after,
        );
        let (before, now) = (before.and_then(settled), settled(seen));
        let gone = before.filter(|before| Some(before) != now.as_ref());
        let [registry, endpoint] = self.endpoint();
        for (settled, value) in [(gone, None), (now, Some(1.0))] {
            if let Some((version, cipher, group, issuer)) = settled {
                let labels = [registry, endpoint, version, cipher, group, &*issuer];
                put(&self.metrics.tls_info, &labels, value);
            }
        }
    }

    pub(super) fn show_answers(
        &self,
        before: Option<&EndpointOutcome>,
        seen: &EndpointOutcome,
        expectation: &Expectation,
    ) {
        let metrics = self.metrics;
        let asks = |seen: &EndpointOutcome, nameserver: &Nameserver| {
            let mut lookups = seen.lookups_of_host();
            lookups.any(|lookup| is_shown_alike(&lookup.nameserver, nameserver))
        };
        let earlier = before.iter().flat_map(|before| before.lookups_of_host());
        for gone in earlier.filter(|lookup| !asks(seen, &lookup.nameserver)) {
            let gone = gone.nameserver.to_string();
            let [registry, endpoint, nameserver] = self.with(&gone);
            metrics.forget_all(&[
                ("registry", registry),
                ("endpoint", endpoint),
                ("nameserver", nameserver),
            ]);
        }
        for lookup in seen.lookups_of_host() {
            let nameserver = lookup.nameserver.to_string();
            let labels = self.with(&nameserver);
            let all = |holds: &dyn Fn(IpAddr) -> bool| {
                let found = lookup.addresses().next().is_some();
                found.then(|| f64::from(lookup.addresses().all(holds)))
            };
            put(
                &metrics.answer_private,
                &labels,
                all(&|a| Scope::of(a).is_private()),
            );
            put(
                &metrics.answer_expected,
                &labels,
                all(&|a| expectation.allows(a)),
            );
            put(&metrics.answer_ttl, &labels, lookup.ttl().map(f64::from));
            let same_server =
                |before: &&Lookup| is_shown_alike(&before.nameserver, &lookup.nameserver);
            let before = before.and_then(|before| before.lookups_of_host().find(same_server));
            let (before, now) = (before.map(Lookup::address_set), lookup.address_set());
            let gone = before.filter(|before| *before != now).unwrap_or_default();
            let [registry, endpoint, nameserver] = labels;
            for (addresses, value) in [(gone, None), (now, Some(1.0))] {
                if !addresses.is_empty() {
                    let labels = [registry, endpoint, nameserver, &joined(&addresses)];
                    put(&metrics.answer_info, &labels, value);
                }
            }
        }
    }
}

const NO_ERROR: &str = "noerror";

/// Whether two nameservers have one label.
fn is_shown_alike(one: &Nameserver, other: &Nameserver) -> bool {
    one == other || one.to_string() == other.to_string()
}

/// What a handshake settled, as labels.
fn settled(seen: &EndpointOutcome) -> Option<(&str, &str, &str, Cow<'_, str>)> {
    let handshake = seen.handshake()?;
    let issuer = handshake.chain.leaf().map_or("", |leaf| &leaf.issuer);
    let issuer = printable(issuer);
    Some((handshake.version, handshake.cipher, handshake.group, issuer))
}

fn joined(addresses: &[IpAddr]) -> String {
    let texts: Vec<_> = addresses.iter().map(IpAddr::to_string).collect();
    texts.join(",")
}
