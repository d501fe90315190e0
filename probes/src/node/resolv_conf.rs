//! `/etc/resolv.conf` as Go's resolver reads it, because containerd looks up names by Go's rules and
//! not by glibc's. The survey takes its nameservers from here, and `go_resolver` its order, waits and
//! names. Pure: it opens no file and asks no nameserver.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use crate::words::endpoint::Origin;

/// The standard port of a nameserver.
const DNS_PORT: u16 = 53;
/// Whom Go asks where no line names a nameserver (`defaultNS` in `net/dnsconfig.go`).
const DEFAULT_NAMESERVERS: &[SocketAddr] = &[
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), DNS_PORT),
    SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), DNS_PORT),
];
/// Further `nameserver` lines are ignored.
const MAX_NAMESERVERS: usize = 3;
/// Larger values of `ndots` are lowered to this.
const MAX_NDOTS: u32 = 15;
/// The longest fully qualified name that is asked for, including its trailing dot.
const MAX_NAME: usize = 254;

/// What a resolv.conf configures. Source of every rule: Go's `net/dnsconfig_unix.go`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvConf {
    /// As configured and in order, at most three. Empty if the file names none.
    pub nameservers: Vec<SocketAddr>,
    /// Search suffixes, each with its trailing dot. The last `search` or `domain` line wins.
    pub search: Vec<String>,
    /// A name with at least this many dots is tried as it is before the search list is.
    pub ndots: u32,
    /// How long one question to one nameserver may take.
    pub timeout: Duration,
    /// How many times the list of nameservers is gone through.
    pub attempts: u32,
    /// Each question starts one nameserver later in the list.
    pub rotate: bool,
    /// Questions go over TCP only.
    pub use_vc: bool,
    /// A and AAAA are asked one after the other instead of at the same time.
    pub single_request: bool,
}

impl ResolvConf {
    /// Parses a resolv.conf. It never fails, and neither does Go: what is not understood is skipped.
    ///
    /// `zone_index` returns the index of the interface that an IPv6 zone names (`fe80::1%eth0`); a zone
    /// that it does not know is read as a number, or as 0.
    ///
    /// One extension: OpenBSD's `nameserver [127.0.0.1]:5353`. Go skips that line.
    pub fn parse(text: &str, zone_index: impl Fn(&str) -> Option<u32>) -> Self {
        let mut conf = Self::default();
        for line in text.lines().filter(|line| !line.starts_with([';', '#'])) {
            let mut fields = line
                .split([' ', '\t', '\r'])
                .filter(|field| !field.is_empty());
            match fields.next() {
                Some("nameserver") if conf.nameservers.len() < MAX_NAMESERVERS => {
                    conf.nameservers.extend(
                        fields
                            .next()
                            .and_then(|field| nameserver(field, &zone_index)),
                    );
                }
                Some("domain") => {
                    if let Some(domain) = fields.next() {
                        conf.search = vec![rooted(domain)];
                    }
                }
                Some("search") => {
                    conf.search = fields.map(rooted).filter(|suffix| suffix != ".").collect()
                }
                Some("options") => fields.for_each(|option| conf.set(option)),
                _ => {}
            }
        }
        conf
    }

    /// The nameservers that Go asks, in order: those that the file names, else 127.0.0.1 and ::1.
    pub fn asked(&self) -> &[SocketAddr] {
        match &*self.nameservers {
            [] => DEFAULT_NAMESERVERS,
            named => named,
        }
    }

    /// Who named those.
    pub fn origin(&self) -> Origin {
        match self.nameservers.is_empty() {
            true => Origin::Default,
            false => Origin::Node,
        }
    }

    /// The fully qualified names that Go asks for, in order, to look up `host` (`nameList` in
    /// `net/dnsclient_unix.go`). Empty if the name is too long or must not be sent to the DNS
    /// (`.onion`, RFC 7686).
    pub fn names(&self, host: &str) -> Vec<String> {
        let is_rooted = host.ends_with('.');
        if host.len() > MAX_NAME || (host.len() == MAX_NAME && !is_rooted) {
            return Vec::new();
        }
        if is_rooted {
            return Some(host.to_owned())
                .filter(|name| is_for_dns(name))
                .into_iter()
                .collect();
        }

        let absolute = rooted(host);
        let suffixed = self
            .search
            .iter()
            .map(|suffix| format!("{absolute}{suffix}"));
        let mut names: Vec<_> = suffixed.filter(|name| name.len() <= MAX_NAME).collect();
        let has_ndots = host.matches('.').count() >= self.ndots as usize;
        names.insert(if has_ndots { 0 } else { names.len() }, absolute);
        names.retain(|name| is_for_dns(name));
        names
    }

