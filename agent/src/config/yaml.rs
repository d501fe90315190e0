//! The only file that uses serde_yaml: it turns text into values, and finds where a value is.
//!
//! serde_yaml reports a line only with an error. To find a position, a visitor walks to the value and
//! fails there on purpose.

use std::collections::HashSet;
use std::convert::Infallible;
use std::fmt;

use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error, IgnoredAny, MapAccess,
    SeqAccess, Visitor,
};

use super::error::ConfigError;
use super::location::{KeyPath, Location, Step};
use super::similar::most_similar;
use crate::printable::printable;

/// The most values in a file, aliases counted in full: far more than any config has, and few
/// enough to refuse aliases of aliases of aliases at once.
const MAX_VALUES: usize = 100_000;

/// The most brackets open at once, including those in comments and quotes. For each bracket libyaml
/// looks at all that are open, and nothing in a config is nested deeper than four.
const MAX_BRACKETS: usize = 1000;

/// The longest error text, in characters: it may repeat a value of any length.
const MAX_MESSAGE: usize = 500;

/// The words of serde and libyaml, and the words for someone who writes a config.
const WORDS: [(&str, &str); 11] = [
    ("unknown field", "unknown key"),
    ("missing field", "missing key"),
    ("unit value", "nothing"),
    ("invalid type: map", "invalid type: mapping"),
    ("invalid type: sequence", "invalid type: list"),
    ("expected a sequence", "expected a list"),
    ("expected a boolean", "expected true or false"),
    ("expected f64", "expected a number"),
    (
        "found character that cannot start any token, while scanning for the next token",
        "no value can start with this character; put it in quotes",
    ),
    (
        "recursion limit exceeded",
        "nested too deeply, or an alias inside itself; write it out",
    ),
    (
        "repetition limit exceeded",
        "aliases of aliases grow without bound; write them out",
    ),
];

/// Reads a single document; duplicate and unknown keys are refused.
pub(crate) fn read<T: DeserializeOwned>(text: &str) -> Result<T, ConfigError> {
    check_characters(text)?;
    let mut documents = serde_yaml::Deserializer::from_str(text);
    if let Some(document) = documents.next() {
        Shape(&mut 0)
            .deserialize(document)
            .map_err(|error| unreadable(&error, text))?;
    }
    if let Some(document) = documents.next() {
        return Err(ConfigError::Unreadable {
            message: "a second document begins here; keep one, with no --- after it".into(),
            location: location_of(document, &[]),
        });
    }
    T::deserialize(serde_yaml::Deserializer::from_str(text))
        .map_err(|error| unreadable(&error, text))
}

/// Where the value at `path` is; if it does not exist, where the last mapping or list on the path is.
pub(super) fn locate(text: &str, path: &KeyPath) -> Option<Location> {
    location_of(serde_yaml::Deserializer::from_str(text), path.steps())
}

fn location_of(document: serde_yaml::Deserializer<'_>, steps: &[Step]) -> Option<Location> {
    let Err(error) = Seek(steps).deserialize(document);
    location(&error)
}

fn location(error: &serde_yaml::Error) -> Option<Location> {
    error.location().map(|at| Location {
        line: at.line(),
        column: at.column(),
    })
}

/// Turns serde_yaml's text, `path: what is wrong at line 7 column 17`, into our form.
fn unreadable(error: &serde_yaml::Error, text: &str) -> ConfigError {
    let location = location(error);
    let mut message = error.to_string();
    if let Some(Location { line, column }) = location {
        message = message.replacen(&format!(" at line {line} column {column}"), "", 1);
        let line = text.lines().nth(line - 1).unwrap_or_default();
        if line.chars().nth(column - 1) == Some('\t') {
            message = "YAML cannot be indented with tabs; use spaces".into();
        }
    }
    for (theirs, ours) in WORDS {
        message = message.replace(theirs, ours);
    }
    if let Some(meant) = meant_key(&message) {
        message = message.replacen(
            ", expected ",
            &format!("; did you mean `{meant}`? Expected "),
            1,
        );
    }
    message = printable(&message).into_owned();
    if let Some((end, _)) = message.char_indices().nth(MAX_MESSAGE) {
        message.truncate(end);
        message.push('…');
    }
    ConfigError::Unreadable { message, location }
}

