//! `WWW-Authenticate` as containerd reads it: one challenge a line, Bearer first.
//!
//! Source: containerd `core/remotes/docker/auth/parse.go`.

use hyper::{HeaderMap, header::WWW_AUTHENTICATE};

/// A challenge that an anonymous pull can answer, or has to pass over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KnownChallenge {
    pub is_bearer: bool,
    parameters: Vec<(String, String)>,
}

impl KnownChallenge {
    /// The last of this name counts.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let named = self.parameters.iter().rev().find(|(key, _)| key == name);
        named.map(|(_, value)| value.as_str())
    }
}

/// All challenges of known schemes.
pub(super) fn challenges(headers: &HeaderMap) -> Vec<KnownChallenge> {
    let lines = headers.get_all(WWW_AUTHENTICATE).iter();
    let mut challenges: Vec<_> = lines
        .filter_map(|line| challenge(&String::from_utf8_lossy(line.as_bytes())))
        .collect();
    challenges.sort_by_key(|challenge| !challenge.is_bearer);
    challenges
}

fn challenge(line: &str) -> Option<KnownChallenge> {
    let (scheme, mut rest) = token(line);
    let is_bearer = match scheme.to_ascii_lowercase().as_str() {
        "bearer" => true,
        "basic" => false,
        _ => return None,
    };
    let mut parameters = Vec::new();
    loop {
        let (name, after) = token(rest.trim_start_matches(SPACE));
        let Some(value) = after.strip_prefix('=').filter(|_| !name.is_empty()) else {
            break;
        };
        let (value, after) = token_or_quoted(value);
        parameters.push((name.to_ascii_lowercase(), value));
        match after.trim_start_matches(SPACE).strip_prefix(',') {
            Some(after) => rest = after,
            None => break,
        }
    }
    Some(KnownChallenge {
        is_bearer,
        parameters,
    })
}

const SPACE: [char; 4] = [' ', '\t', '\r', '\n'];

fn token(text: &str) -> (&str, &str) {
    let is_part = |c: char| c.is_ascii_graphic() && !"\"(),/:;<=>?@[]\\{}".contains(c);
    text.split_at(text.find(|c| !is_part(c)).unwrap_or(text.len()))
}

/// A quotation without an end is empty, and so is what follows it.
fn token_or_quoted(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = token(text);
        return (value.to_owned(), rest);
    };
    let mut value = String::new();
    let mut escaped = false;
    for (at, c) in quoted.char_indices() {
        match c {
            _ if escaped => {
                escaped = false;
                value.push(c);
            }
            '\\' => escaped = true,
            '"' => return (value, &quoted[at + 1..]),
            c => value.push(c),
        }
    }
    (String::new(), "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read_as_containerd_reads_them() {
        let read = |line: &str| challenge(line).map(|challenge| challenge.parameters);
        let pairs = |pairs: &[(&str, &str)]| {
            let owned = pairs
                .iter()
                .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()));
            Some(owned.collect::<Vec<_>>())
        };
        assert_eq!(
            read(r#"Bearer realm="https://a/t",SERVICE=b , scope="x \"y\"""#),
            pairs(&[
                ("realm", "https://a/t"),
                ("service", "b"),
                ("scope", "x \"y\"")
            ])
        );
        // Two challenges in one line: the second is lost, as in containerd.
        assert_eq!(
            read(r#"Basic realm="x", Bearer realm="https://a""#),
            pairs(&[("realm", "x")])
        );
        assert_eq!(read("Negotiate abc"), None);
        assert_eq!(read(r#"Bearer realm="open"#), pairs(&[("realm", "")]));
    }
}
