//! Agents that a plain client cannot ask.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Stdio};

use anyhow::{Result, ensure};
use regprobe_harness::agent::Agent;
use regprobe_harness::program::regprobe;

use super::{Fleet, view};

/// One agent that listens with TLS and wants a password and a certificate, and one that has them.
pub(super) fn hear_each_other() -> Result<()> {
    let fleet = Fleet::new()?;
    let at = |name: &str| fleet.ground.folder.path().join(name).display().to_string();
    for name in ["server", "client"] {
        let identity = fleet.ground.pki.leaf(["agents.contoso.example"]).issue()?;
        fs::write(at(&format!("{name}.crt")), identity.chain_pem())?;
        fs::write(at(&format!("{name}.key")), identity.key_pem())?;
    }
    // bcrypt of "secret", with the lowest cost.
    let hash = "$2b$04$DeOBqKEkjToqSFa4gMXRfu3V5kNozlQW8bVFsOBkqhnEXyJOmwoU.";
    let web = format!(
        "tls_server_config: {{cert_file: {}, key_file: {}, client_auth_type: RequireAndVerifyClientCert, \
         client_ca_file: {}}}\nbasic_auth_users: {{fleet: \"{hash}\"}}\n",
        at("server.crt"),
        at("server.key"),
        at("ca.crt"),
    );
    fs::write(at("web.yaml"), web)?;
    fs::write(at("password"), "secret\n")?;
    let other = fleet.place();
    let client = |tls: &str| {
        format!(
            ", client: {{scheme: https, basic_auth: {{username: fleet, password_file: {}}}, tls_config: {{{tls}}}}}",
            at("password"),
        )
    };
    let full = format!(
        "ca_file: {}, cert_file: {}, key_file: {}, server_name: agents.contoso.example",
        at("ca.crt"),
        at("client.crt"),
        at("client.key"),
    );
    let config = fleet.config(&[other], &client(&full))?;
    let secured = Secured::start(&config, &at("web.yaml"), other)?;
    let agent = Agent::ready(&config, &[])?;
    agent.until("hears the other", |agent| {
        let view = view(agent)?;
        ensure!(view["nodes_answered"] == 2, "{view}");
        let page = format!("https://{other}/");
        ensure!(
            view["nodes"]
                .as_array()
                .is_some_and(|all| all.iter().any(|one| one["page"] == page)),
            "{view}"
        );
        Ok(())
    })?;
    // Without its name, the certificate is not that of the address.
    let unnamed = full.replace(", server_name: agents.contoso.example", "");
    for (tls, why) in [
        (unnamed.as_str(), "TLS: "),
        ("ca_file: /nonexistent", "cannot read /nonexistent"),
    ] {
        let agent = Agent::ready(&fleet.config(&[other], &client(tls))?, &[])?;
        let view = view(&agent)?;
        ensure!(
            view["nodes_answered"] == 1 && view.to_string().contains(why),
            "{why}: {view}"
        );
    }
    fs::write(at("password"), "wrong\n")?;
    let agent = Agent::ready(&fleet.config(&[other], &client(&full))?, &[])?;
    let view = view(&agent)?;
    ensure!(
        view.to_string().contains("it answers with status 401"),
        "{view}"
    );
    drop(secured);
    Ok(())
}

/// An agent that a plain client cannot ask.
struct Secured(Child);

impl Secured {
    fn start(config: &Path, web: &str, at: SocketAddr) -> Result<Self> {
        let child = regprobe(["run"])
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--web.config.file={web}"))
            .arg(format!("--web.listen-address={at}"))
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self(child))
    }
}

impl Drop for Secured {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
