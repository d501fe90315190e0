//! The text of `check`: for each registry its verdict, then every endpoint with what each
//! nameserver said and what each stage gave. It fits 80 columns.

use std::{fmt::Write, time::Duration};

use regprobe_probes::{AddressOutcome, EndpointOutcome, Lookup};

use crate::{
    board::{RegistryState, Snapshot},
    describe,
};

/// Of all registries, in the order of the plan.
pub(crate) fn text(snapshot: &Snapshot) -> String {
    let registries: Vec<_> = snapshot
        .registries
        .iter()
        .map(|state| registry(state))
        .collect();
    registries.join("\n")
}

fn registry(state: &RegistryState) -> String {
    let Some(round) = &state.round else {
        return format!("{}: not probed yet\n", state.planned.name);
    };
    let verdict = round.verdict.as_str().to_uppercase();
    let mut text = format!("{}: {verdict}\n", state.planned.name);
    for seen in &round.outcome.endpoints {
        // Writing to a string cannot fail.
        let _ = endpoint(&mut text, seen);
    }
    text
}

fn endpoint(text: &mut String, seen: &EndpointOutcome) -> std::fmt::Result {
    writeln!(
        text,
        "\n  {} {}",
        seen.endpoint.role.as_str(),
        seen.endpoint
    )?;
    if let Some(fault) = seen.no_lookup() {
        line(
            text,
            "",
            "resolve",
            Duration::ZERO,
            Some(fault.reason().as_str()),
            &fault.to_string(),
        )?;
    }
    for lookup in &seen.lookups {
        self::lookup(text, lookup)?;
    }
    if !seen.pinned.is_empty() {
        let pinned: Vec<_> = seen.pinned.iter().map(ToString::to_string).collect();
        writeln!(text, "    hosts file: {}", pinned.join(" "))?;
    }
    for address in &seen.addresses {
        self::address(text, address, seen.path == Some(address.address))?;
    }
    Ok(())
}

fn lookup(text: &mut String, lookup: &Lookup) -> std::fmt::Result {
    let reason = lookup.fault().map(|fault| fault.reason().as_str());
    let detail = lookup.fault().map(ToString::to_string).unwrap_or_default();
    let addresses: Vec<_> = lookup
        .addresses()
        .map(|address| address.to_string())
        .collect();
    writeln!(text, "    nameserver {}", lookup.nameserver)?;
    line(
        text,
        "",
        "resolve",
        lookup.took,
        reason,
        &[addresses.join(" "), detail].join(""),
    )?;
    for alias in lookup.chain() {
        writeln!(text, "{:17}-> {} ({} s)", "", alias.name, alias.ttl)?;
    }
    Ok(())
}

fn address(text: &mut String, seen: &AddressOutcome, on_path: bool) -> std::fmt::Result {
    let note = if on_path {
        ""
    } else {
        " (not on the pull path)"
    };
    writeln!(text, "    address {}{note}", seen.address)?;
    for stage in &seen.stages {
        let reason = stage
            .result
            .as_ref()
            .err()
            .map(|fault| fault.reason().as_str());
        line(
            text,
            "",
            stage.stage.as_str(),
            stage.took,
            reason,
            &describe::stage(stage),
        )?;
    }
    Ok(())
}

fn line(
    text: &mut String,
    indent: &str,
    stage: &str,
    took: Duration,
    reason: Option<&str>,
    detail: &str,
) -> std::fmt::Result {
    let took = format!("{:.1} ms", took.as_secs_f64() * 1000.0);
    let result = reason.unwrap_or("ok");
    let line = format!("      {indent}{stage:<10} {took:>10}  {result:<14} {detail}");
    writeln!(text, "{}", line.trim_end())
}
