//! What Go's resolver makes of what the survey saw: which addresses containerd gets for a name, from
//! which nameserver, after which waits, or with which error. It is the first step of the pull path and
//! asks nothing.
//!
//! The resolver is Go's own, with the hosts file before DNS, as in containerd's static builds. Sources:
//! `net/dnsclient_unix.go` (`tryOneName`, `goLookupIPCNAMEOrder`), `net/lookup.go`.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use super::{
    dns_survey::{DnsSurvey, Family, Question},
    lookup_error::{LookupError, LookupFault},
    rfc6724::{self, Sources},
};
use crate::node::{Hosts, ResolvConf};

/// An answer of a nameserver that takes longer is late: a pull waits for it. A quicker one is part of any pull.
const LATE: Duration = Duration::from_secs(1);

/// The resolver of a node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GoResolver<'a> {
    /// Its hosts file.
    pub hosts: &'a Hosts,
    /// Its resolv.conf.
    pub conf: &'a ResolvConf,
    /// The source address towards each destination.
    pub sources: &'a Sources,
    /// Whether the kernel has IPv6. Without it, Go does not ask for AAAA.
    pub has_ipv6: bool,
    /// With `rotate`, the nameserver that this lookup starts at. The process counts its questions, so a
    /// pull may start at any of them.
    pub rotation: usize,
}

/// A lookup as the node's client would experience it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GoLookup {
    /// The addresses in the order in which Go dials them.
    pub result: Result<Vec<IpAddr>, LookupError>,
    /// From question to result.
    pub took: Duration,
    /// The part that was lost on nameservers that gave no answer.
    pub waited: Duration,
    /// The nameserver that gave the addresses; `None` if they come from the hosts file or there are
    /// none.
    pub answered_by: Option<SocketAddr>,
    /// Questions that Go would ask and the survey did not. They count as answered at once with "no such
    /// name".
    pub assumed: Vec<Question>,
}

