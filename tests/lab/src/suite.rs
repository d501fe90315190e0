//! End-to-end tests as a list: each has a name, what it needs of the machine, and a function. A test
//! whose needs are not met is reported as ignored, with what is missing; it is never silently green.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use nix::unistd::Uid;

/// How long a test may take that does not say otherwise.
const LIMIT: Duration = Duration::from_secs(120);

/// Set to anything, it turns an unmet need into a failure: for machines that have everything.
const STRICT: &str = "REGPROBE_LAB_STRICT";

/// What a test needs of the machine it runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Network namespaces and low ports.
    Root,
    /// A Debian package, and the program of it that is used.
    Package(&'static str, &'static str),
    /// What `tests/run` brings from npm into `tests/tools`: a file there.
    Tool(&'static str),
}

impl Need {
    pub const BIND: Self = Self::Package("bind9", "/usr/sbin/named");
    pub const CONTAINERD: Self = Self::Package("containerd", "/usr/bin/containerd");
    pub const CURL: Self = Self::Package("curl", "/usr/bin/curl");
    pub const BASH: Self = Self::Package("bash", "/usr/bin/bash");
    pub const DIG: Self = Self::Package("bind9-dnsutils", "/usr/bin/dig");
    pub const DNSMASQ: Self = Self::Package("dnsmasq-base", "/usr/sbin/dnsmasq");
    pub const DOCKER_REGISTRY: Self = Self::Package("docker-registry", "/usr/bin/docker-registry");
    pub const FAKETIME: Self = Self::Package("faketime", "/usr/bin/faketime");
    pub const FISH: Self = Self::Package("fish", "/usr/bin/fish");
    pub const GROFF: Self = Self::Package("groff-base", "/usr/bin/groff");
    pub const IPROUTE: Self = Self::Package("iproute2", "/usr/sbin/ip");
    pub const NFTABLES: Self = Self::Package("nftables", "/usr/sbin/nft");
    pub const NGINX: Self = Self::Package("nginx-light", "/usr/sbin/nginx");
    pub const OPENSSL: Self = Self::Package("openssl", "/usr/bin/openssl");
    pub const RUNC: Self = Self::Package("runc", "/usr/sbin/runc");
    pub const SQUID: Self = Self::Package("squid", "/usr/sbin/squid");
    pub const STRACE: Self = Self::Package("strace", "/usr/bin/strace");
    pub const PROMETHEUS: Self = Self::Package("prometheus", "/usr/bin/prometheus");

    pub const ALERTMANAGER: Self = Self::Package(
        "prometheus-alertmanager",
        "/usr/bin/prometheus-alertmanager",
    );
    pub const ZSH: Self = Self::Package("zsh", "/usr/bin/zsh");
    pub const CHROMIUM: Self = Self::Package("chromium", "/usr/bin/chromium");
    pub const HELM: Self = Self::Tool("layer/helm/helm");
    pub const KUBECTL: Self = Self::Tool("layer/kubectl/kubectl");
    /// Beside the sources of the dashboards, which is where npm installs it.
    pub const DASHBOARD_SDK: Self =
        Self::Tool("../../deploy/grafana/src/node_modules/@grafana/grafana-foundation-sdk");

    fn is_met(self) -> bool {
        match self {
            Self::Root => Uid::effective().is_root(),
            Self::Package(_, program) => Path::new(program).exists(),
            Self::Tool(file) => tool(file).exists(),
        }
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("root"),
            Self::Package(package, program) => write!(f, "{program} of package {package}"),
            Self::Tool(file) => write!(f, "{file} in tests/tools"),
        }
    }
}

/// Where `tests/run` has put a file from npm.
#[must_use]
pub fn tool(file: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../tools")).join(file)
}

/// One test of a suite.
#[must_use]
pub struct Test {
    name: String,
    needs: Vec<Need>,
    limit: Duration,
    run: Box<dyn FnOnce() -> Result<()> + Send>,
}

/// A test that needs nothing, until it is said to.
pub fn test(name: impl Into<String>, run: impl FnOnce() -> Result<()> + Send + 'static) -> Test {
    Test {
        name: name.into(),
        needs: Vec::new(),
        limit: LIMIT,
        run: Box::new(run),
    }
}

impl Test {
    pub fn needs(mut self, needs: impl IntoIterator<Item = Need>) -> Self {
        self.needs.extend(needs);
        self
    }

    /// Fails once it has run for this long.
    pub fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    fn missing(&self) -> Vec<String> {
        self.needs
            .iter()
            .filter(|need| !need.is_met())
            .map(ToString::to_string)
            .collect()
    }

    fn into_trial(self) -> Trial {
        Trial::ignorable_test(self.name.clone(), move || {
            let missing = self.missing().join(", ");
            if missing.is_empty() {
                return run_within(self.limit, self.run).map(|()| Completion::Completed);
            }
            if std::env::var_os(STRICT).is_some() {
                return Err(format!("needs {missing}").into());
            }
            eprintln!("ignored: {}: needs {missing}", self.name);
            Ok(Completion::ignored_with(format!("needs {missing}")))
        })
    }
}

/// Runs the tests that the command line asks for; the whole `main` of a test file.
pub fn run(tests: impl IntoIterator<Item = Test>) -> ExitCode {
    run_with(&Arguments::from_args(), tests)
}

/// As [`run`], with so many at a time unless the command line says otherwise: for tests that wait
/// most of the time.
pub fn run_many_at_a_time(threads: usize, tests: impl IntoIterator<Item = Test>) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(threads);
    run_with(&arguments, tests)
}

fn run_with(arguments: &Arguments, tests: impl IntoIterator<Item = Test>) -> ExitCode {
    let trials = tests.into_iter().map(Test::into_trial).collect();
    libtest_mimic::run(arguments, trials).exit_code()
}

/// A test that overruns its limit is left behind on its thread and ends with the process.
fn run_within(limit: Duration, run: Box<dyn FnOnce() -> Result<()> + Send>) -> Result<(), Failed> {
    let (report, outcome) = mpsc::channel();
    let test = thread::Builder::new().spawn(move || {
        let outcome = run();
        let _ = report.send(());
        outcome
    })?;
    if outcome.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout) {
        return Err(format!("still running after {limit:?}").into());
    }
    match test.join() {
        Ok(outcome) => outcome.map_err(|error| format!("{error:?}").into()),
        Err(panic) => {
            let said = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied());
            Err(said.unwrap_or("panicked").into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_panics_and_overruns_fail() {
        let limit = Duration::from_millis(50);
        let outcome = |run: fn() -> Result<()>| {
            run_within(limit, Box::new(run))
                .map_err(|failed| failed.message().unwrap_or("").to_owned())
        };
        assert_eq!(outcome(|| Ok(())), Ok(()));
        assert!(
            outcome(|| anyhow::bail!("broken"))
                .unwrap_err()
                .starts_with("broken")
        );
        assert_eq!(outcome(|| panic!("boo")), Err("boo".to_owned()));
        assert_eq!(
            outcome(|| loop {
                thread::park();
            }),
            Err("still running after 50ms".to_owned())
        );
    }

    #[test]
    fn what_is_missing_is_said() {
        let test = test("", || Ok(())).needs([Need::Package("nonesuch", "/nonesuch")]);
        assert_eq!(test.missing(), ["/nonesuch of package nonesuch"]);
    }
}
