//! Random outcomes: mixes of the same faults that the stories use.

use std::{
    collections::BTreeSet,
    sync::{Arc, LazyLock},
};

use proptest::{
    prelude::*,
    sample::select,
    string::{RegexGeneratorStrategy, string_regex},
};

use super::build::{
    AZURE, FIRST, FLOOR, Met, NameserverSays, OTHER, PRIVATE_DATA, PRIVATE_LOGIN, PUBLIC, SECOND,
    bad_chain, basic_challenge, certificate_ending_in_days, challenge_that_containerd_misreads,
    challenge_with_clock_off_by, data, denied, dial, expecting_anonymous_pull, expecting_any,
    expecting_private, found, http, layer_at, login, malformed, mirror, no_address, no_registry,
    no_route, no_such_name, not_linked, nothing, other_platform, outcome, private, proxy,
    record_missing, refused, servfail, silence, storage, tls, token_service, turned_away,
};
use crate::{
    diagnosis::Expectations,
    net::io_fault::{Errno, IoFault},
    node::misconfigured::{Misconfigured, SettingPlace},
    outcome::{EndpointOutcome, Evidence, Fault, Outcome, PullPath},
    stages::{
        proxy::ProxyFault,
        resolve::ResolveFault,
        tls::{CertificateProblem, Lost, TlsFault},
    },
    words::{
        endpoint::{Nameserver, Origin, Turn},
        reason::{Reason, Stage},
        scope::Expectation,
    },
};

/// The same outcome in another order, where the order does not mean anything.
pub(super) fn reordered(outcome: Outcome) -> impl Strategy<Value = (Outcome, Outcome)> {
    let endpoints = outcome.endpoints.clone();
    let inner = endpoints
        .into_iter()
        .map(|seen| {
            let (own, added): (Vec<_>, Vec<_>) = seen
                .lookups
                .iter()
                .cloned()
                .partition(|lookup| lookup.nameserver.origin == Origin::Node);
            // Without an address on the path, the first one that failed counts.
            let addresses = match seen.path.address() {
                Some(_) => Just(seen.addresses.clone()).prop_shuffle().boxed(),
                None => Just(seen.addresses.clone()).boxed(),
            };
            (Just(added).prop_shuffle(), addresses).prop_map(move |(added, addresses)| {
                let lookups = own.iter().cloned().chain(added).collect();
                EndpointOutcome {
                    lookups,
                    addresses,
                    ..seen.clone()
                }
            })
        })
        .collect::<Vec<_>>();
    let shuffled = inner.prop_flat_map(|endpoints| Just(endpoints).prop_shuffle());
    shuffled.prop_map(move |endpoints| {
        let reordered = Outcome {
            endpoints,
            ..outcome.clone()
        };
        (outcome.clone(), reordered)
    })
}

