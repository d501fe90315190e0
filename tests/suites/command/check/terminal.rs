//! `regprobe check` on a terminal: what it shows while a round runs and afterwards, and what `--watch`
//! shows there and in a pipe.

use std::io::Read;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use regprobe_harness::contoso::Contoso;
use regprobe_harness::terminal::Terminal;
use regprobe_lab::addresses::loopback;
use regprobe_lab::fakes::acr::{Answer, Route};
use regprobe_lab::fakes::sockets;
use regprobe_lab::wait;

use super::{leading_to, stdout};

const SOON: Duration = Duration::from_secs(20);
/// The last line while a round runs.
const RUNNING: &str = "s so far; no stage takes more than";

/// Each stage while the round runs, and then the same report as in a pipe.
pub(crate) fn progress() -> Result<()> {
    let (contoso, silent) = (Contoso::new()?, sockets::stalls((loopback(), 0))?);
    let servers = [contoso.acr.server(), silent.addr().to_string()];
    let mut check = contoso.node.regprobe(["check"]);
    check.args(&servers).args(leading_to(&contoso));
    let mut terminal = Terminal::start(check, 60, 100)?;
    let running = terminal.until_it_shows(&format!("login {}\n  connect", silent.addr()))?;
    ensure!(running.contains(RUNNING), "{running}");
    let status = terminal.ended()?;
    ensure!(status.code() == Some(1), "{status}");

    let frames = terminal.frames();
    // Of a stage that takes no time, no frame need show the beginning.
    for part in [" ms  tls ", " ms  token ", " ms  challenge …", RUNNING] {
        ensure!(
            frames.iter().any(|frame| frame.contains(part)),
            "never {part:?} in {frames:#?}"
        );
    }
    let shown = terminal.shows();
    ensure!(
        shown.starts_with(&format!("{}  OK  ", servers[0])),
        "{shown}"
    );
    ensure!(
        !shown.contains(RUNNING) && shown.contains(&format!("{}  FAILING  ", servers[1])),
        "{shown}"
    );
    Ok(())
}

/// A wide terminal is used up to a readable line length, in colour; a narrow one like a pipe.
pub(crate) fn widths() -> Result<()> {
    let contoso = Contoso::new()?;
    let check = || {
        let mut check = contoso.node.regprobe(["check", "nobody.azurecr.io"]);
        check.arg(contoso.acr.server()).args(leading_to(&contoso));
        check
    };
    let longest = |columns| {
        let mut terminal = Terminal::start(check(), 80, columns)?;
        terminal.ended()?;
        let written = terminal.written();
        ensure!(
            written.contains("\u{1b}[1m\u{1b}[31mFAILING\u{1b}[0m"),
            "{written:?}"
        );
        let shown = terminal.shows();
        let lengths = shown.lines().map(|line| line.chars().count());
        lengths.max().context("nothing")
    };
    for (columns, fits) in [(80, 61..=80), (100, 81..=100), (160, 101..=120)] {
        let longest = longest(columns)?;
        ensure!(fits.contains(&longest), "{columns} columns: {longest}");
    }
    let piped = stdout(&check().output()?);
    let longest = piped.lines().map(|line| line.chars().count()).max();
    ensure!(longest <= Some(80), "{piped}");
    Ok(())
}

/// The progress of many endpoints leaves nothing in the scrollback.
pub(crate) fn progress_that_fits() -> Result<()> {
    let contoso = Contoso::new()?;
    let silent = sockets::stalls((loopback(), 0))?;
    let port = silent.addr().port();
    let data: Vec<_> = (1..40)
        .map(|n| format!("\"http://127.30.0.{n}:{port}\""))
        .collect();
    let config = contoso.node.configure(&[format!(
        "{{server: \"http://{}\", data_endpoints: [{}]}}",
        silent.addr(),
        data.join(", ")
    )])?;
    let mut check = contoso.node.regprobe(["check", "--config.file"]);
    check.arg(config);
    let mut terminal = Terminal::start(check, 10, 60)?;
    terminal.ended()?;
    let frames = terminal.frames();
    // If it had scrolled, the first line would be different.
    let first = format!("login {}\n", silent.addr());
    let mut running = frames
        .iter()
        .filter(|frame| frame.contains(" …"))
        .peekable();
    ensure!(running.peek().is_some(), "{frames:#?}");
    ensure!(
        running.all(|frame| frame.starts_with(&first)),
        "{frames:#?}"
    );
    Ok(())
}

