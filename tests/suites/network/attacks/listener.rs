//! Malicious clients of the listener. Each attack has its own agent, which must still answer honest
//! clients, free all descriptors, and use hardly more memory.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use regprobe_harness::agent::Agent;
use regprobe_harness::ground::Ground;
use regprobe_lab::{client, wait};

/// Timeout for one answer, and for the agent to recover.
const SOON: Duration = Duration::from_secs(5);
/// A client that waits longer is locked out: the timeout of a scrape.
const PATIENCE: Duration = Duration::from_secs(10);
/// How much memory an attack may leave allocated, in KiB.
const GROWTH: i64 = 2048;
/// Limit for the memory of the process at any time, in KiB.
const MEMORY: i64 = 32 * 1024;
/// How much 500 slow clients may delay a scrape.
const DELAY: Duration = Duration::from_millis(50);
const SLOW_CLIENTS: usize = 500;
/// How long a crowd stays.
const STAY: Duration = Duration::from_secs(1);

pub(crate) type Run = fn(&Agent) -> Result<()>;

pub(crate) fn attacks() -> impl Iterator<Item = (&'static str, Run)> {
    let attacks: [(&str, Run); 24] = [
        ("500 heads that take their time", slow_heads),
        ("500 clients that say nothing", |agent| crowd(agent, b"")),
        ("500 clients that read nothing", |agent| {
            crowd(
                agent,
                &b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n".repeat(3),
            )
        }),
        ("500 clients that leave in the middle", leaving),
        ("headers that never end", |agent| {
            endless(agent, b"GET / HTTP/1.1\r\n", b"X-Filler: y\r\n")
        }),
        ("a header that never ends", |agent| {
            endless(agent, b"GET / HTTP/1.1\r\nX-Filler: ", b"y")
        }),
        ("a target that never ends", |agent| {
            endless(agent, b"GET /", b"a")
        }),
        ("a method that never ends", |agent| {
            endless(agent, b"", b"A")
        }),
        ("a body that never ends", |agent| {
            let head = b"POST /-/reload HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
            endless(agent, head, b"1\r\na\r\n")
        }),
        ("a body length that overflows", |agent| {
            let lengths = ["18446744073709551616", "-1", "1e9", "18446744073709551615"];
            for length in lengths {
                let head = format!("GET /metrics HTTP/1.1\r\nContent-Length: {length}\r\n\r\n");
                let _ = exchange(agent, head.as_bytes())?;
            }
            Ok(())
        }),
        ("a hundred and one headers", |agent| {
            let many: String = (0..101).map(|n| format!("X-{n}: y\r\n")).collect();
            is_refused(agent, &format!("GET / HTTP/1.1\r\n{many}\r\n"))
        }),
        ("methods that there are not", |agent| {
            for method in ["BREW", "TRACE", "PROPFIND", "DELETE", "PUT", "OPTIONS"] {
                let said = exchange(
                    agent,
                    format!("{method} /metrics HTTP/1.0\r\n\r\n").as_bytes(),
                )?;
                ensure!(said.starts_with("HTTP/1.0 405"), "{method}: {said}");
            }
            Ok(())
        }),
        ("to be taken for a proxy", |agent| {
            for request in [
                "CONNECT 169.254.169.254:80 HTTP/1.1\r\nHost: a\r\n\r\n",
                "GET http://169.254.169.254/latest/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            ] {
                let said = exchange(agent, request.as_bytes())?;
                ensure!(said.starts_with("HTTP/1.1 40"), "{request}: {said}");
            }
            Ok(())
        }),
        ("to be taken for another host", |agent| {
            for host in ["evil.example", "evil.example:80@a", "<script>evil.example"] {
                let request = format!("GET / HTTP/1.0\r\nHost: {host}\r\n\r\n");
                let said = exchange(agent, request.as_bytes())?;
                ensure!(!said.contains("evil.example"), "{said}");
            }
            Ok(())
        }),
        ("paths that lead out", |agent| {
            for path in [
                "/../../../../etc/passwd",
                "/%2e%2e/%2e%2e/etc/passwd",
                "/..%2f..%2fetc%2fpasswd",
                "//etc/passwd",
                "/runbook/../../../etc/passwd",
                "/runbook/..%2f..%2fREADME",
                "/round/../../etc/passwd",
                "/api/v1/history/..%2f..%2f",
                "/metrics%00.html",
                "/metrics;a=b",
                "/./metrics",
            ] {
                let said = exchange(agent, format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes())?;
                ensure!(said.starts_with("HTTP/1.0 40"), "{path}: {said}");
            }
            Ok(())
        }),
        ("numbers that are none", |agent| {
            for path in [
                "/round/99999999999999999999999999",
                "/round/-1",
                "/round/9223372036854775807",
                "/api/v1/history/9223372036854775807",
                "/api/v1/history/0x10",
                "/api/v1/history?limit=99999999999999999999",
                "/api/v1/history?limit=-1",
                "/api/v1/history?from=9999-12-31T23:59:59Z",
                "/api/v1/history?from=-9999-01-01T00:00:00Z",
                "/api/v1/history?registry=%00%ff",
                "/rounds?from=%f0%28%8c%bc",
            ] {
                let said = exchange(agent, format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes())?;
                let fine = said.starts_with("HTTP/1.0 40") || said.starts_with("HTTP/1.0 200");
                ensure!(fine, "{path}: {said}");
            }
            Ok(())
        }),
        ("conditions that are none", |agent| {
            let long = format!("\"{}\"", "a".repeat(15_000));
            let many = "\"a\", ".repeat(3000);
            for tag in ["*", "\"", "W/", "\"\"", &long, &many] {
                for path in ["/", "/runbooks", "/metrics"] {
                    let request = format!("GET {path} HTTP/1.0\r\nIf-None-Match: {tag}\r\n\r\n");
                    let said = exchange(agent, request.as_bytes())?;
                    ensure!(!said.starts_with("HTTP/1.0 5"), "{tag}: {said}");
                }
            }
            Ok(())
        }),
        ("a thousand ranges", |agent| {
            let ranges = "0-,".repeat(1000);
            let request = format!("GET /metrics HTTP/1.0\r\nRange: bytes={ranges}\r\n\r\n");
            let said = exchange(agent, request.as_bytes())?;
            ensure!(said.starts_with("HTTP/1.0 200"), "{said}");
            Ok(())
        }),
        ("ten thousand requests at once", |agent| {
            let mut stream = dial(agent)?;
            let requests = b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n".repeat(10_000);
            write_what_it_takes(&mut stream, &requests);
            honest(agent)?;
            Ok(())
        }),
        ("a request within a request", |agent| {
            let request = "POST /-/reload HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\
                 Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /metrics HTTP/1.1\r\nHost: a\r\n\r\n";
            let said = exchange(agent, request.as_bytes())?;
            ensure!(!said.contains("regprobe_build_info"), "{said}");
            Ok(())
        }),
        ("HTTP/2 that nobody offered", |agent| {
            let _ = exchange(
                agent,
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
            )?;
            Ok(())
        }),
        ("bytes that are nothing", |agent| {
            for bytes in [
                &[0xff; 70_000][..],
                &[0; 70_000],
                b"\r\n".repeat(10_000).as_slice(),
            ] {
                let _ = exchange(agent, bytes)?;
            }
            Ok(())
        }),
        ("TLS where there is none", |agent| {
            let _ = exchange(agent, &[22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3])?;
            Ok(())
        }),
        ("two thousand scrapes as fast as can be", |agent| {
            for _ in 0..2000 {
                client::get(agent.addr, "/-/healthy")
                    .send()?
                    .expect_status(200)?;
            }
            Ok(())
        }),
    ];
    attacks.into_iter()
}

