//! Commands about the whole cluster, as typed.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

/// The exit statuses of `fleet`.
pub(crate) const FLEET_STATUS: &str = "Exit status: 0 no node fails; 1 some do; 2 could not tell: an agent did not answer or cannot tell, usage \
     error, or bad configuration.";
/// The exit statuses of `why`.
pub(crate) const WHY_STATUS: &str = "Exit status: 0 the pod has no fault of a pull; 1 it cannot pull an image; 2 could not tell: it is on no \
     node, its pull has not ended, or it cannot be read. Of a workload, the worst of its pods decides; 2 if it has none.";
const WHY_EXAMPLES: &str = "Examples:
  kubectl regprobe why web-5d8f9c -n shop
      cause, remedy and runbook of its ImagePullBackOff
  kubectl regprobe why deployment/web -n shop
      each cause once, of all its pods
  kubectl regprobe why web-5d8f9c -n shop --output=json
      the same for a program";

const BUNDLE_EXAMPLES: &str = "Examples:
  kubectl regprobe bundle --node=aks-pool1-12345678-vmss000000 --out=ticket
      what the agent of one node saw, and its log
  kubectl regprobe bundle
      the same of all nodes

Exit status: 0 all files are written; 2 some are not.";

/// `regprobe fleet`.
#[derive(Debug, Args)]
#[command(after_help = FLEET_STATUS)]
pub(crate) struct FleetArgs {
    /// The configuration of the agents, which says how to find and ask them [default:
    /// /etc/regprobe/config.yaml; where that does not exist, kubectl].
    #[arg(
        long = "config.file",
        value_name = "FILE",
        value_hint = ValueHint::FilePath,
        conflicts_with = "kubectl"
    )]
    pub config_file: Option<PathBuf>,
    /// Ask them through kubectl and the API server, with your own rights: list pods, get pods/proxy.
    #[arg(long)]
    pub kubectl: bool,
    /// With kubectl, the cluster: one of its contexts [default: its current one].
    #[arg(long, value_name = "NAME", value_hint = ValueHint::Other, conflicts_with = "config_file")]
    pub context: Option<String>,
    /// With kubectl, the namespace of the agents [default: all namespaces].
    #[arg(short, long, value_name = "NAME", value_hint = ValueHint::Other)]
    pub namespace: Option<String>,
    /// The output format.
    #[arg(long, value_enum, default_value_t = DocumentOutput::Text)]
    pub output: DocumentOutput,
}

/// `regprobe why`.
#[derive(Debug, Args)]
#[command(after_help = format!("{WHY_STATUS}\n\n{WHY_EXAMPLES}"))]
pub(crate) struct WhyArgs {
    /// The pod, or a workload as KIND/NAME: deployment, daemonset, statefulset, replicaset, job or cronjob.
    #[arg(value_name = "POD", value_hint = ValueHint::Other)]
    pub pod: String,
    /// Its namespace [default: that of kubectl].
    #[arg(short, long, value_name = "NAME", value_hint = ValueHint::Other)]
    pub namespace: Option<String>,
    /// The namespace of the agents [default: all namespaces].
    #[arg(long, value_name = "NAME", value_hint = ValueHint::Other)]
    pub agents_namespace: Option<String>,
    /// The cluster: a context of kubectl [default: its current one].
    #[arg(long, value_name = "NAME", value_hint = ValueHint::Other)]
    pub context: Option<String>,
    /// The output format.
    #[arg(long, value_enum, default_value_t = DocumentOutput::Text)]
    pub output: DocumentOutput,
}

/// Output formats of commands about the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DocumentOutput {
    /// For people.
    Text,
    /// For programs: everything.
    Json,
}

/// `regprobe bundle`.
#[derive(Debug, Args)]
#[command(after_help = BUNDLE_EXAMPLES)]
pub(crate) struct BundleArgs {
    /// A node; may be repeated [default: every node that has an agent].
    #[arg(long = "node", value_name = "NODE", value_hint = ValueHint::Other)]
    pub nodes: Vec<String>,
    /// The folder for the files [default: regprobe-DATE-TIME].
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub out: Option<PathBuf>,
    /// The namespace of the agents [default: all namespaces].
    #[arg(short, long, value_name = "NAME", value_hint = ValueHint::Other)]
    pub namespace: Option<String>,
    /// The cluster: a context of kubectl [default: its current one].
    #[arg(long, value_name = "NAME", value_hint = ValueHint::Other)]
    pub context: Option<String>,
}
