//! What strangers try against passwords, certificates and the limits, by many requests and many connections.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use anyhow::{Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use regprobe_harness::suite::{Test, test};
use regprobe_lab::client;
use socket2::{Domain, Socket, Type};

use super::place::{Listener, Place};
use super::{COST, SOON, hash};

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
    let stranger = Ipv4Addr::new(127, 0, 0, 66);
    let scraper = Ipv4Addr::new(127, 0, 0, 67);
    ensure!(status(&listener, stranger, "alice:alice's")? == 200);
    // Until the agent says that it is enough; a busy machine lets more through.
    let mut stopped = false;
    for turn in 0..1000 {
        let status = status(&listener, stranger, &format!("bob:wrong {turn}"))?;
        ensure!(status == 401 || status == 429, "{status}");
        stopped = status == 429;
        if stopped {
            break;
        }
    }
    ensure!(stopped, "1,000 guesses were answered");
    // What is known needs no hash; another peer has its own limit.
    ensure!(status(&listener, stranger, "alice:alice's")? == 200);
    ensure!(status(&listener, scraper, "bob:bob's")? == 200);
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
