//! Reads the config file and turns its text into a [`Config`].

use std::path::Path;

use regprobe_probes::read_regular;

use super::checked::Config;
use super::error::ConfigError;
use super::file::ConfigFile;
use super::location::Location;
use super::yaml;

/// The largest config, in bytes: the largest that a ConfigMap can hold.
const MAX_BYTES: usize = 1 << 20;

/// Loads the config; the error names the file.
pub(crate) fn load(path: &Path) -> anyhow::Result<Config> {
    Config::load(path).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))
}

/// Reads the YAML file at `path` as text; the error does not name the file.
pub(crate) fn read_text(path: &Path) -> Result<String, ConfigError> {
    String::from_utf8(Config::read(path)?).map_err(|error| {
        let place = error.utf8_error().valid_up_to();
        ConfigError::NotUtf8(Location::of(error.as_bytes(), place))
    })
}

impl Config {
    /// Reads and checks the file at `path`.
    ///
    /// The error does not name the file: the caller knows it.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::parse(&read_text(path)?)
    }

    /// Reads the file at `path` without looking at its content.
    pub fn read(path: &Path) -> Result<Vec<u8>, ConfigError> {
        // One byte over the limit shows that the file is too large.
        let bytes = read_regular(path, MAX_BYTES as u64 + 1).map_err(ConfigError::Read)?;
        if bytes.len() > MAX_BYTES {
            return Err(ConfigError::TooLarge);
        }
        Ok(bytes)
    }

    /// Checks `text`, the content of a config file.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        if text.len() > MAX_BYTES {
            return Err(ConfigError::TooLarge);
        }
        Self::try_from(yaml::read::<ConfigFile>(text)?).map_err(|violation| {
            let location = yaml::locate(text, &violation.path);
            let first = violation.first.as_ref();
            let first = first.and_then(|path| yaml::locate(text, path));
            ConfigError::Refused {
                violation: Box::new(violation),
                location,
                first,
            }
        })
    }
}
