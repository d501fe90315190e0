//! Text laid out for a terminal: words wrapped at its width, colours if it shows them, and no character
//! of untrusted text that would have an effect.

use std::{
    env,
    ffi::OsStr,
    fmt::Write,
    io::{self, IsTerminal},
};

use anstyle::Style;

use crate::printable::printable;

/// Without any decoration.
pub(crate) const PLAIN: Style = Style::new();

/// For names and headings.
pub(crate) const BOLD: Style = Style::new().bold();

/// The fewest columns of a text, also for a pipe, and the most: longer lines are hard to read.
const COLUMNS: (usize, usize) = (80, 120);

/// Where the text will be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Screen {
    /// How many columns to use.
    pub width: usize,
    /// True if colours may be used.
    pub colour: bool,
}

impl Screen {
    /// The terminal at standard output, or what a pipe gets.
    pub(crate) fn of_stdout() -> Self {
        let stdout = io::stdout();
        let columns = terminal_size::terminal_size_of(&stdout)
            .map(|(terminal_size::Width(columns), _)| columns.into());
        let (no_color, term) = (env::var_os("NO_COLOR"), env::var_os("TERM"));
        Self {
            width: width(columns),
            colour: shows_colour(stdout.is_terminal(), no_color.as_deref(), term.as_deref()),
        }
    }
}

fn width(of_terminal: Option<usize>) -> usize {
    let (least, most) = COLUMNS;
    of_terminal.unwrap_or(least).clamp(least, most)
}

/// As no-color.org says; `TERM=dumb` disables colours too.
fn shows_colour(is_terminal: bool, no_color: Option<&OsStr>, term: Option<&OsStr>) -> bool {
    is_terminal && no_color.is_none_or(OsStr::is_empty) && term != Some(OsStr::new("dumb"))
}

/// A text being laid out.
pub(crate) struct Layout {
    text: String,
    screen: Screen,
}

impl Layout {
    /// An empty text.
    pub(crate) fn new(screen: Screen) -> Self {
        let text = String::new();
        Self { text, screen }
    }

    /// Begins a line at column `indent`. If it is too long, it continues at column `hang` of the next.
    pub(crate) fn line(&mut self, indent: usize, hang: usize) -> Line<'_> {
        Line {
            layout: self,
            hang,
            column: 0,
            margin: indent,
            is_empty: true,
        }
    }

    /// An empty line.
    pub(crate) fn gap(&mut self) {
        self.text.push('\n');
    }

    /// The finished text.
    pub(crate) fn into_text(self) -> String {
        self.text
    }
}

/// A line being written, see [`Layout::line`]. Dropping it ends the line.
pub(crate) struct Line<'a> {
    layout: &'a mut Layout,
    hang: usize,
    column: usize,
    margin: usize,
    is_empty: bool,
}

impl Line<'_> {
    /// Adds `text` in one piece, `gap` columns to the right.
    pub(crate) fn cell(mut self, gap: usize, style: Style, text: &str) -> Self {
        self.push(gap, style, &printable(text));
        self
    }

    /// Adds `text` word by word, `gap` columns to the right.
    pub(crate) fn words(mut self, gap: usize, text: &str) -> Self {
        for (place, word) in text.split_whitespace().enumerate() {
            let gap = if place == 0 { gap } else { 1 };
            self.push(gap, PLAIN, &printable(word));
        }
        self
    }

    /// Adds `text` word by word, at the column where the line continues.
    pub(crate) fn words_at_hang(self, text: &str) -> Self {
        let gap = self.hang.saturating_sub(self.column).max(1);
        self.words(gap, text)
    }

    fn push(&mut self, gap: usize, style: Style, text: &str) {
        let width = text.chars().count();
        let mut pad = if self.is_empty { self.margin } else { gap };
        if !self.is_empty && self.column + gap + width > self.layout.screen.width {
            self.layout.text.push('\n');
            (self.column, pad) = (0, self.hang);
        }
        let style = if self.layout.screen.colour {
            style
        } else {
            PLAIN
        };
        // Writing to a string cannot fail.
        let _ = write!(self.layout.text, "{:pad$}{style}{text}{style:#}", "");
        self.column += pad + width;
        self.is_empty = false;
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        self.layout.text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use anstyle::AnsiColor;

    use super::*;

    fn layout(width: usize, colour: bool) -> Layout {
        Layout::new(Screen { width, colour })
    }

    #[test]
    fn colours_need_a_terminal_and_no_objection() {
        let text = |text| Some(OsStr::new(text));
        for (is_terminal, no_color, term, colour) in [
            (true, None, text("xterm-256color"), true),
            (true, text(""), None, true),
            (true, text("0"), text("xterm"), false),
            (true, None, text("dumb"), false),
            (false, None, text("xterm"), false),
        ] {
            assert_eq!(
                shows_colour(is_terminal, no_color, term),
                colour,
                "{no_color:?} {term:?}"
            );
        }
    }

    #[test]
    fn the_width_is_limited_to_what_reads_well() {
        for (of_terminal, used) in [
            (None, 80),
            (Some(0), 80),
            (Some(60), 80),
            (Some(80), 80),
            (Some(100), 100),
            (Some(160), 120),
        ] {
            assert_eq!(width(of_terminal), used, "{of_terminal:?}");
        }
    }

    #[test]
    fn words_wrap_and_long_ones_stay_whole() {
        let mut layout = layout(20, false);
        layout
            .line(2, 4)
            .cell(0, PLAIN, "do:")
            .words(1, "one two three\nfour");
        layout
            .line(0, 2)
            .words(0, "see contoso.westeurope.data.azurecr.io now");
        layout.line(0, 8).cell(0, PLAIN, "tls").words_at_hang("a b");
        let text = "  do: one two three\n    four\n\
                    see\n  contoso.westeurope.data.azurecr.io\n  now\n\
                    tls     a b\n";
        assert_eq!(layout.into_text(), text);
    }

    #[test]
    fn colours_take_no_columns() {
        let mut layout = layout(11, true);
        let red = AnsiColor::Red.on_default();
        layout
            .line(0, 2)
            .cell(0, red, "FAILING")
            .words(1, "now but");
        assert_eq!(
            layout.into_text(),
            "\u{1b}[31mFAILING\u{1b}[0m now\n  but\n"
        );
    }

    #[test]
    fn untrusted_text_has_no_effect() {
        let mut layout = layout(80, false);
        layout
            .line(0, 0)
            .cell(0, PLAIN, "\u{1b}c")
            .words(1, "\u{1b}c\r\n\u{85}x");
        assert_eq!(layout.into_text(), "\\u{1b}c \\u{1b}c x\n");
    }
}
