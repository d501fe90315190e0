//! The stage `manifest`: from an image's reference to the manifest for this node's platform, by the
//! requests and the rules of containerd, and the blobs that a pull would fetch next. It takes one
//! step a request, so that the caller can see to the connection in between; a redirect is followed
//! on the registry's own host alone.

use std::{borrow::Cow, fmt, marker::PhantomData};

use hyper::{StatusCode, header::CONTENT_TYPE};
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, SeqAccess, Visitor},
};
use tokio::time::Instant;
use url::{Position, Url};

pub use self::{digest::Digest, platform::Platform};
use crate::{
    net::inert::excerpt,
    stages::{
        challenge,
        http::{
            connection::{HttpConnection, HttpFault, Request, Response},
            pull::Pull,
        },
    },
};

mod digest;
mod platform;

/// The least that registries should take, by the distribution specification, "Pushing Manifests",
/// and about the most that containerd does.
const MAX_MANIFEST: usize = 4 * 1024 * 1024;
/// Over all documents of an image.
const MAX_REDIRECTS: usize = 10;
/// Indexes above the manifest; images have one.
const MAX_INDEXES: usize = 3;
/// Entries of an index that are looked at; images have dozens.
const MAX_ENTRIES: usize = 1000;
/// What containerd asks for by name.
const ANY_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, */*";

/// The way from a reference to a manifest.
pub(crate) struct ManifestWalk<'a> {
    pull: &'a Pull<'a>,
    node: Platform,
    url: Url,
    /// What the document to come is named; a tag promises nothing.
    digest: Option<Digest>,
    /// What an index says that the document to come is.
    kind: Option<Kind>,
    platform: Option<Platform>,
    redirects: usize,
    indexes: usize,
}

impl<'a> ManifestWalk<'a> {
    /// Starts at `reference`, a tag or a digest.
    pub(crate) fn start(pull: &'a Pull<'a>, reference: &str) -> Self {
        Self {
            pull,
            node: Platform::of_this_node(),
            url: pull.url(&format!("manifests/{reference}")),
            digest: Digest::parse(reference),
            kind: None,
            platform: None,
            redirects: 0,
            indexes: 0,
        }
    }

    /// Asks once over a connection to the registry; `None` means once more.
    pub(crate) async fn step(
        &mut self,
        connection: &mut HttpConnection,
        deadline: Instant,
    ) -> Result<Option<Manifest>, HttpFault> {
        let accept = match self.kind {
            Some(kind) => &format!("{}, */*", kind.media_type()),
            None => ANY_MANIFEST,
        };
        let request = Request {
            accept,
            authorization: self.pull.authorization(self.pull.registry)?,
            ..Request::of(&self.url[Position::BeforePath..Position::AfterQuery])
        };
        let mut response = connection.send(request, deadline).await?;
        if let Some(location) = response.redirect() {
            self.url = self.redirected(location)?;
            // Read for the sake of the connection; without, the caller makes another.
            let _ = response.body(deadline).await;
            return Ok(None);
        }
        if response.status != StatusCode::OK {
            return Err(response.refusal(deadline).await);
        }
        let kind = match self.kind {
            Some(kind) => kind,
            None => Kind::of(&response)?,
        };
        let promised = promised_digest(&response)?;
        let body = response.body_up_to(MAX_MANIFEST, deadline).await?;
        let digest = self
            .digest
            .take()
            .or(promised)
            .unwrap_or_else(|| Digest::of(&body));
        if !digest.names(&body) {
            return malformed(format!("the content is not that of {digest}"));
        }
        match Document::read(&body, kind)? {
            Document::Index(entries) => self.descend(&entries).map(|()| None),
            Document::Manifest(blobs) => Ok(Some(Manifest {
                digest,
                platform: self.platform.take(),
                blobs: blobs
                    .iter()
                    .map(Entry::descriptor)
                    .collect::<Result<_, _>>()?,
            })),
        }
    }

    fn redirected(&mut self, location: &str) -> Result<Url, HttpFault> {
        if self.redirects == MAX_REDIRECTS {
            return Err(HttpFault::TooManyRedirects(MAX_REDIRECTS));
        }
        self.redirects += 1;
        challenge::on_the_same_host(&self.url, location)
    }

    /// Goes on with what containerd would take from an index: the best platform, else the first
    /// document that names none.
    fn descend(&mut self, entries: &[Entry<'_>]) -> Result<(), HttpFault> {
        if self.indexes == MAX_INDEXES {
            return malformed(format!("more than {MAX_INDEXES} indexes in one another"));
        }
        self.indexes += 1;
        let ranked = entries.iter().filter_map(|entry| {
            let platform = entry.platform.as_ref().map(RawPlatform::normal);
            let rank = match &platform {
                Some(platform) => self.node.rank(platform)?,
                None => usize::MAX,
            };
            Some((rank, entry, platform))
        });
        let best = ranked.min_by_key(|(rank, ..)| *rank);
        let Some((_, entry, platform)) = best else {
            return Err(HttpFault::PlatformMismatch {
                platform: self.node.to_string(),
                offered: offered(entries),
            });
        };
        let digest = entry.digest()?;
        self.kind = Some(Kind::named(&entry.media_type)?);
        self.url = self.pull.url(&format!("manifests/{digest}"));
        self.digest = Some(digest);
        self.platform = platform.or_else(|| self.platform.take());
        Ok(())
    }
}

