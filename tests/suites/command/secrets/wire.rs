//! Every byte that leaves the node, and every request that comes to a server of the lab: wherever a registry leads, its
//! secret, and the tokens of the node's identity, are only ever in requests to its own token service.

use std::fs;
use std::process::{Child, Stdio};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use regprobe_harness::agent::SOON;
use regprobe_lab::addresses::loopback;
use regprobe_lab::fakes::acr::{Acr, Answer, Challenge, Route, Seen, pull_token};
use regprobe_lab::fakes::metadata::{self, Metadata};
use regprobe_lab::fakes::proxy::Proxy;
use regprobe_lab::netns::Namespace;
use regprobe_lab::wait;
use tempfile::NamedTempFile;

use super::pull_secret::{Ground, PASSWORD, auth, tells_none};

const TCPDUMP: &str = "/usr/bin/tcpdump";

/// What the registry does to get its secret led away.
struct Attack {
    name: &'static str,
    route: Route,
    answer: Answer,
}

/// `elsewhere` and `plain` are another registry, with TLS and without, and `own` is the registry without TLS.
fn attacks(elsewhere: &str, plain: &str, own: &str) -> Vec<Attack> {
    let realm = |realm: String| Answer::Challenge(Challenge::Realm(realm));
    let token = |text: &str| Answer::Body(200, "application/json".to_owned(), text.to_owned());
    let attack = |name, route, answer| Attack {
        name,
        route,
        answer,
    };
    let path = format!("{elsewhere}/{PASSWORD}/{}", auth());
    vec![
        attack("nothing", Route::Other, Answer::AsAzure),
        attack(
            "realm elsewhere",
            Route::Manifest,
            realm(format!("{elsewhere}/oauth2/token")),
        ),
        attack(
            "realm without TLS",
            Route::Manifest,
            realm(format!("{own}/oauth2/token")),
        ),
        attack(
            "realm elsewhere without TLS",
            Route::Manifest,
            realm(format!("{plain}/oauth2/token")),
        ),
        attack(
            "token moved",
            Route::Token,
            Answer::MovedTo(elsewhere.to_owned()),
        ),
        attack(
            "token found elsewhere",
            Route::Token,
            Answer::RedirectTo(elsewhere.to_owned()),
        ),
        attack(
            "token found without TLS",
            Route::Token,
            Answer::RedirectTo(plain.to_owned()),
        ),
        attack(
            "token found by a path with the secret",
            Route::Token,
            Answer::RedirectTo(path),
        ),
        attack(
            "manifest moved",
            Route::Manifest,
            Answer::MovedTo(elsewhere.to_owned()),
        ),
        attack(
            "manifest moved, without TLS",
            Route::Manifest,
            Answer::MovedTo(plain.to_owned()),
        ),
        attack(
            "blob moved",
            Route::Blob,
            Answer::MovedTo(elsewhere.to_owned()),
        ),
        attack(
            "blob moved, without TLS",
            Route::Blob,
            Answer::MovedTo(plain.to_owned()),
        ),
        attack(
            "token with a header in it",
            Route::Token,
            token("{\"access_token\":\"a\\r\\nX-Led-Astray: yes\"}"),
        ),
        attack(
            "token with a line break",
            Route::Token,
            token("{\"access_token\":\"a\\nb\"}"),
        ),
        attack("token that is markup", Route::Token, Answer::CaptivePortal),
        attack("token without end", Route::Token, Answer::EndlessBody),
    ]
}

/// The end of each token of the lab, of Entra ID's as well as of a registry's exchange.
const SIGNATURE: &str = ".c2lnbmVk";

