//! A pod of the DaemonSet on a node made for the test: the real binary with the rendered arguments,
//! environment, user and mounts, in the network and with the files of that node. `unshare`, `mount` and
//! `chroot` do the work of kubelet and the runtime.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use regprobe_harness::program::REGPROBE;
use regprobe_lab::client::{self, Reply};
use regprobe_lab::netns::Namespace;
use regprobe_lab::wait;
use serde_json::Value;
use tempfile::TempDir;

use super::helm::{NAMESPACE, Objects};
use super::image::Image;

/// Timeout for anything that the agent should show.
const SOON: Duration = Duration::from_secs(30);

/// A node: its network and its files.
pub(crate) struct Node {
    pub(crate) network: Namespace,
    pub(crate) ip: IpAddr,
    files: TempDir,
}

impl Node {
    /// A node with this address, without files yet.
    pub(crate) fn new(ip: &str) -> Result<Self> {
        let ip = ip.parse()?;
        let network = Namespace::new("node")?;
        let length = if matches!(ip, IpAddr::V4(_)) { 32 } else { 128 };
        network.address(&format!("{ip}/{length}"))?;
        let node = Self {
            network,
            ip,
            files: open_folder()?,
        };
        // Every node has these.
        fs::create_dir(node.path("/etc"))?;
        fs::create_dir_all(node.path("/run/systemd/resolve"))?;
        fs::create_dir_all(node.path("/usr/bin"))?;
        Ok(node)
    }

    /// Where the test finds a file of the node.
    fn path(&self, path: &str) -> PathBuf {
        self.files.path().join(path.trim_start_matches('/'))
    }

    /// Writes a file in one step: next to it, then renamed.
    pub(crate) fn write(&self, path: &str, text: &str) -> Result<&Self> {
        let path = self.path(path);
        fs::create_dir_all(path.parent().context("a file has a directory")?)?;
        let beside = path.with_extension("new");
        fs::write(&beside, text)?;
        fs::rename(&beside, &path)?;
        Ok(self)
    }

    /// Makes a symbolic link; the target is a path on the node.
    pub(crate) fn link(&self, path: &str, target: &str) -> Result<&Self> {
        let path = self.path(path);
        fs::create_dir_all(path.parent().context("a link has a directory")?)?;
        symlink(target, path)?;
        Ok(self)
    }
}

/// A pod about to be started.
pub(crate) struct Pod {
    pub(crate) objects: Objects,
    root: TempDir,
    config: TempDir,
    secrets: TempDir,
}

impl Pod {
    pub(crate) fn new(objects: Objects) -> Result<Self> {
        let pod = Self {
            root: open_folder()?,
            config: open_folder()?,
            secrets: open_folder()?,
            objects,
        };
        for secret in pod.objects.all("Secret") {
            let name = secret["metadata"]["name"].as_str().context("no name")?;
            for (file, text) in secret["stringData"].as_object().into_iter().flatten() {
                pod.secret(name, file, text.as_str().context("no text")?)?;
            }
        }
        // The cluster's nameservers are not in the lab, so the agent could not count the fleet.
        let config = pod.objects.config()?;
        match config.contains("  size: ") {
            true => pod.configure(config)?,
            false => pod.configure(&config.replacen("fleet:\n", "fleet:\n  size: 1\n", 1))?,
        }
        Ok(pod)
    }

    /// Puts a text into the volume of the ConfigMap as kubelet does: a new directory, and a link to it that
    /// changes in one step.
    pub(crate) fn configure(&self, text: &str) -> Result<()> {
        let at = |name: &str| self.config.path().join(name);
        let generation = format!("..{}", fs::read_dir(self.config.path())?.count());
        fs::create_dir(at(&generation))?;
        fs::write(at(&generation).join("config.yaml"), text)?;
        fs::write(
            at(&generation).join("installed.yaml"),
            self.objects.config()?,
        )?;
        symlink(&generation, at("..data_tmp"))?;
        fs::rename(at("..data_tmp"), at("..data"))?;
        for file in ["config.yaml", "installed.yaml"] {
            if !at(file).exists() {
                symlink(format!("..data/{file}"), at(file))?;
            }
        }
        Ok(())
    }

