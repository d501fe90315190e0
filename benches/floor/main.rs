//! The minimum cost of a probe: the same packets as one of regprobe's, sent by as little code as possible.
//! `floor CA_FILE NAMESERVER PORT COUNT PER_SECOND NAME...` asks for A and AAAA, dials, shakes hands,
//! sends `GET /v2/` and reads the response, COUNT times over all names in turn, PER_SECOND times a second
//! (0 for as fast as possible). It prints the processor time used, in nanoseconds, and the resident memory
//! afterwards, in bytes.

use std::{
    env, fs,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use rustls::{
    CipherSuite, ClientConfig, ClientConnection, RootCertStore, Stream, SupportedCipherSuite,
    client::Resumption,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use socket2::{Domain, Protocol, Socket, Type};

const LIMIT: Duration = Duration::from_secs(5);
const A: u16 = 1;
const AAAA: u16 = 28;

fn main() -> Result<()> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [ca_file, nameserver, port, count, per_second, names @ ..] = &*arguments else {
        anyhow::bail!("usage: floor CA_FILE NAMESERVER PORT COUNT PER_SECOND NAME...");
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca_file)? {
        roots.add(certificate?)?;
    }
    let mut provider = aws_lc_rs::default_provider();
    // As in regprobe and Go.
    let first =
        |suite: &SupportedCipherSuite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256;
    provider.cipher_suites.sort_by_key(first);
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = Resumption::disabled();
    let (config, nameserver, port) = (Arc::new(config), nameserver.parse()?, port.parse()?);
    let apart = match per_second.parse()? {
        0 => Duration::ZERO,
        per_second => Duration::from_secs(1) / per_second,
    };
    // The first probe of each name does set-up work that later ones reuse.
    for name in names {
        probe(&config, nameserver, name, port, 0)?;
    }
    let (before, start) = (processor_time()?, Instant::now());
    for (id, name) in (0..count.parse()?).zip(names.iter().cycle()) {
        pause_until(start + apart * u32::from(id));
        probe(&config, nameserver, name, port, id)?;
    }
    println!("{} {}", processor_time()? - before, resident_memory()?);
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "there is no runtime")]
fn pause_until(due: Instant) {
    thread::sleep(due.saturating_duration_since(Instant::now()));
}

/// Processor time of this single-threaded process, in nanoseconds.
fn processor_time() -> Result<u64> {
    let schedstat = fs::read_to_string("/proc/self/schedstat")?;
    let first = schedstat.split(' ').next().context("no schedstat")?;
    Ok(first.parse()?)
}

fn resident_memory() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.context("no VmRSS")?.trim().trim_end_matches(" kB");
    Ok(kilobytes.parse::<u64>()? * 1024)
}

fn probe(
    config: &Arc<ClientConfig>,
    nameserver: SocketAddr,
    name: &str,
    port: u16,
    id: u16,
) -> Result<()> {
    let questions = [A, AAAA].map(|kind| ask(nameserver, name, kind, id));
    let mut addresses = Vec::new();
    for question in questions {
        let mut answer = [0; 1232];
        let length = (&question?).read(&mut answer)?;
        ensure!(length > 12 && answer[..2] == id.to_be_bytes(), "no answer");
        if answer[7] > 0 {
            let octets: [u8; 4] = answer[..length]
                .last_chunk()
                .copied()
                .context("an answer too short")?;
            addresses.push(Ipv4Addr::from(octets));
        }
    }
    let address = addresses.first().context("no address")?;
    let mut socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_tcp_nodelay(true)?;
    socket.set_read_timeout(Some(LIMIT))?;
    socket.connect(&SocketAddr::from((*address, port)).into())?;
    let name = ServerName::try_from(name.to_owned())?;
    let mut connection = ClientConnection::new(config.clone(), name.clone())?;
    let mut stream = Stream::new(&mut connection, &mut socket);
    let host = name.to_str();
    write!(
        stream,
        "GET /v2/ HTTP/1.1\r\nHost: {host}\r\nUser-Agent: floor\r\nAccept: */*\r\n\r\n"
    )?;
    let mut answer = Vec::with_capacity(4096);
    while !is_whole(&answer)? {
        let mut buffer = [0; 4096];
        let length = stream.read(&mut buffer)?;
        ensure!(length > 0, "the answer was cut short");
        answer.extend_from_slice(&buffer[..length]);
    }
    ensure!(answer.starts_with(b"HTTP/1.1 401 "), "another status");
    Ok(())
}

/// A query in flight, on its own socket.
fn ask(server: SocketAddr, name: &str, kind: u16, id: u16) -> Result<Socket> {
    let socket = Socket::new(Domain::for_address(server), Type::DGRAM, None)?;
    socket.set_read_timeout(Some(LIMIT))?;
    socket.connect(&server.into())?;
    let mut packet = Vec::with_capacity(64);
    packet.extend(id.to_be_bytes());
    packet.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        packet.push(u8::try_from(label.len())?);
        packet.extend(label.as_bytes());
    }
    packet.push(0);
    packet.extend(kind.to_be_bytes());
    packet.extend([0, 1]);
    socket.send(&packet)?;
    Ok(socket)
}

fn is_whole(answer: &[u8]) -> Result<bool> {
    let Some(end) = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
        return Ok(false);
    };
    let head = std::str::from_utf8(&answer[..end])?;
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("Content-Length: "))
        .context("an answer of unknown length")?;
    Ok(answer.len() >= end + 4 + length.parse::<usize>()?)
}
