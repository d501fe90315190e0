use super::*;
use crate::client::dns_survey::Reply;

type Answers = Result<Vec<IpAddr>, LookupFault>;

const NX_DOMAIN: Answers = Err(LookupFault::NoSuchHost);
const NO_DATA: Answers = Err(LookupFault::NoSuchHost);
const SERVFAIL: Answers = Err(LookupFault::ServFail);
const REJECTED: Answers = Err(LookupFault::Rejected);
const LAME_REFERRAL: Answers = Err(LookupFault::LameReferral);
const MALFORMED: Answers = Err(LookupFault::Malformed);
const TIMEOUT: Answers = Err(LookupFault::Timeout);
const PORT_CLOSED: Answers = Err(LookupFault::PortClosed);
const UNREACHABLE: Answers = Err(LookupFault::Unreachable);

const HOST: &str = "contoso.azurecr.io";
const BUDGET: Duration = Duration::from_secs(30);
const RTT: Duration = Duration::from_millis(2);

fn at(address: &str) -> Answers {
    Ok(vec![address.parse().unwrap()])
}

fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Nameservers 10.0.0.1, 10.0.0.2, … that answer `HOST` with (A, AAAA) within [`RTT`].
fn survey(replies: &[(Answers, Answers)]) -> DnsSurvey {
    survey_of(HOST, replies)
}

fn survey_of(host: &str, replies: &[(Answers, Answers)]) -> DnsSurvey {
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
                    result: answer.clone(),
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

fn lookup(conf: &ResolvConf, survey: &DnsSurvey) -> GoLookup {
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
fn summary(lookup: &GoLookup) -> (String, u128) {
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
    let good = || (at("10.240.1.4"), NO_DATA);
    let dead = || (TIMEOUT, TIMEOUT);
    let both = |answer: Answers| (answer.clone(), answer);
    #[rustfmt::skip]
    let table = [
        ("everything works", vec![good()], "10.240.1.4", 0),
        (
            "the first nameserver is dead: one time-out for A and AAAA together",
            vec![dead(), good()],
            "10.240.1.4",
            5_000,
        ),
        ("two are dead", vec![dead(), dead(), good()], "10.240.1.4", 10_000),
        ("the first nameserver's port is closed: no wait", vec![both(PORT_CLOSED), good()], "10.240.1.4", 2),
        ("SERVFAIL moves on", vec![both(SERVFAIL), good()], "10.240.1.4", 2),
        ("REFUSED moves on", vec![both(REJECTED), good()], "10.240.1.4", 2),
        ("a lame referral moves on", vec![both(LAME_REFERRAL), good()], "10.240.1.4", 2),
        ("the wrong first nameserver wins", vec![both(NX_DOMAIN), good()], "… on 10.0.0.1:53: no such host", 0),
        ("so does one without data", vec![both(NO_DATA), good()], "… on 10.0.0.1:53: no such host", 0),
        ("no AAAA in time: the A waits for it", vec![(at("10.240.1.4"), TIMEOUT)], "10.240.1.4", 9_998),
        (
            "none of the first nameserver: the second one settles it",
            vec![(at("10.240.1.4"), TIMEOUT), good()],
            "10.240.1.4",
            5_000,
        ),
        (
            "none of three nameservers: the dial has no more time, although there is an address",
            vec![(at("10.240.1.4"), TIMEOUT), (at("10.240.1.4"), TIMEOUT), (at("10.240.1.4"), TIMEOUT)],
            "…: i/o timeout",
            30_000,
        ),
        (
            "A and AAAA from different nameservers",
            vec![(SERVFAIL, at("fd00::4")), good()],
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
        ("SERVFAIL everywhere", vec![both(SERVFAIL), both(SERVFAIL)], "… on 10.0.0.2:53: server misbehaving", 8),
        (
            "no nameserver on the node",
            vec![both(PORT_CLOSED)],
            "… on 10.0.0.1:53: …connection refused",
            4,
        ),
        (
            "no route to it",
            vec![both(UNREACHABLE)],
            "… on 10.0.0.1:53: dial udp 10.0.0.1:53: connect: network is unreachable",
            4,
        ),
        ("garbage", vec![both(MALFORMED)], "… on 10.0.0.1:53: cannot unmarshal DNS message", 4),
        ("the later error stands", vec![(SERVFAIL, NO_DATA)], "… on 10.0.0.1:53: server misbehaving", 2),
    ];
    for (story, replies, expected, waited) in table {
        let survey = survey(&replies);
        assert_eq!(
            summary(&lookup(&conf(&survey, ""), &survey)),
            (expected.to_owned(), waited),
            "{story}"
        );
    }
}

#[test]
fn resolv_conf_options() {
    let dead_first = survey(&[(TIMEOUT, TIMEOUT), (at("10.240.1.4"), NO_DATA)]);
    let dead = survey(&[(TIMEOUT, TIMEOUT)]);
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
            summary(&lookup(&conf(survey, options), survey)),
            (expected.to_owned(), waited),
            "{options}"
        );
    }
}

#[test]
fn an_answer_after_the_timeout_does_not_count() {
    let mut survey = survey(&[(at("10.240.1.4"), NO_DATA), (at("10.240.1.5"), NO_DATA)]);
    for (question, reply) in &mut survey {
        reply.took = if question.nameserver.ip() == IpAddr::from([10, 0, 0, 1]) {
            millis(1_500)
        } else {
            RTT
        };
    }
    assert_eq!(
        summary(&lookup(&conf(&survey, ""), &survey)),
        ("10.240.1.4".to_owned(), 1_500)
    );
    assert_eq!(
        summary(&lookup(&conf(&survey, "options timeout:1"), &survey)),
        ("10.240.1.5".to_owned(), 1_000)
    );
}

#[test]
fn rotation_starts_elsewhere() {
    let survey = survey(&[(TIMEOUT, TIMEOUT), (at("10.240.1.4"), NO_DATA)]);
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
            summary(&resolver.lookup(host, &DnsSurvey::new(), BUDGET)),
            (expected.to_owned(), 0)
        );
    }
}

#[test]
fn the_search_list_is_tried_after_the_name() {
    let mut survey = survey(&[(NX_DOMAIN, NX_DOMAIN)]);
    let conf = conf(&survey, "search a.example b.example");
    let assumed = lookup(&conf, &survey);
    assert_eq!(summary(&assumed).0, "… on 10.0.0.1:53: no such host");
    let names: Vec<_> = assumed
        .assumed
        .iter()
        .map(|question| &*question.name)
        .collect();
    assert_eq!(names[0], "contoso.azurecr.io.a.example.");
    assert_eq!(names.len(), 4);

    survey.extend(survey_of(
        "contoso.azurecr.io.a.example",
        &[(at("192.0.2.9"), NO_DATA)],
    ));
    assert_eq!(
        summary(&lookup(&conf, &survey)),
        ("192.0.2.9".to_owned(), 0)
    );
}

#[test]
fn without_ipv6_go_does_not_ask_for_it() {
    let survey = survey(&[(at("10.240.1.4"), TIMEOUT)]);
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
        (summary(&lookup), lookup.took),
        (("10.240.1.4".to_owned(), 0), RTT)
    );
    assert_eq!(lookup.answered_by, Some("10.0.0.1:53".parse().unwrap()));
}

#[test]
fn the_error_shows_the_address_of_the_node() {
    let survey = survey(&[(TIMEOUT, TIMEOUT)]);
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
