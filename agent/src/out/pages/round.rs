//! One round as a waterfall: how long each stage took, and everything that is kept of its result. A bar begins
//! where that of the stage before ends; the time between two stages is not measured.

use jiff::Timestamp;

use super::{
    findings,
    frame::{ABOVE, frame, in_query},
    html::Html,
    words::{Took, label, meaning, sign, state, state_of, time},
};
use crate::{
    out::status::{AddressStatus, EndpointStatus, LookupStatus, RegistryStatus, StageStatus},
    state::RoundId,
};

/// The width of a waterfall, in its own units.
const WIDTH: f64 = 1000.0;

/// The page of one round, with links to the rounds before and after it if they are kept.
pub(crate) fn round(
    id: RoundId,
    seen: &RegistryStatus,
    before: Option<RoundId>,
    after: Option<RoundId>,
) -> String {
    let title = format!("{} at {} – regprobe", seen.name, id.at());
    frame(&title, ABOVE, |html| {
        header(html, id, seen, before, after);
        html.tag("main", &[], |html| {
            html.leaf("h2", &[], "Findings");
            if seen
                .findings
                .iter()
                .all(|finding| finding.severity == "info")
            {
                html.leaf("p", &[], "No findings.");
            }
            findings::findings(html, seen, id.at());
            let longest = seen.endpoints.iter().map(length).fold(1e-6, f64::max);
            for endpoint in &seen.endpoints {
                self::endpoint(html, endpoint, longest, id.at());
            }
            findings::notes(html, std::iter::once(seen));
        });
    })
}

fn header(
    html: &mut Html,
    id: RoundId,
    seen: &RegistryStatus,
    before: Option<RoundId>,
    after: Option<RoundId>,
) {
    html.tag("header", &[], |html| {
        html.tag("h1", &[], |html| {
            state(html, seen.condition, state_of(seen));
            html.text(format_args!(" {} at ", seen.name));
            time(html, id.at());
        });
        html.tag("nav", &[("aria-label", &"Links")], |html| {
            let status_page = html.local("");
            html.leaf("a", &[("href", &status_page)], "Status page");
            let all = format_args!("rounds?registry={}", in_query(&seen.name));
            let all = html.local(all);
            html.leaf("a", &[("href", &all)], "All rounds");
            for (id, label) in [(before, "Previous round"), (after, "Next round")] {
                if let Some(id) = id {
                    let href = html.local(format_args!("round/{id}"));
                    html.leaf("a", &[("href", &href)], label);
                }
            }
            let json = html.local(format_args!("api/v1/history/{id}"));
            html.leaf(
                "a",
                &[("href", &json), ("download", &"")],
                "Download as JSON",
            );
        });
    });
}

fn endpoint(html: &mut Html, seen: &EndpointStatus, longest: f64, now: Timestamp) {
    html.tag("section", &[("class", &"waterfall")], |html| {
        html.tag("h2", &[], |html| {
            state(html, seen.condition, meaning(seen.condition));
            html.text(format_args!(" {} {}", seen.role, seen.endpoint));
        });
        for lookup in &seen.lookups {
            self::lookup(html, lookup, longest);
        }
        if let Some(blocked) = &seen.path.blocked {
            html.tag("p", &[], |html| {
                html.text(format_args!("{} {}: ", blocked.stage, blocked.reason));
                html.text(&blocked.detail);
            });
        }
        for address in &seen.addresses {
            self::address(html, address, lookup_before(seen, address), longest, now);
        }
        if let Some(error) = &seen.path.client_error {
            html.tag("p", &[], |html| {
                html.text("The node's client prints: ");
                html.leaf("code", &[], error);
            });
        }
    });
}

fn lookup(html: &mut Html, seen: &LookupStatus, longest: f64) {
    let nameserver = seen.nameserver.as_deref().unwrap_or("no nameserver");
    row(
        html,
        seen.condition(),
        &format!("resolve at {nameserver}"),
        0.0,
        seen.seconds,
        longest,
    );
    html.tag("ul", &[("class", &"chain")], |html| {
        html.leaf("li", &[], format_args!("{} {}", seen.name, seen.result));
        for alias in &seen.chain {
            html.leaf(
                "li",
                &[],
                format_args!("→ {} (TTL {} s)", alias.name, alias.ttl),
            );
        }
        for address in &seen.addresses {
            html.leaf("li", &[], format_args!("→ {address}"));
        }
        if let Some(detail) = &seen.detail {
            html.leaf("li", &[], detail);
        }
    });
}

