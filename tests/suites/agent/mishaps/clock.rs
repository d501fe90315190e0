//! The wall clock is set forward and back for the agent only: libfaketime answers in place of the kernel
//! and reads the offset from a file.

use std::env::consts::ARCH;
use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Result, ensure};
use regprobe_harness::agent::Agent;
use regprobe_harness::ground::Ground;
use regprobe_harness::program::regprobe;
use regprobe_lab::fakes::acr::Route;

use super::Holdings;

/// Two hours: no certificate of the lab starts or expires in that time.
const JUMP: i32 = 7200;

pub(crate) fn is_set() -> Result<()> {
    let ground = Ground::new()?;
    let plain = ground.plain("plain")?;
    let config = ground.config(&[&ground.contoso_entry(), &plain.entry])?;
    let file = ground.folder.path().join("clock");
    set(&file, 0)?;
    let mut command = regprobe(["run"]);
    command
        .env(
            "LD_PRELOAD",
            format!("/usr/lib/{ARCH}-linux-gnu/faketime/libfaketime.so.1"),
        )
        .env("FAKETIME_TIMESTAMP_FILE", &file)
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    let agent = Agent::start_by(command, &config, &[])?;
    agent.until_ready()?;
    let before = Holdings::of(&agent)?;
    let pings = || plain.acr.seen_on(Route::Ping).len();
    for jump in [JUMP, -JUMP] {
        let (asked, at) = (pings(), Instant::now());
        set(&file, jump)?;
        agent.until("tells by how much its clock is off", |agent| {
            let labels = [("registry", "contoso")];
            let skew = agent
                .scrape()?
                .value("regprobe_clock_skew_seconds", &labels)?;
            ensure!((skew - f64::from(jump)).abs() < 60.0, "{skew}");
            Ok(())
        })?;
        agent.until_rounds(&["contoso", "plain"])?;
        // One round a second: none is missed, and none is extra.
        let turns = at.elapsed().as_secs() as usize + 2;
        let made = pings() - asked;
        ensure!(made <= turns + 1, "{made} requests in {turns} turns");
        let suspended = [("why", "suspend")];
        let skipped = agent.scrape()?;
        ensure!(skipped.sum("regprobe_rounds_skipped_total", &suspended) == 0.0);
    }
    set(&file, 0)?;
    before.are_back(&agent, &["contoso", "plain"])
}

fn set(file: &Path, seconds: i32) -> Result<()> {
    // In one step, because the file is read all the time.
    let new = file.with_extension("new");
    fs::write(&new, format!("{seconds:+}\n"))?;
    Ok(fs::rename(new, file)?)
}
