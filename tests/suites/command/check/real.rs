//! Debian's registry and a token service, each behind its own TLS front.

use std::process::Output;

use anyhow::{Context, Result, ensure};
use regprobe_harness::node::Node;
use regprobe_lab::addresses::loopback;
use regprobe_lab::fakes::dns::Dns;
use regprobe_lab::image::Image;
use regprobe_lab::pki::Pki;
use regprobe_lab::servers::{DockerRegistry, Nginx, TokenServer};

use super::stdout;

pub(super) const REGISTRY: &str = "registry.lab.example";

pub(super) const AUTH: &str = "auth.lab.example";

pub(super) fn real_registry() -> Result<()> {
    let real = Real::start()?;
    let out = real.check(&["--image=probe/hello:v1"])?;
    let said = stdout(&out);
    ensure!(out.status.code() == Some(0), "{out:?}");
    ensure!(
        said.starts_with(&format!("{}  OK  ", real.server)),
        "{said}"
    );
    for (stage, role) in [
        ("resolve", "login"),
        ("connect", "login"),
        ("tls", "login"),
        ("challenge", "login"),
        ("manifest", "login"),
        ("blob", "login"),
        ("resolve", "token"),
        ("connect", "token"),
        ("tls", "token"),
        ("token", "token"),
    ] {
        let (_, of_role) = said.split_once(&format!("  {role} ")).context(role)?;
        let line = of_role
            .lines()
            .find(|line| line.trim_start().starts_with(stage));
        let words: Vec<_> = line
            .with_context(|| format!("no {stage} of {role}: {said}"))?
            .split_whitespace()
            .collect();
        let [_, time, "ms", "ok", ..] = words[..] else {
            anyhow::bail!("{stage} of {role}: {words:?}");
        };
        ensure!(time.parse::<f64>()? > 0.0, "{stage} of {role}: {words:?}");
    }
    ensure!(
        said.contains("401 Bearer") && said.contains("granted"),
        "{said}"
    );
    ensure!(
        said.lines().all(|line| line.chars().count() <= 80),
        "wider than 80: {said}"
    );
    Ok(())
}

pub(super) fn stopped_registry() -> Result<()> {
    let mut real = Real::start()?;
    real.registry = None;
    let out = real.check(&[])?;
    ensure!(out.status.code() == Some(1), "{out:?}");
    ensure!(
        stdout(&out).contains("server_error   502 Bad Gateway"),
        "{out:?}"
    );

    real.front = None;
    let out = real.check(&[])?;
    ensure!(out.status.code() == Some(1), "{out:?}");
    ensure!(
        stdout(&out).starts_with(&format!("{}  FAILING  ", real.server)),
        "{out:?}"
    );
    ensure!(
        stdout(&out).contains("refused        connection refused"),
        "{out:?}"
    );
    Ok(())
}

/// Debian's registry and a token service, each behind its own TLS front.
pub(super) struct Real {
    pub(super) node: Node,
    pub(super) server: String,
    pub(super) front: Option<Nginx>,
    pub(super) registry: Option<DockerRegistry>,
    pub(super) _tokens: (TokenServer, Nginx),
    pub(super) dns: Dns,
}

impl Real {
    /// `probe/hello` is public.
    pub(super) fn start() -> Result<Self> {
        let (pki, dns, ip) = (Pki::new()?, Dns::start((loopback(), 0))?, loopback());
        dns.zone("lab.example")
            .address(REGISTRY, [ip], 60)
            .address(AUTH, [ip], 60);
        let tokens = TokenServer::start((ip, 0))?;
        let auth = Nginx::at((ip, 0))
            .tls(&pki.leaf([AUTH]).issue()?)
            .pass_to(tokens.addr())
            .start()?;
        let tokens = tokens.behind(&format!("{AUTH}:{}", auth.addr().port()));
        tokens.grant("probe/hello");
        let registry = DockerRegistry::with_tokens((ip, 0), &tokens)?;
        registry.push_with_token(&Image::hello()?, &tokens)?;
        let front = Nginx::at((ip, 0))
            .tls(&pki.leaf([REGISTRY]).issue()?)
            .pass_to(registry.addr())
            .start()?;
        Ok(Self {
            node: Node::asking([])?.trusting(&pki.ca_pem())?,
            server: format!("{REGISTRY}:{}", front.addr().port()),
            front: Some(front),
            registry: Some(registry),
            _tokens: (tokens, auth),
            dns,
        })
    }

    pub(super) fn check(&self, flags: &[&str]) -> Result<Output> {
        let nameserver = format!("--nameserver={}", self.dns.addr());
        let mut check = self.node.regprobe(["check", &self.server, &nameserver]);
        Ok(check.args(flags).output()?)
    }
}
