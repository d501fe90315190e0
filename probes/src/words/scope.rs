//! Where an address can be reached from, according to the IANA special-purpose address registries, and
//! whether that is where an endpoint is expected. Pure: the resolve stage labels answers with it, and
//! the diagnosis judges by it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// The part of the address space that an address belongs to.
///
/// Sources: the IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890) and, for
/// multicast, RFC 5771 and RFC 4291.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Globally reachable. 168.63.129.16 counts as such: Azure gives it a meaning only inside virtual
    /// networks, but it is a nameserver and never an endpoint, and IANA does not list it.
    Public,
    /// RFC 1918.
    Private,
    /// 100.64.0.0/10, RFC 6598: carrier-grade NAT, and pods and nodes of many clusters.
    Shared,
    /// fc00::/7, RFC 4193.
    UniqueLocal,
    /// 169.254.0.0/16 and fe80::/10.
    LinkLocal,
    /// 127.0.0.0/8 and ::1.
    Loopback,
    /// RFC 5737, RFC 3849, RFC 9637.
    Documentation,
    /// 198.18.0.0/15, RFC 2544, and 2001:2::/48, RFC 5180.
    Benchmarking,
    /// 224.0.0.0/4 and ff00::/8.
    Multicast,
    /// 0.0.0.0/8 and `::`: no destination, and what a filtering nameserver answers.
    Unspecified,
    /// Reserved for protocols or future use.
    Reserved,
}

impl Scope {
    /// The scope of an address. An IPv6 address that stands for an IPv4 address has that one's.
    pub fn of(address: IpAddr) -> Self {
        match meant(address) {
            IpAddr::V4(address) => longest_match(
                IPV4.iter()
                    .map(|(net, scope)| (net.contains(&address), net.prefix_len(), *scope)),
            ),
            IpAddr::V6(address) => longest_match(
                IPV6.iter()
                    .map(|(net, scope)| (net.contains(&address), net.prefix_len(), *scope)),
            ),
        }
    }

    /// Counts as public: globally reachable, or for documentation. Documentation addresses belong to no
    /// network, so no private endpoint has one; in examples and tests they stand for public addresses.
    pub fn is_public(self) -> bool {
        matches!(self, Self::Public | Self::Documentation)
    }

    /// The opposite of [`Self::is_public`], and the value of the metric `dns_answer_private`: anything
    /// that the registries do not call globally reachable. It means "not on the internet", not "a
    /// private endpoint".
    pub fn is_private(self) -> bool {
        !self.is_public()
    }

    /// A private endpoint can have such an address, because a virtual network can use the range.
    /// Loopback, link-local and `0.0.0.0` are private too, but an answer with them is a sinkhole or a
    /// mistake.
    pub fn is_endpoint(self) -> bool {
        matches!(
            self,
            Self::Private | Self::Shared | Self::UniqueLocal | Self::Benchmarking
        )
    }
}

/// Where the addresses of an endpoint are expected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Expectation {
    /// Anywhere.
    #[default]
    Any,
    /// In a range that private endpoints use, see [`Scope::is_endpoint`].
    PrivateScope,
    /// In one of these ranges, whether IANA calls them private or not: virtual networks may use public
    /// ranges.
    Ranges(Vec<IpNet>),
}

impl Expectation {
    /// Whether an address is where it is expected. An IPv6 address that stands for an IPv4 address is taken as that.
    pub fn allows(&self, address: IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::PrivateScope => Scope::of(address).is_endpoint(),
            Self::Ranges(ranges) => {
                let (address, meant) = (address.to_canonical(), meant(address));
                let mut ranges = ranges.iter();
                ranges.any(|range| range.contains(&address) || range.contains(&meant))
            }
        }
    }
}

/// The IPv4 address that an IPv6 address stands for, if it does: mapped, or made by DNS64 with the prefix of RFC 6052,
/// section 2.1.
fn meant(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if v6.segments()[..6] == [0x64, 0xff9b, 0, 0, 0, 0] => {
            let [.., a, b, c, d] = v6.octets();
            Ipv4Addr::new(a, b, c, d).into()
        }
        address => address,
    }
}

/// From (matches, prefix length, scope): the most specific entry wins, and no entry means public.
fn longest_match(entries: impl Iterator<Item = (bool, u8, Scope)>) -> Scope {
    let matching = entries.filter(|(matches, ..)| *matches);
    matching
        .max_by_key(|(_, length, _)| *length)
        .map_or(Scope::Public, |(.., scope)| scope)
}

const fn v4(a: u8, b: u8, c: u8, d: u8, length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)
}

const fn v6(head: [u16; 4], tail: u16, length: u8) -> Ipv6Net {
    let [a, b, c, d] = head;
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, 0, 0, 0, tail), length)
}

/// In the registry's order; globally reachable blocks appear only where they are part of another one.
const IPV4: &[(Ipv4Net, Scope)] = &[
    (v4(0, 0, 0, 0, 8), Scope::Unspecified),
    (v4(10, 0, 0, 0, 8), Scope::Private),
    (v4(100, 64, 0, 0, 10), Scope::Shared),
    (v4(127, 0, 0, 0, 8), Scope::Loopback),
    (v4(169, 254, 0, 0, 16), Scope::LinkLocal),
    (v4(172, 16, 0, 0, 12), Scope::Private),
    (v4(192, 0, 0, 0, 24), Scope::Reserved),
    (v4(192, 0, 0, 9, 32), Scope::Public),
    (v4(192, 0, 0, 10, 32), Scope::Public),
    (v4(192, 0, 2, 0, 24), Scope::Documentation),
    (v4(192, 168, 0, 0, 16), Scope::Private),
    (v4(198, 18, 0, 0, 15), Scope::Benchmarking),
    (v4(198, 51, 100, 0, 24), Scope::Documentation),
    (v4(203, 0, 113, 0, 24), Scope::Documentation),
    (v4(224, 0, 0, 0, 4), Scope::Multicast),
    (v4(240, 0, 0, 0, 4), Scope::Reserved),
];

