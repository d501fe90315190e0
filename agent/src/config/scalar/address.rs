//! IP addresses in the config: where a registry should be, and where a nameserver listens.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use thiserror::Error;

use super::{quoted, read, read_or_none};

/// The default port of a nameserver.
const DNS_PORT: u16 = 53;

/// Which addresses a registry's endpoints should have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Private {
    /// `false`: any.
    #[default]
    No,
    /// `true`: any in the ranges that are private by standard.
    Yes,
    /// Only addresses in these ranges, at least one. A virtual network may use any range, so
    /// these need not be private by standard.
    Within(Vec<IpNet>),
}

impl<'de> Deserialize<'de> for Private {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // An untagged enum would lose the line of an invalid range.
        deserializer.deserialize_any(PrivateVisitor)
    }
}

struct PrivateVisitor;

impl<'de> Visitor<'de> for PrivateVisitor {
    type Value = Private;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("false, true or a list of address ranges")
    }

    fn visit_bool<E: Error>(self, private: bool) -> Result<Private, E> {
        Ok(if private { Private::Yes } else { Private::No })
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Private, E> {
        // Most likely one range without its brackets.
        let example = match parse_range(text) {
            Ok(_) => text,
            Err(_) => "10.240.0.0/16",
        };
        Err(E::custom(format_args!(
            "{} is neither false, true nor a list of address ranges; write it as [{example}]",
            quoted(text)
        )))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Private, A::Error> {
        let mut ranges = Vec::new();
        while let Some(Range(range)) = list.next_element()? {
            ranges.push(range);
        }
        if ranges.is_empty() {
            return Err(A::Error::custom(
                "the list is empty; write at least one address range, or true or false",
            ));
        }
        Ok(Private::Within(ranges))
    }
}

struct Range(IpNet);

impl<'de> Deserialize<'de> for Range {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(
            deserializer,
            "an address range, such as 10.240.0.0/16",
            |text| parse_range(text).map(Self),
        )
    }
}

/// Reads `10.240.0.0/16`; a bare address is the range of that one address.
///
/// Bits set beyond the prefix are refused: either the address or the length is a typo, and we cannot
/// know which.
pub fn parse_range(text: &str) -> Result<IpNet, RangeError> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.into());
    }
    let range: IpNet = text.parse().map_err(|_| RangeError::malformed(text))?;
    if range.addr() != range.network() {
        return Err(RangeError::HostBits {
            text: text.into(),
            prefix: range.prefix_len(),
            network: range.trunc(),
        });
    }
    Ok(range)
}

/// Why a text is not an address range.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RangeError {
    /// Neither an address nor an address with a prefix length.
    #[error("{} is not an address range; write it as {example}", quoted(text))]
    Malformed {
        /// What was typed.
        text: String,
        /// A range of the family that is probably meant.
        example: &'static str,
    },
    /// An address inside the range instead of its first address.
    #[error(
        "{} has bits set after the first {prefix}; write it as {network}",
        quoted(text)
    )]
    HostBits {
        /// What was typed.
        text: String,
        /// Its prefix length.
        prefix: u8,
        /// The range that contains the address.
        network: IpNet,
    },
}

impl RangeError {
    fn malformed(text: &str) -> Self {
        let example = if text.contains(':') {
            "fd00:240::/64"
        } else {
            "10.240.0.0/16"
        };
        Self::Malformed {
            text: text.into(),
            example,
        }
    }
}

/// Reads the address of a nameserver: `IP` or `IP:port`, with brackets around an IPv6 address that has a port.
pub fn parse_nameserver(text: &str) -> Result<SocketAddr, AddressError> {
    // A zone names an interface, and the config is for every node.
    if text.contains('%') {
        return Err(AddressError::Zone(text.into()));
    }
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let address = match bare.unwrap_or(text).parse::<IpAddr>() {
        Ok(ip) if ip.is_ipv6() || bare.is_none() => SocketAddr::new(ip, DNS_PORT),
        _ => text
            .parse()
            .map_err(|_| AddressError::Malformed(text.into()))?,
    };
    match address.ip() {
        IpAddr::V6(ip) if ip.is_unicast_link_local() => Err(AddressError::Zone(text.into())),
        ip if ip.is_unspecified() || ip.is_multicast() => Err(AddressError::NoHost(text.into())),
        _ if address.port() == 0 => Err(AddressError::PortZero(text.into())),
        _ => Ok(address),
    }
}

/// For `deserialize_with`.
pub(in crate::config) fn nameserver<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<SocketAddr, D::Error> {
    read(
        deserializer,
        "an address, as IP or IP:port",
        parse_nameserver,
    )
}

/// For `deserialize_with`: the same, or none.
pub(in crate::config) fn nameserver_or_none<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SocketAddr>, D::Error> {
    read_or_none(
        deserializer,
        "an address, as IP or IP:port",
        parse_nameserver,
    )
}

/// Why a text is not the address of a nameserver.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AddressError {
    /// A host name, a missing bracket, a port out of range.
    #[error(
        "{} is not the address of a nameserver; write it as 168.63.129.16, 168.63.129.16:53 or [fd00::a]:53",
        quoted(.0)
    )]
    Malformed(String),
    /// A link-local IPv6 address, which is valid on one link only.
    #[error(
        "{} is link-local, reached through an interface whose name may differ between nodes; \
         list it in the node's resolv.conf",
        quoted(.0)
    )]
    Zone(String),
    /// Unspecified or multicast.
    #[error("{} is not the address of a single host; write the nameserver's own", quoted(.0))]
    NoHost(String),
    /// Port 0.
    #[error("{} has port 0; write the port the nameserver listens on, or leave it out for 53", quoted(.0))]
    PortZero(String),
}

/// For `deserialize_with`: a TCP port.
pub(in crate::config) fn port<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    read(deserializer, "a port", |text| match text.parse() {
        Ok(port @ 1..) => Ok(port),
        _ => Err(PortError(text.into())),
    })
}

#[derive(Debug, Error)]
#[error("{} is not a port; write a whole number from 1 to 65535", quoted(.0))]
struct PortError(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_address_is_a_range_of_one() {
        for (text, range) in [
            ("10.240.1.4", "10.240.1.4/32"),
            ("fd00::1", "fd00::1/128"),
            ("0.0.0.0/0", "0.0.0.0/0"),
        ] {
            assert_eq!(parse_range(text), Ok(range.parse().unwrap()));
        }
    }

    #[test]
    fn the_port_of_a_nameserver_is_53_unless_given() {
        for (text, address) in [
            ("168.63.129.16", "168.63.129.16:53"),
            ("169.254.10.10:5353", "169.254.10.10:5353"),
            ("fd00::a", "[fd00::a]:53"),
            ("[fd00::a]", "[fd00::a]:53"),
            ("[fd00::a]:54", "[fd00::a]:54"),
        ] {
            assert_eq!(parse_nameserver(text), Ok(address.parse().unwrap()));
        }
        for text in [
            "",
            "dns.example",
            "[10.0.0.10]",
            "10.0.0.10:",
            "10.0.0.10:65536",
            "[fd00::a",
            "fd00::a]:53",
        ] {
            assert_eq!(
                parse_nameserver(text),
                Err(AddressError::Malformed(text.into()))
            );
        }
        for text in ["fe80::1", "[fe80::1%eth0]:53", "fe80::1%2"] {
            assert_eq!(parse_nameserver(text), Err(AddressError::Zone(text.into())));
        }
    }
}
