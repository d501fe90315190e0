//! The findings about credentials: what the configured ones come to in a pull. The registry's own words, which
//! containerd does not print, name the cause.

use super::{
    advice,
    finding::{Code, Finding, Severity},
    identity,
};
use crate::{
    outcome::{
        Credentials, EndpointOutcome, Giver, OfSecret, Offer, OfferEnd, Outcome, Walk, WalkEnd,
    },
    words::{endpoint::Role, reason::Stage},
};

/// Adds what the walks show of credentials. With a credential, that the registry wants one is no news.
pub(super) fn report(outcome: &Outcome, findings: &mut Vec<Finding>) {
    let is_login = |seen: &&EndpointOutcome| seen.endpoint.role == Role::Login;
    let Some(login) = outcome.endpoints.iter().find(is_login) else {
        return;
    };
    for walk in &outcome.walks {
        if walk.credentials.are_configured() {
            findings.retain(|finding| finding.code != Code::CredentialsRequired);
        }
        for found in of_walk(walk, login) {
            let same = |other: &&mut Finding| other.code == found.code;
            match findings.iter_mut().find(same) {
                None => findings.push(found),
                Some(other) => {
                    other.severity = other.severity.max(found.severity);
                    other.client_error = other.client_error.take().or(found.client_error);
                    other.evidence.push(found.message);
                }
            }
        }
    }
}

fn of_walk(walk: &Walk, login: &EndpointOutcome) -> Vec<Finding> {
    let Credentials {
        secret,
        identity,
        offers,
    } = &walk.credentials;
    let (error, is_critical) = match &walk.end {
        WalkEnd::Failed { error, denied } => {
            let is_malformed = matches!(secret, OfSecret::Malformed(_));
            (error.clone(), *denied || is_malformed)
        }
        WalkEnd::Pulled { .. } | WalkEnd::NotSeen(_) => (None, false),
    };
    let finding = |code, stage, message, evidence: String| {
        let severity = match is_critical {
            true => Severity::Critical,
            false => Severity::Warning,
        };
        Finding {
            severity,
            evidence: vec![evidence],
            client_error: error.clone().filter(|_| is_critical),
            ..advice::critical(code, login, stage, message)
        }
    };
    let image = &walk.image;
    let of_secret = match secret {
        OfSecret::NotConfigured | OfSecret::NotSeen | OfSecret::Matches => None,
        OfSecret::Malformed(text) => {
            let message = "the pull secret is malformed, so the kubelet pulls nothing".to_owned();
            let text = text.clone();
            let text = text.unwrap_or_else(|| "it is no .dockerconfigjson".to_owned());
            Some((Code::PullSecretInvalid, message, text))
        }
        OfSecret::NoMatch(keys) => {
            let message = format!("the pull secret has no entry for {image}");
            let evidence = match &keys[..] {
                [] => "it has no entries".to_owned(),
                keys => format!("it has entries for {}", keys.join(", ")),
            };
            Some((Code::PullSecretNoMatch, message, evidence))
        }
    };
    let of_secret =
        of_secret.map(|(code, message, evidence)| finding(code, Stage::Token, message, evidence));
    let of_offers = offers.iter().filter_map(|Offer { of, end }| {
        let (code, stage, evidence) = cause(end)?;
        let message = message(code, of, image, login);
        Some(finding(code, stage, message, evidence))
    });
    let of_identity = identity::failure(identity, &login.endpoint).map(|failure| Finding {
        reason: Some(failure.reason),
        evidence: failure.evidence,
        ..finding(failure.code, failure.stage, failure.message, String::new())
    });
    of_secret
        .into_iter()
        .chain(of_offers)
        .chain(of_identity)
        .collect()
}

/// What the end of an offer means, and what shows it.
fn cause(end: &OfferEnd) -> Option<(Code, Stage, String)> {
    let words = |said: &Option<String>| match said {
        Some(said) => format!("the registry says: {said}"),
        None => "the registry says no more".to_owned(),
    };
    match end {
        OfferEnd::Pulled | OfferEnd::Other => None,
        OfferEnd::Empty => {
            let evidence = "the entry lacks a user or a password".to_owned();
            Some((Code::PullSecretNoMatch, Stage::Token, evidence))
        }
        OfferEnd::Refused(said) => {
            let code = refused(said.as_deref().unwrap_or_default());
            Some((code, Stage::Token, words(said)))
        }
        OfferEnd::NotGiven(said) => {
            Some((Code::RepositoryNotPermitted, Stage::Manifest, words(said)))
        }
    }
}

/// The texts are those of Azure's token service; they may change, so a few words of each have to do. What another
/// registry says means that it does not take the credential.
fn refused(said: &str) -> Code {
    let said = said.to_lowercase();
    let says = |words: &str| said.contains(words);
    match () {
        () if says("not registered") || says("must be guid") => Code::PrincipalUnknown,
        () if says("authentication required") || says("insufficient") => {
            Code::RepositoryNotPermitted
        }
        () => Code::ClientSecretRejected,
    }
}

fn message(
    code: Code,
    of: &Giver,
    image: impl std::fmt::Display,
    login: &EndpointOutcome,
) -> String {
    let server = &login.endpoint;
    let Giver::Entry(key) = of else {
        return match code {
            Code::RepositoryNotPermitted => {
                format!("{server} does not permit the node's managed identity to pull {image}")
            }
            _ => format!("{server} rejects the credential of the node's managed identity"),
        };
    };
    let entry = format!("the pull secret's entry {key}");
    match code {
        Code::PullSecretNoMatch => {
            format!("{entry} has no user and password, so {image} is asked for without")
        }
        Code::PrincipalUnknown => format!("{server} does not know the user of {entry}"),
        Code::RepositoryNotPermitted => {
            format!("{server} does not permit the user of {entry} to pull {image}")
        }
        _ => format!("{server} rejects the password of {entry}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_services_words_name_the_cause() {
        for (said, code) in [
            (
                "Invalid clientid or client secret.",
                Code::ClientSecretRejected,
            ),
            (
                "Application not registered with AAD.",
                Code::PrincipalUnknown,
            ),
            (
                "aad access token with sp failed client id must be guid",
                Code::PrincipalUnknown,
            ),
            (
                "authentication required, visit https://aka.ms/acr/authorization",
                Code::RepositoryNotPermitted,
            ),
            ("incorrect username or password", Code::ClientSecretRejected),
            ("", Code::ClientSecretRejected),
        ] {
            assert_eq!(refused(said), code, "{said}");
        }
    }
}
