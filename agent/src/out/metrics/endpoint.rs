//! The metrics of one endpoint: of its roles and their stages, of its connection, and of the nameservers
//! that are asked for it. A new metric is one entry in a table here or in `registry.rs`, and the line that
//! counts or shows it.

use std::{net::IpAddr, time::Duration};

use jiff::Timestamp;
use regprobe_probes::{
    Endpoint, EndpointOutcome, Evidence, Expectation, Lookup, Nameserver, PullPath, Reason, Role,
    Scope, Stage,
};

use super::{
    family::Owner,
    handle::{By, Counter, Facts, Gauge, Histogram, entry, owned_metrics},
};
use crate::printable::printable;

owned_metrics! {
    /// What each role of an endpoint has.
    OfRole {
        up: Gauge = "endpoint_up",
            "Whether a pull from this node would succeed at this endpoint.";
        last_success: Gauge = "endpoint_last_success_timestamp_seconds",
            "Start of the last round in which the endpoint was up.";
    }
}

owned_metrics! {
    /// What each stage of a role has.
    pub(super) OfStage {
        attempts: Counter = "stage_attempts_total",
            "Attempts at a stage: one for each nameserver, address or request.";
        failures: By<Counter> = "stage_failures_total",
            "Failed attempts at a stage by reason.";
        durations: Histogram = "stage_duration_seconds",
            "Duration of successful attempts at a stage, without the stages before it.";
    }
}

owned_metrics! {
    /// What an endpoint has once, whatever its roles.
    OfConnection {
        retransmits: Counter = "tcp_retransmits_total",
            "Segments that the kernel retransmitted while connecting.";
        throughput: Gauge = "blob_throughput_bytes_per_second",
            "Rate at which a part of a layer was last downloaded.";
        rtt: Gauge = "tcp_rtt_seconds",
            "Round-trip time of the last connection, as the kernel measured it.";
        not_after: Gauge = "tls_certificate_not_after_timestamp_seconds",
            "Expiry of the certificate in the chain that expires first.";
        tls: Facts = "tls_info",
            "What the last TLS handshake negotiated.";
    }
}

owned_metrics! {
    /// What each nameserver has that is asked for an endpoint.
    pub(super) OfNameserver {
        results: By<Counter> = "dns_lookups_total",
            "Lookups of an endpoint at a nameserver by result.";
        durations: Histogram = "dns_lookup_duration_seconds",
            "Time until a nameserver answered for both address families.";
        private: Gauge = "dns_answer_private",
            "Whether every address in the answer is in a range that is not globally reachable.";
        expected: Gauge = "dns_answer_expected",
            "Whether every address in the answer is where it is expected.";
        ttl: Gauge = "dns_answer_ttl_seconds",
            "Lowest TTL in the answer.";
        changes: Counter = "dns_answer_changes_total",
            "Changes to the set of addresses that a nameserver returns.";
        addresses: Facts = "dns_answer_info",
            "Addresses that a nameserver returns, sorted.";
    }
}

/// What is measured at one host and port. Several roles may share them, for example if a login server
/// also stores the blobs.
pub(super) struct EndpointMetrics {
    owner: Owner,
    connection: OfConnection,
    roles: Vec<(Role, RoleMetrics)>,
    /// By label.
    nameservers: Vec<(String, OfNameserver)>,
}

/// What is measured at one endpoint in one role.
pub(super) struct RoleMetrics {
    owner: Owner,
    own: OfRole,
    stages: Vec<(Stage, OfStage)>,
}

/// The result of a lookup without a fault, where others have a reason.
const NO_ERROR: &str = "noerror";

impl EndpointMetrics {
    pub(super) fn new(owner: Owner) -> Self {
        Self {
            connection: OfConnection::new(&owner),
            owner,
            roles: Vec::new(),
            nameservers: Vec::new(),
        }
    }

    /// The metrics of a role and of its stages. Creates them if they do not exist.
    pub(super) fn role(&mut self, endpoint: &Endpoint) -> &mut RoleMetrics {
        entry(&mut self.roles, endpoint.role, |_| {
            let owner = self.owner.and("role", endpoint.role.as_str());
            let mut role = RoleMetrics {
                own: OfRole::new(&owner),
                owner,
                stages: Vec::new(),
            };
            for stage in endpoint.stages() {
                role.stage(stage);
            }
            role
        })
    }

    /// The metrics of a nameserver. Creates them if they do not exist.
    pub(super) fn nameserver(&mut self, nameserver: &Nameserver) -> &mut OfNameserver {
        let label = nameserver.to_string();
        entry(&mut self.nameservers, label, |label| {
            let mut metrics = OfNameserver::new(&self.owner.and("nameserver", label));
            metrics.results.with("result", NO_ERROR);
            metrics
        })
    }