/// A registry with its data endpoints and everything that a pull may be led to, or any part of it. A
/// wild one has names that nobody could look up and a pull path that nobody could take.
pub(super) fn any_outcome(wild: bool) -> BoxedStrategy<Outcome> {
    let endpoints = (
        prop::option::weighted(0.3, any_endpoint(mirror(), wild)),
        prop::option::weighted(0.9, any_endpoint(login(), wild)),
        prop::option::weighted(0.6, any_endpoint(data(), wild)),
        prop::option::weighted(
            0.3,
            any_endpoint(data().named("contoso.northeurope.data.azurecr.io"), wild),
        ),
        prop::option::weighted(0.2, any_endpoint(storage(), wild)),
        prop::option::weighted(0.2, any_endpoint(token_service(), wild)),
        select(vec![Turn::FIRST, Turn::After(1), Turn::Never]),
    );
    let endpoints = endpoints.prop_map(|(mirror, login, data, north, storage, token, turn)| {
        // The registry's own endpoints share its turn, which comes after the mirror's if there is one.
        let turn = mirror
            .as_ref()
            .map_or(Turn::FIRST, |_| turn.max(Turn::After(1)));
        let own = [login, data, north, storage, token].into_iter().flatten();
        let own = own.map(|met| met.in_turn(turn));
        mirror.into_iter().chain(own).collect::<Vec<_>>()
    });
    let misconfigured = prop::option::weighted(0.05, any_misconfigured());
    let unseen_hosts = prop::option::weighted(0.05, hostile());
    let path = prop::option::of((
        prop::option::of(any_address()),
        prop::option::of(any_nameserver()),
        hostile(),
    ));
    (endpoints, misconfigured, unseen_hosts, path)
        .prop_map(move |(met, misconfigured, unseen_hosts, path)| {
            let mut outcome = outcome(met);
            // No configuration or registry makes a round meet one endpoint twice.
            let mut met = BTreeSet::new();
            outcome.endpoints.retain(|seen| {
                met.insert((
                    seen.turn,
                    seen.endpoint.to_string(),
                    seen.endpoint.role.as_str(),
                ))
            });
            outcome.unseen_hosts = unseen_hosts;
            outcome.misconfigured = misconfigured.into_iter().collect();
            // A round that cannot use the settings of a host says so.
            let blocked = |seen: &&EndpointOutcome| {
                matches!(&seen.path, PullPath::Blocked { fault, .. } if fault.reason() != Reason::Local)
            };
            if outcome.endpoints.iter().any(|seen| blocked(&seen)) {
                outcome.misconfigured.push(Misconfigured {
                    place: SettingPlace::CertsD,
                    problem: "a file does not exist".to_owned(),
                    fatal: true,
                    client_error: None,
                });
            }
            if let (true, Some((address, nameserver, error))) = (wild, path) {
                for seen in &mut outcome.endpoints {
                    let nameserver = nameserver.as_ref().map(|asked| asked.address);
                    let waits = seen.path.waits();
                    let address = address.map(|text| text.parse().unwrap());
                    seen.path = PullPath::Walked {
                        result: address.ok_or_else(|| error.clone()),
                        nameserver,
                        waits,
                        elsewhere: Vec::new(),
                    };
                }
            }
            outcome
        })
        .boxed()
}

fn any_endpoint(met: Met, wild: bool) -> BoxedStrategy<Met> {
    let name = prop_oneof![
        12 => Just(None),
        1 => Just(Some("contoso.azureacr.io".to_owned())),
        1 => Just(Some("198.51.100.9".to_owned())),
        1 => Just(Some(String::new())),
        1 => hostile().prop_map(Some),
    ];
    let answers = prop::collection::vec((any_nameserver(), any_said()), 0..4);
    let failures = prop::collection::vec(
        (prop::option::of(any_address()), any_failure(), hostile()),
        0..4,
    );
    let pins = prop::collection::vec((any_address(), any::<bool>()), 0..3);
    (
        name,
        prop::option::weighted(0.8, answers),
        failures,
        prop::option::weighted(0.2, pins),
        prop::bool::weighted(0.15),
        prop::collection::vec(any_evidence(), 0..3),
        prop::option::weighted(0.05, any_unusable_setting()),
    )
        .prop_map(
            move |(name, answers, failures, pins, proxied, shown, unusable)| {
                let mut met = met.clone();
                if let Some((stage, fault)) = unusable {
                    met = met.blocked(stage, fault);
                }
                if let Some(name) = name.filter(|name| wild || is_askable(name)) {
                    met = met.named(&name);
                }
                if proxied {
                    met = met.behind_the_proxy();
                }
                if let Some(answers) = answers {
                    met = met.unanswered();
                    for (nameserver, said) in in_order(answers) {
                        met = met.answered(&nameserver, said);
                    }
                }
                for (address, in_cache) in pins.into_iter().flatten() {
                    met = match in_cache {
                        true => met.pinned_in_cache_to(address),
                        false => met.pinned_to(address),
                    };
                }
                for (address, (stage, fault), subject) in failures {
                    met = match address {
                        Some(address) => met.fails_at(address, stage, fault),
                        None if subject.is_empty() => met.fails(stage, fault),
                        None => met.fails_on(&subject, stage, fault),
                    };
                }
                shown.into_iter().fold(met, Met::shows)
            },
        )
        .boxed()
}

