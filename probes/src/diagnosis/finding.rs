//! Findings: the closed set of conditions that have a name, and one condition as it was found. Codes
//! are contract, because dashboards, alerts and runbooks use them. To add one, add a line to the table
//! at the end of this file, a rule in a file beside it, a story in `tests` and a runbook.

use std::{fmt, net::IpAddr};

use crate::words::{
    endpoint::Endpoint,
    reason::{Reason, Stage},
};

/// A named condition as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Its name.
    pub code: Code,
    /// How bad it is for a pull.
    pub severity: Severity,
    /// The endpoint that it is about.
    pub endpoint: Endpoint,
    /// Other endpoints that have it for the same cause.
    pub also: Vec<Endpoint>,
    /// The stage that showed it.
    pub stage: Stage,
    /// Why that stage failed, if it did.
    pub reason: Option<Reason>,
    /// The nameserver that it is about, if it is about one.
    pub nameserver: Option<String>,
    /// The address that it is about, if it is about one.
    pub address: Option<IpAddr>,
    /// The fact in one sentence.
    pub message: String,
    /// What was seen, most telling first.
    pub evidence: Vec<String>,
    /// What containerd prints, if it prints anything.
    pub client_error: Option<String>,
    /// What to do.
    pub remedy: String,
}

impl Finding {
    /// A finding at `endpoint`, shown by `stage`; everything optional is absent.
    pub fn new(
        code: Code,
        severity: Severity,
        endpoint: &Endpoint,
        stage: Stage,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            code,
            severity,
            endpoint: endpoint.clone(),
            also: Vec::new(),
            stage,
            reason: None,
            nameserver: None,
            address: None,
            message: message.into(),
            evidence: Vec::new(),
            client_error: None,
            remedy: remedy.into(),
        }
    }

    /// Whether `other`, from another round, is the same finding. The address does not matter: an
    /// endpoint may have a new address in every answer.
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.code == other.code
            && self.severity == other.severity
            && self.endpoint == other.endpoint
            && self.nameserver == other.nameserver
    }

    /// Whether `endpoint` has it.
    pub fn concerns(&self, endpoint: &Endpoint) -> bool {
        self.endpoint == *endpoint || self.also.contains(endpoint)
    }

    /// The code that `az acr check-health` has for the same thing.
    pub fn health_check_code(&self) -> Option<&'static str> {
        match (self.stage, self.reason) {
            (Stage::Resolve, Some(_)) => Some("CONNECTIVITY_DNS_ERROR"),
            (Stage::Tls, Some(_)) => Some("CONNECTIVITY_SSL_ERROR"),
            (_, Some(Reason::Forbidden | Reason::Firewall)) => Some("CONNECTIVITY_FORBIDDEN_ERROR"),
            (_, Some(Reason::Throttled)) => Some("CONNECTIVITY_TOOMANYREQUESTS_ERROR"),
            (_, Some(Reason::NotFound | Reason::NoChallenge)) if self.stage == Stage::Challenge => {
                Some("LOGIN_SERVER_ERROR")
            }
            (Stage::Connect | Stage::Challenge, Some(_)) => Some("CONNECTIVITY_CHALLENGE_ERROR"),
            _ => None,
        }
    }
}

/// How bad a finding is for a pull through its registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing; pulls are not affected.
    Info,
    /// Pulls would work, but something is wrong or slow.
    Warning,
    /// It makes pulls fail by itself.
    Critical,
}

impl Severity {
    /// The value of the label `severity`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $code:ident;)+) => {
        /// The name of a condition: the label `code`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($(#[doc = $doc])+ $code,)+
        }

        impl Code {
            /// Every code there is.
            pub const ALL: &[Self] = &[$(Self::$code),+];

            /// The name as written.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$code => stringify!($code),)+ }
            }

            /// Its meaning in a few words.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$code => concat!($($doc),+).trim_ascii(),)+ }
            }
        }
    };
}

impl Code {
    /// Whether it is about a nameserver, whatever name it was asked for.
    pub(super) fn is_of_nameserver(self) -> bool {
        matches!(
            self,
            Self::NameserverDown | Self::NameserverFailing | Self::NoNameserver
        )
    }

    /// Whether it is about the proxy on the way.
    pub(super) fn is_of_proxy(self) -> bool {
        matches!(
            self,
            Self::ProxyUnreachable
                | Self::ProxyDenied
                | Self::ProxyAuthRequired
                | Self::ProxyBroken
        )
    }

