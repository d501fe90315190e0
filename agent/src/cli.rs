//! The command line as typed. `run`, `check` and `explain` work out what it means.

use std::{
    ffi::{OsStr, OsString},
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};

pub(crate) use self::cluster::{BundleArgs, DocumentOutput, FleetArgs, WhyArgs};
use self::{runbook_name::RunbookParser, runbooks::Runbook};
use crate::config::{
    Image, Region, Server, ServerError, check_interval, check_timeout, parse_duration,
    parse_nameserver, parse_range,
};

pub(crate) mod cluster;
mod credentials;
mod runbook_name;
pub(crate) mod runbooks;
pub(crate) mod shell;

pub(crate) use self::credentials::CredentialArgs;

/// The exit statuses of `check`.
pub(crate) const CHECK_STATUS: &str = "Exit status: 0 no registry is failing (or degraded, with --fail-on=degraded); 1 some are; 2 could \
     not tell: a registry is unknown, usage error, bad configuration, or a fault of this machine.";
/// The exit statuses of `run`.
pub(crate) const RUN_STATUS: &str = "Exit status: 0 ended by SIGTERM or SIGINT, or the checked configuration is valid; 2 could not start: \
     usage error, bad configuration, or address in use.";

/// The name of the binary as a plugin of kubectl.
const PLUGIN: &str = "kubectl-regprobe";

/// The arguments as typed, or what they mean for the plugin of kubectl: without a command, the whole cluster.
pub(crate) fn as_typed(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<_> = arguments.into_iter().collect();
    let name = arguments.first().map(Path::new).and_then(Path::file_name);
    let is_plugin = name == Some(OsStr::new(PLUGIN));
    let next = arguments.get(1).map(|next| next.to_string_lossy());
    let is_fleet = match next.as_deref() {
        None => true,
        Some("-h" | "--help" | "-V" | "--version") => false,
        Some(next) => next.starts_with('-'),
    };
    if is_plugin && is_fleet {
        let means = ["fleet", "--kubectl"].map(OsString::from);
        arguments.splice(1..1, means);
    }
    arguments
}

/// Where the chart mounts the agent's configuration.
pub(crate) const DEFAULT_CONFIG: &str = "/etc/regprobe/config.yaml";

const EXAMPLES: &str = "Examples:
  regprobe check contoso --region=westeurope --private
  kubectl debug node/NODE -it --image=IMAGE -- regprobe check contoso
  regprobe explain PrivateLinkZoneNotLinked
  kubectl get pods -A -o json | regprobe discover > config.yaml";
const CHECK_EXAMPLES: &str = "Examples:
  regprobe check
      every registry that this node is known to use
  regprobe check contoso --region=westeurope --private=10.240.0.0/16
      an Azure Container Registry behind a private endpoint
  regprobe check registry.example:5000 --image=team/app:v1
      any registry, as far as the blobs of an image
  regprobe check contoso --watch
      until Ctrl-C, what changes
  kubectl regprobe check contoso --node=aks-pool1-12345678-vmss000000
      the same from a laptop, on this node
  kubectl regprobe check contoso --all
      on every node, as one view";
const DISCOVER_EXAMPLES: &str = "Examples:
  kubectl get pods -A -o json | regprobe discover > config.yaml
      the registries of all pods, each with the image that most pods use
  regprobe discover --node-root=/host
      the registries that containerd has settings for";

