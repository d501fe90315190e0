//! What Go's resolver makes of what the survey saw: which addresses containerd gets for a name,
//! from which nameserver, after which waits, or with which error. It is the pull path's first step;
//! it asks nobody.
//!
//! The resolver is the one in Go itself, hosts file before DNS, as in containerd's static builds.
//! Sources: `net/dnsclient_unix.go` (`tryOneName`, `goLookupIPCNAMEOrder`), `net/lookup.go`.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::client::rfc6724::{self, Sources};
use crate::node::hosts::Hosts;
use crate::node::resolv_conf::ResolvConf;

/// What the survey saw: for each question what came back. Names as [`ResolvConf::names`] gives
/// them.
pub(crate) type DnsSurvey = BTreeMap<Question, Reply>;

/// One question to one nameserver.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Question {
    /// Who is asked.
    pub nameserver: SocketAddr,
    /// Fully qualified, with the dot at its end.
    pub name: String,
    /// What for.
    pub family: Family,
}

/// The record type asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Family {
    /// A
    V4,
    /// AAAA
    V6,
}

/// What came of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    /// The answer, or how there was none.
    pub answer: Answer,
    /// How long that took. For a time-out it does not matter: Go waits by resolv.conf.
    pub took: Duration,
}

/// An answer, by what Go does about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Addresses, in the order of the answer.
    Addresses(Vec<IpAddr>),
    /// NXDOMAIN: final.
    NxDomain,
    /// No record of this type: final.
    NoData,
    /// SERVFAIL: the next nameserver is asked. So for all below.
    ServFail,
    /// REFUSED or another error code.
    Rejected,
    /// No answer, no authority and no recursion.
    LameReferral,
    /// Not readable as DNS behind its header.
    Malformed,
    /// Nothing in time.
    Timeout,
    /// The nameserver's port is closed.
    PortClosed,
    /// There is no route to the nameserver.
    Unreachable,
}

/// The resolver of a node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GoResolver<'a> {
    /// Its hosts file.
    pub hosts: &'a Hosts,
    /// Its resolv.conf, with Go's defaults filled in ([`ResolvConf::with_go_defaults`]).
    pub conf: &'a ResolvConf,
    /// Its routes.
    pub sources: &'a Sources,
    /// The kernel has IPv6. Without it Go does not ask for AAAA.
    pub has_ipv6: bool,
    /// With `rotate`, the nameserver that this lookup starts at. The process counts its questions,
    /// so a pull meets any of them; go through all to find the worst.
    pub rotation: usize,
}

/// A lookup as the node's client would live it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lookup {
    /// The addresses in the order they are dialled.
    pub result: Result<Vec<IpAddr>, LookupError>,
    /// From question to result.
    pub took: Duration,
    /// The part of it that was lost on nameservers that gave no answer.
    pub waited: Duration,
    /// The nameserver the addresses come from; none if they come from the hosts file or there are
    /// none.
    pub answered_by: Option<SocketAddr>,
    /// Questions that Go would ask and the survey did not. They count as answered at once with "no
    /// such name".
    pub assumed: Vec<Question>,
}

/// Why a lookup failed. It displays as Go prints it; of the sender's address, whose port nobody can
/// foretell, only what is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LookupError {
    /// The name as it was asked for, without search suffix.
    pub host: String,
    /// The nameserver that failed last; none if no nameserver is to blame.
    pub nameserver: Option<SocketAddr>,
    /// What happened.
    pub fault: LookupFault,
    /// The node's address towards the nameserver.
    from: Option<IpAddr>,
    /// The question went over TCP.
    over_tcp: bool,
}

/// What ended a lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum LookupFault {
    /// NXDOMAIN, no data, or no name that could be asked for.
    NoSuchHost,
    /// SERVFAIL.
    ServFail,
    /// REFUSED or another error code.
    Rejected,
    /// See [`Answer::LameReferral`].
    LameReferral,
    /// See [`Answer::Malformed`].
    Malformed,
    /// No nameserver answered in time.
    Timeout,
    /// The nameserver's port is closed.
    PortClosed,
    /// There is no route to the nameserver.
    Unreachable,
    /// The dial's own time was up before the nameservers had all had theirs.
    OutOfTime,
}