    /// Whether its cause lies outside any one endpoint.
    pub(super) fn is_shared_by_endpoints(self) -> bool {
        self.is_of_nameserver()
            || self.is_of_proxy()
            || matches!(
                self,
                Self::PrivateLinkZoneNotLinked
                    | Self::AnswerFiltered
                    | Self::NameserverSlow
                    | Self::TlsIntercepted
                    | Self::NodePolicyBlocked
                    | Self::NodeConfigInvalid
                    | Self::ClockSkew
            )
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

codes! {
    /// The name leaves private link for a public address.
    PrivateLinkZoneNotLinked;
    /// The private zone answers and has no record of the name.
    PrivateLinkRecordMissing;
    /// A zone below the private zone hides its records.
    PrivateLinkShadowZone;
    /// A private address is expected and the answer is public.
    PublicAddress;
    /// The address is outside the expected ranges.
    UnexpectedAddress;
    /// Nameservers give different answers.
    NameserversDisagree;
    /// A nameserver does not answer.
    NameserverDown;
    /// A nameserver answers with an error.
    NameserverFailing;
    /// The node has no nameserver.
    NoNameserver;
    /// The name does not exist.
    NameNotFound;
    /// The name has no address.
    NoAddress;
    /// The name exists, and the end of its alias chain does not.
    AliasBroken;
    /// A nameserver removes private addresses from its answers.
    AnswerFiltered;
    /// The address is that of the name with a search suffix.
    SearchDomainAnswer;
    /// A nameserver answers after seconds.
    NameserverSlow;
    /// The hosts file pins the name to an address that DNS does not give.
    HostsFileOverride;
    /// Nothing answers at a private address.
    PrivateEndpointTimeout;
    /// Nothing answers at a public address.
    EndpointTimeout;
    /// The port is closed.
    ConnectionRefused;
    /// There is no route to the address.
    NoRoute;
    /// One of several addresses is dead.
    AddressDown;
    /// This node itself does not let the packet out.
    NodePolicyBlocked;
    /// The proxy cannot be reached.
    ProxyUnreachable;
    /// The proxy forbids the connection.
    ProxyDenied;
    /// The proxy wants credentials.
    ProxyAuthRequired;
    /// The proxy fails.
    ProxyBroken;
    /// A certificate of an unknown authority: somebody intercepts TLS.
    TlsIntercepted;
    /// A public authority that the node's bundle or the chain lacks.
    TrustOutdated;
    /// The certificate has expired.
    CertificateExpired;
    /// The certificate is not valid yet.
    CertificateNotYetValid;
    /// The certificate expires soon.
    CertificateExpiringSoon;
    /// The certificate is for other names.
    CertificateNameMismatch;
    /// A certificate breaks a rule of containerd's TLS library.
    CertificateInvalid;
    /// The TLS handshake gets no answer.
    TlsStalled;
    /// The connection is cut during the TLS handshake.
    TlsDropped;
    /// Large packets get lost on the way, and small ones pass.
    PathMtuBlackHole;
    /// A large ClientHello gets lost where a small one passes.
    LargeClientHelloDropped;
    /// The peer does not speak TLS.
    NotTls;
    /// No TLS version or parameter in common.
    TlsVersion;
    /// The peer asks for a client certificate and gets none that it takes.
    ClientCertificateRequired;
    /// The registry's network rules turn this node away.
    RegistryFirewall;
    /// The registry forbids access.
    Forbidden;
    /// Something answers that is not a registry.
    NotARegistry;
    /// The registry limits the request rate.
    Throttled;
    /// The registry fails.
    RegistryError;
    /// No answer to a request.
    NoResponse;
    /// The connection is cut before the answer.
    ConnectionDropped;
    /// The answer breaks its protocol.
    MalformedResponse;
    /// There is no anonymous pull.
    CredentialsRequired;
    /// The pull secret is malformed, so the kubelet pulls nothing.
    PullSecretInvalid;
    /// The pull secret holds nothing for the image.
    PullSecretNoMatch;
    /// The managed identity is not assigned to the node.
    IdentityNotOnNode;
    /// The node has several managed identities, and none is named.
    IdentityAmbiguous;
    /// The node's metadata service gives no token.
    MetadataUnreachable;
    /// The node's proxy settings catch the metadata service.
    MetadataProxied;
    /// The node's metadata service limits the rate of questions.
    MetadataThrottled;
    /// The managed identity has no role to pull.
    PullRoleMissing;
    /// The registry does not exchange the identity's token.
    ExchangeRefused;
    /// The registry rejects the password of a credential.
    ClientSecretRejected;
    /// The registry does not know the user of a credential.
    PrincipalUnknown;
    /// The registry knows the credential and does not give the repository for it.
    RepositoryNotPermitted;
    /// The image is not there.
    ImageNotFound;
    /// The registry has locked the image.
    ImageLocked;
    /// The image is not built for this platform.
    PlatformMismatch;
    /// A layer cannot be fetched.
    BlobUnavailable;
    /// Content has not the length or the digest by which it was asked for.
    BlobCorrupt;
    /// Layers come slower than the configured floor.
    SlowDownload;
    /// A mirror fails.
    MirrorFailing;
    /// A setting that the node's client reads cannot be used as it is meant.
    NodeConfigInvalid;
    /// The node's clock is wrong.
    ClockSkew;
}
