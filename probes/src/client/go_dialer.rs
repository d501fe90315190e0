//! What Go's dialler makes of what the survey saw: which address of a host containerd connects to,
//! after which waits, or with which error. It is the second step of the pull path and dials nothing.
//!
//! Source: Go's `net/dial.go` (`dialParallel`, `dialSerial`, `partialDeadline`).

use std::{collections::BTreeMap, fmt, net::SocketAddr, time::Duration};

/// The head start of the first address's family (RFC 6555, and containerd's `FallbackDelay`).
const FALLBACK_DELAY: Duration = Duration::from_millis(300);
/// Each address gets at least this, as long as that much is left.
const SANE_MINIMUM: Duration = Duration::from_secs(2);

/// The dial of each address that the survey tried.
pub(crate) type TcpSurvey = BTreeMap<SocketAddr, Attempt>;

/// One dial of one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attempt {
    /// Why it failed; `None` if it connected.
    pub fault: Option<DialFault>,
    /// How long it took. It does not matter for a timeout, because Go divides its own time.
    pub took: Duration,
}

/// How a dial fails, in Go's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub(crate) enum DialFault {
    /// No answer in the time given to the address.
    #[error("i/o timeout")]
    Timeout,
    /// ECONNREFUSED
    #[error("connect: connection refused")]
    Refused,
    /// ECONNRESET
    #[error("connection reset by peer")]
    Reset,
    /// EHOSTUNREACH
    #[error("connect: no route to host")]
    HostUnreachable,
    /// ENETUNREACH
    #[error("connect: network is unreachable")]
    NetworkUnreachable,
    /// EPERM
    #[error("connect: operation not permitted")]
    NotPermitted,
    /// EACCES
    #[error("connect: permission denied")]
    Prohibited,
    /// The survey did not dial this address, so nothing is known.
    #[error("not surveyed")]
    NotSurveyed,
}

/// A dial as the node's client would experience it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dial {
    /// The address connected to, or the error of the first address.
    pub result: Result<SocketAddr, DialError>,
    /// From the first packet to the result.
    pub took: Duration,
    /// The part that was lost on other addresses; all of it if none connects.
    pub waited: Duration,
}

/// Why no address of a host could be connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) struct DialError {
    /// The first address, whose error Go reports.
    pub address: SocketAddr,
    /// What happened to it.
    pub fault: DialFault,
}

impl fmt::Display for DialError {
    /// Go's words, without its `dial tcp ADDRESS: connect:` before a reset: that may as well come a
    /// moment later, when the client writes or reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.fault {
            fault @ DialFault::Reset => write!(f, "{fault}"),
            fault => write!(f, "dial tcp {}: {fault}", self.address),
        }
    }
}

/// Dials addresses in the order of the lookup, within `budget`: what the lookup has left of
/// containerd's 30 s. `None` if there are no addresses.
///
/// The first address's family is dialled first; the other family follows 300 ms later, or as soon as
/// the first one has failed. Within a family, addresses are dialled one after another.
pub(crate) fn dial(addresses: &[SocketAddr], survey: &TcpSurvey, budget: Duration) -> Option<Dial> {
    let first = addresses.first()?;
    let (primaries, fallbacks): (Vec<_>, Vec<_>) = addresses
        .iter()
        .copied()
        .partition(|address| is_ipv4(address) == is_ipv4(first));

    let primary = dial_serially(&primaries, survey, Duration::ZERO, budget)?;
    let is_early = primary.result.is_ok() && primary.took <= FALLBACK_DELAY;
    let fallback = if is_early {
        None
    } else {
        dial_serially(&fallbacks, survey, primary.took.min(FALLBACK_DELAY), budget)
    };
    Some(match fallback {
        None => primary,
        Some(fallback) => match (&primary.result, &fallback.result) {
            (Ok(_), Ok(_)) if fallback.took < primary.took => fallback,
            (Err(_), Ok(_)) => fallback,
            (Ok(_), _) => primary,
            (Err(_), Err(_)) => Dial::failed(primary.result, primary.took.max(fallback.took)),
        },
    })
}

