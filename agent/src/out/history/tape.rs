//! Some values in the status of a registry differ from round to round even while nothing changes: times, TTLs,
//! the order of addresses, ids of responses. This takes them out of a status, as text, and puts them back.

use std::{
    fmt::Display,
    io::Write,
    net::{IpAddr, Ipv4Addr},
    str::{self, FromStr},
};

use jiff::Timestamp;

use crate::out::status::{EndpointStatus, RegistryStatus, StageStatus};

/// Ends each value. It is never part of UTF-8, so no text contains it.
pub(super) const END: u8 = 0xff;

/// A blank.
const NOWHERE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// Takes these values out of `status`, and leaves blanks.
pub(super) fn take(status: &mut RegistryStatus) -> Box<[u8]> {
    let mut written = Vec::new();
    Tape::Write(&mut written).registry(status);
    written.into()
}

/// Puts these values back.
pub(super) fn put_back<'a>(
    values: impl Iterator<Item = &'a [u8]> + 'a,
    status: &mut RegistryStatus,
) {
    Tape::Read(Box::new(values)).registry(status);
}

/// Both ways pass the same values in the same order.
enum Tape<'a> {
    Write(&'a mut Vec<u8>),
    Read(Box<dyn Iterator<Item = &'a [u8]> + 'a>),
}

impl Tape<'_> {
    fn registry(&mut self, status: &mut RegistryStatus) {
        self.pass(&mut status.at, Timestamp::UNIX_EPOCH);
        self.pass(&mut status.depth, String::new());
        self.seconds(&mut status.predicted_pull_delay_seconds);
        for finding in &mut status.findings {
            self.pass(&mut finding.address, NOWHERE);
            self.pass(&mut finding.evidence, String::new());
        }
        for endpoint in &mut status.endpoints {
            self.endpoint(endpoint);
        }
    }

    fn endpoint(&mut self, status: &mut EndpointStatus) {
        self.pass(&mut status.path.address, NOWHERE);
        self.seconds([&mut status.path.waits_seconds]);
        for lookup in &mut status.lookups {
            self.seconds(&mut lookup.seconds);
            self.pass(lookup.chain.iter_mut().map(|alias| &mut alias.ttl), 0);
            self.pass(&mut lookup.addresses, NOWHERE);
        }
        for address in &mut status.addresses {
            self.pass([&mut address.address], NOWHERE);
            for stage in &mut address.stages {
                self.stage(stage);
            }
        }
    }

    fn stage(&mut self, status: &mut StageStatus) {
        self.seconds([&mut status.seconds]);
        self.pass([&mut status.earlier], false);
        // The detail of a failed stage may name the response, and that of a download has its rate.
        let varies = !status.ok || status.download.is_some();
        let says = status.detail.as_mut().filter(|_| varies);
        self.pass(says, String::new());
        if let Some(response) = &mut status.response {
            self.pass(&mut response.correlation_id, String::new());
            self.pass(&mut response.clock_skew_seconds, 0.0);
        }
        if let Some(download) = &mut status.download {
            self.pass([&mut download.bytes], 0);
            self.seconds([&mut download.seconds]);
            self.pass([&mut download.bytes_per_second], 0.0);
        }
    }

    /// In whole microseconds, the precision of a status.
    fn seconds<'v>(&mut self, values: impl IntoIterator<Item = &'v mut f64>) {
        for seconds in values {
            let mut micros = (*seconds * 1e6).round() as u64;
            self.pass([&mut micros], 0);
            *seconds = micros as f64 / 1e6;
        }
    }

    fn pass<'v, V: Clone + Display + FromStr + 'v>(
        &mut self,
        values: impl IntoIterator<Item = &'v mut V>,
        blank: V,
    ) {
        for value in values {
            match self {
                Self::Write(written) => {
                    // Writing to memory cannot fail.
                    let _ = write!(written, "{value}");
                    written.push(END);
                    *value = blank.clone();
                }
                Self::Read(values) => {
                    let text = values.next().and_then(|text| str::from_utf8(text).ok());
                    let read = text.and_then(|text| text.parse().ok());
                    *value = read.unwrap_or_else(|| blank.clone());
                }
            }
        }
    }
}
