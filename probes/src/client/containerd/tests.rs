//! Pulls from registries that are a list of answers. The texts are those that containerd 2.4 prints. The file is
//! long because all cases share one world.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::FutureExt;
use hyper::{
    HeaderMap,
    header::{AUTHORIZATION, HeaderName, HeaderValue},
};

use super::*;
use crate::{
    client::credential::Credential,
    node::ContainerdRelease,
    words::{digest::Digest, platform::Platform},
};

const TAG: &str = "https://r/v2/a/manifests/v1";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const CHALLENGE: &str =
    r#"www-authenticate: Bearer realm="https://t/token",service="r",scope="repository:a:pull""#;
const TOKEN: &str = "https://t/token?scope=repository%3Aa%3Apull&service=r";
const CONFIG: &str = r#"{"os":"linux","architecture":"amd64","rootfs":{"diff_ids":["sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]}}"#;

/// What a URL answers, time after time; the last answer stays.
#[derive(Default)]
struct World {
    answers: HashMap<String, Vec<WalkReply>>,
    asked: Vec<String>,
    credential: Option<Arc<Credential>>,
}

impl World {
    fn with(mut self, request: &str, reply: WalkReply) -> Self {
        self.answers
            .entry(request.to_owned())
            .or_default()
            .push(reply);
        self
    }

    /// A document or blob at its digest, and how it is called there.
    fn serving(self, kind: &str, media_type: &str, body: &str) -> Self {
        let url = format!("GET https://r/v2/a/{kind}/{}", Digest::of(body.as_bytes()));
        self.with(&url, ok(&[&format!("content-type: {media_type}")], body))
    }

    /// An image of one layer under the tag.
    fn image() -> Self {
        let manifest = manifest();
        Self::default()
            .tagged(MANIFEST, &manifest)
            .serving("manifests", MANIFEST, &manifest)
            .serving("blobs", "application/octet-stream", CONFIG)
            .serving("blobs", "application/octet-stream", "layer")
    }

    fn tagged(self, media_type: &str, body: &str) -> Self {
        self.with(&format!("HEAD {TAG}"), head(media_type, body))
    }

    fn pull_from(&mut self, hosts: &[Host], release: ContainerdRelease) -> Result<Pulled, Stop> {
        let platform = Platform::normal("linux", "amd64", "");
        let image = WantedImage {
            throughput: None,
            layers: usize::MAX,
            name: "a:v1",
            reference: "r/a:v1",
            repository: "a",
            object: "v1",
            platform: &platform,
        };
        let by = self.credential.clone();
        pull(self, &image, hosts, release, by)
            .now_or_never()
            .unwrap()
    }

    fn pull(&mut self) -> Result<Pulled, Stop> {
        self.pull_from(&[host(0, "https://r/v2")], ContainerdRelease::NEWEST)
    }

    /// What containerd prints.
    fn error(mut self) -> String {
        text(self.pull())
    }
}

impl Transport for World {
    async fn send(&mut self, request: &WalkRequest) -> WalkReply {
        let asked = format!("{} {}", request.method, request.url);
        let by = request
            .headers
            .get(AUTHORIZATION)
            .map(|by| by.to_str().unwrap());
        let offered = request.offered.as_ref().map(|offered| match &offered.by {
            Manner::Basic => offered
                .credential
                .basic()
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned(),
            Manner::Form(fields) => {
                let form = offered.credential.form(fields);
                String::from_utf8(form.to_vec()).unwrap()
            }
        });
        let by = by.map(str::to_owned).or(offered).unwrap_or_default();
        self.asked.push([&asked, &*by].join(" ").trim().to_owned());
        match self.answers.get_mut(&asked) {
            Some(replies) if replies.len() > 1 => replies.remove(0),
            Some(replies) => replies[0].clone(),
            None => status(404, &[]),
        }
    }

    async fn pause(&mut self, _: Duration) -> bool {
        true
    }
}

