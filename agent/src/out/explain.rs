//! `regprobe explain`: a runbook, or the list of all.

use std::borrow::Cow;

use crate::{
    cli::runbooks::Runbook,
    out::screen::{BOLD, Layout, PLAIN, Screen},
};

/// The runbook, or the list of all.
pub(crate) fn explain(runbook: Option<Runbook>) -> Cow<'static, str> {
    match runbook {
        Some(runbook) => runbook.text().into(),
        None => list(Screen::of_stdout()).into(),
    }
}

/// Findings by what they are about, alerts and guides, with an empty line between.
fn list(screen: Screen) -> String {
    let groups = Runbook::all().into_iter().map(|(group, runbooks)| {
        let longest = runbooks.iter().map(|runbook| runbook.name.len()).max();
        let hang = longest.unwrap_or_default() + 4;
        let mut layout = Layout::new(screen);
        layout.line(0, 0).cell(0, BOLD, group);
        for runbook in runbooks {
            layout
                .line(2, hang)
                .cell(0, PLAIN, runbook.name)
                .words_at_hang(runbook.about);
        }
        layout.into_text()
    });
    groups.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_fits_80_columns() {
        let list = list(Screen {
            width: 80,
            colour: false,
        });
        assert!(list.lines().all(|line| line.len() <= 80), "{list}");
        assert!(list.contains("\n  ClockSkew          The node's clock is wrong.\n\nAlerts\n"));
        assert!(list.contains("\n\nGuides\n  first-ten-minutes   Pulls fail: where to start.\n"));
    }
}
