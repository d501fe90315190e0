//! URLs as Go reads them: what `url.Parse` takes, and where it finds the host. Percent signs and colons decide, and
//! the standard of browsers differs in both.
//!
//! Source: Go `net/url/url.go` (`parse`, `getScheme`, `parseAuthority`, `parseHost`, `unescape`).

use std::net::IpAddr;

/// The parts of a URL before its path.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct GoUrl {
    /// In lower case; empty if the URL has none.
    pub scheme: String,
    pub user: Option<User>,
    /// Without brackets; empty if the URL has none.
    pub host: String,
    /// Digits; empty if the URL has none.
    pub port: String,
    /// Whether `URL.Host`, with its port, is not empty: a colon is enough.
    pub has_host: bool,
}

/// User name and password, decoded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub name: String,
    pub password: String,
}

/// What `url.Parse` makes of `text`; `None` for an error.
pub(crate) fn parse(text: &str) -> Option<GoUrl> {
    let (text, fragment) = text.split_once('#').unwrap_or((text, ""));
    unescape(fragment, Part::Other)?;
    if text.bytes().any(|byte| byte.is_ascii_control()) {
        return None;
    }
    let (scheme, rest) = scheme(text)?;
    let rest = rest.split_once('?').map_or(rest, |(rest, _)| rest);
    let mut url = GoUrl {
        scheme: scheme.to_ascii_lowercase(),
        ..GoUrl::default()
    };
    if !rest.starts_with('/') {
        let first = rest.split('/').next().unwrap_or_default();
        // With a scheme the rest is opaque; without one a colon is an error.
        return (!scheme.is_empty()
            || !first.contains(':') && unescape(rest, Part::Other).is_some())
        .then_some(url);
    }
    let has_authority = !scheme.is_empty() || !rest.starts_with("///");
    let path = match rest.strip_prefix("//").filter(|_| has_authority) {
        None => rest,
        Some(rest) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let (user, host) = match authority.rsplit_once('@') {
                Some((user, host)) => (Some(user), host),
                None => (None, authority),
            };
            (url.host, url.port) = host_and_port(host, &url.scheme)?;
            url.has_host = !host.is_empty();
            url.user = match user {
                Some(user) => Some(self::user(user)?),
                None => None,
            };
            path
        }
    };
    unescape(path, Part::Other)?;
    Some(url)
}

fn scheme(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && !"+-.".contains(c));
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic());
    match end {
        Some(0) if text.starts_with(':') => None,
        Some(end) if begins && text[end..].starts_with(':') => {
            Some((&text[..end], &text[end + 1..]))
        }
        _ => Some(("", text)),
    }
}

fn user(text: &str) -> Option<User> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-._:~!$&'()*+,;=%@".contains(c);
    if !text.chars().all(is_allowed) {
        return None;
    }
    let (name, password) = text.split_once(':').unwrap_or((text, ""));
    Some(User {
        name: unescape(name, Part::Other)?,
        password: unescape(password, Part::Other)?,
    })
}

fn host_and_port(text: &str, scheme: &str) -> Option<(String, String)> {
    let (host, port) = match text.rfind('[') {
        Some(0) => {
            let (inside, port) = text[1..].split_at(text.rfind(']')?.checked_sub(1)?);
            let (address, zone) = match inside.find("%25") {
                Some(at) => inside.split_at(at),
                None => (inside, ""),
            };
            let address = unescape(address, Part::Host)?;
            address.parse().ok().filter(IpAddr::is_ipv6)?;
            let host = address + &unescape(zone, Part::Zone)?;
            return Some((host, port_of(&port[1..])?.to_owned()));
        }
        Some(_) => return None,
        None => match (text.find(':'), text.rfind(':')) {
            (Some(first), _) if matches!(scheme, "http" | "https") => text.split_at(first),
            (_, Some(last)) => text.split_at(last),
            _ => (text, ""),
        },
    };
    Some((unescape(host, Part::Host)?, port_of(port)?.to_owned()))
}

/// The digits of `:port`, or of nothing.
fn port_of(text: &str) -> Option<&str> {
    let digits = match text {
        "" => "",
        text => text.strip_prefix(':')?,
    };
    let are_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    are_digits.then_some(digits)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Only bytes beyond ASCII may be escaped, and some characters must not be there.
    Host,
    /// Only what a host may have may be there, escaped or not, and an escaped percent sign or space.
    Zone,
    Other,
}

fn unescape(text: &str, part: Part) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first == b'%' {
            let [high, low, after @ ..] = rest else {
                return None;
            };
            rest = after;
            let digit = |digit: u8| char::from(digit).to_digit(16);
            let byte = u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()?;
            let is_allowed = match part {
                Part::Host => byte >= 0x80 || byte == b'%',
                Part::Zone => is_of_host(byte) || b"% ".contains(&byte),
                Part::Other => true,
            };
            if !is_allowed {
                return None;
            }
            bytes.push(byte);
        } else if part != Part::Other && first.is_ascii() && !is_of_host(*first) {
            return None;
        } else {
            bytes.push(*first);
        }
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn is_of_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.~!$&'()*+,;=:[]<>\"".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `scheme host port user:password`, or nothing for an error; checked against Go 1.26.
    #[test]
    fn urls_as_go_reads_them() {
        #[rustfmt::skip]
        let table = [
            ("http://proxy:3128", "http proxy 3128"),
            ("HTTP://Proxy", "http Proxy "),
            ("http://user:p%40ss@proxy:3128/", "http proxy 3128 user:p@ss"),
            ("http://user:p%40ss%w%23rd@proxy:3128", ""),
            ("http://us er@proxy", ""),
            ("http://user@proxy", "http proxy  user:"),
            ("http://a@b:c@proxy", "http proxy  a@b:c"),
            ("http://proxy:port", ""),
            ("http://proxy:", "http proxy "),
            ("http://a:1:2", ""),
            ("socks://a:1:2", "socks a:1 2"),
            ("http://socks://proxy:1080", "http socks "),
            ("http://[fd00::9]:3128", "http fd00::9 3128"),
            ("http://[fd00::9%25eth0]", "http fd00::9%eth0 "),
            ("http://[10.0.0.1]:80", ""),
            ("http://[proxy]", ""),
            ("http://a[b]", ""),
            ("http://pro xy", ""),
            ("http://pro%41xy", ""),
            ("http://pro%c3%bcfer", "http proüfer "),
            ("http://proxy/%zz", ""),
            ("http://proxy?%zz", "http proxy "),
            ("http://proxy#%zz", ""),
            ("http://pro\nxy", ""),
            ("proxy:3128", "proxy  "),
            ("proxy.corp", "  "),
            ("10.0.0.9:3128", ""),
            ("user:pass@proxy:3128", "user  "),
            ("//proxy:3128", " proxy 3128"),
            ("///proxy", "  "),
            (":3128", ""),
            ("", "  "),
        ];
        for (text, expected) in table {
            let read = parse(text).map(|url| {
                let user = url
                    .user
                    .map(|user| format!(" {}:{}", user.name, user.password));
                let GoUrl {
                    scheme, host, port, ..
                } = url;
                format!("{scheme} {host} {port}{}", user.unwrap_or_default())
            });
            assert_eq!(read.unwrap_or_default(), expected, "{text:?}");
        }
    }
}
