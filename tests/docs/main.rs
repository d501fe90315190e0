//! The documentation against the binary: samples are valid, tables are complete, output is what it
//! prints, links lead somewhere.

mod causes;
mod links;
mod markdown;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use regprobe::config::Config;
use regprobe_probes::{Code, Stage};
use serde_yaml::Value;

use self::markdown::Page;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn page(path: &str) -> Page {
    Page::read(&root().join(path))
}

/// What users read: the README and the book.
fn pages() -> Vec<Page> {
    let files = markdown::files(&root().join("docs"));
    let files = files.into_iter().chain([root().join("README.md")]);
    files.map(|file| Page::read(&file)).collect()
}

fn regprobe(arguments: &[&str]) -> String {
    let out = Command::new(env!("CARGO_BIN_EXE_regprobe"))
        .args(arguments)
        .output()
        .expect("the binary was built for this test");
    assert!(out.status.success(), "{arguments:?}: {out:?}");
    String::from_utf8(out.stdout).expect("it prints UTF-8")
}

fn set<T: Ord>(items: impl IntoIterator<Item = T>) -> BTreeSet<T> {
    items.into_iter().collect()
}

/// A YAML sample names its file in its first line; that says how it is read.
#[test]
fn every_sample_of_configuration_is_valid() {
    let mut checked = 0;
    for page in pages() {
        for sample in page.blocks("yaml") {
            let (name, _) = sample.split_once('\n').unwrap_or_default();
            let config = match name {
                "# regprobe.yaml" => sample,
                "# my-values.yaml" => {
                    let values: Value = serde_yaml::from_str(&sample).unwrap();
                    serde_yaml::to_string(&values["config"]).unwrap()
                }
                _ => panic!("{page}: a sample starts with {name:?}, not with the file's name"),
            };
            if let Err(error) = Config::parse(&config) {
                panic!("{page}: {error}\n{config}");
            }
            checked += 1;
        }
    }
    assert!(checked > 8, "only {checked} samples were found");
}

#[test]
fn all_keys_are_documented_with_their_defaults() {
    let page = page("docs/configuration.md");
    let samples = page.blocks("yaml");
    let [minimal, all] = &samples[..] else {
        panic!("{} samples", samples.len());
    };
    let parse = |text: &str| Config::parse(text).unwrap();
    assert_eq!(parse(all), parse(minimal));

    let everything = root().join("tests/config/good/everything.yaml");
    let everything = fs::read_to_string(everything).unwrap();
    assert_eq!(keys(all), keys(&everything));
}

/// The paths of all keys but those of what the sample has none of.
fn keys(yaml: &str) -> BTreeSet<String> {
    fn collect(value: &Value, path: &str, keys: &mut BTreeSet<String>) {
        match value {
            Value::Mapping(mapping) => {
                for (key, value) in mapping {
                    let path = format!("{path}.{}", key.as_str().expect("keys are text"));
                    collect(value, &path, keys);
                    keys.insert(path);
                }
            }
            Value::Sequence(values) => values.iter().for_each(|value| collect(value, path, keys)),
            _ => {}
        }
    }
    let mut keys = BTreeSet::new();
    let value = serde_yaml::from_str(yaml).expect("it was read before");
    collect(&value, "", &mut keys);
    let left_out = [
        ".nameservers.",
        ".fleet.client.basic_auth.",
        ".fleet.client.authorization",
        ".fleet.prometheus_client.basic_auth.",
        ".fleet.prometheus_client.authorization",
        ".registries.credentials.managed_identity.",
        ".registries.throughput.",
    ];
    keys.retain(|key| !left_out.iter().any(|left_out| key.starts_with(left_out)));
    keys
}

#[test]
fn every_command_and_flag_is_documented() {
    let page = page("docs/command-line.md");
    let help = regprobe(&["--help"]);
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let (commands, _) = commands.split_once("\n\n").unwrap();
    let commands = commands
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    let commands = commands.filter(|command| *command != "help");
    let documented = page.table(&["command", "what it does"]);
    let documented = documented
        .iter()
        .map(|row| row[0].replace("`regprobe ", "").replace('`', ""));
    assert_eq!(set(documented), set(commands.map(str::to_owned)));

    for command in ["run", "check", "fleet", "why", "bundle"] {
        let rows = page.section(&format!("`regprobe {command}`")).rows();
        let rows = rows.into_iter().filter(|row| row[0].starts_with("`--"));
        let documented: Vec<_> = rows.map(|row| (flag(&row[0][1..]), row)).collect();
        let help = regprobe(&[command, "--help"]).replace("\n  -n, --", "\n      --");
        let mut known = BTreeSet::new();
        for option in help.split("\n      --").skip(1) {
            let name = flag(&format!("--{option}"));
            let row = documented.iter().find(|(flag, _)| *flag == name);
            let (_, row) = row.unwrap_or_else(|| panic!("{command} {name} is not documented"));
            if let Some((_, default)) = option.split_once("[default: ")
                && let Some((default, _)) = default.split_once(']')
                && !default.contains(' ')
            {
                let default = format!("`{default}`");
                assert!(row[1..].concat().contains(&default), "{name}: {default}");
            }
            known.insert(name);
        }
        assert_eq!(set(documented.into_iter().map(|(name, _)| name)), known);
    }
}

