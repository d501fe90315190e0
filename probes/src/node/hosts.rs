//! `/etc/hosts` as Go's resolver reads it (`net/hosts.go`). Its entries win over every nameserver, so
//! `go_resolver` uses it first and the diagnosis compares it with what the nameservers answer.

use std::collections::HashMap;
use std::net::IpAddr;

/// The addresses that a hosts file gives to names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts {
    by_name: HashMap<String, Vec<IpAddr>>,
}

impl Hosts {
    /// Parses a hosts file. It never fails, and neither does Go: a line that does not start with an
    /// address is skipped.
    ///
    /// The zone of a link-local address (`fe80::1%eth0`) is dropped, because no registry has such an
    /// address.
    pub fn parse(text: &str) -> Self {
        let mut hosts = Self::default();
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default();
            let mut fields = line
                .split([' ', '\t', '\r'])
                .filter(|field| !field.is_empty());
            let Some(address) = fields.next().and_then(address) else {
                continue;
            };
            for name in fields {
                hosts.by_name.entry(key(name)).or_default().push(address);
            }
        }
        hosts
    }

    /// The addresses of `name`, in the order of the file; empty if the file does not list it. Case does
    /// not matter.
    pub fn lookup(&self, name: &str) -> &[IpAddr] {
        self.by_name.get(&key(name)).map_or(&[], Vec::as_slice)
    }
}

fn address(field: &str) -> Option<IpAddr> {
    let address = match field.split_once('%') {
        Some((_, "")) => return None,
        Some((address, _)) => IpAddr::V6(address.parse().ok()?),
        None => field.parse().ok()?,
    };
    Some(address.to_canonical())
}

/// Names with a dot are the same with and without a trailing dot; `localhost` and `localhost.` are not.
fn key(name: &str) -> String {
    let mut key = name.to_ascii_lowercase();
    if key.contains('.') && !key.ends_with('.') {
        key.push('.');
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
127.0.0.1 localhost
::1       localhost ip6-localhost\t# two names
10.240.1.4 Contoso.azurecr.io contoso.westeurope.data.azurecr.io
10.240.1.5 contoso.azurecr.io
#10.240.1.6 contoso.azurecr.io
10.240.1.7#contoso.azurecr.io
::ffff:10.240.1.8 mapped.example
fe80::1%eth0 link.example
fe80::2% broken.example
10.1 short.example
not-an-address word.example
";

    #[test]
    fn names_and_their_addresses() {
        let table: &[(&str, &[&str])] = &[
            ("localhost", &["127.0.0.1", "::1"]),
            ("localhost.", &[]),
            ("IP6-localhost", &["::1"]),
            ("contoso.azurecr.io", &["10.240.1.4", "10.240.1.5"]),
            ("CONTOSO.azurecr.io.", &["10.240.1.4", "10.240.1.5"]),
            ("contoso.westeurope.data.azurecr.io", &["10.240.1.4"]),
            ("mapped.example", &["10.240.1.8"]),
            ("link.example", &["fe80::1"]),
            ("broken.example", &[]),
            ("short.example", &[]),
            ("word.example", &[]),
            ("", &[]),
        ];
        let hosts = Hosts::parse(FILE);
        for (name, expected) in table {
            let found: Vec<_> = hosts.lookup(name).iter().map(ToString::to_string).collect();
            assert_eq!(found, *expected, "{name:?}");
        }
    }
}
