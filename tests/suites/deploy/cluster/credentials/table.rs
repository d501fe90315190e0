//! The table. Runbooks quote what pods show.

use anyhow::Result;
use regprobe_lab::fakes::entra::KUBELET_IDENTITY;

use super::ground::{Ground, Settings};

/// Rows that the same node plays at the same time.
pub(super) struct Phase {
    pub(super) name: &'static str,
    pub(super) arrange: fn(&Ground) -> Result<()>,
    pub(super) rows: &'static [Row],
}

/// A pod.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) registry: &'static str,
    /// In the pod's order.
    pub(super) secrets: &'static [Secret],
    pub(super) shows: Shows,
    /// The identity that the agent has, beside the row's secret.
    pub(super) identity: Identity,
    /// The agent's verdict with the same credentials, and its loud findings.
    pub(super) agent: Option<(&'static str, &'static [&'static str])>,
}

pub(super) enum Identity {
    None,
    /// The node's only one.
    Unnamed,
    /// With this client id.
    Named(&'static str),
}

pub(super) enum Secret {
    /// `user:password` for the registry.
    Of(&'static str),
    /// A `.dockerconfigjson`; `REGISTRY` stands for the registry.
    Config(&'static str),
    /// Good for the registry, in the old format.
    Dockercfg,
    /// Good for the registry, and of no type that a kubelet reads.
    Opaque,
    /// Named by the pod, and not there.
    Missing,
}

pub(super) enum Shows {
    Runs,
    /// No credential reached containerd.
    Anonymous,
    /// One was offered and rejected, and anonymously nothing was tried.
    Offered,
    /// First that, and then it was tried anonymously.
    Both,
    /// So much of the complaint about a secret; nothing was pulled.
    Malformed(&'static str),
    /// An event says that a secret is missing, and then so.
    NoSuchSecret(&'static Self),
}

use Identity::{Named, Unnamed};
use Secret::{Config, Dockercfg, Missing, Of, Opaque};
use Shows::{Anonymous, Both, Malformed, NoSuchSecret, Offered, Runs};

type Says = Option<(&'static str, &'static [&'static str])>;

const OK: Says = Some(("ok", &[]));
const REJECTED: Says = Some(("failing", &["ClientSecretRejected"]));
const UNKNOWN: Says = Some(("failing", &["PrincipalUnknown"]));
const NOT_PERMITTED: Says = Some(("failing", &["RepositoryNotPermitted"]));
const NO_MATCH: Says = Some(("failing", &["PullSecretNoMatch"]));
const INVALID: Says = Some(("failing", &["PullSecretInvalid"]));

const GONE: Says = Some(("failing", &["IdentityNotOnNode"]));
const AMBIGUOUS: Says = Some(("failing", &["IdentityAmbiguous"]));
const NO_ROLE: Says = Some(("failing", &["PullRoleMissing"]));
const NOT_EXCHANGED: Says = Some(("failing", &["ExchangeRefused"]));
const UNREACHABLE: Says = Some(("failing", &["MetadataUnreachable"]));
const PROXIED: Says = Some(("failing", &["MetadataProxied"]));
const THROTTLED: Says = Some(("failing", &["MetadataThrottled"]));

/// Every finding about a credential. Each has a row whose pull fails.
pub(super) const FINDINGS: [&str; 12] = [
    "ClientSecretRejected",
    "PrincipalUnknown",
    "RepositoryNotPermitted",
    "PullSecretNoMatch",
    "PullSecretInvalid",
    "IdentityNotOnNode",
    "IdentityAmbiguous",
    "MetadataUnreachable",
    "MetadataProxied",
    "MetadataThrottled",
    "PullRoleMissing",
    "ExchangeRefused",
];

/// The kubelet's own.
const KUBELETS: Identity = Named(KUBELET_IDENTITY);
/// Another of the node's, about which the metadata service has had too many questions.
pub(super) const BUSY_IDENTITY: &str = "d5b9dd1e-0000-4000-8000-000000000003";

const RIGHT: Secret = Of("reader:secret");
const WRONG: Secret = Of("reader:expired");
const STRANGER: Secret = Of("nobody:secret");
const LIMITED: Secret = Of("limited:secret");
/// `reader:secret`
const ELSEWHERE: Secret =
    Config(r#"{"auths":{"fabrikam.example":{"auth":"cmVhZGVyOnNlY3JldA=="}}}"#);
const NO_AUTHS: Secret = Config("{}");
const NO_PASSWORD: Secret = Config(r#"{"auths":{"REGISTRY":{"username":"reader","password":""}}}"#);
const WITH_PATH: Secret =
    Config(r#"{"auths":{"https://REGISTRY/v2/":{"auth":"cmVhZGVyOnNlY3JldA=="}}}"#);
const LONGER_WRONG: Secret = Config(
    r#"{"auths":{"REGISTRY/probe":{"auth":"cmVhZGVyOmV4cGlyZWQ="},"REGISTRY":{"auth":"cmVhZGVyOnNlY3JldA=="}}}"#,
);
const NO_BASE64: Secret = Config(r#"{"auths":{"REGISTRY":{"auth":"s3cret!"}}}"#);
const NO_COLON: Secret = Config(r#"{"auths":{"REGISTRY":{"auth":"cmVhZGVy"}}}"#);
const A_LIST: Secret = Config(r#"{"auths":[]}"#);

/// Nobody may pull anonymously.
pub(super) const PRIVATE: &str = "contoso.azurecr.io";
/// Everybody may.
pub(super) const OPEN: &str = "fabrikam.azurecr.io";
/// The identity may pull.
pub(super) const GRANTED: &str = "wingtip.azurecr.io";
pub(super) const WITHOUT_ROLE: &str = "northwind.azurecr.io";
pub(super) const FIREWALLED: &str = "adatum.azurecr.io";
pub(super) const ABAC: &str = "tailspin.azurecr.io";
/// The identity may pull until its role is taken away.
pub(super) const TAKEN_AWAY: &str = "lamna.azurecr.io";
/// Only a principal is asked for here.
pub(super) const OF_PRINCIPAL: &str = "proseware.azurecr.io";
pub(super) const OF_WRONG_PRINCIPAL: &str = "litware.azurecr.io";
pub(super) const OF_UNKNOWN_PRINCIPAL: &str = "wideworld.azurecr.io";
/// Where nobody needs one.
pub(super) const OPEN_TO_WRONG_PRINCIPAL: &str = "relecloud.azurecr.io";

/// Of a provider with another identity.
pub(super) const BY_BUSY_IDENTITY: &str = "contoso.azurecr.cn";
/// Of a provider that asks by a proxy.
pub(super) const BY_PROXY: &str = "contoso.azurecr.us";
/// Of a provider whose program is gone.
pub(super) const WITHOUT_PROGRAM: &str = "contoso.azurecr.de";
/// The provider is asked for it, and knows no such registry.
pub(super) const NOT_AZURES: &str = "registry.contoso.example";
/// No provider is asked for it.
pub(super) const UNMATCHED: &str = "other.contoso.example";

const fn row(
    name: &'static str,
    registry: &'static str,
    secrets: &'static [Secret],
    shows: Shows,
    agent: Says,
) -> Row {
    Row {
        name,
        registry,
        secrets,
        shows,
        identity: Identity::None,
        agent,
    }
}

impl Row {
    /// The agent gets the kubelet's identity.
    const fn with(mut self, identity: Identity) -> Self {
        self.identity = identity;
        self
    }
}

#[rustfmt::skip]
pub(super) const PHASES: &[Phase] = &[
    Phase {
        name: "pull secrets, where the provider fails: the identity is not on the scale set",
        arrange: |ground| ground.has_identities([]),
        rows: &[
            row("none", PRIVATE, &[], Anonymous, GONE).with(KUBELETS),
            row("right", PRIVATE, &[RIGHT], Runs, OK),
            row("wrong", PRIVATE, &[WRONG], Offered, REJECTED),
            row("unknown-user", PRIVATE, &[STRANGER], Offered, UNKNOWN),
            row("without-permission", PRIVATE, &[LIMITED], Offered, NOT_PERMITTED),
            row("wrong-then-right", PRIVATE, &[WRONG, RIGHT], Runs, None),
            row("right-then-wrong", PRIVATE, &[RIGHT, WRONG], Runs, None),
            row("two-wrong", PRIVATE, &[WRONG, STRANGER], Offered, None),
            row("longer-key-wrong", PRIVATE, &[LONGER_WRONG], Runs, Some(("degraded", &["ClientSecretRejected"]))),
            row("missing", PRIVATE, &[Missing], NoSuchSecret(&Anonymous), None),
            row("missing-then-right", PRIVATE, &[Missing, RIGHT], NoSuchSecret(&Runs), None),
            row("of-another-registry", PRIVATE, &[ELSEWHERE], Anonymous, NO_MATCH),
            row("opaque", PRIVATE, &[Opaque], Anonymous, None),
            row("without-auths", PRIVATE, &[NO_AUTHS], Anonymous, NO_MATCH),
            row("empty-password", PRIVATE, &[NO_PASSWORD], Anonymous, NO_MATCH),
            row("key-with-path", PRIVATE, &[WITH_PATH], Runs, OK),
            row("old-format", PRIVATE, &[Dockercfg], Runs, None),
            row("no-base64", PRIVATE, &[NO_BASE64], Malformed("illegal base64 data at input byte"), INVALID),
            row("no-colon", PRIVATE, &[NO_COLON], Malformed("unable to parse auth field, must be formatted as base64(username:password)"), INVALID),
            row("a-list", PRIVATE, &[A_LIST], Malformed("json: cannot unmarshal"), INVALID),
            row("malformed-then-right", PRIVATE, &[NO_BASE64, RIGHT], Malformed("illegal base64 data"), None),
            row("right-then-malformed", PRIVATE, &[RIGHT, NO_BASE64], Malformed("illegal base64 data"), None),
            row("open-none", OPEN, &[], Runs, None),
            row("open-right", OPEN, &[RIGHT], Runs, OK),
            row("open-wrong", OPEN, &[WRONG], Offered, REJECTED),
            row("open-malformed", OPEN, &[NO_BASE64], Malformed("illegal base64 data"), INVALID),
            row("open-of-another-registry", OPEN, &[ELSEWHERE], Runs, None),
        ],
    },
    Phase {
        name: "the identity, and a secret beside it",
        arrange: |ground| ground.has_identities([KUBELET_IDENTITY]),
        rows: &[
            row("granted", GRANTED, &[], Runs, OK).with(KUBELETS),
            row("granted-and-wrong", GRANTED, &[WRONG], Runs, Some(("degraded", &["ClientSecretRejected"]))).with(KUBELETS),
            row("granted-and-malformed", GRANTED, &[NO_COLON], Malformed("unable to parse auth field"), INVALID).with(KUBELETS),
            row("no-role", WITHOUT_ROLE, &[], Anonymous, NO_ROLE).with(KUBELETS),
            row("no-role-and-wrong", WITHOUT_ROLE, &[WRONG], Offered, Some(("failing", &["PullRoleMissing", "ClientSecretRejected"]))).with(KUBELETS),
            row("no-role-and-right", WITHOUT_ROLE, &[RIGHT], Runs, Some(("degraded", &["PullRoleMissing"]))).with(KUBELETS),
            row("exchange-firewalled", FIREWALLED, &[], Anonymous, NOT_EXCHANGED).with(KUBELETS),
            row("abac-other-repositories", ABAC, &[], Both, NOT_PERMITTED).with(KUBELETS),
            row("abac-and-wrong", ABAC, &[WRONG], Both, Some(("failing", &["ClientSecretRejected", "RepositoryNotPermitted"]))).with(KUBELETS),
            row("abac-and-right", ABAC, &[RIGHT], Runs, OK).with(KUBELETS),
            row("provider-without-program", WITHOUT_PROGRAM, &[], Anonymous, None),
            row("provider-without-program-right", WITHOUT_PROGRAM, &[RIGHT], Runs, OK),
            row("provider-says-nothing", NOT_AZURES, &[], Anonymous, None),
            row("provider-says-nothing-and-wrong", NOT_AZURES, &[WRONG], Offered, REJECTED),
            row("no-provider", UNMATCHED, &[], Anonymous, None),
            row("no-provider-and-wrong", UNMATCHED, &[WRONG], Offered, REJECTED),
            row("role-still-there", TAKEN_AWAY, &[], Runs, OK).with(KUBELETS),
        ],
    },
    Phase {
        name: "the role is taken away, while the provider's answer is kept",
        arrange: Ground::take_role_away,
        rows: &[row("role-taken-away", TAKEN_AWAY, &[], Both, NO_ROLE).with(KUBELETS)],
    },
    Phase {
        name: "the cluster's principal",
        arrange: |ground| ground.set(Settings::Principal("reader", "secret")),
        rows: &[row("principal", OF_PRINCIPAL, &[], Runs, None)],
    },
    Phase {
        name: "the cluster's principal with an expired secret",
        arrange: |ground| ground.set(Settings::Principal("reader", "expired")),
        rows: &[
            row("principal-expired", OF_WRONG_PRINCIPAL, &[], Both, None),
            row("principal-expired-and-right", OF_WRONG_PRINCIPAL, &[RIGHT], Runs, None),
            row("principal-expired-and-open", OPEN_TO_WRONG_PRINCIPAL, &[], Runs, None),
        ],
    },
    Phase {
        name: "the cluster's principal is unknown",
        arrange: |ground| ground.set(Settings::Principal("nobody", "secret")),
        rows: &[row("principal-unknown", OF_UNKNOWN_PRINCIPAL, &[], Both, None)],
    },
    Phase {
        name: "the node has several identities, and none is named",
        arrange: Ground::name_no_identity,
        rows: &[
            row("several-identities", PRIVATE, &[], Anonymous, AMBIGUOUS).with(Unnamed),
            row("several-identities-and-right", PRIVATE, &[RIGHT], Runs, Some(("degraded", &["IdentityAmbiguous"]))).with(Unnamed),
        ],
    },
    Phase {
        name: "azure.json is missing",
        arrange: |ground| ground.set(Settings::Missing),
        rows: &[
            row("no-settings", PRIVATE, &[], Anonymous, None),
            row("no-settings-and-right", PRIVATE, &[RIGHT], Runs, None),
        ],
    },
    Phase {
        name: "the metadata service never answers, or asks to wait",
        arrange: Ground::hang_metadata,
        rows: &[
            row("silent", PRIVATE, &[], Anonymous, UNREACHABLE).with(KUBELETS),
            row("silent-and-right", PRIVATE, &[RIGHT], Runs, Some(("degraded", &["MetadataUnreachable"]))).with(KUBELETS),
            row("throttled", BY_BUSY_IDENTITY, &[], Anonymous, THROTTLED).with(Named(BUSY_IDENTITY)),
            row("by-proxy", BY_PROXY, &[], Anonymous, PROXIED).with(KUBELETS),
        ],
    },
];
