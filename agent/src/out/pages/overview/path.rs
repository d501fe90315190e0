//! The path to each endpoint as a picture: one box for each stage, in the colour of what the findings say of it.
//! The line ends where a pull would.

use super::super::{
    html::Html,
    words::{Took, condition_of, label, sign},
};
use crate::out::status::{
    AddressStatus, EndpointStatus, FindingStatus, LookupStatus, RegistryStatus, StageStatus,
};

/// The endpoints of a registry.
pub(super) fn path(html: &mut Html, seen: &RegistryStatus) {
    html.tag("div", &[("class", &"path")], |html| {
        for endpoint in &seen.endpoints {
            self::endpoint(html, endpoint, &seen.findings);
        }
    });
}

fn endpoint(html: &mut Html, seen: &EndpointStatus, findings: &[FindingStatus]) {
    let class = format_args!("endpoint {}", seen.condition);
    html.tag("div", &[("class", &class)], |html| {
        html.tag("div", &[("class", &"who")], |html| {
            html.tag("b", &[], |html| {
                sign(html, seen.condition);
                html.text(name(seen));
            });
            let place = seen.path.address.map(|address| format!(" · {address}"));
            let proxy = seen.proxy.as_ref().map(|proxy| format!(" · proxy {proxy}"));
            let [place, proxy] = [place, proxy].map(Option::unwrap_or_default);
            html.leaf("small", &[], format_args!("{}{place}{proxy}", seen.role));
        });
        html.tag("ol", &[], |html| {
            boxes(html, seen, findings);
        });
        html.tag("details", &[], |html| {
            html.leaf("summary", &[], "Every nameserver and address");
            everything(html, seen);
        });
    });
}

/// Without the port that everybody uses.
fn name(seen: &EndpointStatus) -> &str {
    let usual = seen.scheme == "https";
    let host = seen.endpoint.strip_suffix(":443").filter(|_| usual);
    host.unwrap_or(&seen.endpoint)
}

fn boxes(html: &mut Html, seen: &EndpointStatus, findings: &[FindingStatus]) {
    let worst = |stage: &str| {
        let here = findings
            .iter()
            .filter(|finding| finding.stage == stage && finding.concerns(&seen.endpoint));
        let conditions = here.map(|finding| condition_of(finding.severity));
        conditions.reduce(|worst, other| if worst == "failing" { worst } else { other })
    };
    let mut drawn = Vec::new();
    if let Some(lookup) = seen.lookup_of_path() {
        let condition = match worst("resolve") {
            Some(condition) if condition != "ok" => condition,
            _ if lookup.addresses.is_empty() => "failing",
            _ => "ok",
        };
        drawn.push("resolve");
        stage(
            html,
            condition,
            "resolve",
            &looked_up(lookup),
            lookup.seconds,
        );
    } else if let [first, ..] = &*seen.pinned {
        drawn.push("resolve");
        let words = format!("{first} by the hosts file");
        stage(
            html,
            worst("resolve").unwrap_or("ok"),
            "resolve",
            &words,
            None,
        );
    }
    if let Some(blocked) = &seen.path.blocked {
        drawn.push(blocked.stage);
        stage(html, "failing", blocked.stage, &blocked.detail, None);
    }
    let address = seen.on_path().or_else(|| seen.addresses.first());
    for outcome in address.iter().flat_map(|address| &address.stages) {
        let condition = match (outcome.ok, worst(outcome.stage)) {
            (_, Some(condition)) if condition != "ok" => condition,
            (true, _) => "ok",
            (false, _) if seen.up => "degraded",
            (false, _) => "failing",
        };
        drawn.push(outcome.stage);
        let words = result(outcome);
        stage(
            html,
            condition,
            outcome.stage,
            &words,
            Some(outcome.seconds),
        );
    }
    if !seen.up {
        for missing in seen.stages.iter().filter(|stage| !drawn.contains(stage)) {
            html.tag("li", &[("class", &"none")], |html| {
                html.leaf("b", &[], label(missing));
                html.leaf("span", &[], "not reached");
            });
        }
    }
}

