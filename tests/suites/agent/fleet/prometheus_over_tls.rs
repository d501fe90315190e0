//! A Prometheus that wants TLS and a token or a password, and what is none but has its name.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::Ordering;

use anyhow::{Result, ensure};
use regprobe_harness::agent::Agent;
use regprobe_harness::ground::Ground;
use regprobe_harness::program::{printed, regprobe};
use regprobe_lab::addresses::{free_port, loopback};
use regprobe_lab::pki::Pki;
use regprobe_lab::servers::{Nginx, NginxBuilder, Prometheus};

use super::{answers, http, view};

const HOST: &str = "prometheus.monitoring.svc.cluster.local";
const TOKEN: &str = "eyJhbGciOiJub25lIn0.token-of-the-account.swordfish";
const PASSWORD: &str = "hunter2-of-prometheus";
/// `fleet:hunter2-of-prometheus`.
const BASIC: &str = "Basic ZmxlZXQ6aHVudGVyMi1vZi1wcm9tZXRoZXVz";

/// A node with the files that its agent needs.
struct Asking {
    ground: Ground,
}

impl Asking {
    fn new() -> Result<Self> {
        let asking = Self {
            ground: Ground::new()?,
        };
        asking.ground.dns.zone("cluster.local");
        fs::write(asking.file("token"), format!("{TOKEN}\n"))?;
        fs::write(asking.file("password"), format!("{PASSWORD}\n"))?;
        fs::write(asking.file("other.crt"), Pki::new()?.ca_pem())?;
        Ok(asking)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.ground.folder.path().join(name)
    }

    /// A front with TLS whose certificate has the name and the address.
    fn front(&self) -> Result<NginxBuilder> {
        let address = loopback();
        let identity = self
            .ground
            .pki
            .leaf([HOST.to_owned(), address.to_string()])
            .issue()?;
        self.ground.dns.address(HOST, [address], 5);
        Ok(Nginx::at((address, 0)).tls(&identity))
    }

    /// The configuration that asks `host` at this port with these settings of the client.
    fn config(&self, host: &str, port: u16, client: &str) -> Result<PathBuf> {
        let client = client.replace("FOLDER", &self.ground.folder.path().display().to_string());
        let nameserver = self.ground.dns.addr();
        let fleet = format!(
            "fleet: {{size: 1, nameserver: \"{nameserver}\", prometheus: \"https://{host}:{port}/\", \
             prometheus_client: {{{client}}}}}\n"
        );
        self.ground
            .config_with(&[&self.ground.contoso_entry()], &fleet)
    }
}

const BEARER: &str = "authorization: {credentials_file: FOLDER/token}";
const OF_THE_LAB: &str = "tls_config: {ca_file: FOLDER/ca.crt}";

/// Token and password, the node's authorities and others; the files are read each time, and nobody shows them.
pub(super) fn shows_the_same() -> Result<()> {
    let asking = Asking::new()?;
    let scraped = Agent::ready(
        &asking.ground.config(&[&asking.ground.contoso_entry()])?,
        &[],
    )?;
    let prometheus = Prometheus::scraping(scraped.addr, (loopback(), 0))?;
    let bearer = format!("Bearer {TOKEN}");
    let front = asking.front()?.wants_authorization(&[&bearer, BASIC]);
    let front = front.pass_to(prometheus.addr()).start()?;
    let port = front.addr().port();
    let address = front.addr().ip().to_string();
    let knows_it = |agent: &Agent| {
        let view = view(agent)?;
        let note = view["notes"].to_string();
        ensure!(
            view["nodes_total"] == 1 && note.contains("as old as its last scrape"),
            "{view:#}"
        );
        Ok(())
    };
    let basic = "basic_auth: {username: fleet, password_file: FOLDER/password}";
    let named = format!("tls_config: {{ca_file: FOLDER/ca.crt, server_name: {HOST}}}");
    for (host, client) in [
        (HOST, format!("{BEARER}, {OF_THE_LAB}")),
        (&address, format!("{BEARER}, {named}")),
        // What the node trusts, with `tls.ca_file`.
        (&address, basic.to_owned()),
    ] {
        let config = asking.config(host, port, &client)?;
        let agent = Agent::ready(&config, &[])?;
        agent.until("shows what Prometheus has", knows_it)?;
        let command = regprobe(["fleet", "--output=json"])
            .arg(format!("--config.file={}", config.display()))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .output()?;
        let command = printed(&command);
        ensure!(command.contains("as old as its last scrape"), "{command}");
        let mut seen = vec![command, agent.log().join("\n")];
        for path in ["/fleet", "/api/v1/fleet", "/api/v1/status", "/metrics", "/"] {
            seen.push(agent.get(path)?.expect_status(200)?.text());
        }
        for secret in [TOKEN, PASSWORD, BASIC] {
            let shown = seen.iter().find(|text| text.contains(secret));
            ensure!(shown.is_none(), "{secret} in {shown:?}");
        }
    }
    let config = asking.config(HOST, port, &format!("{BEARER}, {OF_THE_LAB}"))?;
    let agent = Agent::ready(&config, &[])?;
    agent.until("is let in", knows_it)?;
    for (content, why) in [
        ("of another", "it answers with status 401"),
        ("", "/token has nothing that can be used"),
    ] {
        fs::write(asking.file("token"), content)?;
        says(&agent, why)?;
    }
    fs::remove_file(asking.file("token"))?;
    says(&agent, "/token: No such file")?;
    fs::write(asking.file("token"), TOKEN)?;
    agent.until("is let in again", knows_it)
}

fn says(agent: &Agent, why: &str) -> Result<()> {
    agent.until(why, |agent| {
        let view = view(agent)?;
        ensure!(view["notes"].to_string().contains(why), "{view:#}");
        Ok(())
    })
}

/// Neither one with another certificate nor one that points elsewhere gets the token to another host.
pub(super) fn keeps_its_token() -> Result<()> {
    let asking = Asking::new()?;
    let trap = SocketAddr::new(loopback().into(), free_port()?);
    let trapped = answers(trap, http("200 OK", "{}"))?;
    let redirect = format!("http://{trap}/api/v1/query");
    let elsewhere = asking
        .front()?
        .answer("/api/v1/query", 307, &redirect)
        .start()?;
    let port = elsewhere.addr().port();
    let config = asking.config(HOST, port, &format!("{BEARER}, {OF_THE_LAB}"))?;
    says(&Agent::ready(&config, &[])?, "it answers with status 307")?;
    ensure!(
        trapped.load(Ordering::SeqCst) == 0,
        "a redirect was followed"
    );

    let impostor = asking.front()?.answer("/api/v1/query", 200, "{}").start()?;
    let port = impostor.addr().port();
    for tls in [
        "tls_config: {ca_file: FOLDER/other.crt}",
        "tls_config: {ca_file: FOLDER/ca.crt, server_name: another.contoso.example}",
    ] {
        let config = asking.config(HOST, port, &format!("{BEARER}, {tls}"))?;
        says(&Agent::ready(&config, &[])?, "TLS: ")?;
    }
    let log = impostor.log();
    ensure!(!log.contains("/api/v1/query"), "it was asked: {log}");
    Ok(())
}
