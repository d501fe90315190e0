//! The Markdown of a runbook: its fenced blocks, and the commands within its text.

use std::fs;

use anyhow::{Context, Result};
use regprobe_harness::program::repository;

/// A page below `deploy/runbooks`.
pub(super) struct Page {
    /// Its path there.
    pub name: String,
    pub front_matter: String,
    pub blocks: Vec<Block>,
    /// Commands in the text, in backticks, and whether a warning names them.
    pub spans: Vec<(String, bool)>,
}

/// A fenced block.
pub(super) struct Block {
    /// Page and line, for messages.
    pub place: String,
    pub language: String,
    pub text: String,
    /// The headings above it, the innermost last.
    headings: Vec<String>,
    /// The quotation right before it.
    pub warning: String,
}

impl Page {
    /// Guides are not about one finding or alert.
    pub(super) fn is_guide(&self) -> bool {
        self.name.starts_with("guides/") || self.name == "README.md"
    }

    pub(super) fn scripts(&self) -> impl Iterator<Item = &Block> {
        self.blocks.iter().filter(|block| block.language == "sh")
    }

    fn parse(name: String, text: &str) -> Self {
        let front_matter = text.strip_prefix("---\n");
        let front_matter = front_matter.and_then(|text| text.split_once("---\n"));
        let (front_matter, body) = front_matter.unwrap_or(("", text));
        let first = text.lines().count() - body.lines().count() + 1;
        let (mut blocks, mut headings) = (Vec::new(), Vec::<String>::new());
        let (mut warning, mut prose) = (String::new(), String::new());
        let mut spans = Vec::new();
        let mut lines = body.lines().zip(first..);
        while let Some((line, number)) = lines.next() {
            let indent = line.len() - line.trim_start().len();
            let line = line.trim_start();
            if let Some(language) = line.strip_prefix("```") {
                let inside = lines.by_ref().map(|(line, _)| line);
                let inside = inside.take_while(|line| line.trim_start() != "```");
                let inside = inside.map(|line| line.get(indent..).unwrap_or_default());
                blocks.push(Block {
                    place: format!("{name}:{number}"),
                    language: language.to_owned(),
                    text: inside.map(|line| format!("{line}\n")).collect(),
                    headings: headings.clone(),
                    warning: std::mem::take(&mut warning),
                });
            } else if let Some(quoted) = line.strip_prefix("> ") {
                warning.push_str(quoted);
                warning.push(' ');
            } else if line.starts_with('#') {
                let level = line.find(' ').unwrap_or_default();
                headings.retain(|above| above.find(' ').unwrap_or_default() < level);
                headings.push(line.to_owned());
            } else if !line.is_empty() {
                spans.extend(commands(&warning).map(|command| (command, true)));
                warning.clear();
                prose.push_str(line);
                prose.push(' ');
                continue;
            }
            spans.extend(commands(&prose).map(|command| (command, false)));
            prose.clear();
        }
        spans.extend(commands(&prose).map(|command| (command, false)));
        for block in &blocks {
            spans.extend(commands(&block.warning).map(|command| (command, true)));
        }
        Self {
            name,
            front_matter: front_matter.to_owned(),
            blocks,
            spans,
        }
    }
}

impl Block {
    pub(super) fn below(&self, heading: &str) -> bool {
        self.headings.iter().any(|above| above == heading)
    }
}

/// The text within backticks, in Markdown without fences.
fn commands(text: &str) -> impl Iterator<Item = String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned)
}

/// Every page.
pub(super) fn pages() -> Result<Vec<Page>> {
    let root = repository("deploy/runbooks");
    let mut pages = Vec::new();
    for folder in ["", "alerts/", "guides/"] {
        for entry in fs::read_dir(root.join(folder)).context("no runbooks")? {
            let path = entry?.path();
            if path.is_file() {
                let file = path.file_name().unwrap_or_default().to_string_lossy();
                let text = fs::read_to_string(&path)?;
                pages.push(Page::parse(format!("{folder}{file}"), &text));
            }
        }
    }
    pages.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(pages)
}
