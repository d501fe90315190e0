//! Reads files that others name, and only regular ones: a pipe might never deliver anything, and a
//! device might never end.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

/// Reads the first `limit` bytes of a file.
///
/// # Errors
/// If the file cannot be read, or is not a regular file.
pub fn read_regular(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}