/// Checks whether this node can pull images, and says why not.
#[derive(Debug, Parser)]
#[command(name = "regprobe", version, propagate_version = true, after_help = EXAMPLES)]
pub(crate) struct Cli {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// All commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Probe on a schedule and export metrics.
    Run(RunArgs),
    /// Probe once, now, and report what is wrong and how to fix it.
    Check(Box<CheckArgs>),
    /// Show what all agents of the cluster see.
    Fleet(FleetArgs),
    /// Say why a pod cannot pull, through kubectl.
    Why(WhyArgs),
    /// Write the support bundles of nodes to files, through kubectl.
    Bundle(BundleArgs),
    /// Explain a finding or an alert, or print a guide.
    Explain(ExplainArgs),
    /// Write a configuration for the registries in use.
    Discover(DiscoverArgs),
    /// Print the completions for a shell.
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
    /// Check the configuration and exit: 0 if it is valid, 2 if not.
    #[arg(long = "config.check")]
    pub config_check: bool,
    /// Reload the configuration when its file changes. Mount a ConfigMap as a directory.
    #[arg(long = "config.auto-reload")]
    pub config_auto_reload: bool,
    /// Start with this configuration if the other cannot be used, and load that once it can.
    #[arg(long = "config.fallback-file", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config_fallback_file: Option<PathBuf>,
    /// The address to serve HTTP on.
    #[arg(
        long = "web.listen-address",
        value_name = "ADDRESS",
        value_hint = ValueHint::Other,
        default_value = ":9118"
    )]
    pub listen_address: String,
    /// TLS, passwords and headers, in the format of Prometheus exporters; reloaded when it changes.
    #[arg(long = "web.config.file", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub web_config_file: Option<PathBuf>,
    /// Allow `POST /-/reload`.
    #[arg(long = "web.enable-lifecycle")]
    pub enable_lifecycle: bool,
    /// The most memory for past rounds, in bytes, KiB or MiB; 0 keeps none.
    #[arg(
        long = "history.limit",
        value_name = "BYTES",
        default_value = "512KiB",
        value_parser = parse_size
    )]
    pub history_limit: usize,
    /// The log level.
    #[arg(long = "log.level", value_enum, default_value_t = LogLevel::Info)]
    pub log_level: LogLevel,
    /// The log format.
    #[arg(long = "log.format", value_enum, default_value_t = LogFormat::Logfmt)]
    pub log_format: LogFormat,
}

/// The flags of `check` that are about files of this machine, or do not end.
const OF_THIS_MACHINE: [&str; 5] = [
    "config_file",
    "docker_config",
    "ca_file",
    "node_root",
    "watch",
];

/// `regprobe check`.
#[derive(Debug, Args)]
#[command(after_help = format!("{CHECK_STATUS}\n\n{CHECK_EXAMPLES}"))]
pub(crate) struct CheckArgs {
    /// A server, with http:// for plain HTTP, or the name of an Azure Container Registry.
    ///
    /// Without any, the registries of the configuration are checked. Without a configuration either:
    /// those of /etc/regprobe/config.yaml, else those that the agent on this node watches, else those
    /// that have a directory in containerd's certs.d.
    #[arg(value_name = "REGISTRY", value_hint = ValueHint::Hostname)]
    pub registries: Vec<String>,
    /// Take registries and settings from a configuration.
    #[arg(long = "config.file", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config_file: Option<PathBuf>,
    /// Expect private addresses, in these ranges if given.
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
    /// A region of the Azure Container Registry, to check its data endpoint too.
    #[arg(long = "region", value_name = "REGION", value_hint = ValueHint::Other)]
    pub regions: Vec<Region>,
    /// An image, as repository:tag, to follow to its blobs.
    #[arg(long = "image", value_name = "IMAGE", value_hint = ValueHint::Other)]
    pub images: Vec<Image>,
    /// What to offer for the images.
    #[command(flatten)]
    pub credentials: CredentialArgs,
    /// Ask this nameserver, IP or IP:port, instead of the node's own.
    #[arg(
        long = "nameserver",
        value_name = "ADDRESS",
        value_hint = ValueHint::Other,
        value_parser = parse_nameserver
    )]
    pub nameservers: Vec<SocketAddr>,
    /// Also trust the certificates in this PEM file.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub ca_file: Option<PathBuf>,
    /// The timeout of a stage [default: as configured, or 10s; at most 2s for npd].
    #[arg(long, value_name = "DURATION", value_hint = ValueHint::Other, value_parser = parse_timeout)]
    pub timeout: Option<Duration>,
    /// Check on this node instead, in the pod of its agent, through kubectl; may be repeated.
    #[arg(
        long = "node",
        value_name = "NODE",
        value_hint = ValueHint::Other,
        group = "elsewhere",
        conflicts_with_all = OF_THIS_MACHINE
    )]
    pub nodes: Vec<String>,
    /// Check on every node that has an agent, through kubectl.
    #[arg(long, group = "elsewhere", conflicts_with_all = OF_THIS_MACHINE)]
    pub all: bool,
    /// With --node or --all, the namespace of the agents [default: all namespaces].
    #[arg(short, long, value_name = "NAME", value_hint = ValueHint::Other, requires = "elsewhere")]
    pub namespace: Option<String>,
    /// With --node or --all, the cluster: a context of kubectl [default: its current one].
    #[arg(long, value_name = "NAME", value_hint = ValueHint::Other, requires = "elsewhere")]
    pub context: Option<String>,
    /// Check again and again, and report what changes; Ctrl-C ends it [default interval: 15s].
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
    /// The output format.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
    /// The mildest condition that exits with 1.
    #[arg(long, value_name = "CONDITION", value_enum, default_value_t = FailOn::Failing)]
    pub fail_on: FailOn,
    /// Where the node's file system is [default: as configured, or /host if a node is there, or /].
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, value_parser = parse_directory)]
    pub node_root: Option<PathBuf>,
    /// Check only registries whose name or server matches (* and ?).
    #[arg(long, value_name = "GLOB", value_hint = ValueHint::Other)]
    pub only: Option<String>,
}

