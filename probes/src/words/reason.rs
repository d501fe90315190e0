//! Stages, and the closed set of reasons why each can fail. Metrics take their label values and label
//! sets only from here. To add a reason, add one line to the table at the end of this file.

use std::fmt;

/// One step of the path that an image pull takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// One name asked at one nameserver.
    Resolve,
    /// One TCP dial to one address.
    Connect,
    /// One `CONNECT` at a proxy, over an open connection to it.
    Proxy,
    /// One TLS handshake on a dialled connection.
    Tls,
    /// `GET /v2/` at a login server.
    Challenge,
    /// One question to the metadata service of the node's virtual machine, for a token of a managed identity.
    Identity,
    /// The exchange of that token for a credential of the registry.
    Exchange,
    /// The token request, anonymous or with a credential.
    Token,
    /// The manifests of one image, from its reference down to those of this node's platform.
    Manifest,
    /// The start of one blob, at one host of the redirects that lead to it.
    Blob,
    /// `GET /` at a data or storage endpoint, where any status is an answer.
    Http,
}

impl Stage {
    /// Every stage, in the order in which a pull meets them.
    pub const ALL: [Self; 11] = [
        Self::Resolve,
        Self::Connect,
        Self::Proxy,
        Self::Tls,
        Self::Challenge,
        Self::Identity,
        Self::Exchange,
        Self::Token,
        Self::Manifest,
        Self::Blob,
        Self::Http,
    ];

    /// The value of the label `stage`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Proxy => "proxy",
            Self::Tls => "tls",
            Self::Challenge => "challenge",
            Self::Identity => "identity",
            Self::Exchange => "exchange",
            Self::Token => "token",
            Self::Manifest => "manifest",
            Self::Blob => "blob",
            Self::Http => "http",
        }
    }

    /// Every reason why this stage can fail.
    pub fn reasons(self) -> impl Iterator<Item = Reason> {
        Reason::ALL
            .iter()
            .copied()
            .filter(move |reason| reason.occurs_at(self))
    }

    /// Whether the stage sends HTTP requests: to a registry, to where it leads, or for a credential.
    pub fn is_http(self) -> bool {
        matches!(
            self,
            Self::Challenge
                | Self::Identity
                | Self::Exchange
                | Self::Token
                | Self::Manifest
                | Self::Blob
                | Self::Http
        )
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $label:literal at $stages:expr;)+) => {
        /// Why a stage failed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Reason {
            /// Every reason there is.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The value of the label `reason`.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $label,)+ }
            }

            fn occurs_at(self, stage: Stage) -> bool {
                let at: fn(Stage) -> bool = match self { $(Self::$variant => $stages,)+ };
                at(stage)
            }
        }
    };
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn any(_: Stage) -> bool {
    true
}

fn resolve(stage: Stage) -> bool {
    stage == Stage::Resolve
}

fn identity(stage: Stage) -> bool {
    stage == Stage::Identity
}

fn proxy(stage: Stage) -> bool {
    stage == Stage::Proxy
}

fn tls(stage: Stage) -> bool {
    stage == Stage::Tls
}

fn tls_or_http(stage: Stage) -> bool {
    tls(stage) || stage.is_http()
}

fn resolve_proxy_or_http(stage: Stage) -> bool {
    resolve(stage) || proxy(stage) || stage.is_http()
}

