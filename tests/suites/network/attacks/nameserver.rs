//! The node's nameserver: it forwards every question to the lab's nameserver, unless it is set to lie about
//! a name.

use std::net::{SocketAddr, TcpListener as StdListener, UdpSocket as StdUdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::time::{sleep, timeout};

use super::speech::Speech;

/// Timeout for the lab's nameserver.
const PATIENCE: Duration = Duration::from_secs(2);

/// The answer to a question.
pub(crate) type Lie = Arc<dyn Fn(&Query) -> Answers + Send + Sync>;

/// A received question.
pub(crate) struct Query {
    pub(crate) packet: Vec<u8>,
    /// The offset of the end of the question.
    end: usize,
}

/// What is said to it.
#[derive(Clone, Default)]
pub(crate) struct Answers {
    pub(crate) after: Duration,
    /// Over UDP, from the port that was asked.
    pub(crate) packets: Vec<Vec<u8>>,
    /// Over UDP, from another port.
    pub(crate) from_elsewhere: Vec<Vec<u8>>,
    /// How many times all of it is sent.
    pub(crate) times: usize,
    /// Over TCP, including the length in front of a message.
    pub(crate) over_tcp: Option<Speech>,
}

impl Query {
    fn parse(packet: &[u8]) -> Option<Self> {
        let mut at = 12;
        while *packet.get(at)? != 0 {
            at += 1 + usize::from(packet[at]);
        }
        let end = at + 5;
        (packet.len() >= end).then(|| Self {
            packet: packet[..end].to_vec(),
            end,
        })
    }

    /// In lower case, without the last dot.
    fn name(&self) -> String {
        let mut labels = Vec::new();
        let mut at = 12;
        while self.packet[at] != 0 {
            let length = usize::from(self.packet[at]);
            labels.push(String::from_utf8_lossy(&self.packet[at + 1..=at + length]).to_lowercase());
            at += 1 + length;
        }
        labels.join(".")
    }

    /// A message with these flags, counts and records.
    pub(crate) fn message(&self, flags: [u8; 2], counts: [u16; 3], records: &[u8]) -> Vec<u8> {
        let mut message = self.packet[..2].to_vec();
        message.extend(flags);
        message.extend(1_u16.to_be_bytes());
        counts
            .iter()
            .for_each(|count| message.extend(count.to_be_bytes()));
        message.extend(&self.packet[12..self.end]);
        message.extend(records);
        message
    }
}

/// A nameserver; it ends with the runtime that it runs on.
#[derive(Clone, Default)]
pub(crate) struct Nameserver {
    told: Arc<Mutex<Option<(String, Lie)>>>,
}

impl Nameserver {
    /// Serves on sockets that are bound to one address; call it within a runtime.
    pub(crate) fn start(
        udp: StdUdpSocket,
        elsewhere: StdUdpSocket,
        tcp: StdListener,
        truth: SocketAddr,
    ) -> Result<Self> {
        let server = Self::default();
        for socket in [&udp, &elsewhere] {
            socket.set_nonblocking(true)?;
        }
        tcp.set_nonblocking(true)?;
        let udp = Arc::new(UdpSocket::from_std(udp)?);
        let elsewhere = Arc::new(UdpSocket::from_std(elsewhere)?);
        tokio::spawn(server.clone().serve_udp(udp, elsewhere, truth));
        tokio::spawn(server.clone().serve_tcp(TcpListener::from_std(tcp)?));
        Ok(server)
    }

    /// From now on it lies about this name, or not at all.
    pub(crate) fn tell(&self, lie: Option<(String, Lie)>) {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = lie;
    }

    fn lie_to(&self, query: &Query) -> Option<Answers> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let (name, lie) = told.as_ref()?;
        (*name == query.name()).then(|| lie(query))
    }

    async fn serve_udp(self, socket: Arc<UdpSocket>, elsewhere: Arc<UdpSocket>, truth: SocketAddr) {
        let mut buffer = [0; 4096];
        loop {
            let Ok((length, client)) = socket.recv_from(&mut buffer).await else {
                continue;
            };
            let packet = buffer[..length].to_vec();
            let lie = Query::parse(&packet).and_then(|query| self.lie_to(&query));
            let (socket, elsewhere) = (socket.clone(), elsewhere.clone());
            match lie {
                Some(answers) => tokio::spawn(async move {
                    sleep(answers.after).await;
                    for _ in 0..answers.times.max(1) {
                        for packet in &answers.from_elsewhere {
                            let _ = elsewhere.send_to(packet, client).await;
                        }
                        for packet in &answers.packets {
                            let _ = socket.send_to(packet, client).await;
                        }
                    }
                }),
                None => tokio::spawn(async move {
                    if let Ok(answer) = ask(&packet, truth).await {
                        let _ = socket.send_to(&answer, client).await;
                    }
                }),
            };
        }
    }

    async fn serve_tcp(self, listener: TcpListener) {
        while let Ok((mut stream, _)) = listener.accept().await {
            let server = self.clone();
            tokio::spawn(async move {
                let length = stream.read_u16().await.unwrap_or(0);
                let mut packet = vec![0; usize::from(length)];
                if stream.read_exact(&mut packet).await.is_err() {
                    return;
                }
                let lie = Query::parse(&packet).and_then(|query| server.lie_to(&query));
                match lie.and_then(|answers| answers.over_tcp) {
                    Some(speech) => speech.deliver(stream).await,
                    None => drop(stream.shutdown().await),
                }
            });
        }
    }
}

async fn ask(packet: &[u8], truth: SocketAddr) -> Result<Vec<u8>> {
    let socket = UdpSocket::bind(("127.0.0.1", 0)).await?;
    socket.connect(truth).await?;
    socket.send(packet).await?;
    let mut answer = vec![0; 4096];
    let length = timeout(PATIENCE, socket.recv(&mut answer)).await??;
    answer.truncate(length);
    Ok(answer)
}