/// No client looks up any other name, so no nameserver answers.
fn is_askable(name: &str) -> bool {
    ["contoso.azureacr.io", "198.51.100.9"].contains(&name)
}

/// The order in which a round lists them: the node's own first.
fn in_order(
    mut answers: Vec<(Arc<Nameserver>, NameserverSays)>,
) -> Vec<(Arc<Nameserver>, NameserverSays)> {
    answers.sort_by_key(|(nameserver, _)| nameserver.origin == Origin::Config);
    answers
}

fn any_nameserver() -> impl Strategy<Value = Arc<Nameserver>> {
    select(vec![
        FIRST.clone(),
        SECOND.clone(),
        AZURE.clone(),
        OTHER.clone(),
    ])
}

fn any_address() -> impl Strategy<Value = &'static str> {
    select(vec![
        PRIVATE_LOGIN,
        PRIVATE_DATA,
        "10.240.1.14",
        "10.99.1.4",
        PUBLIC,
        "203.0.113.12",
        "2001:db8::10",
        "fd00::4",
        "0.0.0.0",
        "127.0.0.1",
    ])
}

fn any_said() -> impl Strategy<Value = NameserverSays> {
    let chain = prop::collection::vec(
        select(vec![
            "contoso.privatelink.azurecr.io",
            "eus1.fe.azcr.io",
            "",
        ]),
        0..3,
    );
    let addresses = prop::collection::vec(any_address(), 0..4);
    let (link, zone) = ("contoso.privatelink.azurecr.io", "privatelink.azurecr.io");
    let said = prop_oneof![
        4 => (chain, addresses).prop_map(|(chain, addresses)| found(chain, addresses)),
        4 => any_address().prop_map(private),
        8 => select(vec![
            not_linked(),
            record_missing(),
            no_address([link], zone),
            no_such_name([link], "data.privatelink.azurecr.io"),
            no_such_name([], "azurecr.io"),
            no_such_name([], ""),
            no_address([], "azurecr.io"),
            silence(),
            servfail(),
            nothing(ResolveFault::Rejected("REFUSED")),
            nothing(ResolveFault::LameReferral),
            nothing(ResolveFault::AliasLoop),
            nothing(ResolveFault::Malformed("cut short")),
            nothing(ResolveFault::Io(IoFault::Refused)),
            nothing(ResolveFault::Io(IoFault::Unreachable(Errno(101)))),
            nothing(ResolveFault::Io(IoFault::Local(Errno(24)))),
            nothing(ResolveFault::Io(IoFault::Denied(Errno(1)))),
        ]),
    ];
    (said, prop::bool::weighted(0.1)).prop_map(|(said, half)| match half {
        true => said.without_ipv6_answer(),
        false => said,
    })
}

