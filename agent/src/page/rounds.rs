//! The rounds that are kept of one registry, as a list: what the strips show, for keyboards and for
//! browsers without JavaScript.

use super::{
    frame,
    words::{badge, time},
};
use crate::history::{History, RoundId};

/// Rounds on the list that were as the one before; those that changed something are all there.
const ALIKE: usize = 200;

/// The list of `registry`.
pub(crate) fn rounds(registry: &str, history: &History) -> String {
    let mut room = ALIKE;
    let rounds = history.since(RoundId::FIRST).rev();
    let rounds = rounds.filter(|(_, kept)| *kept.registry == *registry);
    let rounds = rounds.filter(|(_, kept)| {
        let fits = room > 0;
        room = room.saturating_sub(1);
        fits || kept.changed()
    });
    frame(&format!("Rounds of {registry} – regprobe"), |html| {
        html.tag("header", &[], |html| {
            html.leaf("h1", &[], format_args!("Rounds of {registry}"));
            html.tag("nav", &[("aria-label", &"Elsewhere")], |html| {
                html.leaf("a", &[("href", &"/")], "Status page");
            });
        });
        html.tag("main", &[], |html| {
            html.tag("ol", &[("class", &"rounds")], |html| {
                for (id, kept) in rounds {
                    html.tag("li", &[], |html| {
                        badge(html, kept.condition.as_str());
                        html.tag("a", &[("href", &format_args!("/round/{id}"))], |html| {
                            time(html, id.at());
                        });
                        if kept.changed() {
                            html.leaf("strong", &[], " changed");
                        }
                        let cells = kept.endpoints.iter().zip(&kept.cells);
                        for (endpoint, cell) in cells {
                            if let Some((stage, reason)) = cell.failure {
                                html.text(format_args!(" {endpoint}: {stage} {reason}"));
                            }
                        }
                    });
                }
            });
        });
    })
}
