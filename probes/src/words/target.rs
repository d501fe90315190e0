//! What a round is asked to walk: a registry with its endpoints and images, and how far to go. The
//! agent's plan makes targets; rounds read them.

use std::{fmt, path::PathBuf};

use crate::words::{digest::Digest, endpoint::Endpoint, reason::Stage, throughput::Throughput};

/// The repository to request a token for if no image is configured.
const ANY_REPOSITORY: &str = "regprobe/probe";

/// One registry, as a round needs to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// `host[:port]` as images and the directories of `certs.d` name the registry: `docker.io`, though its login
    /// endpoint is `registry-1.docker.io`.
    pub named: String,
    /// The login endpoint.
    pub login: Endpoint,
    /// The data endpoints.
    pub data: Vec<Endpoint>,
    /// The token endpoint that an earlier round met; a round that does not meet one itself surveys it.
    pub token: Option<Endpoint>,
    /// The images to walk to.
    pub images: Vec<Image>,
    /// Whether an anonymous token is expected.
    pub anonymous_pull: bool,
    /// The content of a pull secret, whose credentials the walks offer.
    pub docker_config: Option<PathBuf>,
    /// The managed identity of the node whose credential the walks offer.
    pub managed_identity: Option<ManagedIdentity>,
    /// How fast the largest layer of the first image has to come.
    pub throughput: Option<Throughput>,
    /// Of how many layers of an image the start is asked for. Each is a request more.
    pub layers: usize,
}

/// A managed identity of the node's virtual machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManagedIdentity {
    /// Which one; `None` where the machine has only one.
    pub client_id: Option<String>,
}

impl Target {
    /// Whether pulls have more to offer than nothing.
    pub(crate) fn has_credentials(&self) -> bool {
        self.docker_config.is_some() || self.managed_identity.is_some()
    }

    /// The repositories to request a token for.
    pub(crate) fn repositories(&self) -> Vec<&str> {
        let mut repositories: Vec<_> = self
            .images
            .iter()
            .map(|image| image.repository.as_str())
            .collect();
        repositories.dedup();
        match repositories.is_empty() {
            true => vec![ANY_REPOSITORY],
            false => repositories,
        }
    }
}

/// One image of a registry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Image {
    /// As `probe/hello`.
    pub repository: String,
    /// Tag or digest.
    pub reference: String,
}

impl Image {
    /// Whether it is named by a digest: then nobody need say what it stands for.
    pub(crate) fn is_by_digest(&self) -> bool {
        Digest::parse(&self.reference).is_some()
    }
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = if self.reference.contains(':') {
            '@'
        } else {
            ':'
        };
        write!(f, "{}{separator}{}", self.repository, self.reference)
    }
}

/// How far a round goes; each depth includes the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// `resolve`, `connect`, `proxy` and `tls`.
    Network,
    /// One HTTP request to each endpoint.
    Request,
    /// The token request.
    Token,
    /// Manifest and blobs of the configured images.
    Image,
}

impl Depth {
    /// Every depth, shallowest first.
    pub const ALL: [Self; 4] = [Self::Network, Self::Request, Self::Token, Self::Image];

    /// In one word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Request => "request",
            Self::Token => "token",
            Self::Image => "image",
        }
    }

    /// The shallowest depth that includes this stage.
    pub fn of(stage: Stage) -> Self {
        match stage {
            Stage::Resolve | Stage::Connect | Stage::Proxy | Stage::Tls => Self::Network,
            Stage::Challenge | Stage::Http => Self::Request,
            Stage::Token => Self::Token,
            Stage::Identity | Stage::Exchange | Stage::Manifest | Stage::Blob => Self::Image,
        }
    }
}