/// Plain text, output for programs, and pipes have no progress.
pub(crate) fn no_progress() -> Result<()> {
    let contoso = Contoso::new()?;
    let server = contoso.acr.server();
    let check = |flags: &[&str]| {
        let mut check = contoso.node.regprobe(["check", &server]);
        check.args(leading_to(&contoso)).args(flags);
        check
    };
    for (flags, variable) in [
        (&[][..], ("NO_COLOR", "1")),
        (&[], ("TERM", "dumb")),
        (&["--output=json"], ("TERM", "xterm")),
        (&["--output=npd"], ("TERM", "xterm")),
    ] {
        let mut check = check(flags);
        check.env(variable.0, variable.1);
        let mut terminal = Terminal::start(check, 50, 100)?;
        let status = terminal.ended()?;
        let written = terminal.written();
        ensure!(status.code() == Some(0), "{flags:?}: {written}");
        ensure!(
            !written.contains('\u{1b}') && !written.contains(RUNNING),
            "{flags:?} {variable:?}: {written:?}"
        );
    }
    let out = check(&[]).output()?;
    ensure!(out.stderr.is_empty(), "{out:?}");
    ensure!(
        stdout(&out).starts_with(&format!("{server}  OK  ")) && !stdout(&out).contains('\u{1b}')
    );
    Ok(())
}

/// In a pipe: the first round in full, then a block for each change, and nothing else.
pub(crate) fn watch_in_a_pipe() -> Result<()> {
    let contoso = Contoso::new()?;
    let watch = Watch::start(watching(&contoso))?;
    let server = contoso.acr.server();
    let first = watch.until_it_says("the first round; checking every 1s")?;
    ensure!(is_stamped(&first), "{first}");
    watch.until_it_says(&format!("\n{server}  OK  "))?;

    // Rounds without a change print nothing. By the second round the first report is complete.
    let rounds = |count: usize| {
        let pings = contoso.acr.seen_on(Route::Ping).len();
        wait::until("more rounds", SOON, || {
            let now = contoso.acr.seen_on(Route::Ping).len();
            ensure!(now >= pings + count, "{now} pings, {pings} before");
            Ok(())
        })
    };
    rounds(1)?;
    let before = watch.said();
    rounds(3)?;
    let quiet = watch.said();
    ensure!(quiet == before, "{quiet}");

    contoso.acr.answer(Route::Ping, Answer::Status(503));
    let broken = watch.until_it_says("  CRITICAL RegistryError  login ")?;
    let news = broken[before.len()..].trim_start();
    ensure!(
        is_stamped(news) && news.contains(&format!("Z  {server}\n  OK -> FAILING  ")),
        "{news}"
    );
    contoso.acr.fix();
    watch.until_it_says("  FAILING -> OK  ")?;
    watch.until_it_says("  cleared: RegistryError  login ")?;

    let address = loopback();
    contoso
        .dns
        .address(regprobe_harness::contoso::LOGIN, [address], 60);
    let changed = format!(" {} -> {address} ", contoso.ip());
    wait::until("the change of the address is printed", SOON, || {
        // The length of the addresses decides where the line is wrapped.
        let words: Vec<_> = watch.said().split_whitespace().map(str::to_owned).collect();
        let words = words.join(" ") + " ";
        ensure!(words.contains(&changed), "{words}");
        Ok(())
    })?;
    let said = watch.said();
    ensure!(!said.contains('\u{1b}'), "{said:?}");
    Ok(())
}

