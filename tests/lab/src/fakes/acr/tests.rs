//! curl against the registry.

use std::process::Command;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::rights::NO_USER;
use super::*;
use crate::addresses;
use crate::fakes::entra::{self, KUBELET_IDENTITY, REGISTRIES, TENANT};

const HOST: &str = "contoso.azurecr.io";
const DATA: &str = "contoso.westeurope.data.azurecr.io";

/// A registry with an image, and curl as a client that trusts its authority.
struct Setup {
    acr: Acr,
    dir: tempfile::TempDir,
}

impl Setup {
    fn new() -> Self {
        let pki = Pki::new().unwrap();
        let dir = tempfile::tempdir().unwrap();
        pki.write_ca(dir.path().join("ca.crt")).unwrap();
        let acr = Acr::at(HOST, (addresses::loopback(), 0))
            .data(DATA, (addresses::loopback(), 0))
            .tls(&pki)
            .image(Image::hello().unwrap())
            .anonymous_pull()
            .start()
            .unwrap();
        Self { acr, dir }
    }

    /// The head and the body, or what curl complains of.
    fn curl(&self, path: &str, extra: &[&str]) -> String {
        let (login, data) = (self.acr.addr(), self.acr.data_addr(0).unwrap());
        let out = Command::new("curl")
            .args(["--noproxy", "*", "-sSi", "--max-time", "2", "--cacert"])
            .arg(self.dir.path().join("ca.crt"))
            .args([
                "--resolve",
                &format!("{HOST}:{}:{}", login.port(), login.ip()),
            ])
            .args([
                "--resolve",
                &format!("{DATA}:{}:{}", data.port(), data.ip()),
            ])
            .args(extra)
            .arg(format!("https://{}{path}", self.acr.server()))
            .output()
            .unwrap();
        String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned()
    }

    fn bearer(&self) -> String {
        let said = self.curl(
            "/oauth2/token?service=x&scope=repository:probe/hello:pull",
            &[],
        );
        let body: Value = serde_json::from_str(said.split("\r\n\r\n").nth(1).unwrap()).unwrap();
        format!(
            "Authorization: Bearer {}",
            body["access_token"].as_str().unwrap()
        )
    }
}

#[test]
fn serves_an_image_as_azure_does() {
    let setup = Setup::new();
    let said = setup.curl("/v2/", &[]);
    let realm = format!(
        "realm=\"https://{}/oauth2/token\",service=\"{HOST}\"",
        setup.acr.server()
    );
    assert!(said.starts_with("HTTP/1.1 401"), "{said}");
    for expected in [
        &realm,
        "X-Ms-Correlation-Request-Id",
        "registry/2.0",
        "UNAUTHORIZED",
        "Date: ",
    ] {
        assert!(said.contains(expected), "expected {expected} in {said}");
    }

    let manifest = "/v2/probe/hello/manifests/v1";
    assert!(
        setup
            .curl(manifest, &[])
            .contains("scope=\"repository:probe/hello:pull\"")
    );
    let bearer = setup.bearer();
    let index = setup.curl(manifest, &["-H", &bearer]);
    assert!(index.contains("\"architecture\":\"arm64\""), "{index}");

    let image = Image::hello().unwrap();
    let (digest, blob) = image.blobs().next().unwrap();
    let path = format!("/v2/probe/hello/blobs/{digest}");
    let redirected = setup.curl(&path, &["-H", &bearer]);
    assert!(
        redirected.contains("307") && redirected.contains("sig="),
        "{redirected}"
    );
    let followed = setup.curl(&path, &["-L", "-r", "0-0", "-H", &bearer]);
    assert!(
        followed.contains(&format!("Content-Range: bytes 0-0/{}", blob.len())),
        "{followed}"
    );

    let at_data = setup.acr.seen_on(Route::Data);
    assert_eq!(at_data.len(), 1);
    assert_eq!(
        at_data[0].header("authorization"),
        None,
        "curl drops it, and so must we"
    );
    setup.acr.allow_anonymous_pull(false);
    assert!(
        setup
            .curl("/oauth2/token?scope=repository:probe/hello:pull", &[])
            .contains("401")
    );
}

