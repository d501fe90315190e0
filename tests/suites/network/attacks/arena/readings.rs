//! What the arena reads from its agent: metrics, history, and the files and memory that it holds.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result};
use regprobe_harness::output::scrape::Scrape;
use serde_json::Value;

use super::Arena;

impl Arena {
    pub(super) fn rounds_of(&self, registry: &str) -> Result<f64> {
        let labels = [("registry", registry), ("stage", "connect")];
        let resolved = [("registry", registry), ("stage", "resolve")];
        let scrape = self.scrape()?;
        let sum = |labels| scrape.sum("regprobe_stage_attempts_total", labels);
        Ok(sum(&labels).max(sum(&resolved)))
    }

    pub(super) fn finds(&self, registry: &str, code: &str) -> Result<bool> {
        let scrape = self.scrape()?;
        let labels = [("registry", registry), ("code", code)];
        let mut findings = scrape.of("regprobe_finding", &labels);
        Ok(findings.any(|sample| sample.value == 1.0))
    }

    pub(super) fn failures(&self, registry: &str) -> Result<Counts> {
        let scrape = self.scrape()?;
        let labels = [("registry", registry)];
        let failures = scrape.of("regprobe_stage_failures_total", &labels);
        let failures = failures.map(|sample| {
            let label = |name: &str| sample.labels.get(name).cloned().unwrap_or_default();
            (
                (label("endpoint"), label("stage"), label("reason")),
                sample.value,
            )
        });
        Ok(failures.filter(|(_, count)| *count > 0.0).collect())
    }

    pub(super) fn failures_since(&self, before: &Counts, registry: &str) -> Result<Failures> {
        let now = self.failures(registry)?;
        let new = now
            .into_iter()
            .filter(|known| !before.contains(known))
            .map(|((_, stage, reason), _)| (stage, reason));
        Ok(Failures(new.collect()))
    }

    pub(super) fn holdings(&self) -> Result<Holdings> {
        let process = format!("/proc/{}", self.agent.id());
        let status = fs::read_to_string(format!("{process}/status"))?;
        let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let memory = memory.context("no VmRSS")?.trim().trim_end_matches(" kB");
        Ok(Holdings {
            files: fs::read_dir(format!("{process}/fd"))?.count(),
            memory: memory.parse::<i64>()? * 1024,
        })
    }

    pub(super) fn scrape(&self) -> Result<Scrape> {
        self.namespace.enter(|| self.agent.scrape())
    }

    pub(super) fn get(&self, path: &str) -> Result<Value> {
        self.namespace
            .enter(|| self.agent.get(path)?.expect_status(200)?.json())
    }
}

pub(super) type Counts = Vec<((String, String, String), f64)>;

/// Stages and reasons.
#[derive(Debug)]
pub(super) struct Failures(pub(super) BTreeSet<(String, String)>);

pub(super) struct Holdings {
    pub(super) files: usize,
    pub(super) memory: i64,
}

/// The time of the slowest lookup, plus all stages of the login server.
pub(super) fn seconds(registry: &Value) -> f64 {
    let endpoint = &registry["endpoints"][0];
    let all = |what: &Value| {
        let items = what.as_array().into_iter().flatten();
        items
            .filter_map(|item| item["seconds"].as_f64())
            .collect::<Vec<_>>()
    };
    let lookups = all(&endpoint["lookups"]);
    let stages = all(&endpoint["addresses"][0]["stages"]);
    lookups.into_iter().fold(0.0, f64::max) + stages.iter().sum::<f64>()
}
