use std::time::Duration;

use hyper::HeaderMap;

use super::*;
use crate::{
    net::io_fault::IoFault,
    stages::fake::{Fake, answer},
};

async fn ask(
    fake: &Fake,
    content: Content,
    read: Read,
    ranged: bool,
) -> Result<(containerd::WalkResponse, Option<HttpFault>), HttpFault> {
    let mut url = fake.endpoint().origin();
    url.set_path("/v2/a/blobs/x");
    let request = request(content, read, url);
    let deadline = Instant::now() + Duration::from_millis(500);
    let sent = send(&mut fake.http().await, &request, ranged, deadline).await?;
    Ok((sent.response, sent.fault))
}

fn request(content: Content, read: Read, url: url::Url) -> containerd::WalkRequest {
    containerd::WalkRequest {
        host: 0,
        content,
        subject: String::new(),
        method: Method::GET,
        url,
        headers: HeaderMap::new(),
        offered: None,
        read,
    }
}

fn reason(refused: &Option<HttpFault>) -> Option<Reason> {
    refused.as_ref().map(HttpFault::reason)
}

#[tokio::test]
async fn of_a_blob_the_start_is_read_however_long_it_is() {
    let fake = Fake::endless("HTTP/1.1 200 OK\r\n\r\n", "xxxxxxxx").await;
    let (response, refused) = ask(&fake, Content::Blob, Read::Start(20), true)
        .await
        .unwrap();
    assert_eq!((response.body.bytes.len(), refused), (20, None));
    assert!(fake.heads()[0].contains("\r\nrange: bytes=0-19\r\n"));

    let untold = Fake::answering(["HTTP/1.1 200 OK\r\n\r\nxx".to_owned()]).await;
    let (response, _) = ask(&untold, Content::Blob, Read::Start(20), true)
        .await
        .unwrap();
    assert_eq!(response.length, Some(2));

    let empty = Fake::answering([answer("200 OK", &[], "")]).await;
    let (response, _) = ask(&empty, Content::Blob, Read::Start(1), false)
        .await
        .unwrap();
    assert!(response.body.bytes.is_empty() && response.length == Some(0));
    assert!(!empty.heads()[0].contains("range:"));
}

#[tokio::test]
async fn a_part_says_how_long_the_whole_is_only_to_who_asked_for_one() {
    let said = &["Content-Range: bytes 0-1/9"][..];
    let cases = [
        (true, said, Some(9)),
        (false, said, Some(2)),
        (true, &[], None),
    ];
    for (ranged, headers, length) in cases {
        let fake = Fake::answering([answer("206 Partial Content", headers, "xx")]).await;
        let (response, _) = ask(&fake, Content::Blob, Read::Start(2), ranged)
            .await
            .unwrap();
        assert_eq!(response.length, length, "{ranged} {headers:?}");
    }
}

#[tokio::test]
async fn a_body_is_read_up_to_a_cap_and_an_end_before_its_length_is_told() {
    let read = async |text: String| {
        let fake = Fake::answering([text]).await;
        let (response, _) = ask(&fake, Content::Manifest, Read::Whole(4), false)
            .await
            .unwrap();
        (response.body.bytes, response.body.end)
    };
    let (bytes, end) = read(answer("200 OK", &[], "{}")).await;
    assert!(&*bytes == b"{}" && matches!(end, BodyEnd::Complete));
    let (_, end) = read(answer("200 OK", &[], "12345")).await;
    assert!(matches!(end, BodyEnd::TooLarge));
    let (_, end) = read("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n12".to_owned()).await;
    assert!(matches!(end, BodyEnd::Cut(_)));
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_a_no_says_why() {
    let statuses = [
        ("307 Temporary Redirect", &["Location: /x"][..], None),
        ("304 Not Modified", &[], None),
        ("403 Forbidden", &[], Some(Reason::Forbidden)),
        ("404 Not Found", &[], Some(Reason::NotFound)),
        ("429 Too Many Requests", &[], Some(Reason::Throttled)),
        ("500 Internal Server Error", &[], Some(Reason::ServerError)),
    ];
    for (status, headers, why) in statuses {
        let fake = Fake::answering([answer(status, headers, "")]).await;
        let (_, refused) = ask(&fake, Content::Blob, Read::Start(1), true)
            .await
            .unwrap();
        assert_eq!(reason(&refused), why, "{status}");
    }
    let silent = ask(&Fake::silent().await, Content::Blob, Read::Nothing, false).await;
    assert_eq!(silent.unwrap_err(), HttpFault::Io(IoFault::Timeout));
    let garbage = Fake::answering(["\x16\x03\x01\r\n\r\n".to_owned()]).await;
    let garbage = ask(&garbage, Content::Blob, Read::Nothing, false).await;
    assert_eq!(garbage.unwrap_err().reason(), Reason::Malformed);
}

#[tokio::test]
async fn a_challenge_and_a_denial_without_credentials_are_no_faults() {
    const DENIED: &str = r#"{"errors":[{"code":"DENIED","message":"no"}]}"#;
    let challenge = &["Www-Authenticate: Bearer realm=\"https://t\""][..];
    let cases = [
        (
            Content::Manifest,
            "401 Unauthorized",
            challenge,
            "",
            true,
            None,
        ),
        (
            Content::Manifest,
            "401 Unauthorized",
            &[],
            "",
            true,
            Some(Reason::Unauthorized),
        ),
        (Content::Manifest, "401 Unauthorized", &[], "", false, None),
        (Content::Token, "401 Unauthorized", &[], "", false, None),
        (Content::Token, "403 Forbidden", &[], DENIED, false, None),
        (
            Content::Token,
            "403 Forbidden",
            &[],
            DENIED,
            true,
            Some(Reason::Forbidden),
        ),
        (
            Content::Token,
            "403 Forbidden",
            &[],
            "<html>",
            false,
            Some(Reason::Forbidden),
        ),
        (
            Content::Blob,
            "401 Unauthorized",
            &[],
            "",
            false,
            Some(Reason::Unauthorized),
        ),
    ];
    for (content, status, headers, body, expected, why) in cases {
        let fake = Fake::answering([answer(status, headers, body)]).await;
        let (response, refused) = ask(&fake, content, Read::Nothing, false).await.unwrap();
        let request = request(content, Read::Nothing, fake.endpoint().origin());
        let shown = evidence(&request, &response, refused, expected);
        assert_eq!(
            shown.err().map(|fault| fault.reason()),
            why,
            "{content:?} {status} {body}"
        );
    }
}
