//! What strangers try against passwords, certificates and the limits, by many requests and many connections.

use std::collections::VecDeque;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use regprobe_harness::suite::{Test, test};
use regprobe_lab::pki::Pki;
use regprobe_lab::{client, wait};
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use socket2::{Domain, Socket, Type};

use super::place::{Listener, Place};
use super::{COST, SOON, hash};

const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 66);

pub(super) fn tests() -> Vec<Test> {
    vec![
        test(
            "hashes of wrong passwords do not pile up when their clients leave",
            hashes_pile_up,
        ),
        test(
            "wrong passwords and none do not use up the limit of requests",
            use_up_the_limit,
        ),
        test(
            "a peer that guesses passwords is stopped, and others are not",
            guess,
        ),
        test(
            "a revoked password is revoked on a connection that stays open",
            keep_a_connection,
        ),
        test(
            "a certificate that is trusted no more is refused on a connection that stays open",
            keep_a_connection_by_certificate,
        ),
        test(
            "a flood of connections locks nobody out",
            flood_with_connections,
        ),
        test("a page of another site does not reload", reload_from_a_page),
    ]
}

/// Every client sends another wrong password and leaves at once.
fn hashes_pile_up() -> Result<()> {
    // A hash takes long enough for many clients to come and go meanwhile.
    let dear = bcrypt::hash("right", 2 * COST)?;
    let place = Place::new()?;
    let listener = place.listen(&format!("basic_auth_users: {{alice: {dear}}}\n"))?;
    let threads = || -> Result<usize> {
        Ok(fs::read_dir(format!("/proc/{}/task", listener.child.id()))?.count())
    };
    let mut most = 0;
    for turn in 0..60 {
        let mut stream = TcpStream::connect_timeout(&listener.addr, SOON)?;
        let login = login(&format!("alice:wrong {turn}"));
        write!(
            stream,
            "GET /metrics HTTP/1.0\r\nAuthorization: {login}\r\n\r\n"
        )?;
        drop(stream);
        // The answer proves that the agent has seen what came before it.
        client::get(listener.addr, "/-/healthy").send()?;
        most = most.max(threads()?);
    }
    // Its own, and the one of the hash.
    ensure!(most <= 2, "{most} threads");
    Ok(())
}

fn use_up_the_limit() -> Result<()> {
    let place = Place::new()?;
    let listener = place.listen(&format!(
        "basic_auth_users: {{alice: {}}}\n\
         rate_limit: {{interval: 1h, burst: 2}}\n",
        hash("alice's")
    ))?;
    for turn in 0..10 {
        let wrong = login(&format!("alice:wrong {turn}"));
        let call = client::get(listener.addr, "/metrics").header("Authorization", &wrong);
        call.send()?.expect_status(401)?;
        client::get(listener.addr, "/metrics")
            .send()?
            .expect_status(401)?;
    }
    for status in [200, 200, 429] {
        let right = login("alice:alice's");
        let call = client::get(listener.addr, "/metrics").header("Authorization", &right);
        call.send()?.expect_status(status)?;
    }
    Ok(())
}

fn guess() -> Result<()> {
    let place = Place::new()?;
    let listener = place.listen(&format!(
        "basic_auth_users: {{alice: {}, bob: {}}}\n",
        hash("alice's"),
        hash("bob's")
    ))?;
    let scraper = Ipv4Addr::new(127, 0, 0, 67);
    ensure!(status(&listener, STRANGER, "alice:alice's")? == 200);
    // Until the agent says that it is enough; a busy machine lets more through.
    let mut stopped = false;
    for turn in 0..1000 {
        let status = status(&listener, STRANGER, &format!("bob:wrong {turn}"))?;
        ensure!(status == 401 || status == 429, "{status}");
        stopped = status == 429;
        if stopped {
            break;
        }
    }
    ensure!(stopped, "1,000 guesses were answered");
    // What is known needs no hash; another peer has its own limit.
    ensure!(status(&listener, STRANGER, "alice:alice's")? == 200);
    ensure!(status(&listener, scraper, "bob:bob's")? == 200);
    Ok(())
}

fn keep_a_connection() -> Result<()> {
    let place = Place::new()?;
    let users = |password: &str| format!("basic_auth_users: {{alice: {}}}\n", hash(password));
    let listener = place.listen(&users("old"))?;
    let mut kept = dial(&listener, Ipv4Addr::LOCALHOST)?;
    let login = login("alice:old");
    let mut ask = || ask_again(&mut kept, &login);
    ensure!(ask()? == 200);
    place.write("web.yaml", &users("new"))?;
    wait::until("the password is revoked", SOON, || {
        let status = ask()?;
        ensure!(status == 401, "{status}");
        Ok(())
    })
}

