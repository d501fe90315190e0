//! Registries as a round might leave them, for tests of everything that shows them. Only this file spells
//! out an outcome.

use std::{net::IpAddr, sync::Arc, time::Duration};

use jiff::Timestamp;
use regprobe_probes::{
    Access, AddressOutcome, Alias, Answer, Certificate, Chain, Challenge, Code, Connected, Depth,
    Diagnosis, Endpoint, EndpointOutcome, Evidence, Fault, Finding, Handshake, Lookup, Nameserver,
    Negative, Origin, Outcome, PullPath, Reason, ResolveFault, Role, Scheme, Severity, Stage,
    StageOutcome, TlsFault, Token,
};

use crate::{
    config::Config,
    plan::{Intervals, PlannedRegistry},
    state::{RegistryState, Round},
};

/// Two healthy endpoints.
pub(crate) fn healthy() -> Arc<RegistryState> {
    let (login, data) = ("contoso.azurecr.io", "contoso.westeurope.data.azurecr.io");
    let login_chain = ["contoso.privatelink.azurecr.io"];
    let data_chain = ["contoso.westeurope.data.privatelink.azurecr.io"];
    state(
        "{server: contoso.azurecr.io}",
        vec![
            up(Role::Login, login, &login_chain, "10.240.1.5"),
            up(Role::Data, data, &data_chain, "10.240.1.4"),
        ],
        Diagnosis::default(),
    )
}

/// The second nameserver answers with a public address; a pull that asks it waits first.
pub(crate) fn drift() -> Arc<RegistryState> {
    let host = "drift.azurecr.io";
    let mut login = up(
        Role::Login,
        host,
        &["drift.privatelink.azurecr.io"],
        "10.240.1.5",
    );
    let public = ["drift.privatelink.azurecr.io", "weu.fe.azcr.io"];
    login
        .lookups
        .push(answer("10.0.0.11:53", host, &public, "203.0.113.12"));
    login.addresses.push(AddressOutcome {
        address: address("203.0.113.12"),
        source: None,
        stages: vec![connected(), handshake("drift.azurecr.io")],
    });
    let disagree = Finding {
        nameserver: Some("10.0.0.11:53".to_owned()),
        address: Some(address("203.0.113.12")),
        evidence: vec![
            "10.0.0.10:53 answers 10.240.1.5".to_owned(),
            "10.0.0.11:53 answers 203.0.113.12".to_owned(),
        ],
        ..Finding::new(
            Code::NameserversDisagree,
            Severity::Warning,
            &login.endpoint,
            Stage::Resolve,
            "The node's nameservers give different addresses for drift.azurecr.io.",
            "Link the zone privatelink.azurecr.io to the network of 10.0.0.11.",
        )
    };
    let denied = Finding::new(
        Code::CredentialsRequired,
        Severity::Info,
        &login.endpoint,
        Stage::Token,
        "An anonymous token was denied, as on most registries.",
        "Nothing, if pods bring credentials.",
    );
    state(
        "{name: drift, server: drift.azurecr.io}",
        vec![login],
        Diagnosis {
            findings: vec![disagree, denied],
            unseen: None,
            predicted_pull_delay: Some(Duration::from_secs(5)),
        },
    )
}

