//! The metric has the set of reasons: each is produced by a test, or here is why no server can cause it.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use regprobe_harness::contoso::LOGIN;
use regprobe_harness::node::Node;
use regprobe_harness::openssl::Running;
use regprobe_lab::addresses::{free_addr, loopback};
use regprobe_lab::fakes::acr::{Acr, Answer, Route};
use regprobe_lab::fakes::sockets;
use regprobe_lab::wait;

use super::{ANY, Case, cases};

/// What no server can cause, and why.
pub(super) const NEVER: &[(&str, &[&str], &str)] = &[
    (
        "challenge token http",
        &["platform_mismatch", "locked", "corrupt"],
        "only images have platforms, locks and digests; the fault lab has such ones",
    ),
    (
        "connect",
        &["closed"],
        "a dial is answered by SYN-ACK, RST, ICMP or not at all; none of them is a FIN",
    ),
    (
        "tls challenge token http",
        &["refused"],
        "an open connection cannot be refused; dialling again is another `connect`",
    ),
    (
        "tls challenge token http",
        &["unreachable"],
        "ICMP is no more than a hint to a connection that stands (RFC 5461): it times out",
    ),
    (
        "tls challenge token http",
        &["local"],
        "descriptor, port and permission were there for `connect`, and no more is needed",
    ),
    (
        "challenge",
        &["unauthorized"],
        "401 is what is hoped for, and without a challenge it is `no_challenge`",
    ),
    (
        "token http",
        &["certificate_required"],
        "the lab's clients have no certificate anywhere; the first request to a host meets this, whatever it is for",
    ),
    (
        "token",
        &["no_challenge"],
        "a token service is not asked for a challenge",
    ),
    (
        "token",
        &["too_many_redirects"],
        "a token service's first redirect is denied",
    ),
    (
        "http",
        &[
            "unauthorized",
            "forbidden",
            "firewall",
            "not_found",
            "throttled",
            "server_error",
            "unexpected_status",
            "no_challenge",
            "too_many_redirects",
            "not_followed",
        ],
        "any status of a data endpoint is an answer, redirects among them",
    ),
];

/// The metric has the set of reasons: the first failure of a stage creates a series for each of its reasons.
pub(super) fn the_set_is_closed() -> Result<()> {
    let mut never = BTreeSet::new();
    for (stages, reasons, _) in NEVER {
        for stage in stages.split(' ') {
            never.extend(
                reasons
                    .iter()
                    .map(|reason| (stage.to_owned(), (*reason).to_owned())),
            );
        }
    }
    let produced: BTreeSet<_> = cases().iter().map(Case::stage_and_reason).collect();
    let set = reasons_of_a_running_agent()?;
    let both: Vec<_> = produced.intersection(&never).collect();
    ensure!(
        both.is_empty(),
        "produced, though said never to be: {both:?}"
    );
    let told: BTreeSet<_> = produced.union(&never).cloned().collect();
    let untold: Vec<_> = set.difference(&told).collect();
    ensure!(
        untold.is_empty(),
        "neither produced nor told why not: {untold:?}"
    );
    let unknown: Vec<_> = told.difference(&set).collect();
    ensure!(unknown.is_empty(), "no such reason: {unknown:?}");
    Ok(())
}

/// Every (stage, reason) in `/metrics` of an agent that sees each stage fail.
pub(super) fn reasons_of_a_running_agent() -> Result<BTreeSet<(String, String)>> {
    let (refused, closed) = (sockets::closed(ANY)?, sockets::tls_closes(ANY)?);
    let plain = |route, answer| {
        let (ip, data) = (loopback(), loopback());
        let acr = Acr::at(&ip.to_string(), (ip, 0))
            .data(&data.to_string(), (data, 0))
            .start()?;
        acr.answer(route, answer);
        anyhow::Ok(acr)
    };
    let challenge = plain(Route::Ping, Answer::Status(503))?;
    let token = plain(Route::Token, Answer::Status(503))?;
    let http = plain(Route::Data, Answer::Eof)?;
    let data = http.data_addr(0).context("no data endpoint")?;
    let node = Node::asking([])?;
    let config = node.configure(&[
        format!("{{server: {LOGIN}}}"),
        format!("{{server: \"{}\"}}", refused.addr()),
        format!("{{server: \"{}\"}}", closed.addr()),
        format!("{{server: \"http://{}\"}}", challenge.addr()),
        format!("{{server: \"http://{}\"}}", token.addr()),
        format!(
            "{{server: \"http://{}\", data_endpoints: [\"http://{data}\"]}}",
            http.addr()
        ),
    ])?;
    let web = free_addr(loopback())?;
    let mut agent = node.regprobe(["run", "--log.level=error"]);
    agent.arg("--config.file").arg(config);
    agent.arg(format!("--web.listen-address={web}"));
    let _agent = Running::start(&mut agent)?;
    wait::until("every stage has failed", Duration::from_secs(30), || {
        let set = reasons_in(&scrape(web)?);
        let stages: BTreeSet<_> = set.iter().map(|(stage, _)| stage).collect();
        ensure!(stages.len() == 6, "only {stages:?}");
        Ok(set)
    })
}

pub(super) fn reasons_in(metrics: &str) -> BTreeSet<(String, String)> {
    let label = |line: &str, name: &str| {
        let (_, rest) = line.split_once(&format!("{name}=\""))?;
        Some(rest.split('"').next()?.to_owned())
    };
    metrics
        .lines()
        .filter(|line| line.starts_with("regprobe_stage_failures_total{"))
        .filter_map(|line| Some((label(line, "stage")?, label(line, "reason")?)))
        .collect()
}

pub(super) fn scrape(web: SocketAddr) -> Result<String> {
    let mut stream = TcpStream::connect_timeout(&web, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
