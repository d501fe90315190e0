//! The path to one endpoint as a diagram: nameservers, then addresses, then the stages on each. The line
//! ends where the path is broken.

use super::{
    html::Html,
    words::{Took, sign},
};
use crate::out::status::{EndpointStatus, LookupStatus, StageStatus};

/// The path to one endpoint, below the heading of its registry.
pub(super) fn lane(html: &mut Html, seen: &EndpointStatus) {
    let state = if seen.up { "ok" } else { "failing" };
    html.tag("div", &[("class", &format_args!("lane {state}"))], |html| {
        html.tag("h3", &[], |html| {
            sign(html, state);
            html.leaf("span", &[("class", &"role")], seen.role);
            html.text(format_args!(" {}", seen.endpoint));
            if !seen.up {
                html.leaf("span", &[("class", &"hidden")], " failing");
            }
        });
        html.tag("ol", &[], |html| {
            seen.lookups.iter().for_each(|seen| lookup(html, seen));
            if let Some(blocked) = &seen.path.blocked {
                hop(html, "failing", |html| {
                    html.leaf("span", &[("class", &"what")], blocked.stage);
                    html.leaf("span", &[("class", &"note")], blocked.reason);
                    html.leaf("span", &[("class", &"note")], &blocked.detail);
                });
            }
            for address in &seen.addresses {
                let on_path = seen.path.address == Some(address.address);
                html.tag("li", &[("class", &"address")], |html| {
                    html.leaf("span", &[("class", &"what")], address.address);
                    if !on_path && seen.path.address.is_some() {
                        html.leaf("span", &[("class", &"note")], "not on the pull path");
                    }
                });
                address.stages.iter().for_each(|seen| stage(html, seen));
            }
            if !seen.up {
                html.leaf("li", &[("class", &"end")], "a pull stops here");
            }
        });
    });
}

fn lookup(html: &mut Html, seen: &LookupStatus) {
    let is_fine = seen.result == "noerror";
    let state = match (is_fine, seen.expected) {
        (true, Some(false)) => "degraded",
        (true, _) => "ok",
        (false, _) => "failing",
    };
    hop(html, state, |html| {
        let nameserver = seen.nameserver.as_deref().unwrap_or("no nameserver");
        html.leaf("span", &[("class", &"what")], nameserver);
        took(html, seen.seconds);
        let addresses: Vec<_> = seen.addresses.iter().map(ToString::to_string).collect();
        let word = if is_fine { "answers" } else { &*seen.result };
        html.leaf(
            "span",
            &[("class", &"note")],
            format_args!("{word} {}", addresses.join(" ")),
        );
        if seen.expected == Some(false) {
            html.leaf("span", &[("class", &"note")], "unexpected address");
        }
    });
}

fn stage(html: &mut Html, seen: &StageStatus) {
    hop(html, if seen.ok { "ok" } else { "failing" }, |html| {
        html.leaf("span", &[("class", &"what")], seen.stage);
        took(html, Some(seen.seconds));
        for note in [&seen.reason, &seen.detail.as_deref()]
            .into_iter()
            .flatten()
        {
            html.leaf("span", &[("class", &"note")], note);
        }
    });
}

fn hop(html: &mut Html, state: &str, inside: impl FnOnce(&mut Html)) {
    html.tag("li", &[("class", &state)], |html| {
        sign(html, state);
        inside(html);
    });
}

fn took(html: &mut Html, seconds: Option<f64>) {
    if let Some(seconds) = seconds {
        html.leaf("span", &[("class", &"time")], Took(seconds));
    }
}
