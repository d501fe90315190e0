//! An authoritative nameserver inside the test, on UDP and TCP of one address. Its records and its
//! faults may be changed while it runs, and it remembers what it was asked. It stands for the
//! node's nameserver, so it answers whole CNAME chains at once and never forwards.

mod reply;
mod zones;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, TcpListener as StdTcpListener, UdpSocket as StdUdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use hickory_resolver::proto::rr::rdata::CNAME;
use hickory_resolver::proto::rr::{Name, RData, Record};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time;

use self::reply::Transport;
pub use self::reply::{Fault, OverTcp};
use self::zones::Zones;
use crate::addresses;
use crate::background::Background;

/// How long an idle TCP client is borne with.
const TCP_IDLE: Duration = Duration::from_secs(30);

/// A query as it was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// In lower case, without the last dot.
    pub name: String,
    /// `A`, `AAAA`, …
    pub record_type: String,
    pub over_tcp: bool,
}

/// A running nameserver; it ends when dropped.
pub struct Dns {
    addr: SocketAddr,
    state: Arc<Mutex<State>>,
    _server: Option<Background>,
}

#[derive(Default)]
struct State {
    zones: Zones,
    fault_of_all: Option<Fault>,
    fault_of: HashMap<Name, Fault>,
    asked: Vec<Asked>,
    rotation: usize,
}

impl Dns {
    /// Listens on UDP and TCP alike; port 0 takes one that is free for both.
    pub fn start(at: impl Into<SocketAddr>) -> Result<Self> {
        let at = addresses::with_port(at.into())?;
        let tcp = StdTcpListener::bind(at).with_context(|| format!("failed to listen on {at}"))?;
        tcp.set_nonblocking(true)?;
        Self::serve(at, Some(tcp))
    }

    /// Listens nowhere: its names are for another nameserver, by [`Dns::master_files`].
    #[must_use]
    pub fn draft() -> Self {
        Self {
            addr: (IpAddr::from([0, 0, 0, 0]), 0).into(),
            state: Arc::default(),
            _server: None,
        }
    }

    /// Listens on UDP only, as behind a firewall that rejects TCP to port 53.
    pub fn start_without_tcp(at: impl Into<SocketAddr>) -> Result<Self> {
        Self::serve(addresses::with_port(at.into())?, None)
    }

    fn serve(addr: SocketAddr, tcp: Option<StdTcpListener>) -> Result<Self> {
        let udp = StdUdpSocket::bind(addr).with_context(|| format!("failed to bind {addr}"))?;
        udp.set_nonblocking(true)?;
        let state = Arc::new(Mutex::new(State::default()));
        let served = Arc::clone(&state);
        let server = Background::run("lab-dns", move || async move {
            if let Some(tcp) = tcp.and_then(|tcp| TcpListener::from_std(tcp).ok()) {
                tokio::spawn(serve_tcp(tcp, Arc::clone(&served)));
            }
            if let Ok(udp) = UdpSocket::from_std(udp) {
                serve_udp(Arc::new(udp), served).await;
            }
        })?;
        Ok(Self {
            addr,
            state,
            _server: Some(server),
        })
    }

    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Holds a zone: negative answers below it carry its SOA, names outside all zones are refused.
    pub fn zone(&self, name: &str) -> &Self {
        self.state().zones.add(parse(name));
        self
    }

    pub fn remove_zone(&self, name: &str) -> &Self {
        self.state().zones.remove(&parse(name));
        self
    }

    /// Gives a name its addresses, of either family, in place of what it had; none at all makes
    /// the name one that exists and has no address (NODATA).
    pub fn address<I: Into<IpAddr>>(
        &self,
        name: &str,
        addresses: impl IntoIterator<Item = I>,
        ttl: u32,
    ) -> &Self {
        let name = parse(name);
        let records = addresses
            .into_iter()
            .map(|ip| match ip.into() {
                IpAddr::V4(ip) => Record::from_rdata(name.clone(), ttl, RData::A(ip.into())),
                IpAddr::V6(ip) => Record::from_rdata(name.clone(), ttl, RData::AAAA(ip.into())),
            })
            .collect();
        self.state().zones.set(name, records);
        self
    }

    /// Makes a name an alias (CNAME) of another, in place of what it had.
    pub fn alias(&self, name: &str, target: &str, ttl: u32) -> &Self {
        let record = alias_record(parse(name), parse(target), ttl);
        self.state().zones.set(parse(name), vec![record]);
        self
    }

