//! The settings of a connection, and the file that they are read from.

use std::{collections::BTreeMap, path::Path, time::Duration};

use hyper::header::{HeaderName, HeaderValue};
use serde::Deserialize;

use super::{
    error::SettingsError,
    sources::{FileReader, SourceFiles},
    tls::{TlsFile, TlsSettings},
};
use crate::{
    config::{self, parse_duration},
    web::{rate::RateLimit, users::Users},
};

/// The longest interval between two requests.
const LONGEST_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

/// The headers that the format knows, with their values if those are limited.
const HEADERS: [(&str, &[&str]); 5] = [
    ("Content-Security-Policy", &[]),
    ("Strict-Transport-Security", &[]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", &[]),
];

/// What applies to one request, and TLS to a connection from its beginning.
#[derive(Default)]
pub(in crate::web) struct Settings {
    /// None: plain HTTP.
    pub tls: Option<TlsSettings>,
    /// Who may send requests.
    pub users: Users,
    /// Added to every answer that does not have them.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// How many requests all clients that may send any may send together.
    pub rate: Option<RateLimit>,
}

/// The top of the file.
#[derive(Debug, Default, Deserialize)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "a mapping with tls_server_config, http_server_config, basic_auth_users or rate_limit"
)]
struct SettingsFile {
    tls_server_config: Option<TlsFile>,
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
    /// Ignored: the server only supports HTTP/1.1.
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
pub(super) fn load(path: &Path) -> Result<(Settings, SourceFiles), SettingsError> {
    let mut sources = SourceFiles::default();
    let text = config::read_text(path)?;
    sources.note(path, text.as_bytes());
    let file: SettingsFile = config::from_yaml(&text)?;
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    let tls = match file.tls_server_config {
        Some(tls) => Some(tls.settings(&mut FileReader {
            folder,
            sources: &mut sources,
        })?),
        None => None,
    };
    let settings = Settings {
        tls,
        users: users(file.basic_auth_users.unwrap_or_default())?,
        headers: headers(file.http_server_config.headers.unwrap_or_default())?,
        rate: rate(&file.rate_limit)?,
    };
    Ok((settings, sources))
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
                "{name}: this header cannot be set; choose from {known}"
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
        let why = "longer than a day; write at most 24h".to_owned();
        return Err(SettingsError::Interval(why));
    }
    Ok(Some(RateLimit::new(
        interval,
        typed.burst.unwrap_or(1).max(1),
    )))
}
