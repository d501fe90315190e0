//! Continuous reload signals, while the file changes continuously.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use regprobe_harness::agent::Agent;
use regprobe_harness::ground::Ground;
use regprobe_lab::wait;

use super::Holdings;

const LENGTH: Duration = Duration::from_secs(5);
const RELOADED: &str = "regprobe_config_last_reload_successful";

/// As kubelet and careful editors do it: readers get one file or the other.
pub(crate) fn of_swaps() -> Result<()> {
    storm(
        |config, text| {
            let beside = config.with_extension("new");
            fs::write(&beside, text)?;
            Ok(fs::rename(beside, config)?)
        },
        |agent| {
            ensure!(
                agent.scrape()?.value(RELOADED, &[])? == 1.0,
                "half a file was read"
            );
            let names = names(agent)?;
            ensure!(
                names == ["one", "two"] || names == ["one", "three"],
                "{names:?}"
            );
            Ok(())
        },
    )
}

/// As `cp` does it: readers may get nothing, or the beginning of a file, which is rejected unless it is valid.
pub(crate) fn of_writes() -> Result<()> {
    storm(
        |config, text| {
            let mut file = File::create(config)?;
            let (one, others) = text.split_at(text.rfind("- server:").context("one registry")?);
            let (half, rest) = others.split_at(others.len() / 2);
            for piece in [one, half, rest].map(str::as_bytes) {
                wait::pause(Duration::from_millis(1));
                file.write_all(piece)?;
            }
            Ok(())
        },
        |agent| {
            let names = names(agent)?;
            ensure!(names.contains(&"one".to_owned()), "{names:?}");
            Ok(())
        },
    )
}

fn storm(
    replace: impl Fn(&Path, &str) -> Result<()> + Sync,
    holds: impl Fn(&Agent) -> Result<()>,
) -> Result<()> {
    let ground = Ground::new()?;
    let entries = ["one", "two", "three"].map(|name| ground.plain(name));
    let [one, two, three] = entries;
    let (one, two, three) = (one?, two?, three?);
    let text = |other: &str| {
        let config = fs::read_to_string(ground.config(&[&one.entry, other])?)?;
        Ok(schedule_first(&config))
    };
    let texts: [Result<String>; 2] = [text(&three.entry), text(&two.entry)];
    let [with_three, with_two] = texts;
    let (with_three, with_two) = (with_three?, with_two?);
    let config = ground.folder.path().join("regprobe.yaml");
    let agent = Agent::ready(&config, &["--log.level=error"])?;
    let before = Holdings::of(&agent)?;

    let over = AtomicBool::new(false);
    let outcome = thread::scope(|threads| {
        let writer = threads.spawn(|| -> Result<()> {
            while !over.load(Ordering::Relaxed) {
                for text in [&with_three, &with_two] {
                    replace(&config, text)?;
                    agent.signal(Signal::SIGHUP)?;
                }
            }
            Ok(())
        });
        let watched = watch(&agent, holds);
        over.store(true, Ordering::Relaxed);
        writer.join().expect("a writer does not panic").and(watched)
    });
    outcome.with_context(|| agent.log().join("\n"))?;

    agent.signal(Signal::SIGHUP)?;
    agent.until("has the last file", |agent| {
        ensure!(agent.scrape()?.value(RELOADED, &[])? == 1.0);
        ensure!(names(agent)? == ["one", "two"]);
        Ok(())
    })?;
    before.are_back(&agent, &["one", "two"])
}

/// The beginning of such a file says the same of the first registry as all of it.
fn schedule_first(config: &str) -> String {
    let lines = config.lines();
    let (schedule, others): (Vec<_>, Vec<_>) =
        lines.partition(|line| line.starts_with("schedule:"));
    [schedule, others].concat().join("\n") + "\n"
}

fn watch(agent: &Agent, holds: impl Fn(&Agent) -> Result<()>) -> Result<()> {
    let end = Instant::now() + LENGTH;
    while Instant::now() < end {
        agent.get("/-/healthy")?.expect_status(200)?;
        agent.get("/-/ready").context("no answer")?;
        holds(agent)?;
    }
    // An unchanged registry is probed all the time.
    agent.until_rounds(&["one"])
}

fn names(agent: &Agent) -> Result<Vec<String>> {
    let status = agent.status()?;
    let registries = status["registries"].as_array().context("no registries")?;
    let names = registries
        .iter()
        .filter_map(|registry| registry["name"].as_str());
    Ok(names.map(str::to_owned).collect())
}
