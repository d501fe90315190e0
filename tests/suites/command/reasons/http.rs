//! A registry, token service or data endpoint that answers wrongly.

use std::time::Duration;

use regprobe_harness::contoso::{Contoso, LOGIN};
use regprobe_harness::need::Need;
use regprobe_harness::node::Node;
use regprobe_harness::openssl::OpensslServer;
use regprobe_lab::fakes::acr::{Acr, Answer, Challenge, Route};
use regprobe_lab::netns::Namespace;
use regprobe_lab::pki::Pki;

use super::{Case, fails};

pub(super) fn challenge() -> Vec<Case> {
    let answers = [
        ("timeout", Answer::HangBeforeHeaders),
        ("timeout", Answer::HangInBody),
        ("reset", Answer::Reset),
        ("closed", Answer::Eof),
        ("malformed", Answer::Garbage),
        ("forbidden", Answer::Status(403)),
        ("firewall", Answer::Firewall([203, 0, 113, 9].into())),
        ("not_found", Answer::Status(404)),
        (
            "throttled",
            Answer::Throttled(Some(Duration::from_secs(30))),
        ),
        ("throttled", Answer::Throttled(None)),
        ("server_error", Answer::Status(500)),
        ("server_error", Answer::Status(503)),
        ("unexpected_status", Answer::Status(400)),
        ("no_challenge", Answer::Status(401)),
        ("no_challenge", Answer::CaptivePortal),
        ("too_large", Answer::HugeHeaders),
        ("too_large", Answer::EndlessHeaders),
        ("too_large", Answer::EndlessBody),
        ("too_many_redirects", Answer::RedirectLoop),
        (
            "not_followed",
            Answer::RedirectTo("https://login.example/".to_owned()),
        ),
    ];
    let mut cases = answering("challenge", Route::Ping, answers);
    cases.push(
        fails(
            "challenge certificate_required: TLS 1.3 that wants a client certificate",
            || OpensslServer::start(&["-tls1_3", "-Verify", "1"])?.check(),
        )
        .needs([Need::OPENSSL]),
    );
    cases
}

pub(super) fn token() -> Vec<Case> {
    let answers = [
        ("timeout", Answer::HangBeforeHeaders),
        ("timeout", Answer::HangInBody),
        ("reset", Answer::Reset),
        ("closed", Answer::Eof),
        ("malformed", Answer::Garbage),
        ("malformed", Answer::NotJson),
        ("malformed", Answer::EmptyJson),
        // With a registry's error code it is a denial.
        (
            "forbidden",
            Answer::Body(403, "text/html".into(), "<html>".to_owned()),
        ),
        ("firewall", Answer::Firewall([203, 0, 113, 9].into())),
        ("not_found", Answer::Status(404)),
        ("throttled", Answer::Throttled(None)),
        ("server_error", Answer::Status(500)),
        ("unexpected_status", Answer::Status(400)),
        ("too_large", Answer::EndlessBody),
        ("too_large", Answer::HugeHeaders),
        (
            "not_followed",
            Answer::RedirectTo(format!("https://{LOGIN}/login")),
        ),
    ];
    let mut cases = answering("token", Route::Token, answers);
    cases.extend([
        fails(
            "token unauthorized: a denial where a grant is expected",
            || {
                let contoso = Contoso::new()?;
                contoso.checking().setting("anonymous_pull: true").run()
            },
        ),
        fails("token not_followed: a realm of plain HTTP", || {
            let metadata = "http://169.254.169.254/metadata/identity/oauth2/token";
            Contoso::new()?.challenges(Challenge::Realm(metadata.to_owned()))
        }),
        fails("token malformed: a realm that is no URL", || {
            Contoso::new()?.challenges(Challenge::Realm("oauth2/token".to_owned()))
        }),
        fails(
            "token not_followed: a realm at the metadata service",
            || {
                let (node, pki, ip) = (Namespace::new("node")?, Pki::new()?, [10, 240, 1, 4]);
                node.address("10.240.1.4/32")?;
                let acr = node.enter(|| Acr::at(LOGIN, (ip, 443)).tls(&pki).start())?;
                let realm = "https://169.254.169.254/token".to_owned();
                acr.answer(Route::Ping, Answer::Challenge(Challenge::Realm(realm)));
                let pinned = Node::pinning(LOGIN, ip)?.trusting(&pki.ca_pem())?;
                pinned.checking(LOGIN).inside(&node).run()
            },
        )
        .at("token")
        .needs([Need::Root, Need::IPROUTE]),
    ]);
    cases
}

pub(super) fn http() -> Vec<Case> {
    let answers = [
        ("timeout", Answer::HangBeforeHeaders),
        ("reset", Answer::Reset),
        ("closed", Answer::Eof),
        ("malformed", Answer::Garbage),
        ("too_large", Answer::HugeHeaders),
        ("too_large", Answer::EndlessHeaders),
    ];
    let cases = answering("http", Route::Data, answers).into_iter();
    cases.map(|case| case.at("data")).collect()
}

/// A case for each answer of this part of an otherwise healthy registry.
pub(super) fn answering<const N: usize>(
    stage: &str,
    route: Route,
    answers: [(&str, Answer); N],
) -> Vec<Case> {
    let case = |(reason, answer): (_, Answer)| {
        fails(&format!("{stage} {reason}: {answer:?}"), move || {
            let contoso = Contoso::new()?;
            contoso.acr.answer(route, answer);
            contoso.check()
        })
    };
    answers.into_iter().map(case).collect()
}
