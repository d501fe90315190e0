//! What went over the wire and when, by the kernel's own timestamps: tcpdump records it, and this module
//! finds the parts of each probe in the capture.

use std::{
    collections::HashMap,
    fs,
    net::{Ipv4Addr, SocketAddrV4},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use regprobe_lab::wait;

use crate::{cost::Running, ground::Ground};

const START: Duration = Duration::from_secs(10);
/// The magic number of a capture with nanosecond timestamps from a little-endian machine.
const MAGIC: [u8; 4] = 0xa1b2_3c4d_u32.to_le_bytes();
const FILE_HEAD: usize = 24;
const RECORD_HEAD: usize = 16;
const ETHERNET_HEAD: usize = 14;
const UDP_HEAD: usize = 8;
const TCP: u8 = 6;
const FIN: u8 = 1;
const SYN: u8 = 2;
const ACK: u8 = 16;
const DNS_PORT: u16 = 53;
/// A TLS 1.3 record that exists only for middleboxes: a single `ChangeCipherSpec`.
const CHANGE_CIPHER_SPEC: [u8; 6] = [20, 3, 3, 0, 1, 1];

/// A running capture.
pub(crate) struct Capture {
    process: Running,
    file: PathBuf,
}

impl Capture {
    pub(crate) fn start(ground: &Ground) -> Result<Self> {
        let file = ground.file("capture.pcap");
        let mut tcpdump = ground.namespace.command("/usr/bin/tcpdump");
        tcpdump
            .args(["-Z", "root", "-i", "lo", "-n", "--nano", "-U", "-s", "200"])
            .args(["-B", "65536"])
            .arg("-w")
            .arg(&file)
            .arg("udp port 53 or tcp port 443");
        let process = Running::start(&mut tcpdump)?;
        wait::until("tcpdump captures", START, || {
            let written = fs::metadata(&file)?.len();
            ensure!(written >= FILE_HEAD as u64, "no head yet");
            Ok(())
        })?;
        Ok(Self { process, file })
    }

    /// Everything captured so far.
    pub(crate) fn end(self) -> Result<Wire> {
        // Wait for packets that are not yet in the file.
        wait::pause(Duration::from_millis(500));
        drop(self.process);
        let bytes = fs::read(&self.file)?;
        fs::remove_file(&self.file)?;
        Wire::read(&bytes)
    }
}

/// Queries and connections, in the order in which they started; times since the epoch.
#[derive(Default)]
pub(crate) struct Wire {
    pub(crate) questions: Vec<Question>,
    pub(crate) connections: Vec<Connection>,
}

pub(crate) struct Question {
    /// The question section: name and type.
    pub(crate) asked: Vec<u8>,
    pub(crate) at: Duration,
    pub(crate) answered: Option<Duration>,
}

/// One TCP connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) server: Ipv4Addr,
    syn: Duration,
    syn_ack: Option<Duration>,
    /// Segments with payload, and FIN; retransmits count only once.
    segments: Vec<Segment>,
    /// The next sequence number of the client and of the server.
    sent: [u32; 2],
}

#[derive(Debug)]
struct Segment {
    at: Duration,
    from_client: bool,
    only_changes_cipher: bool,
}

impl Connection {
    pub(crate) fn at(&self) -> Duration {
        self.syn
    }

    /// SYN to SYN/ACK.
    pub(crate) fn connect(&self) -> Option<Duration> {
        Some(self.syn_ack? - self.syn)
    }

    /// ClientHello to the last segment before the client's `Finished`.
    pub(crate) fn tls(&self) -> Option<Duration> {
        let turns = self.turns();
        let (hello, answered) = turns.first()?;
        Some(*answered.as_ref()? - *hello)
    }

    /// Request to the last segment of the response.
    pub(crate) fn http(&self) -> Option<Duration> {
        // Starts after the client's `Finished`; the server may reply to that with tickets.
        let turns = self.turns();
        let (request, answered) = turns.get(2)?;
        Some(*answered.as_ref()? - *request)
    }

    /// Each client segment, and the server's last one before the next client segment.
    fn turns(&self) -> Vec<(Duration, Option<Duration>)> {
        let mut turns = Vec::<(_, Option<_>)>::new();
        for segment in self.segments.iter().filter(|s| !s.only_changes_cipher) {
            match segment.from_client {
                true => turns.push((segment.at, None)),
                false => turns
                    .iter_mut()
                    .next_back()
                    .into_iter()
                    .for_each(|turn| turn.1 = Some(segment.at)),
            }
        }
        turns
    }
}