    fn set(&mut self, option: &str) {
        match option.split_once(':') {
            Some(("ndots", n)) => self.ndots = leading_number(n).min(MAX_NDOTS),
            Some(("timeout", n)) => {
                self.timeout = Duration::from_secs(leading_number(n).max(1).into())
            }
            Some(("attempts", n)) => self.attempts = leading_number(n).max(1),
            Some(_) => {}
            None => match option {
                "rotate" => self.rotate = true,
                "use-vc" | "usevc" | "tcp" => self.use_vc = true,
                "single-request" | "single-request-reopen" => self.single_request = true,
                _ => {}
            },
        }
    }
}

/// The settings of an empty file.
impl Default for ResolvConf {
    fn default() -> Self {
        Self {
            nameservers: Vec::new(),
            search: Vec::new(),
            ndots: 1,
            timeout: Duration::from_secs(5),
            attempts: 2,
            rotate: false,
            use_vc: false,
            single_request: false,
        }
    }
}

fn nameserver(field: &str, zone_index: impl Fn(&str) -> Option<u32>) -> Option<SocketAddr> {
    let (address, port) = match field
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("]:"))
    {
        Some((address, port)) => (address, port.parse().ok()?),
        None => (field, DNS_PORT),
    };
    let Some((address, zone)) = address.split_once('%') else {
        return Some(SocketAddr::new(address.parse().ok()?, port));
    };
    if zone.is_empty() {
        return None;
    }
    let scope_id = zone_index(zone).unwrap_or_else(|| leading_number(zone));
    Some(SocketAddrV6::new(address.parse().ok()?, port, 0, scope_id).into())
}

fn rooted(name: &str) -> String {
    if name.ends_with('.') {
        name.to_owned()
    } else {
        format!("{name}.")
    }
}

/// Whether the name can be asked for. Go keeps `.onion` out of the DNS, and goes on if a search suffix
/// does not make a valid name.
fn is_for_dns(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name).as_bytes();
    let onion = name.len().checked_sub(".onion".len()).map(|at| &name[at..]);
    let label =
        |label: &[u8]| (1..=63).contains(&label.len()) && label.iter().all(u8::is_ascii_graphic);
    name.split(|byte| *byte == b'.').all(label)
        && !onion.is_some_and(|tail| tail.eq_ignore_ascii_case(b".onion"))
}

