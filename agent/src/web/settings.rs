//! What `--web.config.file` says of the listener: TLS, passwords, headers and a limit of requests, in
//! the format that the exporters of Prometheus share. Source: prometheus/exporter-toolkit,
//! `docs/web-configuration.md`. What that allows and is not safe is refused, with what to write.

mod file;
mod tls;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hyper::header::{HeaderName, HeaderValue};
use tokio::time::Instant;

pub(crate) use self::file::SettingsError;
use self::file::Source;
use self::tls::TlsSettings;
use super::{rate::RateLimit, users::Users};

/// How old settings may be before the files are looked at again, for the next connection.
const STALE: Duration = Duration::from_secs(1);

/// The settings of the listener as they are now; by default none, and they stay so.
#[derive(Default)]
pub(crate) struct CurrentSettings(Mutex<State>);

#[derive(Default)]
struct State {
    settings: Arc<Settings>,
    file: Option<Watched>,
}

/// What the settings come from.
struct Watched {
    path: PathBuf,
    source: Source,
    looked: Instant,
    /// Why what the files say now is not in force, if it is not.
    refused: Option<String>,
}

/// What holds for one connection, from its beginning to its end.
#[derive(Default)]
pub(super) struct Settings {
    /// None: plain HTTP.
    pub tls: Option<TlsSettings>,
    /// Who may ask.
    pub users: Users,
    /// On every answer that does not say otherwise itself.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// How many requests there may be, of all clients together.
    pub rate: Option<RateLimit>,
}

impl CurrentSettings {
    /// Loads the settings of the file at `path`; the error does not name it.
    pub(crate) fn load(path: &Path) -> Result<Self, SettingsError> {
        let (settings, source) = file::load(path)?;
        Ok(Self(Mutex::new(State {
            settings: Arc::new(settings),
            file: Some(Watched {
                path: path.to_owned(),
                source,
                looked: Instant::now(),
                refused: None,
            }),
        })))
    }

    /// The settings for a new connection. Where the files say something else than before it takes that
    /// up; where that is wrong, the old settings stay.
    pub(super) fn now(&self) -> Arc<Settings> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(new) = state.file.as_mut().and_then(Watched::look) {
            state.settings = Arc::new(new);
        }
        state.settings.clone()
    }
}

impl Watched {
    /// What the files say, if that is something new and good.
    fn look(&mut self) -> Option<Settings> {
        if self.looked.elapsed() < STALE {
            return None;
        }
        self.looked = Instant::now();
        if self.source.is_current() {
            return None;
        }
        match file::load(&self.path) {
            Ok((settings, source)) => {
                self.source = source;
                self.refused = None;
                tracing::info!("web configuration reloaded");
                Some(settings)
            }
            Err(error) => {
                let error = error.to_string();
                if self.refused.as_ref() != Some(&error) {
                    tracing::error!(error, "web configuration not reloaded; the old one stays");
                    self.refused = Some(error);
                }
                None
            }
        }
    }
}
