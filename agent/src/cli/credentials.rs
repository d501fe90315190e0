//! The flags of `check` that say which credentials to offer for images, as the kubelet would.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use crate::config::ClientId;

/// What to offer for the images; with nothing, pulls are anonymous.
#[derive(Debug, Args)]
pub(crate) struct CredentialArgs {
    /// Offer the credentials of a pull secret for the images: a file with its `.dockerconfigjson`.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, value_parser = parse_absolute)]
    pub docker_config: Option<PathBuf>,
    /// Offer what the node's managed identity gets, as its kubelet does; which one, where it has several.
    #[arg(
        long,
        value_name = "CLIENT_ID",
        value_hint = ValueHint::Other,
        num_args = 0..=1,
        require_equals = true
    )]
    pub managed_identity: Option<Option<ClientId>>,
    /// The same, with the client id in the node's /etc/kubernetes/azure.json; nothing else is read there.
    #[arg(long, conflicts_with = "managed_identity")]
    pub azure_json: bool,
}

fn parse_absolute(text: &str) -> Result<PathBuf, String> {
    std::path::absolute(text).map_err(|error| error.to_string())
}
