//! What a round changed. The change log, the metrics, the history and `check --watch` all read the same
//! list, and the times since when things hold follow the same rules. Pure: two rounds in, changes out.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use jiff::Timestamp;
use regprobe_probes::{
    Depth, Endpoint, EndpointOutcome, Finding, Lookup, Nameserver, Outcome, Reason, Severity,
    Stage, Verdict,
};

use super::{
    condition::Condition,
    registry::{LastAnswer, Round},
    snapshot::Snapshot,
};
use crate::plan::PlannedRegistry;

/// One difference between a round and the one before it. After the first round everything is new.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change<'a> {
    /// The registry has another condition.
    Condition { before: Condition, now: Condition },
    /// An endpoint is new, came up, went down, or fails at another stage or for another reason.
    Endpoint(&'a EndpointOutcome),
    /// An endpoint is no longer part of the registry.
    Left(&'a Endpoint),
    /// A finding appeared.
    Found(&'a Finding),
    /// A finding cleared.
    Cleared(&'a Finding),
    /// The registry has another verdict.
    Verdict(Verdict),
    /// A nameserver is no longer asked for the host's own name.
    NotAsked {
        endpoint: &'a Endpoint,
        nameserver: &'a Nameserver,
    },
    /// A nameserver gives another answer in the end, or fails for another reason.
    Answer {
        endpoint: &'a Endpoint,
        before: &'a Lookup,
        now: &'a Lookup,
    },
    /// A nameserver gives other addresses for the host's own name than it did when it last gave any.
    Addresses(&'a LastAnswer),
}

impl Change<'_> {
    /// Whether it concerns what works and what does not, and not only what nameservers answer.
    pub(crate) fn is_of_health(&self) -> bool {
        !matches!(
            self,
            Self::NotAsked { .. } | Self::Answer { .. } | Self::Addresses(_)
        )
    }
}

/// How `now` differs from `before`: condition, endpoints, findings, verdict, answers, in this order.
pub(crate) fn between<'a>(before: Option<&'a Round>, now: &'a Round) -> Vec<Change<'a>> {
    let mut changes = Vec::new();
    let was = before.map_or(Condition::Unknown, Condition::after);
    let is = Condition::after(now);
    if was != is {
        changes.push(Change::Condition {
            before: was,
            now: is,
        });
    }
    for seen in &now.outcome.endpoints {
        let earlier = before.and_then(|before| before.outcome.of(&seen.endpoint));
        if earlier.map(cause) != Some(cause(seen)) {
            changes.push(Change::Endpoint(seen));
        }
    }
    if let Some(before) = before {
        let earlier = before.outcome.endpoints.iter().map(|seen| &seen.endpoint);
        let left = earlier.filter(|endpoint| now.outcome.of(endpoint).is_none());
        changes.extend(left.map(Change::Left));
    }
    let found = now.diagnosis.findings.iter();
    let found = found.filter(|finding| before.and_then(|round| since(round, finding)).is_none());
    changes.extend(found.map(Change::Found));
    if let Some(before) = before {
        let cleared = before.diagnosis.findings.iter();
        let cleared = cleared.filter(|finding| since(now, finding).is_none());
        changes.extend(cleared.map(Change::Cleared));
    }
    let verdict = now.diagnosis.verdict();
    if before.map(|before| before.diagnosis.verdict()) != Some(verdict) {
        changes.push(Change::Verdict(verdict));
    }
    if let Some(before) = before {
        answers(before, now, &mut changes);
    }
    changes
}

fn answers<'a>(before: &'a Round, now: &'a Round, changes: &mut Vec<Change<'a>>) {
    for seen in &now.outcome.endpoints {
        let Some(earlier) = before.outcome.of(&seen.endpoint) else {
            continue;
        };
        let dropped = earlier.lookups_of_host();
        let dropped = dropped.filter(|lookup| !is_asked(seen, &lookup.nameserver));
        changes.extend(dropped.map(|lookup| Change::NotAsked {
            endpoint: &seen.endpoint,
            nameserver: &lookup.nameserver,
        }));
        for answer in seen.answers() {
            let mut those = earlier.answers();
            let before = those.find(|other| other.nameserver == answer.nameserver);
            if let Some(before) = before.filter(|before| said(before) != said(answer)) {
                changes.push(Change::Answer {
                    endpoint: &seen.endpoint,
                    before,
                    now: answer,
                });
            }
        }
    }
    let moved = now.answers.iter().filter(|answer| {
        let mut earlier = before.answers.iter();
        earlier.any(|other| is_of_same(other, answer) && other.addresses != answer.addresses)
    });
    changes.extend(moved.map(Change::Addresses));
}

/// Why the endpoint is down, if it is.
fn cause(seen: &EndpointOutcome) -> Option<(Stage, Reason)> {
    seen.failure().map(|(stage, fault)| (stage, fault.reason()))
}

/// Since when `finding` holds by `round`; `None` where it does not hold.
fn since(round: &Round, finding: &Finding) -> Option<Timestamp> {
    let mut findings = round.diagnosis.findings.iter().zip(&round.found);
    let (_, since) = findings.find(|(other, _)| other.is_same_as(finding))?;
    Some(*since)
}

/// A set, because nameservers may rotate their answers.
pub(crate) fn said(lookup: &Lookup) -> (BTreeSet<IpAddr>, Option<Reason>) {
    let reason = lookup.fault().map(|fault| fault.reason());
    (lookup.addresses().collect(), reason)
}

/// Whether the nameserver is asked for the host's own name.
fn is_asked(seen: &EndpointOutcome, nameserver: &Nameserver) -> bool {
    let mut lookups = seen.lookups_of_host();
    lookups.any(|lookup| *lookup.nameserver == *nameserver)
}

fn is_of_same(one: &LastAnswer, other: &LastAnswer) -> bool {
    one.endpoint == other.endpoint && one.nameserver == other.nameserver
}

/// The round that began `at` and saw `outcome`. What it did not ask comes from `before`, and what
/// already held keeps the time since when it holds.
pub(crate) fn next_round(
    before: Option<&Round>,
    planned: &PlannedRegistry,
    at: Timestamp,
    depth: Depth,
    outcome: Outcome,
) -> Round {
    let Some(before) = before else {
        return Round::new(planned, at, depth, outcome);
    };
    let mut round = Round::new(
        planned,
        at,
        depth,
        outcome.with_earlier_requests(&before.outcome, depth),
    );
    carry_over(&mut round, before);
    hold(&mut round, before);
    round
}

/// Keeps what the last request said for information, where this round did not make that request: an address that
/// changed, or a path that broke for a moment, does not change whether a registry wants credentials.
fn carry_over(round: &mut Round, before: &Round) {
    for finding in &before.diagnosis.findings {
        let answered = round.outcome.of(&finding.endpoint);
        let answered = answered.is_none_or(|seen| seen.stage(finding.stage).is_some());
        let is_of_request = finding.stage.is_http() && Depth::of(finding.stage) > round.depth;
        let is_kept = finding.severity == Severity::Info && is_of_request && !answered;
        let has = |other: &Finding| other.code == finding.code;
        if is_kept && !round.diagnosis.findings.iter().any(has) {
            round.diagnosis.findings.push(finding.clone());
            round.found.push(round.at);
        }
    }
}

/// `now`, which follows `before` and has the same registries.
pub(crate) fn next_snapshot(before: &Snapshot, mut now: Snapshot) -> Snapshot {
    for (state, before) in now.registries.iter_mut().zip(&before.registries) {
        let state = Arc::make_mut(state);
        if let (Some(round), Some(before)) = (&mut state.round, &before.round) {
            hold(Arc::make_mut(round), before);
        }
    }
    now
}

/// Keeps the times, and the last answers of nameservers that are still asked.
fn hold(round: &mut Round, before: &Round) {
    for (finding, found) in round.diagnosis.findings.iter().zip(&mut round.found) {
        *found = since(before, finding).unwrap_or(*found);
    }
    if Condition::after(before) == Condition::after(round) {
        round.since = before.since;
    }
    for earlier in &before.answers {
        let seen = round.outcome.of(&earlier.endpoint);
        let is_asked = seen.is_some_and(|seen| is_asked(seen, &earlier.nameserver));
        if is_asked && !round.answers.iter().any(|now| is_of_same(now, earlier)) {
            round.answers.push(earlier.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use regprobe_probes::{Code, PullPath};

    use super::*;
    use crate::state::{RegistryState, story};

    fn round(state: &RegistryState) -> &Round {
        state.round.as_ref().unwrap()
    }

    #[test]
    fn a_finding_that_holds_is_no_change_whatever_its_address() {
        let before = story::failing();
        let mut now = RegistryState::clone(&before);
        now.round_mut().diagnosis.findings[1].address = None;
        assert!(between(before.round.as_deref(), round(&now)).is_empty());

        now.round_mut().diagnosis.findings[1].severity = Severity::Critical;
        let changes = between(before.round.as_deref(), round(&now));
        let [Change::Found(found), Change::Cleared(cleared)] = changes[..] else {
            panic!("{changes:?}");
        };
        assert_eq!(found.code, Code::CertificateExpiringSoon);
        assert_eq!(cleared.code, Code::CertificateExpiringSoon);
    }

    #[test]
    fn everything_is_new_after_the_first_round() {
        let state = story::failing();
        let changes = between(None, round(&state));
        let count = |is: fn(&Change<'_>) -> bool| changes.iter().filter(|one| is(one)).count();
        assert_eq!(count(|one| matches!(one, Change::Endpoint(_))), 2);
        assert_eq!(count(|one| matches!(one, Change::Found(_))), 2);
        assert_eq!(count(|one| matches!(one, Change::Verdict(_))), 1);
        assert_eq!(count(|one| matches!(one, Change::Condition { .. })), 1);
        assert_eq!(changes.len(), 6);
    }

    #[test]
    fn what_holds_keeps_its_time() {
        let before = story::failing();
        let mut now = RegistryState::clone(&before);
        let later = "2026-02-20T12:00:15Z".parse().unwrap();
        let round_now = now.round_mut();
        (round_now.at, round_now.since) = (later, later);
        round_now.found = vec![later; 2];
        round_now.diagnosis.findings[0].nameserver = None;
        hold(round_now, round(&before));
        assert_eq!(round(&now).since, round(&before).since);
        assert_eq!(round(&now).found, [later, round(&before).found[1]]);
    }

    #[test]
    fn a_nameserver_that_fails_for_a_while_has_not_changed_its_addresses() {
        let healthy = story::healthy();
        let planned = &healthy.planned;
        let outcome = |failing: bool, last: u8| {
            let mut outcome = round(&healthy).outcome.clone();
            let seen = &mut outcome.endpoints[0];
            let lookup = &mut seen.lookups[0];
            if let Ok(answer) = &mut lookup.a {
                answer.addresses = vec![[10, 240, 1, last].into()];
            }
            if failing {
                lookup.a = lookup.aaaa.clone();
            }
            outcome
        };
        let mut last = next_round(
            None,
            planned,
            Timestamp::UNIX_EPOCH,
            Depth::Network,
            outcome(false, 5),
        );
        for (failing, address, moved) in [(true, 5, 0), (false, 5, 0), (true, 6, 0), (false, 6, 1)]
        {
            let outcome = outcome(failing, address);
            let now = next_round(Some(&last), planned, last.at, Depth::Network, outcome);
            let changes = between(Some(&last), &now);
            let count = changes
                .iter()
                .filter(|one| matches!(one, Change::Addresses(_)))
                .count();
            assert_eq!(count, moved, "{failing} {address}");
            last = now;
        }
    }

    #[test]
    fn information_from_a_request_holds_until_the_next_one() {
        let drift = story::drift();
        let before = round(&drift);
        let noted = |round: &Round| {
            let mut findings = round.diagnosis.findings.iter();
            findings.any(|finding| finding.code == Code::CredentialsRequired)
        };
        assert!(noted(before));
        // The name leads elsewhere now.
        let mut outcome = before.outcome.clone();
        let seen = &mut outcome.endpoints[0];
        seen.addresses.truncate(1);
        let address = &mut seen.addresses[0];
        address.address = [203, 0, 113, 99].into();
        address.stages.retain(|stage| !stage.stage.is_http());
        seen.path = PullPath::Walked {
            result: Ok(address.address),
            nameserver: seen.path.nameserver(),
            waits: seen.path.waits(),
            elsewhere: seen.path.elsewhere().to_vec(),
        };
        for (depth, held) in [
            (Depth::Network, true),
            (Depth::Request, true),
            (Depth::Token, false),
        ] {
            let at = before.at;
            let now = next_round(Some(before), &drift.planned, at, depth, outcome.clone());
            assert_eq!(noted(&now), held, "{depth:?}");
            assert_eq!(now.found.len(), now.diagnosis.findings.len());
        }
    }

    #[test]
    fn what_is_asked_no_more_is_forgotten() {
        let healthy = story::healthy();
        let before = round(&healthy);
        assert!(!before.answers.is_empty());
        let mut outcome = before.outcome.clone();
        outcome.endpoints.clear();
        let depth = Depth::Network;
        let now = next_round(Some(before), &healthy.planned, before.at, depth, outcome);
        assert!(now.answers.is_empty());
    }
}
