//! The settings as they are now: read again when the files change.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    error::SettingsError,
    file::{self, Settings},
    sources::SourceFiles,
};

/// How old settings may be before the files are looked at again, for the next connection.
const STALE: Duration = Duration::from_secs(1);

/// The settings of the web server as they are now; by default none, and they stay so.
#[derive(Default)]
pub(crate) struct CurrentSettings(Mutex<State>);

#[derive(Default)]
struct State {
    settings: Arc<Settings>,
    file: Option<WatchedFile>,
}

/// What the settings come from.
struct WatchedFile {
    path: PathBuf,
    sources: SourceFiles,
    looked: Instant,
    /// Why what the files say now is not in force, if it is not.
    refused: Option<String>,
}

impl CurrentSettings {
    /// Loads the settings of the file at `path`; the error does not name it.
    pub(crate) fn load(path: &Path) -> Result<Self, SettingsError> {
        let (settings, sources) = file::load(path)?;
        Ok(Self(Mutex::new(State {
            settings: Arc::new(settings),
            file: Some(WatchedFile {
                path: path.to_owned(),
                sources,
                looked: Instant::now(),
                refused: None,
            }),
        })))
    }

    /// The settings for a new connection. Where the files say something else than before it takes that
    /// up; where that is wrong, the old settings stay.
    pub(in crate::web) fn now(&self) -> Arc<Settings> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(new) = state.file.as_mut().and_then(WatchedFile::look) {
            state.settings = Arc::new(new);
        }
        state.settings.clone()
    }
}

impl WatchedFile {
    /// What the files say, if that is something new and good.
    fn look(&mut self) -> Option<Settings> {
        if self.looked.elapsed() < STALE {
            return None;
        }
        self.looked = Instant::now();
        if self.sources.is_current() {
            return None;
        }
        match file::load(&self.path) {
            Ok((settings, sources)) => {
                self.sources = sources;
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
