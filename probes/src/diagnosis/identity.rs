//! What it means that the node's credential provider gets no credential for its managed identity, what the kubelet's
//! journal then has, and what each pull waits for it.
//!
//! Sources: kubernetes-sigs/cloud-provider-azure `pkg/credentialprovider`, Kubernetes `pkg/credentialprovider/plugin`;
//! both were run against the faults.

use std::time::Duration;

use super::finding::Code;
use crate::{
    outcome::{Fault, OfIdentity, Outcome},
    stages::{http::fault::HttpFault, identity::IdentityFault},
    words::{
        endpoint::Endpoint,
        reason::{Reason, Stage},
    },
};

/// The kubelet kills its credential provider then.
const KILLED: Duration = Duration::from_secs(60);
/// What the provider waits, all in all, before it tries the metadata service again: 5, 15 and 35 s, each a little less
/// or more.
const RETRIES: Duration = Duration::from_secs(55);

/// A failure of the credential provider that no other rule names.
pub(super) struct ProviderFailure {
    pub code: Code,
    pub stage: Stage,
    pub reason: Reason,
    pub message: String,
    pub evidence: Vec<String>,
}

/// Names the failure to get a credential at `login`. An answer to `/v2/` that fails has a finding of its own.
pub(super) fn failure(identity: &OfIdentity, login: &Endpoint) -> Option<ProviderFailure> {
    let OfIdentity::Failed { stage, fault } = identity else {
        return None;
    };
    let reason = fault.reason();
    let (code, message) = match (stage, fault) {
        (Stage::Identity, Fault::Identity(IdentityFault::Proxied(proxy))) => (
            Code::MetadataProxied,
            format!(
                "the node's proxy settings send the kubelet's question for its identity to {proxy}"
            ),
        ),
        (Stage::Identity, _) => match reason {
            Reason::NotAssigned => (
                Code::IdentityNotOnNode,
                "the configured managed identity is not assigned to this node".to_owned(),
            ),
            Reason::Ambiguous => (
                Code::IdentityAmbiguous,
                "this node has several managed identities, and none is named".to_owned(),
            ),
            Reason::Throttled => (
                Code::MetadataThrottled,
                "the node's metadata service limits the rate of questions".to_owned(),
            ),
            _ => (
                Code::MetadataUnreachable,
                "the node's metadata service gives no token for the kubelet's identity".to_owned(),
            ),
        },
        (Stage::Exchange, _) if reason == Reason::Unauthorized => (
            Code::PullRoleMissing,
            format!("{login} gives the node's managed identity nothing: it has no role to pull"),
        ),
        (Stage::Exchange, _) => (
            Code::ExchangeRefused,
            format!("{login} does not exchange the identity's token for a credential"),
        ),
        _ => return None,
    };
    let mut evidence = vec![said(fault)];
    evidence
        .extend(journal(*stage, fault, login).map(|text| format!("the kubelet's journal: {text}")));
    let costs = wait(*stage, fault);
    if !costs.is_zero() {
        let seconds = costs.as_secs();
        evidence.push(format!(
            "every pull waits up to {seconds} s for it, also with a pull secret that is right"
        ));
    }
    evidence
        .push("a node that got a credential less than 60 minutes ago still uses that".to_owned());
    Some(ProviderFailure {
        code,
        stage: *stage,
        reason,
        message,
        evidence,
    })
}

/// What a pull waits for the credential provider before anything is asked of a registry.
pub(super) fn waits(outcome: &Outcome) -> Duration {
    let waits = outcome
        .walks
        .iter()
        .map(|walk| match &walk.credentials.identity {
            OfIdentity::Failed { stage, fault } => wait(*stage, fault),
            _ => Duration::ZERO,
        });
    waits.max().unwrap_or_default()
}

fn said(fault: &Fault) -> String {
    match fault {
        Fault::Http(fault) => match fault.said() {
            Some(said) => format!("the registry says: {said}"),
            None => fault.to_string(),
        },
        fault => fault.to_string(),
    }
}

/// What the provider prints, where it lives long enough to print anything.
fn journal(stage: Stage, fault: &Fault, login: &Endpoint) -> Option<String> {
    let text = match (stage, fault) {
        (Stage::Identity, Fault::Identity(IdentityFault::NotAssigned(_))) => {
            "ManagedIdentityCredential authentication failed. the requested identity isn't assigned to this resource"
        }
        (Stage::Identity, Fault::Identity(IdentityFault::Ambiguous(_))) => {
            "ManagedIdentityCredential: failed to authenticate a system assigned identity"
        }
        (Stage::Identity, _) if wait(stage, fault) >= KILLED => "context deadline exceeded",
        (Stage::Exchange, Fault::Http(HttpFault::Refused(refusal))) => {
            return Some(format!(
                "Www-Authenticate: auth url {}://{}/oauth2/exchange responded with status code {}",
                login.scheme.as_str(),
                login.authority(),
                refusal.status
            ));
        }
        _ => return None,
    };
    Some(text.to_owned())
}

/// The provider asks the metadata service again where that seems busy, up to when the kubelet kills it; everything else
/// it tries once.
fn wait(stage: Stage, fault: &Fault) -> Duration {
    let reason = fault.reason();
    match (stage, fault) {
        (Stage::Identity, Fault::Identity(IdentityFault::Proxied(_))) => KILLED,
        (_, _) if reason == Reason::Timeout => KILLED,
        (Stage::Identity, Fault::Identity(IdentityFault::Http(fault))) => match fault {
            HttpFault::Io(_) => RETRIES,
            HttpFault::Refused(refusal)
                if matches!(refusal.status, 408 | 429 | 500 | 502 | 503 | 504) =>
            {
                RETRIES
            }
            _ => Duration::ZERO,
        },
        _ => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{net::io_fault::IoFault, stages::http::fault::Refusal};

    /// As the real provider was seen to do under the real kubelet.
    #[test]
    fn a_pull_waits_where_the_provider_tries_again() {
        let refused = |status| {
            HttpFault::Refused(Box::new(Refusal {
                status,
                ..Refusal::default()
            }))
        };
        let identity = |fault: HttpFault| (Stage::Identity, Fault::Identity(fault.into()));
        let named = |fault| (Stage::Identity, Fault::Identity(fault));
        let exchange = |fault| (Stage::Exchange, Fault::Http(fault));
        for ((stage, fault), seconds) in [
            (identity(IoFault::Timeout.into()), 60),
            (named(IdentityFault::Proxied("a proxy".to_owned())), 60),
            (identity(IoFault::Refused.into()), 55),
            (identity(IoFault::Closed.into()), 55),
            (identity(refused(429)), 55),
            (identity(refused(500)), 55),
            (identity(refused(404)), 0),
            (identity(refused(410)), 0),
            (identity(HttpFault::Malformed("a page".to_owned())), 0),
            (named(IdentityFault::NotAssigned(String::new())), 0),
            (named(IdentityFault::Ambiguous(String::new())), 0),
            (exchange(IoFault::Timeout.into()), 60),
            (exchange(refused(401)), 0),
            (exchange(refused(429)), 0),
            (exchange(IoFault::Closed.into()), 0),
        ] {
            assert_eq!(wait(stage, &fault).as_secs(), seconds, "{stage} {fault}");
        }
    }
}
