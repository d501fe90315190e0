//! Where a registry may lead a probe by a realm or a redirect: not to this node, its link or a metadata
//! service. A registry that is at such a place itself may lead to that place, and to no other one. Whoever
//! dials asks about each address, so a name, the hosts file and a literal are all the same.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};

/// A place that a registry elsewhere may not lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// A cloud's metadata service, which gives credentials to anyone on the node who asks.
    Metadata,
    Loopback,
    Link,
    /// Any other address of this node.
    Node,
}

/// Sources: the documentation of Alibaba Cloud, AWS (instance metadata, ECS, EKS Pod Identity), Azure (wire
/// server), Google Cloud, OpenStack, Oracle Cloud, Scaleway and Tencent Cloud.
const METADATA: [IpAddr; 14] = [
    v4(100, 100, 100, 200),
    v4(168, 63, 129, 16),
    v4(169, 254, 0, 23),
    v4(169, 254, 169, 254),
    v4(169, 254, 170, 2),
    v4(169, 254, 170, 23),
    v4(192, 0, 0, 192),
    v6([0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42]),
    v6([0xfd00, 0xa9fe, 0xa9fe, 0, 0, 0, 0, 1]),
    v6([0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe]),
    v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23]),
    v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254]),
    v6([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254]),
    v6([0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe]),
];

const fn v4(a: u8, b: u8, c: u8, d: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

const fn v6([a, b, c, d, e, f, g, h]: [u16; 8]) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(a, b, c, d, e, f, g, h))
}

/// Which addresses a registry at `login` may lead a probe to.
pub(crate) fn led_from(login: Option<IpAddr>) -> fn(IpAddr) -> bool {
    match login.and_then(place) {
        None => |to| place(to).is_none(),
        Some(Place::Metadata) => |to| is_open_or(to, Place::Metadata),
        Some(Place::Loopback) => |to| is_open_or(to, Place::Loopback),
        Some(Place::Link) => |to| is_open_or(to, Place::Link),
        Some(Place::Node) => |to| is_open_or(to, Place::Node),
    }
}

fn is_open_or(to: IpAddr, own: Place) -> bool {
    place(to).is_none_or(|place| place == own)
}

fn place(address: IpAddr) -> Option<Place> {
    let address = address.to_canonical();
    let embedded = match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => embedded(address).map(IpAddr::V4),
    };
    let by_itself = place_of_address(address);
    by_itself.or_else(|| embedded.and_then(place_of_address))
}

fn place_of_address(address: IpAddr) -> Option<Place> {
    let (is_loopback, is_on_link) = match address {
        // Linux delivers 0.0.0.0 and :: to the node itself.
        IpAddr::V4(v4) => (v4.is_loopback() || v4.octets()[0] == 0, v4.is_link_local()),
        IpAddr::V6(v6) => (
            v6.is_loopback() || v6.is_unspecified(),
            v6.is_unicast_link_local(),
        ),
    };
    if METADATA.contains(&address) {
        Some(Place::Metadata)
    } else if is_loopback {
        Some(Place::Loopback)
    } else if is_on_link {
        Some(Place::Link)
    } else {
        is_own(address).then_some(Place::Node)
    }
}

/// The IPv4 address that a gateway on the way may make of this one. Sources: RFC 4291 (`::/96`), RFC 2765
/// (`::ffff:0:0:0/96`), RFC 6052 and 8215 (NAT64), RFC 3056 (6to4).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let segments = address.segments();
    let (high, low) = match segments {
        [0x2002, high, low, ..] => (high, low),
        [0, 0, 0, 0, 0, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x64, 0xff9b, 1, _, _, _, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low] => (high, low),
        _ => return None,
    };
    Some(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)))
}

/// Whether the kernel would deliver to this node, by the routes of this moment: only then it would send from
/// the very same address. Nothing is sent.
fn is_own(address: IpAddr) -> bool {
    source_towards(SocketAddr::new(address, 9)) == Some(address)
}

/// The address that the kernel would send from. A connected UDP socket shows it without sending
/// anything; `None` without a route.
pub(crate) fn source_towards(address: SocketAddr) -> Option<IpAddr> {
    let kind = Type::DGRAM.cloexec();
    let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::UDP)).ok()?;
    socket.connect(&address.into()).ok()?;
    Some(socket.local_addr().ok()?.as_socket()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let table = [
            ("127.0.0.1", Some(Place::Loopback)),
            ("::1", Some(Place::Loopback)),
            ("0.0.0.0", Some(Place::Loopback)),
            ("0.0.0.1", Some(Place::Loopback)),
            ("::", Some(Place::Loopback)),
            ("::ffff:127.0.0.1", Some(Place::Loopback)),
            ("64:ff9b::127.0.0.1", Some(Place::Loopback)),
            ("2002:7f00:1::", Some(Place::Loopback)),
            ("169.254.20.10", Some(Place::Link)),
            ("fe80::1", Some(Place::Link)),
            ("169.254.169.254", Some(Place::Metadata)),
            ("168.63.129.16", Some(Place::Metadata)),
            ("192.0.0.192", Some(Place::Metadata)),
            ("fd20:ce::254", Some(Place::Metadata)),
            ("fd00:ec2::23", Some(Place::Metadata)),
            ("fd00:c1::a9fe:a9fe", Some(Place::Metadata)),
            ("fd00:42::42", Some(Place::Metadata)),
            ("fd00:a9fe:a9fe::1", Some(Place::Metadata)),
            ("64:ff9b::a9fe:a9fe", Some(Place::Metadata)),
            ("64:ff9b:1:2::a9fe:a9fe", Some(Place::Metadata)),
            ("::169.254.169.254", Some(Place::Metadata)),
            ("::ffff:169.254.169.254", Some(Place::Metadata)),
            ("::ffff:0:169.254.169.254", Some(Place::Metadata)),
            ("2002:a9fe:a9fe::1", Some(Place::Metadata)),
            ("10.240.1.4", None),
            ("198.51.100.7", None),
            ("64:ff9b::198.51.100.7", None),
            ("2001:db8::7", None),
        ];
        for (text, expected) in table {
            assert_eq!(place(text.parse().unwrap()), expected, "{text}");
        }
    }

    #[test]
    fn a_registry_leads_to_its_own_place_alone() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let may = |login: &str, to: &str| led_from(Some(address(login)))(address(to));
        assert!(may("127.0.0.1", "127.0.0.2") && may("127.0.0.1", "198.51.100.7"));
        assert!(!may("127.0.0.1", "169.254.169.254") && !may("127.0.0.1", "169.254.1.1"));
        assert!(may("169.254.1.1", "169.254.1.2") && !may("169.254.1.1", "169.254.169.254"));
        assert!(may("198.51.100.7", "10.240.1.4") && !may("198.51.100.7", "::1"));
        assert!(led_from(None)(address("10.240.1.4")) && !led_from(None)(address("::1")));
    }
}
