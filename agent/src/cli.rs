//! The command line as typed. What it means is worked out by `run`, `check` and
//! `explain`.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use regprobe_probes::Code;

use self::code::CodeParser;
use crate::config::{
    Image, Region, Server, ServerError, check_interval, check_timeout, parse_duration,
    parse_nameserver, parse_range,
};

mod code;
pub(crate) mod shell;

/// What `check` ends with.
pub(crate) const CHECK_STATUS: &str = "Exit status: 0 no registry failing, 1 some failing, 2 could not tell: usage, configuration, \
     or a fault of this machine.";
/// What `run` ends with.
pub(crate) const RUN_STATUS: &str = "Exit status: 0 ended by SIGTERM or SIGINT, or the configuration is good; 2 could not start: \
     usage, configuration, address taken.";

/// Tells whether this node can pull images, and if not, why.
#[derive(Debug, Parser)]
#[command(name = "regprobe", version, propagate_version = true)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the binary can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Probe on a schedule and export what is seen.
    Run(RunArgs),
    /// Probe once, now, and say what is seen, what is wrong and what to do.
    Check(CheckArgs),
    /// Explain a finding: what it means, how to confirm it, how to mend it.
    Explain(ExplainArgs),
    /// Print completions for a shell.
    Completions {
        /// The shell.
        #[arg(value_enum)]
        shell: Shell,
    },
    /// Print the manual page.
    Man,
}

/// `regprobe run`.
#[derive(Debug, Args)]
#[command(after_help = RUN_STATUS)]
pub(crate) struct RunArgs {
    /// The configuration.
    #[arg(long = "config.file", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config_file: PathBuf,
    /// Check the configuration and exit: 0 if it is good, 2 if not.
    #[arg(long = "config.check")]
    pub config_check: bool,
    /// Reload the configuration when its file changes; a ConfigMap must be mounted as a directory.
    #[arg(long = "config.auto-reload")]
    pub config_auto_reload: bool,
    /// Where to serve HTTP.
    #[arg(
        long = "web.listen-address",
        value_name = "ADDRESS",
        value_hint = ValueHint::Other,
        default_value = ":9118"
    )]
    pub listen_address: String,
    /// TLS, passwords and headers, in the format of Prometheus' exporters; read anew when it changes.
    #[arg(long = "web.config.file", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub web_config_file: Option<PathBuf>,
    /// Allow `POST /-/reload`.
    #[arg(long = "web.enable-lifecycle")]
    pub enable_lifecycle: bool,
    /// How much memory the rounds of the past may take, in bytes, `KiB` or `MiB`; 0 keeps none.
    #[arg(
        long = "history.limit",
        value_name = "BYTES",
        default_value = "512KiB",
        value_parser = parse_size
    )]
    pub history_limit: usize,
    /// What to log.
    #[arg(long = "log.level", value_enum, default_value_t = LogLevel::Info)]
    pub log_level: LogLevel,
    /// How to log.
    #[arg(long = "log.format", value_enum, default_value_t = LogFormat::Logfmt)]
    pub log_format: LogFormat,
}

/// `regprobe check`.
#[derive(Debug, Args)]
#[command(after_help = CHECK_STATUS)]
pub(crate) struct CheckArgs {
    /// A server, http:// before it for plain HTTP, or the name of an Azure Container Registry.
    ///
    /// Where none is named, those of the configuration are checked; without a configuration, those
    /// of /etc/regprobe/config.yaml, else of the agent on this node, else those that containerd's
    /// certs.d has directories of.
    #[arg(value_name = "REGISTRY", value_hint = ValueHint::Hostname)]
    pub registries: Vec<String>,
    /// Take registries and settings from a configuration.
    #[arg(long = "config.file", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config_file: Option<PathBuf>,
    /// Expect private addresses, of these ranges if given.
    #[arg(
        long,
        value_name = "CIDR",
        value_hint = ValueHint::Other,
        num_args = 0..=1,
        require_equals = true,
        value_delimiter = ',',
        default_missing_value = "true",
        value_parser = parse_private
    )]
    pub private: Option<Vec<PrivateArg>>,
    /// A region of the Azure Container Registry: its data endpoint is checked as well.
    #[arg(long = "region", value_name = "REGION", value_hint = ValueHint::Other)]
    pub regions: Vec<Region>,
    /// An image, as repository:tag, to walk to its blobs.
    #[arg(long = "image", value_name = "IMAGE", value_hint = ValueHint::Other)]
    pub images: Vec<Image>,
    /// Ask the nameserver at this address, with or without a port, instead of the node's own.
    #[arg(
        long = "nameserver",
        value_name = "ADDRESS",
        value_hint = ValueHint::Other,
        value_parser = parse_nameserver
    )]
    pub nameservers: Vec<SocketAddr>,
    /// Trust the certificates in this file too.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub ca_file: Option<PathBuf>,
    /// How long one stage may take [default: as configured, or 10s; for npd 2s at most].
    #[arg(long, value_name = "DURATION", value_hint = ValueHint::Other, value_parser = parse_timeout)]
    pub timeout: Option<Duration>,
    /// Go on with round after round, and say what changes; Ctrl-C ends it [default interval: 15s].
    #[arg(
        long,
        value_name = "INTERVAL",
        value_hint = ValueHint::Other,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "15s",
        value_parser = parse_interval
    )]
    pub watch: Option<Duration>,
    /// How to say it.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
    /// Only registries whose name matches (`*` and `?`).
    #[arg(long, value_name = "GLOB", value_hint = ValueHint::Other)]
    pub only: Option<String>,
}

