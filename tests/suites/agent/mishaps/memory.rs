//! The agent in a container with the chart's memory limit.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use regprobe_harness::agent::Agent;
use regprobe_harness::ground::Ground;
use regprobe_harness::program::regprobe;
use regprobe_lab::addresses::loopback;
use regprobe_lab::container::{self, Container};
use regprobe_lab::fakes::acr::Acr;

use super::Holdings;

/// `resources.limits.memory` of the chart.
const LIMIT: u64 = 64 << 20;
const REGISTRIES: usize = 100;

/// A hundred registries, and clients that request everything at once.
pub(crate) fn is_enough() -> Result<()> {
    let ground = Ground::new()?;
    let registries = Registries::start(&ground)?;
    let config = ground.config(&[&registries.entries])?;
    // Otherwise there is always a round under way.
    let often = fs::read_to_string(&config)?;
    let seldom = often.replace("interval: 1s", "interval: 5s");
    let config = ground.write_config(&seldom.replace("interval: 2s", "interval: 5s"))?;
    let (agent, cgroup) = start(&ground, &config)?;
    let before = Holdings::of(&agent)?;
    let end = Instant::now() + Duration::from_secs(8);
    thread::scope(|threads| {
        let clients: Vec<_> = (0..32)
            .map(|_| {
                threads.spawn(|| -> Result<()> {
                    while Instant::now() < end {
                        for path in ["/metrics", "/", "/api/v1/status", "/api/v1/bundle"] {
                            agent.get(path)?.expect_status(200)?;
                        }
                    }
                    Ok(())
                })
            })
            .collect();
        clients
            .into_iter()
            .try_for_each(|client| client.join().expect("a client does not panic"))
    })?;
    let id = container::innermost(agent.id())?;
    let most = field(&format!("/proc/{id}/status"), "VmHWM:")? << 10;
    println!("64 MiB under load: {} MiB at most", most >> 20);
    ensure!(most < LIMIT, "{most} bytes");
    ensure!(cgroup.kills()? == 0);
    before.are_back(&agent, &["registry0", "registry99"])
}

/// The kernel kills the largest process, which is never the agent.
pub(crate) fn neighbour() -> Result<()> {
    let ground = Ground::new()?;
    let config = ground.config(&[&ground.contoso_entry()])?;
    let (agent, cgroup) = start(&ground, &config)?;
    let before = Holdings::of(&agent)?;
    for _ in 0..3 {
        // It buffers everything until the end of a line, and there is none.
        let script = "echo $$ > \"$0\" && exec tail /dev/zero";
        let mut hog = Command::new("/usr/bin/bash");
        let ended = hog.args(["-c", script]).arg(cgroup.members()).status()?;
        ensure!(ended.signal() == Some(Signal::SIGKILL as i32), "{ended}");
        before.are_back(&agent, &["contoso"])?;
    }
    ensure!(cgroup.kills()? >= 3);
    Ok(())
}

struct Registries {
    _acr: Acr,
    entries: String,
}

impl Registries {
    /// One server under many names.
    fn start(ground: &Ground) -> Result<Self> {
        let at = loopback();
        let acr = Acr::at("registry.example", (at, 0)).start()?;
        ground.dns.address("registry.example", [at], 60);
        let entries = (0..REGISTRIES).map(|number| {
            let name = format!("registry{number}");
            let host = format!("{name}.registry.example");
            ground.dns.address(&host, [at], 60);
            format!(
                "- {{server: \"http://{host}:{}\", name: {name}}}\n",
                acr.addr().port()
            )
        });
        Ok(Self {
            entries: entries.collect(),
            _acr: acr,
        })
    }
}

fn start(ground: &Ground, config: &Path) -> Result<(Agent, Cgroup)> {
    let folder = ground.folder.path();
    // Another user than the test's reads it.
    fs::set_permissions(folder, Permissions::from_mode(0o755))?;
    let agent = Agent::start_within(regprobe(["run"]), config, &[], |agent| {
        let line = Container::of(&agent)?
            .reading(folder)
            .within_memory(LIMIT)
            .command_line(folder)?;
        let mut command = Command::new(&line[0]);
        command.args(&line[1..]);
        Ok(command)
    })?;
    agent.until_ready()?;
    let cgroup = Cgroup::of(container::innermost(agent.id())?)?;
    Ok((agent, cgroup))
}

/// The memory cgroup of a process, in version 1 or 2.
struct Cgroup {
    folder: PathBuf,
}

impl Cgroup {
    fn of(id: u32) -> Result<Self> {
        let text = fs::read_to_string(format!("/proc/{id}/cgroup"))?;
        let first = text.lines().find_map(|line| line.split_once(":memory:"));
        let (root, path) = match first {
            Some((_, path)) => ("/sys/fs/cgroup/memory", path),
            None => {
                let second = text.lines().find_map(|line| line.strip_prefix("0::"));
                ("/sys/fs/cgroup", second.context("no cgroup")?)
            }
        };
        let folder = Path::new(root).join(path.trim_start_matches('/'));
        ensure!(path.contains("lab-"), "{path} is not of the lab");
        Ok(Self { folder })
    }

    fn members(&self) -> PathBuf {
        self.folder.join("cgroup.procs")
    }

    /// How many processes were killed because memory was exhausted.
    fn kills(&self) -> Result<u64> {
        let first = self.folder.join("memory.oom_control");
        let events = match first.exists() {
            true => first,
            false => self.folder.join("memory.events"),
        };
        field(&events.to_string_lossy(), "oom_kill ")
    }
}

/// The number behind a word in a file.
fn field(path: &str, word: &str) -> Result<u64> {
    let text = fs::read_to_string(path)?;
    let mut lines = text.lines();
    let value = lines.find_map(|line| line.strip_prefix(word)?.split_whitespace().next());
    Ok(value
        .with_context(|| format!("no {word} in {path}"))?
        .parse()?)
}
