//! The cost of small operations: `cargo bench -p regprobe-benches --bench micro`. It counts allocations, so
//! that growth with history would show.

use std::{net::IpAddr, sync::Arc, time::Duration};

use divan::{AllocProfiler, Bencher};
use jiff::Timestamp;
use regprobe::bench_support::FilledMetrics;
use regprobe_probes::{
    AddressOutcome, Answer, Endpoint, EndpointOutcome, Expectation, Expectations, Fault, IoFault,
    Lookup, Nameserver, Negative, Origin, Outcome, PullPath, ResolveFault, Role, Scheme, Stage,
    StageOutcome, diagnose,
    fuzz_support::{self, challenges, dns_question},
};

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

#[divan::bench]
fn question() -> usize {
    dns_question().map_or(0, |packet| packet.len())
}

#[divan::bench]
fn answer(bencher: Bencher) {
    let packet = answer_by_alias();
    bencher.bench_local(|| fuzz_support::dns_answer(&packet));
}

#[divan::bench]
fn challenge() -> usize {
    challenges(divan::black_box(
        r#"Bearer realm="https://contoso.azurecr.io/oauth2/token",service="contoso.azurecr.io""#,
    ))
    .len()
}

#[divan::bench]
fn diagnosis(bencher: Bencher) {
    let endpoints = [Role::Login, Role::Data, Role::Data];
    let outcome = Outcome {
        endpoints: endpoints.into_iter().enumerate().map(failing).collect(),
        walks: Vec::new(),
        misconfigured: Vec::new(),
        unseen_hosts: None,
        settings: 0,
    };
    let expectations = Expectations {
        private: Expectation::PrivateScope,
        anonymous_pull: false,
        expiry_warning: Duration::from_secs(1_209_600),
        floor: None,
        now: Timestamp::UNIX_EPOCH,
    };
    bencher.bench_local(|| diagnose(&outcome, &expectations));
}

#[divan::bench(args = [10, 100, 1000])]
fn scrape(bencher: Bencher, endpoints: usize) {
    let metrics = FilledMetrics::of(endpoints);
    metrics.scrape();
    bencher.bench_local(|| metrics.scrape());
}

/// The answer to a question, by way of private link: an alias, and the address of that.
fn answer_by_alias() -> Vec<u8> {
    let mut packet = dns_question().expect("a question");
    let question_ends = 12 + "\u{7}contoso\u{7}azurecr\u{2}io\0".len() + 4;
    let options = packet.split_off(question_ends);
    // It is an answer, and has two records.
    packet[2] |= 0x80;
    packet[7] = 2;
    // Names end in pointers: to the name asked, to its `azurecr.io`, and to the alias.
    packet.extend(
        b"\xc0\x0c\x00\x05\x00\x01\x00\x00\x0e\x10\x00\x16\x07contoso\x0bprivatelink\xc0\x14",
    );
    packet.extend(b"\xc0\x30\x00\x01\x00\x01\x00\x00\x00\x0a\x00\x04\x0a\xf0\x01\x05");
    packet.extend(options);
    packet
}

/// Two nameservers that disagree, and an address that does not respond.
fn failing((number, role): (usize, Role)) -> EndpointOutcome {
    let endpoint = Endpoint {
        host: format!("contoso{number}.azurecr.io").into(),
        port: 443,
        role,
        scheme: Scheme::Https,
    };
    let address = IpAddr::from([10, 240, 1, 5]);
    let nothing = || Negative {
        chain: Vec::new(),
        soa: Some("privatelink.azurecr.io".to_owned()),
    };
    let lookup = |last: u8, a: Result<Answer, ResolveFault>| Lookup {
        nameserver: Arc::new(Nameserver {
            address: ([10, 0, 0, last], 53).into(),
            name: None,
            origin: Origin::Node,
        }),
        name: endpoint.host.clone(),
        a,
        aaaa: Err(ResolveFault::NoData(nothing())),
        a_took: Duration::from_millis(1),
        aaaa_took: Duration::from_millis(1),
    };
    let found = Answer {
        chain: Vec::new(),
        addresses: vec![address],
        ttl: 10,
        is_cut: false,
    };
    let silent = Err(Fault::Connect(IoFault::Timeout));
    EndpointOutcome {
        lookups: vec![
            lookup(10, Ok(found)),
            lookup(11, Err(ResolveFault::NxDomain(nothing()))),
        ],
        addresses: vec![AddressOutcome {
            address,
            source: None,
            stages: vec![StageOutcome::new(
                Stage::Connect,
                Duration::from_secs(10),
                silent,
            )],
        }],
        ..EndpointOutcome::new(
            endpoint.clone(),
            PullPath::Walked {
                result: Err(format!("dial tcp {address}:443: i/o timeout")),
                nameserver: None,
                waits: Duration::from_secs(10),
                elsewhere: Vec::new(),
            },
        )
    }
}
