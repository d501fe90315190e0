//! Numbers, times and states as the pages show them.

use std::fmt::{self, Display};

use jiff::{SignedDuration, Timestamp};

use super::html::Html;
use crate::out::describe::Milliseconds;

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
            seconds => write!(f, "{} d", seconds / 86_400),
        }
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

/// A sign for each state, so that colour is not the only difference.
pub(super) fn sign(html: &mut Html, state: &str) {
    let sign = match state {
        "ok" => "✓",
        "failing" | "critical" => "✕",
        "degraded" | "warning" => "▲",
        "info" => "ℹ",
        _ => "?",
    };
    html.leaf(
        "span",
        &[("class", &"sign"), ("aria-hidden", &"true")],
        sign,
    );
}

/// The name of a state with its sign.
pub(super) fn badge(html: &mut Html, state: &str) {
    html.tag(
        "span",
        &[("class", &format_args!("badge {state}"))],
        |html| {
            sign(html, state);
            html.text(state);
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
            (172_800, "2 d"),
        ] {
            assert_eq!(Span(SignedDuration::from_secs(seconds)).to_string(), text);
        }
        assert_eq!(Took(0.00041).to_string(), "0.4 ms");
        assert_eq!(Took(10.001).to_string(), "10.0 s");
    }
}