/// Whatever the registry and the metadata service do. The latter alone may have a token on the wire as it is.
pub(super) fn carries_tokens_to_the_registry_alone() -> Result<()> {
    let namespace = Namespace::new("identity")?;
    namespace.address(&format!("{}/32", metadata::ADDRESS.ip()))?;
    let capture = Capture::start(&namespace, &format!("not host {}", metadata::ADDRESS.ip()))?;
    namespace.enter(|| {
        let ground = Ground::having("managed_identity: {}")?;
        let service = Metadata::start(metadata::ADDRESS)?;
        let plain = Acr::at("plain.azurecr.io", (loopback(), 0)).start()?;
        ground.name("plain.azurecr.io", plain.addr());
        let others = [&ground.elsewhere, &plain];
        let elsewhere = format!("https://{}", ground.elsewhere.server());
        let in_the_clear = format!("http://{}", plain.server());
        let realm = |at: &str| Answer::Challenge(Challenge::Realm(format!("{at}/oauth2/token")));
        let to_registry = [
            (Route::Other, Answer::AsAzure),
            (Route::Ping, realm(&elsewhere)),
            (Route::Ping, realm(&in_the_clear)),
            (
                Route::Ping,
                realm(&format!("http://{}", ground.acr.server())),
            ),
            (Route::Ping, Answer::MovedTo(elsewhere.clone())),
            (Route::Exchange, Answer::MovedTo(elsewhere.clone())),
            (Route::Exchange, Answer::RedirectTo(in_the_clear.clone())),
            (Route::Exchange, Answer::CaptivePortal),
            (Route::Exchange, Answer::EndlessBody),
            (Route::Token, realm(&elsewhere)),
            (Route::Token, Answer::MovedTo(elsewhere.clone())),
            (Route::Token, Answer::RedirectTo(in_the_clear.clone())),
            (Route::Manifest, realm(&elsewhere)),
            (Route::Manifest, realm(&in_the_clear)),
            (Route::Blob, Answer::MovedTo(in_the_clear.clone())),
        ];
        let token = |text: &str| {
            let text = format!("{{\"access_token\":\"{text}{SIGNATURE}\",\"expires_in\":\"9\"}}");
            Answer::Body(200, "application/json".to_owned(), text)
        };
        let of_metadata = [
            Answer::RedirectTo(in_the_clear.clone()),
            Answer::MovedTo(elsewhere.clone()),
            Answer::CaptivePortal,
            Answer::EndlessBody,
            Answer::EndlessHeaders,
            token("a\\r\\nX-Led-Astray: yes"),
            token("a\\nb&grant_type=password"),
        ];
        let attacks = to_registry.map(|(route, answer)| (Some(route), answer));
        let attacks = attacks
            .into_iter()
            .chain(of_metadata.map(|answer| (None, answer)));
        let mut exchanged = 0;
        for (route, answer) in attacks {
            let what = format!("{route:?}: {answer:?}");
            ground.acr.fix().forget();
            service.answer(Answer::AsAzure);
            match route {
                Some(route) => drop(ground.acr.answer(route, answer)),
                None => drop(service.answer(answer)),
            }
            let said = ground.check_as("json", None)?;
            ensure!(!said.contains(SIGNATURE), "{what}: {said}");
            let own = ground.acr.seen();
            let (may, may_not): (Vec<_>, Vec<_>) = own
                .into_iter()
                .partition(|seen| matches!(seen.route, Route::Exchange | Route::Token));
            exchanged += may
                .iter()
                .filter(|seen| seen.route == Route::Exchange)
                .count();
            for seen in may_not.iter().chain(&others.map(Acr::seen).concat()) {
                let all = format!("{} {}", seen.target, sent(seen));
                ensure!(!all.contains(SIGNATURE), "{what}: {seen:#?}");
            }
            let lines = may.iter().flat_map(|seen| &seen.headers);
            let added = lines.filter(|(name, _)| name == "X-Led-Astray").count();
            ensure!(added == 0, "{what}: a token added a header");
        }
        ensure!(exchanged > 5, "only {exchanged} exchanges");
        Ok(())
    })?;
    capture.judge(
        "contoso.azurecr.io",
        &[SIGNATURE, &pull_token("probe/hello")],
    )
}

