//! The metrics of one registry. The board holds them beside the state of the registry and drops them
//! with it.

use std::{collections::HashMap, iter, sync::Arc};

use regprobe_probes::{Depth, Endpoint, Evidence, Nameserver, Outcome, Role, Stage, Verdict};

use super::{
    endpoint::EndpointMetrics,
    family::Owner,
    handle::{By, Facts, Gauge, owned_metrics},
};
use crate::{
    plan::PlannedRegistry,
    schedule::pace::Pace,
    state::changes::Change,
    state::{RegistryState, Round},
};

owned_metrics! {
    /// What a registry has once.
    OfRegistry {
        verdict: Gauge = "registry_verdict",
            "Verdict of a registry: -1 unknown, 0 ok, 1 degraded, 2 failing.";
        predicted_delay: Gauge = "predicted_pull_delay_seconds",
            "Time that a pull would wait for servers that do not answer.";
        findings: Facts = "finding",
            "1 while the finding holds.";
        clock_skew: Gauge = "clock_skew_seconds",
            "Clock of this node minus the Date of the registry.";
        throughput_floor: Gauge = "blob_throughput_floor_bytes_per_second",
            "How fast a layer has to come, as configured.";
        intervals: By<Gauge> = "effective_interval_seconds",
            "Interval between rounds of one kind.";
    }
}

/// Everything that is measured about one registry.
pub(crate) struct RegistryMetrics {
    owner: Owner,
    own: OfRegistry,
    endpoints: HashMap<HostPort, EndpointMetrics>,
}

type HostPort = (Arc<str>, u16);

impl RegistryMetrics {
    /// With every series that can be expected before the first round; counters are 0.
    pub(super) fn new(
        agent: &Owner,
        planned: &PlannedRegistry,
        nameservers: &[Arc<Nameserver>],
    ) -> Self {
        let owner = agent.and("registry", &planned.name);
        let mut metrics = Self {
            own: OfRegistry::new(&owner),
            owner,
            endpoints: HashMap::new(),
        };
        let target = &planned.target;
        let floor = target.throughput.map(|throughput| throughput.floor as f64);
        metrics.own.throughput_floor.show(floor);
        for endpoint in iter::once(&target.login).chain(&target.data) {
            let metrics = metrics.endpoint(endpoint);
            let role = metrics.role(endpoint);
            if !target.images.is_empty() && endpoint.role == Role::Login {
                role.stage(Stage::Manifest);
                role.stage(Stage::Blob);
            }
            if endpoint.literal().is_none() {
                for nameserver in nameservers {
                    metrics.nameserver(nameserver);
                }
            }
        }
        metrics
    }

    /// Counts what one round saw.
    pub(crate) fn count(&mut self, outcome: &Outcome) {
        for seen in &outcome.endpoints {
            self.endpoint(&seen.endpoint).count(seen);
        }
    }

    /// Shows what is known after a round that made these `changes`.
    pub(crate) fn show(&mut self, state: &RegistryState, changes: &[Change<'_>]) {
        let Some(round) = &state.round else {
            return;
        };
        self.show_verdict(round);
        for change in changes {
            match *change {
                Change::Found(_) | Change::Cleared(_) => self.show_findings(round),
                Change::Left(endpoint) => self.forget(endpoint),
                Change::NotAsked {
                    endpoint,
                    nameserver,
                } => self.forget_nameserver(round, endpoint, nameserver),
                Change::Addresses(answer) => {
                    let metrics = self.endpoint(&answer.endpoint);
                    metrics.nameserver(&answer.nameserver).changes.inc_by(1);
                }
                _ => {}
            }
        }
        for seen in &round.outcome.endpoints {
            let expectation = seen.expectation(&state.planned.expectation);
            let metrics = self.endpoint(&seen.endpoint);
            metrics.show(seen, round.at, expectation);
        }
    }

    /// Shows how often each kind of round takes place.
    pub(crate) fn show_pace(&mut self, pace: &Pace) {
        for depth in Depth::ALL {
            let interval = pace.interval(depth).as_secs_f64();
            self.own
                .intervals
                .with("kind", depth.as_str())
                .show(interval);
        }
    }

    fn show_verdict(&mut self, round: &Round) {
        self.own.verdict.show(match round.diagnosis.verdict() {
            Verdict::Unknown => -1.0,
            Verdict::Ok => 0.0,
            Verdict::Degraded => 1.0,
            Verdict::Failing => 2.0,
        });
        let delay = round.diagnosis.predicted_pull_delay;
        let delay = delay.map(|delay| delay.as_secs_f64());
        self.own.predicted_delay.show(delay);
        let skew = round.outcome.endpoints.iter().find_map(|seen| {
            match seen.evidence(Stage::Challenge)? {
                Evidence::Challenge(challenge) => challenge.clock_skew,
                _ => None,
            }
        });
        self.own.clock_skew.show(skew);
    }

    fn show_findings(&mut self, round: &Round) {
        let findings = round.diagnosis.findings.iter();
        let findings = findings.map(|finding| {
            let (endpoint, role) = (finding.endpoint.to_string(), finding.endpoint.role);
            [
                ("endpoint", endpoint.into()),
                ("role", role.as_str().into()),
                ("code", finding.code.as_str().into()),
                ("severity", finding.severity.as_str().into()),
            ]
        });
        self.own.findings.show(findings);
    }

    /// The metrics of an endpoint. Creates them if they do not exist.
    fn endpoint(&mut self, endpoint: &Endpoint) -> &mut EndpointMetrics {
        self.endpoints.entry(place(endpoint)).or_insert_with(|| {
            EndpointMetrics::new(self.owner.and("endpoint", &endpoint.to_string()))
        })
    }

    /// Another nameserver may have the same label, and another role the same host and port.
    fn forget_nameserver(&mut self, round: &Round, endpoint: &Endpoint, nameserver: &Nameserver) {
        let label = nameserver.to_string();
        let seen = round.outcome.endpoints.iter();
        let here = seen.filter(|seen| place(&seen.endpoint) == place(endpoint));
        let mut lookups = here.flat_map(|seen| seen.lookups_of_host());
        if !lookups.any(|lookup| lookup.nameserver.to_string() == label) {
            self.endpoint(endpoint).forget_nameserver(&label);
        }
    }

    fn forget(&mut self, endpoint: &Endpoint) {
        if self.endpoint(endpoint).forget_role(endpoint.role) {
            self.endpoints.remove(&place(endpoint));
        }
    }
}

fn place(endpoint: &Endpoint) -> HostPort {
    (endpoint.host.clone(), endpoint.port)
}
