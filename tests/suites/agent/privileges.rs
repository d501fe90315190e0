//! What the agent may do: it drops its privileges, and only makes system calls that the seccomp profile
//! in `deploy/seccomp` lists. `tests/suites/network/faultlab.rs` runs it under that profile.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use base64::prelude::{BASE64_STANDARD, Engine};
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::signal::Signal;
use regprobe_harness::agent::{Agent, SOON};
use regprobe_harness::ground::{Ground, Real};
use regprobe_harness::need::Need;
use regprobe_harness::program::{REGPROBE, printed, regprobe, repository};
use regprobe_harness::suite::{Suite, test};
use regprobe_lab::addresses::loopback;
use regprobe_lab::wait;
use regprobe_lab::{client, container};

pub(crate) fn suite() -> Suite {
    Suite::of([
        test("root drops its privileges", root_gives_up).needs([Need::Root]),
        test("a low port is opened before that", low_port).needs([Need::Root]),
        test("a check drops the same privileges", check_gives_up).needs([Need::Root, Need::STRACE]),
        test("a core limit of 0 that cannot be raised stays", core_limit).needs([Need::Root]),
        test("a limit of open files that is too low is logged", low_limit),
        test(
            "the seccomp profile lists all system calls",
            profile_lists_what_is_called,
        )
        .needs([Need::DOCKER_REGISTRY, Need::NGINX, Need::STRACE]),
    ])
}

fn root_gives_up() -> Result<()> {
    let ground = Ground::new()?;
    let agent = Agent::ready(&ground.config(&[&ground.contoso_entry()])?, &[])?;
    holds_nothing(&agent)?;
    let limits = fs::read_to_string(format!("/proc/{}/limits", agent.id()))?;
    let words = |name: &str| -> Result<Vec<String>> {
        let mut lines = limits.lines();
        let values = lines.find_map(|line| line.strip_prefix(name));
        let values = values.with_context(|| limits.clone())?.split_whitespace();
        Ok(values.map(str::to_owned).collect())
    };
    // 0 would not keep a core from a program that the kernel pipes it to.
    ensure!(words("Max core file size")?[..2] == ["1", "1"], "{limits}");
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let files = hard.min(65_536).to_string();
    ensure!(words("Max open files")?[0] == files, "{limits}");
    // Without privileges, the test could not see whether they are dropped.
    let own = fs::read_to_string("/proc/self/status")?;
    ensure!(field(&own, "CapEff")? != NONE && field(&own, "NoNewPrivs")? == "0");
    Ok(())
}

fn core_limit() -> Result<()> {
    let ground = Ground::new()?;
    let config = ground.config(&[&ground.contoso_entry()])?;
    let out = Command::new("/usr/bin/setpriv")
        .args([
            "--bounding-set=-sys_resource",
            "/usr/bin/prlimit",
            "--core=0:0",
        ])
        .arg(&*REGPROBE)
        .arg("check")
        .arg(format!("--config.file={}", config.display()))
        .output()?;
    ensure!(out.status.success(), "{}", printed(&out));
    Ok(())
}

fn low_port() -> Result<()> {
    let ground = Ground::new()?;
    let config = ground.config(&[&ground.contoso_entry()])?;
    let at = (loopback(), 81).into();
    let agent = Agent::start_at(at, regprobe(["run"]), &config, &[], Ok)?;
    agent.get("/-/healthy")?.expect_status(200)?;
    holds_nothing(&agent)
}

const NONE: &str = "0000000000000000";

fn holds_nothing(agent: &Agent) -> Result<()> {
    // Each thread has its own capabilities.
    for thread in fs::read_dir(format!("/proc/{}/task", agent.id()))? {
        let status = fs::read_to_string(thread?.path().join("status"))?;
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            ensure!(field(&status, set)? == NONE, "{set} in {status}");
        }
        ensure!(field(&status, "NoNewPrivs")? == "1", "{status}");
    }
    Ok(())
}

fn field<'a>(status: &'a str, name: &str) -> Result<&'a str> {
    let mut lines = status.lines();
    let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    Ok(value.with_context(|| format!("no {name}"))?.trim())
}

fn check_gives_up() -> Result<()> {
    let ground = Ground::new()?;
    let config = ground.config(&[&ground.contoso_entry()])?;
    let trace = ground.folder.path().join("trace");
    let mut check = Command::new("/usr/bin/strace");
    check
        .args(["-f", "-qq", "-e", "trace=prctl,capset,connect", "-o"])
        .arg(&trace)
        .arg(&*REGPROBE)
        .arg("check")
        .arg(format!("--config.file={}", config.display()));
    let out = check.output()?;
    ensure!(out.status.success(), "{}", printed(&out));
    let text = fs::read_to_string(trace)?;
    let (before, _) = text.split_once("connect(").context("it dialled nobody")?;
    let gave_up = [
        "PR_SET_NO_NEW_PRIVS, 1",
        "effective=0, permitted=0, inheritable=0",
    ];
    for given_up in gave_up {
        ensure!(before.contains(given_up), "no {given_up} in {before}");
    }
    Ok(())
}

fn low_limit() -> Result<()> {
    let ground = Ground::new()?;
    let config = ground.config(&[&ground.contoso_entry()])?;
    let complaint = "level=warn msg=\"the limit of open files is too low\" needed=";
    let complains = |agent: &Agent| agent.log().iter().any(|line| line.contains(complaint));
    ensure!(!complains(&Agent::ready(&config, &[])?));
    let mut shell = Command::new("/usr/bin/bash");
    let run = regprobe(["run"]);
    shell.args(["-c", "ulimit -n 64; exec \"$0\" \"$@\""]);
    shell.arg(run.get_program()).args(run.get_args());
    let agent = Agent::start_by(shell, &config, &[])?;
    ensure!(complains(&agent), "{:#?}", agent.log());
    Ok(())
}