    /// Counts what one round saw here.
    pub(super) fn count(&mut self, seen: &EndpointOutcome) {
        let role = self.role(&seen.endpoint);
        if let Some(fault) = seen.no_lookup() {
            role.count(Stage::Resolve, Duration::ZERO, Some(fault.reason()));
        }
        if let PullPath::Blocked { stage, fault } = &seen.path {
            role.count(*stage, Duration::ZERO, Some(fault.reason()));
        }
        for lookup in seen.lookups_of_host() {
            let reason = lookup.fault().map(|fault| fault.reason());
            role.count(Stage::Resolve, lookup.took(), reason);
        }
        let mut retransmits = 0;
        for stage in seen.addresses.iter().flat_map(|address| &address.stages) {
            let reason = stage.result.as_ref().err().map(|fault| fault.reason());
            role.count(stage.stage, stage.took, reason);
            if let Ok(Evidence::Connect(connected)) = &stage.result {
                retransmits += connected.retransmits;
            }
        }
        self.connection.retransmits.inc_by(retransmits.into());
        for lookup in seen.lookups_of_host() {
            self.nameserver(&lookup.nameserver).count(lookup);
        }
    }

    /// Shows what is known here after a round that began `at`.
    pub(super) fn show(
        &mut self,
        seen: &EndpointOutcome,
        at: Timestamp,
        expectation: &Expectation,
    ) {
        let role = &mut self.role(&seen.endpoint).own;
        role.up.show(f64::from(seen.is_up()));
        if seen.is_up() {
            role.last_success.show(at.as_second() as f64);
        }
        self.connection.show(seen);
        for lookup in seen.lookups_of_host() {
            let nameserver = self.nameserver(&lookup.nameserver);
            nameserver.show(lookup, expectation);
        }
    }

    /// Drops the metrics of the nameserver with this label.
    pub(super) fn forget_nameserver(&mut self, label: &str) {
        self.nameservers.retain(|(other, _)| other != label);
    }

    /// Drops the metrics of this role. Returns whether no role is left.
    pub(super) fn forget_role(&mut self, role: Role) -> bool {
        self.roles.retain(|(other, _)| *other != role);
        self.roles.is_empty()
    }
}

impl RoleMetrics {
    /// The metrics of a stage. Creates them if they do not exist.
    pub(super) fn stage(&mut self, stage: Stage) -> &mut OfStage {
        entry(&mut self.stages, stage, |_| {
            OfStage::new(&self.owner.and("stage", stage.as_str()))
        })
    }

    /// Counts one attempt. With its first failure a stage gets a series for every reason.
    fn count(&mut self, stage: Stage, took: Duration, failed: Option<Reason>) {
        let metrics = self.stage(stage);
        metrics.attempts.inc_by(1);
        let Some(failed) = failed else {
            return metrics.durations.observe(took.as_secs_f64());
        };
        for reason in stage.reasons() {
            let failures = metrics.failures.with("reason", reason.as_str());
            failures.inc_by((reason == failed).into());
        }
    }
}

impl OfConnection {
    fn show(&mut self, seen: &EndpointOutcome) {
        let rtt = match seen.evidence(Stage::Connect) {
            Some(Evidence::Connect(connected)) => connected.rtt,
            _ => None,
        };
        self.rtt.show(rtt.map(|rtt| rtt.as_secs_f64()));
        let download = seen.download();
        self.throughput
            .show(download.map(|download| download.rate()));
        let handshake = seen.handshake();
        let end = handshake.and_then(|handshake| {
            let certificates = handshake.chain.certificates.iter();
            certificates.map(|certificate| certificate.not_after).min()
        });
        self.not_after.show(end.map(|end| end.as_second() as f64));
        self.tls.show(handshake.map(|handshake| {
            let issuer = handshake.chain.leaf().map_or("", |leaf| &leaf.issuer);
            [
                ("version", handshake.version.into()),
                ("cipher", handshake.cipher.into()),
                ("group", handshake.group.into()),
                ("issuer", printable(issuer)),
            ]
        }));
    }
}

impl OfNameserver {
    fn count(&mut self, lookup: &Lookup) {
        let reason = lookup.fault().map(|fault| fault.reason());
        let result = reason.map_or(NO_ERROR, Reason::as_str);
        self.results.with("result", result).inc_by(1);
        if reason.is_none() {
            self.durations.observe(lookup.took().as_secs_f64());
        }
    }

    fn show(&mut self, lookup: &Lookup, expectation: &Expectation) {
        let addresses = lookup.address_set();
        let all = |holds: &dyn Fn(IpAddr) -> bool| {
            let found = !addresses.is_empty();
            found.then(|| f64::from(addresses.iter().all(|address| holds(*address))))
        };
        self.private
            .show(all(&|address| Scope::of(address).is_private()));
        self.expected
            .show(all(&|address| expectation.allows(address)));
        self.ttl.show(lookup.ttl().map(f64::from));
        let texts: Vec<_> = addresses.iter().map(IpAddr::to_string).collect();
        let fact = [("addresses", texts.join(",").into())];
        self.addresses
            .show(Some(fact).filter(|_| !texts.is_empty()));
    }
}