/// Whatever the registry does, also with a proxy in between.
pub(super) fn carries_it_to_its_token_service_alone() -> Result<()> {
    let namespace = Namespace::new("secrets")?;
    let capture = Capture::start(&namespace, "")?;
    namespace.enter(|| {
        let ground = Ground::new()?;
        let plain = Acr::at("plain.azurecr.io", (loopback(), 0)).start()?;
        let proxy = Proxy::start((loopback(), 0))?;
        ground.name("plain.azurecr.io", plain.addr());
        for acr in [&ground.acr, &ground.elsewhere, &plain] {
            proxy.host(&acr.server(), acr.addr());
        }
        let [elsewhere, own] = [&ground.elsewhere, &ground.acr].map(Acr::server);
        let attacks = attacks(
            &format!("https://{elsewhere}"),
            &format!("http://{}", plain.server()),
            &format!("http://{own}"),
        );
        for attack in &attacks {
            for by in [None, Some(proxy.url())] {
                for acr in [&ground.acr, &ground.elsewhere, &plain] {
                    acr.forget();
                }
                ground.acr.fix().answer(attack.route, attack.answer.clone());
                let said = ground.check_as("json", by.as_deref())?;
                tells_none(attack.name, &said)?;
                let led = [&ground.elsewhere, &plain].map(Acr::seen).concat();
                let own = ground.acr.seen();
                judge(&own, &led).with_context(|| format!("{}, by {by:?}", attack.name))?;
            }
        }
        let asked = proxy.asked();
        ensure!(!asked.is_empty(), "nothing went by the proxy");
        tells_none("CONNECT", &asked.join(" "))
    })?;
    capture.judge("CONNECT contoso.azurecr.io", &[PASSWORD, &auth()])
}

/// The secret came to the token service of its own registry, and nothing else did.
fn judge(own: &[Seen], led: &[Seen]) -> Result<()> {
    let asked: Vec<_> = own
        .iter()
        .filter(|seen| seen.route == Route::Token)
        .collect();
    // In the form first, and then in a header.
    let is_offered = asked
        .iter()
        .any(|seen| tells_none("the offer", &sent(seen)).is_err());
    ensure!(
        is_offered || asked.is_empty(),
        "it was not offered: {own:#?}"
    );
    for seen in own
        .iter()
        .filter(|seen| seen.route != Route::Token)
        .chain(led)
    {
        // The registry may write into a path what it likes.
        let all = sent(seen);
        tells_none(&format!("a request to {}", seen.host), &all)?;
        ensure!(
            !all.contains("X-Led-Astray"),
            "a token added a header: {all}"
        );
    }
    for seen in led {
        let sent = seen.header("authorization");
        ensure!(sent.is_none() && seen.body.is_empty(), "led to {seen:#?}");
    }
    Ok(())
}

/// The headers and the body of a request.
fn sent(seen: &Seen) -> String {
    let headers = seen.headers.iter();
    let lines = headers.map(|(name, value)| format!("{name}: {value}"));
    let body = String::from_utf8_lossy(&seen.body).into_owned();
    lines.chain([body]).collect::<Vec<_>>().join("\n")
}

/// Every packet of a namespace.
struct Capture {
    tcpdump: Child,
    file: NamedTempFile,
}

impl Capture {
    /// Of those that a filter in tcpdump's words takes.
    fn start(namespace: &Namespace, filter: &str) -> Result<Self> {
        let file = NamedTempFile::new()?;
        let log = NamedTempFile::new()?;
        let tcpdump = namespace
            .command(TCPDUMP)
            .args(["-i", "any", "-U", "-Z", "root", "-w"])
            .arg(file.path())
            .args(filter.split_whitespace())
            .stdin(Stdio::null())
            .stderr(log.reopen()?)
            .spawn()
            .context("failed to start tcpdump")?;
        let capture = Self { tcpdump, file };
        wait::until("tcpdump listens", SOON, || {
            let said = fs::read_to_string(log.path())?;
            ensure!(said.contains("listening on"), "{said}");
            Ok(())
        })?;
        Ok(capture)
    }

    /// It has what must be there, and no secret.
    fn judge(mut self, expected: &str, secrets: &[&str]) -> Result<()> {
        self.end()?;
        let bytes = fs::read(self.file.path())?;
        let has = |text: &str| {
            let mut windows = bytes.windows(text.len());
            windows.any(|window| window == text.as_bytes())
        };
        ensure!(has(expected), "the capture lacks {expected}");
        for secret in secrets {
            ensure!(!has(secret), "{secret} was on the wire");
        }
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        kill(
            Pid::from_raw(self.tcpdump.id().try_into()?),
            Signal::SIGTERM,
        )?;
        self.tcpdump.wait()?;
        Ok(())
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let _ = self.tcpdump.kill();
        let _ = self.tcpdump.wait();
    }
}