/// Like [`IPV4`]. Teredo and 6to4, whose reachability the registry leaves open, count as public.
const IPV6: &[(Ipv6Net, Scope)] = &[
    (v6([0, 0, 0, 0], 0, 128), Scope::Unspecified),
    (v6([0, 0, 0, 0], 1, 128), Scope::Loopback),
    (v6([0x64, 0xff9b, 1, 0], 0, 48), Scope::Reserved),
    (v6([0x100, 0, 0, 0], 0, 64), Scope::Reserved),
    (v6([0x100, 0, 0, 1], 0, 64), Scope::Reserved),
    (v6([0x2001, 0, 0, 0], 0, 23), Scope::Reserved),
    (v6([0x2001, 0, 0, 0], 0, 32), Scope::Public),
    (v6([0x2001, 1, 0, 0], 1, 128), Scope::Public),
    (v6([0x2001, 1, 0, 0], 2, 128), Scope::Public),
    (v6([0x2001, 1, 0, 0], 3, 128), Scope::Public),
    (v6([0x2001, 2, 0, 0], 0, 48), Scope::Benchmarking),
    (v6([0x2001, 3, 0, 0], 0, 32), Scope::Public),
    (v6([0x2001, 4, 0x112, 0], 0, 48), Scope::Public),
    (v6([0x2001, 0x20, 0, 0], 0, 28), Scope::Public),
    (v6([0x2001, 0x30, 0, 0], 0, 28), Scope::Public),
    (v6([0x2001, 0xdb8, 0, 0], 0, 32), Scope::Documentation),
    (v6([0x3fff, 0, 0, 0], 0, 20), Scope::Documentation),
    (v6([0x5f00, 0, 0, 0], 0, 16), Scope::Reserved),
    (v6([0xfc00, 0, 0, 0], 0, 7), Scope::UniqueLocal),
    (v6([0xfe80, 0, 0, 0], 0, 10), Scope::LinkLocal),
    (v6([0xff00, 0, 0, 0], 0, 8), Scope::Multicast),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn scopes() {
        let table = [
            ("20.61.97.128", Scope::Public),
            ("168.63.129.16", Scope::Public),
            ("10.240.1.4", Scope::Private),
            ("172.15.255.255", Scope::Public),
            ("172.16.0.1", Scope::Private),
            ("172.32.0.0", Scope::Public),
            ("192.168.0.1", Scope::Private),
            ("100.64.0.1", Scope::Shared),
            ("100.128.0.1", Scope::Public),
            ("169.254.10.10", Scope::LinkLocal),
            ("127.0.0.53", Scope::Loopback),
            ("0.0.0.0", Scope::Unspecified),
            ("192.0.0.8", Scope::Reserved),
            ("192.0.0.9", Scope::Public),
            ("203.0.113.7", Scope::Documentation),
            ("198.19.255.255", Scope::Benchmarking),
            ("224.0.0.1", Scope::Multicast),
            ("255.255.255.255", Scope::Reserved),
            ("2603:1020::1", Scope::Public),
            ("::", Scope::Unspecified),
            ("::1", Scope::Loopback),
            ("::ffff:10.0.0.1", Scope::Private),
            ("::ffff:20.61.97.128", Scope::Public),
            ("64:ff9b::1403:1", Scope::Public),
            ("64:ff9b:1::1", Scope::Reserved),
            ("2001::1", Scope::Public),
            ("2001:2::1", Scope::Benchmarking),
            ("2001:100::1", Scope::Reserved),
            ("2001:db8::1", Scope::Documentation),
            ("3fff:fff::1", Scope::Documentation),
            ("64:ff9b::10.240.1.4", Scope::Private),
            ("64:ff9b::203.0.113.4", Scope::Documentation),
            ("64:ff9b:0:1::10.240.1.4", Scope::Public),
            ("fd12::1", Scope::UniqueLocal),
            ("fe80::1", Scope::LinkLocal),
            ("ff02::fb", Scope::Multicast),
        ];
        for (text, expected) in table {
            assert_eq!(Scope::of(address(text)), expected, "{text}");
        }
    }

    #[test]
    fn expectations() {
        let private = Expectation::PrivateScope;
        let ranges = Expectation::Ranges(vec![
            "10.240.0.0/16".parse().unwrap(),
            "20.61.97.0/24".parse().unwrap(),
        ]);
        let table = [
            // address, in a private range, in the given ranges
            ("10.240.1.4", true, true),
            ("::ffff:10.240.1.4", true, true),
            ("10.241.0.4", true, false),
            ("100.64.0.4", true, false),
            ("20.61.97.128", false, true),
            ("203.0.113.7", false, false),
            ("0.0.0.0", false, false),
            ("127.0.0.1", false, false),
            ("2603:1020::1", false, false),
        ];
        for (text, in_scope, in_ranges) in table {
            assert_eq!(private.allows(address(text)), in_scope, "{text}");
            assert_eq!(ranges.allows(address(text)), in_ranges, "{text}");
            assert!(Expectation::Any.allows(address(text)), "{text}");
        }
    }
}
