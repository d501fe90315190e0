//! The text report of `check`. For each registry: the verdict, then the findings with what to do, the worst
//! first, then each endpoint with the answers of nameservers and the results of stages.

use std::time::Duration;

use anstyle::{AnsiColor, Style};
use regprobe_probes::{
    AddressOutcome, Endpoint, EndpointOutcome, Finding, Lookup, PullPath, Severity,
};

use crate::{
    out::{
        describe::{self, Milliseconds},
        screen::{BOLD, Layout, PLAIN, Screen},
    },
    state::{RegistryState, Round, Snapshot, condition::Condition},
};

#[cfg(test)]
mod tests;

/// A shorter delay is not shown.
const NOTABLE_DELAY: Duration = Duration::from_secs(1);
/// The column where details begin.
const DETAIL: usize = 45;

/// The report on all registries, in the order of the plan.
pub(crate) fn text(snapshot: &Snapshot, screen: Screen) -> String {
    let mut layout = Layout::new(screen);
    for (place, state) in snapshot.registries.iter().enumerate() {
        if place > 0 {
            layout.gap();
        }
        registry(&mut layout, state);
    }
    layout.gap();
    layout.line(0, 2).words(0, &totals(snapshot));
    layout.into_text()
}

/// `3 registries: 1 failing, 2 ok`, the worst condition first.
fn totals(snapshot: &Snapshot) -> String {
    let conditions: Vec<_> = snapshot
        .registries
        .iter()
        .map(|state| Condition::of(state))
        .collect();
    let all = [
        Condition::Failing,
        Condition::Unknown,
        Condition::Degraded,
        Condition::Ok,
    ];
    let counts = all.into_iter().filter_map(|condition| {
        let count = conditions
            .iter()
            .filter(|found| **found == condition)
            .count();
        (count > 0).then(|| format!("{count} {}", condition.as_str()))
    });
    let noun = if conditions.len() == 1 {
        "registry"
    } else {
        "registries"
    };
    let counts: Vec<_> = counts.collect();
    format!("{} {noun}: {}", conditions.len(), counts.join(", "))
}

fn registry(layout: &mut Layout, state: &RegistryState) {
    let planned = &state.planned;
    let condition = Condition::of(state);
    let mut line = layout.line(0, 2).cell(0, BOLD, &planned.name);
    if *planned.name != *planned.server {
        line = line.cell(1, PLAIN, &format!("({})", planned.server));
    }
    let word = condition.as_str().to_uppercase();
    drop(
        line.cell(2, condition_style(condition), &word)
            .words(2, condition.meaning()),
    );
    if let Some(round) = &state.round {
        self::round(layout, round);
    }
}

fn round(layout: &mut Layout, round: &Round) {
    if let Some(unseen) = &round.diagnosis.unseen {
        let line = layout.line(2, 4).cell(0, PLAIN, "not seen:");
        line.words(1, unseen);
    }
    let delay = round.diagnosis.predicted_pull_delay;
    if let Some(delay) = delay.filter(|delay| *delay >= NOTABLE_DELAY) {
        let seconds = delay.as_secs_f64();
        let text = format!("a pull waits {seconds:.1} s for what does not answer");
        layout
            .line(2, 4)
            .cell(0, PLAIN, "predicted delay:")
            .words(1, &text);
    }
    for finding in &round.diagnosis.findings {
        layout.gap();
        self::finding(layout, finding);
    }
    for seen in &round.outcome.endpoints {
        layout.gap();
        endpoint(layout, seen);
    }
}

fn finding(layout: &mut Layout, finding: &Finding) {
    let severity = finding.severity.as_str().to_uppercase();
    layout
        .line(2, 4)
        .cell(0, severity_style(finding.severity), &severity)
        .cell(1, BOLD, finding.code.as_str())
        .cell(2, PLAIN, &place(&finding.endpoint));
    layout.line(4, 4).words(0, &finding.message);
    for (place, evidence) in finding.evidence.iter().enumerate() {
        let label = if place == 0 { "seen:" } else { "     " };
        layout.line(4, 12).cell(0, PLAIN, label).words(1, evidence);
    }
    if let Some(printed) = &finding.client_error {
        labelled(layout, "containerd prints:", printed);
    }
    labelled(layout, "do:", &finding.remedy);
    labelled(
        layout,
        "more:",
        &format!("regprobe explain {}", finding.code),
    );
}

