//! A pull secret reaches the registry, and nobody and nothing else.

use std::fs;
use std::net::SocketAddr;

use anyhow::{Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use regprobe_harness::agent::Agent;
use regprobe_harness::node::Node;
use regprobe_lab::addresses::loopback;
use regprobe_lab::fakes::acr::{Acr, Answer, Challenge, Route};
use regprobe_lab::fakes::dns::Dns;
use regprobe_lab::image::Image;
use regprobe_lab::pki::Pki;
use serde_json::json;

const REGISTRY: &str = "contoso.azurecr.io";
const ELSEWHERE: &str = "fabrikam.azurecr.io";
pub(super) const PASSWORD: &str = "tr0ub4dor-and-3";

/// A registry with its secret, and another that may not get it.
pub(super) struct Ground {
    pub(super) node: Node,
    pub(super) acr: Acr,
    pub(super) elsewhere: Acr,
    dns: Dns,
}

impl Ground {
    pub(super) fn new() -> Result<Self> {
        Self::having("docker_config: SECRET")
    }

    /// With these credentials for the registry; `SECRET` is the file with the pull secret.
    pub(super) fn having(credentials: &str) -> Result<Self> {
        let (pki, dns) = (Pki::new()?, Dns::start((loopback(), 0))?);
        dns.zone("azurecr.io");
        let start = |name| {
            let acr = Acr::at(name, (loopback(), 0))
                .tls(&pki)
                .image(Image::hello()?);
            let acr = acr.start()?;
            dns.address(name, [acr.addr().ip()], 60);
            anyhow::Ok(acr)
        };
        let (acr, elsewhere) = (start(REGISTRY)?, start(ELSEWHERE)?);
        acr.admit(&format!("puller:{PASSWORD}"));
        let node = Node::asking([dns.addr()])?.trusting(&pki.ca_pem())?;
        let path = |file| node.path(file).display().to_string();
        let secret = json!({"auths": {acr.server(): {"auth": auth()}}});
        fs::write(node.path("secret.json"), secret.to_string())?;
        let config = format!(
            "registries:\n  - server: \"{}\"\n    images: [\"probe/hello:v1\"]\n    credentials: {{{}}}\n\
             node: {{resolv_conf: {}, hosts: {}, certs_d: {}, containerd: 2.4}}\n\
             schedule: {{network_interval: 1s, request_interval: 1s, token_interval: 1s, image_interval: 1s, \
             timeout: 2s}}\n",
            acr.server(),
            credentials.replace("SECRET", &path("secret.json")),
            path("resolv.conf"),
            path("hosts"),
            path("certs.d"),
        );
        fs::write(node.path("regprobe.yaml"), config)?;
        Ok(Self {
            node,
            acr,
            elsewhere,
            dns,
        })
    }

    /// One more name of a server.
    pub(super) fn name(&self, name: &str, at: SocketAddr) {
        self.dns.address(name, [at.ip()], 60);
    }

    /// What a check prints in each format.
    fn check(&self) -> Result<Vec<String>> {
        let formats = ["json", "text", "npd"].into_iter();
        formats.map(|output| self.check_as(output, None)).collect()
    }

    /// What a check prints in one of them, by a proxy.
    pub(super) fn check_as(&self, output: &str, proxy: Option<&str>) -> Result<String> {
        let config = self.node.path("regprobe.yaml");
        let mut check = self.node.regprobe(["check", "--config.file"]);
        check.arg(config).arg(format!("--output={output}"));
        for variable in ["HTTPS_PROXY", "HTTP_PROXY"] {
            check.envs(proxy.map(|proxy| (variable, proxy)));
        }
        let out = check.output()?;
        Ok(String::from_utf8([out.stdout, out.stderr].concat())?)
    }

    pub(super) fn was_offered(&self) -> bool {
        let basic = format!("Basic {}", auth());
        let mut seen = self.acr.seen_on(Route::Token).into_iter();
        seen.any(|seen| seen.header("authorization") == Some(&basic))
    }
}

pub(super) fn auth() -> String {
    STANDARD.encode(format!("puller:{PASSWORD}"))
}

pub(super) fn tells_none(what: &str, text: &str) -> Result<()> {
    for secret in [PASSWORD, &auth()] {
        ensure!(!text.contains(secret), "{what} tells {secret}: {text}");
    }
    Ok(())
}

/// The registry repeats what it was offered, in each place where the agent reads a message.
pub(super) fn is_not_shown() -> Result<()> {
    let ground = Ground::new()?;
    let echo = format!("no to puller:{PASSWORD}, and no to {}", auth());
    for status in [401, 403, 500] {
        ground
            .acr
            .answer(Route::Token, Answer::Refused(status, echo.clone()));
        for said in ground.check()? {
            tells_none("a check", &said)?;
        }
        ensure!(
            ground.was_offered() || status != 401,
            "it was never offered"
        );
    }
    let config = ground.node.path("regprobe.yaml");
    let agent = Agent::start_by(
        ground.node.regprobe(["run"]),
        &config,
        &["--log.level=debug"],
    )?;
    agent.until("is ready", |agent| {
        agent.get("/-/ready")?.expect_status(200)
    })?;
    for path in [
        "/",
        "/api/v1/status",
        "/api/v1/bundle",
        "/api/v1/history",
        "/metrics",
    ] {
        tells_none(path, &agent.get(path)?.expect_status(200)?.text())?;
    }
    tells_none("the log", &agent.log().join("\n"))
}

/// The next walk would be due in an hour.
pub(super) fn is_offered_when_changed() -> Result<()> {
    let ground = Ground::new()?;
    let file = ground.node.path("regprobe.yaml");
    let seldom = [("request", "1h"), ("token", "1h"), ("image", "1h")];
    let mut config = fs::read_to_string(&file)?;
    for (kind, interval) in seldom {
        let before = format!("{kind}_interval: 1s");
        ensure!(config.contains(&before), "{config}");
        config = config.replace(&before, &format!("{kind}_interval: {interval}"));
    }
    fs::write(&file, config)?;
    let offer = |password: &str| {
        let login = json!({"username": "reader", "password": password});
        let secret = json!({"auths": {ground.acr.server(): login}});
        fs::write(ground.node.path("secret.json"), secret.to_string())
    };
    offer("expired")?;
    let agent = Agent::start_by(ground.node.regprobe(["run"]), &file, &[])?;
    let until = |verdict: &str| {
        agent.until(&format!("says {verdict}"), |agent| {
            let status = agent.status()?;
            let said = &status["registries"][0]["verdict"];
            ensure!(said == verdict, "it says {said}");
            Ok(())
        })
    };
    until("failing")?;
    offer("secret")?;
    until("ok")
}

/// The registry leads to another one, which has a certificate that the node trusts.
pub(super) fn goes_nowhere_else() -> Result<()> {
    let ground = Ground::new()?;
    let elsewhere = format!("https://{}", ground.elsewhere.server());
    let realm = |realm: String| Answer::Challenge(Challenge::Realm(realm));
    for (route, answer) in [
        (Route::Manifest, realm(format!("{elsewhere}/oauth2/token"))),
        (
            Route::Manifest,
            realm(format!("http://{}/oauth2/token", ground.acr.server())),
        ),
        (Route::Token, Answer::MovedTo(elsewhere.clone())),
        (Route::Token, Answer::RedirectTo(elsewhere.clone())),
    ] {
        ground.acr.fix().answer(route, answer.clone());
        ground.check()?;
        let seen = ground.elsewhere.seen();
        let carries = |header: &(String, String)| header.0.eq_ignore_ascii_case("authorization");
        let has_body = |header: &(String, String)| header.0.eq_ignore_ascii_case("content-length");
        let told = seen.iter().find(|seen| {
            seen.headers
                .iter()
                .any(|header| carries(header) || has_body(header))
        });
        ensure!(told.is_none(), "{answer:?}: {told:?}");
    }
    Ok(())
}
