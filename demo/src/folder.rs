//! Where the demo keeps its files, so that `check` in another terminal finds the demo that runs.

use std::fs::{self, File, TryLockError};
use std::path::PathBuf;
use std::{env, io};

use anyhow::{Context, Result, bail};

/// A folder with the configuration of a demo.
pub(crate) struct Folder {
    path: PathBuf,
    /// Locked as long as the demo runs.
    held: Option<File>,
}

impl Folder {
    /// A new folder for a demo; it is removed when dropped.
    pub(crate) fn create() -> Result<Self> {
        let path = place()?;
        fs::create_dir_all(&path)
            .with_context(|| format!("failed to create {}", path.display()))?;
        let lock = File::create(path.join(LOCK))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                path,
                held: Some(lock),
            }),
            Err(TryLockError::WouldBlock) => bail!("it runs already, in another terminal"),
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }

    /// That of the demo that runs now.
    pub(crate) fn of_running_demo() -> Result<Self> {
        let path = place()?;
        match File::open(path.join(LOCK)).map(|lock| lock.try_lock_shared()) {
            Ok(Err(TryLockError::WouldBlock)) => Ok(Self { path, held: None }),
            Ok(Err(TryLockError::Error(error))) => Err(error.into()),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            Ok(Ok(())) | Err(_) => {
                bail!("it does not run; start it in another terminal: cargo demo")
            }
        }
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.file("regprobe.yaml")
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

const LOCK: &str = "lock";

impl Drop for Folder {
    fn drop(&mut self) {
        if self.held.is_some() {
            // It holds nothing but a few small files, which the next demo replaces.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Beside the program, unless `REGPROBE_DEMO_FOLDER` names another folder.
fn place() -> Result<PathBuf> {
    match env::var_os("REGPROBE_DEMO_FOLDER") {
        Some(folder) => Ok(folder.into()),
        None => Ok(env::current_exe()?.with_extension("files")),
    }
}
