//! The file as it was typed, what is wrong with it, and the files that it names.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use hyper::header::{HeaderName, HeaderValue};
use regprobe_probes::read_regular;
use serde::Deserialize;
use thiserror::Error;

use super::{Settings, tls};
use crate::{
    config::{self, ConfigError, parse_duration},
    web::{
        rate::RateLimit,
        users::{HashError, Users},
    },
};

/// The largest certificate or key file that is read.
const MAX_BYTES: u64 = 1 << 20;

/// Between two requests; times that are added to it stay within what clocks can tell.
const LONGEST_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

/// Headers that the format has, and the values that they may have if not any.
const HEADERS: [(&str, &[&str]); 5] = [
    ("Content-Security-Policy", &[]),
    ("Strict-Transport-Security", &[]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", &[]),
];

/// Why a web configuration is not taken; says where, and what to write.
#[derive(Debug, Error)]
pub(crate) enum SettingsError {
    /// Not readable, not YAML, or a key that the format does not have.
    #[error(transparent)]
    Unreadable(#[from] ConfigError),
    /// A file that it names.
    #[error("{key}: cannot read {path}: {error}; check the path, and that this user may read it")]
    NamedFile {
        /// Where it is named.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What the kernel says.
        error: io::Error,
    },
    /// Two ways to say the same, or none.
    #[error("tls_server_config: {0}")]
    Tls(#[from] tls::TlsError),
    /// A header that is not set, or a value that it cannot have.
    #[error("http_server_config.headers.{0}")]
    Header(String),
    /// A hash that is none.
    #[error("basic_auth_users.{user}: {error}")]
    User {
        /// Whose.
        user: String,
        /// What is wrong with it.
        error: HashError,
    },
    /// An interval that is none.
    #[error("rate_limit.interval: {0}")]
    Interval(String),
}

/// The top of the file.
#[derive(Debug, Default, Deserialize)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "a mapping with tls_server_config, http_server_config, basic_auth_users or rate_limit"
)]
struct SettingsFile {
    tls_server_config: Option<tls::TlsFile>,
    http_server_config: HttpFile,
    basic_auth_users: Option<BTreeMap<String, String>>,
    rate_limit: RateFile,
}

#[derive(Debug, Default, Deserialize)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "a mapping with the keys http2 and headers"
)]
struct HttpFile {
    /// Only HTTP/1.1 is spoken, whatever it says.
    #[serde(rename = "http2")]
    _http2: Option<bool>,
    headers: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "a mapping with the keys interval and burst"
)]
struct RateFile {
    interval: Option<String>,
    burst: Option<u32>,
}

/// Reads and checks the file at `path` and what it names.
pub(super) fn load(path: &Path) -> Result<(Settings, Source), SettingsError> {
    let mut source = Source::default();
    let text = config::read_text(path)?;
    source.note(path, text.as_bytes());
    let file: SettingsFile = config::from_yaml(&text)?;
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    let tls = match file.tls_server_config {
        Some(tls) => Some(tls.settings(&mut Reader {
            folder,
            source: &mut source,
        })?),
        None => None,
    };
    let settings = Settings {
        tls,
        users: users(file.basic_auth_users.unwrap_or_default())?,
        headers: headers(file.http_server_config.headers.unwrap_or_default())?,
        rate: rate(&file.rate_limit)?,
    };
    Ok((settings, source))
}

fn users(typed: BTreeMap<String, String>) -> Result<Users, SettingsError> {
    let mut users = Users::default();
    for (user, hash) in typed {
        if let Err(error) = users.add(&user, hash) {
            return Err(SettingsError::User { user, error });
        }
    }
    Ok(users)
}

fn headers(
    typed: BTreeMap<String, String>,
) -> Result<Vec<(HeaderName, HeaderValue)>, SettingsError> {
    let mut headers = Vec::new();
    for (name, value) in typed {
        let known = HEADERS.iter().find(|(known, _)| *known == name);
        let Some((_, values)) = known else {
            let known = HEADERS.map(|(known, _)| known).join(", ");
            return Err(SettingsError::Header(format!(
                "{name}: not a header of this format; there are {known}"
            )));
        };
        if value.is_empty() {
            continue;
        }
        if !values.is_empty() && !values.contains(&&*value.to_ascii_lowercase()) {
            let values = values.join(" or ");
            return Err(SettingsError::Header(format!("{name}: write {values}")));
        }
        let header = HeaderName::try_from(&*name).map_err(|error| error.to_string());
        let value = HeaderValue::try_from(value).map_err(|error| error.to_string());
        let pair = header.and_then(|header| Ok((header, value?)));
        headers.push(pair.map_err(|error| SettingsError::Header(format!("{name}: {error}")))?);
    }
    Ok(headers)
}

fn rate(typed: &RateFile) -> Result<Option<RateLimit>, SettingsError> {
    let interval = match typed.interval.as_deref() {
        None | Some("0" | "0s") => return Ok(None),
        Some(interval) => interval,
    };
    let interval =
        parse_duration(interval).map_err(|error| SettingsError::Interval(error.to_string()))?;
    if interval > LONGEST_INTERVAL {
        let why = "more than a day; write 24h at the most".to_owned();
        return Err(SettingsError::Interval(why));
    }
    Ok(Some(RateLimit::new(
        interval,
        typed.burst.unwrap_or(1).max(1),
    )))
}

/// Reads the files that a configuration names, relative to where it is itself.
pub(super) struct Reader<'a> {
    folder: &'a Path,
    source: &'a mut Source,
}

impl Reader<'_> {
    /// The content of the file that `key` names.
    pub(super) fn read(
        &mut self,
        key: &'static str,
        path: &Path,
    ) -> Result<Vec<u8>, SettingsError> {
        let path = self.folder.join(path);
        let bytes = read_regular(&path, MAX_BYTES).map_err(|error| SettingsError::NamedFile {
            key,
            path: path.clone(),
            error,
        })?;
        self.source.note(&path, &bytes);
        Ok(bytes)
    }
}

/// Which files settings were made of, and what they said.
#[derive(Debug, Default)]
pub(super) struct Source(Vec<(PathBuf, u64)>);

impl Source {
    fn note(&mut self, path: &Path, bytes: &[u8]) {
        self.0.push((path.to_owned(), hash(bytes)));
    }

    /// Whether all of them say the same now.
    pub(super) fn is_current(&self) -> bool {
        let same = |(path, known): &(PathBuf, u64)| {
            read_regular(path, MAX_BYTES).is_ok_and(|bytes| hash(&bytes) == *known)
        };
        self.0.iter().all(same)
    }
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}
