//! Registries, nameservers, certificates and a proxy that send text which a display might obey: markup,
//! terminal commands, log lines, right-to-left text, and far too much of each. Page, terminal, log,
//! metrics and documents show it and do nothing else.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use regprobe_harness::agent::Agent;
use regprobe_harness::browser::look;
use regprobe_harness::ground::Ground;
use regprobe_harness::need::Need;
use regprobe_harness::output::log_lines;
use regprobe_harness::output::schema;
use regprobe_harness::program::{printed, regprobe};
use regprobe_harness::suite::{Suite, test};
use regprobe_harness::terminal::Terminal;
use regprobe_lab::addresses::loopback;
use regprobe_lab::fakes::acr::{Acr, Answer, Challenge, Route};
use regprobe_lab::fakes::proxy::{Proxy, Tunnel};
use regprobe_lab::image::Image;
use regprobe_lab::pki::{self, Pki};
use serde_json::json;

const MARKUP: &str = "<script>window.owned=1</script><img src=x onerror=window.owned=1>\"'&amp;";
/// For headers: a terminal command in one character, and invisible characters.
const UNSEEN: &str = "\u{9b}31m\u{202e}\u{2066}\u{200b}\u{feff}";
/// For documents only.
const COMMANDS: &str = "\u{1b}[2J\u{1b}]0;owned\u{7}\u{8}\u{7f}\0\r\nts=1 level=info msg=owned\n";

const JSON: &str = "application/json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

pub(crate) fn suite() -> Suite {
    Suite::of([
        test("a terminal executes nothing", terminal),
        test(
            "documents, pages, metrics and logs contain no commands",
            agent,
        ),
        test("a browser executes nothing", browser).needs(Need::BROWSER),
    ])
}

fn terminal() -> Result<()> {
    let hostile = Hostile::new()?;
    for (rows, columns) in [(50, 80), (24, 160)] {
        let mut terminal = Terminal::start(hostile.regprobe("check"), rows, columns)?;
        let status = terminal.ended()?;
        let written = terminal.written();
        ensure!(status.code() == Some(1), "{written}");
        let text = without_own_sequences(&written);
        ensure!(is_inert(&text), "{text:?}");
        is_quoted("the terminal", &text)?;
    }
    let mut plain = hostile.regprobe("check");
    let out = plain.arg("--output=json").output()?;
    let said = printed(&out);
    ensure!(is_inert(&said), "{said:?}");
    schema::validate(&serde_json::from_str(&said)?)?;
    let mut npd = hostile.regprobe("check");
    let out = npd.args(["--output=npd", "--timeout=2s"]).output()?;
    let said = printed(&out);
    ensure!(is_inert(&said) && said.lines().count() == 1, "{said:?}");
    Ok(())
}

fn agent() -> Result<()> {
    let hostile = Hostile::new()?;
    for format in ["logfmt", "json"] {
        let flags = ["--log.level=debug", &format!("--log.format={format}")];
        let agent = hostile.agent(&flags)?;
        let lines = agent.log();
        let lines = log_lines::parse(format, &lines)?;
        ensure!(lines.iter().all(|line| line["msg"] != "owned"));
        let log = agent.log().join("\n");
        ensure!(is_inert(&log), "{log:?}");

        let metrics = agent.scrape()?.text;
        ensure!(is_inert(&metrics), "{metrics:?}");
        ensure!(metrics.contains("owned-by-issuer"), "{metrics}");

        let history = agent.get("/api/v1/history")?.json()?;
        let rounds = history["rounds"].as_array().context("no rounds")?;
        let ids: Vec<_> = rounds
            .iter()
            .filter_map(|round| round["id"].as_str())
            .collect();
        let documents = ids.iter().map(|id| format!("/api/v1/history/{id}"));
        let fixed = ["/api/v1/status", "/api/v1/bundle", "/api/v1/history"].map(str::to_owned);
        for path in fixed.into_iter().chain(documents) {
            let text = agent.get(&path)?.expect_status(200)?.text();
            ensure!(is_inert(&text), "{path}: {text:?}");
        }
        let pages = ids.iter().map(|id| format!("/round/{id}"));
        for path in pages.chain(["/".to_owned(), "/rounds?registry=header".to_owned()]) {
            let text = agent.get(&path)?.expect_status(200)?.text();
            ensure!(is_inert(&text), "{path}: {text:?}");
            ensure!(
                !text.contains("<script>") && !text.contains("<img"),
                "{path}: {text}"
            );
            // All text has a length limit.
            let longest = text.split(['>', '<']).map(str::len).max();
            ensure!(longest < Some(4000), "{path}: {longest:?}");
        }
    }
    Ok(())
}

