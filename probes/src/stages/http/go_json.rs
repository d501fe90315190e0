//! JSON as Go's decoder reads it: names in any case, the last of several, null for nothing, types checked.
//!
//! Source: Go `encoding/json`.

use std::fmt;

use serde::{
    Deserializer as _,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// Why Go's decoder does not take a value, in its words; `None` where these are not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JsonFault(pub Option<String>);

/// The first value of `body`; what follows it is left alone.
pub(crate) fn first(body: &str) -> Result<&RawValue, JsonFault> {
    let mut values = serde_json::Deserializer::from_str(body).into_iter::<&RawValue>();
    match values.next() {
        Some(Ok(value)) => Ok(value),
        None => Err(JsonFault(Some("EOF".to_owned()))),
        Some(Err(error)) if error.is_eof() => Err(JsonFault(Some("unexpected EOF".to_owned()))),
        Some(Err(_)) => Err(JsonFault(None)),
    }
}

/// The known fields of an object.
pub(crate) struct Fields<'a>(Vec<(&'static str, &'a RawValue)>);

impl<'a> Fields<'a> {
    /// The last value of a field; null changes nothing.
    pub(crate) fn get(&self, name: &str) -> Option<&'a RawValue> {
        let is_it = |(known, value): &&(&str, &RawValue)| *known == name && value.get() != "null";
        self.0.iter().rev().find(is_it).map(|(_, value)| *value)
    }

    /// Whether the field is there, if only as null.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| *known == name)
    }
}

/// The fields of these names; none for null and for what is not there.
pub(crate) fn object<'a>(
    raw: Option<&'a RawValue>,
    known: &[&'static str],
) -> Result<Fields<'a>, JsonFault> {
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
pub(crate) fn list(raw: Option<&RawValue>) -> Result<Vec<&RawValue>, JsonFault> {
    typed(raw, "slice").map(Option::unwrap_or_default)
}

pub(crate) fn text(raw: Option<&RawValue>) -> Result<String, JsonFault> {
    typed(raw, "string").map(Option::unwrap_or_default)
}

pub(crate) fn number(raw: Option<&RawValue>) -> Result<i64, JsonFault> {
    typed(raw, "int64").map(Option::unwrap_or_default)
}

pub(crate) fn typed<'a, T: serde::Deserialize<'a>>(
    raw: Option<&'a RawValue>,
    wanted: &str,
) -> Result<Option<T>, JsonFault> {
    let Some(raw) = raw else { return Ok(None) };
    serde_json::from_str(raw.get()).map_err(|_| wrong_type(raw, wanted))
}

/// Go says the struct's field, too; a caller that knows it puts it in front.
fn wrong_type(raw: &RawValue, wanted: &str) -> JsonFault {
    let kind = match raw.get().as_bytes().first() {
        Some(b'"') => "string",
        Some(b'[') => "array",
        Some(b'{') => "object",
        Some(b't' | b'f') => "bool",
        _ => "number",
    };
    let text = format!("json: cannot unmarshal {kind} into Go value of type {wanted}");
    JsonFault(Some(text))
}
