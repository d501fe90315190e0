//! Files that somebody else names: read only where they are regular ones, for a pipe might never begin
//! to say anything, and a device never end.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

/// The first `limit` bytes of a file.
///
/// # Errors
/// Those of the file system, and one where it is no regular file.
pub fn read_regular(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}
