//! The runbooks, as someone follows them half asleep: every command is one that the real tools know, every
//! script parses, and whatever changes something says so first.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use regprobe_harness::need::Need;
use regprobe_harness::suite::{Suite, test};

mod calls;
mod changes;
mod facts;
mod page;
mod quotes;
mod scripts;
mod shell;

use page::pages;

/// The tools are slow to start, and there are many commands. Guards against a hang only.
const MANY_PROGRAMS: Duration = Duration::from_secs(600);

pub(crate) fn suite() -> Suite {
    Suite::of([
        test(
            "every az command is one of the Azure CLI",
            calls::azure_cli_knows_them,
        )
        .needs([Need::AZURE_CLI, Need::BASH])
        .within(MANY_PROGRAMS),
        test(
            "every kubectl and helm command is one of theirs",
            calls::kubernetes_tools_know_them,
        )
        .needs([Need::KUBECTL, Need::HELM, Need::BASH])
        .within(MANY_PROGRAMS),
        test("every script parses", scripts::bash_parses_them).needs([Need::BASH]),
        test("shellcheck finds nothing", scripts::shellcheck_passes).needs([Need::SHELLCHECK]),
        test(
            "whatever changes something says what, whom it affects, and how to undo it",
            changes::carry_a_warning,
        ),
        test("confirming changes nothing", confirming_reads),
        test(
            "every page confirms on the laptop, the node and in the pod",
            three_places,
        ),
        test("every fact is listed", facts::are_listed),
        test(
            "whatever containerd is said to print was printed in the fault lab",
            quotes::were_printed,
        ),
    ])
}

/// The blocks below `## Confirm` change nothing.
fn confirming_reads() -> Result<()> {
    for page in pages()?.iter().filter(|page| !page.is_guide()) {
        for block in page.scripts().filter(|block| block.below("## Confirm")) {
            let change = changes::of(&block.text);
            ensure!(change.is_none(), "{}: {change:?}", block.place);
        }
    }
    Ok(())
}

/// Pages of findings and alerts confirm in three places, each with a block to paste.
fn three_places() -> Result<()> {
    for page in pages()?.iter().filter(|page| !page.is_guide()) {
        for place in ["### Laptop", "### Node", "### Pod"] {
            let mut blocks = page.blocks.iter();
            ensure!(
                blocks.any(|block| block.below("## Confirm") && block.below(place)),
                "{}: nothing below {place}",
                page.name
            );
        }
    }
    Ok(())
}

/// Writes `text` to a file below `folder`.
fn write(folder: &Path, name: &str, text: &str) -> Result<()> {
    std::fs::write(folder.join(name), text).with_context(|| format!("cannot write {name}"))
}
