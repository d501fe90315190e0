//! Evidence and faults in one short line: the detail in the status document and the right-hand column of
//! `check`.

use std::fmt;

use regprobe_probes::{Access, ByteCount, Evidence, StageOutcome, Token};

/// The result of a stage.
pub(crate) fn stage(outcome: &StageOutcome) -> String {
    let what = match &outcome.result {
        Ok(evidence) => self::evidence(evidence),
        Err(fault) => fault.to_string(),
    };
    match &outcome.subject {
        Some(subject) => format!("{}: {what}", short(subject)),
        None => what,
    }
}

fn evidence(evidence: &Evidence) -> String {
    match evidence {
        Evidence::Connect(connected) => match connected.retransmits {
            0 => String::new(),
            lost => format!("{lost} retransmits"),
        },
        Evidence::Proxy(tunnel) => format!("through {}", tunnel.proxy),
        Evidence::Tls(handshake) => {
            let expiry = handshake
                .chain
                .leaf()
                .map(|leaf| leaf.not_after.strftime("%Y-%m-%d"));
            let expires = expiry.map(|day| format!(", expires {day}"));
            let expires = expires.unwrap_or_default();
            format!("{} {}{expires}", handshake.version, handshake.group)
        }
        Evidence::Challenge(challenge) => {
            let access = match challenge.access {
                Access::Open => "open",
                Access::Basic => "Basic",
                Access::Bearer(_) => "Bearer",
            };
            format!("{} {access}", challenge.status)
        }
        Evidence::Identity => "a token of the metadata service".to_owned(),
        Evidence::Exchange => "a credential of the registry".to_owned(),
        Evidence::Token(Token::Granted) => "granted".to_owned(),
        Evidence::Token(Token::Denied) => "denied, as on most registries".to_owned(),
        Evidence::Manifest(answered) | Evidence::Blob(answered, None) => {
            answered.status.to_string()
        }
        Evidence::Blob(answered, Some(download)) => {
            format!("{}, {}/s", answered.status, ByteCount(download.rate()))
        }
        // A data endpoint rejects anonymous requests, and that is healthy.
        Evidence::Http(answered) => format!("{}; any status is fine here", answered.status),
    }
}

/// Shortens a digest to its beginning, as container tools do. Other text stays as it is.
fn short(text: &str) -> String {
    match text.split_once("sha256:") {
        Some((before, hex)) if hex.len() > 12 => format!("{before}sha256:{}", &hex[..12]),
        _ => text.to_owned(),
    }
}

/// Seconds, shown as milliseconds. On a short path a dial takes a few hundredths of one.
pub(crate) struct Milliseconds(pub(crate) f64);

impl fmt::Display for Milliseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 * 1000.0 {
            short if 0.0 < short && short < 0.1 => write!(f, "{short:.2} ms"),
            time => write!(f, "{time:.1} ms"),
        }
    }
}
