//! The runbooks as pages, because they are needed where the web may be unreachable.

use regprobe_probes::Code;

use super::{
    frame::{ABOVE, HERE, frame},
    html::Html,
};
use crate::out::runbooks;

/// The list of all runbooks.
pub(crate) fn runbooks() -> String {
    frame("Runbooks – regprobe", HERE, |html| {
        header(html, "Runbooks");
        html.tag("main", &[], |html| {
            html.tag("ul", &[("class", &"rounds")], |html| {
                for code in Code::ALL {
                    html.tag("li", &[], |html| {
                        let href = html.local(format_args!("runbook/{code}"));
                        html.leaf("a", &[("href", &href)], code);
                        html.text(format_args!(": {}", code.meaning()));
                    });
                }
            });
        });
    })
}

/// The runbook of `code`, as `regprobe explain` prints it.
pub(crate) fn runbook(code: Code) -> String {
    frame(&format!("{code} – regprobe"), ABOVE, |html| {
        header(html, code.as_str());
        html.tag("main", &[], |html| {
            let text = runbooks::text(code);
            let (_, text) = text.split_once('\n').unwrap_or_default();
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
