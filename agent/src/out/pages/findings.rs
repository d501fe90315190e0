//! Findings as cards.

use jiff::Timestamp;

use super::{
    html::Html,
    words::{Span, badge, time},
};
use crate::out::status::FindingStatus;

/// One finding, as of `now`.
pub(super) fn card(html: &mut Html, registry: &str, finding: &FindingStatus, now: Timestamp) {
    let class = format_args!("finding {}", finding.severity);
    html.tag("li", &[("class", &class)], |html| {
        html.tag("h3", &[], |html| {
            badge(html, finding.severity);
            html.text(" ");
            html.text(finding.code);
        });
        html.tag("p", &[("class", &"where")], |html| {
            html.text(format_args!(
                "{registry}, {} {}, since ",
                finding.role, finding.endpoint
            ));
            time(html, finding.since);
            let held = Span(now.duration_since(finding.since));
            html.text(format_args!(" ({held})"));
        });
        html.leaf("p", &[("class", &"fact")], &finding.message);
        html.tag("p", &[("class", &"remedy")], |html| {
            html.leaf("strong", &[], "What to do: ");
            html.text(&finding.remedy);
        });
        html.tag("details", &[], |html| {
            html.leaf("summary", &[], "Evidence");
            html.tag("ul", &[], |html| {
                for evidence in &*finding.evidence {
                    html.leaf("li", &[], evidence);
                }
                if let Some(error) = &finding.client_error {
                    html.tag("li", &[], |html| {
                        html.text("containerd prints: ");
                        html.leaf("code", &[], error);
                    });
                }
                if let Some(code) = &finding.health_check_code {
                    html.leaf(
                        "li",
                        &[],
                        format_args!("az acr check-health prints: {code}"),
                    );
                }
            });
        });
        let href = html.local(format_args!("runbook/{}", finding.code));
        let label = format!("Runbook for {}", finding.code);
        html.leaf("a", &[("href", &href)], label);
    });
}
