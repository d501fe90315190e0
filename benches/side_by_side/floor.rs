//! The bare loop of `benches/floor` as a contender.

use std::{env, process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};

use crate::{
    cost::Cost,
    ground::{Ground, NAMESERVER, host},
};

/// What `count` probes cost, by the loop's own account.
pub(crate) fn measure(ground: &Ground, count: u32) -> Result<Cost> {
    let program = env::var("REGPROBE_FLOOR").context("REGPROBE_FLOOR is not set")?;
    let out = ground
        .namespace
        .command(&program)
        .arg(ground.ca_file())
        .args([format!("{NAMESERVER}:53"), host(0), "443".to_owned()])
        .arg(count.to_string())
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
