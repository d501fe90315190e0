//! `regprobe explain`: the runbook of a finding, or the list of all findings.

use std::borrow::Cow;

use regprobe_probes::Code;

use crate::out::{
    runbooks,
    screen::{Layout, PLAIN, Screen},
};

/// The runbook of `code`, or the list of all codes.
pub(crate) fn explain(code: Option<Code>) -> Cow<'static, str> {
    match code {
        Some(code) => runbooks::text(code).into(),
        None => list(Screen::of_stdout()).into(),
    }
}

fn list(screen: Screen) -> String {
    let longest = Code::ALL.iter().map(|code| code.as_str().len()).max();
    let hang = longest.unwrap_or_default() + 2;
    let mut layout = Layout::new(screen);
    for code in Code::ALL {
        layout
            .line(0, hang)
            .cell(0, PLAIN, code.as_str())
            .words_at_hang(code.meaning());
    }
    layout.into_text()
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
        assert!(list.contains("ClockSkew                 The node's clock is wrong.\n"));
    }
}
