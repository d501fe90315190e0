//! The words in which a scenario says how its world differs from a healthy one. No behaviour here:
//! the world gives them their meaning.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Deserialize;

use super::answers::Answers;
use super::certificate::Certificate;
use super::identity::{MetadataService, Permissions, Role};
use crate::world::places;

/// How a scenario's world differs from a healthy one.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Setting {
    /// The nameservers there are; one healthy one at 198.18.0.53 if none is named. The node uses
    /// those that the agent is not told to ask beside, in this order.
    pub nameservers: Vec<Nameserver>,
    /// The node's `resolv.conf`, word for word.
    pub resolv_conf: Option<String>,
    /// What the node's hosts file has beside localhost.
    pub hosts: Option<String>,
    /// What the node's environment says of proxies, for containerd and the agent alike.
    pub environment: BTreeMap<String, String>,
    /// The `hosts.toml` of a registry's folder under `certs.d`, word for word, except for the names of files.
    pub hosts_toml: BTreeMap<String, String>,
    /// Other files under `certs.d`, by their path there, with what stands in them.
    pub certs_d: BTreeMap<String, String>,
    /// Files and folders that only root may read, by their path below the folder that has `certs.d` and
    /// `corporate.pem`.
    pub for_root_alone: Vec<String>,
    /// What the network does to packets for an endpoint, or for one address.
    pub packets: BTreeMap<Target, Packets>,
    /// What the node itself does to packets on their way out.
    pub node_packets: BTreeMap<Target, NodePackets>,
    /// The node has lost its default route, and knows its own link only.
    pub no_default_route: bool,
    /// The node has an IPv6 address and a route.
    pub node_ipv6: bool,
    /// The node's metadata service, 169.254.169.254: without it, silence.
    pub metadata: Option<MetadataService>,
    pub registry: Registry,
    /// The private endpoint's login server, 10.240.1.4.
    pub login: Site,
    /// The private endpoint's data endpoint in West Europe, 10.240.1.5.
    pub data: Site,
    /// The same two at their public addresses, 203.0.113.10 and 203.0.113.11.
    pub public_login: Site,
    pub public_data: Site,
    /// `mirror.contoso.example`, 198.18.2.10: another registry with the same image.
    pub mirror: Option<Site>,
    /// `auth.contoso.example`, 203.0.113.20: a separate token server.
    pub token_server: Option<Site>,
    /// `registry-1.docker.io`, 203.0.113.50: who answers for images of `docker.io`.
    pub docker_hub: Option<Site>,
    /// `localhost` of the node.
    pub on_the_node: Option<Site>,
    /// `proxy.contoso.example`, 198.18.2.30, port 3128, or 1080 for SOCKS.
    pub proxy: Option<ProxyIs>,
}

/// One nameserver and what it says of the registry.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nameserver {
    pub at: IpAddr,
    #[serde(default)]
    pub login: Names,
    #[serde(default)]
    pub data: Names,
    /// The data endpoint of the replica in North Europe.
    #[serde(default)]
    pub north_data: Names,
    #[serde(default)]
    pub is: NameserverIs,
    /// Names that it does not have, of those that every nameserver has.
    #[serde(default)]
    pub lacks: Vec<String>,
    /// Names that it has beside those, with their addresses.
    #[serde(default)]
    pub also: BTreeMap<String, Vec<IpAddr>>,
}

/// The chain from a registry's name to its address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Names {
    /// The private zone is linked and has the record.
    #[default]
    Linked,
    #[serde(rename = "linked to")]
    LinkedTo(Vec<IpAddr>),
    /// The chain passes the private zone's name and ends at a public address.
    #[serde(rename = "not linked")]
    NotLinked,
    /// There is no private endpoint.
    Public,
    #[serde(rename = "public at")]
    PublicAt(Vec<IpAddr>),
    /// The private zone is linked and lacks the record.
    #[serde(rename = "record missing")]
    RecordMissing,
    /// A zone below the private one hides the record.
    Shadowed,
    /// The chain ends at a name that does not exist.
    #[serde(rename = "alias broken")]
    AliasBroken,
    /// The name is there and has no address.
    #[serde(rename = "no address")]
    NoAddress,
    /// No such name.
    Unknown,
}

