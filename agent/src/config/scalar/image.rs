//! An image as the config names it: `repository:tag` or `repository@digest`, without a registry.
//!
//! Grammar: the OCI distribution specification 1.1, "Pulling manifests", and the image
//! specification's digest.

use std::fmt::{self, Display};
use std::str::FromStr;

use thiserror::Error;

use super::quoted;

/// An image; its registry is known from the context.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Image(pub regprobe_probes::Image);

impl FromStr for Image {
    type Err = ImageError;

    fn from_str(text: &str) -> Result<Self, ImageError> {
        let by_digest = text.split_once('@');
        // A slash after the colon means that the colon belongs to a port.
        let by_tag = || text.rsplit_once(':').filter(|(_, tag)| !tag.contains('/'));
        let Some((repository, reference)) = by_digest.or_else(by_tag) else {
            check_repository(text, text)?;
            return Err(ImageError::NoReference(text.into()));
        };
        check_repository(repository, text)?;
        match by_digest {
            Some(_) if !is_digest(reference) => Err(ImageError::Digest(reference.into())),
            None if !is_tag(reference) => Err(ImageError::Tag(reference.into())),
            _ => Ok(Self(regprobe_probes::Image {
                repository: repository.into(),
                reference: reference.into(),
            })),
        }
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*`, at most 255 long.
fn check_repository(repository: &str, text: &str) -> Result<(), ImageError> {
    let (first, rest) = repository.split_once('/').unwrap_or((repository, ""));
    if first.contains(':') && !rest.is_empty() {
        return Err(ImageError::Registry {
            text: text.into(),
            registry: first.into(),
        });
    }
    if repository.contains(':') {
        return Err(ImageError::TagAndDigest(text.into()));
    }
    if repository.len() > 255 || !repository.split('/').all(is_component) {
        return Err(ImageError::Repository(repository.into()));
    }
    Ok(())
}

fn is_component(component: &str) -> bool {
    let is_alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let ends_well = component.starts_with(is_alphanumeric) && component.ends_with(is_alphanumeric);
    ends_well
        && component.split(is_alphanumeric).all(|separator| {
            matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|byte| byte == b'-')
        })
}

/// `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`
fn is_tag(tag: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    tag.starts_with(is_word)
        && tag.len() <= 128
        && tag.chars().all(|c| is_word(c) || c == '.' || c == '-')
}

fn is_digest(digest: &str) -> bool {
    let is_hex = |text: &str| {
        text.bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    match digest.split_once(':') {
        Some(("sha256", hex)) => hex.len() == 64 && is_hex(hex),
        Some(("sha512", hex)) => hex.len() == 128 && is_hex(hex),
        _ => false,
    }
}

impl Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

read_as!(Image, "an image, as repository:tag");

/// Why a text is not an [`Image`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ImageError {
    /// Neither tag nor digest.
    #[error("{shown} has no tag; write the one you deploy, as {0}:v1", shown = quoted(.0))]
    NoReference(String),
    /// Both tag and digest.
    #[error("{} has a tag and a digest; keep one of them", quoted(.0))]
    TagAndDigest(String),
    /// It starts with a registry's host and port.
    #[error(
        "{} names a registry; write the image without {registry}/",
        quoted(text)
    )]
    Registry {
        /// What was typed.
        text: String,
        /// Its registry part.
        registry: String,
    },
    /// Not a repository name; upper case is the usual cause.
    #[error(
        "{} is not a repository name; write lowercase letters and digits, with single \".\", \"_\" \
         or \"-\" between them and \"/\" between parts",
        quoted(.0)
    )]
    Repository(String),
    /// Not a tag.
    #[error("{} is not a tag; write up to 128 letters, digits, \"_\", \".\" and \"-\"", quoted(.0))]
    Tag(String),
    /// Not a digest.
    #[error("{} is not a digest; write sha256: and 64 lowercase hex digits", quoted(.0))]
    Digest(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_tags_and_digests() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        for (repository, separator, reference) in [
            ("probe/hello", ':', "v1"),
            ("a", ':', "_"),
            ("a.b/c__d/e---f", ':', "1.2.3-rc.1"),
            ("probe/hello", '@', &digest),
        ] {
            let text = format!("{repository}{separator}{reference}");
            let image: Image = text.parse().unwrap();
            assert_eq!(image.0.repository, repository);
            assert_eq!(image.0.reference, reference);
            assert_eq!(image.to_string(), text);
        }
    }

    #[test]
    fn refuses_what_no_registry_accepts() {
        for text in [
            "A:v1", "a//b:v1", "a/:v1", "-a:v1", "a_:v1", "a___b:v1", "a.-b:v1", ":v1", "é:v1",
        ] {
            assert!(
                matches!(text.parse::<Image>(), Err(ImageError::Repository(_))),
                "{text}"
            );
        }
        for text in ["a:", "a:.v1", "a:v 1", "a:v+1"] {
            assert!(
                matches!(text.parse::<Image>(), Err(ImageError::Tag(_))),
                "{text}"
            );
        }
        for text in ["a@", "a@sha256:", "a@sha256:0A", "a@md5:00"] {
            assert!(
                matches!(text.parse::<Image>(), Err(ImageError::Digest(_))),
                "{text}"
            );
        }
    }
}