/// Runs an attack, and checks the agent before, during and after it. Returns the memory that it leaves
/// allocated, in KiB.
pub(crate) fn suffer(attack: Run) -> Result<i64> {
    let ground = Ground::new()?;
    let config = ground.config(&[&ground.plain("plain")?.entry])?;
    let agent = Agent::ready(&config, &["--history.limit=512KiB"])?;
    // Warm up.
    for path in ["/", "/metrics", "/runbooks", "/api/v1/history"] {
        client::get(agent.addr, path).send()?.expect_status(200)?;
    }
    let (files, memory) = (files(&agent)?, memory(&agent)?);
    attack(&agent)?;
    honest(&agent)?;
    wait::until("descriptors stay open", SOON * 3, || {
        let now = self::files(&agent)?;
        // A round may be running.
        ensure!(now <= files + 8, "{now} of {files}");
        Ok(())
    })?;
    let growth = self::memory(&agent)? - memory;
    ensure!(growth < GROWTH, "{growth} KiB are left in memory");
    ensure!(!agent.log().iter().any(|line| line.contains("panicked")));
    Ok(growth)
}

/// Scrapes while 500 clients send their request byte by byte.
fn slow_heads(agent: &Agent) -> Result<()> {
    let before = scrapes(agent)?;
    let mut slow = Vec::new();
    for _ in 0..SLOW_CLIENTS {
        let mut stream = dial(agent)?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nX-Filler: ")?;
        slow.push(stream);
    }
    let mut meanwhile = Vec::new();
    for _ in 0..10 {
        for stream in &mut slow {
            // Those that the agent closed.
            let _ = stream.write_all(b"y");
        }
        meanwhile.extend(scrapes(agent)?);
    }
    let (before, meanwhile) = (median(before), median(meanwhile));
    let memory = memory(agent)?;
    println!(
        "a scrape: {before:.2?}, beside {SLOW_CLIENTS} slow clients {meanwhile:.2?}; the agent holds \
         {memory} KiB"
    );
    ensure!(meanwhile < before + DELAY, "{before:?}, then {meanwhile:?}");
    ensure!(memory < MEMORY, "{memory} KiB");
    Ok(())
}