fn address(html: &mut Html, seen: &AddressStatus, from: f64, longest: f64, now: Timestamp) {
    html.leaf("h3", &[], seen.address);
    let mut at = from;
    for stage in &seen.stages {
        let condition = if stage.ok { "ok" } else { "failing" };
        let name = match stage.earlier {
            true => format!("{} (earlier round)", label(stage.stage)),
            false => label(stage.stage).to_owned(),
        };
        row(html, condition, &name, at, Some(stage.seconds), longest);
        at += stage.seconds;
        details(html, stage, now);
    }
}

fn details(html: &mut Html, seen: &StageStatus, now: Timestamp) {
    html.tag("ul", &[("class", &"chain")], |html| {
        if let Some(reason) = &seen.reason {
            html.leaf("li", &[], reason);
        }
        if let Some(detail) = &seen.detail {
            html.leaf("li", &[], detail);
        }
        if let Some(handshake) = &seen.handshake {
            html.leaf("li", &[], format_args!("cipher {}", handshake.cipher));
        }
        for certificate in &seen.certificates {
            html.tag("li", &[], |html| {
                html.text(format_args!(
                    "certificate {}; names {}; issuer {}; SHA-256 {}; valid until ",
                    certificate.subject,
                    certificate.names.join(" "),
                    certificate.issuer,
                    certificate.sha256,
                ));
                time(html, certificate.not_after);
                if certificate.not_after < now {
                    html.leaf("strong", &[], " expired");
                }
            });
        }
        if let Some(response) = &seen.response {
            html.leaf("li", &[], format_args!("status {}", response.status));
            for (name, value) in [
                ("Server", &response.server),
                ("correlation id", &response.correlation_id),
                ("Retry-After", &response.retry_after),
            ] {
                if let Some(value) = value {
                    html.leaf("li", &[], format_args!("{name}: {value}"));
                }
            }
            if let Some(skew) = response.clock_skew_seconds {
                let text = format_args!("clock skew: {skew:+.0} s (this node minus the server)");
                html.leaf("li", &[], text);
            }
        }
    });
}

fn row(html: &mut Html, condition: &str, name: &str, from: f64, took: Option<f64>, longest: f64) {
    html.tag(
        "p",
        &[("class", &format_args!("row {condition}"))],
        |html| {
            sign(html, condition);
            html.leaf("span", &[("class", &"what")], name);
            let Some(took) = took else {
                return;
            };
            let x = format!("{:.1}", from / longest * WIDTH);
            let width = format!("{:.1}", (took / longest * WIDTH).max(2.0));
            let view = format_args!("0 0 {WIDTH} 10");
            html.tag(
                "svg",
                &[
                    ("viewBox", &view),
                    ("preserveAspectRatio", &"none"),
                    ("aria-hidden", &"true"),
                ],
                |html| {
                    let bar: [(&'static str, &dyn std::fmt::Display); 3] =
                        [("x", &x), ("width", &width), ("height", &"10")];
                    html.leaf("rect", &bar, "");
                },
            );
            html.leaf("span", &[("class", &"time")], Took(took));
        },
    );
}

/// When the address was known: after the fastest lookup that returned it.
fn lookup_before(seen: &EndpointStatus, address: &AddressStatus) -> f64 {
    let lookups = seen.lookups.iter();
    let gave = lookups.filter(|lookup| lookup.addresses.contains(&address.address));
    gave.filter_map(|lookup| lookup.seconds)
        .reduce(f64::min)
        .unwrap_or(0.0)
}

fn length(seen: &EndpointStatus) -> f64 {
    let of_address = |address: &AddressStatus| {
        let stages: f64 = address.stages.iter().map(|stage| stage.seconds).sum();
        lookup_before(seen, address) + stages
    };
    let addresses = seen.addresses.iter().map(of_address);
    let lookups = seen.lookups.iter().filter_map(|lookup| lookup.seconds);
    addresses.chain(lookups).fold(0.0, f64::max)
}