/// The number that `text` starts with; 0 if there is none, and never more than Go's ceiling.
fn leading_number(text: &str) -> u32 {
    const CEILING: u32 = 0xff_ffff;
    text.bytes()
        .map_while(|byte| char::from(byte).to_digit(10))
        .fold(0_u32, |number, digit| {
            number.saturating_mul(10).saturating_add(digit)
        })
        .min(CEILING)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> ResolvConf {
        ResolvConf::parse(text, |zone| (zone == "eth0").then_some(2))
    }

    fn nameservers(text: &str) -> Vec<String> {
        parse(text)
            .nameservers
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn an_aks_node() {
        let conf = parse(
            "# written by systemd-resolved\n\
             nameserver 168.63.129.16\n\
             search abc.ax.internal.cloudapp.net\n\
             options edns0 trust-ad\n",
        );
        let expected = ResolvConf {
            nameservers: vec!["168.63.129.16:53".parse().unwrap()],
            search: vec!["abc.ax.internal.cloudapp.net.".to_owned()],
            ..ResolvConf::default()
        };
        assert_eq!(conf, expected);
    }

    #[test]
    fn nameserver_lines() {
        let table: &[(&str, &[&str])] = &[
            ("", &[]),
            ("nameserver", &[]),
            ("nameserver dns.example", &[]),
            ("nameserver 10.0.0.10 # the cluster's", &["10.0.0.10:53"]),
            ("  nameserver\t10.0.0.10\r\n", &["10.0.0.10:53"]),
            ("#nameserver 10.0.0.10", &[]),
            (";nameserver 10.0.0.10", &[]),
            ("nameserver 010.0.0.10", &[]),
            ("nameserver 10.0.0.10:53", &[]),
            ("nameserver 2001:db8::53", &["[2001:db8::53]:53"]),
            ("nameserver fe80::1%eth0", &["[fe80::1%2]:53"]),
            ("nameserver fe80::1%7", &["[fe80::1%7]:53"]),
            ("nameserver fe80::1%wlan0", &["[fe80::1]:53"]),
            ("nameserver fe80::1%", &[]),
            ("nameserver [127.0.0.1]:5353", &["127.0.0.1:5353"]),
            ("nameserver [::1]:5353", &["[::1]:5353"]),
            ("nameserver [::1]:none", &[]),
            (
                "nameserver 10.0.0.1\nnameserver bad\nnameserver 10.0.0.2\nnameserver 10.0.0.3\nnameserver 10.0.0.4",
                &["10.0.0.1:53", "10.0.0.2:53", "10.0.0.3:53"],
            ),
        ];
        for (text, expected) in table {
            assert_eq!(nameservers(text), *expected, "{text:?}");
        }
    }

    #[test]
    fn without_a_nameserver_go_asks_the_node_itself() {
        let (named, default): (&[_], &[_]) = (&["10.0.0.10:53"], &["127.0.0.1:53", "[::1]:53"]);
        for (text, expected) in [
            ("", default),
            ("# nameserver 10.0.0.10\nsearch a.example", default),
            ("nameserver dns.example\nnameserver 010.0.0.10", default),
            ("nameserver dns.example\nnameserver 10.0.0.10", named),
        ] {
            let asked: Vec<_> = parse(text)
                .asked()
                .iter()
                .map(ToString::to_string)
                .collect();
            assert_eq!(asked, expected, "{text:?}");
        }
    }

    #[test]
    fn the_last_search_or_domain_wins() {
        #[rustfmt::skip]
        let table: &[(&str, &[&str])] = &[
            ("search a.example b.example.", &["a.example.", "b.example."]),
            ("search a.example\ndomain b.example", &["b.example."]),
            ("domain b.example ignored\n", &["b.example."]),
            ("search a.example\nsearch", &[]),
            ("search a.example\ndomain", &["a.example."]),
            ("search . a.example", &["a.example."]),
            ("search a.example # no comment to Go", &["a.example.", "#.", "no.", "comment.", "to.", "Go."]),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text).search, *expected, "{text:?}");
        }
    }

    #[test]
    fn options() {
        let default = ResolvConf::default;
        #[rustfmt::skip]
        let table = [
            ("options ndots:5", ResolvConf { ndots: 5, ..default() }),
            ("options ndots:99", ResolvConf { ndots: 15, ..default() }),
            ("options ndots:-1", ResolvConf { ndots: 0, ..default() }),
            ("options ndots:2x", ResolvConf { ndots: 2, ..default() }),
            (
                "options timeout:1 attempts:3",
                ResolvConf {
                    timeout: Duration::from_secs(1),
                    attempts: 3,
                    ..default()
                },
            ),
            (
                "options timeout:0 attempts:0",
                ResolvConf {
                    timeout: Duration::from_secs(1),
                    attempts: 1,
                    ..default()
                },
            ),
            ("options attempts:99999999999", ResolvConf { attempts: 0xff_ffff, ..default() }),
            ("options rotate\noptions use-vc", ResolvConf { rotate: true, use_vc: true, ..default() }),
            ("options single-request-reopen", ResolvConf { single_request: true, ..default() }),
            ("options unheard-of", default()),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text), expected, "{text:?}");
        }
    }

    #[test]
    fn names_in_the_order_go_asks_for_them() {
        #[rustfmt::skip]
        let table: &[(&str, &str, &[&str])] = &[
            ("", "contoso.azurecr.io", &["contoso.azurecr.io."]),
            ("search a.example", "contoso.azurecr.io", &["contoso.azurecr.io.", "contoso.azurecr.io.a.example."]),
            ("search a.example", "contoso.azurecr.io.", &["contoso.azurecr.io."]),
            ("search a.example b.example", "contoso", &["contoso.a.example.", "contoso.b.example.", "contoso."]),
            (
                "search a.example\noptions ndots:5",
                "contoso.azurecr.io",
                &["contoso.azurecr.io.a.example.", "contoso.azurecr.io."],
            ),
            ("search a.example", "hidden.ONION", &["hidden.ONION.a.example."]),
            ("", "hidden.onion.", &[]),
            ("", "", &[]),
        ];
        for (text, host, expected) in table {
            assert_eq!(parse(text).names(host), *expected, "{text:?} {host:?}");
        }
    }

    #[test]
    fn names_that_are_too_long_are_left_out() {
        let conf = parse("search a.example");
        let label = "x".repeat(49);
        let long = [&*label; 5].join(".");
        assert_eq!(long.len(), 249);
        assert_eq!(conf.names(&long), [format!("{long}.")]);
        assert!(conf.names(&format!("{long}.{label}")).is_empty());
    }
}
