//! The rounds of one registry as a list: the same as the strips, for keyboards and for browsers without
//! JavaScript.

use super::{
    frame::{HERE, frame},
    words::{meaning, state, time},
};
use crate::{out::history::History, state::RoundId};

/// Rounds on the list that changed nothing. Those that changed something are all on it.
const ALIKE: usize = 200;

/// The page of `registry`.
pub(crate) fn rounds(registry: &str, history: &History) -> String {
    let mut room = ALIKE;
    let theirs = history.since(RoundId::FIRST).rev();
    let theirs = theirs.filter(|kept| kept.registry() == registry);
    let (shown, left_out): (Vec<_>, Vec<_>) = theirs.partition(|kept| {
        let fits = room > 0;
        room = room.saturating_sub(1);
        fits || kept.changed()
    });
    frame(&format!("Rounds of {registry} – regprobe"), HERE, |html| {
        html.tag("header", &[], |html| {
            html.leaf("h1", &[], format_args!("Rounds of {registry}"));
            html.tag("nav", &[("aria-label", &"Links")], |html| {
                let status_page = html.local("");
                html.leaf("a", &[("href", &status_page)], "Status page");
            });
        });
        html.tag("main", &[], |html| {
            if !left_out.is_empty() {
                let count = left_out.len();
                let text = format!(
                    "This list has the latest {ALIKE} rounds and all earlier rounds that changed something. \
                     The other {count} are at /api/v1/history."
                );
                html.leaf("p", &[("class", &"note")], text);
            }
            html.tag("ol", &[("class", &"rounds")], |html| {
                for kept in shown {
                    html.tag("li", &[], |html| {
                        let condition = kept.condition.as_str();
                        state(html, condition, meaning(condition));
                        let href = html.local(format_args!("round/{}", kept.id));
                        html.tag("a", &[("href", &href)], |html| time(html, kept.id.at()));
                        if kept.changed() {
                            html.leaf("strong", &[], " changed");
                        }
                        for (endpoint, fared) in kept.endpoints() {
                            if let Some((stage, reason)) = fared.failure {
                                let endpoint = &endpoint.endpoint;
                                html.text(format_args!(" {endpoint}: {stage} {reason}"));
                            }
                        }
                    });
                }
            });
        });
    })
}
