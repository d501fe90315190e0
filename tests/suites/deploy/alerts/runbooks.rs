//! The pages that alerts, dashboards and the agent link to: each exists, is complete, and names labels
//! that its alerts really have.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use regprobe_harness::program::repository;
use regprobe_probes::Code;

use super::findings::alert_of;
use super::rules;

/// The repository's URL; committed files link to files below it.
pub(crate) const ONLINE: &str = "https://github.com/regprobe/regprobe/blob/main/";
/// The placeholders for a code in a page's URL.
pub(crate) const ANY_CODE: [&str; 3] = ["{{ $labels.code }}", "${__value.raw}", "{code}"];
const HEADINGS: [&str; 6] = [
    "What it means",
    "Confirm",
    "Usual causes",
    "Fix",
    "When to ask support",
    "Silence it",
];

/// The severities that a code may have, according to the index of the runbooks: a star marks those that
/// depend on the situation. Findings with severity info raise no alert.
pub(crate) fn severities(code: Code) -> Result<&'static [&'static str]> {
    let index = fs::read_to_string(runbook("README.md"))?;
    let start = format!("| [{code}] ");
    let row = index.lines().find(|line| line.starts_with(&start));
    let row = row.with_context(|| format!("no row of {code}"))?;
    let severity = row.trim_end_matches([' ', '|']).rsplit(' ').next();
    Ok(match severity.unwrap_or_default() {
        "critical" | "info*" => &["critical"],
        "warning" => &["warning"],
        "critical*" | "warning*" => &["critical", "warning"],
        other => bail!("{code}: {other} is no severity"),
    })
}

/// Every alert links to a page, and every page has an alert that links to it.
pub(crate) fn alerts_lead_to_pages() -> Result<()> {
    let mut led_to = BTreeSet::new();
    for rule in rules::alerts()? {
        for annotation in ["summary", "description", "runbook_url"] {
            let said = rule.annotations.get(annotation).map(String::as_str);
            ensure!(
                !said.unwrap_or_default().is_empty(),
                "{}: no {annotation}",
                rule.title()
            );
        }
        let url = &rule.annotations["runbook_url"];
        let page = url
            .strip_prefix(ONLINE)
            .and_then(|path| path.strip_prefix("deploy/runbooks/"));
        let page = page.with_context(|| format!("{}: {url}", rule.title()))?;
        match ANY_CODE.iter().find(|code| page.contains(**code)) {
            Some(code) => {
                let of_code = |any: &Code| page.replace(*code, any.as_str());
                led_to.extend(Code::ALL.iter().map(of_code));
            }
            None => {
                led_to.insert(page.to_owned());
            }
        }
    }
    let there: BTreeSet<_> = pages()?.into_iter().map(|(name, _)| name).collect();
    ensure!(
        led_to == there,
        "in one only: {:?}",
        led_to.symmetric_difference(&there)
    );
    let index = fs::read_to_string(runbook("README.md"))?;
    for page in there {
        ensure!(
            index.contains(&format!("]: {page}\n")),
            "the index has no {page}"
        );
    }
    Ok(())
}

/// Each page has all sections, with what an on-call engineer needs in each.
pub(crate) fn pages_are_whole() -> Result<()> {
    for (name, text) in pages()? {
        let page = Page(&text);
        let title = Path::new(&name)
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy();
        ensure!(
            format!("\n{text}").contains(&format!("\n# {title}\n")),
            "{name}: another title"
        );
        ensure!(text.contains("\n**Severity:** "), "{name}: no severity");
        ensure!(page.headings() == HEADINGS, "{name}: {:?}", page.headings());
        for heading in HEADINGS {
            ensure!(
                !page.section(heading)?.is_empty(),
                "{name}: nothing in {heading}"
            );
        }
        let confirm = page.section("Confirm")?;
        ensure!(
            confirm.contains("  regprobe "),
            "{name}: no regprobe in its pod"
        );
        let by_hand = ["dig ", "curl ", "openssl s_client ", "crictl "];
        ensure!(
            by_hand.iter().any(|tool| confirm.contains(tool)),
            "{name}: nothing to confirm it with by hand"
        );
    }
    Ok(())
}

/// A silence names labels that its alerts have: a silence with any other label has no effect.
pub(crate) fn silences_match() -> Result<()> {
    let labels = labels_of_alerts()?;
    let known: BTreeSet<_> = labels.values().flatten().map(String::as_str).collect();
    for (name, text) in pages()? {
        let silence = Page(&text).section("Silence it")?;
        let title = Path::new(&name)
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy();
        let code = Code::ALL.iter().find(|code| code.as_str() == title);
        let alerts = match code {
            Some(code) => {
                let matcher = format!("`code=\"{title}\"`");
                ensure!(silence.contains(&matcher), "{name}: no {matcher}");
                alerts_of(*code)?
            }
            None => BTreeSet::from([&*title]),
        };
        let quoted = silence.split('`').skip(1).step_by(2);
        for label in quoted.filter(|quoted| known.contains(quoted)) {
            for alert in &alerts {
                ensure!(
                    labels[*alert].contains(label),
                    "{name}: {alert} has no {label}"
                );
            }
        }
    }
    Ok(())
}

/// The alerts that name a finding. Alerts about many nodes list all their findings together.
fn alerts_of(code: Code) -> Result<BTreeSet<&'static str>> {
    let mut alerts = BTreeSet::new();
    for severity in severities(code)? {
        alerts.extend(["login", "data"].map(|role| alert_of(code, severity, role, false)));
    }
    Ok(alerts)
}

/// The labels that promtool's tests expect, and `cluster`, which every rule keeps.
fn labels_of_alerts() -> Result<BTreeMap<String, BTreeSet<String>>> {
    let mut labels = BTreeMap::<_, BTreeSet<_>>::new();
    for file in rules::test_files()? {
        for test in rules::cases(&file)?
            .into_iter()
            .flat_map(|case| case.alert_rule_test)
        {
            let seen = labels.entry(test.alertname).or_default();
            seen.insert("cluster".to_owned());
            let alerts = test.exp_alerts.into_iter();
            seen.extend(alerts.flat_map(|alert| alert.exp_labels.into_keys()));
        }
    }
    Ok(labels)
}

/// The page of a finding or of an alert.
struct Page<'a>(&'a str);

impl<'a> Page<'a> {
    fn headings(&self) -> Vec<&'a str> {
        self.0
            .lines()
            .filter_map(|line| line.strip_prefix("## "))
            .collect()
    }

    fn section(&self, heading: &str) -> Result<&'a str> {
        let (_, rest) = self
            .0
            .split_once(&format!("\n## {heading}\n"))
            .with_context(|| format!("no {heading}"))?;
        Ok(rest.split("\n## ").next().unwrap_or_default().trim_end())
    }
}

/// Every page by its path below `deploy/runbooks`, with its text.
fn pages() -> Result<Vec<(String, String)>> {
    let mut pages = Vec::new();
    for folder in ["", "alerts/"] {
        for entry in fs::read_dir(runbook(folder))? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if path.is_file() && name != "README.md" {
                pages.push((format!("{folder}{name}"), fs::read_to_string(&path)?));
            }
        }
    }
    Ok(pages)
}

fn runbook(name: &str) -> PathBuf {
    repository("deploy/runbooks").join(name)
}