/// An image as this node would pull it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The manifest's.
    pub digest: Digest,
    /// As the index says; `None` where the reference is the manifest's own.
    pub platform: Option<Platform>,
    /// The configuration and the first layer.
    pub blobs: Vec<Descriptor>,
}

/// One blob of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// Its name.
    pub digest: Digest,
    /// In bytes.
    pub size: u64,
}

/// What a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    OciIndex,
    DockerList,
    OciManifest,
    DockerManifest,
}

impl Kind {
    const ALL: [Self; 4] = [
        Self::OciIndex,
        Self::DockerList,
        Self::OciManifest,
        Self::DockerManifest,
    ];

    fn of(response: &Response) -> Result<Self, HttpFault> {
        let content_type = response.header(CONTENT_TYPE).unwrap_or_default();
        let media_type = content_type.split(';').next().unwrap_or_default();
        Self::named(media_type.trim())
    }

    /// The types of schema 1, and what some registries send it as, get a text of their own:
    /// containerd does not pull it any more.
    fn named(media_type: &str) -> Result<Self, HttpFault> {
        if let Some(kind) = Self::ALL
            .iter()
            .find(|kind| kind.media_type() == media_type)
        {
            return Ok(*kind);
        }
        match media_type {
            "" => malformed("a manifest without a media type".to_owned()),
            "text/plain"
            | "application/vnd.docker.distribution.manifest.v1+json"
            | "application/vnd.docker.distribution.manifest.v1+prettyjws" => schema_1(),
            other => {
                let other = excerpt(other.as_bytes());
                malformed(format!("the media type {other} is no image's"))
            }
        }
    }

    fn media_type(self) -> &'static str {
        match self {
            Self::OciIndex => "application/vnd.oci.image.index.v1+json",
            Self::DockerList => "application/vnd.docker.distribution.manifest.list.v2+json",
            Self::OciManifest => "application/vnd.oci.image.manifest.v1+json",
            Self::DockerManifest => "application/vnd.docker.distribution.manifest.v2+json",
        }
    }

    fn is_index(self) -> bool {
        matches!(self, Self::OciIndex | Self::DockerList)
    }
}

/// What a document says.
enum Document<'a> {
    Index(Vec<Entry<'a>>),
    /// The configuration and the first layer.
    Manifest(Vec<Entry<'a>>),
}

impl<'a> Document<'a> {
    /// A document that is not what it is said to be is refused, as by containerd.
    fn read(body: &'a [u8], kind: Kind) -> Result<Self, HttpFault> {
        let raw: RawDocument<'_> = serde_json::from_slice(body).or_else(|error| {
            let error = excerpt(error.to_string().as_bytes());
            malformed(format!("no manifest ({error})"))
        })?;
        match raw {
            RawDocument {
                fs_layers: Some(_), ..
            } => schema_1(),
            RawDocument {
                manifests: Some(entries),
                config: None,
                layers: None,
                ..
            } if kind.is_index() => Ok(Self::Index(entries.0)),
            RawDocument {
                config: Some(config),
                layers,
                manifests: None,
                ..
            } if !kind.is_index() => {
                let layer = layers.and_then(|First(layers)| layers.into_iter().next());
                Ok(Self::Manifest([config].into_iter().chain(layer).collect()))
            }
            _ => {
                let said = if kind.is_index() {
                    "an index"
                } else {
                    "a manifest"
                };
                malformed(format!("said to be {said}, but has not the parts of one"))
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDocument<'a> {
    #[serde(borrow)]
    manifests: Option<First<Entry<'a>, MAX_ENTRIES>>,
    config: Option<Entry<'a>>,
    layers: Option<First<Entry<'a>, 1>>,
    fs_layers: Option<IgnoredAny>,
}

/// The first of a list, up to so many; the others are not kept.
struct First<T, const MOST: usize>(Vec<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Deserialize<'de> for First<T, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List<T, const MOST: usize>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for List<T, MOST> {
            type Value = First<T, MOST>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut first = Vec::new();
                while first.len() < MOST {
                    match list.next_element()? {
                        Some(item) => first.push(item),
                        None => return Ok(First(first)),
                    }
                }
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(First(first))
            }
        }

        deserializer.deserialize_seq(List(PhantomData))
    }
}

