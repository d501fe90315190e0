//! What the node's own client would meet at one endpoint: the rules of Go's resolver and dialler
//! over what a survey has seen so far. Pure; what has not answered yet counts as silent.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use crate::{
    endpoint::Origin,
    go_client::{Connection, DIAL_BUDGET},
    go_dialer::{Attempt, DialFault, TcpSurvey},
    go_resolver::{self, DnsSurvey, Family, GoResolver, Question, Reply},
    io_fault::IoFault,
    node::Node,
    outcome::{AddressOutcome, Fault},
    reason::Stage,
    resolve::{self, Lookup, ResolveFault},
    visit::Visit,
};

/// The pull path at one endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PullPath {
    /// The address that the client would talk to.
    pub address: Option<IpAddr>,
    /// The nameserver whose answer it would use; `None` for an IP address or a pinned name.
    pub nameserver: Option<SocketAddr>,
    /// What the client would print, where it gets no connection.
    pub error: Option<String>,
    /// What it would lose on nameservers and addresses that give no answer.
    pub waits: Duration,
}

/// Walks the path to `endpoint` by rule.
pub(crate) fn walk(visit: &Visit<'_>, lookups: &[Lookup], seen: &[AddressOutcome]) -> PullPath {
    let (node, host) = (visit.node, visit.dial_host());
    let sources = seen
        .iter()
        .filter_map(|seen| Some((seen.address, seen.source?)))
        .collect();
    let resolver = GoResolver {
        hosts: &node.hosts,
        conf: &node.resolv_conf,
        sources: &sources,
        has_ipv6: true,
        rotation: 0,
    };
    let connection = Connection::open(
        host,
        visit.dial_address(IpAddr::V4(Ipv4Addr::UNSPECIFIED)).port(),
        &resolver,
        &dns_survey(node, host, lookups),
        &tcp_survey(visit, seen),
        DIAL_BUDGET,
    );
    let result = connection.result();
    PullPath {
        address: result.as_ref().ok().map(SocketAddr::ip),
        nameserver: connection.lookup.answered_by,
        error: result.err().map(|error| match visit.proxy {
            Some(_) => format!("proxyconnect tcp: {error}"),
            None => error.to_string(),
        }),
        waits: connection.predicted_delay(),
    }
}

fn dns_survey(node: &Node, host: &str, lookups: &[Lookup]) -> DnsSurvey {
    let silent = go_resolver::Answer::Timeout;
    let mut survey = BTreeMap::new();
    let question = |nameserver, name: &str, family| Question {
        nameserver,
        name: format!("{}.", name.trim_end_matches('.')),
        family,
    };
    for nameserver in node.nameservers.iter().filter(|n| n.origin == Origin::Node) {
        for name in node.resolv_conf.names(host) {
            for family in [Family::V4, Family::V6] {
                let reply = Reply {
                    answer: silent.clone(),
                    took: Duration::ZERO,
                };
                survey.insert(question(nameserver.address, &name, family), reply);
            }
        }
    }
    for lookup in lookups
        .iter()
        .filter(|lookup| lookup.nameserver.origin == Origin::Node)
    {
        for (family, result) in [(Family::V4, &lookup.a), (Family::V6, &lookup.aaaa)] {
            let reply = Reply {
                answer: answer(result),
                took: lookup.took,
            };
            survey.insert(
                question(lookup.nameserver.address, &lookup.name, family),
                reply,
            );
        }
    }
    survey
}

fn answer(result: &Result<resolve::Answer, ResolveFault>) -> go_resolver::Answer {
    use go_resolver::Answer;
    match result {
        Ok(answer) => Answer::Addresses(answer.addresses.clone()),
        Err(ResolveFault::NxDomain(_)) => Answer::NxDomain,
        Err(ResolveFault::NoData(_) | ResolveFault::AliasLoop) => Answer::NoData,
        Err(ResolveFault::ServFail) => Answer::ServFail,
        Err(ResolveFault::Rejected(_)) => Answer::Rejected,
        Err(ResolveFault::LameReferral) => Answer::LameReferral,
        Err(ResolveFault::Malformed(_)) => Answer::Malformed,
        Err(ResolveFault::Io(IoFault::Refused)) => Answer::PortClosed,
        Err(ResolveFault::Io(IoFault::Unreachable(_) | IoFault::Local(_))) => Answer::Unreachable,
        Err(ResolveFault::Io(_) | ResolveFault::NoNameserver) => Answer::Timeout,
    }
}

fn tcp_survey(visit: &Visit<'_>, seen: &[AddressOutcome]) -> TcpSurvey {
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
        (visit.dial_address(seen.address), attempt)
    });
    attempts.collect()
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
        IoFault::Local(_) => DialFault::NotSurveyed,
    }
}