fn any_failure() -> impl Strategy<Value = (Stage, Fault)> {
    let io = || {
        select(vec![
            IoFault::Timeout,
            IoFault::Refused,
            IoFault::Reset,
            IoFault::Closed,
            IoFault::Unreachable(Errno(113)),
            IoFault::Local(Errno(24)),
            IoFault::Denied(Errno(13)),
        ])
    };
    let request = || {
        select(vec![
            Stage::Challenge,
            Stage::Token,
            Stage::Manifest,
            Stage::Blob,
            Stage::Http,
        ])
    };
    let by_proxy = prop_oneof![
        hostile().prop_map(ProxyFault::Denied),
        hostile().prop_map(ProxyFault::Failed),
        hostile().prop_map(ProxyFault::Malformed),
        any::<bool>().prop_map(|sent| ProxyFault::AuthRequired { sent }),
        hostile().prop_map(ProxyFault::SocksDenied),
        hostile().prop_map(ProxyFault::SocksFailed),
        any::<bool>().prop_map(|sent| ProxyFault::SocksAuthRequired { sent }),
        io().prop_map(ProxyFault::Io),
    ];
    let in_tls = prop_oneof![
        select(vec![
            bad_chain(CertificateProblem::Expired),
            bad_chain(CertificateProblem::NotYetValid),
            bad_chain(CertificateProblem::UnknownIssuer),
            bad_chain(CertificateProblem::NameMismatch),
            bad_chain(CertificateProblem::Bad(String::new())),
            tls(TlsFault::Lost(Lost::LargeHello)),
            tls(TlsFault::Lost(Lost::LargePackets)),
            tls(TlsFault::Version(String::new())),
            tls(TlsFault::Alert(String::new())),
            tls(TlsFault::Broken(String::new())),
        ]),
        io().prop_map(|fault| tls(TlsFault::Io(fault))),
    ];
    let answer = prop_oneof![
        4 => select(vec![400, 401, 403, 404, 418, 429, 500, 503, 599]).prop_map(refused),
        2 => io().prop_map(http),
        2 => select(vec![turned_away("198.51.100.7"), malformed(), no_registry(), other_platform()]),
    ];
    prop_oneof![
        io().prop_map(|fault| (Stage::Connect, dial(fault))),
        Just((Stage::Connect, no_route())),
        by_proxy.prop_map(|fault| (Stage::Proxy, proxy(fault))),
        in_tls.prop_map(|fault| (Stage::Tls, fault)),
        (request(), answer),
    ]
}

fn any_unusable_setting() -> impl Strategy<Value = (Stage, Fault)> {
    prop_oneof![
        hostile().prop_map(|why| (Stage::Tls, tls(TlsFault::Settings(why)))),
        hostile().prop_map(|why| (Stage::Tls, tls(TlsFault::Unseen(why)))),
    ]
}

fn any_misconfigured() -> impl Strategy<Value = Misconfigured> {
    let place = select(vec![
        SettingPlace::CertsD,
        SettingPlace::Host,
        SettingPlace::Proxy,
    ]);
    (place, hostile(), any::<bool>()).prop_map(|(place, problem, fatal)| Misconfigured {
        place,
        fatal: fatal && place != SettingPlace::Proxy,
        client_error: fatal.then(|| problem.clone()),
        problem,
    })
}

fn any_evidence() -> impl Strategy<Value = Evidence> {
    prop_oneof![
        (0_u32..30).prop_map(certificate_ending_in_days),
        any::<f64>().prop_map(challenge_with_clock_off_by),
        select(vec![
            denied(),
            basic_challenge(),
            challenge_that_containerd_misreads(),
            layer_at(FLOOR),
            layer_at(FLOOR - 1),
        ]),
    ]
}

pub(super) fn any_expectations() -> impl Strategy<Value = Expectations> {
    let private_scope = Expectations {
        private: Expectation::PrivateScope,
        ..expecting_private()
    };
    let nowhere = Expectations {
        private: Expectation::Ranges(Vec::new()),
        ..expecting_private()
    };
    select(vec![
        expecting_private(),
        expecting_any(),
        expecting_anonymous_pull(),
        private_scope,
        nowhere,
    ])
}

/// Text from a peer: long, empty, not ASCII, full of dots and control characters.
fn hostile() -> impl Strategy<Value = String> {
    // Parsed once: proptest parses an expression given as a string again for each value.
    static EXPRESSIONS: LazyLock<[RegexGeneratorStrategy<String>; 2]> = LazyLock::new(|| {
        ["[a-z.é\u{0}\n\"{}%-]{0,20}", "\\PC{0,20}"].map(|text| string_regex(text).unwrap())
    });
    let [ascii, any] = &*EXPRESSIONS;
    prop_oneof![
        Just(String::new()),
        Just("x".repeat(300)),
        Just("...".to_owned()),
        ascii,
        any,
    ]
}
