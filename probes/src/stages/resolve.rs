//! The stage `resolve`: one name asked at one nameserver, A and AAAA at the same time. Every question
//! is one packet from its own socket, or one connection, and is never repeated, so a lost packet is a timeout and a
//! closed port is refused. No cache, no search list, no other nameserver: those are up to the caller.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use hickory_resolver::proto::rr::RecordType;
use tokio::time::{Instant, timeout_at};

pub use self::answer::{Alias, Answer, Negative, ResolveFault};
pub(crate) use self::query::DnsQuery;
use crate::{
    net::io_fault::{Errno, IoFault},
    words::endpoint::{Nameserver, Origin},
};

mod answer;
mod query;

/// How a question is asked.
#[derive(Clone, Copy, Debug)]
pub struct HowToAsk {
    /// How long it may take.
    pub limit: Duration,
    /// How many bytes an answer over TCP may have.
    pub max_bytes: u16,
    /// Not over UDP at all (`options use-vc`).
    pub only_over_tcp: bool,
}

impl HowToAsk {
    /// As usual: over UDP, and for an answer that is cut off again over TCP.
    pub fn within(limit: Duration) -> Self {
        Self {
            limit,
            max_bytes: u16::MAX,
            only_over_tcp: false,
        }
    }
}

/// Asks `nameserver` for the IPv4 and IPv6 addresses of `name`.
pub async fn lookup(nameserver: &Arc<Nameserver>, name: &str, how: HowToAsk) -> Lookup {
    let ((a_took, a), (aaaa_took, aaaa)) = tokio::join!(
        timed_ask(nameserver.address, name, RecordType::A, how),
        timed_ask(nameserver.address, name, RecordType::AAAA, how),
    );
    let is_nobody = nameserver.origin == Origin::Default && [&a, &aaaa].into_iter().all(is_absence);
    let judged = |result| match result {
        Err(ResolveFault::Io(fault)) if is_nobody => Err(ResolveFault::NoNameserver(fault)),
        result => result,
    };
    Lookup {
        nameserver: nameserver.clone(),
        name: name.into(),
        a_took,
        aaaa_took,
        a: judged(a),
        aaaa: judged(aaaa),
    }
}

/// Whether nobody is there. Without IPv6, a node does not have the address ::1.
fn is_absence(result: &Result<Answer, ResolveFault>) -> bool {
    matches!(
        result,
        Err(ResolveFault::Io(
            IoFault::Refused
                | IoFault::Timeout
                | IoFault::Unreachable(_)
                | IoFault::Local(Errno(libc::EADDRNOTAVAIL))
        ))
    )
}

/// What one nameserver answered for one name.
#[derive(Clone, Debug)]
pub struct Lookup {
    /// The nameserver that was asked.
    pub nameserver: Arc<Nameserver>,
    /// The name as asked.
    pub name: Arc<str>,
    /// The IPv4 question.
    pub a: Result<Answer, ResolveFault>,
    /// The IPv6 question.
    pub aaaa: Result<Answer, ResolveFault>,
    /// How long the IPv4 question took.
    pub a_took: Duration,
    /// How long the IPv6 question took.
    pub aaaa_took: Duration,
}

impl Lookup {
    /// How long the slower of the two questions took.
    pub fn took(&self) -> Duration {
        self.a_took.max(self.aaaa_took)
    }

    /// The addresses of both families, IPv4 first, each in the order of its answer.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.answers()
            .flat_map(|answer| answer.addresses.iter().copied())
    }

    /// The addresses of both families, sorted and without duplicates.
    pub fn address_set(&self) -> Vec<IpAddr> {
        let mut addresses: Vec<_> = self.addresses().collect();
        addresses.sort_unstable();
        addresses.dedup();
        addresses
    }

    /// The longest alias chain seen, negative answers included.
    pub fn chain(&self) -> &[Alias] {
        [&self.a, &self.aaaa]
            .into_iter()
            .map(|result| match result {
                Ok(answer) => answer.chain.as_slice(),
                Err(fault) => fault.negative().map_or(&[][..], |negative| &negative.chain),
            })
            .max_by_key(|chain| chain.len())
            .unwrap_or_default()
    }

    /// The lowest TTL of the records that gave the addresses, in seconds.
    pub fn ttl(&self) -> Option<u32> {
        self.answers().map(|answer| answer.ttl).min()
    }

    /// Why the lookup failed. A family without addresses is not a failure while the other one has some.
    /// A question without a proper answer always is, because a client waits for both.
    pub fn fault(&self) -> Option<&ResolveFault> {
        let families = || [&self.a, &self.aaaa].into_iter();
        let faults = || families().filter_map(|family| family.as_ref().err());
        let unanswered = faults().find(|fault| fault.negative().is_none());
        if unanswered.is_some() || self.addresses().next().is_some() {
            return unanswered;
        }
        let nxdomain = faults().find(|fault| matches!(fault, ResolveFault::NxDomain(_)));
        nxdomain.or_else(|| faults().next())
    }

    fn answers(&self) -> impl Iterator<Item = &Answer> {
        [&self.a, &self.aaaa].into_iter().flatten()
    }
}

async fn timed_ask(
    server: SocketAddr,
    name: &str,
    record_type: RecordType,
    how: HowToAsk,
) -> (Duration, Result<Answer, ResolveFault>) {
    let start = Instant::now();
    let (answer, on_the_wire) = match ask(server, name, record_type, how).await {
        Ok(asked) => asked,
        Err(fault) => (Err(fault), None),
    };
    (on_the_wire.unwrap_or_else(|| start.elapsed()), answer)
}

/// What the answer says, and how long it took if it is one datagram.
async fn ask(
    server: SocketAddr,
    name: &str,
    record_type: RecordType,
    how: HowToAsk,
) -> Result<(Result<Answer, ResolveFault>, Option<Duration>), ResolveFault> {
    let deadline = Instant::now() + how.limit;
    let query = DnsQuery::new(name, record_type)?;
    if !how.only_over_tcp
        && let Some((message, took)) = query.ask_over_udp(server, deadline).await?
    {
        return Ok((query.read(&message), Some(took)));
    }
    let message = timeout_at(
        deadline,
        query.ask_over_tcp(server, deadline, how.max_bytes),
    )
    .await
    .map_err(|_| IoFault::Timeout)??;
    Ok((query.read(&message), None))
}