impl std::error::Error for LookupError {}

impl fmt::Display for LookupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lookup {}", self.host)?;
        let Some(nameserver) = self.nameserver else {
            return f.write_str(if self.fault == LookupFault::OutOfTime {
                ": i/o timeout"
            } else {
                ": no such host"
            });
        };
        write!(f, " on {nameserver}: ")?;
        let transport = if self.over_tcp { "tcp" } else { "udp" };
        let from = match self.from {
            Some(IpAddr::V4(address)) => format!("{address}:*"),
            Some(IpAddr::V6(address)) => format!("[{address}]:*"),
            None => "*".to_owned(),
        };
        match self.fault {
            LookupFault::NoSuchHost => f.write_str("no such host"),
            LookupFault::ServFail | LookupFault::Rejected => f.write_str("server misbehaving"),
            LookupFault::LameReferral => f.write_str("lame referral"),
            LookupFault::Malformed => f.write_str("cannot unmarshal DNS message"),
            LookupFault::OutOfTime => f.write_str("i/o timeout"),
            LookupFault::Timeout if self.over_tcp => {
                write!(f, "dial tcp {nameserver}: i/o timeout")
            }
            LookupFault::Timeout => write!(f, "read udp {from}->{nameserver}: i/o timeout"),
            LookupFault::PortClosed if self.over_tcp => {
                write!(f, "dial tcp {nameserver}: connect: connection refused")
            }
            LookupFault::PortClosed => {
                write!(f, "read udp {from}->{nameserver}: read: connection refused")
            }
            LookupFault::Unreachable => write!(
                f,
                "dial {transport} {nameserver}: connect: network is unreachable"
            ),
        }
    }
}