fn profile_lists_what_is_called() -> Result<()> {
    let ground = Ground::new()?;
    let real = Real::start(&ground)?;
    let config = ground.config(&[&ground.contoso_entry(), &real.entries()])?;
    let mut called = called_by_run(&ground, &config)?;
    called.extend(called_for_a_password(&ground, &config)?);
    called.extend(called_by_check(&ground, &config)?);

    let listed = listed()?;
    let unlisted: Vec<_> = called.difference(&listed).collect();
    ensure!(unlisted.is_empty(), "called and not listed: {unlisted:?}");
    let explained = explained()?;
    let unknown: Vec<_> = explained.difference(&listed).collect();
    ensure!(unknown.is_empty(), "explained and not listed: {unknown:?}");
    let known = &called | &explained;
    let needless: Vec<_> = listed.difference(&known).collect();
    ensure!(needless.is_empty(), "listed for no reason: {needless:?}");
    Ok(())
}

fn called_by_run(ground: &Ground, config: &Path) -> Result<BTreeSet<String>> {
    let counts = ground.folder.path().join("run");
    let flags = ["--web.enable-lifecycle", "--config.auto-reload"];
    let agent = Agent::start_within(binary(regprobe(["run"])), config, &flags, |agent| {
        Ok(counting(&agent, &counts))
    })?;
    agent.until_ready()?;
    agent.signal(Signal::SIGHUP)?;
    agent.post("/-/reload")?.expect_status(200)?;
    for path in [
        "/",
        "/metrics",
        "/api/v1/status",
        "/api/v1/history",
        "/api/v1/bundle",
    ] {
        agent.get(path)?.expect_status(200)?;
    }
    agent.until_rounds(&["contoso", "tokens", "tls"])?;
    ensure!(agent.end()?.success());
    counted(&counts)
}

/// The calls of the thread that computes the hash; no other test starts it.
fn called_for_a_password(ground: &Ground, config: &Path) -> Result<BTreeSet<String>> {
    let counts = ground.folder.path().join("password");
    let settings = ground.folder.path().join("web.yaml");
    let hash = bcrypt::hash("secret", 4)?;
    fs::write(
        &settings,
        format!("basic_auth_users: {{prometheus: \"{hash}\"}}\n"),
    )?;
    let flag = format!("--web.config.file={}", settings.display());
    let agent = Agent::start_within(binary(regprobe(["run"])), config, &[&flag], |agent| {
        Ok(counting(&agent, &counts))
    })?;
    agent.until_ready()?;
    let login = format!("Basic {}", BASE64_STANDARD.encode("prometheus:secret"));
    client::get(agent.addr, "/metrics")
        .header("Authorization", &login)
        .send()?
        .expect_status(200)?;
    ensure!(agent.end()?.success());
    counted(&counts)
}

fn called_by_check(ground: &Ground, config: &Path) -> Result<BTreeSet<String>> {
    let counts = ground.folder.path().join("check");
    let mut check = binary(regprobe(["check"]));
    check.arg(format!("--config.file={}", config.display()));
    let out = counting(&check, &counts).output()?;
    ensure!(out.status.success(), "{}", printed(&out));
    counted(&counts)
}

/// The same with the image's binary, if there is one, because its system calls are what counts.
fn binary(command: Command) -> Command {
    let program = env::var_os("REGPROBE_STATIC_BINARY");
    let mut same = Command::new(program.unwrap_or_else(|| command.get_program().to_owned()));
    same.args(command.get_args());
    same
}

/// The command with its system calls counted. It stays the child process; strace attaches to it.
fn counting(command: &Command, counts: &Path) -> Command {
    let mut strace = Command::new("/usr/bin/strace");
    strace
        .args(["-D", "-f", "-qq", "-c", "-U", "name", "-o"])
        .arg(counts)
        .arg(command.get_program())
        .args(command.get_args());
    let set = |(name, value): (&std::ffi::OsStr, Option<&std::ffi::OsStr>)| {
        Some((OsString::from(name), OsString::from(value?)))
    };
    strace.envs(command.get_envs().filter_map(set));
    strace
}

/// strace writes it at the end, with one name a line between rules.
fn counted(counts: &Path) -> Result<BTreeSet<String>> {
    let text = wait::until("strace ends", SOON, || {
        let text = fs::read_to_string(counts)?;
        ensure!(text.trim_end().ends_with("total"), "{text}");
        Ok(text)
    })?;
    let is_name = |line: &&str| !line.starts_with('-') && *line != "syscall" && *line != "total";
    let names = text.lines().map(str::trim).filter(is_name);
    Ok(names.map(str::to_owned).collect())
}

fn listed() -> Result<BTreeSet<String>> {
    let profile = container::profile()?;
    let lists = profile["syscalls"].as_array().context("no lists")?;
    let names = lists
        .iter()
        .flat_map(|list| list["names"].as_array())
        .flatten();
    Ok(names
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect())
}

/// The calls that the README gives a reason for: the words in backquotes in its table's first column.
fn explained() -> Result<BTreeSet<String>> {
    let text = fs::read_to_string(repository("deploy/seccomp/README.md"))?;
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    let cells = rows.filter_map(|row| Some(row.split_once(" | ")?.0));
    let names = cells.flat_map(|cell| cell.split("`, `"));
    Ok(names
        .map(|name| name.trim_matches('`').to_owned())
        .collect())
}