/// The exit status is that of the last round, however the check ends.
pub(crate) fn watch_ends() -> Result<()> {
    let contoso = Contoso::new()?;
    let mut watch = Watch::start(watching(&contoso))?;
    watch.until_it_says("  OK  ")?;
    ensure!(watch.end(Signal::SIGINT)? == Some(0));

    contoso.acr.answer(Route::Ping, Answer::Status(503));
    let mut watch = Watch::start(watching(&contoso))?;
    watch.until_it_says("  FAILING  ")?;
    ensure!(watch.end(Signal::SIGTERM)? == Some(1));

    // No round was finished.
    contoso.acr.forget();
    contoso.acr.answer(Route::Ping, Answer::HangBeforeHeaders);
    let mut check = contoso.node.regprobe(["check", "--watch", "--timeout=60s"]);
    check
        .arg(contoso.acr.server())
        .arg(format!("--nameserver={}", contoso.dns.addr()));
    let mut watch = Watch::start(check)?;
    wait::until("it asks", SOON, || {
        ensure!(!contoso.acr.seen().is_empty(), "it has not");
        Ok(())
    })?;
    ensure!(watch.end(Signal::SIGINT)? == Some(2));

    // A reader that closes the pipe.
    contoso.acr.fix();
    let mut command = watching(&contoso);
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    drop(child.stdout.take());
    let status = wait::until("it ends", SOON, || child.try_wait()?.context("it goes on"));
    let _ = child.kill();
    ensure!(status?.code() == Some(0));
    Ok(())
}

/// On a terminal the last line shows the current state, and changes stay above it.
pub(crate) fn watch_on_a_terminal() -> Result<()> {
    let contoso = Contoso::new()?;
    let server = contoso.acr.server();
    let mut terminal = Terminal::start(watching(&contoso), 60, 100)?;
    let foot = "; Ctrl-C ends it";
    let shown = terminal.until_it_shows(foot)?;
    ensure!(
        shown.contains("the first round; checking every 1s") && !shown.contains(RUNNING),
        "{shown}"
    );
    terminal.until_it_shows("\nround 3, next at ")?;
    let shown = terminal.shows();
    ensure!(shown.matches(foot).count() == 1, "{shown}");

    contoso.acr.answer(Route::Ping, Answer::Status(503));
    terminal.until_it_shows("  OK -> FAILING  ")?;
    let shown = terminal.until_it_shows(&format!("\n{server}  FAILING  since "))?;
    ensure!(shown.matches(foot).count() == 1, "{shown}");

    terminal.signal(Signal::SIGINT)?;
    let status = terminal.ended()?;
    ensure!(status.code() == Some(1), "{status}");
    let shown = terminal.shows();
    ensure!(
        !shown.contains(foot) && shown.contains(&format!("\n{server}  FAILING  since ")),
        "{shown}"
    );
    Ok(())
}

fn watching(contoso: &Contoso) -> Command {
    let mut check = contoso.node.regprobe(["check", "--watch=1s"]);
    check.arg(contoso.acr.server()).args(leading_to(contoso));
    check
}

fn is_stamped(text: &str) -> bool {
    let stamp = text.split_whitespace().next().unwrap_or_default();
    stamp.parse::<jiff::Timestamp>().is_ok()
}

/// A check with `--watch`, and its output so far.
struct Watch {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Watch {
    fn start(mut command: Command) -> Result<Self> {
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let said = Arc::default();
        let stdout = child.stdout.take().context("no output")?;
        let heard = Arc::clone(&said);
        thread::spawn(move || hear(stdout, &heard));
        Ok(Self { child, said })
    }

    fn said(&self) -> String {
        self.said
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn until_it_says(&self, text: &str) -> Result<String> {
        wait::until(&format!("it says {text:?}"), SOON, || {
            let said = self.said();
            ensure!(said.contains(text), "{said}");
            Ok(said)
        })
    }

    fn end(&mut self, signal: Signal) -> Result<Option<i32>> {
        kill(Pid::from_raw(self.child.id().try_into()?), signal)?;
        let status = wait::until("it ends", SOON, || {
            self.child.try_wait()?.context("it goes on")
        })?;
        Ok(status.code())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn hear(mut stdout: ChildStdout, said: &Mutex<String>) {
    let mut piece = [0; 4096];
    while let Ok(length @ 1..) = stdout.read(&mut piece) {
        let text = String::from_utf8_lossy(&piece[..length]);
        said.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_str(&text);
    }
}
