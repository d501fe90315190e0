//! What a nameserver holds, and the answer that follows from it. No sockets and no faults here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use hickory_resolver::proto::op::{Edns, Message, Query, ResponseCode};
use hickory_resolver::proto::rr::rdata::SOA;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

/// The time a negative answer may be kept, in seconds.
const NEGATIVE_TTL: u32 = 10;

#[derive(Default)]
pub(super) struct Zones {
    zones: BTreeSet<Name>,
    records: BTreeMap<Name, Vec<Record>>,
}

impl Zones {
    pub(super) fn add(&mut self, zone: Name) {
        self.zones.insert(zone);
    }

    pub(super) fn remove(&mut self, zone: &Name) {
        self.zones.remove(zone);
    }

    pub(super) fn set(&mut self, name: Name, records: Vec<Record>) {
        self.records.insert(name, records);
    }

    pub(super) fn clear(&mut self, name: &Name) {
        self.records.remove(name);
    }

    /// The whole truth: the chain of aliases with what stands at its end, or the SOA of the
    /// deepest zone that ought to hold it. The rcode is that of the chain's end (RFC 6604).
    pub(super) fn answer(&self, query: &Message, question: &Query) -> Message {
        let mut response = response_to(query, question);
        let mut name = question.name.clone();
        loop {
            let Some(zone) = self.zone_of(&name) else {
                if response.answers.is_empty() {
                    response.metadata.authoritative = false;
                    response.metadata.response_code = ResponseCode::Refused;
                }
                return response;
            };
            let records = self.records.get(&name).map_or(&[][..], Vec::as_slice);
            if let Some((alias, target)) = alias(records, question.query_type) {
                let seen = response.answers.contains(alias);
                response.add_answer(alias.clone());
                if seen {
                    return response;
                }
                name = target;
                continue;
            }
            let found: Vec<_> = records
                .iter()
                .filter(|record| record.record_type() == question.query_type)
                .cloned()
                .collect();
            if found.is_empty() {
                if !self.exists(&name) {
                    response.metadata.response_code = ResponseCode::NXDomain;
                }
                response.add_authority(soa(zone));
            } else {
                response.add_answers(found);
            }
            return response;
        }
    }

    /// Every zone with its records as text. A name without records gets one that nobody asks for,
    /// since in a master file it would not exist.
    pub(super) fn master_files(&self) -> Vec<(String, String)> {
        let mut files: BTreeMap<_, String> = self
            .zones
            .iter()
            .map(|zone| (zone, String::new()))
            .collect();
        for (name, records) in &self.records {
            let Some(file) = self.zone_of(name).and_then(|zone| files.get_mut(zone)) else {
                continue;
            };
            for record in records {
                let _ = writeln!(file, "{record}");
            }
            if records.is_empty() {
                let _ = writeln!(file, "{name} TXT nothing");
            }
        }
        files
            .into_iter()
            .map(|(zone, text)| (zone.to_ascii().trim_end_matches('.').to_owned(), text))
            .collect()
    }

    fn zone_of(&self, name: &Name) -> Option<&Name> {
        self.zones
            .iter()
            .filter(|zone| zone.zone_of(name))
            .max_by_key(|zone| zone.num_labels())
    }

    /// A name with names below it exists, even without own records (RFC 8020).
    fn exists(&self, name: &Name) -> bool {
        self.zones.contains(name) || self.records.keys().any(|held| name.zone_of(held))
    }
}

fn alias(records: &[Record], asked: RecordType) -> Option<(&Record, Name)> {
    if asked == RecordType::CNAME {
        return None;
    }
    records.iter().find_map(|record| match &record.data {
        RData::CNAME(target) => Some((record, target.0.clone())),
        _ => None,
    })
}

fn soa(zone: &Name) -> Record {
    let mailbox = Name::from_ascii("hostmaster.lab.example.").expect("a valid name");
    let server = Name::from_ascii("ns.lab.example.").expect("a valid name");
    let soa = SOA::new(server, mailbox, 1, 3600, 300, 604_800, NEGATIVE_TTL);
    Record::from_rdata(zone.clone(), NEGATIVE_TTL, RData::SOA(soa))
}

/// An answer without records yet, as this server begins them all.
fn response_to(query: &Message, question: &Query) -> Message {
    let mut response = Message::response(query.metadata.id, query.metadata.op_code);
    response.metadata.authoritative = true;
    response.metadata.recursion_desired = query.metadata.recursion_desired;
    response.metadata.recursion_available = true;
    response.add_query(question.clone());
    if query.edns.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(1232);
        response.set_edns(edns);
    }
    response
}
