//! Log lines on standard error, as logfmt or JSON: in both `ts`, `level` and `msg` come first, then what
//! the event has. Set up once, before anything logs.

use std::{
    fmt,
    io::{self, Write},
    os::fd::AsFd,
};

use nix::{
    libc::PIPE_BUF,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

use crate::{
    cli::{LogFormat, LogLevel},
    printable::printable_json,
};

/// From now on, events are written to standard error.
pub(crate) fn start(level: LogLevel, format: LogFormat) {
    let level = match level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
    };
    let lines = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(|| Stderr);
    match format {
        LogFormat::Logfmt => lines.event_format(Logfmt).init(),
        LogFormat::Json => lines.event_format(Json).init(),
    }
}

/// Standard error, for lines that quote untrusted text. In both formats unprintable characters are inside
/// quotes, where the escapes of JSON apply. A line that cannot be written at once is lost (the disk is
/// full, or nobody reads the pipe): there is nowhere to report that, and the agent does not wait for it.
struct Stderr;

impl Write for Stderr {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let mut stderr = io::stderr().lock();
        for piece in printable_json(&text).as_bytes().chunks(PIPE_BUF) {
            // A pipe that is ready accepts this much without blocking.
            let mut ready = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
            if poll(&mut ready, PollTimeout::ZERO) == Ok(0) || stderr.write_all(piece).is_err() {
                break;
            }
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// `ts=… level=info msg="…" key=value`, as Prometheus writes it.
struct Logfmt;

impl<S, N> FormatEvent<S, N> for Logfmt
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Line { ts, level, fields } = Line::of(event);
        write!(
            writer,
            "ts={ts} level={level} msg={}",
            quoted(&fields.message)
        )?;
        for (name, value) in fields.others {
            let text = value.as_str().map(quoted);
            write!(
                writer,
                " {name}={}",
                text.unwrap_or_else(|| value.to_string())
            )?;
        }
        writeln!(writer)
    }
}

/// `{"ts":"…","level":"info","msg":"…","key":"value"}`.
struct Json;

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Line { ts, level, fields } = Line::of(event);
        let message = serde_json::Value::from(fields.message);
        write!(writer, r#"{{"ts":"{ts}","level":"{level}","msg":{message}"#)?;
        for (name, value) in fields.others {
            write!(writer, r#","{name}":{value}"#)?;
        }
        writeln!(writer, "}}")
    }
}

/// What both formats write.
struct Line {
    ts: String,
    level: String,
    fields: Fields,
}

impl Line {
    fn of(event: &Event<'_>) -> Self {
        let mut fields = Fields::default();
        event.record(&mut fields);
        Self {
            ts: format!("{:.3}", jiff::Timestamp::now()),
            level: event.metadata().level().as_str().to_lowercase(),
            fields,
        }
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    others: Vec<(&'static str, serde_json::Value)>,
}

impl Fields {
    fn add(&mut self, field: &Field, value: impl Into<serde_json::Value>) {
        self.others.push((field.name(), value.into()));
    }
}

impl Visit for Fields {
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        match field.name() {
            "message" => self.message = text,
            _ => self.add(field, text),
        }
    }
}

/// Without quotes where that is unambiguous, else quoted with the escapes of JSON, as logfmt readers
/// expect.
fn quoted(value: &str) -> String {
    let bare = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '=' | '\\');
    if !value.is_empty() && value.chars().all(bare) {
        return value.to_owned();
    }
    let escaped = value.chars().map(|c| match c {
        '"' | '\\' => format!("\\{c}"),
        '\n' => "\\n".to_owned(),
        c => c.to_string(),
    });
    format!("\"{}\"", escaped.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::{printable_json, quoted};

    #[test]
    fn a_value_is_one_word() {
        for (value, line) in [
            ("contoso.azurecr.io:443", "contoso.azurecr.io:443"),
            ("", r#""""#),
            ("two words", r#""two words""#),
            ("a=b", r#""a=b""#),
            (r#"a "b" \c"#, r#""a \"b\" \\c""#),
            ("line\nbreak\u{1b}[31m", r#""line\nbreak\u001b[31m""#),
            (
                "\u{202e}moc\u{e0041}\u{7f}",
                r#""\u202emoc\udb40\udc41\u007f""#,
            ),
        ] {
            assert_eq!(printable_json(&quoted(value)), line);
        }
    }

    #[test]
    fn a_line_break_is_kept() {
        assert_eq!(
            printable_json("{\"a\":\"\u{9b}1m\"}\n"),
            "{\"a\":\"\\u009b1m\"}\n"
        );
    }
}
