//! One connection of the node's client, from lookup to dial: whether it would succeed, to which
//! address, and how much later than on a healthy path. `predicted_pull_delay_seconds` is based on it.
//! Everything is computed from what the survey saw.

use std::{net::SocketAddr, time::Duration};

use super::{
    dns_survey::DnsSurvey,
    go_dialer::{self, Dial, DialError, TcpSurvey},
    go_resolver::{GoLookup, GoResolver},
    lookup_error::LookupError,
};

/// The time that containerd gives lookup and dial together (`DefaultHTTPTransport` in its
/// `core/remotes/docker/registry.go`).
pub(crate) const DIAL_BUDGET: Duration = Duration::from_secs(30);

/// A connection as the node's client would experience it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Connection {
    /// The first step.
    pub lookup: GoLookup,
    /// The second step; `None` if there was no address.
    pub dial: Option<Dial>,
}

/// Why there is no connection, in Go's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ConnectError {
    /// The name has no address.
    #[error("dial tcp: {0}")]
    Lookup(LookupError),
    /// No address accepts a connection.
    #[error(transparent)]
    Dial(DialError),
}

impl Connection {
    /// Connects to `host`, a name or an address, within `budget`: [`DIAL_BUDGET`], or a host's
    /// `dial_timeout`.
    pub(crate) fn open(
        host: &str,
        port: u16,
        resolver: &GoResolver<'_>,
        dns: &DnsSurvey,
        tcp: &TcpSurvey,
        budget: Duration,
    ) -> Self {
        let lookup = resolver.lookup(host, dns, budget);
        let addresses = lookup
            .result
            .iter()
            .flatten()
            .map(|address| SocketAddr::new(*address, port));
        let addresses: Vec<_> = addresses.collect();
        let dial = go_dialer::dial(&addresses, tcp, budget.saturating_sub(lookup.took));
        Self { lookup, dial }
    }

    /// The address connected to.
    pub(crate) fn result(&self) -> Result<SocketAddr, ConnectError> {
        match &self.dial {
            Some(dial) => dial.result.map_err(ConnectError::Dial),
            None => Err(ConnectError::Lookup(self.lookup.result.clone().expect_err(
                "a lookup that succeeds has addresses, and these are dialled",
            ))),
        }
    }

    /// The time lost on nameservers and addresses that do not answer, for each connection that a pull
    /// opens: one to the login server, one to each data or storage host, and more after 30 idle
    /// seconds.
    pub(crate) fn predicted_delay(&self) -> Duration {
        self.lookup.waited
            + self
                .dial
                .as_ref()
                .map_or(Duration::ZERO, |dial| dial.waited)
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::{
        client::{
            dns_survey::{Family, Question, Reply},
            go_dialer::{Attempt, DialFault},
            lookup_error::LookupFault,
            rfc6724::Sources,
        },
        node::{Hosts, ResolvConf},
    };

    const HOST: &str = "contoso.azurecr.io";
    const RTT: Duration = Duration::from_millis(2);

    /// What a nameserver answers, if it answers.
    type Answers = Option<&'static [&'static str]>;

    /// Opens a connection on a node whose nameservers give these answers or none (`None`), with
    /// addresses that are up or dead.
    fn open(nameservers: &[Answers], addresses: &[(&str, bool)]) -> Connection {
        let nameservers: Vec<_> = (1_u8..)
            .map(|n| SocketAddr::from(([10, 0, 0, n], 53)))
            .zip(nameservers)
            .collect();
        let dns = nameservers.iter().flat_map(|(nameserver, answer)| {
            [Family::V4, Family::V6].map(|family| {
                let result = match answer {
                    None => Err(LookupFault::Timeout),
                    Some(_) if family == Family::V6 => Err(LookupFault::NoSuchHost),
                    Some(texts) => Ok(texts.iter().map(|text| text.parse().unwrap()).collect()),
                };
                let question = Question {
                    nameserver: *nameserver,
                    name: format!("{HOST}."),
                    family,
                };
                (question, Reply { result, took: RTT })
            })
        });
        let tcp = addresses.iter().map(|(address, is_up)| {
            let fault = if *is_up {
                None
            } else {
                Some(DialFault::Timeout)
            };
            (
                SocketAddr::new(address.parse::<IpAddr>().unwrap(), 443),
                Attempt { fault, took: RTT },
            )
        });
        let conf = ResolvConf {
            nameservers: nameservers.iter().map(|(address, _)| *address).collect(),
            ..ResolvConf::default()
        };
        let resolver = GoResolver {
            hosts: &Hosts::default(),
            conf: &conf,
            sources: &Sources::new(),
            has_ipv6: true,
            rotation: 0,
        };
        Connection::open(
            HOST,
            443,
            &resolver,
            &dns.collect(),
            &tcp.collect(),
            DIAL_BUDGET,
        )
    }

    #[test]
    fn stories() {
        const A: &str = "10.240.1.4";
        const B: &str = "10.240.1.5";
        #[rustfmt::skip]
        let table = [
            ("everything works", open(&[Some(&[A])], &[(A, true)]), "10.240.1.4:443", 0.0),
            // A pull of 15.5 s was seen with containerd 1.6.20.
            ("one dead address of two", open(&[Some(&[A, B])], &[(A, false), (B, true)]), "10.240.1.5:443", 14.999),
            // A pull of 20.4 s was seen: several such lookups.
            ("the first nameserver is dead", open(&[None, Some(&[A])], &[(A, true)]), "10.240.1.4:443", 5.0),
            (
                "a dead nameserver and a dead address share the 30 s",
                open(&[None, Some(&[A, B])], &[(A, false), (B, true)]),
                "10.240.1.5:443",
                17.499,
            ),
            (
                "nobody answers",
                open(&[None], &[]),
                "dial tcp: lookup contoso.azurecr.io on 10.0.0.1:53: read udp *->10.0.0.1:53: i/o timeout",
                10.0,
            ),
            ("a stale private address", open(&[Some(&[A])], &[(A, false)]), "dial tcp 10.240.1.4:443: i/o timeout", 29.998),
        ];
        for (story, connection, expected, delay) in table {
            let result = connection
                .result()
                .map_or_else(|error| error.to_string(), |address| address.to_string());
            assert_eq!(result, expected, "{story}");
            let delay = Duration::from_secs_f64(delay);
            assert_eq!(connection.predicted_delay(), delay, "{story}");
        }
    }
}