impl GoResolver<'_> {
    /// Looks up `host`, a name or an address, in what the survey saw. `budget` is the time of the
    /// whole dial, 30 s for containerd; when it is up the lookup is over.
    pub(crate) fn lookup(&self, host: &str, survey: &DnsSurvey, budget: Duration) -> Lookup {
        if let Ok(address) = host.parse() {
            return Lookup::at_once(Ok(vec![address]));
        }
        let mut pinned = self.hosts.lookup(host).to_vec();
        if !pinned.is_empty() {
            rfc6724::sort(&mut pinned, self.sources);
            return Lookup::at_once(Ok(pinned));
        }
        if !is_domain_name(host) {
            return Lookup::at_once(Err(self.error(host, None, LookupFault::NoSuchHost)));
        }
        let lookup = self.ask(host, survey);
        if lookup.took < budget {
            return lookup;
        }
        let result = Err(self.error(host, None, LookupFault::OutOfTime));
        Lookup {
            result,
            took: budget,
            waited: budget,
            answered_by: None,
            assumed: lookup.assumed,
        }
    }

    /// Goes through the names that `host` may mean until one has addresses.
    fn ask(&self, host: &str, survey: &DnsSurvey) -> Lookup {
        let absolute = format!("{host}.");
        let mut lookup = Lookup::at_once(Err(self.error(host, None, LookupFault::NoSuchHost)));
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
                    // The last error for the name itself stands, else the first for a suffixed one.
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

    /// A time of both questions: at once the slower counts, with `single-request` it is their sum.
    fn over(&self, legs: &[Leg], time: fn(&Leg) -> Duration) -> Duration {
        let times = legs.iter().map(time);
        if self.conf.single_request {
            times.sum()
        } else {
            times.max().unwrap_or_default()
        }
    }

    /// Asks each nameserver in turn until one settles the question. A pass that settles nothing is
    /// repeated `attempts` times with the same outcome.
    fn try_one_name(&self, name: &str, family: Family, offset: usize, survey: &DnsSurvey) -> Leg {
        let nameservers = &self.conf.nameservers;
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
                leg.useful = took;
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

impl Lookup {
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

impl Reply {
    /// How long Go waits for the reply and what it makes of it. Every fault but
    /// [`LookupFault::NoSuchHost`] sends it to the next nameserver.
    fn within(&self, timeout: Duration) -> (Duration, Result<&[IpAddr], LookupFault>) {
        let outcome = match &self.answer {
            Answer::Timeout => return (timeout, Err(LookupFault::Timeout)),
            _ if self.took >= timeout => return (timeout, Err(LookupFault::Timeout)),
            Answer::Addresses(addresses) if !addresses.is_empty() => Ok(&**addresses),
            Answer::Addresses(_) | Answer::NxDomain | Answer::NoData => {
                Err(LookupFault::NoSuchHost)
            }
            Answer::ServFail => Err(LookupFault::ServFail),
            Answer::Rejected => Err(LookupFault::Rejected),
            Answer::LameReferral => Err(LookupFault::LameReferral),
            Answer::Malformed => Err(LookupFault::Malformed),
            Answer::PortClosed => Err(LookupFault::PortClosed),
            Answer::Unreachable => Err(LookupFault::Unreachable),
        };
        (self.took, outcome)
    }
}

/// The questions for one name and record type.
struct Leg {
    outcome: Result<Vec<IpAddr>, LookupFault>,
    /// The nameserver asked last.
    nameserver: Option<SocketAddr>,
    took: Duration,
    /// What the settling answer took.
    useful: Duration,
    assumed: Vec<Question>,
}

/// Nobody was asked.
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

/// Go asks nobody for other names (`isDomainName`): letters, digits, `_` and inner `-`, and not
/// digits alone.
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
mod tests {
    use super::Answer::{
        Addresses, LameReferral, Malformed, NoData, NxDomain, PortClosed, Rejected, ServFail,
        Timeout, Unreachable,
    };
    use super::*;

    const HOST: &str = "contoso.azurecr.io";
    const BUDGET: Duration = Duration::from_secs(30);
    const RTT: Duration = Duration::from_millis(2);

    fn at(address: &str) -> Answer {
        Addresses(vec![address.parse().unwrap()])
    }

    fn millis(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    /// Nameservers 10.0.0.1, 10.0.0.2, … each answering `HOST` with (A, AAAA) within [`RTT`].
    fn survey(replies: &[(Answer, Answer)]) -> DnsSurvey {
        survey_of(HOST, replies)
    }

    fn survey_of(host: &str, replies: &[(Answer, Answer)]) -> DnsSurvey {
        let questions = (1_u8..)
            .map(|n| SocketAddr::from(([10, 0, 0, n], 53)))
            .zip(replies);
        let each = questions.flat_map(|(nameserver, (a, aaaa))| {
            [(Family::V4, a), (Family::V6, aaaa)].map(|(family, answer)| {
                let question = Question {
                    nameserver,
                    name: format!("{host}."),
                    family,
                };
                (
                    question,
                    Reply {
                        answer: answer.clone(),
                        took: RTT,
                    },
                )
            })
        });
        each.collect()
    }

    fn conf(survey: &DnsSurvey, options: &str) -> ResolvConf {
        let mut conf = ResolvConf::parse(options, |_| None);
        conf.nameservers = survey.keys().map(|question| question.nameserver).collect();
        conf.nameservers.dedup();
        conf
    }

    fn lookup(conf: &ResolvConf, survey: &DnsSurvey) -> Lookup {
        let resolver = GoResolver {
            hosts: &Hosts::default(),
            conf,
            sources: &Sources::new(),
            has_ipv6: true,
            rotation: 0,
        };
        resolver.lookup(HOST, survey, BUDGET)
    }

    /// The addresses or the error, with `…` for "lookup" and the name, and the wait in milliseconds.
    fn told(lookup: &Lookup) -> (String, u128) {
        let text = match &lookup.result {
            Ok(addresses) => addresses
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(" "),
            Err(error) => error.to_string().replace("lookup contoso.azurecr.io", "…"),
        };
        (text, lookup.waited.as_millis())
    }

    #[test]
    fn stories() {
        let good = || (at("10.240.1.4"), NoData);
        let dead = || (Timeout, Timeout);
        let both = |answer: Answer| (answer.clone(), answer);
        #[rustfmt::skip]
        let table = [
            ("all is well", vec![good()], "10.240.1.4", 0),
            (
                "the first nameserver is dead: one time-out for A and AAAA together",
                vec![dead(), good()],
                "10.240.1.4",
                5_000,
            ),
            ("two are dead", vec![dead(), dead(), good()], "10.240.1.4", 10_000),
            ("the first nameserver's port is closed: no wait", vec![both(PortClosed), good()], "10.240.1.4", 2),
            ("SERVFAIL moves on", vec![both(ServFail), good()], "10.240.1.4", 2),
            ("REFUSED moves on", vec![both(Rejected), good()], "10.240.1.4", 2),
            ("a lame referral moves on", vec![both(LameReferral), good()], "10.240.1.4", 2),
            ("the wrong first nameserver wins", vec![both(NxDomain), good()], "… on 10.0.0.1:53: no such host", 0),
            ("so does one without data", vec![both(NoData), good()], "… on 10.0.0.1:53: no such host", 0),
            ("no AAAA in time: the A waits for it", vec![(at("10.240.1.4"), Timeout)], "10.240.1.4", 9_998),
            (
                "A and AAAA from different nameservers",
                vec![(ServFail, at("fd00::4")), good()],
                "fd00::4 10.240.1.4",
                2,
            ),
            (
                "the only nameserver is dead",
                vec![dead()],
                "… on 10.0.0.1:53: read udp *->10.0.0.1:53: i/o timeout",
                10_000,
            ),
            (
                "both are dead: the last one is named",
                vec![dead(), dead()],
                "… on 10.0.0.2:53: read udp *->10.0.0.2:53: i/o timeout",
                20_000,
            ),
            ("all three are dead: the dial has no more time", vec![dead(), dead(), dead()], "…: i/o timeout", 30_000),
            ("SERVFAIL everywhere", vec![both(ServFail), both(ServFail)], "… on 10.0.0.2:53: server misbehaving", 8),
            (
                "no nameserver on the node",
                vec![both(PortClosed)],
                "… on 10.0.0.1:53: read udp *->10.0.0.1:53: read: connection refused",
                4,
            ),
            (
                "no route to it",
                vec![both(Unreachable)],
                "… on 10.0.0.1:53: dial udp 10.0.0.1:53: connect: network is unreachable",
                4,
            ),
            ("garbage", vec![both(Malformed)], "… on 10.0.0.1:53: cannot unmarshal DNS message", 4),
            ("the later error stands", vec![(ServFail, NoData)], "… on 10.0.0.1:53: server misbehaving", 2),
        ];
        for (story, replies, expected, waited) in table {
            let survey = survey(&replies);
            assert_eq!(
                told(&lookup(&conf(&survey, ""), &survey)),
                (expected.to_owned(), waited),
                "{story}"
            );
        }
    }

    #[test]
    fn resolv_conf_options() {
        let dead_first = survey(&[(Timeout, Timeout), (at("10.240.1.4"), NoData)]);
        let dead = survey(&[(Timeout, Timeout)]);
        #[rustfmt::skip]
        let table = [
            ("options timeout:1", &dead_first, "10.240.1.4", 1_000),
            ("options single-request", &dead_first, "10.240.1.4", 10_000),
            ("options attempts:1", &dead, "… on 10.0.0.1:53: read udp *->10.0.0.1:53: i/o timeout", 5_000),
            ("options use-vc", &dead, "… on 10.0.0.1:53: dial tcp 10.0.0.1:53: i/o timeout", 10_000),
            ("options attempts:99999999", &dead, "…: i/o timeout", 30_000),
        ];
        for (options, survey, expected, waited) in table {
            assert_eq!(
                told(&lookup(&conf(survey, options), survey)),
                (expected.to_owned(), waited),
                "{options}"
            );
        }
    }

    #[test]
    fn an_answer_later_than_the_time_out_is_none() {
        let mut survey = survey(&[(at("10.240.1.4"), NoData), (at("10.240.1.5"), NoData)]);
        for (question, reply) in &mut survey {
            reply.took = if question.nameserver.ip() == IpAddr::from([10, 0, 0, 1]) {
                millis(1_500)
            } else {
                RTT
            };
        }
        assert_eq!(
            told(&lookup(&conf(&survey, ""), &survey)),
            ("10.240.1.4".to_owned(), 0)
        );
        assert_eq!(
            told(&lookup(&conf(&survey, "options timeout:1"), &survey)),
            ("10.240.1.5".to_owned(), 1_000)
        );
    }

    #[test]
    fn rotation_starts_elsewhere() {
        let survey = survey(&[(Timeout, Timeout), (at("10.240.1.4"), NoData)]);
        let conf = conf(&survey, "options rotate");
        let (hosts, sources) = (Hosts::default(), Sources::new());
        let resolver = |rotation| GoResolver {
            hosts: &hosts,
            conf: &conf,
            sources: &sources,
            has_ipv6: false,
            rotation,
        };
        let waits: Vec<_> = (0..3)
            .map(|rotation| {
                resolver(rotation)
                    .lookup(HOST, &survey, BUDGET)
                    .waited
                    .as_secs()
            })
            .collect();
        assert_eq!(waits, [5, 0, 5]);
    }

    #[test]
    fn the_hosts_file_wins_and_an_address_needs_no_lookup() {
        let hosts = Hosts::parse("10.240.9.9 contoso.azurecr.io");
        let conf = ResolvConf::default();
        let resolver = GoResolver {
            hosts: &hosts,
            conf: &conf,
            sources: &Sources::new(),
            has_ipv6: true,
            rotation: 0,
        };
        for (host, expected) in [
            (HOST, "10.240.9.9"),
            ("10.240.1.4", "10.240.1.4"),
            ("fd00::4", "fd00::4"),
            ("con toso", "lookup con toso: no such host"),
            ("1.2.3", "lookup 1.2.3: no such host"),
            ("-x.example", "lookup -x.example: no such host"),
        ] {
            assert_eq!(
                told(&resolver.lookup(host, &DnsSurvey::new(), BUDGET)),
                (expected.to_owned(), 0)
            );
        }
    }

    #[test]
    fn the_search_list_is_tried_after_the_name() {
        let mut survey = survey(&[(NxDomain, NxDomain)]);
        let conf = conf(&survey, "search a.example b.example");
        let assumed = lookup(&conf, &survey);
        assert_eq!(told(&assumed).0, "… on 10.0.0.1:53: no such host");
        let names: Vec<_> = assumed
            .assumed
            .iter()
            .map(|question| &*question.name)
            .collect();
        assert_eq!(names[0], "contoso.azurecr.io.a.example.");
        assert_eq!(names.len(), 4);

        survey.extend(survey_of(
            "contoso.azurecr.io.a.example",
            &[(at("192.0.2.9"), NoData)],
        ));
        assert_eq!(told(&lookup(&conf, &survey)), ("192.0.2.9".to_owned(), 0));
    }

    #[test]
    fn without_ipv6_nobody_asks_for_it() {
        let survey = survey(&[(at("10.240.1.4"), Timeout)]);
        let conf = conf(&survey, "");
        let resolver = GoResolver {
            hosts: &Hosts::default(),
            conf: &conf,
            sources: &Sources::new(),
            has_ipv6: false,
            rotation: 0,
        };
        let lookup = resolver.lookup(HOST, &survey, BUDGET);
        assert_eq!(
            (told(&lookup), lookup.took),
            (("10.240.1.4".to_owned(), 0), RTT)
        );
        assert_eq!(lookup.answered_by, Some("10.0.0.1:53".parse().unwrap()));
    }

    #[test]
    fn the_error_shows_the_address_of_the_node() {
        let survey = survey(&[(Timeout, Timeout)]);
        let sources = Sources::from([("10.0.0.1".parse().unwrap(), "10.240.0.4".parse().unwrap())]);
        let conf = conf(&survey, "");
        let resolver = GoResolver {
            hosts: &Hosts::default(),
            conf: &conf,
            sources: &sources,
            has_ipv6: true,
            rotation: 0,
        };
        let error = resolver.lookup(HOST, &survey, BUDGET).result.unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("read udp 10.240.0.4:*->10.0.0.1:53: i/o timeout"),
            "{error}"
        );
    }
}