/// Dials one address after another, starting at `start`; times count from the beginning of the whole
/// dial.
fn dial_serially(
    addresses: &[SocketAddr],
    survey: &TcpSurvey,
    start: Duration,
    budget: Duration,
) -> Option<Dial> {
    let mut now = start;
    let mut first_error = None;
    for (left, &address) in (1..=addresses.len() as u32).rev().zip(addresses) {
        let remaining = budget.saturating_sub(now);
        if remaining.is_zero() {
            first_error.get_or_insert(DialError {
                address,
                fault: DialFault::Timeout,
            });
            break;
        }
        let share = (remaining / left).max(SANE_MINIMUM).min(remaining);
        let (fault, took) = match survey.get(&address) {
            Some(Attempt {
                fault: Some(DialFault::Timeout),
                ..
            }) => (Some(DialFault::Timeout), share),
            Some(attempt) if attempt.took >= share => (Some(DialFault::Timeout), share),
            Some(attempt) => (attempt.fault, attempt.took),
            None => (Some(DialFault::NotSurveyed), Duration::ZERO),
        };
        let waited = now;
        now = now.saturating_add(took);
        match fault {
            None => {
                return Some(Dial {
                    result: Ok(address),
                    took: now,
                    waited,
                });
            }
            Some(fault) => first_error.get_or_insert(DialError { address, fault }),
        };
    }
    Some(Dial::failed(Err(first_error?), now))
}

impl Dial {
    fn failed(result: Result<SocketAddr, DialError>, took: Duration) -> Self {
        Self {
            result,
            took,
            waited: took,
        }
    }
}

