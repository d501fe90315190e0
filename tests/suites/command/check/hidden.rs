//! A node whose files are seen through mounts: what is not mounted is not missing.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Output;

use anyhow::{Result, ensure};
use regprobe_harness::contoso::Contoso;
use regprobe_harness::node::Report;

/// A healthy registry, and the root of a node whose files are not those of this machine.
struct Mounted {
    contoso: Contoso,
    root: PathBuf,
}

impl Mounted {
    /// A node that asks the registry's nameserver and trusts its authority.
    fn new() -> Result<Self> {
        let contoso = Contoso::new()?;
        let root = contoso.node.path("root");
        for folder in ["etc/ssl", "etc/containerd/certs.d", "run/systemd/resolve"] {
            fs::create_dir_all(root.join(folder))?;
        }
        let at = contoso.dns.addr();
        let nameserver = format!("nameserver [{}]:{}\n", at.ip(), at.port());
        let mounted = Self { contoso, root };
        mounted.write("etc/resolv.conf", &nameserver)?;
        mounted.write("etc/ssl/cert.pem", &mounted.contoso.pki.ca_pem())?;
        Ok(mounted)
    }

    fn write(&self, path: &str, text: &str) -> Result<()> {
        Ok(fs::write(self.root.join(path), text)?)
    }

    /// Puts a link of this name, to a path of the node, in place of a file.
    fn link(&self, path: &str, to: &str) -> Result<()> {
        let link = self.root.join(path);
        fs::remove_file(&link)?;
        Ok(symlink(to, link)?)
    }

    fn check(&self) -> Result<Output> {
        let config = self.contoso.node.path("mounted.yml");
        let server = self.contoso.acr.server();
        let root = self.root.display();
        fs::write(
            &config,
            format!(
                "registries: [{{server: \"{server}\"}}]\nnode: {{root: {root}, proxy: none}}\n\
                 schedule: {{timeout: 2s}}\n"
            ),
        )?;
        let mut check = self.contoso.node.regprobe([
            Path::new("check"),
            Path::new("--output=json"),
            Path::new("--config.file"),
        ]);
        check.arg(&config).env_remove("SSL_CERT_FILE");
        Ok(check.output()?)
    }

    /// Checks, and finds a verdict of `unknown` for a reason with all of these parts and without a finding that
    /// could fail a pull.
    fn is_unknown(&self, parts: &[&str]) -> Result<()> {
        let report = Report::of(&self.check()?)?;
        ensure!(
            report.status == Some(2) && report.verdict() == "unknown",
            "{report:?}"
        );
        let unseen = report.document["registries"][0]["unseen"].to_string();
        for part in parts {
            ensure!(unseen.contains(part), "no {part} in {unseen}");
        }
        ensure!(
            !report.document.to_string().contains("\"critical\""),
            "{report:?}"
        );
        Ok(())
    }

    fn is_ok(&self) -> Result<()> {
        let report = Report::of(&self.check()?)?;
        ensure!(
            report.status == Some(0) && report.verdict() == "ok",
            "{report:?}"
        );
        Ok(())
    }

    /// The registry's `hosts.toml`, with one host and this `ca`.
    fn names_authority(&self, ca: &str) -> Result<()> {
        let server = self.contoso.acr.server();
        let folder = format!("etc/containerd/certs.d/{server}");
        fs::create_dir_all(self.root.join(&folder))?;
        let text = format!("[host.\"https://{server}\"]\nca = \"{ca}\"\n");
        self.write(&format!("{folder}/hosts.toml"), &text)
    }
}

pub(super) fn resolv_conf() -> Result<()> {
    let node = Mounted::new()?;
    node.is_ok()?;
    node.link("etc/resolv.conf", "/run/netconfig/resolv.conf")?;
    let out = node.check()?;
    let said = String::from_utf8_lossy(&out.stderr);
    let expected = "/etc/resolv.conf is in /run/netconfig, which this agent does not see; add that directory to \
                    hostDirectories";
    ensure!(
        out.status.code() == Some(2) && said.contains(expected),
        "{out:?}"
    );
    // A mounted directory without the file is another matter: then there is no nameserver.
    node.link("etc/resolv.conf", "/run/systemd/resolve/resolv.conf")?;
    let report = Report::of(&node.check()?)?;
    let finding = &report.document["registries"][0]["findings"][0];
    ensure!(finding["code"] == "NoNameserver", "{report:?}");
    Ok(())
}

