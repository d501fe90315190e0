//! The tokens of the node's identity: the metadata service's, the registry's refresh token and its access token. None
//! of them is shown, and once it is used nothing of it is left.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use regprobe_harness::agent::Agent;
use regprobe_harness::node::Node;
use regprobe_harness::output::json::{items, text};
use regprobe_lab::addresses::loopback;
use regprobe_lab::fakes::acr::{Acr, Answer, Rights, Route, Seen};
use regprobe_lab::fakes::dns::Dns;
use regprobe_lab::fakes::metadata::{self, Metadata};
use regprobe_lab::image::Image;
use regprobe_lab::netns::Namespace;
use regprobe_lab::pki::Pki;
use regprobe_lab::wait;
use url::form_urlencoded;

use super::memory;

const NO_USER: &str = "00000000-0000-0000-0000-000000000000:";
/// How many rounds with a question for a token each.
const ROUNDS: usize = 1000;
/// After this many, an agent has what it needs.
const WARM: usize = 200;
const REGISTRIES: usize = 20;
/// Each of them walks once a second, where the machine is fast enough.
const PATIENCE: Duration = Duration::from_secs(400);

/// The registry and the metadata service repeat what they have seen, in each place where the agent reads a message.
pub(super) fn is_not_shown() -> Result<()> {
    in_namespace(|| {
        let ground = Ground::new(1, 10_800)?;
        let acr = &ground.acrs[0];
        ground.check("json")?;
        let first = Tokens::sent_to(acr);
        let [metadata, refresh, access] = first.last()?;
        let echo = format!("no to {metadata}, nor to {refresh} and Bearer {access}");
        let error = format!(r#"{{"error":"invalid_request","error_description":"{echo}"}}"#);
        let refused = |status| Answer::Refused(status, echo.clone());
        let of_registry = [
            (Route::Other, Answer::AsAzure),
            (Route::Ping, refused(403)),
            (Route::Exchange, refused(401)),
            (Route::Exchange, refused(403)),
            (Route::Token, refused(401)),
            (Route::Token, refused(500)),
            (Route::Manifest, refused(403)),
            (Route::Blob, refused(403)),
        ];
        for (route, answer) in of_registry {
            acr.fix().answer(route, answer);
            ground.shows_none(&format!("{route:?}"), &first)?;
        }
        acr.fix();
        let answer = Answer::Body(400, "application/json".to_owned(), error);
        ground.service.answer(answer);
        ground.shows_none("metadata", &first)
    })
}

/// The registry's refresh token expires soon, and then no token is in use until the next walk.
pub(super) fn is_not_kept() -> Result<()> {
    in_namespace(|| {
        let ground = Ground::new(1, 8)?;
        let acr = &ground.acrs[0];
        let agent = ground.agent("300s", &[])?;
        agent.until("has pulled with its identity", |agent| {
            ensure!(!acr.seen_on(Route::Blob).is_empty());
            agent.get("/-/ready")?.expect_status(200)
        })?;
        let status = agent.status()?;
        ensure!(status["registries"][0]["verdict"] == "ok", "{status:#}");
        let tokens = Tokens::sent_to(acr);
        let [_, refresh, _] = tokens.last()?;
        // What is looked for can be found: the refresh token, while it is held.
        let held = parts(refresh);
        ensure!(
            memory::find(agent.id(), &held)?.is_some(),
            "it holds no token"
        );
        wait::until("has dropped its tokens", Duration::from_secs(40), || {
            let found = memory::find(agent.id(), &tokens.parts())?;
            ensure!(found.is_none(), "memory has {found:?}");
            Ok(())
        })?;
        ensure!(acr.seen_on(Route::Exchange).len() == 1, "{:?}", acr.seen());
        for file in ["environ", "cmdline"] {
            let bytes = fs::read(format!("/proc/{}/{file}", agent.id()))?;
            let text = String::from_utf8_lossy(&bytes);
            let told = tokens.parts().into_iter().find(|part| text.contains(part));
            ensure!(told.is_none(), "{file} tells {told:?}");
        }
        Ok(())
    })
}

/// Refresh tokens that have expired when they come, so that each walk asks the metadata service and the registry.
pub(super) fn leaves_no_memory() -> Result<()> {
    in_namespace(|| {
        let ground = Ground::new(REGISTRIES, 0)?;
        let agent = ground.agent("1s", &["--history.limit=0"])?;
        let until_rounds = |rounds: usize| {
            wait::until("has asked often", PATIENCE, || {
                let asked = ground.service.seen().len();
                ensure!(asked >= rounds, "{asked} of {rounds}");
                Ok(())
            })
        };
        let resident = || {
            let samples = (0..30).map(|_| {
                wait::pause(Duration::from_millis(100));
                let scrape = agent.scrape()?;
                scrape.value("process_resident_memory_bytes", &[])
            });
            samples.reduce(|least, next| Ok(least?.min(next?)))
        };
        until_rounds(WARM)?;
        let (first, before) = (ground.service.seen().len(), resident().context("none")??);
        until_rounds(first + ROUNDS)?;
        let (last, after) = (ground.service.seen().len(), resident().context("none")??);
        println!(
            "{} rounds of identities: {after} bytes, {:.3} of what it was before",
            last - first,
            after / before
        );
        ensure!(after <= before * 1.05, "from {before} to {after} bytes");
        Ok(())
    })
}

/// Where the metadata service of the node can be.
fn in_namespace(run: impl FnOnce() -> Result<()> + Send) -> Result<()> {
    let namespace = Namespace::new("tokens")?;
    namespace.address(&format!("{}/32", metadata::ADDRESS.ip()))?;
    namespace.enter(run)
}

/// A metadata service, and registries that exchange its tokens.
struct Ground {
    node: Node,
    service: Metadata,
    acrs: Vec<Acr>,
    _dns: Dns,
}

impl Ground {
    /// That many registries, whose refresh tokens are good for so long.
    fn new(registries: usize, refresh_token_seconds: i64) -> Result<Self> {
        let (pki, dns) = (Pki::new()?, Dns::start((loopback(), 0))?);
        dns.zone("azurecr.io");
        let start = |number| {
            let name = format!("myregistry{number}.azurecr.io");
            let acr = Acr::at(&name, (loopback(), 0)).tls(&pki);
            let acr = acr.image(Image::hello()?).start()?;
            acr.grant(Rights {
                refresh_token_seconds,
                ..Rights::default()
            });
            dns.address(&name, [acr.addr().ip()], 60);
            Ok(acr)
        };
        Ok(Self {
            acrs: (0..registries).map(start).collect::<Result<_>>()?,
            node: Node::asking([dns.addr()])?.trusting(&pki.ca_pem())?,
            service: Metadata::start(metadata::ADDRESS)?,
            _dns: dns,
        })
    }

    /// Surveys every second, and walks at this interval.
    fn config(&self, image_interval: &str) -> Result<PathBuf> {
        let entries = self.acrs.iter().map(|acr| {
            let server = acr.server();
            format!(
                "  - {{server: \"{server}\", images: [\"probe/hello:v1\"], credentials: {{managed_identity: {{}}}}}}\n"
            )
        });
        let path = |file| self.node.path(file).display().to_string();
        let config = format!(
            "registries:\n{}node: {{resolv_conf: {}, hosts: {}, certs_d: {}, containerd: 2.4}}\n\
             schedule: {{network_interval: 1s, request_interval: {image_interval}, token_interval: {image_interval}, \
             image_interval: {image_interval}}}\n",
            entries.collect::<String>(),
            path("resolv.conf"),
            path("hosts"),
            path("certs.d"),
        );
        fs::write(self.node.path("regprobe.yaml"), config)?;
        Ok(self.node.path("regprobe.yaml"))
    }

    fn agent(&self, image_interval: &str, flags: &[&str]) -> Result<Agent> {
        let config = self.config(image_interval)?;
        Agent::start_by(self.node.regprobe(["run"]), &config, flags)
    }

    fn check(&self, output: &str) -> Result<String> {
        let mut check = self.node.regprobe(["check", "--config.file"]);
        check.arg(self.config("1s")?);
        let out = check.arg(format!("--output={output}")).output()?;
        Ok(String::from_utf8([out.stdout, out.stderr].concat())?)
    }

    /// Neither those tokens nor any that is sent meanwhile, by a check or the agent.
    fn shows_none(&self, what: &str, first: &Tokens) -> Result<()> {
        let acr = &self.acrs[0];
        let mut said = Vec::new();
        for output in ["json", "text", "npd"] {
            said.push((format!("--output={output}"), self.check(output)?));
        }
        let agent = self.agent("1s", &["--log.level=debug"])?;
        agent.until("is ready", |agent| {
            agent.get("/-/ready")?.expect_status(200)
        })?;
        let history = agent.get("/api/v1/history")?.json()?;
        let ids = items(&history["rounds"]).map(|round| text(&round["id"]).to_owned());
        let rounds = ids.flat_map(|id| [format!("/round/{id}"), format!("/api/v1/history/{id}")]);
        let pages = [
            "/",
            "/api/v1/status",
            "/api/v1/bundle",
            "/api/v1/history",
            "/metrics",
        ];
        for path in pages.map(str::to_owned).into_iter().chain(rounds) {
            let answer = agent.get(&path)?.expect_status(200)?;
            said.push((path, answer.text()));
        }
        said.push(("the log".to_owned(), agent.log().join("\n")));
        let parts = [first.parts(), Tokens::sent_to(acr).parts()].concat();
        let tells = |said: &str| parts.iter().any(|part| said.contains(part));
        let (mut told, mut empty) = (Vec::new(), Vec::new());
        for (place, said) in said {
            if said.is_empty() {
                empty.push(place);
            } else if tells(&said) {
                told.push(place);
            }
        }
        ensure!(empty.is_empty(), "{what}: {empty:?} are empty");
        ensure!(told.is_empty(), "{what}: a token is told by {told:?}");
        Ok(())
    }
}

/// The tokens of each kind that were sent, the last one last.
struct Tokens {
    metadata: Vec<String>,
    refresh: Vec<String>,
    access: Vec<String>,
}

impl Tokens {
    fn sent_to(acr: &Acr) -> Self {
        let all = |route: Route, token: fn(&Seen) -> Option<String>| {
            let seen = acr.seen_on(route);
            let mut tokens: Vec<_> = seen.iter().filter_map(token).collect();
            tokens.dedup();
            tokens
        };
        Self {
            metadata: all(Route::Exchange, |seen| field(seen, "access_token")),
            refresh: all(Route::Token, |seen| {
                let sent = seen.header("authorization")?.strip_prefix("Basic ")?;
                let pair = String::from_utf8(STANDARD.decode(sent).ok()?).ok()?;
                Some(pair.strip_prefix(NO_USER)?.to_owned())
            }),
            access: all(Route::Manifest, |seen| {
                let sent = seen.header("authorization")?;
                Some(sent.strip_prefix("Bearer ")?.to_owned())
            }),
        }
    }

    /// The last one of each kind.
    fn last(&self) -> Result<[&str; 3]> {
        let kinds = [&self.metadata, &self.refresh, &self.access];
        let [Some(metadata), Some(refresh), Some(access)] = kinds.map(|tokens| tokens.last())
        else {
            bail!("no token of some kind was sent");
        };
        Ok([metadata, refresh, access])
    }

    fn parts(&self) -> Vec<String> {
        let kinds = [&self.metadata, &self.refresh, &self.access];
        let tokens = kinds.into_iter().flatten();
        tokens.flat_map(|token| parts(token)).collect()
    }
}

fn field(seen: &Seen, name: &str) -> Option<String> {
    let mut fields = form_urlencoded::parse(&seen.body);
    fields.find_map(|(key, value)| (key == name).then(|| value.into_owned()))
}

/// Most of a token, which no other token begins with: as it is, in percent signs, and in base64 wherever it begins.
fn parts(token: &str) -> Vec<String> {
    let most = &token[..token.len() * 3 / 4];
    let percent = most
        .replace('.', "%2E")
        .replace('-', "%2D")
        .replace('_', "%5F");
    let encoded = (0..3).map(|before| {
        let text = STANDARD.encode(format!("{}{most}", &NO_USER[..before]));
        // What stands at both ends depends on the neighbours.
        text[4..text.len() - 4].to_owned()
    });
    [most.to_owned(), percent]
        .into_iter()
        .chain(encoded)
        .collect()
}