fn is_ipv4(address: &SocketAddr) -> bool {
    address.ip().to_canonical().is_ipv4()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: Duration = Duration::from_secs(30);
    const UP: Option<DialFault> = None;
    const DEAD: Option<DialFault> = Some(DialFault::Timeout);
    const REFUSED: Option<DialFault> = Some(DialFault::Refused);
    const RESET: Option<DialFault> = Some(DialFault::Reset);
    const NO_ROUTE: Option<DialFault> = Some(DialFault::NetworkUnreachable);

    /// An address, how its dial fails, and how many milliseconds that takes.
    type Dialled<'a> = (&'a str, Option<DialFault>, u64);

    /// Dials addresses that are up or down after some milliseconds; returns the address connected to or
    /// the error, and the wait in milliseconds.
    fn summary(addresses: &[Dialled<'_>], budget: Duration) -> (String, u128) {
        let attempts = addresses.iter().map(|(address, fault, took)| {
            (
                address.parse().unwrap(),
                Attempt {
                    fault: *fault,
                    took: Duration::from_millis(*took),
                },
            )
        });
        let order: Vec<SocketAddr> = attempts.clone().map(|(address, _)| address).collect();
        let dial = dial(&order, &attempts.collect(), budget).unwrap();
        let text = dial
            .result
            .map_or_else(|error| error.to_string(), |address| address.to_string());
        (text, dial.waited.as_millis())
    }

    #[test]
    fn stories() {
        const A: &str = "10.240.1.4:443";
        const B: &str = "10.240.1.5:443";
        const C: &str = "10.240.1.6:443";
        const V6: &str = "[2603:1020::1]:443";
        #[rustfmt::skip]
        let table: &[(&str, &[Dialled<'_>], &str, u128)] = &[
            ("everything works", &[(A, UP, 2), (B, UP, 2)], A, 0),
            ("one dead address of two costs half the time", &[(A, DEAD, 0), (B, UP, 2)], B, 15_000),
            ("one of three a third", &[(A, DEAD, 0), (B, UP, 2), (C, UP, 2)], B, 10_000),
            ("two of three two thirds", &[(A, DEAD, 0), (B, DEAD, 0), (C, UP, 2)], C, 20_000),
            ("a dead address behind a good one costs nothing", &[(A, UP, 2), (B, DEAD, 0)], A, 0),
            ("refused costs nothing", &[(A, REFUSED, 2), (B, UP, 2)], B, 2),
            ("the only address is dead", &[(A, DEAD, 0)], "dial tcp 10.240.1.4:443: i/o timeout", 30_000),
            ("all are dead", &[(A, DEAD, 0), (B, DEAD, 0)], "dial tcp 10.240.1.4:443: i/o timeout", 30_000),
            (
                "the first error counts",
                &[(A, REFUSED, 2), (B, DEAD, 0)],
                "dial tcp 10.240.1.4:443: connect: connection refused",
                30_000,
            ),
            ("a reset may come later: no dial in its text", &[(A, RESET, 2)], "connection reset by peer", 2),
            ("slower than its share", &[(A, UP, 16_000), (B, UP, 2)], B, 15_000),
            ("IPv6 is dead: IPv4 after 300 ms", &[(V6, DEAD, 0), (A, UP, 2)], A, 300),
            ("IPv6 has no route: IPv4 at once", &[(V6, NO_ROUTE, 0), (A, UP, 2)], A, 0),
            ("IPv6 fails early", &[(V6, REFUSED, 40), (A, UP, 2)], A, 40),
            ("IPv6 is slow, IPv4 faster in spite of its late start", &[(V6, UP, 900), (A, UP, 2)], A, 300),
            ("IPv6 is slow, IPv4 slower", &[(V6, UP, 400), (A, UP, 200)], V6, 0),
            (
                "both fail: the first family's error",
                &[(V6, NO_ROUTE, 0), (A, REFUSED, 2)],
                "dial tcp [2603:1020::1]:443: connect: network is unreachable",
                2,
            ),
        ];
        for (story, addresses, expected, waited) in table {
            assert_eq!(
                summary(addresses, BUDGET),
                ((*expected).to_owned(), *waited),
                "{story}"
            );
        }
    }

    #[test]
    fn many_addresses_get_two_seconds_each_until_none_is_left() {
        let addresses: Vec<_> = (0..20).map(|n| format!("10.240.1.{n}:443")).collect();
        let dead: Vec<_> = addresses
            .iter()
            .map(|address| (&**address, DEAD, 0))
            .collect();
        assert_eq!(
            summary(&dead, BUDGET),
            ("dial tcp 10.240.1.0:443: i/o timeout".to_owned(), 30_000)
        );
        let mut last_up = dead.clone();
        last_up[14].1 = UP;
        assert_eq!(
            summary(&last_up, BUDGET),
            ("10.240.1.14:443".to_owned(), 28_000)
        );
        last_up.swap(14, 15);
        assert_eq!(summary(&last_up, BUDGET).1, 30_000);
    }

    #[test]
    fn a_short_or_endless_budget() {
        let dead_first = [("10.240.1.4:443", DEAD, 0), ("10.240.1.5:443", UP, 2)];
        assert_eq!(
            summary(&dead_first, Duration::from_secs(3)),
            ("10.240.1.5:443".to_owned(), 2_000)
        );
        assert_eq!(
            summary(&dead_first, Duration::from_secs(2)),
            ("dial tcp 10.240.1.4:443: i/o timeout".to_owned(), 2_000)
        );
        assert_eq!(
            summary(&dead_first, Duration::ZERO),
            ("dial tcp 10.240.1.4:443: i/o timeout".to_owned(), 0)
        );
        assert_eq!(summary(&dead_first, Duration::MAX).0, "10.240.1.5:443");
    }

    #[test]
    fn addresses_that_were_not_surveyed() {
        assert_eq!(dial(&[], &TcpSurvey::new(), BUDGET), None);
        let address = "10.240.1.4:443".parse().unwrap();
        let error = dial(&[address], &TcpSurvey::new(), BUDGET)
            .unwrap()
            .result
            .unwrap_err();
        assert_eq!(error.fault, DialFault::NotSurveyed);
    }
}
