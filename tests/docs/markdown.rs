//! As much of Markdown as the project's pages use: fenced blocks, tables, headings, links.

use std::fmt::{self, Display};
use std::fs;
use std::mem;
use std::path::{Path, PathBuf};
use std::process::Command;

/// All pages below a folder that git knows of or would take.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let out = Command::new("git")
        .args(["ls-files", "-z", "-co", "--exclude-standard", "*.md"])
        .current_dir(folder)
        .output()
        .expect("git is installed");
    assert!(out.status.success(), "{out:?}");
    let names = String::from_utf8(out.stdout).expect("names are UTF-8");
    let names = names.split('\0').filter(|name| !name.is_empty());
    let files = names.map(|name| folder.join(name));
    files.filter(|file| file.exists()).collect()
}

/// One page, or a section of it.
pub(crate) struct Page {
    pub(crate) path: PathBuf,
    text: String,
}

impl Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())
    }
}

impl Page {
    pub(crate) fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        Self {
            path: path.to_owned(),
            text,
        }
    }

    /// What is below a heading of the second level.
    pub(crate) fn section(&self, heading: &str) -> Self {
        let heading = format!("\n## {heading}\n");
        let below = self.text.split_once(&heading);
        let (_, below) = below.unwrap_or_else(|| panic!("{self}: no{heading}"));
        let text = below.split("\n## ").next().unwrap_or_default();
        Self {
            path: self.path.clone(),
            text: text.to_owned(),
        }
    }

    /// The fenced blocks of a language.
    pub(crate) fn blocks(&self, language: &str) -> Vec<String> {
        let fences = self.text.split("```").skip(1).step_by(2);
        let blocks = fences.filter_map(|block| block.strip_prefix(language)?.strip_prefix('\n'));
        blocks.map(str::to_owned).collect()
    }

    /// All tables, each a list of rows with the head as the first.
    pub(crate) fn tables(&self) -> Vec<Vec<Vec<String>>> {
        let (mut tables, mut table) = (Vec::new(), Vec::new());
        for line in self.prose().chain([""]) {
            let row = line.strip_prefix('|').and_then(|row| row.strip_suffix('|'));
            match row {
                Some(row) if row.starts_with("---") => {}
                Some(row) => {
                    let row = row.replace("\\|", "\0");
                    let cells = row.split('|');
                    table.push(cells.map(|cell| cell.trim().replace('\0', "|")).collect());
                }
                None if table.is_empty() => {}
                None => tables.push(mem::take(&mut table)),
            }
        }
        tables
    }

    /// The rows of the table with this head.
    pub(crate) fn table(&self, head: &[&str]) -> Vec<Vec<String>> {
        let mut tables = self.tables().into_iter();
        let table = tables.find(|table| table[0] == head);
        table.unwrap_or_else(|| panic!("{self}: no {head:?}"))[1..].to_vec()
    }

    /// The rows of all tables.
    pub(crate) fn rows(&self) -> Vec<Vec<String>> {
        self.tables().into_iter().flatten().collect()
    }

    /// What stands in backquotes.
    pub(crate) fn quoted(&self) -> Vec<String> {
        let lines = self.prose();
        let quoted = lines.flat_map(|line| line.split('`').skip(1).step_by(2));
        quoted.map(str::to_owned).collect()
    }

    /// Where links and pictures lead.
    pub(crate) fn links(&self) -> Vec<String> {
        let mut links = Vec::new();
        for line in self.prose() {
            // What is in backquotes is no link.
            let line: String = line.split('`').step_by(2).collect();
            let inline = line
                .split("](")
                .skip(1)
                .filter_map(|rest| rest.split(')').next());
            links.extend(inline.map(str::to_owned));
            if let Some((_, target)) = line.split_once("]: ").filter(|_| line.starts_with('[')) {
                links.push(target.to_owned());
            }
        }
        links
    }

    /// The anchors that GitHub and mdBook give to headings.
    pub(crate) fn anchors(&self) -> Vec<String> {
        let mut anchors = Vec::new();
        for line in self.prose() {
            let heading = line.trim_start_matches('#');
            if heading.len() == line.len() || !heading.starts_with(' ') {
                continue;
            }
            let kept = heading.trim().chars();
            let kept = kept.filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
            let anchor: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
            anchors.push(anchor.to_lowercase());
        }
        anchors
    }

    /// The lines outside fenced blocks.
    fn prose(&self) -> impl Iterator<Item = &str> {
        let mut fenced = false;
        self.text.lines().filter(move |line| {
            let is_fence = line.trim_start().starts_with("```");
            fenced ^= is_fence;
            !fenced && !is_fence
        })
    }
}
