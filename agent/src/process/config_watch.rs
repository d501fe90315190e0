//! `--config.auto-reload`: notices when the content of the configuration file changes. It reads the file
//! at intervals, so it does not matter what changes it: an editor, a rename, or the symbolic link that
//! Kubernetes swaps for a mounted ConfigMap.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use crate::config::Config;

/// Between two readings of the file.
const INTERVAL: Duration = Duration::from_secs(2);

/// Watches one file.
pub(crate) struct ConfigWatch {
    path: PathBuf,
    ticks: Interval,
    /// The hash of the content when the file was last loaded.
    known: u64,
    /// The same at the last reading.
    last: u64,
}

impl ConfigWatch {
    /// Starts with the content as it is now.
    pub(crate) fn start(path: &Path) -> Self {
        let mut ticks = interval_at(Instant::now() + INTERVAL, INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let now = content(path);
        Self {
            path: path.to_owned(),
            ticks,
            known: now,
            last: now,
        }
    }

    /// Returns once the content has changed and was the same at two readings in a row, so that a
    /// half-written file is not loaded. No change is lost when the future is dropped.
    pub(crate) async fn changed(&mut self) {
        loop {
            self.ticks.tick().await;
            let before = std::mem::replace(&mut self.last, content(&self.path));
            if self.last == before && self.last != self.known {
                self.known = self.last;
                return;
            }
        }
    }
}

/// Enough of a file's content, or of why it cannot be read, to see that it has changed.
fn content(path: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    let read = Config::read(path).map_err(|error| error.to_string());
    read.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tokio::time::timeout;

    use super::*;

    /// Virtual time: when only timers are left to wait for, they fire at once.
    fn in_virtual_time(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(test);
    }

    async fn sees_no_change(watch: &mut ConfigWatch) -> bool {
        timeout(10 * INTERVAL, watch.changed()).await.is_err()
    }

    async fn sees_a_change(watch: &mut ConfigWatch) -> bool {
        timeout(3 * INTERVAL, watch.changed()).await.is_ok()
    }

    #[test]
    fn a_changed_content_is_reported_once() {
        in_virtual_time(async {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("regprobe.yaml");
            fs::write(&path, "one").unwrap();
            let mut watch = ConfigWatch::start(&path);
            assert!(sees_no_change(&mut watch).await);
            fs::write(&path, "two").unwrap();
            assert!(sees_a_change(&mut watch).await);
            assert!(sees_no_change(&mut watch).await);
            // Writing the same again is no change, nor is one that is undone at once.
            fs::write(&path, "two").unwrap();
            assert!(sees_no_change(&mut watch).await);
            fs::remove_file(&path).unwrap();
            assert!(sees_a_change(&mut watch).await);
            assert!(sees_no_change(&mut watch).await);
            fs::write(&path, "two").unwrap();
            assert!(sees_a_change(&mut watch).await);
        });
    }

    #[test]
    fn a_half_written_file_is_not_reported() {
        in_virtual_time(async {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("regprobe.yaml");
            fs::write(&path, "").unwrap();
            let mut watch = ConfigWatch::start(&path);
            for written in 1..20 {
                fs::write(&path, "x".repeat(written)).unwrap();
                assert!(timeout(INTERVAL, watch.changed()).await.is_err());
            }
            assert!(sees_a_change(&mut watch).await);
        });
    }
}
