//! The files that settings come from: reading them, and noticing when they change.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
};

use regprobe_probes::read_regular;

use super::error::SettingsError;

/// The largest certificate or key file, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// Reads the files that a configuration names, relative to its folder.
pub(super) struct FileReader<'a> {
    pub(super) folder: &'a Path,
    pub(super) sources: &'a mut SourceFiles,
}

impl FileReader<'_> {
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
        self.sources.note(&path, &bytes);
        Ok(bytes)
    }
}

/// Which files were read, and a hash of their content.
#[derive(Debug, Default)]
pub(super) struct SourceFiles(Vec<(PathBuf, u64)>);

impl SourceFiles {
    pub(super) fn note(&mut self, path: &Path, bytes: &[u8]) {
        self.0.push((path.to_owned(), hash(bytes)));
    }

    /// Whether all of them still have the same content.
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