    /// Puts a text into a Secret with this name.
    pub(crate) fn secret(&self, name: &str, file: &str, text: &str) -> Result<()> {
        let secret = self.secrets.path().join(name);
        fs::create_dir_all(&secret)?;
        Ok(fs::write(secret.join(file), text)?)
    }

    /// Starts the agent on a node.
    pub(crate) fn start<'a>(&'a self, node: &'a Node) -> Result<Running<'a>> {
        let spec = self.objects.pod()?;
        let container = &spec["containers"][0];
        let image = Image::of_dockerfile()?;
        let environment = environment(container, node, &image)?;
        let user = &spec["securityContext"];
        let root = self.root.path();
        let shown = root.display();
        let mut script = format!("set -eu\nmount --bind {shown} {shown}\n");
        for (source, target) in self.mounts(spec, node)? {
            let target = root.join(target.trim_start_matches('/'));
            fs::create_dir_all(&target)?;
            script += &bind(&source, &target);
        }
        for directory in ["usr", "lib", "lib64", "proc"] {
            script += &self.system(directory)?;
        }
        // The image's only file.
        let binary = root.join(image.entry_point.trim_start_matches('/'));
        File::create(&binary)?;
        script += &bind(&REGPROBE, &binary);
        ensure!(container["securityContext"]["readOnlyRootFilesystem"] == true);
        script += &format!("mount -o remount,bind,ro {shown}\nexec \"$@\"\n");

        let log = node.path("/agent.log");
        let mut command = node.network.command("unshare");
        command
            .args(["--mount", "sh", "-c", &script, "sh", "chroot"])
            .arg(format!(
                "--userspec={}:{}",
                user["runAsUser"], user["runAsGroup"]
            ))
            .arg("--groups=")
            .args([root.as_os_str(), image.entry_point.as_ref()])
            .args(arguments(container, &environment)?)
            .env_clear()
            .envs(&environment)
            // For programs of the test; the image has its own PATH.
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?);
        Ok(Running {
            node,
            container,
            child: command.spawn()?,
            log,
        })
    }

    /// The mounts.
    fn mounts(&self, spec: &Value, node: &Node) -> Result<Vec<(PathBuf, String)>> {
        let text = |value: &Value| value.as_str().map(str::to_owned).context("no text");
        let volumes = spec["volumes"].as_array().context("no volumes")?;
        let mounts = spec["containers"][0]["volumeMounts"].as_array();
        let mounts = mounts.context("nothing is mounted")?.iter().map(|mount| {
            ensure!(mount["readOnly"] == true, "{mount} can be written");
            let volume = volumes
                .iter()
                .find(|volume| volume["name"] == mount["name"]);
            let volume = volume.with_context(|| format!("no volume of {mount}"))?;
            let source = match (volume.get("hostPath"), volume.get("secret")) {
                (Some(host), _) => node.path(&text(&host["path"])?),
                (None, Some(secret)) => self.secrets.path().join(text(&secret["secretName"])?),
                (None, None) => {
                    let name = &self.objects.only("DaemonSet")?["metadata"]["name"];
                    ensure!(volume["configMap"]["name"] == *name, "{volume}");
                    self.config.path().to_owned()
                }
            };
            Ok((source, text(&mount["mountPath"])?))
        });
        mounts.collect()
    }

    /// A directory of the machine that a dynamically linked binary needs.
    fn system(&self, name: &str) -> Result<String> {
        let (own, here) = (Path::new("/").join(name), self.root.path().join(name));
        if let Ok(target) = fs::read_link(&own) {
            symlink(target, here)?;
            return Ok(String::new());
        }
        if !own.exists() {
            return Ok(String::new());
        }
        fs::create_dir(&here)?;
        Ok(format!(
            "mount --bind {} {}\n",
            own.display(),
            here.display()
        ))
    }
}

/// A running pod; it ends when dropped.
pub(crate) struct Running<'a> {
    node: &'a Node,
    container: &'a Value,
    child: Child,
    log: PathBuf,
}