const SCOPE: &str = "scope=repository:probe/hello:pull";

impl Setup {
    fn exchange(&self, access_token: &str) -> String {
        let form = format!(
            "grant_type=access_token_refresh_token&service={HOST}&tenant=any&access_token={access_token}"
        );
        self.curl("/oauth2/exchange", &["-d", &form])
    }

    fn refresh_token(&self) -> String {
        let said = self.exchange(&entra::token(KUBELET_IDENTITY, TENANT, REGISTRIES));
        let (_, body) = said.split_once("\r\n\r\n").unwrap();
        let body: Value = serde_json::from_str(body).unwrap();
        body["refresh_token"].as_str().unwrap().to_owned()
    }

    /// What it says to a refresh token, however that comes.
    fn ask_both_ways(&self, refresh_token: &str) -> [String; 2] {
        let user = format!("{NO_USER}:{refresh_token}");
        let form = format!("grant_type=refresh_token&{SCOPE}&refresh_token={refresh_token}");
        let target = format!("/oauth2/token?service={HOST}&{SCOPE}");
        [
            self.curl(&target, &["-u", &user]),
            self.curl("/oauth2/token", &["-d", &form]),
        ]
    }
}

#[test]
fn an_identity_gets_what_its_role_allows() {
    let setup = Setup::new();
    let rights = |role, permissions| {
        let refresh_token_seconds = 600;
        Rights {
            role,
            permissions,
            refresh_token_seconds,
        }
    };
    let for_registry = Permissions::ForRegistry;
    setup.acr.grant(rights(Role::Everything, for_registry));
    let given = setup.refresh_token();
    let claims = entra::claims(&given).unwrap();
    assert_eq!(claims["permissions"]["actions"][0], "read");
    for said in setup.ask_both_ways(&given) {
        assert!(said.contains("access_token"), "{said}");
    }

    setup.acr.grant(rights(Role::Nothing, for_registry));
    // What was given before is good no more.
    let none = setup.exchange(&entra::token(KUBELET_IDENTITY, TENANT, REGISTRIES));
    for said in setup.ask_both_ways(&given).into_iter().chain([none]) {
        assert!(
            said.contains("401") && said.contains("authentication required"),
            "{said}"
        );
    }

    setup.acr.grant(rights(
        Role::OtherRepositories,
        Permissions::ForRepositories,
    ));
    let given = setup.refresh_token();
    assert!(entra::claims(&given).unwrap().get("permissions").is_none());
    for said in setup.ask_both_ways(&given) {
        assert!(said.contains("401"), "{said}");
    }
}

#[test]
fn takes_only_good_tokens_of_its_own_tenant() {
    let setup = Setup::new();
    let exchange =
        |tenant, audience| setup.exchange(&entra::token(KUBELET_IDENTITY, tenant, audience));
    assert!(exchange(TENANT, REGISTRIES).contains("refresh_token"));
    assert!(exchange("another", REGISTRIES).contains("authentication required"));
    let for_arm = exchange(TENANT, "https://management.azure.com");
    assert!(
        for_arm.contains("401") && for_arm.contains("token validation failed"),
        "{for_arm}"
    );
    assert!(
        setup
            .exchange("no-token")
            .contains("token validation failed")
    );
    assert!(setup.curl("/oauth2/exchange", &[]).contains("405"));
    assert!(
        setup
            .curl("/oauth2/exchange", &["-d", "grant_type=password"])
            .contains("400")
    );

    setup.acr.grant(Rights {
        refresh_token_seconds: 0,
        ..Rights::default()
    });
    let expired = setup.refresh_token();
    let strange = "a.b.c".to_owned();
    for token in [
        expired,
        strange,
        entra::token(KUBELET_IDENTITY, TENANT, REGISTRIES),
    ] {
        for said in setup.ask_both_ways(&token) {
            assert!(said.contains("401"), "{said}");
        }
    }
    let form = "grant_type=password&username=reader&password=secret";
    assert!(setup.curl("/oauth2/token", &["-d", form]).contains("400"));
}

