//! Checks answers against `agent/openapi.yaml`: each must be documented, and at the end every documented
//! answer must have been seen.

use std::collections::BTreeSet;

use anyhow::{Context, Result, anyhow, bail, ensure};
use boon::{Compiler, Schemas};
use regprobe_lab::client::Reply;
use serde_json::{Value, json};

use crate::output::schema;

const DOCUMENT: &str = include_str!("../../../../agent/openapi.yaml");
/// The URL by which the documents refer to each other.
const FOLDER: &str = "https://github.com/regprobe/regprobe/blob/main/agent";

/// The document, and the parts that no answer has shown yet.
pub struct OpenApi {
    document: Value,
    unseen: BTreeSet<String>,
}

impl OpenApi {
    pub fn load() -> Result<Self> {
        let document: Value = serde_yaml::from_str(DOCUMENT)?;
        ensure!(document["openapi"] == "3.1.0", "another version of OpenAPI");
        let mut unseen = BTreeSet::new();
        for (path, operations) in fields(&document["paths"]) {
            for (method, operation) in fields(operations) {
                let operation_is = format!("{method} {path}");
                for parameter in operation["parameters"].as_array().into_iter().flatten() {
                    let name = text(&resolved(&document, parameter)?["name"])?;
                    unseen.insert(format!("{operation_is} with {name}"));
                }
                for (status, response) in fields(&operation["responses"]) {
                    let response = resolved(&document, response)?;
                    unseen.insert(format!("{operation_is} gives {status}"));
                    for (header, _) in fields(&response["headers"]) {
                        unseen.insert(format!("{operation_is} gives {status} {header}"));
                    }
                }
            }
        }
        Ok(Self { document, unseen })
    }

    /// The parts that no answer has shown yet.
    #[must_use]
    pub fn unseen(&self) -> &BTreeSet<String> {
        &self.unseen
    }

    /// Notes that a request to `path` had this parameter.
    pub fn gave(&mut self, method: &str, path: &str, parameter: &str) -> Result<()> {
        let operation = &self.document["paths"][path][method];
        for known in operation["parameters"].as_array().into_iter().flatten() {
            if resolved(&self.document, known)?["name"] == parameter {
                self.unseen
                    .remove(&format!("{method} {path} with {parameter}"));
                return Ok(());
            }
        }
        bail!("{method} {path} knows of no parameter {parameter}")
    }

    /// Checks an answer against the documentation of `path`: status, type, headers and body, without
    /// undocumented fields.
    pub fn hold(&mut self, method: &str, path: &str, reply: &Reply) -> Result<()> {
        let status = reply.status.to_string();
        let pointer = ["paths", path, method, "responses", &status];
        let response = &self.document["paths"][path][method]["responses"][&status];
        ensure!(!response.is_null(), "{method} {path} gives no {status}");
        let (response, at) = match response["$ref"].as_str() {
            Some(reference) => (
                resolved(&self.document, response)?,
                reference.trim_start_matches('#').to_owned(),
            ),
            None => (response, pointer_to(&pointer)),
        };
        for (header, promise) in fields(&response["headers"]) {
            let value = reply
                .header(header)
                .with_context(|| format!("no {header}"))?;
            self.validate(&promise["schema"], &json!(value))?;
        }
        let mut types = fields(&response["content"]);
        let got = reply.header("content-type").unwrap_or_default();
        let media_type = got.split(';').next().unwrap_or_default();
        match types.find(|(known, _)| *known == media_type) {
            Some((known, _)) => {
                let body = match known {
                    "application/json" => reply.json()?,
                    _ => json!(reply.text()),
                };
                let schema = format!("{at}{}", pointer_to(&["content", known, "schema"]));
                self.validate_at(&schema, &body)
                    .with_context(|| format!("{method} {path} {status}"))?;
            }
            None => ensure!(
                response["content"].is_null() && reply.text().is_empty(),
                "{method} {path} gives {status} as {got}"
            ),
        }
        let operation_is = format!("{method} {path}");
        self.unseen
            .remove(&format!("{operation_is} gives {status}"));
        for (header, _) in fields(&response["headers"]) {
            self.unseen
                .remove(&format!("{operation_is} gives {status} {header}"));
        }
        Ok(())
    }

    fn validate_at(&self, pointer: &str, value: &Value) -> Result<()> {
        let mut document = self.document.clone();
        schema::close(&mut document);
        validate(document, &format!("#{pointer}"), value)
    }

    fn validate(&self, schema: &Value, value: &Value) -> Result<()> {
        validate(schema.clone(), "", value)
    }
}

fn validate(document: Value, pointer: &str, value: &Value) -> Result<()> {
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.enable_format_assertions();
    let place = format!("{FOLDER}/openapi.yaml");
    let add = |compiler: &mut Compiler, place: &str, document| {
        let added = compiler.add_resource(place, document);
        added.map_err(|error| anyhow!("{error}"))
    };
    add(&mut compiler, &place, document)?;
    let status = format!("{FOLDER}/regprobe-v1.schema.json");
    add(&mut compiler, &status, schema::closed()?)?;
    let index = compiler
        .compile(&format!("{place}{pointer}"), &mut schemas)
        .map_err(|error| anyhow!("{error:#}"))?;
    schemas
        .validate(value, index)
        .map_err(|error| anyhow!("{error:#}\nin {value}"))
}

fn resolved<'a>(document: &'a Value, part: &'a Value) -> Result<&'a Value> {
    let Some(reference) = part["$ref"].as_str() else {
        return Ok(part);
    };
    let found = document.pointer(reference.trim_start_matches('#'));
    found.with_context(|| format!("nothing at {reference}"))
}

fn pointer_to(parts: &[&str]) -> String {
    let escaped = parts
        .iter()
        .map(|part| part.replace('~', "~0").replace('/', "~1"));
    // Within a URL a brace has to be escaped, too.
    let escaped = escaped.map(|part| part.replace('{', "%7B").replace('}', "%7D"));
    escaped.map(|part| format!("/{part}")).collect()
}

fn fields(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let fields = value.as_object().into_iter().flatten();
    fields.map(|(name, value)| (name.as_str(), value))
}

fn text(value: &Value) -> Result<&str> {
    value.as_str().context("not a text")
}
