//! JSON as Go's decoder reads it: names in any case, the last of several, null for nothing, types checked.
//! [`TokenResponse`] is what containerd keeps of a token service's answer.
//!
//! Source: Go `encoding/json`; containerd `core/remotes/docker/auth/fetch.go` (`FetchTokenResponse`).

use std::fmt;

use jiff::Timestamp;
use serde::{
    Deserializer as _,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::stop::{Class, GoError};

/// The known fields of an object.
pub(super) struct Fields<'a>(Vec<(&'static str, &'a RawValue)>);

impl<'a> Fields<'a> {
    /// The last value of a field; null changes nothing.
    pub(super) fn get(&self, name: &str) -> Option<&'a RawValue> {
        let is_it = |(known, value): &&(&str, &RawValue)| *known == name && value.get() != "null";
        self.0.iter().rev().find(is_it).map(|(_, value)| *value)
    }

    /// Whether the field is there, if only as null.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| *known == name)
    }
}

/// The fields of these names; none for null and for what is not there.
pub(super) fn object<'a>(
    raw: Option<&'a RawValue>,
    known: &[&'static str],
) -> Result<Fields<'a>, GoError> {
    let Some(raw) = raw.filter(|raw| raw.get() != "null") else {
        return Ok(Fields(Vec::new()));
    };
    let mut deserializer = serde_json::Deserializer::from_str(raw.get());
    let fields = deserializer.deserialize_map(Known(known));
    fields.map_err(|_| wrong_type(raw, "object"))
}

struct Known<'k>(&'k [&'static str]);

impl<'de> Visitor<'de> for Known<'_> {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
        let mut fields = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            match self
                .0
                .iter()
                .find(|known| known.eq_ignore_ascii_case(&name))
            {
                Some(known) => fields.push((*known, map.next_value()?)),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(Fields(fields))
    }
}

/// The elements of an array.
pub(super) fn list(raw: Option<&RawValue>) -> Result<Vec<&RawValue>, GoError> {
    typed(raw, "slice").map(Option::unwrap_or_default)
}

pub(super) fn text(raw: Option<&RawValue>) -> Result<String, GoError> {
    typed(raw, "string").map(Option::unwrap_or_default)
}

pub(super) fn number(raw: Option<&RawValue>) -> Result<i64, GoError> {
    typed(raw, "int64").map(Option::unwrap_or_default)
}

fn typed<'a, T: serde::Deserialize<'a>>(
    raw: Option<&'a RawValue>,
    wanted: &str,
) -> Result<Option<T>, GoError> {
    let Some(raw) = raw else { return Ok(None) };
    serde_json::from_str(raw.get()).map_err(|_| wrong_type(raw, wanted))
}

/// Go says the struct's field, too; a caller that knows it puts it in front.
fn wrong_type(raw: &RawValue, wanted: &str) -> GoError {
    let kind = match raw.get().as_bytes().first() {
        Some(b'"') => "string",
        Some(b'[') => "array",
        Some(b'{') => "object",
        Some(b't' | b'f') => "bool",
        _ => "number",
    };
    let text = format!("json: cannot unmarshal {kind} into Go value of type {wanted}");
    GoError::new(Class::Other, text)
}

/// What containerd keeps of a token service's answer: the first value of `body`.
pub(super) fn token(body: &[u8]) -> Result<Option<String>, GoError> {
    let body = String::from_utf8_lossy(body);
    let mut values = serde_json::Deserializer::from_str(&body).into_iter::<&RawValue>();
    let eof = |text: &str| GoError::new(Class::Other, text);
    let raw = match values.next() {
        None => return Err(eof("EOF")),
        Some(Err(error)) if error.is_eof() => return Err(eof("unexpected EOF")),
        Some(Err(_)) => return Err(GoError::untold(Class::Other)),
        Some(Ok(raw)) => raw,
    };
    const KNOWN: [&str; 5] = [
        "token",
        "access_token",
        "expires_in",
        "issued_at",
        "refresh_token",
    ];
    let fields = object(Some(raw), &KNOWN)?;
    number(fields.get("expires_in"))?;
    text(fields.get("refresh_token"))?;
    // As `time.Time.UnmarshalJSON` takes it: strictly RFC 3339, with `T` and `Z` in capitals.
    let issued: Option<String> = typed(fields.get("issued_at"), "time")?;
    let is_strict = |text: &String| text.as_bytes().get(10) == Some(&b'T') && !text.ends_with('z');
    if issued.is_some_and(|text| !is_strict(&text) || text.parse::<Timestamp>().is_err()) {
        return Err(GoError::untold(Class::Other));
    }
    let tokens = [
        text(fields.get("access_token"))?,
        text(fields.get("token"))?,
    ];
    Ok(tokens.into_iter().find(|token| !token.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_read_as_go_reads_them() {
        let read = |body: &str| token(body.as_bytes()).map_err(|error| error.text);
        let some = |text: &str| Ok(Some(text.to_owned()));
        assert_eq!(read(r#"{"token":"a"}"#), some("a"));
        assert_eq!(read(r#"{"TOKEN":"a"} trailing"#), some("a"));
        assert_eq!(read(r#"{"token":"a","access_token":"b"}"#), some("b"));
        assert_eq!(read(r#"{"token":"a","token":null,"Token":"c"}"#), some("c"));
        assert_eq!(
            read(r#"{"token":"a","issued_at":"2026-02-20T12:00:00Z"}"#),
            some("a")
        );
        assert_eq!(read("null"), Ok(None));
        assert_eq!(read("{}"), Ok(None));
        assert_eq!(read(""), Err(Some("EOF".to_owned())));
        assert_eq!(
            read(r#"{"token":"a""#),
            Err(Some("unexpected EOF".to_owned()))
        );
        assert_eq!(read("<html>"), Err(None));
        assert_eq!(read(r#"{"token":"a","issued_at":"1457510670"}"#), Err(None));
        let float = read(r#"{"token":"a","expires_in":1.5}"#)
            .unwrap_err()
            .unwrap();
        assert!(float.contains("cannot unmarshal number"), "{float}");
    }
}
