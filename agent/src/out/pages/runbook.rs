//! The runbooks as pages, because they are needed where the web may be unreachable.

use super::{
    frame::{ABOVE, HERE, frame},
    html::Html,
};
use crate::cli::runbooks::Runbook;

/// The list of all runbooks.
pub(crate) fn runbooks() -> String {
    frame("Runbooks – regprobe", HERE, |html| {
        header(html, "Runbooks");
        html.tag("main", &[], |html| {
            for (group, runbooks) in Runbook::all() {
                html.leaf("h2", &[], group);
                html.tag("ul", &[("class", &"rounds")], |html| {
                    for runbook in runbooks {
                        html.tag("li", &[], |html| {
                            let href = html.local(format_args!("runbook/{}", runbook.name));
                            html.leaf("a", &[("href", &href)], runbook.name);
                            html.text(format_args!(": {}", runbook.about));
                        });
                    }
                });
            }
        });
    })
}

/// One runbook, as `regprobe explain` prints it.
pub(crate) fn runbook(runbook: Runbook) -> String {
    frame(&format!("{} – regprobe", runbook.name), ABOVE, |html| {
        let (title, text) = runbook.text().split_once('\n').unwrap_or_default();
        header(html, title.trim_start_matches("# "));
        html.tag("main", &[], |html| {
            html.tag("pre", &[("tabindex", &"0")], |html| {
                for line in text.trim().lines() {
                    html.text(line);
                    html.end_line();
                }
            });
        });
    })
}

fn header(html: &mut Html, title: &str) {
    html.tag("header", &[], |html| {
        html.leaf("h1", &[], title);
        html.tag("nav", &[("aria-label", &"Links")], |html| {
            let [status_page, all] = ["", "runbooks"].map(|path| html.local(path));
            html.leaf("a", &[("href", &status_page)], "Status page");
            html.leaf("a", &[("href", &all)], "Runbooks");
        });
    });
}
