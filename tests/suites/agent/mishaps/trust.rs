//! Files of the node that decide whom it trusts: a `ca` that is replaced or removed while the agent runs, and
//! files that nobody could read to their end.

use std::fs::{self, File};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use regprobe_harness::agent::Agent;
use regprobe_harness::ground::Ground;
use regprobe_harness::program::regprobe;
use regprobe_lab::addresses::loopback;
use regprobe_lab::fakes::acr::Acr;
use regprobe_lab::pki::Pki;
use regprobe_lab::wait;

const NAME: &str = "corp.registry.example";

/// Whoever holds the key of an authority that is not trusted any more is not trusted either.
pub(crate) fn is_withdrawn() -> Result<()> {
    let ground = Ground::new()?;
    let (old, new) = (Pki::named("old")?, Pki::named("new")?);
    let address = loopback();
    ground.dns.address(NAME, [address], 1);
    let registry = Acr::at(NAME, (address, 0)).tls(&old).start()?;
    let server = registry.server();
    let config = ground.config(&[&format!("- {{server: \"{server}\", name: corp}}\n")])?;
    let certs_d = ground.folder.path().join("certs.d").join(&server);
    fs::create_dir_all(&certs_d)?;
    fs::write(certs_d.join("hosts.toml"), "ca = 'corp.crt'\n")?;
    let ca = certs_d.join("corp.crt");
    old.write_ca(&ca)?;
    let agent = Agent::ready(&config, &[])?;
    let verdict = |expected| {
        let labels = [("registry", "corp")];
        agent.until_value("regprobe_registry_verdict", &labels, expected)
    };
    verdict(0.0)?;
    for _ in 0..2 {
        new.write_ca(&ca)?;
        verdict(2.0)?;
        old.write_ca(&ca)?;
        verdict(0.0)?;
    }
    fs::remove_file(&ca)?;
    verdict(2.0)?;
    Ok(())
}

/// Files of the node that never end, never begin, or are far too large.
pub(crate) fn files_without_end() -> Result<()> {
    let ground = Ground::new()?;
    let config = ground.config(&[&ground.contoso_entry()])?;
    let at = |name: &str| ground.folder.path().join(name);
    File::create(at("bundle.pem"))?.set_len(400 << 20)?;
    for bundle in [at("bundle.pem"), "/dev/zero".into()] {
        let mut command = regprobe(["run"]);
        command.env("SSL_CERT_FILE", bundle);
        let agent = Agent::start_by(command, &config, &[])?;
        agent.until_ready()?;
        let status = fs::read_to_string(format!("/proc/{}/status", agent.id()))?;
        let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let most = most.context("no VmHWM")?.trim().trim_end_matches(" kB");
        ensure!(most.parse::<u64>()? < 64 << 10, "{most} KiB");
    }
    let certs_d = at("certs.d").join(ground.contoso.server());
    fs::create_dir_all(&certs_d)?;
    let tables = (0..30_000).map(|host| format!("[host.'https://m{host}.example']\n"));
    fs::write(certs_d.join("hosts.toml"), tables.collect::<String>())?;
    let agent = Agent::ready(&config, &[])?;
    agent.until("says that the file is too large", |agent| {
        let status = agent.status()?.to_string();
        ensure!(status.contains("more than 128 tables"), "{status}");
        Ok(())
    })?;
    // Without a writer, opening it would never return.
    fs::remove_file(at("hosts"))?;
    mkfifo(&at("hosts"), Mode::S_IRWXU)?;
    for _ in 0..2 {
        wait::pause(Duration::from_secs(1));
        agent.get("/-/healthy")?.expect_status(200)?;
    }
    Ok(())
}