/// A nameserver's own health. What BIND can do, BIND does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NameserverIs {
    #[default]
    Healthy,
    /// Healthy, and its addresses come in another order each time.
    Rotating,
    /// Healthy, and what it says may change while the scene lasts, for tests in Rust.
    Changing,
    /// Its packets are lost.
    Silent,
    /// Nothing listens.
    Closed,
    /// Its zones are damaged: SERVFAIL.
    Failing,
    /// It serves none of this: REFUSED.
    Refusing,
    /// It answers with what is no DNS message.
    Babbling,
    /// A second and a half late.
    Slow,
    /// Four seconds late.
    #[serde(rename = "very slow")]
    VerySlow,
    /// dnsmasq with `--stop-dns-rebind`: private addresses are taken out of the answers of a healthy one.
    Filtering,
    /// Six seconds late.
    #[serde(rename = "slower than usual clients wait")]
    SlowerThanClientsWait,
    /// It never answers a question for IPv6 addresses.
    #[serde(rename = "silent about AAAA")]
    SilentAboutAaaa,
    /// Every UDP answer is truncated; over TCP it answers.
    Truncating,
    #[serde(rename = "truncating, with TCP closed")]
    TruncatingWithoutTcp,
    /// And over TCP it closes the connection in place of an answer.
    #[serde(rename = "truncating, and hangs up over TCP")]
    TruncatingAndHangsUp,
    /// And over TCP it resets the connection.
    #[serde(rename = "truncating, and resets over TCP")]
    TruncatingAndResets,
    /// It never answers for the data endpoint.
    #[serde(rename = "silent about data")]
    SilentAboutData,
    /// Every name is an alias of itself in the end.
    Looping,
}

/// Where packets go: an endpoint by its key, with all its addresses, or one address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Target(pub Vec<IpAddr>);

impl TryFrom<String> for Target {
    type Error = String;

    fn try_from(word: String) -> Result<Self, String> {
        if let Ok(address) = word.parse() {
            return Ok(Self(vec![address]));
        }
        match places::named(&word) {
            Some(place) => Ok(Self(place.addresses.to_vec())),
            None => Err(format!("{word:?} is neither an endpoint nor an address")),
        }
    }
}

/// What the network does to packets for an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Packets {
    Dropped,
    /// Only those of more than a thousand bytes.
    #[serde(rename = "dropped when large")]
    DroppedWhenLarge,
    /// The same, of those that come from there.
    #[serde(rename = "dropped when large on the way back")]
    DroppedWhenLargeOnTheWayBack,
    /// Answered with a TCP reset.
    Refused,
    /// Answered with ICMP host unreachable.
    Unreachable,
    /// Answered with ICMP administratively prohibited.
    Prohibited,
}

/// What the node itself does to packets for an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodePackets {
    /// By a rule of its firewall: EPERM.
    Dropped,
    /// By a route: EACCES.
    Prohibited,
}

/// What holds for the registry as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Registry {
    /// Anonymous clients get a token.
    pub anonymous_pull: bool,
    /// Manifests and blobs need no token.
    pub open: bool,
    /// What the node's identity may pull.
    pub role: Role,
    pub permissions: Permissions,
    /// How long it can use what it got in exchange for its token.
    pub refresh_token_seconds: i64,
    /// Its clock against the node's.
    pub clock_ahead_seconds: i64,
    pub challenge: ChallengeForm,
    /// `os/architecture`, of its one image.
    pub platforms: Vec<String>,
    /// The index does not say which of its manifests is for which platform.
    pub platforms_unsaid: bool,
    /// The same of the first one alone.
    pub first_platform_unsaid: bool,
    /// How many layers its image has.
    pub layers: usize,
    /// How large its one layer is, beside the few bytes that it has to have.
    pub layer_kib: usize,
    pub blobs: Blobs,
    /// What a data endpoint answers to a request without a signature.
    pub unsigned_status: u16,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            anonymous_pull: true,
            open: false,
            role: Role::default(),
            permissions: Permissions::default(),
            refresh_token_seconds: 3 * 60 * 60,
            clock_ahead_seconds: 0,
            challenge: ChallengeForm::Usual,
            platforms: vec!["linux/amd64".to_owned(), "linux/arm64".to_owned()],
            platforms_unsaid: false,
            first_platform_unsaid: false,
            layers: 1,
            layer_kib: 0,
            blobs: Blobs::FromData,
            unsigned_status: 403,
        }
    }
}

