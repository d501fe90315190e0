//! How long a file may be, and how many files a folder may hold.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Result;
use regprobe_harness::suite::{Test, test};

/// A longer file is probably two things.
const LINES: usize = 450;

/// These words in its head, with a reason after them, allow a file to be longer.
const REASON: &str = "long because";

/// A folder of more files wants rooms.
const FILES: usize = 14;

/// Rust sources by their path.
pub(crate) struct Sources(BTreeMap<String, String>);

impl Sources {
    /// All below a folder, without what is built or fetched.
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let mut sources = Self(BTreeMap::new());
        sources.add(folder, "")?;
        Ok(sources)
    }

    fn add(&mut self, folder: &Path, shown: &str) -> Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let shown = format!("{shown}{name}");
            let is_folder = entry.file_type()?.is_dir();
            if is_folder && !name.starts_with('.') && !["target", "node_modules"].contains(&&*name)
            {
                self.add(&entry.path(), &format!("{shown}/"))?;
            } else if !is_folder && name.ends_with(".rs") {
                self.0.insert(shown, fs::read_to_string(entry.path())?);
            }
        }
        Ok(())
    }

    pub(crate) fn too_long(&self) -> Vec<String> {
        let lengths = self
            .0
            .iter()
            .map(|(file, text)| (file, text, text.lines().count()));
        let too_long = lengths.filter(|(_, text, lines)| *lines > LINES && !gives_reason(text));
        too_long
            .map(|(file, _, lines)| {
                format!(
                    "{file} has {lines} lines; more than {LINES} need a reason: `//! … {REASON} …`"
                )
            })
            .collect()
    }

    pub(crate) fn crowded(&self) -> Vec<String> {
        let mut files: BTreeMap<&str, usize> = BTreeMap::new();
        for file in self.0.keys() {
            let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
            *files.entry(folder).or_default() += 1;
        }
        let crowded = files.into_iter().filter(|(_, files)| *files > FILES);
        crowded
            .map(|(folder, files)| format!("{folder} has {files} source files; at most {FILES}"))
            .collect()
    }
}

/// Whether its head, the comment that describes the module, says why it is long.
fn gives_reason(text: &str) -> bool {
    let head = text.lines().map_while(|line| line.strip_prefix("//!"));
    let head: String = head.map(|line| format!("{} ", line.trim())).collect();
    head.to_lowercase().contains(REASON)
}

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test("a long file without a reason is found", || {
            let lines = |head: &str, count| format!("{head}\n{}", "\n".repeat(count - 1));
            let files = [
                ("a/short.rs", lines("//! Short.", LINES)),
                ("a/long.rs", lines("//! A table.", LINES + 1)),
                (
                    "a/table.rs",
                    lines(
                        "//! A table. Long\n//! because it has a row for each reason.",
                        LINES,
                    ),
                ),
                ("a/late.rs", lines("use a;\n//! long because", LINES)),
            ];
            let files = files.map(|(name, text)| (name.to_owned(), text));
            let found = Sources(BTreeMap::from(files)).too_long();
            let of: Vec<_> = found
                .iter()
                .filter_map(|text| text.split(' ').next())
                .collect();
            assert_eq!(of, ["a/late.rs", "a/long.rs"]);
            Ok(())
        }),
        test("a crowded folder is found", || {
            let files = |folder: &'static str, count| {
                (0..count).map(move |file| (format!("{folder}/{file}.rs"), String::new()))
            };
            let sources = files("a", FILES).chain(files("a/b", FILES + 1));
            let found = Sources(sources.collect()).crowded();
            assert_eq!(found, ["a/b has 15 source files; at most 14"]);
            Ok(())
        }),
    ]
}
