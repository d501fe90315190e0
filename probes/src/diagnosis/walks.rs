//! What the walks say of a pull: where every image came, nothing beside its way can have stopped it, and where one
//! did not, something has.

use super::{
    Expectations, advice,
    finding::{Code, Finding, Severity},
    mirrors::EndpointFindings,
};
use crate::{
    outcome::{EndpointOutcome, OfIdentity, Outcome, Walk, WalkEnd},
    words::{
        endpoint::{Role, Turn},
        reason::Stage,
    },
};

/// Weighs findings beside the way of walks that all ended well, or that one lost sight of the pull.
pub(super) fn settle(judged: &mut [EndpointFindings<'_>], walks: &[Walk]) {
    let all_pulled = !walks.is_empty() && walks.iter().all(Walk::has_pulled);
    if all_pulled {
        // The challenge of /v2/ asked for more than a pull needs, and no pull has to be able to read it. Where /v2/ fails,
        // which has a reason, `Outcome::settle_challenge` has weighed it.
        let of_challenge = |finding: &Finding| match finding.code {
            Code::CredentialsRequired => true,
            Code::NotARegistry => finding.stage == Stage::Challenge && finding.reason.is_none(),
            _ => false,
        };
        for (_, findings) in judged.iter_mut() {
            findings.retain(|finding| !of_challenge(finding));
        }
    } else if !walks.iter().any(is_lost) {
        return;
    }
    let on_route = |seen: &EndpointOutcome| {
        let mut routes = walks.iter().flat_map(Walk::endpoints);
        routes.any(|endpoint| endpoint.is_same_server(&seen.endpoint))
    };
    // Where it was led to and found nothing, or asked out of turn, it went on.
    let is_out_of_turn = |seen: &EndpointOutcome| {
        let mut asked = walks.iter().flat_map(|walk| &walk.route);
        asked
            .any(|asked| asked.turn == Turn::Never && asked.endpoint.is_same_server(&seen.endpoint))
    };
    let is_passed = |seen: &EndpointOutcome| {
        seen.endpoint.role == Role::Storage || seen.turn == Turn::Never || is_out_of_turn(seen)
    };
    let is_blemish = |seen: &EndpointOutcome| !on_route(seen) || all_pulled && is_passed(seen);
    for (_, findings) in judged.iter_mut().filter(|(seen, _)| is_blemish(seen)) {
        for finding in findings {
            finding.severity = finding.severity.min(Severity::Warning);
        }
    }
}

/// Whether a walk ends where the node's client goes on and the probe does not: nobody knows whom a pull asks next. One
/// that lacks the node's credential asks next whom it would without an image.
fn is_lost(walk: &Walk) -> bool {
    let lacks_credential = matches!(walk.credentials.identity, OfIdentity::NotSeen(_));
    walk.is_unseen() && !walk.route.is_empty() && !lacks_credential
}

/// Says what the client prints where a walk failed; a failure that no other rule names is told as one of a registry
/// that a pull cannot use.
pub(super) fn explain(outcome: &Outcome, expectations: &Expectations, findings: &mut Vec<Finding>) {
    for walk in &outcome.walks {
        let WalkEnd::Failed { error, denied } = &walk.end else {
            continue;
        };
        let Some(last) = walk.last() else { continue };
        let is_critical = |finding: &&mut Finding| finding.severity == Severity::Critical;
        let at_last = |finding: &&mut Finding| finding.endpoint.is_same_server(last);
        if let Some(cause) = findings.iter_mut().filter(is_critical).find(at_last) {
            cause.client_error.clone_from(error);
            continue;
        }
        if findings.iter_mut().any(|finding| is_critical(&finding)) {
            continue;
        }
        // A blemish where another host might serve, or others might ask.
        let stops = |finding: &&mut Finding| match finding.code {
            Code::Throttled => true,
            Code::CredentialsRequired => expectations.anonymous_pull,
            _ => false,
        };
        if let Some(cause) = findings.iter_mut().filter(stops).find(at_last) {
            cause.severity = Severity::Critical;
            cause.client_error.clone_from(error);
            continue;
        }
        let Some(seen) = outcome.of(last) else {
            continue;
        };
        let at_blob = walk
            .route
            .last()
            .is_some_and(|asked| asked.stage == Stage::Blob);
        let (code, stage) = match (denied, at_blob) {
            (true, _) => (Code::CredentialsRequired, Stage::Manifest),
            (false, true) => (Code::BlobUnavailable, Stage::Blob),
            (false, false) => (Code::NotARegistry, Stage::Manifest),
        };
        // Who offers a credential expects to be given something for it.
        let is_anonymous = walk.credentials.offers.is_empty();
        let is_tolerated = *denied && is_anonymous && !expectations.anonymous_pull;
        let is_told =
            |finding: &&mut Finding| finding.code == code && (*denied || at_last(finding));
        if let Some(told) = findings.iter_mut().find(is_told) {
            if !is_tolerated {
                told.severity = Severity::Critical;
                told.client_error.clone_from(error);
            }
            continue;
        }
        let image = &walk.image;
        let message = match denied {
            true if is_anonymous => {
                format!("the registry does not give {image} without credentials")
            }
            true => {
                format!("the registry does not give {image} for the credentials that it is offered")
            }
            false => format!("containerd cannot pull {image} from {last}"),
        };
        let mut asked: Vec<_> = walk.endpoints().map(ToString::to_string).collect();
        asked.dedup();
        let finding = Finding {
            address: seen.path.address(),
            evidence: vec![format!("asked for it, in this order: {}", asked.join(", "))],
            ..advice::critical(code, seen, stage, message)
        };
        findings.push(match is_tolerated {
            true => Finding {
                severity: Severity::Info,
                ..finding
            },
            false => Finding {
                client_error: error.clone(),
                ..finding
            },
        });
    }
}

/// What could not be told of a pull, and why.
pub(super) fn unseen(outcome: &Outcome) -> Option<String> {
    outcome.walks.iter().find_map(|walk| match &walk.end {
        WalkEnd::NotSeen(why) => Some(format!("{}: {why}", walk.image)),
        WalkEnd::Pulled { .. } | WalkEnd::Failed { .. } => None,
    })
}
