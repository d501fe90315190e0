//! What was typed.

use std::ffi::OsString;
use std::time::Duration;

const USAGE: &str = "usage: cargo demo [OPTIONS]        the demo\n       \
    cargo demo check [ARGUMENTS]  `regprobe check` of the demo that runs\n       \
    cargo demo explain [CODE]     `regprobe explain`\n\n\
    --pace SECONDS     each fault stays this long; without it, until Enter is pressed\n\
    --seconds SECONDS  when to end [default: on Ctrl-C]";

/// How the demo is shown.
#[derive(Debug, Default)]
pub(crate) struct Options {
    /// How long a fault stays; none: until a key is pressed.
    pub(crate) pace: Option<Duration>,
    /// When the demo ends by itself.
    pub(crate) end_after: Option<Duration>,
}

impl Options {
    pub(crate) fn parse(arguments: &[OsString]) -> Result<Self, &'static str> {
        let mut options = Self::default();
        let mut arguments = arguments.iter();
        while let Some(flag) = arguments.next() {
            let value = arguments.next().ok_or(USAGE)?;
            let seconds = || {
                let seconds = value.to_str().and_then(|text| text.parse().ok());
                seconds.map(Duration::from_secs).ok_or(USAGE)
            };
            match flag.to_str() {
                Some("--pace") => options.pace = Some(seconds()?),
                Some("--seconds") => options.end_after = Some(seconds()?),
                _ => return Err(USAGE),
            }
        }
        Ok(options)
    }
}
