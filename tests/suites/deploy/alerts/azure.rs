//! The rules for Azure Managed Prometheus: the same rules as an ARM template, in groups of the size that Azure
//! takes. They are generated from the others here, and promtool runs its tests on them as well.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use boon::{Compiler, Schemas};
use regprobe_harness::program::repository;
use serde_json::{Map, Value, json};

use super::promtool::promtool;
use super::rules;

/// The most rules that Azure takes in a group.
const MOST: usize = 20;
/// From which the test creates Prometheus' files again.
const TEMPLATE: &str = "deploy/azure/rule-groups.json";
/// What the API takes in version 2023-03-01, and what it limits.
const SCHEMA: &str = include_str!("azure.schema.json");

pub(crate) fn template_is_generated() -> Result<()> {
    let expected = format!("{:#}\n", template()?);
    let file = repository(TEMPLATE);
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&file, &expected)?;
    }
    ensure!(
        fs::read_to_string(&file)? == expected,
        "{TEMPLATE} is older than the rules: UPDATE_GOLDEN=1 cargo test -p regprobe --test deploy Azure \
         writes it again"
    );
    Ok(())
}

/// The resources that the template makes are what the API takes, and no text is an expression by mistake.
pub(crate) fn resources_are_valid() -> Result<()> {
    let mut compiler = Compiler::new();
    compiler
        .add_resource("azure.json", serde_json::from_str(SCHEMA)?)
        .map_err(boon_error)?;
    let mut schemas = Schemas::new();
    let schema = compiler
        .compile("azure.json", &mut schemas)
        .map_err(boon_error)?;
    let template = committed()?;
    let resources = resources(&template)?;
    ensure!(resources.len() > 2, "only {} groups", resources.len());
    let mut names = BTreeSet::new();
    for resource in &resources {
        if let Err(error) = schemas.validate(resource, schema) {
            bail!("{}: {error:#}", resource["name"]);
        }
        ensure!(
            names.insert(resource["name"].to_string()),
            "{} twice",
            resource["name"]
        );
    }
    // The check itself finds what Azure would refuse.
    for (pointer, wrong) in [
        (
            "/properties/rules",
            json!(vec![json!({"record": "a:b", "expression": "c"}); MOST + 1]),
        ),
        ("/properties/rules/0", json!({"record": "a:b", "expr": "c"})),
        (
            "/properties/rules/0",
            json!({"alert": "A", "expression": "c", "severity": "warning"}),
        ),
        ("/properties/interval", json!("PT30S")),
    ] {
        let mut resource = resources[0].clone();
        *resource.pointer_mut(pointer).context("no such field")? = wrong;
        ensure!(
            schemas.validate(&resource, schema).is_err(),
            "{pointer} is not checked"
        );
    }
    Ok(())
}

/// promtool's tests pass with these rules in place of the others. Azure has no descriptions that query, so these
/// are not compared.
pub(crate) fn tests_pass() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let template = committed()?;
    let resources = resources(&template)?;
    let groups: Vec<_> = resources.iter().map(group_of_prometheus).collect();
    let order: Vec<_> = groups.iter().map(|group| group["name"].clone()).collect();
    fs::write(
        folder.path().join("rules.yaml"),
        json!({"groups": groups}).to_string(),
    )?;
    let mut files = Vec::<PathBuf>::new();
    for file in rules::test_files()? {
        let text = fs::read_to_string(&file)?;
        // As text: for some readers of YAML, the values `0x40` are a number.
        let lines = text.lines().filter_map(|line| match line.trim_start() {
            line if line.starts_with("description: ") => None,
            head if head.starts_with("rule_files: ") => Some("rule_files: [rules.yaml]".to_owned()),
            head if head.starts_with("group_eval_order: ") => {
                Some(format!("group_eval_order: {}", json!(order)))
            }
            _ => Some(line.to_owned()),
        });
        let tests: Vec<_> = lines.collect();
        let name = file.file_name().context("a file has a name")?;
        files.push(folder.path().join(name));
        fs::write(&files[files.len() - 1], tests.join("\n"))?;
    }
    promtool(&["check", "rules"], &[folder.path().join("rules.yaml")])?;
    promtool(&["test", "rules"], &files)
}

/// The template of the repository.
pub(super) fn committed() -> Result<Value> {
    let text = fs::read_to_string(repository(TEMPLATE))?;
    Ok(serde_json::from_str(&text)?)
}

/// The ARM template: Azure repeats the resource for each group.
fn template() -> Result<Value> {
    let parameter = |about: &str| json!({"type": "string", "metadata": {"description": about}});
    let mut location = parameter("Where the rule groups are kept: the location of the workspace.");
    location["defaultValue"] = json!("[resourceGroup().location]");
    Ok(json!({
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
        "contentVersion": "1.0.0.0",
        "metadata": {"description": "Made from deploy/prometheus by a test; do not edit."},
        "parameters": {
            "azureMonitorWorkspaceId": parameter("The resource ID of the Azure Monitor workspace."),
            "clusterName": parameter("The cluster, as the label `cluster` has it."),
            "location": location,
        },
        "variables": {"groups": groups()?},
        "resources": [{
            "type": "Microsoft.AlertsManagement/prometheusRuleGroups",
            "apiVersion": "2023-03-01",
            "name": "[concat(variables('groups')[copyIndex()].name, '-', parameters('clusterName'))]",
            "location": "[parameters('location')]",
            "copy": {"name": "groups", "count": "[length(variables('groups'))]"},
            "properties": {
                "scopes": ["[parameters('azureMonitorWorkspaceId')]"],
                "clusterName": "[parameters('clusterName')]",
                "enabled": true,
                "interval": "PT1M",
                "rules": "[variables('groups')[copyIndex()].rules]",
            },
        }],
    }))
}