/// Where the login server sends a client for blobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Blobs {
    #[serde(rename = "from the data endpoint")]
    FromData,
    /// It serves them itself.
    #[serde(rename = "from the login server")]
    FromLogin,
    /// `myaccount.blob.core.windows.net`, 203.0.113.30.
    #[serde(rename = "from storage")]
    FromStorage,
}

/// Challenges that mean the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChallengeForm {
    Usual,
    #[serde(rename = "mixed case")]
    MixedCase,
    #[serde(rename = "several in one header")]
    Several,
    #[serde(rename = "quoted pairs")]
    QuotedPairs,
    #[serde(rename = "extra parameters")]
    ExtraParameters,
    #[serde(rename = "basic and bearer")]
    BasicAndBearer,
    #[serde(rename = "basic only")]
    BasicOnly,
    /// The realm is `auth.contoso.example`.
    #[serde(rename = "to the token server")]
    ToTokenServer,
}

/// One endpoint's own health.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Site {
    /// Where it listens: 443, or 80 in plain HTTP, unless it says otherwise.
    pub port: Option<u16>,
    pub plain_http: bool,
    pub certificate: Certificate,
    /// Clients need a certificate of the lab's authority.
    pub asks_for_certificate: bool,
    pub connection: Connection,
    /// How it answers everything.
    pub answers: Answers,
    /// How a login server answers `GET /v2/`, and only that.
    pub ping: Answers,
    pub exchange: Answers,
    pub token: Answers,
    pub manifest: Answers,
    pub blob: Answers,
    /// Added to every answer.
    pub late_seconds: f64,
}

/// What a connection meets below HTTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Connection {
    #[default]
    Sound,
    /// Accepted, and closed at once.
    Closes,
    Resets,
    /// Accepted, and never a word.
    Stalls,
    #[serde(rename = "closes after the hello")]
    ClosesAfterHello,
    #[serde(rename = "resets after the hello")]
    ResetsAfterHello,
    #[serde(rename = "stalls after the hello")]
    StallsAfterHello,
    #[serde(rename = "drops large hellos")]
    DropsLargeHello,
    #[serde(rename = "speaks plain HTTP")]
    PlainHttp,
    #[serde(rename = "speaks SSH")]
    Ssh,
    #[serde(rename = "ends at TLS 1.1")]
    Tls11,
    #[serde(rename = "ends at TLS 1.2")]
    Tls12,
    /// nginx, with TLS 1.2 and suites of this kind alone: an elliptic key exchange and CBC.
    #[serde(rename = "has CBC alone")]
    CbcAlone,
    /// The same, without an elliptic key exchange.
    #[serde(rename = "has RSA key exchange alone")]
    RsaKeyExchangeAlone,
    #[serde(rename = "agrees to nothing")]
    HandshakeFailure,
    #[serde(rename = "does not know the name")]
    UnrecognizedName,
    #[serde(rename = "denies access")]
    AccessDenied,
    #[serde(rename = "fails inside")]
    InternalError,
}

/// The proxy and what it does with CONNECT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProxyIs {
    /// squid, with its own nameserver, which knows all names.
    Healthy,
    /// squid, with a rule against the registry.
    Denying,
    /// squid, and it wants to know who asks.
    #[serde(rename = "asking for credentials")]
    AskingForCredentials,
    /// squid, which cannot reach the registry.
    #[serde(rename = "cut off")]
    CutOff,
    #[serde(rename = "hanging up")]
    HangingUp,
    Resetting,
    Hanging,
    Babbling,
    /// It opens the tunnel to itself, with a certificate that it made.
    Intercepting,
    /// It speaks SOCKS 5, on port 1080, and knows all names.
    #[serde(rename = "for SOCKS")]
    Socks,
    /// The same, for `reader` with the password `secret` alone.
    #[serde(rename = "for SOCKS with a password")]
    SocksWithPassword,
    /// The same, and no rule allows the registry.
    #[serde(rename = "for SOCKS and denying")]
    SocksDenying,
    /// Nothing listens there.
    Closed,
}

impl ProxyIs {
    /// The same kind of proxy in good health.
    pub(super) fn mended(self) -> Self {
        match self {
            Self::Socks | Self::SocksDenying => Self::Socks,
            Self::SocksWithPassword => Self::SocksWithPassword,
            _ => Self::Healthy,
        }
    }
}