fn status(status: u16, headers: &[&str]) -> WalkReply {
    let headers = headers.iter().map(|line| {
        let (name, value) = line.split_once(": ").unwrap();
        (
            name.parse::<HeaderName>().unwrap(),
            value.parse::<HeaderValue>().unwrap(),
        )
    });
    WalkReply::Response(WalkResponse {
        status,
        headers: headers.collect(),
        length: None,
        in_the_clear: false,
        keeps_open: true,
        said: None,
        body: Body::default(),
    })
}

fn ok(headers: &[&str], body: &str) -> WalkReply {
    let WalkReply::Response(response) = status(200, headers) else {
        unreachable!()
    };
    WalkReply::Response(WalkResponse {
        length: Some(body.len() as u64),
        body: Body {
            bytes: body.to_owned().into(),
            end: BodyEnd::Complete,
        },
        ..response
    })
}

fn head(media_type: &str, body: &str) -> WalkReply {
    let digest = format!("docker-content-digest: {}", Digest::of(body.as_bytes()));
    ok(&[&format!("content-type: {media_type}"), &digest], body)
}

fn eof() -> WalkReply {
    WalkReply::Fault(WalkFault {
        text: Some("EOF".to_owned()),
        kind: FaultKind::Eof,
    })
}

fn host(place: usize, url: &str) -> Host {
    Host {
        place,
        url: url.parse().unwrap(),
        namespace: None,
        resolves: true,
        pulls: true,
        headers: HeaderMap::new(),
        tokens_of: 0,
        shares_client: true,
    }
}

fn mirror() -> Host {
    Host {
        namespace: Some("r".to_owned()),
        ..host(0, "https://m/v2")
    }
}

fn entry(media_type: &str, body: &str) -> String {
    let (digest, size) = (Digest::of(body.as_bytes()), body.len());
    format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{size}}}"#)
}

fn manifest() -> String {
    let config = entry("application/vnd.oci.image.config.v1+json", CONFIG);
    format!(
        r#"{{"config":{config},"layers":[{}]}}"#,
        entry(LAYER, "layer")
    )
}

fn text(pulled: Result<Pulled, Stop>) -> String {
    match pulled {
        Ok(_) => "pulled".to_owned(),
        Err(Stop::NotSeen(why)) => format!("not seen: {why}"),
        Err(Stop::NotFollowed(_, fault)) => format!("not followed: {fault}"),
        Err(Stop::Failed(error)) => error.text.unwrap_or_else(|| "failed".to_owned()),
    }
}

