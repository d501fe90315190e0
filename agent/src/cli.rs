//! The command line as typed. What it means is worked out by `run`, `check` and
//! `explain`.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};

use regprobe_probes::Code;

use crate::{
    config::{Image, Region, Server, check_timeout, parse_duration, parse_nameserver, parse_range},
    explain::parse_code,
};

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
}

/// `regprobe run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The configuration.
    #[arg(long = "config.file", value_name = "FILE")]
    pub config_file: PathBuf,
    /// Check the configuration and exit: 0 if it is good, 2 if not.
    #[arg(long = "config.check")]
    pub config_check: bool,
    /// Where to serve HTTP.
    #[arg(
        long = "web.listen-address",
        value_name = "ADDRESS",
        default_value = ":9118"
    )]
    pub listen_address: String,
    /// Allow `POST /-/reload`.
    #[arg(long = "web.enable-lifecycle")]
    pub enable_lifecycle: bool,
    /// What to log.
    #[arg(long = "log.level", value_enum, default_value_t = LogLevel::Info)]
    pub log_level: LogLevel,
    /// How to log.
    #[arg(long = "log.format", value_enum, default_value_t = LogFormat::Logfmt)]
    pub log_format: LogFormat,
}

/// `regprobe check`.
#[derive(Debug, Args)]
#[command(after_help = "Exit status: 0 no registry failing, 1 some failing, 2 could not tell.")]
pub(crate) struct CheckArgs {
    /// Registries: a server, `http://` before it for plain HTTP, or the bare name of an Azure
    /// Container Registry.
    #[arg(value_name = "REGISTRY", required_unless_present = "config_file")]
    pub registries: Vec<String>,
    /// Take registries and settings from a configuration.
    #[arg(long = "config.file", value_name = "FILE")]
    pub config_file: Option<PathBuf>,
    /// Expect private addresses, of these ranges if given.
    #[arg(
        long,
        value_name = "CIDR",
        num_args = 0..=1,
        require_equals = true,
        value_delimiter = ',',
        default_missing_value = "true",
        value_parser = parse_private
    )]
    pub private: Option<Vec<PrivateArg>>,
    /// A region of the Azure Container Registry: its data endpoint is checked as well.
    #[arg(long = "region", value_name = "REGION")]
    pub regions: Vec<Region>,
    /// An image whose token is asked for.
    #[arg(long = "image", value_name = "REPO:TAG")]
    pub images: Vec<Image>,
    /// Ask this nameserver instead of the node's own.
    #[arg(long = "nameserver", value_name = "IP[:PORT]", value_parser = parse_nameserver)]
    pub nameservers: Vec<SocketAddr>,
    /// Trust the certificates in this file too.
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// How long one stage may take [default: as configured, or 10s; for npd 2s at most].
    #[arg(long, value_name = "DURATION", value_parser = parse_timeout)]
    pub timeout: Option<Duration>,
    /// How to say it.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
    /// Only registries whose name matches (`*` and `?`).
    #[arg(long, value_name = "GLOB")]
    pub only: Option<String>,
}

/// `regprobe explain`.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The code of a finding, in any case; without it, all codes are listed.
    #[arg(value_name = "CODE", value_parser = parse_code)]
    pub code: Option<Code>,
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
    /// The status document.
    Json,
    /// For node-problem-detector: one line of 80 bytes at most, within 4 s.
    Npd,
}

/// A registry as typed on the command line.
pub(crate) fn parse_server(text: &str) -> Result<Server, String> {
    let expanded = regprobe_probes::expand_bare_name(text).map(|name| name.to_string());
    expanded
        .as_deref()
        .unwrap_or(text)
        .parse()
        .map_err(|error| format!("{text}: {error}"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn the_command_line_holds_together() {
        Cli::command().debug_assert();
    }
}
