//! Network namespaces: nodes and networks of a test's own, joined by virtual cables and never by an
//! uplink, where real addresses and ports may be used and packets may be lost. They need root, and
//! are deleted when dropped.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::panic;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use anyhow::{Context, Result, ensure};
use nix::sched::{CloneFlags, setns};

/// A network namespace.
pub struct Namespace {
    name: String,
}

/// Which way packets go past a filter. Packets dropped on their way out can be seen by the sender
/// (`EPERM`); a network that loses them is one that drops them on their way in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    In,
    Out,
}

/// Joins namespaces as one network; it goes with the namespace that it is in.
pub struct Switch<'ns> {
    namespace: &'ns Namespace,
    device: String,
}

/// A virtual cable between two namespaces; it goes with either of them.
pub struct Cable<'ns> {
    namespace: &'ns Namespace,
    device: String,
}

impl Namespace {
    /// A new namespace with its loopback up; `label` is for people who list them.
    pub fn new(label: &str) -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let namespace = Self {
            name: format!("lab-{}-{n}-{label}", process::id()),
        };
        ip(&["netns", "add", &namespace.name])?;
        namespace.ip(&["link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Lays a cable to another namespace. Each end has an address with its prefix length, such as
    /// `10.240.0.10/24`; take private, benchmarking (198.18.0.0/15) or documentation ranges.
    pub fn cable(&self, address: &str, other: &Self, other_address: &str) -> Result<Cable<'_>> {
        let device = self.veth(other)?;
        for (end, address) in [(self, address), (other, other_address)] {
            end.add_address(address, &device)?;
            // What is on the cable are packets, and not bundles of them as the kernel hands them to a device.
            end.ip(&["link", "set", &device, "gso_max_segs", "1"])?;
            end.ip(&["link", "set", &device, "up"])?;
        }
        Ok(Cable {
            namespace: self,
            device,
        })
    }

    /// A switch (a bridge) to which this namespace is connected with an address and its prefix length.
    pub fn switch(&self, address: &str) -> Result<Switch<'_>> {
        let device = new_device();
        self.ip(&["link", "add", &device, "type", "bridge"])?;
        self.add_address(address, &device)?;
        self.ip(&["link", "set", &device, "up"])?;
        Ok(Switch {
            namespace: self,
            device,
        })
    }

    /// Two devices of one name, this namespace's and the other's, that pass packets to each other.
    fn veth(&self, other: &Self) -> Result<String> {
        let device = new_device();
        let here = ["link", "add", &device, "type", "veth"];
        let there = ["peer", "name", &device, "netns", &other.name];
        self.ip(&[here, there].concat())?;
        Ok(device)
    }

    /// One more address of this namespace, with its prefix length, on its loopback.
    pub fn address(&self, address: &str) -> Result<()> {
        self.add_address(address, "lo")
    }

    /// Sends packets for a range (or `default`) by way of a neighbour.
    pub fn route(&self, range: &str, via: &str) -> Result<()> {
        self.ip(&["route", "add", range, "via", via])
    }

    /// Writes `resolv.conf`, `hosts` or any other file that programs started by
    /// [`Namespace::command`] shall find in `/etc` in place of the machine's.
    pub fn etc(&self, file: &str, text: &str) -> Result<()> {
        let folder = self.etc_folder();
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(file), text).with_context(|| format!("failed to write {file}"))
    }

    /// Filters packets by a rule in nftables' words, such as `tcp dport 443 drop` or
    /// `ip daddr 10.240.1.4 reject with icmp host-unreachable`.
    pub fn filter(&self, direction: Direction, rule: &str) -> Result<()> {
        let chain = match direction {
            Direction::In => "input",
            Direction::Out => "output",
        };
        self.nft(&format!(
            "add table inet lab\n\
            add chain inet lab {chain} {{ type filter hook {chain} priority 0; }}\n\
            add rule inet lab {chain} {rule}\n"
        ))
    }

    /// Removes every rule of [`Namespace::filter`].
    pub fn clear_filters(&self) -> Result<()> {
        self.nft("add table inet lab\ndelete table inet lab\n")
    }

    /// A program inside the namespace, about to be started.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(IP);
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// Runs a function inside the namespace. Sockets it opens, and servers of the lab that it
    /// starts, belong to the namespace ever after, wherever they are used or dropped. Files in
    /// `/etc` stay the machine's.
    pub fn enter<T: Send>(&self, run: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let path = self.path();
        let namespace =
            File::open(&path).with_context(|| format!("failed to open {}", path.display()))?;
        // A namespace is entered by a thread, which must not go on to other work.
        thread::scope(|scope| {
            scope
                .spawn(|| {
                    setns(namespace, CloneFlags::CLONE_NEWNET)
                        .context("failed to enter the namespace")?;
                    run()
                })
                .join()
        })
        .unwrap_or_else(|panic| panic::resume_unwind(panic))
    }

    fn add_address(&self, address: &str, device: &str) -> Result<()> {
        let mut arguments = vec!["addr", "add", address, "dev", device];
        if address.contains(':') {
            // Duplicate detection would keep an IPv6 address from being used for a second.
            arguments.push("nodad");
        }
        self.ip(&arguments)
    }

    fn ip(&self, arguments: &[&str]) -> Result<()> {
        ip(&[&["-n", &self.name], arguments].concat())
    }

    /// Runs a script of nftables.
    pub(crate) fn nft(&self, script: &str) -> Result<()> {
        let mut nft = self
            .command("/usr/sbin/nft")
            .args(["-f", "-"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        nft.stdin
            .take()
            .context("nft without a standard input")?
            .write_all(script.as_bytes())?;
        let out = nft.wait_with_output()?;
        ensure!(
            out.status.success(),
            "{script}: {}",
            String::from_utf8_lossy(&out.stderr)
        );
        Ok(())
    }

    /// The file by which processes enter it.
    pub(crate) fn path(&self) -> PathBuf {
        Path::new("/run/netns").join(&self.name)
    }

    /// Where [`Namespace::etc`] writes.
    pub(crate) fn etc_folder(&self) -> PathBuf {
        PathBuf::from("/etc/netns").join(&self.name)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = ip(&["netns", "delete", &self.name]);
        let _ = fs::remove_dir_all(self.etc_folder());
    }
}

impl Switch<'_> {
    /// Connects a namespace, which gets an address with its prefix length.
    pub fn connect(&self, other: &Namespace, address: &str) -> Result<()> {
        let device = self.namespace.veth(other)?;
        self.namespace
            .ip(&["link", "set", &device, "master", &self.device, "up"])?;
        other.add_address(address, &device)?;
        other.ip(&["link", "set", &device, "up"])
    }
}

impl Cable<'_> {
    /// Pulls the plug: no route at this end, silence at the other.
    pub fn unplug(&self) -> Result<()> {
        self.namespace.ip(&["link", "set", &self.device, "down"])
    }

    pub fn plug_in(&self) -> Result<()> {
        self.namespace.ip(&["link", "set", &self.device, "up"])
    }
}

const IP: &str = "/usr/sbin/ip";

/// The name of a device that no namespace has yet.
fn new_device() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    format!("lab{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn ip(arguments: &[&str]) -> Result<()> {
    let out = Command::new(IP).args(arguments).output()?;
    ensure!(
        out.status.success(),
        "ip {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&out.stderr)
    );
    Ok(())
}
