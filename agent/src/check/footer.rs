//! Lines at the bottom of the terminal that are redrawn in place, below text that stays. Only for a
//! terminal; a pipe gets none of it.

use std::io::{self, Write};

use terminal_size::{Height, Width, terminal_size_of};

use crate::out::screen::Screen;

/// The lines drawn now.
pub(super) struct Footer {
    shown: String,
}

impl Footer {
    /// An empty footer; none if standard output cannot redraw lines, or if plain text was requested.
    pub(super) fn of_stdout() -> Option<Self> {
        let shown = String::new();
        Screen::of_stdout().colour.then_some(Self { shown })
    }

    /// The screen to lay out the footer for. It may be narrower than that of a report.
    pub(super) fn screen(&self) -> Screen {
        let TerminalSize { columns, .. } = TerminalSize::now();
        let screen = Screen::of_stdout();
        Screen {
            width: screen.width.min(columns),
            ..screen
        }
    }

    /// Replaces the footer with as many lines of `text` as fit.
    pub(super) fn draw(&mut self, text: &str) -> io::Result<()> {
        self.replace("", text)
    }

    /// Prints `text` above the footer, where it stays.
    pub(super) fn print(&mut self, text: &str) -> io::Result<()> {
        let shown = self.shown.clone();
        self.replace(text, &shown)
    }

    /// Removes the footer.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        self.replace("", "")
    }

    /// Starts at the beginning of the line, because a terminal shows an interrupt at the cursor. Writes
    /// everything at once, so that it never shows or leaves half of it.
    fn replace(&mut self, above: &str, text: &str) -> io::Result<()> {
        let size = TerminalSize::now();
        // If its width changed, the terminal has wrapped the drawn lines again.
        let drawn: usize = self.shown.lines().map(|line| size.rows_of(line)).sum();
        let erase = match drawn {
            0 => String::new(),
            rows => format!("\r\u{1b}[{rows}A\u{1b}[J"),
        };
        self.shown = size.fitting(text);
        let mut stdout = io::stdout().lock();
        stdout.write_all(format!("{erase}{above}{}", self.shown).as_bytes())?;
        stdout.flush()
    }
}

/// The size of a terminal.
#[derive(Clone, Copy)]
struct TerminalSize {
    columns: usize,
    rows: usize,
}

impl TerminalSize {
    fn now() -> Self {
        let size = terminal_size_of(io::stdout());
        let (Width(columns), Height(rows)) = size.unwrap_or((Width(80), Height(24)));
        // A terminal without a size reports 0.
        Self {
            columns: columns.max(20).into(),
            rows: rows.max(4).into(),
        }
    }

    /// As many lines of `text` as fit with the cursor below them.
    fn fitting(self, text: &str) -> String {
        let mut left = self.rows - 1;
        let mut shown = String::new();
        for line in text.lines() {
            let Some(rest) = left.checked_sub(self.rows_of(line)) else {
                break;
            };
            left = rest;
            shown.push_str(line);
            shown.push('\n');
        }
        shown
    }

    fn rows_of(self, line: &str) -> usize {
        visible(line).div_ceil(self.columns).max(1)
    }
}

/// The columns of a line, without its colours.
fn visible(line: &str) -> usize {
    let mut parts = line.split('\u{1b}');
    let first = parts.next().map_or(0, |part| part.chars().count());
    let after = parts.map(|part| {
        let (_, shown) = part.split_once('m').unwrap_or_default();
        shown.chars().count()
    });
    first + after.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_take_no_columns_and_long_lines_take_several_rows() {
        let size = TerminalSize {
            columns: 20,
            rows: 4,
        };
        for (line, rows) in [
            ("", 1),
            ("12345678901234567890", 1),
            ("\u{1b}[31m12345678901234567890\u{1b}[0m", 1),
            ("123456789012345678901", 2),
        ] {
            assert_eq!(size.rows_of(line), rows, "{line:?}");
        }
    }

    #[test]
    fn lines_that_would_scroll_are_left_out() {
        let size = TerminalSize {
            columns: 20,
            rows: 4,
        };
        assert_eq!(size.fitting("a\nb\nc\nd\n"), "a\nb\nc\n");
        let long = "x".repeat(41);
        assert_eq!(size.fitting(&format!("a\n{long}\nb\n")), "a\n");
    }
}
