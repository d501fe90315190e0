//! What types a JSON document must have for Go's decoder to take it: one wrong value fails the whole document, even in
//! a field that nobody reads.
//!
//! Source: Go `encoding/json` (`literalStore`, `array`, `object`), `time` (`UnmarshalJSON`).

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde_json::value::RawValue;

use super::go_json::{JsonFault, list, number, object, text, typed, values};

/// The type of a value. Null fits every type.
pub(crate) enum Shape {
    Text,
    Number,
    Bool,
    Time,
    /// In base64, or a list of numbers.
    Bytes,
    List(&'static Self),
    /// An object with names of any kind.
    Map(&'static Self),
    /// The fields that have a type.
    Object(&'static [(&'static str, Self)]),
}

impl Shape {
    /// Whether Go's decoder takes `raw` as this.
    pub(crate) fn check(&self, raw: Option<&RawValue>) -> Result<(), JsonFault> {
        let raw = raw.filter(|raw| raw.get() != "null");
        if raw.is_none() {
            return Ok(());
        }
        match self {
            Self::Text => text(raw).map(drop),
            Self::Number => number(raw).map(drop),
            Self::Bool => typed::<bool>(raw, "bool").map(drop),
            Self::Time => time(raw),
            Self::Bytes => bytes(raw),
            Self::List(element) => {
                let mut elements = list(raw)?.into_iter();
                elements.try_for_each(|raw| element.check(Some(raw)))
            }
            Self::Map(value) => {
                let mut values = values(raw)?.into_iter();
                values.try_for_each(|raw| value.check(Some(raw)))
            }
            Self::Object(fields) => {
                let names: Vec<_> = fields.iter().map(|(name, _)| *name).collect();
                object(raw, &names)?.all().try_for_each(|(name, raw)| {
                    let mut shapes = fields.iter().filter(|(known, _)| *known == name);
                    shapes.try_for_each(|(_, shape)| shape.check(Some(raw)))
                })
            }
        }
    }
}

impl Shape {
    /// Whether Go's decoder makes one value of two in `raw`: it writes a list or an object into what an earlier field of
    /// the same name has left.
    pub(crate) fn merges(&self, raw: &RawValue) -> bool {
        match self {
            Self::List(element) => {
                let elements = list(Some(raw)).unwrap_or_default();
                elements.into_iter().any(|raw| element.merges(raw))
            }
            Self::Object(fields) => {
                let names: Vec<_> = fields.iter().map(|(name, _)| *name).collect();
                let Ok(found) = object(Some(raw), &names) else {
                    return false;
                };
                fields.iter().any(|(name, shape)| {
                    let said: Vec<_> = found.all().filter(|(known, _)| known == name).collect();
                    let is_written_into = matches!(shape, Self::List(_) | Self::Object(_));
                    is_written_into && said.len() > 1
                        || said.into_iter().any(|(_, raw)| shape.merges(raw))
                })
            }
            _ => false,
        }
    }
}

/// A time as `time.Time.UnmarshalJSON` takes it: RFC 3339 with `T` and `Z` in capitals, without leap seconds, and with
/// offsets of up to 24 hours and a colon. The hour may have one digit.
pub(crate) fn time(raw: Option<&RawValue>) -> Result<(), JsonFault> {
    let Some(mut text) = typed::<String>(raw, "time")? else {
        return Ok(());
    };
    if text.as_bytes().get(12) == Some(&b':') && text.is_char_boundary(11) {
        text.insert(11, '0');
    }
    // A `Timestamp` ends a day before the last year does.
    if text.starts_with("9999") {
        text.replace_range(..4, "9995");
    }
    let clock = text.get(11..).unwrap_or_default();
    let offset = clock.rsplit_once(['+', '-']).map(|(_, offset)| offset);
    let is_offset = |offset: &str| {
        offset.len() == 5 && offset.get(2..3) == Some(":") && !offset.starts_with("25")
    };
    let is_taken = text.as_bytes().get(10) == Some(&b'T')
        && !text.ends_with('z')
        && text.get(17..19) != Some("60")
        && offset.is_none_or(is_offset);
    match is_taken && text.parse::<Timestamp>().is_ok() {
        true => Ok(()),
        false => Err(JsonFault(None)),
    }
}

fn bytes(raw: Option<&RawValue>) -> Result<(), JsonFault> {
    if raw.is_some_and(|raw| raw.get().starts_with('[')) {
        return typed::<Vec<Option<u8>>>(raw, "uint8").map(drop);
    }
    let text = text(raw)?.replace(['\r', '\n'], "");
    match STANDARD.decode(text) {
        Ok(_) => Ok(()),
        Err(_) => Err(JsonFault(None)),
    }
}
