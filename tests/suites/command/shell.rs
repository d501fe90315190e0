//! Completions and the manual page in real shells. `agent/src/shell.rs` tests that they match the
//! command line.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use regprobe_harness::need::Need;
use regprobe_harness::program::REGPROBE;
use regprobe_harness::suite::{Suite, test};
use regprobe_harness::terminal::Terminal;
use regprobe_lab::wait;

const SOON: Duration = Duration::from_secs(20);

pub(crate) fn suite() -> Suite {
    Suite::of([
        test("bash completes", bash).needs([Need::BASH]),
        test("zsh completes", zsh).needs([Need::ZSH]),
        test("fish completes", fish).needs([Need::FISH]),
        test("groff accepts the manual page", manual).needs([Need::GROFF]),
    ])
}

/// What is typed, and some of what a shell must offer.
const OFFERS: [(&str, &[&str]); 5] = [
    ("regprobe ", &["run", "check", "explain"]),
    ("regprobe check --ca", &["--ca-file"]),
    ("regprobe check --wa", &["--watch"]),
    ("regprobe check --output ", &["text", "json", "npd"]),
    ("regprobe run --config.file Cargo.t", &["Cargo.toml"]),
];
/// The same, where the generator supports it: not for fish.
const OFFERS_OF_ARGUMENTS: [(&str, &[&str]); 4] = [
    ("regprobe check --output=", &["text", "json", "npd"]),
    ("regprobe run --log.level=d", &["debug"]),
    ("regprobe completions ", &["bash", "zsh", "fish"]),
    (
        "regprobe explain PrivateLink",
        &["PrivateLinkRecordMissing", "PrivateLinkShadowZone"],
    ),
];

fn bash() -> Result<()> {
    let mut bash = Command::new("/usr/bin/bash");
    bash.args(["--norc", "--noprofile", "-i"]);
    let setup = r#"PS1='> '; source <("$REGPROBE" completions bash) && complete -p regprobe"#;
    offers_at_a_tab(bash, setup, "-F _regprobe regprobe\n")
}

fn zsh() -> Result<()> {
    let mut zsh = Command::new("/usr/bin/zsh");
    zsh.args(["-f", "-i"]);
    let setup = r#"PS1='> '; autoload -U compinit; compinit -u -D; source <("$REGPROBE" completions zsh) && whence -w _regprobe"#;
    offers_at_a_tab(zsh, setup, "_regprobe: function\n")
}

/// A shell on a terminal, which completes by itself after a tab.
fn offers_at_a_tab(mut shell: Command, setup: &str, is_set_up: &str) -> Result<()> {
    let home = tempfile::tempdir()?;
    shell.env("REGPROBE", &*REGPROBE).env("HOME", home.path());
    let mut terminal = Terminal::start(shell, 100, 200)?;
    terminal.keys(&format!("{setup}\n"))?;
    terminal.until_it_shows(is_set_up)?;
    for (typed, offers) in OFFERS.into_iter().chain(OFFERS_OF_ARGUMENTS) {
        // One tab completes what is common, the next lists what is left.
        terminal.keys(&format!("{typed}\t\t"))?;
        for offer in offers {
            terminal.until_it_shows(offer)?;
        }
        // Clears the line.
        terminal.keys("\u{15}clear\n")?;
        wait::until("the screen is cleared", SOON, || {
            let shown = terminal.shows();
            ensure!(shown.trim() == ">", "{shown}");
            Ok(())
        })?;
    }
    let written = terminal.written();
    ensure!(!written.contains("not found"), "{written}");
    Ok(())
}

fn fish() -> Result<()> {
    let home = tempfile::tempdir()?;
    for (typed, offers) in OFFERS {
        let out = Command::new("/usr/bin/fish")
            .args(["--no-config", "-c"])
            .arg("$REGPROBE completions fish | source; complete --do-complete=$TYPED")
            .env("REGPROBE", &*REGPROBE)
            .env("TYPED", typed)
            .env("HOME", home.path())
            .output()?;
        ensure!(out.stderr.is_empty(), "{out:?}");
        let offered = String::from_utf8(out.stdout)?;
        for offer in offers {
            let is_it = |line: &str| line.split('\t').next() == Some(offer);
            ensure!(
                offered.lines().any(is_it),
                "{typed:?}: no {offer} in {offered}"
            );
        }
    }
    Ok(())
}

fn manual() -> Result<()> {
    let page = Command::new(&*REGPROBE).arg("man").output()?.stdout;
    let mut groff = Command::new("/usr/bin/groff")
        .args(["-man", "-Tascii", "-ww", "-rLL=80n", "-P-cbou"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    groff.stdin.take().context("no input")?.write_all(&page)?;
    let out = groff.wait_with_output()?;
    ensure!(out.status.success() && out.stderr.is_empty(), "{out:?}");
    let text = String::from_utf8(out.stdout)?;
    for part in ["NAME", "REGPROBE CHECK", "EXIT STATUS", "EXAMPLES"] {
        ensure!(text.contains(part), "no {part} in {text}");
    }
    Ok(())
}
