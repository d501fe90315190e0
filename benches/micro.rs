//! The cost of small operations: `cargo bench -p regprobe-benches --bench micro`. It counts allocations, so
//! that growth with history would show.

use std::{net::IpAddr, sync::Arc, time::Duration};

use divan::{AllocProfiler, Bencher};
use jiff::Timestamp;
use regprobe::bench_support::FilledMetrics;
use regprobe_probes::{
    AddressOutcome, Answer, Endpoint, EndpointOutcome, Expectation, Expectations, Fault, IoFault,
    Lookup, Nameserver, Negative, Origin, Outcome, PullPath, ResolveFault, Role, Scheme, Stage,
    StageOutcome,
    bench_support::{Exchange, challenges},
    diagnose,
};

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

#[divan::bench]
fn dns_question() -> usize {
    Exchange::new().ask()
}

#[divan::bench]
fn dns_answer(bencher: Bencher) {
    let exchange = Exchange::new();
    bencher.bench_local(|| exchange.read());
}

#[divan::bench]
fn challenge() -> usize {
    challenges(divan::black_box(
        r#"Bearer realm="https://contoso.azurecr.io/oauth2/token",service="contoso.azurecr.io""#,
    ))
}

#[divan::bench]
fn diagnosis(bencher: Bencher) {
    let endpoints = [Role::Login, Role::Data, Role::Data];
    let outcome = Outcome {
        endpoints: endpoints.into_iter().enumerate().map(failing).collect(),
        misconfigured: None,
    };
    let expectations = Expectations {
        private: Expectation::PrivateScope,
        anonymous_pull: false,
        expiry_warning: Duration::from_secs(1_209_600),
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
        took: Duration::from_millis(1),
        a,
        aaaa: Err(ResolveFault::NoData(nothing())),
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
            },
        )
    }
}
