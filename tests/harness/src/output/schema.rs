//! The schema of the status document, and whether documents keep to it. Readers must accept fields that
//! the schema does not know; the agent may not write any.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use anyhow::{Result, anyhow};
use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::{Value, json};

const SCHEMA: &str = include_str!("../../../../agent/regprobe-v1.schema.json");
/// Its URL in the compiler.
const HERE: &str = "schema:strict";

static STRICT: LazyLock<(Schemas, SchemaIndex)> =
    LazyLock::new(|| strict().expect("the schema is one"));

/// Checks that `document` matches `regprobe/v1`, without other fields.
pub fn validate(document: &Value) -> Result<()> {
    let (schemas, index) = &*STRICT;
    schemas
        .validate(document, *index)
        .map_err(|error| anyhow!("{error:#}\nin {document}"))
}

/// The fields of the schema that no document has.
pub fn unseen<'a>(documents: impl IntoIterator<Item = &'a Value>) -> Result<BTreeSet<String>> {
    let schema: Value = serde_json::from_str(SCHEMA)?;
    let mut fields = BTreeSet::new();
    for (of, definition) in schema["$defs"].as_object().into_iter().flatten() {
        for field in definition["properties"].as_object().into_iter().flatten() {
            fields.insert(format!("{of}.{}", field.0));
        }
    }
    for document in documents {
        see(&schema, "document", document, &mut fields);
    }
    Ok(fields)
}

fn see(schema: &Value, of: &str, value: &Value, unseen: &mut BTreeSet<String>) {
    let definition = &schema["$defs"][of];
    for (field, value) in value.as_object().into_iter().flatten() {
        unseen.remove(&format!("{of}.{field}"));
        let property = &definition["properties"][field];
        let one = slice_of(value);
        for reference in [&property["$ref"], &property["items"]["$ref"]] {
            let Some(of) = reference.as_str().and_then(|r| r.strip_prefix("#/$defs/")) else {
                continue;
            };
            one.iter().for_each(|value| see(schema, of, value, unseen));
        }
    }
}

fn slice_of(value: &Value) -> &[Value] {
    match value {
        Value::Array(values) => values,
        value => std::slice::from_ref(value),
    }
}

/// The schema for the agent, which may not write other fields.
pub(crate) fn closed() -> Result<Value> {
    let mut schema = serde_json::from_str(SCHEMA)?;
    close(&mut schema);
    Ok(schema)
}

/// From now on objects only have the fields that are listed.
pub(crate) fn close(schema: &mut Value) {
    if schema["type"] == "object" && schema["properties"].is_object() {
        schema["additionalProperties"] = json!(false);
    }
    match schema {
        Value::Object(parts) => parts.values_mut().for_each(close),
        Value::Array(parts) => parts.iter_mut().for_each(close),
        _ => {}
    }
}

fn strict() -> Result<(Schemas, SchemaIndex)> {
    let schema = closed()?;
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.enable_format_assertions();
    compiler
        .add_resource(HERE, schema)
        .map_err(|error| anyhow!("{error}"))?;
    let index = compiler
        .compile(HERE, &mut schemas)
        .map_err(|error| anyhow!("{error:#}"))?;
    Ok((schemas, index))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_too_many_or_too_few_is_told() {
        let document = json!({
            "schema": "regprobe/v1", "node": "node", "version": "1.2.3",
            "at": "2026-02-20T12:00:00Z", "registries": [],
        });
        validate(&document).unwrap();
        for (field, value) in [
            ("schema", json!("regprobe/v2")),
            ("at", json!("yesterday")),
            ("registries", json!([{}])),
            ("colour", json!("green")),
        ] {
            let mut wrong = document.clone();
            wrong[field] = value;
            assert!(validate(&wrong).is_err(), "{wrong}");
        }
        let mut less = document.clone();
        less.as_object_mut().unwrap().remove("version");
        assert!(validate(&less).is_err());
        assert!(unseen([&document]).unwrap().contains("registry.name"));
        assert!(!unseen([&document]).unwrap().contains("document.at"));
    }
}
