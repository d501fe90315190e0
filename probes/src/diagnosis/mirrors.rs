//! What a finding weighs where the node's client has several hosts to ask in turn: the first that
//! works serves the pull, so the others' faults are blemishes at most.

use super::{
    advice,
    finding::{Code, Finding, Severity},
};
use crate::{
    outcome::{EndpointOutcome, Outcome},
    words::{
        endpoint::{Role, Turn},
        reason::Stage,
    },
};

/// Findings by the endpoint that they were met at.
type Judged<'a> = (&'a EndpointOutcome, Vec<Finding>);

/// Weighs the findings of all hosts against each other; returns the turn of the first host that
/// works.
pub(super) fn settle(judged: &mut [Judged<'_>]) -> Option<Turn> {
    let turns = judged
        .iter()
        .map(|(seen, _)| seen.turn)
        .filter(|turn| *turn != Turn::Never);
    let works = |turn: &Turn| {
        let of_turn = judged.iter().filter(|(seen, _)| seen.turn == *turn);
        of_turn
            .flat_map(|(_, findings)| findings)
            .all(|f| f.severity < Severity::Critical)
    };
    let serves = turns.filter(works).min()?;
    for (seen, findings) in judged {
        if seen.turn > serves {
            findings
                .iter_mut()
                .for_each(|finding| finding.severity = Severity::Info);
        } else if seen.turn < serves && seen.endpoint.role == Role::Mirror {
            let failed = findings
                .iter()
                .position(|f| f.severity == Severity::Critical);
            *findings = failed
                .map(|at| failing(findings.swap_remove(at)))
                .into_iter()
                .collect();
        } else if seen.turn < serves {
            findings
                .iter_mut()
                .for_each(|f| f.severity = f.severity.min(Severity::Warning));
        }
    }
    Some(serves)
}

/// The node's own configuration of the registry is not what its writer meant.
pub(super) fn misconfigured(outcome: &Outcome) -> Option<Finding> {
    let wrong = outcome.misconfigured.as_ref()?;
    let order = |seen: &&EndpointOutcome| (seen.endpoint.role, seen.endpoint.to_string());
    let seen = outcome.endpoints.iter().min_by_key(order)?;
    let (severity, message) = match wrong.fatal {
        true => (
            Severity::Critical,
            "containerd cannot read the registry's certs.d directory",
        ),
        false => (
            Severity::Warning,
            "containerd ignores the registry's hosts.toml, mirrors and all",
        ),
    };
    Some(Finding {
        evidence: vec![wrong.problem.clone()],
        client_error: wrong.fatal.then(|| wrong.problem.clone()),
        ..Finding::new(
            Code::MirrorFailing,
            severity,
            &seen.endpoint,
            Stage::Resolve,
            message,
            advice::CORRECT_CERTS_D,
        )
    })
}

fn failing(cause: Finding) -> Finding {
    let message = format!(
        "the mirror {} fails; pulls go on to a later host",
        cause.endpoint
    );
    let evidence = std::iter::once(cause.message)
        .chain(cause.evidence)
        .collect();
    Finding {
        code: Code::MirrorFailing,
        severity: Severity::Warning,
        message,
        evidence,
        remedy: advice::MEND_THE_MIRROR.to_owned(),
        ..cause
    }
}
