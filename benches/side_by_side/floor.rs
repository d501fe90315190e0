//! The bare loop of `benches/floor` as a contender.

use std::{env, process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};

use crate::{
    cost::Cost,
    ground::{Ground, NAMESERVER, host},
};

/// The cost of `count` probes at the others' rate: each of `registries` once a second.
pub(crate) fn measure(ground: &Ground, registries: u16, count: u32) -> Result<Cost> {
    run(ground, registries, registries, count)
}

/// The cost of `count` consecutive probes of one registry.
pub(crate) fn measure_unpaced(ground: &Ground, count: u32) -> Result<Cost> {
    run(ground, 1, 0, count)
}

/// As reported by the loop itself.
fn run(ground: &Ground, registries: u16, per_second: u16, count: u32) -> Result<Cost> {
    let program = env::var("REGPROBE_FLOOR").context("REGPROBE_FLOOR is not set")?;
    let out = ground
        .namespace
        .command(&program)
        .arg(ground.ca_file())
        .args([
            format!("{NAMESERVER}:53"),
            "443".to_owned(),
            count.to_string(),
        ])
        .arg(per_second.to_string())
        .args((0..registries).map(host))
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(out.status.success(), "the floor: {}", out.status);
    let said = String::from_utf8(out.stdout)?;
    let mut numbers = said.split_whitespace().map(str::parse::<u64>);
    let mut next = || {
        numbers
            .next()
            .context("too few numbers")?
            .context("no number")
    };
    Ok(Cost {
        cpu: Duration::from_nanos(next()?) / count,
        rss: next()?,
        scrape: None,
    })
}