fn labelled(layout: &mut Layout, label: &str, text: &str) {
    layout.line(4, 8).cell(0, PLAIN, label).words(1, text);
}

fn endpoint(layout: &mut Layout, seen: &EndpointOutcome) {
    layout.line(2, 4).cell(0, PLAIN, &place(&seen.endpoint));
    if let Some(fault) = seen.no_lookup() {
        let reason = Some(fault.reason().as_str());
        stage(layout, "resolve", None, reason, &fault.to_string());
    }
    if let PullPath::Blocked { stage: at, fault } = &seen.path {
        let reason = Some(fault.reason().as_str());
        stage(layout, at.as_str(), None, reason, &fault.to_string());
    }
    for lookup in &seen.lookups {
        self::lookup(layout, lookup, &seen.endpoint.host);
    }
    if !seen.pinned.is_empty() {
        let pinned: Vec<_> = seen.pinned.iter().map(ToString::to_string).collect();
        labelled(layout, "hosts file:", &pinned.join(" "));
    }
    for address in &seen.addresses {
        let off_path = seen
            .path
            .address()
            .is_some_and(|used| used != address.address);
        self::address(layout, address, off_path);
    }
}

pub(crate) fn place(endpoint: &Endpoint) -> String {
    format!("{} {endpoint}", endpoint.role.as_str())
}

fn lookup(layout: &mut Layout, lookup: &Lookup, host: &str) {
    let nameserver = lookup.nameserver.to_string();
    let line = layout.line(4, 8).cell(0, PLAIN, "nameserver");
    let line = line.cell(1, PLAIN, &nameserver);
    // The name that was asked may have a search domain.
    if *lookup.name == *host {
        drop(line);
    } else {
        drop(line.words(1, &format!("asked for {}", lookup.name)));
    }
    let reason = lookup.fault().map(|fault| fault.reason().as_str());
    let addresses = lookup.addresses().map(|address| address.to_string());
    let fault = lookup.fault().map(ToString::to_string);
    let detail: Vec<_> = addresses.chain(fault).collect();
    stage(
        layout,
        "resolve",
        Some(lookup.took()),
        reason,
        &detail.join(" "),
    );
    for alias in lookup.chain() {
        layout
            .line(17, 20)
            .cell(0, PLAIN, "->")
            .cell(1, PLAIN, &alias.name)
            .cell(1, PLAIN, &format!("({} s)", alias.ttl));
    }
}

fn address(layout: &mut Layout, seen: &AddressOutcome, off_path: bool) {
    let note = if off_path {
        "(not on the pull path)"
    } else {
        ""
    };
    layout
        .line(4, 8)
        .cell(0, PLAIN, "address")
        .cell(1, PLAIN, &seen.address.to_string())
        .words(1, note);
    for outcome in &seen.stages {
        let fault = outcome.result.as_ref().err();
        stage(
            layout,
            outcome.stage.as_str(),
            Some(outcome.took),
            fault.map(|fault| fault.reason().as_str()),
            &describe::stage(outcome),
        );
    }
}

/// One line: stage, time, result, details.
fn stage(
    layout: &mut Layout,
    stage: &str,
    took: Option<Duration>,
    reason: Option<&str>,
    detail: &str,
) {
    let took = took.map(|took| Milliseconds(took.as_secs_f64()).to_string());
    let took = took.unwrap_or_default();
    let style = match reason {
        Some(_) => AnsiColor::Red.on_default(),
        None => PLAIN,
    };
    layout
        .line(6, DETAIL)
        .cell(0, PLAIN, &format!("{stage:<10} {took:>11}"))
        .cell(2, style, reason.unwrap_or("ok"))
        .words_at_hang(detail);
}

pub(crate) fn condition_style(condition: Condition) -> Style {
    let colour = match condition {
        Condition::Ok => AnsiColor::Green,
        Condition::Degraded | Condition::Unknown => AnsiColor::Yellow,
        Condition::Failing => AnsiColor::Red,
    };
    colour.on_default().bold()
}

pub(crate) fn severity_style(severity: Severity) -> Style {
    let colour = match severity {
        Severity::Info => AnsiColor::Cyan,
        Severity::Warning => AnsiColor::Yellow,
        Severity::Critical => AnsiColor::Red,
    };
    colour.on_default().bold()
}
