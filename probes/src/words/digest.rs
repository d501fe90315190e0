//! The name of content in a registry: a hash of itself (OCI image specification, "Digests"). A digest
//! is safe in a path, because nothing else passes the parser.

use std::fmt;

use aws_lc_rs::digest::{self, Algorithm, SHA256, SHA384, SHA512};

/// A checked digest, such as `sha256:…`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Digest(String);

impl Digest {
    /// The digest of `content`.
    pub(crate) fn of(content: &[u8]) -> Self {
        Self(format!("sha256:{}", hash(&SHA256, content)))
    }

    /// Parses `text`; `None` unless it is an algorithm that containerd supports and a hash of its
    /// length.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (algorithm, hash) = text.split_once(':')?;
        let length = algorithm_of(algorithm)?.output_len() * 2;
        let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let fits = hash.len() == length && hash.bytes().all(is_hex);
        fits.then(|| Self(text.to_owned()))
    }

    /// Whether it is of the algorithm by which content is named unless somebody wants another.
    pub(crate) fn is_sha256(&self) -> bool {
        self.0.starts_with("sha256:")
    }

    /// Whether it is the digest of `content`.
    pub(crate) fn names(&self, content: &[u8]) -> bool {
        let parts = self.0.split_once(':');
        parts.is_some_and(|(algorithm, expected)| {
            algorithm_of(algorithm).is_some_and(|algorithm| hash(algorithm, content) == expected)
        })
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn algorithm_of(name: &str) -> Option<&'static Algorithm> {
    match name {
        "sha256" => Some(&SHA256),
        "sha384" => Some(&SHA384),
        "sha512" => Some(&SHA512),
        _ => None,
    }
}

fn hash(algorithm: &'static Algorithm, content: &[u8]) -> String {
    let hash = digest::digest(algorithm, content);
    hash.as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_digest_names_its_content() {
        assert_eq!(Digest::of(b"").to_string(), EMPTY);
        let digest = Digest::parse(EMPTY).unwrap();
        assert!(digest.names(b"") && !digest.names(b"x"));
        let long = format!("sha512:{}", hash(&SHA512, b"x"));
        assert!(Digest::parse(&long).unwrap().names(b"x"));
    }

    #[test]
    fn only_a_digest_gets_into_a_path() {
        let hex = &EMPTY[7..];
        for text in [
            "",
            "sha256:",
            "sha256:../../../etc/passwd",
            &format!("sha256:{}", &hex[1..]),
            &format!("sha256:{hex}0"),
            &format!("sha256:{}", hex.to_uppercase()),
            &format!("sha256:{}/", &hex[1..]),
            &format!("md5:{}", &hex[32..]),
            &format!("sha512:{hex}"),
            hex,
        ] {
            assert_eq!(Digest::parse(text), None, "{text}");
        }
    }
}
