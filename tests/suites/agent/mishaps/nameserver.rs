//! A nameserver that answers a question with an endless flood of packets.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use regprobe_harness::agent::Agent;
use regprobe_harness::ground::Ground;
use regprobe_lab::addresses::{free_addr, loopback};
use regprobe_lab::wait;

use super::Holdings;

pub(crate) fn floods() -> Result<()> {
    let ground = Ground::new()?;
    let plain = ground.plain("plain")?;
    let config = ground.config(&[&ground.contoso_entry(), &plain.entry])?;
    let flood = Flood::before(ground.dns.addr())?;
    let resolv_conf = format!("nameserver [{}]:{}\n", flood.addr.ip(), flood.addr.port());
    fs::write(ground.folder.path().join("resolv.conf"), resolv_conf)?;
    let agent = Agent::ready(&config, &[])?;
    let before = Holdings::of(&agent)?;

    flood.state.floods.store(true, Ordering::Relaxed);
    agent.until_value("regprobe_registry_verdict", &[("registry", "contoso")], 2.0)?;
    let sent = flood.state.sent.load(Ordering::Relaxed);
    // Registries without a name are not affected, and clients get answers.
    for _ in 0..3 {
        agent.until_rounds(&["plain"])?;
        agent.get("/-/healthy")?.expect_status(200)?;
        let scrape = agent.scrape()?;
        let labels = [("registry", "plain")];
        ensure!(scrape.value("regprobe_registry_verdict", &labels)? == 0.0);
        ensure!(scrape.sum("regprobe_stage_failures_total", &labels) == 0.0);
    }
    let more = flood.state.sent.load(Ordering::Relaxed) - sent;
    ensure!(more > 10_000, "a flood of {more} packets");
    let labels = [("registry", "contoso"), ("stage", "resolve")];
    ensure!(
        agent
            .scrape()?
            .sum("regprobe_stage_failures_total", &labels)
            > 0.0
    );

    flood.state.floods.store(false, Ordering::Relaxed);
    before.are_back(&agent, &["contoso", "plain"])
}

/// Stands in front of a healthy nameserver, and forwards questions until it is set to flood.
struct Flood {
    addr: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    floods: AtomicBool,
    ends: AtomicBool,
    sent: AtomicU64,
}

impl Flood {
    fn before(sound: SocketAddr) -> Result<Self> {
        let addr = free_addr(loopback())?;
        let socket = UdpSocket::bind(addr)?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        let state = Arc::new(State::default());
        let shared = state.clone();
        thread::spawn(move || {
            while !shared.ends.load(Ordering::Relaxed) {
                let mut packet = [0; 1500];
                let Ok((length, client)) = socket.recv_from(&mut packet) else {
                    continue;
                };
                if shared.floods.load(Ordering::Relaxed) {
                    drown(&socket, client, &packet[..length], &shared.sent);
                } else if let Ok(answer) = ask(sound, &packet[..length]) {
                    let _ = socket.send_to(&answer, client);
                }
            }
        });
        Ok(Self { addr, state })
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.state.ends.store(true, Ordering::Relaxed);
    }
}

/// Sends the question as an answer, with every id but the right one; short pauses leave CPU time to others.
fn drown(socket: &UdpSocket, client: SocketAddr, question: &[u8], sent: &AtomicU64) {
    let mut packet = question.to_vec();
    packet[2] |= 0x80;
    for id in 1..5000u16 {
        let id = u16::from_be_bytes([question[0], question[1]]).wrapping_add(id);
        packet[..2].copy_from_slice(&id.to_be_bytes());
        if socket.send_to(&packet, client).is_ok() {
            sent.fetch_add(1, Ordering::Relaxed);
        }
        if id % 500 == 0 {
            wait::pause(Duration::from_millis(1));
        }
    }
}

fn ask(sound: SocketAddr, question: &[u8]) -> Result<Vec<u8>> {
    let socket = UdpSocket::bind((loopback(), 0))?;
    socket.set_read_timeout(Some(Duration::from_secs(1)))?;
    socket.send_to(question, sound)?;
    let mut answer = vec![0; 1500];
    let length = socket.recv(&mut answer)?;
    answer.truncate(length);
    Ok(answer)
}