/// The data endpoint has no record in the private zone, and the certificate expires soon.
pub(crate) fn failing() -> Arc<RegistryState> {
    let host = "contoso.westeurope.data.azurecr.io";
    let private = "contoso.westeurope.data.privatelink.azurecr.io";
    let login = up(
        Role::Login,
        "contoso.azurecr.io",
        &["contoso.privatelink.azurecr.io"],
        "10.240.1.5",
    );
    let negative = ResolveFault::NxDomain(Negative {
        chain: aliases(&[private]),
        soa: Some("privatelink.azurecr.io".to_owned()),
    });
    let data = down(
        Role::Data,
        host,
        lookup("10.0.0.10:53", host, Err(negative)),
    );
    let missing = Finding {
        reason: Some(Reason::NxDomain),
        nameserver: Some("10.0.0.10:53".to_owned()),
        evidence: vec![
            format!("10.0.0.10:53 says NXDOMAIN; {host} is an alias of {private}"),
            "the answer comes from the zone privatelink.azurecr.io".to_owned(),
        ],
        client_error: Some(format!(
            "failed to copy: httpReadSeeker: failed open: failed to do request: Get \
             \"https://{host}/…\": dial tcp: lookup {host} on 10.0.0.10:53: no such host"
        )),
        ..Finding::new(
            Code::PrivateLinkRecordMissing,
            Severity::Critical,
            &data.endpoint,
            Stage::Resolve,
            "The private zone privatelink.azurecr.io has no record for \
             contoso.westeurope.data, so the name does not resolve.",
            "Add the record contoso.westeurope.data to the zone, or a DNS zone group to the \
             private endpoint, which writes it.",
        )
    };
    let expiring = Finding {
        address: Some(address("10.240.1.5")),
        evidence: vec!["*.azurecr.io ends 2026-03-01T00:00:00Z".to_owned()],
        ..Finding::new(
            Code::CertificateExpiringSoon,
            Severity::Warning,
            &login.endpoint,
            Stage::Tls,
            "The certificate expires in 9 days.",
            "Renew it.",
        )
    };
    state(
        "{name: contoso, server: contoso.azurecr.io}",
        vec![login, data],
        Diagnosis {
            findings: vec![missing, expiring],
            unseen: None,
            predicted_pull_delay: Some(Duration::ZERO),
        },
    )
}

/// The longest possible names, and a peer that sends commands to the terminal.
pub(crate) fn long_names() -> Arc<RegistryState> {
    let label = "a-label-of-sixty-three-characters-which-is-as-many-as-dns-allows";
    let host = format!("{}.registry.example", &label[..63]);
    let beyond = format!("{}.{}.example", &label[..63], &label[..63]);
    let mut login = up(
        Role::Login,
        &host,
        &[&beyond],
        "fd00:1234:5678:9abc:def0:1234:5678:9abc",
    );
    let stages = &mut login.addresses[0].stages;
    stages.truncate(1);
    let alert = "handshake_failure\u{1b}]0;owned\u{7}\u{1b}[2J".to_owned();
    stages.push(StageOutcome {
        subject: None,
        optional: false,
        stage: Stage::Tls,
        took: Duration::from_millis(10_001),
        result: Err(Fault::Tls(Box::new(TlsFault::Alert(alert)))),
    });
    let dropped = Finding {
        reason: Some(Reason::Alert),
        evidence: vec!["issuer O=\u{1b}[32mOK\u{1b}[0m\r\nhealthy".to_owned()],
        ..Finding::new(
            Code::TlsVersion,
            Severity::Critical,
            &login.endpoint,
            Stage::Tls,
            "The peer and the node have no TLS version or parameter in common.",
            "Compare both sides.",
        )
    };
    state(
        &format!("{{name: long, server: {host}}}"),
        vec![login],
        Diagnosis {
            findings: vec![dropped],
            unseen: None,
            predicted_pull_delay: None,
        },
    )
}

fn state(
    registry: &str,
    endpoints: Vec<EndpointOutcome>,
    diagnosis: Diagnosis,
) -> Arc<RegistryState> {
    let config = Config::parse(&format!("registries: [{registry}]\n")).unwrap();
    let intervals = Intervals::from(&config.schedule);
    let planned = PlannedRegistry::new(&config.registries[0], intervals, &config.tls);
    let outcome = Outcome {
        endpoints,
        walks: Vec::new(),
        misconfigured: Vec::new(),
        unseen_hosts: None,
        settings: 0,
    };
    let at = time("2026-02-20T12:00:00Z");
    let round = Round {
        found: vec![time("2026-02-20T11:45:00Z"); diagnosis.findings.len()],
        diagnosis,
        since: time("2026-02-20T11:45:00Z"),
        ..Round::new(&planned, at, Depth::Image, outcome)
    };
    Arc::new(RegistryState::after(Arc::new(planned), round))
}