/// The key that was probably meant, of a message such as "unknown key `regoins`, expected one of `server`,
/// `regions`".
fn meant_key(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("unknown key `")?;
    let (typed, expected) = rest.split_once("`, expected ")?;
    // What is between backquotes is every second part.
    most_similar(typed, expected.split('`').skip(1).step_by(2))
}

/// Refuses what libyaml reports without a line, or needs minutes for.
fn check_characters(text: &str) -> Result<(), ConfigError> {
    let mut open = 0usize;
    for (offset, c) in text.char_indices() {
        match c {
            '[' | '{' => open += 1,
            ']' | '}' => open = open.saturating_sub(1),
            _ => {}
        }
        let message = if !is_printable(c) {
            format!("{c:?} is not allowed in YAML; remove it")
        } else if open > MAX_BRACKETS {
            format!("more than {MAX_BRACKETS} brackets are open; close them")
        } else {
            continue;
        };
        return Err(ConfigError::Unreadable {
            message,
            location: Some(Location::of(text.as_bytes(), offset)),
        });
    }
    Ok(())
}

/// YAML 1.2.2, section 5.1, `c-printable`, as libyaml has it.
fn is_printable(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{fffd}' | '\u{10000}'..)
}

/// Fails at the value that the steps lead to, or at the last one that exists.
struct Seek<'a>(&'a [Step]);

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = Infallible;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Infallible, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = Infallible;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("to fail here")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Infallible, A::Error> {
        if let Some((Step::Key(wanted), rest)) = self.0.split_first() {
            while let Some(key) = map.next_key::<String>()? {
                if key == *wanted {
                    return map.next_value_seed(Seek(rest));
                }
                map.next_value::<IgnoredAny>()?;
            }
        }
        Err(A::Error::custom("here"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Infallible, A::Error> {
        if let Some((Step::Index(wanted), rest)) = self.0.split_first() {
            for _ in 0..*wanted {
                list.next_element::<IgnoredAny>()?;
            }
            if let Some(never) = list.next_element_seed(Seek(rest))? {
                match never {}
            }
        }
        Err(A::Error::custom("here"))
    }
}

/// Checks what holds for any config: no duplicate key in a mapping (serde reports those without a
/// line), no tags, and not too many values.
struct Shape<'a>(&'a mut usize);

impl<'de> DeserializeSeed<'de> for Shape<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        *self.0 += 1;
        if *self.0 > MAX_VALUES {
            return Err(D::Error::custom(format_args!(
                "more than {MAX_VALUES} values, aliases counted in full; write fewer"
            )));
        }
        deserializer.deserialize_any(self)
    }
}

/// Methods of a visitor that accept any value.
macro_rules! any {
    ($($visit:ident: $($type:ty)?),+) => {
        $(fn $visit<E>(self $(, _: $type)?) -> Result<(), E> {
            Ok(())
        })+
    };
}

impl<'de> Visitor<'de> for Shape<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = HashSet::new();
        while let Some(key) = map.next_key_seed(NewKey(&seen))? {
            seen.insert(key);
            map.next_value_seed(Shape(self.0))?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(Shape(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_enum<A: EnumAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        Err(A::Error::custom(
            "tags are not supported; remove the word that starts with \"!\"",
        ))
    }

    any!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);
    any!(visit_unit:, visit_none:);
}

/// A key that is not in the set yet.
struct NewKey<'a>(&'a HashSet<String>);

impl<'de> DeserializeSeed<'de> for NewKey<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for NewKey<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<String, E> {
        if self.0.contains(key) {
            return Err(E::custom(format_args!(
                "the key `{key}` appears twice; keep one"
            )));
        }
        Ok(key.into())
    }
}