fn browser() -> Result<()> {
    let hostile = Hostile::new()?;
    look(&hostile.agent(&[])?, "hostile", || ())
}

/// A ground on which each registry sends hostile text in another place.
struct Hostile {
    ground: Ground,
    config: PathBuf,
    proxy: Proxy,
    _acrs: Vec<Acr>,
}

/// The places whose text people see.
const QUOTED: [&str; 8] = [
    "error", "retry", "redirect", "realm", "manifest", "platform", "alias", "proxy",
];
/// The places whose text is in documents only.
const DOCUMENTED: [&str; 3] = ["header", "subject", "issuer"];

impl Hostile {
    fn new() -> Result<Self> {
        let ground = Ground::new()?;
        let mut entries = vec![ground.contoso_entry()];
        let mut acrs = Vec::new();
        let mut plain = |name: &str, route, answer| {
            let (login, data) = (loopback(), loopback());
            let acr = Acr::at(&login.to_string(), (login, 0))
                .data(&data.to_string(), (data, 0))
                .image(Image::hello()?)
                .anonymous_pull()
                .start()?;
            acr.answer(route, answer);
            let data = acr.data_addr(0).context("no data endpoint")?;
            entries.push(format!(
                "- {{server: \"http://{}\", name: {name}, data_endpoints: [\"http://{data}\"], \
                 images: [\"probe/hello:v1\"], anonymous_pull: true}}\n",
                acr.addr()
            ));
            acrs.push(acr);
            anyhow::Ok(())
        };
        let text = |place: &str| of(place, &format!("{MARKUP}{UNSEEN}{COMMANDS}"));
        let value = |place: &str| of(place, &format!("{MARKUP}{UNSEEN}"));
        let error = |place: &str| {
            let error = json!({"code": text(place), "message": text(place)});
            json!({ "errors": [error] }).to_string()
        };
        let headers = |place: &str| {
            let names = ["Server", "X-Ms-Correlation-Request-Id", "Retry-After"];
            names.map(|name| (name.to_owned(), value(place))).to_vec()
        };
        plain(
            "header",
            Route::Data,
            Answer::With(headers("header"), Box::new(Answer::AsAzure)),
        )?;
        plain(
            "raw",
            Route::Ping,
            Answer::With(
                vec![("Server".to_owned(), COMMANDS.to_owned())],
                Box::new(Answer::AsAzure),
            ),
        )?;
        plain(
            "error",
            Route::Ping,
            Answer::Body(403, JSON.into(), error("error")),
        )?;
        let elsewhere = format!("https://portal.example/{}", value("redirect"));
        plain("redirect", Route::Ping, Answer::RedirectTo(elsewhere))?;
        // With any other text this would not be a challenge.
        let markup = MARKUP.replace('"', "'");
        let realm = Challenge::Realm(format!("https://@auth.example/{}", of("realm", &markup)));
        plain("realm", Route::Manifest, Answer::Challenge(realm))?;
        let challenge = Challenge::Raw(vec![
            format!("{} realm=\"{}\"", value("scheme"), value("scheme")),
            format!(
                "Bearer {UNSEEN}=\"x\", service=\"{}\", scope=",
                value("service")
            ),
        ]);
        plain("challenge", Route::Ping, Answer::Challenge(challenge))?;
        let token = json!({"token": text("token"), "expires_in": text("token")}).to_string();
        plain("token", Route::Token, Answer::Body(200, JSON.into(), token))?;
        let token = json!({"token": {"a": text("json")}, "access_token": [text("json")]});
        plain(
            "json",
            Route::Token,
            Answer::Body(200, JSON.into(), token.to_string()),
        )?;
        let media_type = vec![("Content-Type".to_owned(), value("manifest"))];
        plain(
            "manifest",
            Route::Manifest,
            Answer::With(media_type, Box::new(Answer::AsAzure)),
        )?;
        let platform = Answer::Body(200, INDEX.into(), index(&text("platform")));
        plain("platform", Route::Manifest, platform)?;
        plain(
            "retry",
            Route::Token,
            Answer::Body(429, JSON.into(), error("retry")),
        )?;

        // A certificate that is rejected and described, and one that is trusted.
        let name = ground.contoso_endpoints()[0].clone();
        let host = name.rsplit_once(':').context("no port")?.0.to_owned();
        let identity = pki::self_signed([text("subject")]).without_san().issue()?;
        ground.contoso.present(&host, &identity)?;
        let trusted = Pki::named(&text("issuer"))?;
        let bundle = ground.folder.path().join("ca.crt");
        fs::write(&bundle, fs::read_to_string(&bundle)? + &trusted.ca_pem())?;
        let (issuer, at) = ("issuer.registry.example", loopback());
        let acr = Acr::at(issuer, (at, 0)).tls(&trusted).start()?;
        ground.dns.address(issuer, [at], 60);
        entries.push(format!(
            "- {{server: \"{}\", name: issuer}}\n",
            acr.server()
        ));
        acrs.push(acr);

        // A DNS name may contain any bytes.
        let labels = [
            &b"owned-by-alias"[..],
            b"<script>window.owned=1</script>",
            b"\x1b[2J\x1b]0;owned\x07\r\n\0",
            "\u{202e}\u{200b}\u{9b}31m".as_bytes(),
            b"example",
        ];
        ground
            .dns
            .alias_of_bytes("alias.registry.example", &labels, 60)?;
        entries.push("- {server: alias.registry.example, name: alias}\n".to_owned());

        let proxy = Proxy::start((loopback(), 0))?;
        proxy.tunnel(Tunnel::Line(format!(
            "502 {}",
            text("proxy").replace(['\r', '\n'], " ")
        )));
        entries.push("- {server: tailspin.example, name: proxy}\n".to_owned());

        let entries: Vec<_> = entries.iter().map(String::as_str).collect();
        Ok(Self {
            config: ground.config(&entries)?,
            ground,
            proxy,
            _acrs: acrs,
        })
    }

