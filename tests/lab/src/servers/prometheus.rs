//! `prometheus`: what it has stored is what a dashboard would see.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::addresses;
use crate::client;
use crate::process::Process;
use crate::wait;

/// A running Prometheus; it ends when dropped.
pub struct Prometheus {
    addr: SocketAddr,
    process: Process,
    _folder: TempDir,
}

impl Prometheus {
    /// Starts one that scrapes `target` (`host:port`, path `/metrics`) every second.
    pub fn scraping(target: SocketAddr, at: impl Into<SocketAddr>) -> Result<Self> {
        let config = format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n\
            scrape_configs: [{{job_name: regprobe, static_configs: [{{targets: [\"{target}\"]}}]}}]\n"
        );
        Self::configured(&config, at)
    }

    /// Starts one with this configuration.
    pub fn configured(text: &str, at: impl Into<SocketAddr>) -> Result<Self> {
        let addr = addresses::with_port(at.into())?;
        let folder = tempfile::tempdir()?;
        let config = folder.path().join("prometheus.yml");
        fs::write(&config, text)?;
        let mut command = Command::new("/usr/bin/prometheus");
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.path().join("data").display()
            ))
            .arg(format!("--web.listen-address={addr}"))
            .arg("--log.level=warn");
        let process = Process::answering(command, folder.path(), (addr, "/-/ready"))?;
        Ok(Self {
            addr,
            process,
            _folder: folder,
        })
    }

    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// The `data` of what the HTTP API answers to these parameters.
    pub fn ask(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Value> {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(parameters)
            .finish();
        let mut answer = client::get(self.addr, &format!("{path}?{query}"))
            .send()?
            .json()?;
        ensure!(
            answer["status"] == "success",
            "{path} {parameters:?}: {answer}"
        );
        Ok(answer["data"].take())
    }

    /// Every sample that a PromQL expression gives now, as the API words them:
    /// `{"metric": {…}, "value": [time, "1"]}`.
    pub fn query(&self, expression: &str) -> Result<Vec<Value>> {
        let mut data = self.ask("/api/v1/query", &[("query", expression)])?;
        match data["result"].take() {
            Value::Array(samples) => Ok(samples),
            other => anyhow::bail!("{expression}: not a vector but {other}"),
        }
    }

    /// Waits until an expression gives a sample, and returns the first one's value.
    pub fn value(&self, expression: &str, limit: Duration) -> Result<f64> {
        wait::until(expression, limit, || {
            let samples = self.query(expression)?;
            let value = samples.first().context("no sample yet")?["value"][1].as_str();
            Ok(value.context("a sample without a value")?.parse()?)
        })
    }
}
