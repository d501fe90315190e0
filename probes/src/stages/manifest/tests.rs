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
    pull_within(Duration::from_millis(1500), fake, reference).await
}

async fn pull_within(limit: Duration, fake: &Fake, reference: &str) -> Result<Manifest, HttpFault> {
    let registry = fake.endpoint();
    let token = Secret::from("t0k3n");
    let pull = Pull {
        registry: &registry,
        repository: "probe/hello",
        token: Some(&token),
    };
    let deadline = Instant::now() + limit;
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
    assert!(heads[1].contains("\r\naccept: application/vnd.oci.image.manifest.v1+json, */*\r\n"));
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
async fn no_manifest_is_for_this_node() {
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
async fn a_refusal_is_reported_by_its_status() {
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
async fn documents_that_are_refused() {
    let nested = "[".repeat(100_000);
    let deep = format!(r#"{{"x":{nested}"#);
    let long = format!(r#"{{"manifests":"{}"}}"#, "x".repeat(1_000_000));
    let traversal = r#"{"config":{"digest":"sha256:../../x","size":1}}"#;
    let negative = format!(r#"{{"config":{{"digest":"{}","size":-1}}}}"#, digest("c"));
    let v1 = "Content-Type: application/vnd.docker.distribution.manifest.v1+prettyjws";
    let other_name = format!("Docker-Content-Digest: {}", digest("other"));
    #[rustfmt::skip]
    let table: &[(&[&str], &str, &str)] = &[
        (&[MANIFEST], "", "not a manifest (EOF"),
        (&[MANIFEST], "<html>", "not a manifest (expected value"),
        (&[MANIFEST], "{}", "declared as a manifest"),
        (&[MANIFEST], &nested, "not a manifest ("),
        (&[MANIFEST], &deep, "not a manifest ("),
        (&[INDEX], &long, "not a manifest (invalid type: string"),
        (&[INDEX], &manifest(), "declared as an index"),
        (&[MANIFEST], r#"{"manifests":[]}"#, "declared as a manifest"),
        (&[MANIFEST], r#"{"fsLayers":[]}"#, "a schema 1 manifest"),
        (&[v1], "{}", "a schema 1 manifest"),
        (&["Content-Type: text/html"], "<html>", "text/html is not the media type of an image"),
        (&[], "{}", "a manifest without a media type"),
        (&[MANIFEST], traversal, "\"sha256:../../x\" is not a digest"),
        (&[MANIFEST], &negative, "not a manifest (invalid value"),
        (&[MANIFEST, &other_name], &manifest(), "the content does not match sha256:"),
        (&[MANIFEST, "Docker-Content-Digest: x"], &manifest(), "\"x\" is not a digest"),
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
async fn nested_indexes_are_limited() {
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
        "malformed answer: more than 3 nested indexes"
    );
}

#[tokio::test]
async fn floods_and_silence_end() {
    let chunked = format!("HTTP/1.1 200 OK\r\n{MANIFEST}\r\nTransfer-Encoding: chunked\r\n\r\n");
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    let endless = Fake::endless(&chunked, &chunk).await;
    let fault = pull(&endless, "v1").await.unwrap_err();
    assert_eq!(fault, HttpFault::TooLarge("body"));
    let flood = Fake::endless("HTTP/1.1 200 OK\r\n", "X-Flood: 1\r\n").await;
    let fault = pull(&flood, "v1").await.unwrap_err();
    assert_eq!(fault, HttpFault::TooLarge("head"));
    let limit = Duration::from_millis(100);
    let silent = pull_within(limit, &Fake::silent().await, "v1").await;
    assert_eq!(silent.unwrap_err(), HttpFault::Io(IoFault::Timeout));
}
