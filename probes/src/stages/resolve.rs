//! The stage `resolve`: one name asked at one nameserver, A and AAAA side by side. Every question
//! is one packet from a socket of its own, never repeated, so a lost packet is a time-out and a
//! closed port is refused. No cache, no search list, no other nameserver: those are the caller's.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use hickory_resolver::proto::rr::RecordType;
use tokio::time::{Instant, timeout_at};

pub use self::answer::{Alias, Answer, Negative, ResolveFault};
pub(crate) use self::query::DnsQuery;
use crate::{net::io_fault::IoFault, words::endpoint::Nameserver};

mod answer;
mod query;

/// Asks `nameserver` for the IPv4 and IPv6 addresses of `name`, each within `limit`, and over TCP for no
/// more than `most` bytes.
pub async fn lookup(
    nameserver: &Arc<Nameserver>,
    name: &str,
    limit: Duration,
    most: u16,
) -> Lookup {
    let (a, aaaa) = tokio::join!(
        timed_ask(nameserver.address, name, RecordType::A, limit, most),
        timed_ask(nameserver.address, name, RecordType::AAAA, limit, most),
    );
    Lookup {
        nameserver: nameserver.clone(),
        name: name.into(),
        took: a.0.max(aaaa.0),
        a: a.1,
        aaaa: aaaa.1,
    }
}

/// What one nameserver said of one name.
#[derive(Clone, Debug)]
pub struct Lookup {
    /// Who was asked.
    pub nameserver: Arc<Nameserver>,
    /// The name as asked.
    pub name: Arc<str>,
    /// The slower of the two questions.
    pub took: Duration,
    /// The IPv4 question.
    pub a: Result<Answer, ResolveFault>,
    /// The IPv6 question.
    pub aaaa: Result<Answer, ResolveFault>,
}

impl Lookup {
    /// The addresses of both families, IPv4 first, each in the order of its answer.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.answers()
            .flat_map(|answer| answer.addresses.iter().copied())
    }

    /// The same, each once and in order.
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

    /// Why the lookup failed. A family without addresses is no failure while the other has some;
    /// a question that got no proper answer always is, because a client waits for both.
    pub fn fault(&self) -> Option<&ResolveFault> {
        let faults = || {
            [&self.a, &self.aaaa]
                .into_iter()
                .filter_map(|r| r.as_ref().err())
        };
        faults()
            .find(|fault| fault.negative().is_none())
            .or_else(|| {
                let found = self.addresses().next().is_some();
                let nxdomain = || faults().find(|f| matches!(f, ResolveFault::NxDomain(_)));
                (!found)
                    .then(|| nxdomain().or_else(|| faults().next()))
                    .flatten()
            })
    }

    fn answers(&self) -> impl Iterator<Item = &Answer> {
        [&self.a, &self.aaaa].into_iter().flatten()
    }
}

async fn timed_ask(
    server: SocketAddr,
    name: &str,
    record_type: RecordType,
    limit: Duration,
    most: u16,
) -> (Duration, Result<Answer, ResolveFault>) {
    let start = Instant::now();
    let (answer, on_the_wire) = match ask(server, name, record_type, start + limit, most).await {
        Ok(asked) => asked,
        Err(fault) => (Err(fault), None),
    };
    (on_the_wire.unwrap_or_else(|| start.elapsed()), answer)
}

/// What the answer says, and how long it was on its way if it is one datagram.
async fn ask(
    server: SocketAddr,
    name: &str,
    record_type: RecordType,
    deadline: Instant,
    most: u16,
) -> Result<(Result<Answer, ResolveFault>, Option<Duration>), ResolveFault> {
    let query = DnsQuery::new(name, record_type)?;
    if let Some((message, took)) = query.ask_over_udp(server, deadline).await? {
        return Ok((query.read(&message), Some(took)));
    }
    let message = timeout_at(deadline, query.ask_over_tcp(server, deadline, most))
        .await
        .map_err(|_| IoFault::Timeout)??;
    Ok((query.read(&message), None))
}