impl GoResolver<'_> {
    /// Looks up `host`, a name or an address, in what the survey saw. `budget` is the time for the
    /// whole dial, 30 s in containerd; the lookup ends with it.
    pub(crate) fn lookup(&self, host: &str, survey: &DnsSurvey, budget: Duration) -> GoLookup {
        if let Ok(address) = host.parse() {
            return GoLookup::at_once(Ok(vec![address]));
        }
        let mut pinned = self.hosts.lookup(host).to_vec();
        if !pinned.is_empty() {
            rfc6724::sort(&mut pinned, self.sources);
            return GoLookup::at_once(Ok(pinned));
        }
        if !is_domain_name(host) {
            return GoLookup::at_once(Err(self.error(host, None, LookupFault::NoSuchHost)));
        }
        let lookup = self.ask(host, survey);
        if lookup.took < budget {
            return lookup;
        }
        let result = Err(self.error(host, None, LookupFault::OutOfTime));
        GoLookup {
            result,
            took: budget,
            waited: budget,
            answered_by: None,
            assumed: lookup.assumed,
        }
    }

    /// Tries the names that `host` may stand for until one has addresses.
    fn ask(&self, host: &str, survey: &DnsSurvey) -> GoLookup {
        let absolute = format!("{host}.");
        let mut lookup = GoLookup::at_once(Err(self.error(host, None, LookupFault::NoSuchHost)));
        for (turn, name) in self.conf.names(host).into_iter().enumerate() {
            let first = self.rotation + 2 * turn;
            let mut legs = vec![self.try_one_name(&name, Family::V4, first, survey)];
            if self.has_ipv6 {
                legs.push(self.try_one_name(&name, Family::V6, first + 1, survey));
            }
            let (took, useful) = (
                self.over(&legs, |leg| leg.took),
                self.over(&legs, |leg| leg.useful),
            );
            lookup.took = lookup.took.saturating_add(took);
            lookup.waited = lookup.waited.saturating_add(took.saturating_sub(useful));

            if !self.conf.single_request {
                legs.sort_by_key(|leg| leg.took);
            }
            let mut found = Vec::new();
            for leg in legs {
                lookup.assumed.extend(leg.assumed);
                match (leg.outcome, &lookup.result) {
                    (Ok(addresses), _) => {
                        lookup.answered_by = lookup.answered_by.or(leg.nameserver);
                        found.extend(addresses);
                    }
                    // The last error for the name itself counts, or else the first one for a name with
                    // a suffix.
                    (Err(_), Err(error)) if error.nameserver.is_some() && name != absolute => {}
                    (Err(fault), _) => lookup.result = Err(self.error(host, leg.nameserver, fault)),
                }
            }
            if !found.is_empty() {
                rfc6724::sort(&mut found, self.sources);
                lookup.result = Ok(found);
                return lookup;
            }
        }
        lookup
    }

    /// A time of both questions: the slower one's if they are asked at the same time, their sum with
    /// `single-request`.
    fn over(&self, legs: &[Leg], time: fn(&Leg) -> Duration) -> Duration {
        let times = legs.iter().map(time);
        if self.conf.single_request {
            times.sum()
        } else {
            times.max().unwrap_or_default()
        }
    }

    /// Asks one nameserver after another until one settles the question. A pass that settles nothing is
    /// repeated `attempts` times, with the same result.
    fn try_one_name(&self, name: &str, family: Family, offset: usize, survey: &DnsSurvey) -> Leg {
        let nameservers = self.conf.asked();
        let offset = if self.conf.rotate {
            offset % nameservers.len().max(1)
        } else {
            0
        };
        let mut leg = Leg::default();
        for &nameserver in nameservers
            .iter()
            .cycle()
            .skip(offset)
            .take(nameservers.len())
        {
            let question = Question {
                nameserver,
                name: name.to_owned(),
                family,
            };
            let (took, outcome) = match survey.get(&question) {
                Some(reply) => reply.within(self.conf.timeout),
                None => {
                    leg.assumed.push(question);
                    (Duration::ZERO, Err(LookupFault::NoSuchHost))
                }
            };
            leg.took = leg.took.saturating_add(took);
            leg.nameserver = Some(nameserver);
            leg.outcome = outcome.map(<[IpAddr]>::to_vec);
            if matches!(outcome, Ok(_) | Err(LookupFault::NoSuchHost)) {
                leg.useful = if took < LATE { took } else { Duration::ZERO };
                return leg;
            }
        }
        leg.took = leg.took.saturating_mul(self.conf.attempts);
        leg
    }

    fn error(&self, host: &str, nameserver: Option<SocketAddr>, fault: LookupFault) -> LookupError {
        let from = nameserver.and_then(|nameserver| self.sources.get(&nameserver.ip()).copied());
        LookupError {
            host: host.to_owned(),
            nameserver,
            fault,
            from,
            over_tcp: self.conf.use_vc,
        }
    }
}

impl GoLookup {
    fn at_once(result: Result<Vec<IpAddr>, LookupError>) -> Self {
        Self {
            result,
            took: Duration::ZERO,
            waited: Duration::ZERO,
            answered_by: None,
            assumed: Vec::new(),
        }
    }
}

/// The questions for one name and record type.
struct Leg {
    outcome: Result<Vec<IpAddr>, LookupFault>,
    /// The nameserver asked last.
    nameserver: Option<SocketAddr>,
    took: Duration,
    /// How long the answer that settled the question took.
    useful: Duration,
    assumed: Vec<Question>,
}

/// No nameserver was asked.
impl Default for Leg {
    fn default() -> Self {
        Self {
            outcome: Err(LookupFault::NoSuchHost),
            nameserver: None,
            took: Duration::ZERO,
            useful: Duration::ZERO,
            assumed: Vec::new(),
        }
    }
}

/// Go looks up no other names (`isDomainName`): letters, digits, `_` and inner `-`, and not digits
/// alone.
fn is_domain_name(name: &str) -> bool {
    let labels = name.strip_suffix('.').unwrap_or(name);
    labels.len() <= 253
        && labels.split('.').all(is_label)
        && labels
            .bytes()
            .any(|byte| byte != b'.' && !byte.is_ascii_digit())
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

#[cfg(test)]
mod tests;
