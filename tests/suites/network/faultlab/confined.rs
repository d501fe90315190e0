//! The confinement of the agent in every scenario works: the seccomp profile blocks system calls that it
//! does not list, and an agent without a call that it needs fails.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use nix::errno::Errno;
use nix::libc;
use nix::sched::{CloneFlags, clone, unshare};
use nix::unistd::pipe;
use regprobe_harness::need::Need;
use regprobe_harness::suite::{Test, test};
use regprobe_lab::container::{self, Container};
use regprobe_lab::scenario::Scenario;
use regprobe_lab::world::World;
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};

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

/// Prints the kernel's answers. Without a profile, any user may make all these calls.
pub(crate) fn trespass() -> ExitCode {
    println!("pipe: {}", said(pipe().map(drop)));
    println!("unshare: {}", said(unshare(CloneFlags::CLONE_FS)));
    println!("clone: {}", said(clone_into_a_namespace()));
    println!("clone3: {}", said(clone3_without_arguments()));
    for family in [libc::AF_VSOCK, libc::AF_ALG] {
        let socket = Socket::new(Domain::from(family), Type::RAW, None);
        let errno = |error: &std::io::Error| Errno::from_raw(error.raw_os_error().unwrap_or(0));
        let opened = socket.map(drop).map_err(|error| errno(&error));
        println!("socket of family {family}: {}", said(opened));
    }
    ExitCode::SUCCESS
}

/// The kernel refuses this combination of flags, whoever asks; a filter refuses it before.
#[expect(unsafe_code, reason = "no safe wrapper makes this call")]
fn clone_into_a_namespace() -> nix::Result<()> {
    let flags = CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_THREAD;
    let mut stack = [0; 4096];
    // SAFETY: with these flags no process begins.
    unsafe { clone(Box::new(|| 0), &mut stack, flags, None) }.map(drop)
}

#[expect(unsafe_code, reason = "no safe wrapper makes this call")]
fn clone3_without_arguments() -> nix::Result<()> {
    // SAFETY: the size of its arguments is 0, so it reads none and begins no process.
    let status = unsafe { libc::syscall(libc::SYS_clone3, std::ptr::null::<u8>(), 0) };
    Errno::result(status).map(drop)
}

fn said(result: nix::Result<()>) -> String {
    match result {
        Err(errno @ (Errno::EPERM | Errno::ENOSYS)) => errno.to_string(),
        // Some kernels lack what is asked for.
        _ => "allowed".to_owned(),
    }
}

fn refuses() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut trespass = Command::new(std::env::current_exe()?);
    trespass.env(TRESPASS, "1");
    let profile = container::profile()?;
    let [eperm, enosys] = [Errno::EPERM, Errno::ENOSYS].map(|errno| errno.to_string());
    let open = ["allowed"; 6];
    let closed = [&*eperm, &eperm, &eperm, &enosys, &eperm, &eperm];
    let anything = json!({"defaultAction": "SCMP_ACT_ALLOW"});
    for (profile, expected) in [(anything, open), (profile, closed)] {
        let confined = Container::of(&trespass)?
            .under(profile)
            .command_line(folder.path())?;
        let out = Command::new(&confined[0]).args(&confined[1..]).output()?;
        let said = String::from_utf8(out.stdout)?;
        let complaint = String::from_utf8_lossy(&out.stderr);
        let answers = said
            .lines()
            .filter_map(|line| Some(line.split_once(": ")?.1));
        ensure!(answers.eq(expected), "{said}{complaint}");
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
