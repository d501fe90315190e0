//! What `benches/micro` measures. For nobody else.

use std::net::Ipv4Addr;

use hickory_resolver::proto::{
    op::{Message, MessageType},
    rr::{Name, RData, Record, RecordType, rdata::CNAME},
};

use crate::stages::{http::www_authenticate, resolve::DnsQuery};

/// A question and an answer to it, with aliases.
pub struct Exchange {
    question: DnsQuery,
    answer: Vec<u8>,
}

impl Exchange {
    /// For the name of a registry behind private link.
    ///
    /// # Panics
    /// Never: the names are valid.
    pub fn new() -> Self {
        let host = "contoso.azurecr.io";
        let names = [host, "contoso.privatelink.azurecr.io"];
        let [alias, target] = names.map(|name| {
            let mut name = Name::from_ascii(name).expect("a name");
            name.set_fqdn(true);
            name
        });
        let question = DnsQuery::new(host, RecordType::A).expect("a name");
        let mut answer = Message::from_vec(&question.packet).expect("our own message");
        answer.metadata.message_type = MessageType::Response;
        let cname = RData::CNAME(CNAME(target.clone()));
        let address = RData::A(Ipv4Addr::new(10, 240, 1, 5).into());
        answer.add_answer(Record::from_rdata(alias, 3600, cname));
        answer.add_answer(Record::from_rdata(target, 10, address));
        Self {
            question,
            answer: answer.to_vec().expect("our own message"),
        }
    }

    /// Encodes a question; returns its length in bytes.
    pub fn ask(&self) -> usize {
        DnsQuery::new("contoso.azurecr.io", RecordType::A)
            .map_or(0, |question| question.packet.len())
    }

    /// Decodes the answer; returns how many addresses it holds.
    pub fn read(&self) -> usize {
        let answer = self.question.read_packet(&self.answer);
        answer.map_or(0, |answer| answer.addresses.len())
    }
}

impl Default for Exchange {
    fn default() -> Self {
        Self::new()
    }
}

/// Parses a line of `WWW-Authenticate`; returns how many challenges it holds.
pub fn challenges(line: &str) -> usize {
    www_authenticate::parse(line).len()
}