impl Wire {
    fn read(bytes: &[u8]) -> Result<Self> {
        ensure!(bytes.starts_with(&MAGIC), "not a capture in nanoseconds");
        let mut rest = bytes.get(FILE_HEAD..).context("a capture without head")?;
        let mut wire = Self::default();
        let (mut asked, mut open) = (HashMap::new(), HashMap::new());
        // The last record may be incomplete.
        while let Some((head, after)) = rest.split_at_checked(RECORD_HEAD) {
            let word = |at: usize| {
                let word: [u8; 4] = head[at..at + 4].try_into().expect("four bytes");
                u32::from_le_bytes(word)
            };
            let Some((frame, after)) = after.split_at_checked(word(8).try_into()?) else {
                break;
            };
            rest = after;
            let at = Duration::new(word(0).into(), word(4));
            if let Some(packet) = Packet::read(frame) {
                match packet.tcp {
                    None => wire.datagram(at, &packet, &mut asked),
                    Some(tcp) => wire.segment(at, &packet, tcp, &mut open),
                }
            }
        }
        Ok(wire)
    }

    fn datagram(
        &mut self,
        at: Duration,
        packet: &Packet<'_>,
        asked: &mut HashMap<SocketAddrV4, usize>,
    ) {
        if packet.to.port() == DNS_PORT {
            // After the header; EDNS options do not matter.
            let asked_for = packet.payload.get(12..).unwrap_or_default();
            asked.insert(packet.from, self.questions.len());
            self.questions.push(Question {
                asked: asked_for.to_vec(),
                at,
                answered: None,
            });
        } else if let Some(question) = asked.remove(&packet.to) {
            self.questions[question].answered = Some(at);
        }
    }

    fn segment(
        &mut self,
        at: Duration,
        packet: &Packet<'_>,
        tcp: Tcp,
        open: &mut HashMap<(SocketAddrV4, SocketAddrV4), usize>,
    ) {
        if tcp.flags & (SYN | ACK) == SYN {
            open.insert((packet.from, packet.to), self.connections.len());
            self.connections.push(Connection {
                server: *packet.to.ip(),
                syn: at,
                syn_ack: None,
                segments: Vec::new(),
                sent: [tcp.end, 0],
            });
            return;
        }
        let pair = (packet.from, packet.to);
        let from_client = open.contains_key(&pair);
        let pair = if from_client { pair } else { (pair.1, pair.0) };
        let Some(connection) = open.get(&pair).map(|at| &mut self.connections[*at]) else {
            return;
        };
        let sent = &mut connection.sent[usize::from(!from_client)];
        if tcp.flags & SYN != 0 {
            connection.syn_ack.get_or_insert(at);
            *sent = tcp.end;
        } else if tcp.end.wrapping_sub(*sent).cast_signed() > 0 {
            *sent = tcp.end;
            connection.segments.push(Segment {
                at,
                from_client,
                only_changes_cipher: packet.payload == CHANGE_CIPHER_SPEC,
            });
        }
    }
}

struct Packet<'a> {
    from: SocketAddrV4,
    to: SocketAddrV4,
    /// `None` for a datagram.
    tcp: Option<Tcp>,
    /// The captured part.
    payload: &'a [u8],
}

#[derive(Clone, Copy)]
struct Tcp {
    flags: u8,
    /// The next sequence number.
    end: u32,
}

impl<'a> Packet<'a> {
    /// Parses IPv4 in an Ethernet frame, as on the loopback device.
    fn read(frame: &'a [u8]) -> Option<Self> {
        let packet = frame.get(ETHERNET_HEAD..)?;
        let head = usize::from(packet.first()? & 0xf) * 4;
        let word = |at: usize| -> Option<u16> {
            Some(u16::from_be_bytes([*packet.get(at)?, *packet.get(at + 1)?]))
        };
        let address = |at: usize| -> Option<Ipv4Addr> {
            let octets: [u8; 4] = packet.get(at..at + 4)?.try_into().ok()?;
            Some(octets.into())
        };
        let length = usize::from(word(2)?);
        let (tcp, transport) = match packet[9] {
            TCP => {
                let transport = usize::from(packet.get(head + 12)? >> 4) * 4;
                let flags = packet[head + 13];
                let payload = u32::try_from(length.checked_sub(head + transport)?).ok()?;
                let numbered = payload + u32::from(flags & (SYN | FIN) != 0);
                let sequence: [u8; 4] = packet[head + 4..head + 8].try_into().ok()?;
                let end = u32::from_be_bytes(sequence).wrapping_add(numbered);
                (Some(Tcp { flags, end }), transport)
            }
            _ => (None, UDP_HEAD),
        };
        Some(Self {
            from: SocketAddrV4::new(address(12)?, word(head)?),
            to: SocketAddrV4::new(address(16)?, word(head + 2)?),
            tcp,
            payload: packet.get(head + transport..length.min(packet.len()))?,
        })
    }
}
