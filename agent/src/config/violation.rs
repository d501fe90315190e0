//! A rule of the configuration that is broken, in words. `rules` checks them.

use thiserror::Error;

use super::location::KeyPath;
use super::scalar::{DurationText, quoted};

/// A broken rule, and the key that breaks it.
#[derive(Debug, Clone, PartialEq, Error)]
#[error("{path}: {problem}")]
pub struct Violation {
    /// The key. It may be missing from the file, where a default breaks the rule.
    pub path: KeyPath,
    /// What is wrong.
    pub problem: Problem,
    /// The first of two values that must differ, if that is the rule.
    pub first: Option<KeyPath>,
}

impl Violation {
    pub(super) fn new(path: KeyPath, problem: Problem) -> Self {
        Self {
            path,
            problem,
            first: None,
        }
    }
}

/// Which rule is broken.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum Problem {
    /// There is nothing to probe.
    #[error("no registry is listed; write at least one, as \"- server: contoso.azurecr.io\"")]
    NoRegistry,
    /// The same value twice.
    #[error("{0} is listed twice; keep one")]
    Twice(String),
    /// The same name for two things, whose metrics would mix.
    #[error("the name {} is taken; choose another", quoted(.0))]
    NameTaken(String),
    /// Only Azure registries have data endpoints by region.
    #[error(
        "{0} is not an Azure Container Registry, and only those have regions; list its hosts under data_endpoints"
    )]
    RegionsOutsideAzure(String),
    /// The server comes before the repository, as in an image reference.
    #[error("{image} repeats the server; write it without {server}/")]
    ImageWithServer {
        /// What was typed.
        image: String,
        /// Its part before the repository.
        server: String,
    },
    /// Credentials only show in a pull.
    #[error("credentials are offered for images alone; list one under images")]
    CredentialsWithoutImage,
    /// Only Azure's credential provider is known.
    #[error(
        "managed_identity is only for Azure Container Registries, and {0} is none; leave it out"
    )]
    IdentityOutsideAzure(String),
    /// Everybody on the way could read them.
    #[error(
        "credentials are offered over TLS alone, and this registry speaks plain HTTP; leave them out"
    )]
    CredentialsInTheClear,
    /// Only the layers of an image can be downloaded.
    #[error("a layer of the first image is downloaded; list one under images")]
    ThroughputWithoutImage,
    /// Too little to measure, or too much for every node.
    #[error("this is out of range; write 256KiB to 64MiB")]
    DownloadSize,
    /// Over before it says anything.
    #[error(
        "at this floor the download takes less than {0}, which says nothing; write a lower floor, or more bytes"
    )]
    DownloadTooQuick(DurationText),
    /// Longer than a stage.
    #[error(
        "at this floor the download takes {takes}, longer than schedule.timeout ({timeout}); write a higher floor, or fewer bytes"
    )]
    DownloadTooLong {
        /// At the floor.
        takes: DurationText,
        /// The longest that a stage may take.
        timeout: DurationText,
    },
    /// So short that it would burden the registry, or so long that it would be of no use.
    #[error("{duration} is out of range; write {least} to {most}")]
    OutOfRange {
        /// What was typed.
        duration: DurationText,
        /// The smallest that is accepted.
        least: DurationText,
        /// The largest that is accepted.
        most: DurationText,
    },
    /// A deep round would be due more often than the rounds that it is part of.
    #[error(
        "{interval} is shorter than {carrier} ({carried_by}), whose rounds it is part of; write {carried_by} or more"
    )]
    ShorterThanCarrier {
        /// What was typed, or the default.
        interval: DurationText,
        /// The key of the interval that it must not be shorter than.
        carrier: &'static str,
        /// That interval.
        carried_by: DurationText,
    },
    /// Only one of them can be sent.
    #[error("there is a basic_auth as well; keep one")]
    TwoCredentials,
    /// A certificate without its key, or the reverse.
    #[error("cert_file and key_file belong together; write both or neither")]
    HalfAClientCertificate,
    /// It would be ignored.
    #[error("it is only used with https; write https")]
    TlsOverHttp,
    /// Everyone on the way could read them.
    #[error("http would send the credentials in clear text; write https")]
    CredentialsOverHttp,
    /// It would be ignored.
    #[error("there is no Prometheus to ask; write its URL as fleet.prometheus")]
    NoPrometheus,
    /// Nobody would be trusted.
    #[error("https needs to know who signs the agents' certificates; write the path of a PEM file")]
    NoAuthority,
    /// No bucket, or too many.
    #[error("a histogram has 1 to 50 buckets, this one has {0}; set histograms to false for none")]
    BucketCount(usize),
    /// Zero, negative, infinite or not a number. The unbounded bucket is always there.
    #[error("{0} is not a bucket's bound; write a positive number of seconds")]
    BucketBound(f64),
    /// Out of order, or the same twice.
    #[error("{bound} is not above {previous}, the bound before it; write them in increasing order")]
    BucketOrder {
        /// What was typed.
        bound: f64,
        /// The bound before it.
        previous: f64,
    },
}