    /// The same of a name that no zone file could hold: labels of any bytes.
    pub fn alias_of_bytes(&self, name: &str, labels: &[&[u8]], ttl: u32) -> Result<&Self> {
        let mut target = Name::from_labels(labels.iter().copied())?;
        target.set_fqdn(true);
        let record = alias_record(parse(name), target, ttl);
        self.state().zones.set(parse(name), vec![record]);
        Ok(self)
    }

    /// Takes a name out: NXDOMAIN from now on.
    pub fn remove(&self, name: &str) -> &Self {
        self.state().zones.clear(&parse(name));
        self
    }

    /// Breaks the answers for one name; it overrides [`Dns::break_all`].
    pub fn break_name(&self, name: &str, fault: Fault) -> &Self {
        self.state().fault_of.insert(parse(name), fault);
        self
    }

    pub fn break_all(&self, fault: Fault) -> &Self {
        self.state().fault_of_all = Some(fault);
        self
    }

    /// Ends every fault; the records stay.
    pub fn fix(&self) -> &Self {
        let mut state = self.state();
        state.fault_of_all = None;
        state.fault_of.clear();
        drop(state);
        self
    }

    /// Every query so far, in order, whether answered or not.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.state().asked.clone()
    }

    #[must_use]
    pub fn queries(&self) -> usize {
        self.state().asked.len()
    }

    #[must_use]
    pub fn queries_for(&self, name: &str) -> usize {
        let name = plain(&parse(name));
        self.state()
            .asked
            .iter()
            .filter(|asked| asked.name == name)
            .count()
    }

    /// What it holds, zone by zone, as records in the master file format (RFC 1035, section 5),
    /// for another nameserver to serve.
    #[must_use]
    pub fn master_files(&self) -> Vec<(String, String)> {
        self.state().zones.master_files()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

async fn serve_udp(socket: Arc<UdpSocket>, state: Arc<Mutex<State>>) {
    let mut buffer = [0; 4096];
    loop {
        // An ICMP error for an earlier answer comes out here too; it concerns nobody.
        let Ok((length, client)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        let reply = lock(&state).reply(&buffer[..length], Transport::Udp);
        let socket = Arc::clone(&socket);
        tokio::spawn(async move {
            time::sleep(reply.after).await;
            for packet in &reply.packets {
                let _ = socket.send_to(packet, client).await;
            }
        });
    }
}

async fn serve_tcp(listener: TcpListener, state: Arc<Mutex<State>>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(time::timeout(
            TCP_IDLE,
            serve_stream(stream, Arc::clone(&state)),
        ));
    }
}

/// Answers message after message, each behind its two-byte length (RFC 1035, section 4.2.2).
async fn serve_stream(mut stream: TcpStream, state: Arc<Mutex<State>>) {
    while let Ok(length) = stream.read_u16().await {
        let mut query = vec![0; usize::from(length)];
        if stream.read_exact(&mut query).await.is_err() {
            return;
        }
        let reply = lock(&state).reply(&query, Transport::Tcp);
        time::sleep(reply.after).await;
        match reply.over_tcp {
            OverTcp::Answers => {}
            OverTcp::Closes => return,
            OverTcp::Resets => {
                let _ = stream.set_zero_linger();
                return;
            }
            OverTcp::Hangs => std::future::pending().await,
        }
        for packet in &reply.packets {
            let length = u16::try_from(packet.len()).unwrap_or(u16::MAX);
            let framed = [&length.to_be_bytes()[..], packet].concat();
            if stream.write_all(&framed).await.is_err() {
                return;
            }
        }
    }
}

fn alias_record(name: Name, target: Name, ttl: u32) -> Record {
    Record::from_rdata(name, ttl, RData::CNAME(CNAME(target)))
}

/// # Panics
/// On a name that is none: names stand in the tests themselves.
fn parse(name: &str) -> Name {
    let mut name = Name::from_ascii(name).expect("a valid DNS name");
    name.set_fqdn(true);
    name
}

fn plain(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_ascii_lowercase()
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
pub(super) mod tests {
    use std::net::Ipv4Addr;
    use std::process::Command;

    use super::*;

    /// What `dig` prints: the status, TC, the answers and the SOA of a negative one.
    pub(crate) fn dig(dns: &Dns, name: &str, extra: &[&str]) -> String {
        let out = Command::new("dig")
            .arg(format!("@{}", dns.addr().ip()))
            .args([
                "-p",
                &dns.addr().port().to_string(),
                name,
                "+tries=1",
                "+time=1",
            ])
            .args(extra)
            .output()
            .unwrap();
        String::from_utf8(out.stdout).unwrap()
    }

    fn dns() -> Dns {
        let dns = Dns::start((addresses::loopback(), 0)).unwrap();
        dns.zone("azurecr.io");
        dns.address(
            "contoso.azurecr.io",
            [Ipv4Addr::new(10, 0, 0, 7), Ipv4Addr::new(10, 0, 0, 8)],
            10,
        );
        dns
    }

    #[test]
    fn answers_as_an_authority_does() {
        let dns = dns();
        dns.alias("www.azurecr.io", "contoso.azurecr.io", 3600);
        let said = dig(&dns, "www.azurecr.io", &[]);
        assert!(said.contains("status: NOERROR"), "{said}");
        assert!(
            said.contains("www.azurecr.io.\t\t3600\tIN\tCNAME\tcontoso.azurecr.io."),
            "{said}"
        );
        assert!(
            said.contains("contoso.azurecr.io.\t10\tIN\tA\t10.0.0.7"),
            "{said}"
        );

        let nodata = dig(&dns, "contoso.azurecr.io", &["AAAA"]);
        assert!(
            nodata.contains("status: NOERROR") && nodata.contains("SOA"),
            "{nodata}"
        );
        let nxdomain = dig(&dns, "fabrikam.azurecr.io", &[]);
        assert!(
            nxdomain.contains("status: NXDOMAIN") && nxdomain.contains("SOA"),
            "{nxdomain}"
        );
        assert!(dig(&dns, "contoso.example", &[]).contains("status: REFUSED"));
        assert_eq!(dns.queries_for("Contoso.azurecr.io"), 1);
        assert_eq!(dns.queries(), 4);
    }

    #[test]
    fn every_fault_shows() {
        let dns = dns();
        let ask = |extra: &[&str]| dig(&dns, "contoso.azurecr.io", extra);
        let cases = [
            (Fault::Silent, "no servers could be reached"),
            (Fault::DropNext(1), "no servers could be reached"),
            (Fault::ServFail, "status: SERVFAIL"),
            (Fault::Refused, "status: REFUSED"),
            (Fault::Truncated(OverTcp::Answers), "10.0.0.8"),
            (Fault::Truncated(OverTcp::Closes), "end of file"),
            (Fault::Truncated(OverTcp::Resets), "connection reset"),
            (Fault::Truncated(OverTcp::Hangs), "timed out"),
            (Fault::WrongId, "ID mismatch"),
            (Fault::WrongQuestion, "Question section mismatch"),
            (Fault::Garbage, "no servers could be reached"),
            (Fault::GarbageThenTruth, "10.0.0.8"),
            (Fault::Delay(Duration::from_millis(5)), "10.0.0.8"),
            (Fault::Rotate, "10.0.0.8"),
            (Fault::CnameLoop, "CNAME\tloop.contoso.azurecr.io."),
        ];
        for (fault, expected) in cases {
            dns.break_all(fault.clone());
            let said = ask(&[]);
            assert!(
                said.contains(expected),
                "{fault:?}: expected {expected:?} in {said}"
            );
        }
        dns.fix();
        dns.break_name("other.azurecr.io", Fault::ServFail);
        assert!(ask(&["+tcp"]).contains("10.0.0.7"));
    }

    #[test]
    fn too_much_for_a_packet_is_truncated() {
        let dns = dns();
        let many = (1..=100).map(|n| Ipv4Addr::new(10, 1, 0, n));
        dns.address("many.azurecr.io", many, 10);
        assert!(dig(&dns, "many.azurecr.io", &["+ignore", "+noedns"]).contains(" tc"));
        assert!(dig(&dns, "many.azurecr.io", &[]).contains("10.1.0.100"));
    }

    #[test]
    fn without_tcp_the_port_is_closed() {
        let dns = Dns::start_without_tcp((addresses::loopback(), 0)).unwrap();
        assert!(dig(&dns, "contoso.azurecr.io", &["+tcp"]).contains("connection refused"));
    }
}