impl Running<'_> {
    /// Sends a request as kubelet does, to the node's address and the pod's port.
    pub(crate) fn get(&self, path: &str) -> Result<Reply> {
        let address = self.address()?;
        self.node
            .network
            .enter(|| client::get(address, path).send())
    }

    /// Its address in the node's network.
    pub(crate) fn address(&self) -> Result<SocketAddr> {
        let port = self.container["ports"][0]["containerPort"].as_u64();
        let port = port.context("no port")?.try_into()?;
        Ok(SocketAddr::new(self.node.ip, port))
    }

    /// Sends the request of a probe.
    pub(crate) fn probe(&self, probe: &str) -> Result<Reply> {
        let action = &self.container[probe]["httpGet"];
        ensure!(action["port"] == self.container["ports"][0]["name"]);
        self.get(action["path"].as_str().context("no path")?)
    }

    /// Repeats a request until it gives a value.
    pub(crate) fn until<T>(&mut self, what: &str, done: impl Fn(&Self) -> Result<T>) -> Result<T> {
        wait::until(what, SOON, || match self.child.try_wait()? {
            Some(status) => Ok(Err(anyhow::anyhow!("ended with {status}"))),
            None => done(self).map(Ok),
        })
        .flatten()
        .with_context(|| fs::read_to_string(&self.log).unwrap_or_default())
    }

    /// Both probes succeed.
    pub(crate) fn until_ready(&mut self) -> Result<()> {
        for probe in ["livenessProbe", "readinessProbe"] {
            self.until(probe, |pod| pod.probe(probe)?.expect_status(200))?;
        }
        Ok(())
    }

    /// Waits until a registry's entry in the status document is as expected.
    pub(crate) fn until_registry(
        &mut self,
        name: &str,
        is: impl Fn(&Value) -> Result<()>,
    ) -> Result<()> {
        self.until(&format!("{name} is as it should be"), |pod| {
            let status = pod.get("/api/v1/status")?.expect_status(200)?.json()?;
            let mut registries = status["registries"].as_array().into_iter().flatten();
            let registry = registries.find(|registry| registry["name"] == name);
            let registry = registry.with_context(|| format!("no {name} in {status}"))?;
            is(registry).with_context(|| format!("{registry:#}"))
        })
    }

    /// A line of `/proc/<id>/status`.
    pub(crate) fn of_process(&self, field: &str) -> Result<String> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let mut lines = status.lines().filter_map(|line| line.split_once(":\t"));
        let line = lines.find(|(name, _)| *name == field);
        Ok(line.with_context(|| format!("no {field}"))?.1.to_owned())
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The environment of a container, with the values that kubelet fills in.
fn environment(container: &Value, node: &Node, image: &Image) -> Result<BTreeMap<String, String>> {
    let mut environment = image.environment.clone();
    for variable in container["env"].as_array().into_iter().flatten() {
        let name = variable["name"].as_str().context("no name")?;
        let value = match &variable["value"] {
            Value::String(value) => value.clone(),
            _ => match variable["valueFrom"]["fieldRef"]["fieldPath"].as_str() {
                Some("spec.nodeName") => "aks-system-0".to_owned(),
                Some("metadata.namespace") => NAMESPACE.to_owned(),
                Some("status.hostIP" | "status.podIP") => node.ip.to_string(),
                _ => bail!("{variable} is not for this test"),
            },
        };
        environment.insert(name.to_owned(), value);
    }
    Ok(environment)
}

/// The arguments of a container, with `$(NAME)` replaced as kubelet does.
fn arguments(container: &Value, environment: &BTreeMap<String, String>) -> Result<Vec<String>> {
    let arguments = container["args"].as_array().context("no arguments")?.iter();
    let arguments = arguments.map(|argument| {
        let mut argument = argument.as_str().context("no text")?.to_owned();
        for (name, value) in environment {
            argument = argument.replace(&format!("$({name})"), value);
        }
        ensure!(!argument.contains("$("), "{argument} is left unfilled");
        Ok(argument)
    });
    arguments.collect()
}

/// Lines of a script that mount something read-only.
fn bind(source: &Path, target: &Path) -> String {
    let (source, target) = (source.display(), target.display());
    format!("mount --bind {source} {target}\nmount -o remount,bind,ro {target}\n")
}

/// A directory that everybody may read.
fn open_folder() -> Result<TempDir> {
    let folder = tempfile::tempdir()?;
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
    Ok(folder)
}
