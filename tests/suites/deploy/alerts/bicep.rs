//! The Bicep file makes what the ARM template makes. Bicep's own compiler is in no registry that tests install from, so
//! another parser reads the file, and what it reads is put into ARM's words here, as far as this file needs them.

use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use regprobe_harness::need::tool;
use regprobe_harness::program::repository;
use serde_json::{Map, Value, json};

/// Of the loop over the groups.
const GROUP: &str = "variables('groups')[copyIndex()]";

pub(crate) fn makes_what_the_template_makes() -> Result<()> {
    let template = super::azure::committed()?;
    let bicep = parsed()?;
    let file = &bicep["variables"]["groups"]["value"]["function"];
    let loads = json!({
        "type": "load_json_content",
        "parameters": {
            "file_path": "rule-groups.json", "json_path": "$.variables.groups", "encoding": null,
        },
    });
    ensure!(*file == loads, "{file}");

    let translation = Translation {
        parameters: bicep["parameters"].as_object().context("no params")?,
    };
    let parameters = translation.parameters();
    ensure!(parameters? == template["parameters"], "other parameters");

    let resources = bicep["resources"].as_object().context("no resource")?;
    ensure!(resources.len() == 1, "{resources:?}");
    let resource = &bicep["resources"]["ruleGroups"];
    let (repeated, made) = (&resource["config"], &resource["config"]["config"]);
    let detail = &repeated["loop_type"]["detail"];
    ensure!(
        *detail == json!({"item_name": "group", "array_name": "groups"}),
        "{detail}"
    );
    let made = json!({
        "type": resource["type"],
        "apiVersion": resource["api_version"],
        "name": translation.value(&made["name"])?,
        "location": translation.value(&made["location"])?,
        "copy": {"name": "groups", "count": "[length(variables('groups'))]"},
        "properties": translation.value(&made["properties"])?,
    });
    let expected = &template["resources"][0];
    ensure!(made == *expected, "{made:#}\nis not\n{expected:#}");
    Ok(())
}

fn parsed() -> Result<Value> {
    let out = Command::new(tool("python/bin/python3"))
        .arg(repository("tests/tools/bicep_parse.py"))
        .arg(repository("deploy/azure/rule-groups.bicep"))
        .output()?;
    ensure!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    Ok(serde_json::from_slice(&out.stdout)?)
}

/// From the parser's words into ARM's.
struct Translation<'a> {
    parameters: &'a Map<String, Value>,
}

impl Translation<'_> {
    fn parameters(&self) -> Result<Value> {
        let mut parameters = Map::new();
        for (name, declared) in self.parameters {
            let [about] = declared["decorators"]
                .as_array()
                .map_or(&[][..], Vec::as_slice)
            else {
                bail!("{name} has no description");
            };
            let mut parameter = json!({
                "type": declared["type"], "metadata": {"description": about["argument"]},
            });
            if !declared["default"].is_null() {
                parameter["defaultValue"] = self.value(&declared["default"])?;
            }
            parameters.insert(name.clone(), parameter);
        }
        Ok(Value::Object(parameters))
    }

    fn value(&self, value: &Value) -> Result<Value> {
        Ok(match value {
            Value::String(text) => self.text(text)?,
            Value::Array(items) => {
                let items: Result<_> = items.iter().map(|item| self.value(item)).collect();
                Value::Array(items?)
            }
            Value::Object(fields) if fields.contains_key("operator") => {
                let operands = &fields["operator"]["operands"];
                let (of, property) = (&operands["operand_1"], operands["operand_2"].as_str());
                let property = property.context("no property")?;
                if of == "group" {
                    json!(format!("[{GROUP}.{property}]"))
                } else if of["function"]["type"] == "resource_group" {
                    json!(format!("[resourceGroup().{property}]"))
                } else {
                    bail!("{value}")
                }
            }
            Value::Object(fields) => {
                let fields = fields.iter();
                let fields = fields.map(|(name, field)| Ok((name.clone(), self.value(field)?)));
                Value::Object(fields.collect::<Result<_>>()?)
            }
            other => other.clone(),
        })
    }

    /// A parameter, a text, or a text with `${…}` in it.
    fn text(&self, text: &str) -> Result<Value> {
        if self.parameters.contains_key(text) {
            return Ok(json!(format!("[parameters('{text}')]")));
        }
        let mut pieces = text.split("${");
        let mut words = Vec::new();
        words.extend(literal(pieces.next().unwrap_or_default()));
        for piece in pieces {
            let (inner, after) = piece.split_once('}').context("not closed")?;
            words.push(match inner.strip_prefix("group.") {
                Some(property) => format!("{GROUP}.{property}"),
                None => {
                    ensure!(
                        self.parameters.contains_key(inner),
                        "{inner} is not declared"
                    );
                    format!("parameters('{inner}')")
                }
            });
            words.extend(literal(after));
        }
        Ok(match text.contains("${") {
            true => json!(format!("[concat({})]", words.join(", "))),
            false => json!(text),
        })
    }
}

fn literal(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| format!("'{text}'"))
}
