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
use regprobe_lab::servers::Release;
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

/// Prints who answers each call: the profile of [`marked`], or the kernel. No call has an effect.
pub(crate) fn trespass() -> ExitCode {
    println!("pipe: {}", answer(pipe().map(drop)));
    println!("unshare: {}", answer(unshare(CloneFlags::CLONE_FS)));
    println!("clone3: {}", answer(clone3_without_arguments()));
    for flag in NAMESPACES {
        println!("clone {flag:?}: {}", answer(clone_a_thread_with(flag)));
    }
    println!(
        "clone: {}",
        answer(clone_a_thread_with(CloneFlags::empty()))
    );
    for family in 0..FAMILIES {
        println!("socket {family}: {}", answer(open_socket(family, 0)));
    }
    for protocol in 1..NETLINK_PROTOCOLS {
        let opened = open_socket(libc::AF_NETLINK, protocol);
        println!("netlink {protocol}: {}", answer(opened));
    }
    ExitCode::SUCCESS
}

/// Every flag of `clone` that begins a namespace.
const NAMESPACES: [CloneFlags; 7] = [
    CloneFlags::CLONE_NEWNS,
    CloneFlags::CLONE_NEWCGROUP,
    CloneFlags::CLONE_NEWUTS,
    CloneFlags::CLONE_NEWIPC,
    CloneFlags::CLONE_NEWUSER,
    CloneFlags::CLONE_NEWPID,
    CloneFlags::CLONE_NEWNET,
];
/// More than Linux has.
const FAMILIES: i32 = 64;
const NETLINK_PROTOCOLS: i32 = 32;

/// The kernel refuses a thread without a shared table of signals, whoever asks; a filter refuses it before.
#[expect(unsafe_code, reason = "no safe wrapper makes this call")]
fn clone_a_thread_with(flags: CloneFlags) -> nix::Result<()> {
    let mut stack = [0; 4096];
    let flags = flags | CloneFlags::CLONE_THREAD;
    // SAFETY: with these flags no process begins.
    unsafe { clone(Box::new(|| 0), &mut stack, flags, None) }.map(drop)
}

#[expect(unsafe_code, reason = "no safe wrapper makes this call")]
fn clone3_without_arguments() -> nix::Result<()> {
    // SAFETY: the size of its arguments is 0, so it reads none and begins no process.
    let status = unsafe { libc::syscall(libc::SYS_clone3, std::ptr::null::<u8>(), 0) };
    Errno::result(status).map(drop)
}

fn open_socket(family: i32, protocol: i32) -> nix::Result<()> {
    let opened = Socket::new(Domain::from(family), Type::DGRAM, Some(protocol.into()));
    opened
        .map(drop)
        .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))
}

/// Who answered.
fn answer(result: nix::Result<()>) -> &'static str {
    match result {
        Err(REFUSED) => "refused",
        Err(Errno::ENOSYS) => "unknown",
        // Or the kernel refused it.
        _ => "passed",
    }
}

/// An error that none of these calls has from the kernel, which says EPERM for some of them.
const REFUSED: Errno = Errno::EXFULL;

/// The profile with another error for what it refuses.
fn marked(mut profile: Value) -> Value {
    profile["defaultErrnoRet"] = json!(REFUSED as i32);
    profile
}

fn refuses() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut trespass = Command::new(std::env::current_exe()?);
    trespass.env(TRESPASS, "1");
    let narrow = container::profile()?;
    ensure!(narrow["defaultErrnoRet"] == Errno::EPERM as i32);
    let anything = json!({"defaultAction": "SCMP_ACT_ALLOW"});
    for (profile, is_narrow) in [(anything, false), (narrow, true)] {
        let confined = Container::of(&trespass)?
            .under(marked(profile))
            .command_line(folder.path())?;
        let out = Command::new(&confined[0]).args(&confined[1..]).output()?;
        let said = String::from_utf8(out.stdout)?;
        let complaint = String::from_utf8_lossy(&out.stderr);
        for line in said.lines() {
            let expected = match line.split_once(": ").context(complaint.to_string())?.0 {
                _ if !is_narrow => "passed",
                // A thread, and the families UNIX, IPv4, IPv6 and netlink with the protocol of routes.
                "clone" | "socket 1" | "socket 2" | "socket 10" | "socket 16" => "passed",
                "clone3" => "unknown",
                _ => "refused",
            };
            ensure!(line.ends_with(expected), "{line}, not {expected}");
        }
        let calls = 4 + NAMESPACES.len() + usize::try_from(FAMILIES + NETLINK_PROTOCOLS - 1)?;
        ensure!(said.lines().count() == calls, "{said}{complaint}");
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
        let checked = documented(scene.check_under(&profile, &regprobe(), Release::NEWEST)?)?;
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
