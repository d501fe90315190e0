//! What the node's own client would meet at one endpoint: the rules of Go's resolver and dialler
//! applied to what a survey has seen so far. Pure; what has not answered yet counts as silent.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use crate::{
    client::{
        dns_survey::{DnsSurvey, Family, Question, Reply},
        go_client::Connection,
        go_dialer::{Attempt, DialFault, TcpSurvey},
        go_resolver::GoResolver,
        lookup_error::LookupFault,
    },
    net::io_fault::IoFault,
    node::{Hosts, ResolvConf},
    outcome::{AddressOutcome, Fault, PullPath},
    stages::resolve::Lookup,
    words::{endpoint::Nameserver, reason::Stage},
};

/// What the node's client starts from: the node's files, and the host to dial.
pub(crate) struct NodeClient<'a> {
    pub(crate) hosts: &'a Hosts,
    pub(crate) resolv_conf: &'a ResolvConf,
    pub(crate) nameservers: &'a [Arc<Nameserver>],
    /// The endpoint's host, or its proxy's.
    pub(crate) host: &'a str,
    pub(crate) port: u16,
    pub(crate) proxied: bool,
    /// For lookup and dial together.
    pub(crate) dial_budget: Duration,
}

impl NodeClient<'_> {
    /// What the client would make of what was seen.
    pub(crate) fn pull_path(&self, lookups: &[Lookup], seen: &[AddressOutcome]) -> PullPath {
        let sources = seen
            .iter()
            .filter_map(|seen| Some((seen.address, seen.source?)))
            .collect();
        let (dns, tcp) = (self.dns_survey(lookups), self.tcp_survey(seen));
        let open = |rotation| {
            let resolver = GoResolver {
                hosts: self.hosts,
                conf: self.resolv_conf,
                sources: &sources,
                has_ipv6: true,
                rotation,
            };
            Connection::open(
                self.host,
                self.port,
                &resolver,
                &dns,
                &tcp,
                self.dial_budget,
            )
        };
        let connection = open(0);
        let others: Vec<_> = match self.resolv_conf.rotate {
            true => (1..self.resolv_conf.asked().len()).map(open).collect(),
            false => Vec::new(),
        };
        let waits = others.iter().map(Connection::predicted_delay);
        let waits = waits.fold(connection.predicted_delay(), Duration::saturating_add);
        let is_same = |result: &Result<IpAddr, String>| match (result, &connection.lookup.result) {
            (Ok(address), Ok(known)) => connection.result().is_ok() && known.contains(address),
            (Ok(_), Err(_)) => false,
            (Err(_), _) => connection.result().is_err(),
        };
        let elsewhere = others.iter().map(|other| self.result(other));
        PullPath::Walked {
            result: self.result(&connection),
            nameserver: connection.lookup.answered_by,
            waits: waits / u32::try_from(1 + others.len()).unwrap_or(u32::MAX),
            elsewhere: elsewhere.filter(|result| !is_same(result)).collect(),
        }
    }

    fn result(&self, connection: &Connection) -> Result<IpAddr, String> {
        let result = connection.result().map(|address| address.ip());
        result.map_err(|error| match self.proxied {
            true => format!("proxyconnect tcp: {error}"),
            false => error.to_string(),
        })
    }

    fn dns_survey(&self, lookups: &[Lookup]) -> DnsSurvey {
        let mut survey = BTreeMap::new();
        let question = |nameserver, name: &str, family| Question {
            nameserver,
            name: [name.trim_end_matches('.'), "."].concat(),
            family,
        };
        let names = self.resolv_conf.names(self.host);
        for nameserver in self.nameservers.iter().filter(|n| n.origin.is_of_node()) {
            for name in &names {
                for family in [Family::V4, Family::V6] {
                    let reply = Reply {
                        result: Err(LookupFault::Timeout),
                        took: Duration::ZERO,
                    };
                    survey.insert(question(nameserver.address, name, family), reply);
                }
            }
        }
        for lookup in lookups
            .iter()
            .filter(|lookup| lookup.nameserver.origin.is_of_node())
        {
            for (family, result, took) in [
                (Family::V4, &lookup.a, lookup.a_took),
                (Family::V6, &lookup.aaaa, lookup.aaaa_took),
            ] {
                let reply = Reply {
                    result: match result {
                        Ok(answer) => Ok(answer.addresses.clone()),
                        Err(fault) => Err(LookupFault::of(fault)),
                    },
                    took,
                };
                survey.insert(
                    question(lookup.nameserver.address, &lookup.name, family),
                    reply,
                );
            }
        }
        survey
    }

    fn tcp_survey(&self, seen: &[AddressOutcome]) -> TcpSurvey {
        let attempts = seen.iter().map(|seen| {
            let connect = seen
                .stages
                .iter()
                .find(|stage| stage.stage == Stage::Connect);
            let attempt = match connect.map(|connect| (connect.took, &connect.result)) {
                Some((took, Ok(_))) => Attempt { fault: None, took },
                Some((took, Err(Fault::Connect(fault)))) => Attempt {
                    fault: Some(dial_fault(*fault)),
                    took,
                },
                Some((took, Err(_))) => Attempt {
                    fault: Some(DialFault::NotSurveyed),
                    took,
                },
                None => Attempt {
                    fault: Some(DialFault::Timeout),
                    took: Duration::ZERO,
                },
            };
            (SocketAddr::new(seen.address, self.port), attempt)
        });
        attempts.collect()
    }
}

fn dial_fault(fault: IoFault) -> DialFault {
    match fault {
        IoFault::Timeout => DialFault::Timeout,
        IoFault::Refused => DialFault::Refused,
        IoFault::Reset | IoFault::Closed => DialFault::Reset,
        IoFault::Unreachable(errno) if errno.0 == libc::ENETUNREACH => {
            DialFault::NetworkUnreachable
        }
        IoFault::Unreachable(_) => DialFault::HostUnreachable,
        IoFault::Denied(errno) if errno.0 == libc::EPERM => DialFault::NotPermitted,
        IoFault::Denied(_) => DialFault::Prohibited,
        IoFault::Local(_) | IoFault::Unknown => DialFault::NotSurveyed,
    }
}
