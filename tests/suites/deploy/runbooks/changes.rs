//! Which commands change something. Only what is known to read counts as reading.

use anyhow::{Result, ensure};

use super::page::pages;
use super::shell;

/// Programs that only read, however they are called in the runbooks.
const READERS: &str = "awk bash cat containerd curl cut date df dig dmesg echo getent grep head \
    iptables-save journalctl ls openssl pidof printf resolvectl seq sleep sort ss tail tcpdump \
    timedatectl tr uname uniq wait wc [";

/// A block that changes something stands right below a quotation that says what it changes, whom it affects
/// and how to undo it; no other block does, and no other text names such a command.
pub(super) fn carry_a_warning() -> Result<()> {
    let mut faults = Vec::new();
    for page in pages()? {
        for block in page.scripts() {
            let warned = ["**Changes:**", "**Affects:**", "**Undo:**"]
                .iter()
                .all(|part| block.warning.contains(part));
            match of(&block.text) {
                Some(command) if !warned => {
                    faults.push(format!("{}: no warning of {command}", block.place));
                }
                None if warned => faults.push(format!("{}: a warning of nothing", block.place)),
                _ => {}
            }
        }
        for (span, warned) in &page.spans {
            // A name without options is no command to paste.
            let is_pasted = span.contains(" -") || span.starts_with("systemctl re");
            if is_pasted && !warned && is_tool(span) && of(span).is_some() {
                faults.push(format!("{}: no warning of {span}", page.name));
            }
        }
    }
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}

fn is_tool(span: &str) -> bool {
    let first = span.split(' ').next().unwrap_or_default();
    ["az", "kubectl", "helm", "systemctl", "networkctl", "ip"].contains(&first)
}

/// The first command of a script that changes something.
pub(super) fn of(script: &str) -> Option<String> {
    let mut commands = shell::commands(script).into_iter();
    commands
        .find(|words| changes(words))
        .map(|words| words.join(" "))
}

fn changes(words: &[String]) -> bool {
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let has = |any: &[&str]| words.iter().any(|word| any.contains(word));
    let second = words.get(1).copied().unwrap_or_default();
    writes_a_file(&words)
        || match words[0] {
            "az" => !azure_reads(&words),
            "kubectl" => ![
                "get", "describe", "logs", "events", "debug", "exec", "explain",
            ]
            .contains(&second),
            "helm" => !["history", "status", "list"].contains(&second),
            "systemctl" => !["status", "cat"].contains(&second),
            "chronyc" => !["tracking", "sources"].contains(&second),
            "crictl" => !["images", "ps"].contains(&second),
            "nft" => second != "list",
            "ip" => has(&["add", "del", "replace", "set", "flush"]),
            "sed" => has(&["-i"]),
            "sysctl" => has(&["-w"]),
            // Prints where a program is.
            "command" => second != "-v",
            program => !READERS.split_whitespace().any(|reader| reader == program),
        }
}

/// The first command of a script that writes a file outside of the current folder.
pub(super) fn writes(script: &str) -> Option<String> {
    let commands = shell::commands(script);
    let words = commands.iter().map(|words| {
        let words = words.iter().map(String::as_str);
        words.collect::<Vec<_>>()
    });
    let mut writers = words.filter(|words| writes_a_file(words));
    writers.next().map(|words| words.join(" "))
}

/// Files in the current folder are the reader's own.
fn writes_a_file(words: &[&str]) -> bool {
    words.iter().enumerate().any(|(at, word)| {
        let word = word.trim_start_matches(|c: char| c.is_ascii_digit());
        let Some(target) = word.strip_prefix('>') else {
            return false;
        };
        let target = match target.trim_start_matches('>') {
            "" => words.get(at + 1).copied().unwrap_or_default(),
            target => target,
        };
        target.starts_with('/') && target != "/dev/null"
    })
}

/// The last word of the command's name says it.
fn azure_reads(words: &[&str]) -> bool {
    let is_name = |word: &&&str| {
        word.starts_with(|c: char| c.is_ascii_lowercase()) && !word.contains(['/', '.'])
    };
    let verb = words[1..].iter().take_while(is_name).last();
    verb.is_some_and(|verb| {
        ["show", "list", "check-", "get-"]
            .iter()
            .any(|reads| verb.starts_with(reads))
    })
}