/// `regprobe explain`.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The code of a finding, in any case; without it, all codes are listed.
    #[arg(value_name = "CODE", value_parser = CodeParser, hide_possible_values = true)]
    pub code: Option<Code>,
}

/// Shells that completions are there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    /// Load with: source <(regprobe completions bash)
    Bash,
    /// Load after compinit, with: source <(regprobe completions zsh)
    Zsh,
    /// Load with: regprobe completions fish | source
    Fish,
}

/// One item of `--private`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PrivateArg {
    /// No range was given.
    AnyPrivate,
    /// A range.
    Range(ipnet::IpNet),
}

fn parse_private(text: &str) -> Result<PrivateArg, String> {
    match text {
        "true" => Ok(PrivateArg::AnyPrivate),
        range => parse_range(range)
            .map(PrivateArg::Range)
            .map_err(|error| error.to_string()),
    }
}

fn parse_size(text: &str) -> Result<usize, String> {
    let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("", 1)];
    let number = |(unit, factor)| Some((text.strip_suffix(unit)?, factor));
    let size = units.into_iter().find_map(number);
    size.and_then(|(number, factor)| number.parse::<usize>().ok()?.checked_mul(factor))
        .ok_or_else(|| "write a number of bytes, or one with KiB or MiB, as 512KiB".to_owned())
}

fn parse_interval(text: &str) -> Result<Duration, String> {
    let interval = parse_duration(text).map_err(|error| error.to_string())?;
    check_interval(interval).map_err(|problem| problem.to_string())?;
    Ok(interval)
}

fn parse_timeout(text: &str) -> Result<Duration, String> {
    let timeout = parse_duration(text).map_err(|error| error.to_string())?;
    check_timeout(timeout).map_err(|problem| problem.to_string())?;
    Ok(timeout)
}

/// Levels of the log.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LogLevel {
    /// Faults of the agent.
    Error,
    /// And what degrades it.
    Warn,
    /// And changes of state.
    Info,
    /// And every round.
    Debug,
}

/// Forms of the log.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LogFormat {
    /// `key=value`.
    Logfmt,
    /// One object a line.
    Json,
}

/// Forms of the result of `check`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Text,
    /// The status document, with all that was seen and no secret: a file to attach to a ticket.
    Json,
    /// For node-problem-detector: one line of 80 bytes at most, within 4 s.
    Npd,
}

/// A registry as typed on the command line.
pub(crate) fn parse_server(text: &str) -> Result<Server, String> {
    let expanded = regprobe_probes::expand_bare_name(text).map(|name| name.to_string());
    let server = expanded.as_deref().unwrap_or(text).parse();
    server.map_err(|error: ServerError| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::{Cli, parse_size};

    #[test]
    fn the_command_line_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn sizes() {
        for (text, size) in [
            ("0", Some(0)),
            ("1000", Some(1000)),
            ("512KiB", Some(524_288)),
            ("2MiB", Some(2_097_152)),
            ("18446744073709551615KiB", None),
            ("-1", None),
            ("KiB", None),
            ("", None),
            ("1 MiB", None),
            ("1MB", None),
        ] {
            assert_eq!(parse_size(text).ok(), size, "{text}");
        }
    }
}
