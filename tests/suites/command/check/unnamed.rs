//! `regprobe check` without arguments: it checks the registries that this node uses. Each source is at
//! its place on a node: /etc is a folder of the test, 127.0.0.1 is that of a namespace.

use std::ffi::OsStr;
use std::fs;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use regprobe_harness::node::Node;
use regprobe_harness::output::json::{items, text};
use regprobe_harness::program::REGPROBE;
use regprobe_lab::netns::Namespace;
use regprobe_lab::wait;
use serde_json::Value;

use super::{stderr, stdout};

/// Mounts a folder as /etc, then becomes the rest of its arguments.
const WITH_ETC: &str = r#"mount --bind "$0" /etc && exec "$@""#;

pub(crate) fn found_on_the_node() -> Result<()> {
    let place = Place {
        namespace: Namespace::new("unnamed")?,
        node: Node::asking([])?,
    };
    let etc = |file| place.node.path("etc").join(file);
    fs::create_dir(place.node.path("etc"))?;

    let out = place.check(["--timeout=100ms"])?;
    ensure!(out.status.code() == Some(2), "{out:?}");
    for part in [
        "no registry is named, and none was found",
        "/etc/regprobe/config.yaml",
        "port 9118",
        "/etc/containerd/certs.d",
        "regprobe check myregistry",
        "--config.file=FILE",
    ] {
        ensure!(stderr(&out).contains(part), "no {part} in {out:?}");
    }

    for directory in ["_default", "contoso.azurecr.io", "registry.example_5000_"] {
        fs::create_dir_all(etc("containerd/certs.d").join(directory))?;
    }
    let source = "registries of /etc/containerd/certs.d: contoso.azurecr.io, registry.example:5000";
    place.finds(&["--private"], source, |registry| {
        registry["private"] == true
    })?;

    // The local agent's registries are checked with its settings; it listens where the chart's agent does.
    place.namespace.address("10.240.0.4/32")?;
    fs::write(
        place.node.path("watched.yaml"),
        "registries: [{server: http://fabrikam.example:8080, name: fabrikam, \
         private: [10.240.0.0/16], data_endpoints: [http://data.fabrikam.example:8080]}]\n",
    )?;
    let agent = Agent(
        place
            .regprobe(["run", "--config.file"])
            .arg(place.node.path("watched.yaml"))
            .arg("--web.listen-address=10.240.0.4:9118")
            .stderr(Stdio::null())
            .spawn()?,
    );
    let source = "registries of the agent at 10.240.0.4:9118: fabrikam";
    wait::until("the agent is asked", Duration::from_secs(20), || {
        place.finds(&[], source, |registry| {
            registry["private"][0] == "10.240.0.0/16"
                && items(&registry["endpoints"]).count() == 2
                && items(&registry["endpoints"])
                    .all(|endpoint| endpoint["scheme"] == "http" && endpoint["port"] == 8080)
        })
    })?;
    let out = place.check(["--region=westeurope"])?;
    ensure!(
        stderr(&out).contains("--region is only for registries named on the command line"),
        "{out:?}"
    );

    fs::create_dir(etc("regprobe"))?;
    fs::write(
        etc("regprobe/config.yaml"),
        "registries: [{server: northwind.example}]\n\
         nameservers: [{name: beside, address: 127.0.0.9}]\n",
    )?;
    let source = "registries of /etc/regprobe/config.yaml: northwind.example";
    place.finds(&[], source, |registry| registry["private"] == false)?;
    drop(agent);

    // A named registry is checked with the rest of that configuration: it says where the node's files are.
    for (name, flags) in [("northwind.example", &[][..]), ("contoso", &["--private"])] {
        let check = ["check", name, "--output=json", "--timeout=100ms"];
        let out = place.regprobe(check).args(flags).output()?;
        let document: Value = serde_json::from_str(&stdout(&out)).context(stderr(&out))?;
        let registry = &document["registries"][0];
        ensure!(registry["private"] == !flags.is_empty(), "{document}");
        ensure!(registry.to_string().contains("beside"), "{document}");
    }
    Ok(())
}

struct Place {
    namespace: Namespace,
    node: Node,
}

impl Place {
    fn regprobe<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = self.namespace.command("unshare");
        command
            .args(["--mount", "sh", "-c", WITH_ETC])
            .arg(self.node.path("etc"))
            .arg(&*REGPROBE)
            .args(arguments)
            .env("SSL_CERT_FILE", self.node.path("bundle.pem"));
        command
    }

    fn check<const N: usize>(&self, flags: [&str; N]) -> Result<Output> {
        Ok(self.regprobe(["check"]).args(flags).output()?)
    }

    /// Runs a check, which must say where it found its registries, and find nothing wrong.
    fn finds(&self, flags: &[&str], source: &str, is_right: fn(&Value) -> bool) -> Result<()> {
        let out = self
            .regprobe(["check", "--output=json", "--timeout=1s"])
            .args(flags)
            .output()?;
        ensure!(stderr(&out) == format!("regprobe: {source}\n"), "{out:?}");
        let document: Value = serde_json::from_str(&stdout(&out)).context(stdout(&out))?;
        let (_, names) = source.split_once(": ").context("no names")?;
        let checked: Vec<_> = items(&document["registries"])
            .map(|registry| text(&registry["name"]))
            .collect();
        ensure!(checked.join(", ") == names, "{document}");
        ensure!(items(&document["registries"]).all(is_right), "{document}");
        Ok(())
    }
}

struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