pub(super) fn bundle() -> Result<()> {
    let node = Mounted::new()?;
    node.link("etc/ssl/cert.pem", "/var/lib/ca-certificates/ca-bundle.pem")?;
    node.is_unknown(&[
        "signed by no authority that this agent sees",
        "/etc/ssl/cert.pem is in /var/lib/ca-certificates, which",
    ])?;
    fs::remove_dir_all(node.root.join("etc/ssl"))?;
    node.is_unknown(&["does not see the node's CA bundle"])?;
    // What is missing does not matter where the rest suffices.
    node.write("ca.pem", &node.contoso.pki.ca_pem())?;
    node.names_authority("/ca.pem")?;
    node.is_ok()
}

pub(super) fn authority() -> Result<()> {
    let node = Mounted::new()?;
    fs::remove_file(node.root.join("etc/ssl/cert.pem"))?;
    node.write("etc/ssl/cert.pem", &regprobe_lab::pki::Pki::new()?.ca_pem())?;
    node.names_authority("/opt/pki/ca.crt")?;
    node.is_unknown(&["/opt/pki/ca.crt is in /opt/pki, which this agent does not see"])
}

pub(super) fn certs_d() -> Result<()> {
    let node = Mounted::new()?;
    fs::remove_dir(node.root.join("etc/containerd/certs.d"))?;
    symlink("/data/certs.d", node.root.join("etc/containerd/certs.d"))?;
    node.is_unknown(&["is in /data/certs.d, which this agent does not see"])
}

pub(super) fn configuration() -> Result<()> {
    const REGISTRY: &str = "[plugins.'io.containerd.cri.v1.images'.registry";
    let node = Mounted::new()?;
    let server = node.contoso.acr.server();
    let configure = |text: String| node.write("etc/containerd/config.toml", &text);
    // Nobody can ask that host.
    let url = "https://mirror.contoso.example:99999";
    let hosts = format!("server = '{url}'\n[host.'{url}']\n");
    for folder in ["etc/containerd/certs.d", "etc/hosts.d"] {
        fs::create_dir_all(node.root.join(folder).join(&server))?;
    }
    node.write(&format!("etc/hosts.d/{server}/hosts.toml"), &hosts)?;
    node.is_ok()?;
    configure(format!(
        "version = 3\n{REGISTRY}]\nconfig_path = '/etc/hosts.d'\n"
    ))?;
    let report = Report::of(&node.check()?)?;
    ensure!(report.verdict() == "failing", "{report:?}");
    configure(format!(
        "version = 3\n{REGISTRY}]\nconfig_path = '/opt/hosts.d'\n"
    ))?;
    node.is_unknown(&["/opt/hosts.d is in /opt, which this agent does not see"])?;
    configure("version = 3\nimports = ['/opt/more.toml']\n".to_owned())?;
    node.is_unknown(&["cannot read /opt/more.toml", "set node.certs_d"])?;
    configure("version = 3\n".to_owned())?;
    node.is_unknown(&["has several folders (/etc/containerd/certs.d:/etc/docker/certs.d)"])?;
    configure("version = ]".to_owned())?;
    node.is_unknown(&["/etc/containerd/config.toml is not TOML"])?;
    for (host, is_ours) in [("other.contoso.example", false), (&*server, true)] {
        configure(format!(
            "version = 3\n{REGISTRY}]\nconfig_path = '/etc/certs.d'\n\
             {REGISTRY}.configs.'{host}'.auth]\nusername = 'reader'\npassword = 'secret'\n"
        ))?;
        match is_ours {
            true => node.is_unknown(&["/etc/containerd/config.toml has credentials for"])?,
            false => node.is_ok()?,
        }
    }
    configure(format!(
        "version = 3\n{REGISTRY}.mirrors.'docker.io']\nendpoint = []\n"
    ))?;
    node.is_ok()?;
    configure(format!(
        "version = 3\n{REGISTRY}.mirrors.'*']\nendpoint = []\n"
    ))?;
    node.is_unknown(&["/etc/containerd/config.toml sets mirrors or configs for"])
}

pub(super) fn other_clients() -> Result<()> {
    let node = Mounted::new()?;
    fs::create_dir_all(node.root.join("etc/crio"))?;
    node.is_unknown(&["/etc/crio is that of CRI-O"])?;
    node.write("etc/containerd/config.toml", "version = 3\n")?;
    node.is_ok()?;
    let node = Mounted::new()?;
    fs::create_dir_all(node.root.join("etc/rancher/node"))?;
    node.is_unknown(&["k3s or RKE2", "to hostDirectories"])?;
    let folder = "var/lib/rancher/k3s/agent/etc/containerd";
    fs::create_dir_all(node.root.join(folder))?;
    node.write(&format!("{folder}/config.toml"), "version = 3\n")?;
    node.is_ok()
}
