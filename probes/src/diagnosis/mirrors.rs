//! How bad a finding is if the node's client has several hosts to ask in turn: the first one that works
//! serves the pull, so faults of the others are blemishes at most.

use super::{
    finding::{Code, Finding, Severity},
    remedy,
};
use crate::{
    outcome::{EndpointOutcome, Walk},
    words::endpoint::{Endpoint, Role, Turn},
};

/// The findings of one endpoint.
pub(super) type EndpointFindings<'a> = (&'a EndpointOutcome, Vec<Finding>);

/// Weighs the findings of all hosts against each other; returns the turn of the host that serves a pull.
pub(super) fn settle(judged: &mut [EndpointFindings<'_>], walks: &[Walk]) -> Option<Turn> {
    let failed = walks.iter().find(|walk| walk.has_failed());
    if let Some(failed) = failed {
        stop(judged, failed.last()?);
        return None;
    }
    let serves = match walks.iter().all(|walk| !walk.is_unseen()) {
        true => last_asked(walks),
        false => None,
    };
    let serves = serves.or_else(|| first_that_works(judged))?;
    for (seen, findings) in judged {
        if seen.turn > serves {
            let all = findings.iter_mut();
            all.for_each(|finding| finding.severity = Severity::Info);
        } else if seen.turn < serves && seen.endpoint.role == Role::Mirror {
            let failed = take_critical(findings);
            findings.extend(failed.map(passed_over));
        } else if seen.turn < serves {
            let all = findings.iter_mut();
            all.for_each(|finding| finding.severity = finding.severity.min(Severity::Warning));
        }
    }
    Some(serves)
}

/// The last host that walks asked: it served them, or would with credentials. One that has no turn counts only where
/// a walk ends at it.
fn last_asked(walks: &[Walk]) -> Option<Turn> {
    let asked = walks.iter().flat_map(|walk| &walk.route);
    let ends = walks.iter().filter_map(|walk| walk.route.last());
    let turns = asked.map(|asked| asked.turn);
    let turns = turns.filter(|turn| *turn != Turn::Never);
    turns.chain(ends.map(|asked| asked.turn)).max()
}

/// By what is wrong with each of them, where no walk tells.
fn first_that_works(judged: &[EndpointFindings<'_>]) -> Option<Turn> {
    let turns = judged.iter().map(|(seen, _)| seen.turn);
    let turns = turns.filter(|turn| *turn != Turn::Never);
    let works = |turn: &Turn| {
        let of_turn = judged.iter().filter(|(seen, _)| seen.turn == *turn);
        let mut findings = of_turn.clone().flat_map(|(_, findings)| findings);
        of_turn.map(|(seen, _)| seen).all(|seen| seen.resolves)
            && findings.all(|finding| finding.severity < Severity::Critical)
    };
    turns.filter(works).min()
}

/// A mirror at which a pull ends fails it, although another host may serve.
fn stop(judged: &mut [EndpointFindings<'_>], stopped: &Endpoint) {
    let turn = judged.iter().find(|(seen, _)| seen.endpoint == *stopped);
    let turn = turn.map(|(seen, _)| seen.turn);
    let is_later = |seen: &EndpointOutcome| seen.turn != Turn::Never && Some(seen.turn) > turn;
    if turn.is_none() || !judged.iter().any(|(seen, _)| is_later(seen)) {
        return;
    }
    for (seen, findings) in judged {
        // What others share, as a token service, is named by itself.
        if seen.endpoint == *stopped && seen.endpoint.role == Role::Mirror {
            let failed = take_critical(findings);
            findings.extend(failed.map(|cause| failing(cause, "pulls end there")));
        } else if is_later(seen) {
            let all = findings.iter_mut();
            all.for_each(|finding| finding.severity = Severity::Info);
        }
    }
}

fn passed_over(cause: Finding) -> Finding {
    Finding {
        severity: Severity::Warning,
        ..failing(cause, "pulls continue with a later host")
    }
}

/// All that is said of a mirror that fails.
fn take_critical(findings: &mut Vec<Finding>) -> Option<Finding> {
    let mut all = std::mem::take(findings).into_iter();
    all.find(|finding| finding.severity == Severity::Critical)
}

fn failing(cause: Finding, then: &str) -> Finding {
    let mirror = &cause.endpoint;
    let message = format!("the mirror {mirror} fails; {then}");
    let evidence = [cause.message].into_iter().chain(cause.evidence).collect();
    Finding {
        code: Code::MirrorFailing,
        message,
        evidence,
        remedy: remedy::MEND_THE_MIRROR.to_owned(),
        ..cause
    }
}