#[test]
fn every_wrong_answer_shows() {
    let setup = Setup::new();
    let elsewhere = "https://fabrikam.example/".to_owned();
    let cases = [
        (
            Answer::Firewall([203, 0, 113, 9].into()),
            "client with IP '203.0.113.9' is not allowed",
        ),
        (Answer::Status(503), "HTTP/1.1 503"),
        (
            Answer::Throttled(Some(Duration::from_secs(7))),
            "Retry-After: 7",
        ),
        (Answer::Challenge(Challenge::MixedCase), "bEaReR rEaLm="),
        (
            Answer::Challenge(Challenge::Several),
            "nonce=\"c=\", Bearer realm=",
        ),
        (
            Answer::Challenge(Challenge::QuotedPairs),
            "realm=\"https:\\/\\/contoso",
        ),
        (
            Answer::Challenge(Challenge::ExtraParameters),
            "charset=UTF-8 ,",
        ),
        (
            Answer::Challenge(Challenge::BasicAndBearer),
            "Www-Authenticate: Basic",
        ),
        (
            Answer::Challenge(Challenge::BasicOnly),
            "Www-Authenticate: Basic",
        ),
        (
            Answer::Challenge(Challenge::Realm(elsewhere.clone())),
            "realm=\"https://fabrikam.example/\"",
        ),
        (Answer::Mcr, "Docker-Distribution-Api-Version: registry/2.0"),
        (Answer::EmptyJson, "{}"),
        (Answer::NotJson, "{\"access_token\":"),
        (Answer::HugeJson, "at the end"),
        (Answer::CaptivePortal, "Please log in"),
        (
            Answer::RedirectTo(elsewhere),
            "Location: https://fabrikam.example/",
        ),
        (Answer::RedirectLoop, "Maximum (3) redirects followed"),
        (Answer::HangBeforeHeaders, "timed out"),
        (Answer::HangInBody, "timed out"),
        (Answer::EndlessBody, "timed out"),
        (Answer::HugeHeaders, "curl: (27)"),
        (Answer::EndlessHeaders, "Too large response headers"),
        (Answer::Eof, "Empty reply"),
        (Answer::Reset, "reset by peer"),
        (Answer::Garbage, "HTTP/0.9"),
        (Answer::Http10, "HTTP/1.0 401"),
        (Answer::Chunked, "Transfer-Encoding: chunked"),
    ];
    for (answer, expected) in cases {
        setup.acr.answer(Route::Ping, answer.clone());
        let follow: &[&str] = match answer {
            Answer::RedirectLoop => &["-L", "--max-redirs", "3"],
            _ => &[],
        };
        let said = setup.curl("/v2/", follow);
        let shown = &said[said.len().saturating_sub(500)..];
        assert!(
            said.contains(expected),
            "{answer:?}: expected {expected:?} in {shown}"
        );
    }
    setup.acr.fix().answer_at(DATA, Answer::Status(400));
    assert!(setup.curl("/v2/", &[]).contains("401"));
}

#[test]
fn certificate_and_clock_change_while_it_runs() {
    let setup = Setup::new();
    let other = Pki::new().unwrap().leaf([HOST]).issue().unwrap();
    setup.acr.set_clock_ahead(-86_400);
    let yesterday = (Timestamp::now() - SignedDuration::from_hours(24))
        .strftime("%d %b %Y")
        .to_string();
    assert!(setup.curl("/v2/", &[]).contains(&yesterday));
    setup.acr.present(HOST, &other).unwrap();
    assert!(
        setup
            .curl("/v2/", &[])
            .contains("unable to get local issuer certificate")
    );
}