fn stage(html: &mut Html, condition: &str, name: &str, words: &str, seconds: Option<f64>) {
    html.tag("li", &[("class", &condition)], |html| {
        html.tag("b", &[], |html| {
            sign(html, condition);
            html.text(label(name));
        });
        html.tag("span", &[], |html| {
            if let Some(seconds) = seconds {
                html.text(Took(seconds));
                html.text(if words.is_empty() { "" } else { " · " });
            }
            html.text(words);
        });
    });
}

fn looked_up(seen: &LookupStatus) -> String {
    match (&*seen.addresses, seen.expected, seen.private) {
        ([], _, _) => seen
            .detail
            .clone()
            .unwrap_or_else(|| seen.result.to_owned()),
        (_, Some(false), Some(false)) => "public address".to_owned(),
        (_, Some(false), _) => "unexpected address".to_owned(),
        _ => String::new(),
    }
}

/// The result of a stage in words. A registry that wants credentials is as it should be.
fn result(seen: &StageStatus) -> String {
    let detail = || seen.detail.clone().unwrap_or_default();
    if !seen.ok {
        return match &seen.detail {
            Some(detail) => detail.clone(),
            None => seen.reason.unwrap_or_default().to_owned(),
        };
    }
    let status = seen.response.as_ref().map(|response| response.status);
    match (seen.stage, status) {
        ("tls", _) => {
            let Some(handshake) = &seen.handshake else {
                return detail();
            };
            let version = handshake.version.replace("TLS", "TLS ");
            let until = seen.certificates.first().map(|leaf| {
                let day = leaf.not_after.strftime("%-d %b %Y");
                format!(", valid until {day}")
            });
            format!("{version}{}", until.unwrap_or_default())
        }
        ("challenge" | "http", Some(status @ (401 | 403))) => {
            format!("{status}, as expected without credentials")
        }
        ("challenge", Some(status)) => status.to_string(),
        ("token", _) if detail().starts_with("denied") => {
            "denied, as expected without credentials".to_owned()
        }
        _ => detail(),
    }
}

/// What every nameserver answered, and the stages on every address.
fn everything(html: &mut Html, seen: &EndpointStatus) {
    html.tag("ul", &[("class", &"everything")], |html| {
        for lookup in &seen.lookups {
            line(html, lookup.condition(), |html| {
                let nameserver = lookup.nameserver.as_deref().unwrap_or("no nameserver");
                html.leaf("b", &[], nameserver);
                let addresses: Vec<_> = lookup.addresses.iter().map(ToString::to_string).collect();
                let words = match &*addresses {
                    [] => looked_up(lookup),
                    addresses => format!("{} {}", addresses.join(" "), looked_up(lookup)),
                };
                html.text(format_args!(" {words}"));
                if let Some(seconds) = lookup.seconds {
                    html.text(format_args!(" {}", Took(seconds)));
                }
            });
        }
        for address in &seen.addresses {
            self::address(html, seen, address);
        }
    });
}

fn address(html: &mut Html, seen: &EndpointStatus, address: &AddressStatus) {
    let fails = address.stages.iter().any(|stage| !stage.ok);
    let on_path = seen.path.address == Some(address.address);
    let condition = match (fails, on_path) {
        (false, _) => "ok",
        (true, true) => seen.condition,
        (true, false) => "degraded",
    };
    line(html, condition, |html| {
        html.leaf("b", &[], address.address);
        if !on_path && seen.path.address.is_some() {
            html.text(" (not on the pull path)");
        }
        for stage in &address.stages {
            let took = Took(stage.seconds);
            html.text(format_args!(" · {} {took} ", label(stage.stage)));
            html.text(result(stage));
        }
    });
}

fn line(html: &mut Html, condition: &str, inside: impl FnOnce(&mut Html)) {
    html.tag("li", &[("class", &condition)], |html| {
        sign(html, condition);
        inside(html);
    });
}
