//! `--config.auto-reload`: notices that the configuration file says something else. It reads the
//! file itself every now and then, so it does not matter how the change came about: an editor, a
//! rename, or the symbolic link that Kubernetes swaps above a mounted ConfigMap.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use crate::config::{Config, ConfigError};

/// Between two looks at the file.
const PACE: Duration = Duration::from_secs(2);

/// Watches one file.
pub(crate) struct ConfigWatch {
    path: PathBuf,
    looks: Interval,
    /// What was there when the file was last loaded, as far as is known.
    known: Content,
    /// What was there at the last look.
    last: Content,
}

impl ConfigWatch {
    /// Whatever differs from what is there now is a change.
    pub(crate) fn start(path: &Path) -> Self {
        let mut looks = interval_at(Instant::now() + PACE, PACE);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let now = Content::of(path);
        Self {
            path: path.to_owned(),
            looks,
            known: now,
            last: now,
        }
    }

    /// Returns once the file says something else than before, and has said so twice in a row: half
    /// of a file that is being written is none of our business. No change is lost where the future
    /// is dropped.
    pub(crate) async fn changed(&mut self) {
        loop {
            self.looks.tick().await;
            let before = std::mem::replace(&mut self.last, Content::of(&self.path));
            if self.last == before && self.last != self.known {
                self.known = self.last;
                return;
            }
        }
    }
}

/// As much of a file's content as it takes to see that it is another.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Content {
    Text(u64),
    Unreadable(io::ErrorKind),
    TooLarge,
}

impl Content {
    fn of(path: &Path) -> Self {
        match Config::read(path) {
            Ok(bytes) => {
                let mut hasher = DefaultHasher::new();
                bytes.hash(&mut hasher);
                Self::Text(hasher.finish())
            }
            Err(ConfigError::Read(error)) => Self::Unreadable(error.kind()),
            Err(_) => Self::TooLarge,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tokio::time::timeout;

    use super::*;

    /// Virtual time: as soon as nothing but timers is left, they are over.
    fn in_virtual_time(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(test);
    }

    async fn is_quiet(watch: &mut ConfigWatch) -> bool {
        timeout(10 * PACE, watch.changed()).await.is_err()
    }

    async fn sees_a_change(watch: &mut ConfigWatch) -> bool {
        timeout(3 * PACE, watch.changed()).await.is_ok()
    }

    #[test]
    fn a_change_of_content_is_seen_once() {
        in_virtual_time(async {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("regprobe.yaml");
            fs::write(&path, "one").unwrap();
            let mut watch = ConfigWatch::start(&path);
            assert!(is_quiet(&mut watch).await);
            fs::write(&path, "two").unwrap();
            assert!(sees_a_change(&mut watch).await);
            assert!(is_quiet(&mut watch).await);
            // The same again is no change, and neither is one that is taken back at once.
            fs::write(&path, "two").unwrap();
            assert!(is_quiet(&mut watch).await);
            fs::remove_file(&path).unwrap();
            assert!(sees_a_change(&mut watch).await);
            assert!(is_quiet(&mut watch).await);
            fs::write(&path, "two").unwrap();
            assert!(sees_a_change(&mut watch).await);
        });
    }

    #[test]
    fn a_file_that_is_being_written_is_left_alone() {
        in_virtual_time(async {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("regprobe.yaml");
            fs::write(&path, "").unwrap();
            let mut watch = ConfigWatch::start(&path);
            for written in 1..20 {
                fs::write(&path, "x".repeat(written)).unwrap();
                assert!(timeout(PACE, watch.changed()).await.is_err());
            }
            assert!(sees_a_change(&mut watch).await);
        });
    }
}