fn up(role: Role, host: &str, chain: &[&str], at: &str) -> EndpointOutcome {
    let requests = match role {
        Role::Login => vec![
            ok(
                Stage::Challenge,
                5200,
                Evidence::Challenge(Challenge {
                    status: 401,
                    access: Access::Basic,
                    readable_by_client: true,
                    server: None,
                    correlation_id: None,
                    clock_skew: None,
                }),
            ),
            ok(Stage::Token, 8100, Evidence::Token(Token::Denied)),
        ],
        _ => Vec::new(),
    };
    let stages = [vec![connected(), handshake(host)], requests].concat();
    let address = address(at);
    EndpointOutcome {
        addresses: vec![AddressOutcome {
            address,
            source: None,
            stages,
        }],
        path: PullPath::Walked {
            result: Ok(address),
            nameserver: None,
            waits: Duration::ZERO,
            elsewhere: Vec::new(),
        },
        ..down(role, host, answer("10.0.0.10:53", host, chain, at))
    }
}

fn down(role: Role, host: &str, lookup: Lookup) -> EndpointOutcome {
    EndpointOutcome {
        lookups: vec![lookup],
        ..EndpointOutcome::new(
            Endpoint {
                host: host.into(),
                port: 443,
                role,
                scheme: Scheme::Https,
            },
            PullPath::Walked {
                result: Err(format!(
                    "dial tcp: lookup {host} on 10.0.0.10:53: no such host"
                )),
                nameserver: None,
                waits: Duration::ZERO,
                elsewhere: Vec::new(),
            },
        )
    }
}

fn answer(nameserver: &str, host: &str, chain: &[&str], at: &str) -> Lookup {
    let answer = Answer {
        chain: aliases(chain),
        addresses: vec![address(at)],
        ttl: 60,
        is_cut: false,
    };
    lookup(nameserver, host, Ok(answer))
}

fn lookup(nameserver: &str, host: &str, a: Result<Answer, ResolveFault>) -> Lookup {
    let nothing = Negative {
        chain: Vec::new(),
        soa: None,
    };
    let aaaa = match &a {
        Ok(_) => Err(ResolveFault::NoData(nothing)),
        Err(fault) => Err(fault.clone()),
    };
    Lookup {
        nameserver: Arc::new(Nameserver {
            address: nameserver.parse().unwrap(),
            name: None,
            origin: Origin::Node,
        }),
        name: host.into(),
        a,
        aaaa,
        a_took: Duration::from_micros(400),
        aaaa_took: Duration::from_micros(400),
    }
}

fn aliases(names: &[&str]) -> Vec<Alias> {
    let alias = |name: &&str| Alias {
        name: (*name).to_owned(),
        ttl: 60,
    };
    names.iter().map(alias).collect()
}

fn connected() -> StageOutcome {
    let connected = Connected {
        rtt: Some(Duration::from_micros(900)),
        retransmits: 0,
        fell_back_after: None,
    };
    ok(Stage::Connect, 1000, Evidence::Connect(connected))
}

fn handshake(host: &str) -> StageOutcome {
    let certificate = Certificate {
        subject: format!("CN={host}"),
        issuer: "CN=Microsoft Azure RSA TLS Issuing CA 03".to_owned(),
        names: vec![host.to_owned()],
        not_before: time("2025-03-01T00:00:00Z"),
        not_after: time("2026-03-01T00:00:00Z"),
        sha256: "00".repeat(32),
    };
    let handshake = Handshake {
        version: "TLS1.3",
        cipher: "TLS13_AES_256_GCM_SHA384",
        group: "X25519MLKEM768",
        lost: None,
        chain: Arc::new(Chain {
            certificates: vec![certificate],
        }),
    };
    ok(Stage::Tls, 3400, Evidence::Tls(Box::new(handshake)))
}

fn ok(stage: Stage, micros: u64, evidence: Evidence) -> StageOutcome {
    StageOutcome {
        subject: None,
        optional: false,
        stage,
        took: Duration::from_micros(micros),
        result: Ok(evidence),
    }
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}
