//! Where something is in a config: a path of keys, or a line and column.

use std::fmt::{self, Display};

/// The keys and indices that lead to a value; displays as `registries[1].private[0]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPath(Vec<Step>);

/// One step down: into a mapping or into a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Key(&'static str),
    Index(usize),
}

impl KeyPath {
    /// The path of a top-level key.
    pub(super) fn of(key: &'static str) -> Self {
        Self(vec![Step::Key(key)])
    }

    /// The path of `key` in the mapping here.
    pub(super) fn key(&self, key: &'static str) -> Self {
        self.step(Step::Key(key))
    }

    /// The path of the `index`th element of the list here.
    pub(super) fn index(&self, index: usize) -> Self {
        self.step(Step::Index(index))
    }

    pub(super) fn steps(&self) -> &[Step] {
        &self.0
    }

    fn step(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }
}

impl Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (depth, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if depth == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// A position in the text of the file. Both numbers count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Location {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl Location {
    /// The position of the byte at `offset`; the bytes before it must be UTF-8.
    pub(super) fn of(bytes: &[u8], offset: usize) -> Self {
        let before = String::from_utf8_lossy(&bytes[..offset]);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

impl Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// The end of an error message: ` (line 7, column 17)`, or nothing.
pub(super) fn suffix(location: Option<Location>, first: Option<Location>) -> String {
    match (location, first) {
        (Some(here), Some(first)) => format!(" ({here}; first at {first})"),
        (Some(here), None) => format!(" ({here})"),
        (None, _) => String::new(),
    }
}
