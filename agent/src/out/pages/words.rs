//! Numbers, times and states as the pages show them.

use std::fmt::{self, Display};

use jiff::{SignedDuration, Timestamp};

use super::html::Html;
use crate::out::{
    describe::Milliseconds,
    status::{FindingStatus, RegistryStatus},
};

/// A pull that waits longer than this is slow.
const SLOW_SECONDS: f64 = 1.0;

/// A time in milliseconds, or from one second on in seconds.
pub(super) struct Took(pub(super) f64);

impl Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            seconds if seconds >= 1.0 => write!(f, "{seconds:.1} s"),
            seconds => Milliseconds(seconds).fmt(f),
        }
    }
}

/// A duration in one unit: `14 min`.
pub(super) struct Span(pub(super) SignedDuration);

impl Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_secs().max(0) {
            seconds @ 0..120 => write!(f, "{seconds} s"),
            seconds @ 120..7200 => write!(f, "{} min", seconds / 60),
            seconds @ 7200..172_800 => write!(f, "{} h", seconds / 3600),
            seconds => write!(f, "{} days", seconds / 86_400),
        }
    }
}

/// A message as a sentence. One that begins with the name of a host keeps it as it is.
pub(super) struct Sentence<'a>(pub(super) &'a str);

impl Display for Sentence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.0.split_whitespace().next().unwrap_or_default();
        let mut rest = self.0.chars();
        if first.chars().all(char::is_alphabetic)
            && let Some(letter) = rest.next()
        {
            write!(f, "{}", letter.to_uppercase())?;
        }
        f.write_str(rest.as_str())?;
        match self.0.ends_with(['.', '!', '?']) {
            true => Ok(()),
            false => f.write_str("."),
        }
    }
}

/// A list of names: `a, b and c`, or how many there are if they are more than three.
pub(super) fn names(names: &[&str], kind: &str) -> String {
    match names {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] if first.len() < 3 => format!("{} and {last}", first.join(", ")),
        all => format!("{} {kind}", all.len()),
    }
}

/// A time, also in a form for machines.
pub(super) fn time(html: &mut Html, at: Timestamp) {
    html.leaf(
        "time",
        &[("datetime", &at)],
        at.strftime("%Y-%m-%d %H:%M:%S UTC"),
    );
}

/// Since when something holds, and for how long: `since 02:14:05 UTC, 41 min`.
pub(super) fn since(html: &mut Html, at: Timestamp, now: Timestamp) {
    let held = now.duration_since(at);
    let format = match held < SignedDuration::from_hours(20) {
        true => "%H:%M:%S UTC",
        false => "%Y-%m-%d %H:%M UTC",
    };
    html.tag("span", &[("class", &"since")], |html| {
        html.text("since ");
        html.leaf("time", &[("datetime", &at)], at.strftime(format));
        html.text(format_args!(", {}", Span(held)));
    });
}

/// The condition that a finding of this severity makes of what it concerns.
pub(super) fn condition_of(severity: &str) -> &'static str {
    match severity {
        "critical" => "failing",
        "warning" => "degraded",
        _ => "ok",
    }
}

/// What a condition means for a pull.
pub(super) fn meaning(condition: &str) -> &'static str {
    match condition {
        "ok" => "works",
        "degraded" => "works, with a problem",
        "failing" => "cannot pull",
        _ => "cannot tell",
    }
}

/// What the condition of this registry means for a pull.
pub(super) fn state_of(seen: &RegistryStatus) -> &'static str {
    let is_slow = || seen.predicted_pull_delay_seconds >= Some(SLOW_SECONDS);
    match seen.condition {
        "unknown" if seen.at.is_none() => "not probed yet",
        "degraded" if is_public(&seen.findings) => "works, over the public internet",
        "degraded" if is_slow() => "works, but slowly",
        condition => meaning(condition),
    }
}

/// Whether pulls leave the private network that they should take.
fn is_public(findings: &[FindingStatus]) -> bool {
    let codes = ["PrivateLinkZoneNotLinked", "PublicAddress"];
    findings.iter().any(|finding| codes.contains(&finding.code))
}

/// The name of a stage for people.
pub(super) fn label(stage: &str) -> &str {
    match stage {
        "tls" => "TLS",
        "challenge" => "/v2/",
        "http" => "HTTP",
        "blob" => "layer",
        stage => stage,
    }
}

/// A sign for each condition, so that colour is not the only difference.
pub(super) fn sign(html: &mut Html, condition: &str) {
    let sign = match condition {
        "ok" => "✓",
        "failing" => "✕",
        "degraded" => "▲",
        _ => "?",
    };
    html.leaf(
        "span",
        &[("class", &"sign"), ("aria-hidden", &"true")],
        sign,
    );
}

/// What to do about a finding.
pub(super) fn remedy(html: &mut Html, remedy: &str) {
    html.tag("p", &[("class", &"do")], |html| {
        html.leaf("b", &[], "What to do");
        html.text(Sentence(remedy));
    });
}

/// Words in the colour of a condition, with its sign.
pub(super) fn state(html: &mut Html, condition: &str, words: &str) {
    html.tag(
        "span",
        &[("class", &format_args!("state {condition}"))],
        |html| {
            sign(html, condition);
            html.text(words);
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_one_unit() {
        for (seconds, text) in [
            (-3, "0 s"),
            (119, "119 s"),
            (120, "2 min"),
            (7199, "119 min"),
            (7200, "2 h"),
            (172_800, "2 days"),
        ] {
            assert_eq!(Span(SignedDuration::from_secs(seconds)).to_string(), text);
        }
        assert_eq!(Took(0.00041).to_string(), "0.4 ms");
        assert_eq!(Took(10.001).to_string(), "10.0 s");
    }

    #[test]
    fn messages_become_sentences() {
        for (message, sentence) in [
            ("the proxy fails", "The proxy fails."),
            (
                "contoso.azurecr.io has no address",
                "contoso.azurecr.io has no address.",
            ),
            ("Renew it.", "Renew it."),
            ("", "."),
        ] {
            assert_eq!(Sentence(message).to_string(), sentence);
        }
    }

    #[test]
    fn many_names_are_counted() {
        for (list, text) in [
            (&["a"][..], "a"),
            (&["a", "b"], "a and b"),
            (&["a", "b", "c"], "a, b and c"),
            (&["a", "b", "c", "d"], "4 registries"),
        ] {
            assert_eq!(names(list, "registries"), text);
        }
    }
}