impl CheckArgs {
    /// Whether other nodes are to check.
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.all || !self.nodes.is_empty()
    }
}

/// `regprobe explain`.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The code of a finding, or the name of an alert or a guide, in upper or lower case; without it, all are
    /// listed.
    #[arg(value_name = "NAME", value_parser = RunbookParser, hide_possible_values = true)]
    pub runbook: Option<Runbook>,
}

/// `regprobe discover`.
#[derive(Debug, Args)]
#[command(after_help = DISCOVER_EXAMPLES)]
pub(crate) struct DiscoverArgs {
    /// Where the node's file system is, if standard input has no pods [default: /host if a node is there, or /].
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, value_parser = parse_directory)]
    pub node_root: Option<PathBuf>,
}

/// The mildest condition of a registry that makes `check` exit with 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailOn {
    /// A pull would fail.
    Failing,
    /// A pull would work, but something is wrong or slow.
    Degraded,
}

/// Shells with completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    /// Load with: source <(regprobe completions bash)
    Bash,
    /// Load after compinit, with: source <(regprobe completions zsh)
    Zsh,
    /// Load with: regprobe completions fish | source
    Fish,
}

/// One value of `--private`.
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
        .ok_or_else(|| {
            "write a number of bytes, or a number with KiB or MiB, such as 512KiB".to_owned()
        })
}

fn parse_directory(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match path.is_absolute() && path.is_dir() {
        true => Ok(path),
        false => Err("write the absolute path of a directory, such as /host".to_owned()),
    }
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

/// Log levels.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LogLevel {
    /// Only faults of the agent.
    Error,
    /// Also what degrades the agent.
    Warn,
    /// Also changes of state.
    Info,
    /// Also every round.
    Debug,
}

/// Log formats.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LogFormat {
    /// `key=value`.
    Logfmt,
    /// One object per line.
    Json,
}

/// Output formats of `check`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Text,
    /// The status document: everything that was seen, without secrets; attach it to a ticket.
    Json,
    /// For node-problem-detector: one line of at most 80 bytes, within 4 s.
    Npd,
}

/// Reads a registry as typed on the command line.
pub(crate) fn parse_server(text: &str) -> Result<Server, String> {
    let expanded = regprobe_probes::expand_bare_name(text).map(|name| name.to_string());
    let server = expanded.as_deref().unwrap_or(text).parse();
    server.map_err(|error: ServerError| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::{Cli, as_typed, parse_size};

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_plugin_without_a_command_shows_the_cluster() {
        for (typed, meant) in [
            ("regprobe", "regprobe"),
            (
                "/bin/kubectl-regprobe",
                "/bin/kubectl-regprobe fleet --kubectl",
            ),
            (
                "kubectl-regprobe -n a",
                "kubectl-regprobe fleet --kubectl -n a",
            ),
            ("kubectl-regprobe --help", "kubectl-regprobe --help"),
            ("kubectl-regprobe explain", "kubectl-regprobe explain"),
        ] {
            let typed = as_typed(typed.split(' ').map(Into::into));
            let words: Vec<_> = typed.iter().map(|word| word.to_str().unwrap()).collect();
            assert_eq!(words.join(" "), meant);
        }
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