/// The committed groups, cut into pieces that Azure takes. Azure runs the rules of a group in order, so the order
/// stays.
fn groups() -> Result<Vec<Value>> {
    let mut groups = Vec::new();
    for file in ["rules.yaml", "alerts.yaml"] {
        let file: Value = serde_yaml::from_str(&fs::read_to_string(rules::file(file))?)?;
        for group in file["groups"].as_array().context("no groups")? {
            let name = group["name"].as_str().context("no name")?.replace('.', "-");
            let rules = group["rules"].as_array().context("no rules")?;
            for (rules, number) in rules.chunks(MOST).zip(1..) {
                let rules = rules
                    .iter()
                    .map(rule_of_azure)
                    .collect::<Result<Vec<_>>>()?;
                groups.push(json!({"name": format!("{name}-{number}"), "rules": rules}));
            }
        }
    }
    Ok(groups)
}

fn rule_of_azure(rule: &Value) -> Result<Value> {
    let expression = rule["expr"].as_str().context("no expr")?.trim();
    if rule["record"].is_string() {
        return Ok(json!({"record": rule["record"], "expression": expression}));
    }
    let severity = match rule["labels"]["severity"].as_str() {
        Some("critical") => 0,
        Some("warning") => 2,
        other => bail!("{}: severity {other:?}", rule["alert"]),
    };
    let mut annotations = rule["annotations"].clone();
    // Azure documents templates with labels and values, and none that query.
    if let Some(annotations) = annotations.as_object_mut() {
        annotations.retain(|_, text| !text.as_str().unwrap_or_default().contains("query "));
    }
    let holds = rule["for"].as_str().context("no for")?;
    Ok(json!({
        "alert": rule["alert"],
        "expression": expression,
        "for": format!("PT{}", holds.to_uppercase()),
        "severity": severity,
        "labels": rule["labels"],
        "annotations": annotations,
        "resolveConfiguration": {"autoResolved": true, "timeToResolve": "PT10M"},
    }))
}

/// What Azure makes of the template, with the few expressions that it has.
fn resources(template: &Value) -> Result<Vec<Value>> {
    let groups = template["variables"]["groups"]
        .as_array()
        .context("no groups")?;
    no_expression(&template["variables"])?;
    let resources = groups.iter().map(|group| {
        let mut resource = template["resources"][0].clone();
        let fields = resource.as_object_mut().context("no resource")?;
        fields.remove("copy");
        fields.insert("name".to_owned(), group["name"].clone());
        fields.insert("location".to_owned(), json!("westeurope"));
        let properties = &mut resource["properties"];
        properties["scopes"] =
            json!(["/subscriptions/0/resourceGroups/m/providers/microsoft.monitor/accounts/w"]);
        properties["clusterName"] = json!("contoso-aks");
        properties["rules"] = group["rules"].clone();
        no_expression(&resource)?;
        Ok(resource)
    });
    resources.collect()
}

/// ARM evaluates every text that begins with a bracket.
fn no_expression(value: &Value) -> Result<()> {
    match value {
        Value::String(text) => ensure!(!text.starts_with('['), "an expression: {text}"),
        Value::Array(items) => items.iter().try_for_each(no_expression)?,
        Value::Object(fields) => fields.values().try_for_each(no_expression)?,
        _ => {}
    }
    Ok(())
}

fn group_of_prometheus(resource: &Value) -> Value {
    let rules = resource["properties"]["rules"]
        .as_array()
        .into_iter()
        .flatten();
    let rules = rules.map(|rule| {
        let mut fields = Map::new();
        for (azure, prometheus) in [
            ("record", "record"),
            ("alert", "alert"),
            ("expression", "expr"),
            ("labels", "labels"),
            ("annotations", "annotations"),
        ] {
            if let Some(value) = rule.get(azure) {
                fields.insert(prometheus.to_owned(), value.clone());
            }
        }
        if let Some(holds) = rule["for"].as_str() {
            let holds = holds.trim_start_matches("PT").to_lowercase();
            fields.insert("for".to_owned(), holds.into());
        }
        let annotations = fields.get_mut("annotations").and_then(Value::as_object_mut);
        if let Some(annotations) = annotations {
            annotations.remove("description");
        }
        Value::Object(fields)
    });
    json!({"name": resource["name"], "rules": rules.collect::<Vec<_>>()})
}

fn boon_error(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow::anyhow!("the schema itself: {error}")
}
