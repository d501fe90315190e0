//! End-to-end tests as lists: each test has a name, its needs, and a function. A test whose needs are not
//! met is reported as ignored, with what is missing; it never passes silently.
//!
//! A test program holds several suites. Without arguments it runs one after the other; `--suites` lists
//! them, and `--suite=NAME` runs one, which is how `tests/run` runs several at the same time.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::need::Need;

/// The default limit of a test.
const LIMIT: Duration = Duration::from_secs(120);

/// Set to anything, it turns an unmet need into a failure: for machines that have everything.
const STRICT: &str = "REGPROBE_LAB_STRICT";

/// One test of a suite.
#[must_use]
pub struct Test {
    name: String,
    needs: Vec<Need>,
    limit: Duration,
    run: Box<dyn FnOnce() -> Result<()> + Send>,
}

/// A test without needs.
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

    /// Fails after this time.
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
            if env::var_os(STRICT).is_some() {
                return Err(format!("needs {missing}").into());
            }
            eprintln!("ignored: {}: needs {missing}", self.name);
            Ok(Completion::ignored_with(format!("needs {missing}")))
        })
    }
}

/// Tests that are run together.
#[must_use]
pub struct Suite {
    tests: Vec<Test>,
    at_a_time: Option<usize>,
    end: Option<Box<dyn FnOnce() -> Result<()>>>,
}

impl Suite {
    /// Runs as many tests at a time as the machine has processors.
    pub fn of(tests: impl IntoIterator<Item = Test>) -> Self {
        Self {
            tests: tests.into_iter().collect(),
            at_a_time: None,
            end: None,
        }
    }

    /// Runs this many tests at a time unless the command line says otherwise: more for tests that
    /// mostly wait, one for tests that measure time.
    pub fn at_a_time(mut self, tests: usize) -> Self {
        self.at_a_time = Some(tests);
        self
    }

    /// Adds a last step, which can fail because of what all tests together have seen.
    pub fn and_then(mut self, end: impl FnOnce() -> Result<()> + 'static) -> Self {
        self.end = Some(Box::new(end));
        self
    }

    /// Returns whether no test failed.
    fn run(self, name: &str, mut arguments: Arguments) -> bool {
        if let Some(tests) = self.at_a_time {
            arguments.test_threads.get_or_insert(tests);
        }
        let trials = self.tests.into_iter();
        let trials = trials.map(|test| test.into_trial().with_kind(name));
        let conclusion = libtest_mimic::run(&arguments, trials.collect());
        let has_run = conclusion.num_passed + conclusion.num_failed > 0;
        let ended = match self.end {
            Some(end) if has_run => end(),
            _ => Ok(()),
        };
        if let Err(error) = &ended {
            eprintln!("{name}: {error:#}");
        }
        ended.is_ok() && !conclusion.has_failed()
    }
}

/// A suite's name and constructor.
pub type Named = (&'static str, fn() -> Suite);

/// The whole `main` of a test program: its suites, and those that only run by name.
pub fn main(suites: &[Named], by_name: &[Named]) -> ExitCode {
    let (own, others): (Vec<_>, Vec<_>) = env::args_os().partition(is_own);
    let chosen: Vec<_> = match own.first().and_then(|argument| argument.to_str()) {
        None => suites.iter().collect(),
        Some("--suites") => {
            for (name, _) in suites {
                println!("{name}");
            }
            return ExitCode::SUCCESS;
        }
        Some(argument) => suites
            .iter()
            .chain(by_name)
            .filter(|(name, _)| argument.strip_prefix("--suite=") == Some(name))
            .collect(),
    };
    if chosen.is_empty() {
        eprintln!("no suite has this name: {own:?}");
        return ExitCode::FAILURE;
    }
    let arguments = Arguments::from_iter(others);
    let mut passed = true;
    for (name, make) in chosen {
        passed &= make().run(name, arguments.clone());
    }
    // A test that was left behind ends with this process, but what it has started would not.
    for child in children() {
        let _ = kill(child, Signal::SIGKILL);
    }
    match passed {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn is_own(argument: &OsString) -> bool {
    argument
        .to_str()
        .is_some_and(|argument| argument == "--suites" || argument.starts_with("--suite="))
}

/// The processes that this one has started and that still run.
fn children() -> Vec<Pid> {
    let threads = fs::read_dir("/proc/self/task");
    let threads = threads.into_iter().flatten().flatten();
    let lists =
        threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let parse = |list: String| -> Vec<_> {
        let ids = list.split_whitespace().filter_map(|id| id.parse().ok());
        ids.map(Pid::from_raw).collect()
    };
    lists.flat_map(parse).collect()
}

/// A test that exceeds its limit is left behind on its thread and ends with the process.
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
    fn children_are_found() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let id = Pid::from_raw(child.id().cast_signed());
        assert!(children().contains(&id));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!children().contains(&id));
    }

    #[test]
    fn what_is_missing_is_said() {
        let test = test("", || Ok(())).needs([Need::Package("nonesuch", "/nonesuch")]);
        assert_eq!(test.missing(), ["/nonesuch of package nonesuch"]);
    }
}
