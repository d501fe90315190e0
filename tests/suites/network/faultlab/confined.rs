//! The confinement of the agent in every scenario works: the seccomp profile blocks system calls that it
//! does not list, and an agent without a call that it needs fails.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::unistd::pipe;
use regprobe_harness::need::Need;
use regprobe_harness::suite::{Test, test};
use regprobe_lab::container::{self, Container};
use regprobe_lab::scenario::Scenario;
use regprobe_lab::world::World;
use serde_json::{Value, json};

use super::{documented, regprobe};

/// If set, this program makes calls that the profile blocks.
const TRESPASS: &str = "REGPROBE_LAB_TRESPASS";

const HEALTHY: &str = "story: Nothing is wrong.\ncontainerd: {does: pulls}\nverdict: ok\n";

pub(crate) fn tests() -> [Test; 3] {
    [
        test("seccomp: unlisted calls are blocked", refuses).needs([Need::Root, Need::RUNC]),
        test(
            "seccomp: an agent without a call it needs fails",
            lacks_a_call,
        )
        .needs(Need::WORLD),
        test("seccomp: the agent has no privileges", holds_nothing).needs(Need::WORLD),
    ]
}

pub(crate) fn is_asked_to_trespass() -> bool {
    std::env::var_os(TRESPASS).is_some()
}

/// Prints the kernel's answers. Without a profile, any user may make both calls.
pub(crate) fn trespass() -> ExitCode {
    println!("pipe: {}", said(pipe().map(drop)));
    println!("unshare: {}", said(unshare(CloneFlags::CLONE_FS)));
    ExitCode::SUCCESS
}

fn said(result: nix::Result<()>) -> String {
    result.map_or_else(|errno: Errno| errno.to_string(), |()| "done".to_owned())
}

fn refuses() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut trespass = Command::new(std::env::current_exe()?);
    trespass.env(TRESPASS, "1");
    let open = json!({"defaultAction": "SCMP_ACT_ALLOW"});
    let eperm = Errno::EPERM.to_string();
    for (profile, expected) in [(open, "done"), (container::profile()?, &eperm)] {
        let confined = Container::of(&trespass)?
            .under(profile)
            .command_line(folder.path())?;
        let out = Command::new(&confined[0]).args(&confined[1..]).output()?;
        let said = String::from_utf8(out.stdout)?;
        let complaint = String::from_utf8_lossy(&out.stderr);
        let wanted = format!("pipe: {expected}\nunshare: {expected}\n");
        ensure!(said == wanted, "{said}{complaint}");
    }
    Ok(())
}

fn lacks_a_call() -> Result<()> {
    let scenario = Scenario::parse(HEALTHY)?;
    let mut world = World::new()?;
    let scene = world.set(&scenario)?;
    let condition = |lacking: &str| -> Result<Value> {
        let mut profile = container::profile()?;
        for list in profile["syscalls"].as_array_mut().context("no list")? {
            let names = list["names"].as_array_mut().context("no names")?;
            names.retain(|name| name != lacking);
        }
        let checked = documented(scene.check_under(&profile, &regprobe())?)?;
        Ok(checked.document["registries"][0]["condition"].clone())
    };
    ensure!(condition("none")? == "ok");
    for needed in ["connect", "epoll_ctl", "getrandom", "setsockopt", "socket"] {
        let condition = condition(needed)?;
        ensure!(condition != "ok", "{needed} is listed and not needed");
    }
    Ok(())
}

/// Reads the status of a running agent in `/proc`.
fn holds_nothing() -> Result<()> {
    let scenario = Scenario::parse(HEALTHY)?;
    let mut world = World::new()?;
    let scene = world.set(&scenario)?;
    let schedule = json!({"timeout": "3s", "network_interval": "5s", "request_interval": "5s"});
    let agent = scene.run(&regprobe(), &schedule)?;
    let status = agent.process_status()?;
    let field = |name: &str| {
        let mut lines = status.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.unwrap_or_default().split_whitespace().next()
    };
    for (name, expected) in [
        ("Uid", "65532"),
        ("Gid", "65532"),
        ("NoNewPrivs", "1"),
        ("Seccomp", "2"),
        ("CapPrm", "0000000000000000"),
        ("CapEff", "0000000000000000"),
        ("CapBnd", "0000000000000000"),
        ("CapInh", "0000000000000000"),
        ("CapAmb", "0000000000000000"),
    ] {
        ensure!(field(name) == Some(expected), "{name} in {status}");
    }
    Ok(())
}
