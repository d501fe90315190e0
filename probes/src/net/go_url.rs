//! URLs as Go reads them: what `url.Parse` takes, where it finds the host, and what a reference leads to. Percent
//! signs and colons decide, and the standard of browsers differs in both.
//!
//! Source: Go `net/url/url.go` (`parse`, `getScheme`, `parseAuthority`, `parseHost`, `unescape`, `ResolveReference`),
//! `net/http/transport.go` (`roundTrip`).

use std::{borrow::Cow, net::IpAddr};

use url::{Host, Url};

/// The parts of a URL but its fragment.
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
    /// User, host and port as written.
    authority: String,
    /// As written.
    path: String,
    /// Behind a question mark, if there is one.
    query: Option<String>,
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
    let (rest, query) = match rest.split_once('?') {
        Some((rest, query)) => (rest, Some(query.to_owned())),
        None => (rest, None),
    };
    let mut url = GoUrl {
        scheme: scheme.to_ascii_lowercase(),
        query,
        ..GoUrl::default()
    };
    if !rest.starts_with('/') {
        let first = rest.split('/').next().unwrap_or_default();
        // With a scheme the rest is opaque; without one a colon is an error.
        let is_path = scheme.is_empty();
        if is_path {
            url.path = rest.to_owned();
        }
        return (!is_path || !first.contains(':') && unescape(rest, Part::Other).is_some())
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
            url.authority = authority.to_owned();
            url.user = match user {
                Some(user) => Some(self::user(user)?),
                None => None,
            };
            path
        }
    };
    unescape(path, Part::Other)?;
    url.path = path.to_owned();
    Some(url)
}

/// Why nobody is asked for a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoUrl {
    /// `url.Parse` refuses it.
    Refused,
    /// Neither http nor https, no host, or no such port: Go sends nothing.
    NotSent,
    /// Go would send a request that this crate's URLs cannot express: to another host, or for another path.
    Differs,
}

/// The URL that stands alone in `text`. Its query may be written in another way.
pub(crate) fn absolute(text: &str) -> Result<Url, NoUrl> {
    let mut to = parse(text).ok_or(NoUrl::Refused)?;
    // `removeEmptyPort`, which redirects do without.
    to.has_host = !(to.host.is_empty() && to.port.is_empty());
    let mut url = to.at(&to.scheme, &escaped(&to.path))?;
    url.set_query(to.query.as_deref());
    Ok(url)
}

/// The URL that Go's client asks for a `reference` in an answer of `from`.
pub(crate) fn resolve(from: &Url, reference: &str) -> Result<Url, NoUrl> {
    let to = parse(reference).ok_or(NoUrl::Refused)?;
    let scheme = match &*to.scheme {
        "" => from.scheme(),
        scheme => scheme,
    };
    let stands_alone = !to.scheme.is_empty() || to.has_host || to.user.is_some();
    let mut query = to.query.as_deref();
    let mut url = if stands_alone {
        to.at(scheme, &joined(&escaped(&to.path), ""))?
    } else {
        if to.path.is_empty() && query.is_none() {
            query = from.query().filter(|query| !query.is_empty());
        }
        let path = joined(from.path(), &escaped(&to.path));
        let mut url = from.clone();
        url.set_path(&path);
        (url.path() == path).then_some(url).ok_or(NoUrl::Differs)?
    };
    url.set_fragment(None);
    url.set_query(query);
    (url.query() == query).then_some(url).ok_or(NoUrl::Differs)
}

/// The parameters of a query, without those that Go does not read.
pub(crate) fn parameters(query: &str) -> Vec<(String, String)> {
    let pairs = query
        .split('&')
        .filter(|pair| !pair.is_empty() && !pair.contains(';'));
    let parts = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let decoded = |text: &str| unescape(&text.replace('+', " "), Part::Other);
    parts
        .filter_map(|(name, value)| Some((decoded(name)?, decoded(value)?)))
        .collect()
}

impl GoUrl {
    /// Its user, host and port with this scheme and path.
    fn at(&self, scheme: &str, path: &str) -> Result<Url, NoUrl> {
        let is_port = self.port.is_empty() || self.port.parse::<u16>().is_ok();
        if !matches!(scheme, "http" | "https") || !self.has_host || !is_port {
            return Err(NoUrl::NotSent);
        }
        let text = [scheme, "://", &self.authority, path].concat();
        let url = Url::parse(&text).map_err(|_| NoUrl::Differs)?;
        let path = if path.is_empty() { "/" } else { path };
        let has_user = !url.username().is_empty() || url.password().is_some();
        let is_same = url.path() == path && self.is_at(&url) && has_user == self.user.is_some();
        is_same.then_some(url).ok_or(NoUrl::Differs)
    }

    /// Whether `url` has this host and port. An IPv6 address in another notation is another host to Go.
    fn is_at(&self, url: &Url) -> bool {
        let is_host = match url.host() {
            Some(Host::Domain(name)) => self.host.eq_ignore_ascii_case(name),
            Some(Host::Ipv4(address)) => self.host.parse() == Ok(address),
            Some(Host::Ipv6(address)) => self.host == address.to_string(),
            None => false,
        };
        let default = if url.scheme() == "http" { 80 } else { 443 };
        let port = match &*self.port {
            "" => Some(default),
            digits => digits.parse().ok(),
        };
        is_host && url.port_or_known_default() == port
    }
}

/// A path as Go sends it: as written, unless a character in it has to be escaped.
fn escaped(path: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@".contains(&byte);
    if path
        .bytes()
        .all(|byte| is_plain(byte) || b"!'()*[]%".contains(&byte))
    {
        return Cow::Borrowed(path);
    }
    let mut escaped = String::with_capacity(path.len());
    for byte in decoded(path, Part::Other).unwrap_or_default() {
        match is_plain(byte) {
            true => escaped.push(char::from(byte)),
            false => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    Cow::Owned(escaped)
}

/// `resolvePath`.
fn joined(base: &str, reference: &str) -> String {
    let folder = base.rfind('/').map_or("", |at| &base[..=at]);
    let full = match reference {
        "" => base.to_owned(),
        reference if reference.starts_with('/') => reference.to_owned(),
        reference => [folder, reference].concat(),
    };
    if full.is_empty() {
        return full;
    }
    let mut path = "/".to_owned();
    let mut is_first = true;
    for element in full.split('/') {
        match element {
            "." => is_first = false,
            ".." => {
                path.truncate(path[1..].rfind('/').map_or(1, |at| at + 1));
                is_first = path.len() == 1;
            }
            element => {
                if !is_first {
                    path.push('/');
                }
                path.push_str(element);
                is_first = false;
            }
        }
    }
    if matches!(full.rsplit('/').next(), Some("." | "..")) {
        path.push('/');
    }
    match path.starts_with("//") {
        true => path.split_off(1),
        false => path,
    }
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
    let bytes = decoded(text, part)?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn decoded(text: &str, part: Part) -> Option<Vec<u8>> {
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
    Some(bytes)
}

fn is_of_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.~!$&'()*+,;=:[]<>\"".contains(&byte)
}

#[cfg(test)]
mod tests;
