//! How long a registry asks clients to wait: `429 Too Many Requests` and `503 Service Unavailable` with
//! `Retry-After` (RFC 9110, section 10.2.3), a number of seconds or a date.

use std::time::Duration;

use jiff::{Timestamp, fmt::rfc2822::DateTimeParser};
use regprobe_probes::{Depth, Fault, HttpFault, Outcome};

/// No longer than this: the registry may be wrong, and so may the node's clock.
const MOST: Duration = Duration::from_secs(60 * 60);

/// The depths from which the registry of `outcome` asks to wait, and how long from `now`. Each depth
/// is listed once, with its longest time.
pub(crate) fn asked_for(outcome: &Outcome, now: Timestamp) -> Vec<(Depth, Duration)> {
    let mut asked: Vec<(Depth, Duration)> = Vec::new();
    let addresses = outcome.endpoints.iter().flat_map(|seen| &seen.addresses);
    for stage in addresses.flat_map(|address| &address.stages) {
        let Err(Fault::Http(HttpFault::Refused(refusal))) = &stage.result else {
            continue;
        };
        let (429 | 503, Some(text)) = (refusal.status, &refusal.retry_after) else {
            continue;
        };
        let depth = Depth::of(stage.stage);
        let wait = wait(text, now).map(|wait| wait.min(MOST));
        let known = asked.iter_mut().find(|(other, _)| *other == depth);
        match (wait, known) {
            (None, _) => {}
            (Some(wait), Some((_, longest))) => *longest = wait.max(*longest),
            (Some(wait), None) => asked.push((depth, wait)),
        }
    }
    asked
}

/// `None` if the date has passed, or if it is neither a number nor a date.
fn wait(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number that does not fit is longer than the limit.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = DateTimeParser::new().parse_timestamp(text).ok()?;
    let wait = Duration::try_from(date.duration_since(now)).ok()?;
    (!wait.is_zero()).then_some(wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_or_a_date() {
        let now = "1994-11-06T08:49:00Z".parse().unwrap();
        for (text, expected) in [
            ("120", Some(120)),
            (" 5 ", Some(5)),
            ("0", Some(0)),
            ("99999999999999999999", Some(u64::MAX)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(37)),
            ("Sun, 06 Nov 1994 08:48:37 GMT", None),
            ("-5", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
        ] {
            let expected = expected.map(Duration::from_secs);
            assert_eq!(wait(text, now), expected, "{text:?}");
        }
    }
}
