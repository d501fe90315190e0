//! Removes secrets from what others say before anything prints it: signed queries and user information
//! in URLs, and whatever looks like credentials or a token in a sentence.

use std::collections::BTreeSet;

use url::{Position, Url, form_urlencoded::Serializer};

/// Schemes of `Authorization`: what follows them is a credential.
const SCHEMES: [&str; 2] = ["bearer", "basic"];
/// Names whose values are secrets.
const NAMES: [&str; 7] = [
    "access_token",
    "authorization",
    "password",
    "refresh_token",
    "secret",
    "sig",
    "token",
];
/// A random-looking word of at least this many characters may be a token.
const RANDOM: usize = 32;

/// `url` with its query, fragment and user information replaced.
pub fn redacted(url: &str) -> String {
    let (head, hidden) = match url.find(['?', '#']) {
        Some(at) => (&url[..at], "?…"),
        None => (url, ""),
    };
    let head = match head.split_once("//") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            match authority.rsplit_once('@') {
                Some((_, host)) => format!("{scheme}//…@{host}{path}"),
                None => head.to_owned(),
            }
        }
        None => head.to_owned(),
    };
    head + hidden
}

/// Parameters of a registry's own URLs, whose values are worth showing.
const OPEN: [&str; 3] = ["ns", "scope", "service"];

/// `url` as a client prints it, but for user information, fragment and the values of parameters that may be secret.
pub(crate) fn shown(url: &Url) -> String {
    let path = redacted(&url[..Position::AfterPath]);
    let Some(query) = url.query() else {
        return path;
    };
    let pairs = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) if OPEN.contains(&name) => pair.to_owned(),
        Some((name, _)) => format!("{name}=…"),
        None => "…".to_owned(),
    });
    let pairs: Vec<_> = pairs.collect();
    format!("{path}?{}", pairs.join("&"))
}

/// `url` as CRI prints it, which hides the values of its query and sorts its parameters.
pub(crate) fn without_values(url: &Url) -> String {
    let path = redacted(&url[..Position::AfterPath]);
    let names: BTreeSet<_> = url.query_pairs().map(|(name, _)| name).collect();
    if names.is_empty() {
        return path;
    }
    let hidden = names.iter().map(|name| (name, "[REDACTED]"));
    let query = Serializer::new(String::new()).extend_pairs(hidden).finish();
    format!("{path}?{query}")
}

/// A peer's sentence without the secrets of URLs, credentials and tokens. It cannot recognise
/// everything: a password that stands alone stays.
pub(crate) fn without_secrets(text: &str) -> String {
    let mut after_scheme = false;
    let mut clean = String::with_capacity(text.len());
    for (place, word) in text.split(' ').enumerate() {
        let bare = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        let is_scheme = SCHEMES
            .iter()
            .any(|scheme| bare.eq_ignore_ascii_case(scheme));
        let hidden = std::mem::replace(&mut after_scheme, is_scheme) && !is_scheme;
        if place > 0 {
            clean.push(' ');
        }
        match word {
            _ if hidden || looks_random(bare) => clean.push('…'),
            url if url.contains("://") || url.contains('?') && url.contains('=') => {
                clean.push_str(&redacted(url));
            }
            pairs => push_without_values(pairs, &mut clean),
        }
    }
    clean
}

/// `sig=…` for `sig=abc`, also if it is one of several pairs.
fn push_without_values(word: &str, clean: &mut String) {
    for (place, part) in word.split('&').enumerate() {
        if place > 0 {
            clean.push('&');
        }
        let secret = part.split_once(['=', ':']).filter(|(name, value)| {
            let bare = name.trim_matches(|c: char| !c.is_ascii_alphanumeric());
            let known = NAMES.iter().any(|known| bare.eq_ignore_ascii_case(known));
            known && !value.is_empty()
        });
        match secret {
            Some((name, _)) => {
                clean.push_str(&part[..=name.len()]);
                clean.push('…');
            }
            None => clean.push_str(part),
        }
    }
}

/// Mixes letters and digits as base64 does; host names, ids and digests do not.
fn looks_random(word: &str) -> bool {
    let of_base64 = |c: char| c.is_ascii_alphanumeric() || "+/-_.~=".contains(c);
    let has = |kind: fn(&char) -> bool| word.chars().any(|c| kind(&c));
    word.len() >= RANDOM
        && word.chars().all(of_base64)
        && has(char::is_ascii_lowercase)
        && has(char::is_ascii_uppercase)
        && has(char::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peers_text_keeps_no_secrets() {
        for (said, clean) in [
            (
                "see https://a.example/b?sig=x or http://u:p@h.example/ Bearer abc.def now",
                "see https://a.example/b?… or http://…@h.example/ Bearer … now",
            ),
            (
                "Authorization: \"Basic cmVhZGVyOnNlY3JldA==\" is wrong",
                "Authorization: \"Basic … is wrong",
            ),
            ("no blob at /b?se=2099&sig=x", "no blob at /b?…"),
            ("sr=b&sig=x&se=2099 token=abc", "sr=b&sig=…&se=2099 token=…"),
            (
                "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.e30.c2lnbmF0dXJl is not valid",
                "… is not valid",
            ),
            (
                "the token 5d41402abc4b2a76b9719d911017c592 of \
                 contoso.westeurope.data.privatelink.azurecr.io, realm=a",
                "the token 5d41402abc4b2a76b9719d911017c592 of \
                 contoso.westeurope.data.privatelink.azurecr.io, realm=a",
            ),
            (
                "challenge: Bearer realm=\"https://auth.example/token\"",
                "challenge: Bearer …",
            ),
        ] {
            assert_eq!(without_secrets(said), clean);
        }
    }

    #[test]
    fn a_printed_url_keeps_what_tells_nothing() {
        for (url, printed) in [
            (
                "https://t.example/token?scope=repository%3Aa%3Apull&service=r",
                "https://t.example/token?scope=repository%3Aa%3Apull&service=r",
            ),
            (
                "https://u:p@s.example/blob?sig=x&se=2099&flag#end",
                "https://…@s.example/blob?sig=…&se=…&…",
            ),
            ("https://r.example/v2/", "https://r.example/v2/"),
        ] {
            assert_eq!(shown(&Url::parse(url).unwrap()), printed);
        }
    }

    #[test]
    fn a_url_keeps_no_secrets() {
        for (url, shown) in [
            (
                "https://contoso.azurecr.io/v2/",
                "https://contoso.azurecr.io/v2/",
            ),
            (
                "https://data.example/blob?sig=abc",
                "https://data.example/blob?…",
            ),
            (
                "https://user:pass@proxy.example:3128",
                "https://…@proxy.example:3128",
            ),
            ("//a@b@host/path#x", "//…@host/path?…"),
            ("/relative?token=1", "/relative?…"),
        ] {
            assert_eq!(redacted(url), shown);
        }
    }
}