/// 500 clients that send this and then stay silent.
fn crowd(agent: &Agent, said: &[u8]) -> Result<()> {
    let mut clients = Vec::new();
    for number in 0..SLOW_CLIENTS {
        let mut stream = dial(agent)?;
        stream.set_nonblocking(true)?;
        let _ = stream.write(said);
        clients.push(stream);
        if number % 50 == 0 {
            honest(agent)?;
        }
    }
    let memory = memory(agent)?;
    ensure!(memory < MEMORY, "{memory} KiB");
    wait::pause(STAY);
    honest(agent)
}

fn leaving(agent: &Agent) -> Result<()> {
    for number in 0..SLOW_CLIENTS {
        let mut stream = dial(agent)?;
        let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\nGET ");
        match number % 3 {
            0 => stream.shutdown(Shutdown::Write)?,
            1 => socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO))?,
            _ => {}
        }
    }
    Ok(())
}

/// Writes until the agent stops reading, which it must.
fn endless(agent: &Agent, start: &[u8], more: &[u8]) -> Result<()> {
    const ENOUGH: usize = 64 << 20;
    let mut stream = dial(agent)?;
    stream.write_all(start)?;
    let written = write_what_it_takes(&mut stream, &more.repeat(ENOUGH / more.len()));
    ensure!(written < ENOUGH / 2, "{written} bytes were taken");
    honest(agent)
}

fn is_refused(agent: &Agent, request: &str) -> Result<()> {
    let said = exchange(agent, request.as_bytes())?;
    ensure!(said.starts_with("HTTP/1.1 4"), "{said}");
    Ok(())
}

/// The answer to these bytes, until the agent closes or for a while.
fn exchange(agent: &Agent, bytes: &[u8]) -> Result<String> {
    let mut stream = dial(agent)?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    write_what_it_takes(&mut stream, bytes);
    let mut said = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        said.extend(&buffer[..length]);
    }
    Ok(String::from_utf8_lossy(&said).into_owned())
}

fn write_what_it_takes(stream: &mut TcpStream, bytes: &[u8]) -> usize {
    let mut written = 0;
    while written < bytes.len() {
        match stream.write(&bytes[written..]) {
            Ok(length) => written += length,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    written
}

/// An honest client gets its answer soon.
fn honest(agent: &Agent) -> Result<()> {
    let start = Instant::now();
    for path in ["/metrics", "/-/healthy"] {
        client::get(agent.addr, path).send()?.expect_status(200)?;
    }
    let took = start.elapsed();
    ensure!(took < PATIENCE, "{took:?}");
    Ok(())
}

fn scrapes(agent: &Agent) -> Result<Vec<Duration>> {
    let mut took = Vec::new();
    for _ in 0..10 {
        let start = Instant::now();
        client::get(agent.addr, "/metrics")
            .send()?
            .expect_status(200)?;
        took.push(start.elapsed());
    }
    Ok(took)
}

fn median(mut samples: Vec<Duration>) -> Duration {
    samples.sort();
    samples[samples.len() / 2]
}

fn dial(agent: &Agent) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&agent.addr, SOON)?;
    stream.set_write_timeout(Some(Duration::from_secs(1)))?;
    Ok(stream)
}

fn files(agent: &Agent) -> Result<usize> {
    Ok(fs::read_dir(format!("/proc/{}/fd", agent.id()))?.count())
}

/// The resident memory, in KiB.
fn memory(agent: &Agent) -> Result<i64> {
    let status = fs::read_to_string(format!("/proc/{}/status", agent.id()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    Ok(line
        .unwrap_or_default()
        .trim()
        .trim_end_matches(" kB")
        .parse()?)
}