fn keep_a_connection_by_certificate() -> Result<()> {
    let place = Place::new()?;
    place.issue("server", &["localhost"])?;
    Pki::new()?.write_ca(place.file("other.crt"))?;
    let settings = |ca: &str| {
        format!(
            "tls_server_config: {{cert_file: server.crt, key_file: server.key, client_ca_file: {ca}, \
             client_auth_type: VerifyClientCertIfGiven}}\n"
        )
    };
    let listener = place.listen(&settings("ca.crt"))?;
    let scraper = place.ground.pki.leaf(["scraper"]).issue()?;
    let mut roots = RootCertStore::empty();
    roots.add(place.ground.pki.ca_der().clone())?;
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_client_auth_cert(scraper.chain_der().to_vec(), scraper.key_der())?;
    let session = ClientConnection::new(Arc::new(config), "localhost".try_into()?)?;
    let mut kept = StreamOwned::new(session, dial(&listener, Ipv4Addr::LOCALHOST)?);
    let mut ask = || ask_again(&mut kept, "");
    ensure!(ask()? == 200);
    place.write("web.yaml", &settings("other.crt"))?;
    wait::until("the certificate is refused", SOON, || {
        let status = ask()?;
        ensure!(status == 403, "{status}");
        Ok(())
    })
}

/// The status of one more answer on a connection.
fn ask_again(kept: &mut (impl Read + Write), login: &str) -> Result<u16> {
    let head = format!("HEAD /metrics HTTP/1.1\r\nHost: a\r\nAuthorization: {login}\r\n\r\n");
    kept.write_all(head.as_bytes())?;
    let mut said = Vec::new();
    while !said.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        kept.read_exact(&mut byte)?;
        said.extend(byte);
    }
    Ok(std::str::from_utf8(&said[9..12])?.parse()?)
}

/// While a stranger opens connections as fast as it can, another client gets every answer, with TLS too.
fn flood_with_connections() -> Result<()> {
    let place = Place::new()?;
    place.issue("server", &["localhost"])?;
    let plain = place.listen("")?;
    let scraper = Ipv4Addr::new(127, 0, 0, 67);
    under_flood(&plain, || ensure_answer(&plain, scraper))?;
    drop(plain);
    let tls = "tls_server_config: {cert_file: server.crt, key_file: server.key}\n";
    let tls = place.listen(tls)?;
    under_flood(&tls, || {
        let status = tls.curl_at("/-/healthy", &[])?;
        ensure!(status == "200", "{status}");
        Ok(())
    })
}

fn ensure_answer(listener: &Listener, from: Ipv4Addr) -> Result<()> {
    let mut stream = dial(listener, from)?;
    write!(stream, "GET /-/healthy HTTP/1.0\r\n\r\n")?;
    let status = answer(&mut stream)?;
    ensure!(status == 200, "{status}");
    Ok(())
}

/// Asks again and again while connections are opened and not used.
fn under_flood(listener: &Listener, ask: impl Fn() -> Result<()>) -> Result<()> {
    const TIMES: usize = 10;
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let flood = scope.spawn(|| {
            let mut held = VecDeque::new();
            let mut opened = 0;
            while !over.load(Ordering::Relaxed) {
                // The kernel's queue may be full.
                if let Ok(stream) = dial(listener, STRANGER) {
                    held.push_back(stream);
                    opened += 1;
                }
                if held.len() > 200 {
                    held.pop_front();
                }
            }
            opened
        });
        let asked = (0..TIMES).try_for_each(|time| ask().with_context(|| time.to_string()));
        over.store(true, Ordering::Relaxed);
        let opened = flood.join().unwrap_or(0);
        asked.with_context(|| format!("among {opened} connections"))
    })
}

fn reload_from_a_page() -> Result<()> {
    let place = Place::new()?;
    let listener = place.listen("")?;
    for (site, status) in [
        (Some("cross-site"), 403),
        (Some("same-site"), 403),
        (Some("same-origin"), 200),
        (Some("none"), 200),
        (None, 200),
    ] {
        let mut call = client::call("POST", listener.addr, "/-/reload");
        if let Some(site) = site {
            call = call.header("Sec-Fetch-Site", site);
        }
        call.send()?.expect_status(status)?;
    }
    Ok(())
}

/// The status of an answer to a request from this address.
fn status(listener: &Listener, from: Ipv4Addr, credentials: &str) -> Result<u16> {
    let mut stream = dial(listener, from)?;
    let login = login(credentials);
    write!(
        stream,
        "GET /metrics HTTP/1.0\r\nAuthorization: {login}\r\n\r\n"
    )?;
    answer(&mut stream)
}

fn dial(listener: &Listener, from: Ipv4Addr) -> Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((from, 0)).into())?;
    socket.set_read_timeout(Some(SOON))?;
    socket.connect_timeout(&listener.addr.into(), SOON)?;
    Ok(socket.into())
}

/// The status line's number; the rest of the answer stays unread.
fn answer(stream: &mut TcpStream) -> Result<u16> {
    let mut line = [0; 12];
    stream.read_exact(&mut line)?;
    Ok(std::str::from_utf8(&line[9..])?.parse()?)
}

fn login(credentials: &str) -> String {
    format!("Basic {}", STANDARD.encode(credentials))
}