/// A descriptor as sent.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    #[serde(borrow, default)]
    media_type: Cow<'a, str>,
    #[serde(borrow)]
    digest: Cow<'a, str>,
    size: u64,
    #[serde(borrow)]
    platform: Option<RawPlatform<'a>>,
}

impl Entry<'_> {
    fn digest(&self) -> Result<Digest, HttpFault> {
        let unusable = || {
            let digest = excerpt(self.digest.as_bytes());
            HttpFault::Malformed(format!("{digest:?} is no digest"))
        };
        Digest::parse(&self.digest).ok_or_else(unusable)
    }

    fn descriptor(&self) -> Result<Descriptor, HttpFault> {
        Ok(Descriptor {
            digest: self.digest()?,
            size: self.size,
        })
    }
}

#[derive(Deserialize)]
struct RawPlatform<'a> {
    #[serde(borrow, default)]
    os: Cow<'a, str>,
    #[serde(borrow, default)]
    architecture: Cow<'a, str>,
    #[serde(borrow, default)]
    variant: Cow<'a, str>,
}

impl RawPlatform<'_> {
    fn normal(&self) -> Platform {
        Platform::normal(&self.os, &self.architecture, &self.variant)
    }
}

/// What the registry says that the content is named.
fn promised_digest(response: &Response) -> Result<Option<Digest>, HttpFault> {
    let Some(text) = response.header("docker-content-digest") else {
        return Ok(None);
    };
    match Digest::parse(&text) {
        Some(digest) => Ok(Some(digest)),
        None => malformed(format!("{text:?} is no digest")),
    }
}

