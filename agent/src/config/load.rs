//! A configuration from its file, for the commands: the error names the file.

use std::path::Path;

use super::Config;

/// The config, or an error that names the file.
pub(crate) fn load(path: &Path) -> anyhow::Result<Config> {
    Config::load(path).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))
}