/// The flag that a text starts with.
fn flag(text: &str) -> String {
    let end = text.find(|c: char| !(c.is_ascii_lowercase() || c == '-' || c == '.'));
    text[..end.unwrap_or(text.len())].to_owned()
}

#[test]
fn every_reason_of_a_stage_is_documented() {
    let page = page("docs/metrics.md");
    let rows = page.table(&["stage", "values of `reason`"]);
    for stage in Stage::ALL {
        let of_stage =
            |row: &&Vec<String>| row[0] == "any" || row[0].contains(&format!("`{stage}`"));
        let words = rows
            .iter()
            .filter(of_stage)
            .flat_map(|row| row[1].split('`'));
        let documented = set(words.map(str::trim).filter(|word| !word.is_empty()));
        let known = set(stage.reasons().map(|reason| reason.as_str()));
        assert_eq!(documented, known, "{stage}");
    }
    let stages = page.table(&["stage", "what it does", "at"]);
    let stages = stages.iter().map(|row| row[0].trim_matches('`').to_owned());
    let known = Stage::ALL.map(|stage| stage.to_string());
    assert_eq!(stages.collect::<Vec<_>>(), known);
}

/// In columns of findings.
#[test]
fn every_finding_in_a_table_exists() {
    let known = set(Code::ALL.iter().map(|code| code.as_str()));
    let mut named = 0;
    for page in pages() {
        for table in page.tables() {
            let column = table[0]
                .iter()
                .position(|head| head == "finding" || head == "in the report");
            let Some(column) = column else {
                continue;
            };
            for row in &table[1..] {
                let words = row[column].split('`').skip(1).step_by(2);
                for code in words.filter(|word| word.starts_with(|c: char| c.is_ascii_uppercase()))
                {
                    assert!(known.contains(code), "{page}: {code}");
                    named += 1;
                }
            }
        }
    }
    assert!(named > 40, "only {named} findings were found");
}

#[test]
fn every_path_of_the_api_is_documented() {
    let api = fs::read_to_string(root().join("agent/openapi.yaml")).unwrap();
    let api: Value = serde_yaml::from_str(&api).unwrap();
    let paths = api["paths"].as_mapping().unwrap();
    let requests = paths.iter().flat_map(|(path, methods)| {
        let methods = methods.as_mapping().unwrap().keys();
        let path = path.as_str().unwrap();
        methods.map(move |method| format!("{} {path}", method.as_str().unwrap().to_uppercase()))
    });
    let requests = requests.filter(|request| !request.contains("/static/"));
    let page = page("docs/http-api.md");
    let rows = page.table(&["request", "answer"]);
    let documented = rows.iter().flat_map(|row| row[0].split(", "));
    let documented = documented.map(|request| {
        let request = request.trim_matches('`');
        request
            .split_once('?')
            .map_or(request, |(path, _)| path)
            .to_owned()
    });
    assert_eq!(set(documented), set(requests));
}

/// A console block is a command line and what it prints.
#[test]
fn shown_output_is_real() {
    let mut shown = 0;
    for page in pages() {
        for block in page.blocks("console") {
            let (command, expected) = block.split_once('\n').unwrap();
            let arguments = command.strip_prefix("$ regprobe ").unwrap();
            let arguments: Vec<_> = arguments.split(' ').collect();
            assert_eq!(regprobe(&arguments), expected, "{page}: {command}");
            shown += 1;
        }
    }
    assert!(shown > 0);
}

#[test]
fn the_book_has_every_page() {
    let docs = root().join("docs");
    let summary = Page::read(&docs.join("SUMMARY.md"));
    let linked = set(summary.links().into_iter().map(|link| docs.join(link)));
    let mut files = set(markdown::files(&docs));
    files.remove(&docs.join("SUMMARY.md"));
    assert_eq!(linked, files);
}