    fn regprobe(&self, command: &str) -> Command {
        let mut command = regprobe([command]);
        command
            .arg(format!("--config.file={}", self.config.display()))
            .env("HTTPS_PROXY", self.proxy.url())
            .env("NO_PROXY", ".azurecr.io,.registry.example")
            .stdout(std::process::Stdio::piped());
        command
    }

    /// The agent, once it has received all of it.
    fn agent(&self, flags: &[&str]) -> Result<Agent> {
        let mut command = regprobe(["run"]);
        command
            .env("HTTPS_PROXY", self.proxy.url())
            .env("NO_PROXY", ".azurecr.io,.registry.example");
        let agent = Agent::start_by(command, &self.config, flags)?;
        agent.until("has heard all", |agent| {
            is_documented(&agent.status()?.to_string())
        })?;
        ensure!(
            !self
                .ground
                .contoso
                .seen()
                .iter()
                .any(|seen| seen.method != "GET")
        );
        Ok(agent)
    }
}

/// Whether the hostile text got there at all; otherwise the test proves nothing.
fn is_quoted(what: &str, text: &str) -> Result<()> {
    for place in QUOTED {
        ensure!(
            text.contains(&format!("owned-by-{place}")),
            "nothing by {place} on {what}: {text}"
        );
    }
    Ok(())
}

fn is_documented(document: &str) -> Result<()> {
    for place in DOCUMENTED {
        ensure!(
            document.contains(&format!("owned-by-{place}")),
            "nothing by {place} in {document}"
        );
    }
    is_quoted("the document", document)
}

/// Hostile text for this place, and far too much of it.
fn of(place: &str, text: &str) -> String {
    format!("owned-by-{place} {text}{}", "A".repeat(5000))
}

fn index(platform: &str) -> String {
    let digest = format!("sha256:{}", "0".repeat(64));
    json!({
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [{
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": digest,
            "size": 7,
            "platform": {"os": platform, "architecture": platform},
        }],
    })
    .to_string()
}

/// Whether the text has no terminal commands, invisible characters or direction marks.
fn is_inert(text: &str) -> bool {
    !text.chars().any(|c| {
        c.is_control() && c != '\n'
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
            || matches!(c, '\u{feff}' | '\u{61c}' | '\u{e0000}'..='\u{e007f}')
    })
}

/// Removes what a check itself writes to a terminal: colours, and the move to the first line that it
/// draws again.
fn without_own_sequences(written: &str) -> String {
    let text = written.replace("\r\n", "\n");
    let mut parts = text.split('\u{1b}');
    let mut rest = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let parameters = |c: char| c.is_ascii_digit() || c == ';';
        let after = part.strip_prefix('[').unwrap_or(part);
        let end = after.trim_start_matches(parameters);
        match end.strip_prefix(['m', 'A', 'J']) {
            Some(shown) => rest.push_str(shown),
            None => rest.push('\u{1b}'),
        }
    }
    // Before the move.
    rest.replace('\r', "")
}