reasons! {
    /// Nothing came back within the deadline.
    Timeout = "timeout" at any;
    /// A closed port: RST to a SYN, or ICMP port unreachable.
    Refused = "refused" at any;
    /// The peer reset the connection (RST).
    Reset = "reset" at any;
    /// The peer closed the connection before it answered.
    Closed = "closed" at any;
    /// No route, or ICMP says so.
    Unreachable = "unreachable" at any;
    /// This node's own fault: out of descriptors or ports, or not permitted.
    Local = "local" at any;
    /// The name does not exist.
    NxDomain = "nxdomain" at resolve;
    /// The name exists and has no address.
    NoData = "nodata" at resolve;
    /// The nameserver failed to find an answer.
    ServFail = "servfail" at resolve;
    /// The nameserver refuses to answer this question.
    Rejected = "rejected" at resolve;
    /// No nameserver is configured.
    NoNameserver = "no_nameserver" at resolve;
    /// The answer breaks its protocol.
    Malformed = "malformed" at resolve_proxy_or_http;
    /// The proxy will not connect to this host.
    Denied = "denied" at proxy;
    /// The proxy wants a user name and password, or different ones.
    AuthRequired = "auth_required" at proxy;
    /// The certificate is no longer valid.
    Expired = "expired" at tls;
    /// The certificate is not valid yet.
    NotYetValid = "not_yet_valid" at tls;
    /// The chain ends at no trusted root.
    UnknownIssuer = "unknown_issuer" at tls;
    /// The certificate is for other names.
    NameMismatch = "name_mismatch" at tls;
    /// The certificate is broken in another way.
    BadCertificate = "bad_certificate" at tls;
    /// The peer asks for a client certificate and gets none that it takes.
    CertificateRequired = "certificate_required" at tls_or_http;
    /// No TLS version or parameter in common.
    Version = "version" at tls;
    /// The peer ended the handshake with an alert.
    Alert = "alert" at tls;
    /// The peer does not speak TLS.
    NotTls = "not_tls" at tls;
    /// The metadata service knows no such identity on this node.
    NotAssigned = "not_assigned" at identity;
    /// The node has several identities, and none is named.
    Ambiguous = "ambiguous" at identity;
    /// 401 where access was expected.
    Unauthorized = "unauthorized" at Stage::is_http;
    /// 403 without the registry's network rules naming the client.
    Forbidden = "forbidden" at Stage::is_http;
    /// 403 by the registry's network rules, which name the client's address.
    Firewall = "firewall" at Stage::is_http;
    /// 404.
    NotFound = "not_found" at Stage::is_http;
    /// 429.
    Throttled = "throttled" at Stage::is_http;
    /// 5xx.
    ServerError = "server_error" at Stage::is_http;
    /// A status that is no use to this stage.
    UnexpectedStatus = "unexpected_status" at Stage::is_http;
    /// An answer, but not a registry's.
    NoChallenge = "no_challenge" at Stage::is_http;
    /// More headers or body than any registry needs.
    TooLarge = "too_large" at Stage::is_http;
    /// A chain of redirects that does not end.
    TooManyRedirects = "too_many_redirects" at Stage::is_http;
    /// A redirect, or a token realm, that a probe must not follow.
    NotFollowed = "not_followed" at Stage::is_http;
    /// An image without a manifest for this node's platform.
    PlatformMismatch = "platform_mismatch" at Stage::is_http;
    /// The registry's own code says that the image is locked.
    Locked = "locked" at Stage::is_http;
    /// Content that has not the length or the digest by which it was asked for.
    Corrupt = "corrupt" at Stage::is_http;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_distinct() {
        let mut labels: Vec<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), Reason::ALL.len());
    }

    #[test]
    fn each_stage_has_its_own_reasons_and_the_general_ones() {
        let of = |stage: Stage| stage.reasons().map(Reason::as_str).collect::<Vec<_>>();
        assert_eq!(
            of(Stage::Connect),
            [
                "timeout",
                "refused",
                "reset",
                "closed",
                "unreachable",
                "local"
            ]
        );
        assert!(of(Stage::Resolve).contains(&"nxdomain"));
        assert!(of(Stage::Tls).contains(&"not_tls") && !of(Stage::Tls).contains(&"malformed"));
        assert!(of(Stage::Token).contains(&"firewall"));
        assert!(of(Stage::Manifest).contains(&"platform_mismatch"));
        let proxy = of(Stage::Proxy);
        assert_eq!(proxy[6..], ["malformed", "denied", "auth_required"]);
    }
}
