//! The static binary, as the container image has it, in a root directory that holds nothing but it
//! and a CA file.
//!
//! The test links it as the Dockerfile does, in a target directory of its own, but does not optimise it, which
//! takes minutes; set `REGPROBE_STATIC_BINARY` to the path of the optimised one.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use regprobe_harness::need::Need;
use regprobe_harness::static_binary;
use regprobe_harness::suite::{Suite, test};
use regprobe_lab::addresses::{free_port, loopback};
use regprobe_lab::fakes::acr::Acr;
use regprobe_lab::fakes::dns::Dns;
use regprobe_lab::pki::Pki;

pub(crate) fn suite() -> Suite {
    Suite::of([test("the static binary runs in an empty root", empty_root)
        .needs([Need::Root])
        // For the build, where there is none yet.
        .within(Duration::from_secs(20 * 60))])
}

fn empty_root() -> Result<()> {
    let binary = static_binary::build()?;
    let root = tempfile::tempdir()?;
    let pki = Pki::new()?;
    fs::copy(&binary, root.path().join("regprobe"))
        .with_context(|| format!("failed to copy {}", binary.display()))?;
    pki.write_ca(root.path().join("ca.crt"))?;

    let dns = Dns::start((loopback(), 0))?;
    let names = dns.acr("contoso");
    let (login, data) = (names.login(), names.data("westeurope"));
    let (login_address, data_address) = (loopback(), loopback());
    login.linked([login_address]);
    data.linked([data_address]);
    let port = free_port()?;
    let contoso = Acr::at(login.host(), (login_address, port))
        .data(data.host(), (data_address, port))
        .tls(&pki)
        .start()?;
    let check = || {
        Command::new("/usr/sbin/chroot")
            .arg(root.path())
            .args(["/regprobe", "check", &contoso.server()])
            .args(["--region=westeurope", "--private=127.0.0.0/8"])
            .args(["--ca-file=/ca.crt", "--output=text"])
            .arg(format!("--nameserver={}", dns.addr()))
            .env_clear()
            .output()
    };

    let out = check()?;
    let said = String::from_utf8_lossy(&out.stdout);
    let complaints = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.success(), "{}: {said}{complaints}", out.status);
    ensure!(complaints.is_empty(), "{complaints}");
    ensure!(
        said.starts_with(&format!("{}  OK  ", contoso.server())),
        "{said}"
    );
    for stage in ["resolve", "connect", "tls", "challenge", "token", "http"] {
        ensure!(said.contains(stage), "no {stage} in {said}");
    }

    data.record_missing();
    let out = check()?;
    let said = String::from_utf8_lossy(&out.stdout);
    ensure!(out.status.code() == Some(1), "{}: {said}", out.status);
    ensure!(said.contains("nxdomain"), "{said}");
    let left: Vec<_> = fs::read_dir(root.path())?
        .map(|entry| Ok(entry?.file_name()))
        .collect::<Result<_>>()?;
    ensure!(left.len() == 2, "it left something behind: {left:?}");
    Ok(())
}
