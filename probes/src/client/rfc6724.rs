//! The order in which Go dials the addresses of a name: RFC 6724, section 6, as far as Go follows it
//! (`net/addrselect.go`: rules 1, 2, 5, 6, 8, 9). Pure: the caller knows which source address the
//! kernel would use.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
};

use ipnet::Ipv6Net;

/// The source address that the kernel would use for each destination, as a connected UDP socket shows
/// without sending anything. A destination that is missing has no route.
pub(crate) type Sources = BTreeMap<IpAddr, IpAddr>;

/// Sorts addresses as Go does before it dials. Equal addresses keep their order, so IPv4 addresses stay
/// as the nameserver sent them. IPv6 comes before IPv4 if it has a route, and after it otherwise.
pub(crate) fn sort(addresses: &mut [IpAddr], sources: &Sources) {
    addresses.sort_by_key(|address| {
        sources
            .get(address)
            .map_or(Rank::NoRoute, |source| Rank::of(*address, *source))
    });
}

/// Lower is better. The fields are the rules in their order.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Routed {
        /// Rule 2.
        scope_differs: bool,
        /// Rule 5.
        label_differs: bool,
        /// Rule 6.
        precedence: Reverse<u8>,
        /// Rule 8.
        scope: u8,
        /// Rule 9, only for IPv6: Go found that it does harm with IPv4.
        common_prefix: Reverse<u32>,
    },
    /// Rule 1.
    NoRoute,
}

impl Rank {
    fn of(destination: IpAddr, source: IpAddr) -> Self {
        let (precedence, label) = policy(destination);
        let common_prefix = match (destination, source) {
            (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros().min(64),
            _ => 0,
        };
        Self::Routed {
            scope_differs: scope(destination) != scope(source),
            label_differs: label != policy(source).1,
            precedence: Reverse(precedence),
            scope: scope(destination),
            common_prefix: Reverse(common_prefix),
        }
    }
}

/// RFC 6724, section 2.1, longest prefix first: prefix, precedence, label.
const POLICY: &[(Ipv6Net, u8, u8)] = &[
    (net([0, 0, 0, 0, 0, 0, 0, 1], 128), 50, 0),
    (net([0, 0, 0, 0, 0, 0xffff, 0, 0], 96), 35, 4),
    (net([0, 0, 0, 0, 0, 0, 0, 0], 96), 1, 3),
    (net([0x2001, 0, 0, 0, 0, 0, 0, 0], 32), 5, 5),
    (net([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), 30, 2),
    (net([0x3ffe, 0, 0, 0, 0, 0, 0, 0], 16), 1, 12),
    (net([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10), 1, 11),
    (net([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7), 3, 13),
];

const fn net(segments: [u16; 8], length: u8) -> Ipv6Net {
    let [a, b, c, d, e, f, g, h] = segments;
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), length)
}

/// Precedence and label.
fn policy(address: IpAddr) -> (u8, u8) {
    let address = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    let entry = POLICY.iter().find(|(prefix, ..)| prefix.contains(&address));
    entry.map_or((40, 1), |(_, precedence, label)| (*precedence, *label))
}

/// RFC 6724, section 3.1.
fn scope(address: IpAddr) -> u8 {
    const LINK_LOCAL: u8 = 0x2;
    const SITE_LOCAL: u8 = 0x5;
    const GLOBAL: u8 = 0xe;
    match address.to_canonical() {
        IpAddr::V4(v4) if v4.is_loopback() || v4.is_link_local() => LINK_LOCAL,
        IpAddr::V4(_) => GLOBAL,
        IpAddr::V6(v6) if v6.is_loopback() || v6.is_unicast_link_local() => LINK_LOCAL,
        IpAddr::V6(v6) if v6.is_multicast() => v6.octets()[1] & 0xf,
        IpAddr::V6(v6) if v6.segments()[0] & 0xffc0 == 0xfec0 => SITE_LOCAL,
        IpAddr::V6(_) => GLOBAL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE_V4: &str = "10.240.0.4";
    const NODE_V6: &str = "2001:4860:4860::4";

    /// An address and its source address, `""` for none.
    type Route = (&'static str, &'static str);

    fn sorted(addresses: &[Route]) -> Vec<String> {
        let parse = |text: &str| text.parse::<IpAddr>();
        let sources = addresses
            .iter()
            .filter_map(|(to, from)| Some((parse(to).unwrap(), parse(from).ok()?)))
            .collect();
        let mut addresses: Vec<_> = addresses.iter().map(|(to, _)| parse(to).unwrap()).collect();
        sort(&mut addresses, &sources);
        addresses.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn orders() {
        #[rustfmt::skip]
        let table: &[(&str, &[Route], &[&str])] = &[
            ("IPv4 stays as it came", &[("10.0.0.9", NODE_V4), ("10.240.0.5", NODE_V4)], &["10.0.0.9", "10.240.0.5"]),
            ("IPv6 first", &[("20.61.97.1", NODE_V4), ("2603:1020::1", NODE_V6)], &["2603:1020::1", "20.61.97.1"]),
            ("no IPv6 route", &[("2603:1020::1", ""), ("20.61.97.1", NODE_V4)], &["20.61.97.1", "2603:1020::1"]),
            ("no route at all", &[("2603:1020::1", ""), ("20.61.97.1", "")], &["2603:1020::1", "20.61.97.1"]),
            (
                "a unique local source and a global destination have different labels",
                &[("2603:1020::1", "fd00::4"), ("20.61.97.1", NODE_V4)],
                &["20.61.97.1", "2603:1020::1"],
            ),
            (
                "a link-local source does not reach far",
                &[("2603:1020::1", "fe80::4"), ("20.61.97.1", NODE_V4)],
                &["20.61.97.1", "2603:1020::1"],
            ),
            (
                "the longer common prefix, within IPv6",
                &[("2603:1020::1", NODE_V6), ("2001:4860::1", NODE_V6)],
                &["2001:4860::1", "2603:1020::1"],
            ),
            ("loopback", &[("127.0.0.1", "127.0.0.1"), ("::1", "::1")], &["::1", "127.0.0.1"]),
        ];
        for (story, addresses, expected) in table {
            assert_eq!(sorted(addresses), *expected, "{story}");
        }
    }
}