#[test]
fn a_pull_asks_for_the_tag_then_for_a_token_and_never_for_the_root() {
    let mut world = World::image().with(TOKEN, status(500, &[]));
    let tagged = world.answers.remove(&format!("HEAD {TAG}")).unwrap();
    let refused = vec![status(401, &[CHALLENGE]), tagged[0].clone()];
    world.answers.insert(format!("HEAD {TAG}"), refused);
    world.answers.insert(
        format!("GET {TOKEN}"),
        vec![ok(&[], r#"{"token":"t0k3n"}"#)],
    );
    let pulled = world.pull().unwrap();
    assert_eq!(pulled.manifest, Digest::of(manifest().as_bytes()));
    let at = |kind, body: &str| {
        format!(
            "GET https://r/v2/a/{kind}/{} Bearer t0k3n",
            Digest::of(body.as_bytes())
        )
    };
    assert_eq!(
        world.asked,
        [
            format!("HEAD {TAG}"),
            format!("GET {TOKEN}"),
            format!("HEAD {TAG} Bearer t0k3n"),
            at("manifests", &manifest()),
            at("blobs", CONFIG),
            at("blobs", "layer"),
        ]
    );
}

#[test]
fn only_a_head_that_is_not_allowed_is_asked_again_with_get() {
    let head = format!("HEAD {TAG}");
    let mut world = World::image().with(&format!("GET {TAG}"), head_of_manifest());
    world.answers.insert(head.clone(), vec![status(405, &[])]);
    assert_eq!(text(world.pull()), "pulled");
    for (answer, said) in [
        (404, "failed to resolve image: r/a:v1: not found"),
        (
            403,
            "failed to resolve image: unexpected status from HEAD request to \
             https://r/v2/a/manifests/v1: 403 Forbidden",
        ),
    ] {
        let mut world = World::image().with(&format!("GET {TAG}"), head_of_manifest());
        world
            .answers
            .insert(head.clone(), vec![status(answer, &[])]);
        assert_eq!(world.error(), said);
    }
}

fn head_of_manifest() -> WalkReply {
    head(MANIFEST, &manifest())
}

#[test]
fn a_tag_without_a_digest_is_read_whole() {
    let body = manifest();
    let kind = format!("content-type: {MANIFEST}; charset=utf-8");
    let mut world = World::image().with(&format!("GET {TAG}"), ok(&[&kind], &body));
    world
        .answers
        .insert(format!("HEAD {TAG}"), vec![ok(&[&kind], &body)]);
    assert_eq!(world.pull().unwrap().manifest, Digest::of(body.as_bytes()));
}

#[test]
fn an_error_moves_on_to_the_next_host_and_a_wrong_answer_does_not() {
    let hosts = [mirror(), host(1, "https://r/v2")];
    let mut world = World::image();
    assert_eq!(
        text(world.pull_from(&hosts, ContainerdRelease::NEWEST)),
        "pulled"
    );
    assert_eq!(world.asked[0], "HEAD https://m/v2/a/manifests/v1?ns=r");
    assert_eq!(world.asked[1], format!("HEAD {TAG}"));

    let page = "content-type: text/html";
    let tag = "https://m/v2/a/manifests/v1?ns=r";
    let mut world = World::image()
        .with(&format!("HEAD {tag}"), ok(&[page], "<html>"))
        .with(&format!("GET {tag}"), ok(&[page], "<html>"));
    let failed = text(world.pull_from(&hosts, ContainerdRelease::NEWEST));
    assert!(
        failed.contains("could not fetch content descriptor"),
        "{failed}"
    );
}

#[test]
fn the_error_that_came_furthest_counts() {
    let hosts = [mirror(), host(1, "https://r/v2")];
    let down = WalkFault {
        text: Some("dial tcp: refused".to_owned()),
        kind: FaultKind::Dial,
    };
    let mut world = World::default().with(
        "HEAD https://m/v2/a/manifests/v1?ns=r",
        WalkReply::Fault(down),
    );
    assert_eq!(
        text(world.pull_from(&hosts, ContainerdRelease::NEWEST)),
        "failed to resolve image: r/a:v1: not found"
    );
}

#[test]
fn an_end_of_the_connection_and_a_server_error_are_tried_again_by_the_newest_alone() {
    let hosts = [host(0, "https://r/v2")];
    for (reply, newest, of_1_7) in [
        (eof(), 5, 1),
        (status(503, &[]), 2, 1),
        (status(429, &[]), 5, 6),
        (status(404, &[]), 1, 1),
    ] {
        for (release, times) in [
            (ContainerdRelease::NEWEST, newest),
            ("1.7".parse().unwrap(), of_1_7),
        ] {
            let mut world = World::default().with(&format!("HEAD {TAG}"), reply.clone());
            assert!(world.pull_from(&hosts, release).is_err());
            assert_eq!(world.asked.len(), times, "{release}");
        }
    }
    let mut world = World::image();
    world
        .answers
        .get_mut(&format!("HEAD {TAG}"))
        .unwrap()
        .insert(0, eof());
    assert_eq!(text(world.pull()), "pulled");
}

#[test]
fn what_token_services_answer() {
    let fetching =
        "failed to resolve image: failed to authorize: failed to fetch anonymous token: ";
    for (reply, said) in [
        (ok(&[], r#"{"access_token":"x"}"#), "pulled".to_owned()),
        (
            status(401, &[]),
            format!("{fetching}unexpected status from GET request to {TOKEN}: 401 Unauthorized"),
        ),
        (
            ok(&[], ""),
            format!("{fetching}unable to decode token response: EOF"),
        ),
        (
            ok(&[], "{}"),
            format!("{fetching}authorization server did not include a token in the response"),
        ),
    ] {
        let mut world = World::image().with(&format!("GET {TOKEN}"), reply);
        let head = world.answers.get_mut(&format!("HEAD {TAG}")).unwrap();
        head.insert(0, status(401, &[CHALLENGE]));
        assert_eq!(world.error(), said);
    }
}

#[test]
fn without_credentials_a_password_is_not_to_be_had() {
    let basic = status(401, &[r#"www-authenticate: BASIC realm="x""#]);
    let world = World::default().with(&format!("HEAD {TAG}"), basic);
    assert_eq!(
        world.error(),
        "failed to resolve image: pull access denied, repository does not exist or may \
         require authorization: authorization failed: no basic auth credentials"
    );
}

/// A registry that wants a token from everybody, and a client with a password.
fn with_password(token_requests: &[(&str, WalkReply)]) -> World {
    let mut world = World::image();
    let head = world.answers.get_mut(&format!("HEAD {TAG}")).unwrap();
    head.insert(0, status(401, &[CHALLENGE]));
    for (request, reply) in token_requests {
        world = world.with(request, reply.clone());
    }
    let secret = |text: &str| text.to_owned().into();
    world.credential = Credential::new(secret("reader"), secret("secret")).map(Arc::new);
    world
}

#[test]
fn a_password_is_posted_and_then_sent_in_a_header() {
    let (post, get) = ("POST https://t/token", format!("GET {TOKEN}"));
    let token = || ok(&[], r#"{"access_token":"x"}"#);
    let failed = "failed to resolve image: failed to authorize: failed to fetch oauth token: ";
    for (posted, got, said) in [
        (token(), status(500, &[]), "pulled".to_owned()),
        (status(400, &[]), token(), "pulled".to_owned()),
        (status(401, &[]), token(), "pulled".to_owned()),
        (status(404, &[]), token(), "pulled".to_owned()),
        (status(405, &[]), token(), "pulled".to_owned()),
        (
            status(400, &[]),
            status(401, &[]),
            format!("{failed}unexpected status from GET request to {TOKEN}: 401 Unauthorized"),
        ),
        (
            status(403, &[]),
            token(),
            format!(
                "{failed}unexpected status from POST request to https://t/token: 403 Forbidden"
            ),
        ),
        (
            ok(&[], "{}"),
            token(),
            format!("{failed}authorization server did not include a token in the response"),
        ),
    ] {
        assert_eq!(with_password(&[(post, posted), (&get, got)]).error(), said);
    }
    let mut world = with_password(&[(post, status(400, &[])), (&get, token())]);
    world.pull().unwrap();
    assert_eq!(
        world.asked[1..4],
        [
            format!(
                "{post} client_id=containerd-client&grant_type=password&password=secret&\
                 scope=repository%3Aa%3Apull&service=r&username=reader"
            ),
            format!("{get} Basic cmVhZGVyOnNlY3JldA=="),
            format!("HEAD {TAG} Bearer x"),
        ]
    );
}

#[test]
fn a_password_goes_along_where_go_takes_it() {
    let (post, moved) = ("POST https://t/token", "https://t/moved");
    let to = |status_code| status(status_code, &["location: /moved"]);
    // 307 repeats the form; 302 asks again without it.
    let mut world = with_password(&[
        (post, to(307)),
        (&format!("POST {moved}"), ok(&[], r#"{"access_token":"x"}"#)),
    ]);
    world.pull().unwrap();
    assert!(
        world.asked[2].starts_with(&format!("POST {moved} client_id=")),
        "{:?}",
        world.asked
    );
    let mut world = with_password(&[
        (post, to(302)),
        (&format!("GET {moved}"), ok(&[], r#"{"access_token":"x"}"#)),
    ]);
    world.pull().unwrap();
    assert_eq!(world.asked[2], format!("GET {moved}"));
}

#[test]
fn the_rest_of_a_body_that_ends_early_is_asked_for() {
    let part = |headers: &[&str], part: &str| {
        let (WalkReply::Response(response), WalkReply::Fault(fault)) = (ok(headers, part), eof())
        else {
            unreachable!()
        };
        let body = Body {
            end: BodyEnd::Cut(fault),
            ..response.body
        };
        WalkReply::Response(WalkResponse { body, ..response })
    };
    let (start, rest) = CONFIG.split_at(20);
    let (last, length) = (CONFIG.len() - 1, CONFIG.len());
    let from_20 = &*format!("content-range: bytes 20-{last}/{length}");
    let from_0 = &*format!("content-range: bytes 0-{last}/{length}");
    let short =
        |got: usize| format!("short read: expected {length} bytes but got {got}: unexpected EOF");
    for (replies, said) in [
        (
            vec![part(&[], start), ok(&[from_20], rest)],
            "pulled".to_owned(),
        ),
        (vec![part(&[], start), ok(&[], CONFIG)], "pulled".to_owned()),
        (vec![part(&[], ""), ok(&[], CONFIG)], "pulled".to_owned()),
        // All came, and then the connection was closed.
        (vec![part(&[], CONFIG)], "pulled".to_owned()),
        (vec![part(&[], start), part(&[], start)], short(20)),
        (vec![part(&[], start), ok(&[from_0], CONFIG)], short(20)),
        (vec![part(&[], start), status(416, &[])], short(20)),
        (vec![part(&[], "")], short(0)),
    ] {
        let mut world = World::image();
        let config = format!("GET https://r/v2/a/blobs/{}", Digest::of(CONFIG.as_bytes()));
        world.answers.insert(config, replies);
        assert_eq!(text(world.pull()), said);
    }
}

#[test]
fn an_image_for_a_lesser_platform_is_taken_by_the_client_alone() {
    let platform = r#","platform":{"os":"linux","architecture":"386"}}"#;
    let lesser = entry(MANIFEST, &manifest()).replacen('}', platform, 1);
    let index = format!(r#"{{"manifests":[{lesser}]}}"#);
    let pull = |release: &str| {
        let mut world = World::image().serving("manifests", INDEX, &index);
        world.answers.remove(&format!("HEAD {TAG}"));
        let mut world = world.tagged(INDEX, &index);
        text(world.pull_from(&[host(0, "https://r/v2")], release.parse().unwrap()))
    };
    assert_eq!(pull("2.0"), "pulled");
    assert!(
        pull("2.1").starts_with("get image config descriptor: content digest sha256:"),
        "{}",
        pull("2.1")
    );
}

#[test]
fn a_password_answers_a_basic_challenge() {
    let basic = status(401, &[r#"www-authenticate: Basic realm="x""#]);
    let mut world = with_password(&[]);
    world.answers.get_mut(&format!("HEAD {TAG}")).unwrap()[0] = basic.clone();
    world.pull().unwrap();
    assert_eq!(
        world.asked[1],
        format!("HEAD {TAG} Basic cmVhZGVyOnNlY3JldA==")
    );
    world.answers.insert(format!("HEAD {TAG}"), vec![basic]);
    assert_eq!(
        world.error(),
        "failed to resolve image: unexpected status from HEAD request to \
         https://r/v2/a/manifests/v1: 401 Unauthorized"
    );
}

#[test]
fn a_token_stays_with_the_host_that_asked_for_it() {
    let elsewhere = "https://s/blob?sig=1";
    let mut world = World::image()
        .with(&format!("GET {TOKEN}"), ok(&[], r#"{"token":"x"}"#))
        .with(&format!("GET {elsewhere}"), ok(&[], "layer"));
    let head = world.answers.get_mut(&format!("HEAD {TAG}")).unwrap();
    head.insert(0, status(401, &[CHALLENGE]));
    let layer = format!("GET https://r/v2/a/blobs/{}", Digest::of(b"layer"));
    let location = format!("location: {elsewhere}");
    world.answers.insert(layer, vec![status(307, &[&location])]);
    assert_eq!(text(world.pull()), "pulled");
    assert_eq!(world.asked.last().unwrap(), &format!("GET {elsewhere}"));
}

#[test]
fn what_goes_along_is_what_went_first() {
    let other = CHALLENGE.replace("https://t", "https://u");
    let moved = status(307, &["location: https://s/v1"]);
    let mut world = World::image().with(&format!("GET {TOKEN}"), ok(&[], r#"{"token":"x"}"#));
    let head = world.answers.get_mut(&format!("HEAD {TAG}")).unwrap();
    *head = vec![moved];
    let mut world = world
        .with("HEAD https://s/v1", status(401, &[&other]))
        .with(
            "HEAD https://s/v1",
            status(302, &["location: https://sub.r/v1"]),
        )
        .with(
            &format!("GET {}", TOKEN.replace("https://t", "https://u")),
            ok(&[], r#"{"token":"y"}"#),
        );
    world.pull().unwrap_err();
    assert!(
        world
            .asked
            .contains(&"HEAD https://s/v1 Bearer y".to_owned()),
        "{:?}",
        world.asked
    );
    assert_eq!(world.asked.last().unwrap(), "HEAD https://sub.r/v1");
}

#[test]
fn a_url_that_go_reads_differently_is_not_followed() {
    let away = status(307, &["location: https://0177.0.0.1/"]);
    let world = World::default().with(&format!("HEAD {TAG}"), away);
    let error = world.error();
    assert!(error.starts_with("not followed: "), "{error}");
    let realm = CHALLENGE.replace("https://t/token", "https://t/%2e%2e");
    let world = World::default().with(&format!("HEAD {TAG}"), status(401, &[&realm]));
    let error = world.error();
    assert!(error.starts_with("not followed: "), "{error}");
}

#[test]
fn redirects_end() {
    let again = status(307, &["location: v1"]);
    let world = World::default().with(&format!("HEAD {TAG}"), again);
    assert_eq!(
        world.error(),
        format!(
            "failed to resolve image: failed to do request: Head \"{TAG}\": stopped after 10 \
             redirects"
        )
    );
}

#[test]
fn of_an_index_the_entry_of_this_platform_is_pulled() {
    let of = |platform: &str, body: &str| {
        let entry = entry(MANIFEST, body);
        let (os, architecture) = platform.split_once('/').unwrap();
        entry.replace(
            "\"size\"",
            &format!(r#""platform":{{"os":"{os}","architecture":"{architecture}"}},"size""#),
        )
    };
    let unnamed = |body: &str| entry(MANIFEST, body);
    let other = CONFIG.replace("amd64", "arm64");
    let for_arm = manifest().replace(
        &entry("application/vnd.oci.image.config.v1+json", CONFIG),
        &entry("application/vnd.oci.image.config.v1+json", &other),
    );
    for (entries, said) in [
        (
            vec![of("windows/amd64", "x"), of("linux/amd64", &manifest())],
            "pulled",
        ),
        (
            vec![of("linux/arm64", "x"), of("unknown/unknown", "y")],
            "no match for platform in manifest INDEX: not found",
        ),
        (vec![unnamed(&manifest())], "pulled"),
        // The first that names no platform is taken, and then it is the wrong one.
        (
            vec![unnamed(&for_arm), unnamed(&manifest())],
            "no match for platform in manifest …: not found",
        ),
        (vec![], "no match for platform in manifest INDEX: not found"),
    ] {
        let index = format!(r#"{{"manifests":[{}]}}"#, entries.join(","));
        let mut world = World::image()
            .serving("manifests", INDEX, &index)
            .serving("manifests", MANIFEST, &for_arm)
            .serving("blobs", "application/octet-stream", &other);
        world
            .answers
            .insert(format!("HEAD {TAG}"), vec![head(INDEX, &index)]);
        let digest = Digest::of(index.as_bytes()).to_string();
        assert_eq!(world.error().replace(&digest, "INDEX"), said, "{index}");
    }
}

#[test]
fn of_an_index_the_transfer_service_fetches_all_that_may_be_for_the_node() {
    let amd64 = |body: &str, features: &str| {
        let platform = format!(
            r#""platform":{{"os":"linux","architecture":"amd64","os.features":{features}}},"size""#
        );
        entry(MANIFEST, body).replace("\"size\"", &platform)
    };
    let here = || amd64(&manifest(), "[]");
    let gone = "failed to copy: httpReadSeeker: failed open: content at GONE not found: not found";
    for (entries, newest, older) in [
        (vec![here(), here()], "pulled", "pulled"),
        (vec![here(), amd64("gone", "[]")], gone, "pulled"),
        (vec![here(), entry(MANIFEST, "gone")], gone, "pulled"),
        (vec![amd64("gone", "[\"x\"]"), here()], "pulled", gone),
        (
            vec![amd64(&manifest(), "[\"x\"]")],
            "no match for platform in manifest INDEX: not found",
            "pulled",
        ),
        (
            vec![here(), here().replace("\"size\":", "\"size\":1")],
            "not seen: DIGEST is named twice, with different sizes or places",
            "pulled",
        ),
    ] {
        let index = format!(r#"{{"manifests":[{}]}}"#, entries.join(","));
        let digest = Digest::of(index.as_bytes()).to_string();
        let wanted = [
            (ContainerdRelease::NEWEST, newest),
            ("1.7".parse().unwrap(), older),
        ];
        for (release, said) in wanted {
            let mut world = World::image().serving("manifests", INDEX, &index);
            world
                .answers
                .insert(format!("HEAD {TAG}"), vec![head(INDEX, &index)]);
            let pulled = world.pull_from(&[host(0, "https://r/v2")], release);
            let text = text(pulled).replace(&digest, "INDEX");
            let text = text.replace(&Digest::of(manifest().as_bytes()).to_string(), "DIGEST");
            let text = text.replace(
                &format!("https://r/v2/a/manifests/{}", Digest::of(b"gone")),
                "GONE",
            );
            assert_eq!(text, said, "{release:?} {index}");
        }
    }
}

#[test]
fn content_is_what_its_descriptor_says() {
    let layer = format!("GET https://r/v2/a/blobs/{}", Digest::of(b"layer"));
    let config = format!("GET https://r/v2/a/blobs/{}", Digest::of(CONFIG.as_bytes()));
    let damaged = CONFIG.replace('l', "1");
    let gone = |digest: Digest, kind: &str| {
        format!(
            "failed to copy: httpReadSeeker: failed open: could not fetch content descriptor {digest} ({kind}) \
             from remote: not found"
        )
    };
    for (request, reply, said) in [
        (
            &layer,
            ok(&["content-type: text/html"], "<p>"),
            "short read: expected 5 bytes but got 3: unexpected EOF".to_owned(),
        ),
        (
            &layer,
            ok(&["content-type: text/html"], "<html>"),
            "failed to copy: httpReadSeeker: read past expected size 5: failed precondition"
                .to_owned(),
        ),
        (&layer, status(404, &[]), gone(Digest::of(b"layer"), LAYER)),
        (
            &layer,
            status(500, &[]),
            format!(
                "failed to copy: httpReadSeeker: failed open: unexpected status from GET request to {}: 500 \
                 Internal Server Error",
                &layer[4..]
            ),
        ),
        (
            &config,
            ok(&[], "short"),
            format!(
                "short read: expected {} bytes but got 5: unexpected EOF",
                CONFIG.len()
            ),
        ),
        (
            &config,
            ok(&[], &damaged),
            format!(
                "unexpected commit digest {}, expected {}: failed precondition",
                Digest::of(damaged.as_bytes()),
                Digest::of(CONFIG.as_bytes())
            ),
        ),
    ] {
        let mut world = World::image();
        world.answers.insert(request.clone(), vec![reply]);
        assert_eq!(world.error(), said);
    }
}

#[test]
fn what_was_not_seen_is_no_fault() {
    let world = World::default().with(
        &format!("HEAD {TAG}"),
        WalkReply::NotSeen("no time".to_owned()),
    );
    assert_eq!(world.error(), "not seen: no time");
}
