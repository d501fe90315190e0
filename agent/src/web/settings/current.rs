//! The current settings, which are reloaded when their files change.

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

/// After this time, the next connection or request makes the agent look at the files again.
const STALE: Duration = Duration::from_secs(1);

/// The current settings of the web server. The default has none and never changes.
#[derive(Default)]
pub(crate) struct CurrentSettings(Mutex<State>);

#[derive(Default)]
struct State {
    settings: Arc<Settings>,
    file: Option<WatchedFile>,
}

/// The file that the settings come from.
struct WatchedFile {
    path: PathBuf,
    sources: SourceFiles,
    looked: Instant,
    /// Why the current content was refused, if it was.
    refused: Option<String>,
}

impl CurrentSettings {
    /// Loads the file at `path`; the error does not name it.
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

    /// The settings of this moment. If the files have changed, they are reloaded; if that fails, the
    /// old settings stay.
    pub(in crate::web) fn now(&self) -> Arc<Settings> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(new) = state.file.as_mut().and_then(WatchedFile::look) {
            state.settings = Arc::new(new);
        }
        state.settings.clone()
    }
}

impl WatchedFile {
    /// The new settings, if the files have changed and are valid.
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