/// The platforms of an index as text; attestations stand in an index as of an unknown platform.
fn offered(entries: &[Entry<'_>]) -> String {
    let mut names: Vec<String> = Vec::new();
    let platforms = entries.iter().filter_map(|entry| entry.platform.as_ref());
    for platform in platforms.map(RawPlatform::normal) {
        let name = platform.to_string();
        if platform.os != "unknown" && !names.contains(&name) && names.len() < 16 {
            names.push(name);
        }
    }
    match names.as_slice() {
        [] => "nothing".to_owned(),
        names => excerpt(names.join(", ").as_bytes()),
    }
}

fn schema_1<T>() -> Result<T, HttpFault> {
    malformed("a schema 1 manifest, which containerd no longer pulls".to_owned())
}

fn malformed<T>(why: String) -> Result<T, HttpFault> {
    Err(HttpFault::Malformed(why))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        net::io_fault::IoFault,
        stages::{
            fake::{Fake, answer},
            token::Secret,
        },
        words::reason::Reason,
    };

    const INDEX: &str = "Content-Type: application/vnd.oci.image.index.v1+json; charset=utf-8";
    const MANIFEST: &str = "Content-Type: application/vnd.docker.distribution.manifest.v2+json";

    async fn pull(fake: &Fake, reference: &str) -> Result<Manifest, HttpFault> {
        let registry = fake.endpoint();
        let token = Secret::from("t0k3n");
        let pull = Pull {
            registry: &registry,
            repository: "probe/hello",
            token: Some(&token),
        };
        let deadline = Instant::now() + Duration::from_millis(1500);
        let mut http = fake.http().await;
        let mut walk = ManifestWalk::start(&pull, reference);
        loop {
            if let Some(manifest) = walk.step(&mut http, deadline).await? {
                return Ok(manifest);
            }
        }
    }

    async fn fault_of(answers: impl IntoIterator<Item = String>) -> HttpFault {
        let fake = Fake::answering(answers).await;
        pull(&fake, "v1").await.unwrap_err()
    }

    fn digest(content: &str) -> Digest {
        Digest::of(content.as_bytes())
    }

    fn entry(media_type: &str, digest: &Digest, platform: &str) -> String {
        let (os, rest) = platform.split_once('/').unwrap();
        let (architecture, variant) = rest.split_once('/').unwrap_or((rest, ""));
        format!(
            r#"{{"mediaType":"{media_type}","digest":"{digest}","size":7,"platform":
            {{"os":"{os}","architecture":"{architecture}","variant":"{variant}"}}}}"#
        )
    }

    fn index(entries: &[String]) -> String {
        format!(
            r#"{{"schemaVersion":2,"manifests":[{}]}}"#,
            entries.join(",")
        )
    }

    fn manifest() -> String {
        format!(
            r#"{{"schemaVersion":2,"config":{{"digest":"{}","size":1}},"layers":
            [{{"digest":"{}","size":20}},{{"digest":"{}","size":30}}]}}"#,
            digest("config"),
            digest("layer"),
            digest("another layer"),
        )
    }

    fn oci(digest: &Digest, platform: &str) -> String {
        entry(Kind::OciManifest.media_type(), digest, platform)
    }

    #[tokio::test]
    async fn an_index_leads_to_the_manifest_of_this_node() {
        let node = Platform::of_this_node().to_string();
        let index = index(&[
            oci(&digest("windows"), "windows/amd64"),
            oci(&digest(&manifest()), &node),
            oci(&digest("second of the same"), &node),
            oci(&digest("attestation"), "unknown/unknown"),
        ]);
        let fake = Fake::answering([
            answer("200 OK", &[INDEX], &index),
            answer("200 OK", &["Content-Type: text/html"], &manifest()),
        ])
        .await;
        let expected = Manifest {
            digest: digest(&manifest()),
            platform: Some(Platform::of_this_node()),
            blobs: vec![
                Descriptor {
                    digest: digest("config"),
                    size: 1,
                },
                Descriptor {
                    digest: digest("layer"),
                    size: 20,
                },
            ],
        };
        assert_eq!(pull(&fake, "v1").await.unwrap(), expected);
        let heads = fake.heads();
        assert!(heads[0].starts_with("GET /v2/probe/hello/manifests/v1 HTTP/1.1\r\n"));
        assert!(heads[0].contains(&format!("\r\naccept: {ANY_MANIFEST}\r\n")));
        let second = format!("GET /v2/probe/hello/manifests/{} HTTP", expected.digest);
        assert!(heads[1].starts_with(&second), "{}", heads[1]);
        assert!(
            heads[1].contains("\r\naccept: application/vnd.oci.image.manifest.v1+json, */*\r\n")
        );
        for head in heads {
            assert!(
                head.contains("\r\nauthorization: Bearer t0k3n\r\n"),
                "{head}"
            );
        }
    }

    #[tokio::test]
    async fn an_image_may_be_one_manifest_and_have_no_layer() {
        let fake = Fake::answering([answer("200 OK", &[MANIFEST], &manifest())]).await;
        let seen = pull(&fake, &digest(&manifest()).to_string()).await.unwrap();
        assert_eq!((seen.platform, seen.blobs.len()), (None, 2));
        let bare = format!(r#"{{"config":{{"digest":"{}","size":1}}}}"#, digest("c"));
        let fake = Fake::answering([answer("200 OK", &[MANIFEST], &bare)]).await;
        assert_eq!(pull(&fake, "v1").await.unwrap().blobs.len(), 1);
    }

    #[tokio::test]
    async fn a_node_that_no_manifest_is_for() {
        let index = index(&[
            oci(&digest("a"), "windows/amd64"),
            oci(&digest("b"), "plan9/arm/v7"),
            oci(&digest("c"), "unknown/unknown"),
        ]);
        let fault = fault_of([answer("200 OK", &[INDEX], &index)]).await;
        assert_eq!(fault.reason(), Reason::PlatformMismatch);
        assert_eq!(
            fault.to_string(),
            format!(
                "the image is not built for {}, only for windows/amd64, plan9/arm/v7",
                Platform::of_this_node()
            )
        );
        let fault = fault_of([answer("200 OK", &[INDEX], r#"{"manifests":[]}"#)]).await;
        assert_eq!(fault.reason(), Reason::PlatformMismatch);
    }

    #[tokio::test]
    async fn redirects_stay_with_the_registry() {
        let to = |location: &str| {
            let location = format!("Location: {location}");
            answer("307 Temporary Redirect", &[&location], "moved")
        };
        let moved = Fake::answering([
            to("elsewhere?sig=1"),
            answer("200 OK", &[MANIFEST], &manifest()),
        ])
        .await;
        assert!(pull(&moved, "v1").await.is_ok());
        let heads = moved.heads();
        assert!(heads[1].starts_with("GET /v2/probe/hello/manifests/elsewhere?sig=1 HTTP"));
        let away = fault_of([to("https://evil.example/x?sig=secret")]).await;
        assert_eq!(
            away.to_string(),
            "sent to https://evil.example/x?…: another host than the registry's"
        );
        let round = fault_of((0..20).map(|_| to("/v2/"))).await;
        assert_eq!(round, HttpFault::TooManyRedirects(10));
        let nowhere = fault_of([answer("307 Temporary Redirect", &[], "")]).await;
        assert_eq!(nowhere.reason(), Reason::UnexpectedStatus);
    }

    #[tokio::test]
    async fn a_no_is_a_no() {
        for (status, reason) in [
            ("401 Unauthorized", Reason::Unauthorized),
            ("403 Forbidden", Reason::Forbidden),
            ("404 Not Found", Reason::NotFound),
            ("429 Too Many Requests", Reason::Throttled),
            ("503 Service Unavailable", Reason::ServerError),
            ("206 Partial Content", Reason::UnexpectedStatus),
        ] {
            assert_eq!(fault_of([answer(status, &[], "")]).await.reason(), reason);
        }
    }

    #[tokio::test]
    async fn documents_that_are_none() {
        let nested = "[".repeat(100_000);
        let deep = format!(r#"{{"x":{nested}"#);
        let long = format!(r#"{{"manifests":"{}"}}"#, "x".repeat(1_000_000));
        let traversal = r#"{"config":{"digest":"sha256:../../x","size":1}}"#;
        let negative = format!(r#"{{"config":{{"digest":"{}","size":-1}}}}"#, digest("c"));
        let v1 = "Content-Type: application/vnd.docker.distribution.manifest.v1+prettyjws";
        let other_name = format!("Docker-Content-Digest: {}", digest("other"));
        #[rustfmt::skip]
        let table: &[(&[&str], &str, &str)] = &[
            (&[MANIFEST], "", "no manifest (EOF"),
            (&[MANIFEST], "<html>", "no manifest (expected value"),
            (&[MANIFEST], "{}", "said to be a manifest"),
            (&[MANIFEST], &nested, "no manifest ("),
            (&[MANIFEST], &deep, "no manifest ("),
            (&[INDEX], &long, "no manifest (invalid type: string"),
            (&[INDEX], &manifest(), "said to be an index"),
            (&[MANIFEST], r#"{"manifests":[]}"#, "said to be a manifest"),
            (&[MANIFEST], r#"{"fsLayers":[]}"#, "a schema 1 manifest"),
            (&[v1], "{}", "a schema 1 manifest"),
            (&["Content-Type: text/html"], "<html>", "the media type text/html is no image's"),
            (&[], "{}", "a manifest without a media type"),
            (&[MANIFEST], traversal, "\"sha256:../../x\" is no digest"),
            (&[MANIFEST], &negative, "no manifest (invalid value"),
            (&[MANIFEST, &other_name], &manifest(), "the content is not that of sha256:"),
            (&[MANIFEST, "Docker-Content-Digest: x"], &manifest(), "\"x\" is no digest"),
        ];
        for (headers, body, why) in table {
            let fault = fault_of([answer("200 OK", headers, body)]).await;
            let text = fault.to_string();
            assert_eq!(fault.reason(), Reason::Malformed, "{text}");
            assert!(
                text.starts_with(&format!("malformed answer: {why}")),
                "{text}"
            );
            assert!(text.len() < 400, "{text}");
        }
    }

    #[tokio::test]
    async fn indexes_do_not_nest_for_ever() {
        let mut documents = vec![manifest()];
        for _ in 0..5 {
            let inner = digest(&documents[0]);
            let kind = Kind::OciIndex.media_type();
            let entry = format!(r#"{{"mediaType":"{kind}","digest":"{inner}","size":7}}"#);
            documents.insert(0, index(&[entry]));
        }
        let answers = documents
            .iter()
            .map(|body| answer("200 OK", &[INDEX], body));
        let fault = fault_of(answers).await;
        assert_eq!(
            fault.to_string(),
            "malformed answer: more than 3 indexes in one another"
        );
    }

    #[tokio::test]
    async fn floods_and_silence_end() {
        let chunked =
            format!("HTTP/1.1 200 OK\r\n{MANIFEST}\r\nTransfer-Encoding: chunked\r\n\r\n");
        let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
        let endless = Fake::endless(&chunked, &chunk).await;
        let fault = pull(&endless, "v1").await.unwrap_err();
        assert_eq!(fault, HttpFault::TooLarge("body"));
        let flood = Fake::endless("HTTP/1.1 200 OK\r\n", "X-Flood: 1\r\n").await;
        let fault = pull(&flood, "v1").await.unwrap_err();
        assert_eq!(fault, HttpFault::TooLarge("head"));
        let fault = pull(&Fake::silent().await, "v1").await.unwrap_err();
        assert_eq!(fault, HttpFault::Io(IoFault::Timeout));
    }
}
