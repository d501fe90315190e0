//! The agent that the demo watches: the real one, as a child of this process, and what it says of
//! the registry.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{self, Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use regprobe_lab::addresses::port_or_free;
use regprobe_lab::client;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::AGENT;
use crate::folder::Folder;
use crate::story::say;

/// Where agents listen unless told otherwise.
const PORT: u16 = 9118;
/// Between two looks at the agent.
const GLANCE: Duration = Duration::from_millis(50);
/// For the agent to show what it must.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Agent {
    pub(crate) addr: SocketAddr,
    child: Child,
    pub(crate) log: PathBuf,
}

impl Agent {
    pub(crate) fn start(folder: &Folder) -> Result<Self> {
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port_or_free(PORT)?));
        let log = folder.file("agent.log");
        let config = folder.config();
        let child = Command::new(std::env::current_exe()?)
            .args([AGENT, &process::id().to_string(), "run"])
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--web.listen-address={addr}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            .spawn()?;
        Ok(Self { addr, child, log })
    }

    pub(crate) async fn until_ready(&mut self) -> Result<()> {
        self.until("gets ready", |agent| {
            Ok(client::get(agent.addr, "/-/ready").send()?.status == 200)
        })
        .await
    }

    /// Waits until it has a finding of this code.
    pub(crate) async fn until_found(&mut self, code: &str) -> Result<()> {
        self.until("finds it", |agent| {
            let registry = agent.registry()?;
            Ok(items(&registry["findings"]).any(|finding| finding["code"] == code))
        })
        .await
    }

    /// Waits until its verdict is `ok`.
    pub(crate) async fn until_healthy(&mut self) -> Result<()> {
        self.until("finds nothing wrong", |agent| {
            Ok(agent.registry()?["verdict"] == "ok")
        })
        .await
    }

    /// Prints findings and endpoints as the agent's status document has them.
    pub(crate) fn tell_state(&self) -> Result<()> {
        let registry = self.registry()?;
        say(&format!(
            "  {}: {}",
            text(&registry["name"]),
            text(&registry["verdict"])
        ))?;
        for finding in items(&registry["findings"]) {
            // Most registries have findings that are only for information.
            if finding["severity"] != "info" {
                say(&format!(
                    "    {}: {}\n      do: {}",
                    text(&finding["code"]),
                    text(&finding["message"]),
                    text(&finding["remedy"])
                ))?;
            }
        }
        items(&registry["endpoints"]).try_for_each(tell_endpoint)
    }

    /// Returns only if it ends, which it should not.
    pub(crate) async fn until_ended(&mut self) -> Result<()> {
        loop {
            sleep(Duration::from_secs(1)).await;
            self.check_alive()?;
        }
    }

    pub(crate) fn check_alive(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            let log = fs::read_to_string(&self.log)?;
            bail!("the agent ended with {status}; its log:\n{log}");
        }
        Ok(())
    }

    fn registry(&self) -> Result<Value> {
        let mut status = client::get(self.addr, "/api/v1/status").send()?.json()?;
        Ok(status["registries"][0].take())
    }

    async fn until(&mut self, what: &str, done: impl Fn(&Self) -> Result<bool>) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            // It does not listen yet at first.
            if done(self).unwrap_or(false) {
                return Ok(());
            }
            self.check_alive()?;
            ensure!(
                Instant::now() < deadline,
                "{PATIENCE:?} are over before the agent {what}; its log:\n{}",
                fs::read_to_string(&self.log)?
            );
            sleep(GLANCE).await;
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn tell_endpoint(endpoint: &Value) -> Result<()> {
    let lookup = &endpoint["lookups"][0];
    let addresses: Vec<_> = items(&lookup["addresses"]).map(text).collect();
    let at = match addresses[..] {
        [] => format!("no address: {}", text(&lookup["result"])),
        _ if lookup["expected"] == true => format!("at {}, as expected", addresses.join(" ")),
        _ => format!("at {}, NOT AS EXPECTED", addresses.join(" ")),
    };
    let stages: Vec<_> = items(&endpoint["addresses"][0]["stages"])
        .map(|stage| {
            let took = stage["seconds"].as_f64().unwrap_or_default() * 1000.0;
            let failed = match stage["reason"].as_str() {
                Some(reason) => format!(" {reason} after"),
                None => String::new(),
            };
            format!("{}{failed} {took:.1} ms", text(&stage["stage"]))
        })
        .collect();
    say(&format!(
        "    {:<5} {}\n          {} {at}{}{}",
        text(&endpoint["role"]),
        text(&endpoint["host"]),
        if endpoint["up"] == true { "up" } else { "DOWN" },
        if stages.is_empty() { "" } else { "; " },
        stages.join(", ")
    ))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("?")
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
