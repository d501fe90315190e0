//! JSON as Go's decoder reads it: names in any case, the last of several, null for nothing, types checked.
//!
//! Source: Go `encoding/json`.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
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
        // To Go, null has ended, whatever its next letter is.
        Some(Err(_))
            if body
                .trim_start_matches([' ', '\t', '\r', '\n'])
                .starts_with("null") =>
        {
            Ok(RawValue::NULL)
        }
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

    /// What `read` makes of the last value of a field, after all before it: a wrong one is an error, whatever follows.
    pub(crate) fn last<T>(
        &self,
        name: &str,
        read: impl Fn(Option<&'a RawValue>) -> Result<T, JsonFault>,
    ) -> Result<T, JsonFault> {
        let is_it = |(known, value): &&(&str, &RawValue)| *known == name && value.get() != "null";
        let mut last = read(None)?;
        for (_, value) in self.0.iter().filter(is_it) {
            last = read(Some(value))?;
        }
        Ok(last)
    }

    /// All values, each with the name of its field.
    pub(super) fn all(&self) -> impl Iterator<Item = (&'static str, &'a RawValue)> {
        self.0.iter().copied()
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
        while let Some(GoString(name)) = map.next_key()? {
            let name = folded(&name);
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

/// The values of an object, whatever their names.
pub(super) fn values(raw: Option<&RawValue>) -> Result<Vec<&RawValue>, JsonFault> {
    struct Values;
    impl<'de> Visitor<'de> for Values {
        type Value = Vec<&'de RawValue>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut values = Vec::new();
            while let Some((GoString(_), value)) = map.next_entry()? {
                values.push(value);
            }
            Ok(values)
        }
    }
    let Some(raw) = raw else {
        return Ok(Vec::new());
    };
    let mut deserializer = serde_json::Deserializer::from_str(raw.get());
    let values = deserializer.deserialize_map(Values);
    values.map_err(|_| wrong_type(raw, "map"))
}

/// The elements of an array.
pub(crate) fn list(raw: Option<&RawValue>) -> Result<Vec<&RawValue>, JsonFault> {
    typed(raw, "slice").map(Option::unwrap_or_default)
}

pub(crate) fn text(raw: Option<&RawValue>) -> Result<String, JsonFault> {
    let text: Option<GoString> = typed(raw, "string")?;
    Ok(text.map(|text| text.0).unwrap_or_default())
}

/// A text in which half a surrogate pair is U+FFFD.
#[derive(Deserialize)]
#[serde(from = "Wtf8")]
pub(crate) struct GoString(pub String);

/// As serde_json gives bytes of a text: each half of a surrogate pair that is alone is three bytes.
struct Wtf8(Vec<u8>);

impl<'de> Deserialize<'de> for Wtf8 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Vec<u8>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }
        }
        deserializer.deserialize_bytes(Bytes).map(Self)
    }
}

impl From<Wtf8> for GoString {
    fn from(Wtf8(mut bytes): Wtf8) -> Self {
        // In UTF-8 nothing else begins so.
        while let Some(at) = bytes
            .windows(2)
            .position(|two| two[0] == 0xed && two[1] >= 0xa0)
        {
            let replacement = char::REPLACEMENT_CHARACTER.to_string();
            bytes.splice(at..(at + 3).min(bytes.len()), replacement.into_bytes());
        }
        Self(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// Two letters beyond ASCII count as ASCII's, by Unicode's simple folding.
fn folded(name: &str) -> String {
    name.replace('\u{17f}', "s").replace('\u{212a}', "k")
}

pub(crate) fn number(raw: Option<&RawValue>) -> Result<i64, JsonFault> {
    // No integer to serde_json.
    let raw = raw.filter(|raw| raw.get() != "-0");
    typed(raw, "int64").map(Option::unwrap_or_default)
}

pub(crate) fn typed<'a, T: Deserialize<'a>>(
    raw: Option<&'a RawValue>,
    wanted: &str,
) -> Result<Option<T>, JsonFault> {
    let Some(raw) = raw else { return Ok(None) };
    serde_json::from_str(raw.get()).map_err(|_| wrong_type(raw, wanted))
}

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
