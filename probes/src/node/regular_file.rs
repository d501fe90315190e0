//! Reads files that others name, and only regular ones: a pipe might never deliver anything, and a
//! device might never end.

use std::{
    fs::OpenOptions,
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// Reads the first `limit` bytes of a file.
///
/// # Errors
/// If the file cannot be read, or is not a regular file.
pub fn read_regular(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    // What was opened is checked, because the name may mean another file by now. A pipe without a writer
    // would block the opening itself.
    let mut options = OpenOptions::new();
    let file = options
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::Error::from_raw_os_error(libc::EISDIR));
    }
    if !metadata.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::{fs, sync::mpsc, thread, time::Duration};

    use nix::{sys::stat::Mode, unistd::mkfifo};

    use super::*;

    /// Hangs without [`libc::O_NONBLOCK`]: between the check and the opening, the file becomes a pipe.
    #[test]
    fn a_pipe_that_takes_the_place_of_a_file_blocks_nobody() {
        const TURNS: usize = 20_000;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let (file, pipe, name) = (at("file"), at("pipe"), at("name"));
        fs::write(&file, "text").unwrap();
        mkfifo(&pipe, Mode::S_IRWXU).unwrap();
        fs::hard_link(&file, &name).unwrap();
        let (done, ended) = mpsc::channel();
        let reader = name.clone();
        thread::spawn(move || {
            for _ in 0..TURNS {
                if let Ok(bytes) = read_regular(&reader, 9) {
                    assert_eq!(bytes, b"text");
                }
            }
            done.send(()).unwrap();
        });
        let mut turn = 0;
        let hung = loop {
            let other = at("new");
            fs::hard_link([&file, &pipe][turn % 2], &other).unwrap();
            fs::rename(&other, &name).unwrap();
            // If both names mean one file, the renaming removes neither.
            let _ = fs::remove_file(&other);
            turn += 1;
            match ended.try_recv() {
                Ok(()) => break false,
                Err(_) if turn < 400 * TURNS => {}
                Err(_) => break ended.recv_timeout(Duration::from_secs(15)).is_err(),
            }
        };
        assert!(!hung);
    }
}
