//! Every block that claims to be a shell script, by the real shell and shellcheck.

use std::fs;
use std::process::Command;

use anyhow::{Result, ensure};
use regprobe_harness::need::tool;
use tempfile::TempDir;

use super::page::pages;
use super::write;

/// What a block may be in. Whatever is to be pasted into a shell is `sh`.
const LANGUAGES: [&str; 4] = ["sh", "promql", "kusto", "powershell"];

pub(super) fn bash_parses_them() -> Result<()> {
    for page in pages()? {
        for block in &page.blocks {
            ensure!(
                LANGUAGES.contains(&&*block.language),
                "{}: a block in {:?}",
                block.place,
                block.language
            );
        }
        for block in page.scripts() {
            let output = Command::new("bash")
                .args(["-n", "-c", &block.text])
                .output()?;
            let error = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.success(), "{}: {error}", block.place);
        }
    }
    Ok(())
}

pub(super) fn shellcheck_passes() -> Result<()> {
    let folder = TempDir::new()?;
    for page in pages()? {
        for block in page.scripts() {
            write(folder.path(), &block.place.replace('/', "-"), &block.text)?;
        }
    }
    let files = fs::read_dir(folder.path())?.map(|entry| Ok(entry?.path()));
    let output = Command::new(tool("python/bin/shellcheck"))
        .args([
            "--norc",
            "--shell=bash",
            "--severity=warning",
            "--format=gcc",
        ])
        .args(files.collect::<Result<Vec<_>>>()?)
        .output()?;
    let found = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{found}");
    Ok(())
}
