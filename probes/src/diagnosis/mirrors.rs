//! How bad a finding is if the node's client has several hosts to ask in turn: the first one that works
//! serves the pull, so faults of the others are blemishes at most.

use super::{
    finding::{Code, Finding, Severity},
    remedy,
};
use crate::{
    outcome::EndpointOutcome,
    words::endpoint::{Role, Turn},
};

/// The findings of one endpoint.
pub(super) type EndpointFindings<'a> = (&'a EndpointOutcome, Vec<Finding>);

/// Weighs the findings of all hosts against each other; returns the turn of the first host that works.
pub(super) fn settle(judged: &mut [EndpointFindings<'_>]) -> Option<Turn> {
    let turns = judged.iter().map(|(seen, _)| seen.turn);
    let turns = turns.filter(|turn| *turn != Turn::Never);
    let works = |turn: &Turn| {
        let of_turn = judged.iter().filter(|(seen, _)| seen.turn == *turn);
        let mut findings = of_turn.clone().flat_map(|(_, findings)| findings);
        of_turn.map(|(seen, _)| seen).all(|seen| seen.resolves)
            && findings.all(|finding| finding.severity < Severity::Critical)
    };
    let serves = turns.filter(works).min()?;
    for (seen, findings) in judged {
        if seen.turn > serves {
            let all = findings.iter_mut();
            all.for_each(|finding| finding.severity = Severity::Info);
        } else if seen.turn < serves && seen.endpoint.role == Role::Mirror {
            let mut drained = std::mem::take(findings).into_iter();
            let failed = drained.find(|finding| finding.severity == Severity::Critical);
            findings.extend(failed.map(failing));
        } else if seen.turn < serves {
            let all = findings.iter_mut();
            all.for_each(|finding| finding.severity = finding.severity.min(Severity::Warning));
        }
    }
    Some(serves)
}

fn failing(cause: Finding) -> Finding {
    let mirror = &cause.endpoint;
    let message = format!("the mirror {mirror} fails; pulls continue with a later host");
    let evidence = [cause.message].into_iter().chain(cause.evidence).collect();
    Finding {
        code: Code::MirrorFailing,
        severity: Severity::Warning,
        message,
        evidence,
        remedy: remedy::MEND_THE_MIRROR.to_owned(),
        ..cause
    }
}
