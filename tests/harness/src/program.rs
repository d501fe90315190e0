//! The program under test, as built by cargo next to the running test.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

/// Name of the node that agents started by [`regprobe`] run on.
pub const NODE: &str = "node-1";

/// The path of `regprobe`. Cargo builds it into the parent of the folder that holds the tests.
pub static REGPROBE: LazyLock<PathBuf> = LazyLock::new(|| {
    let test = std::env::current_exe().expect("a running test has a path");
    let folder = test.ancestors().nth(2).expect("cargo nests its folders");
    folder.join("regprobe")
});

/// `regprobe` with these arguments, about to be started.
pub fn regprobe<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(&*REGPROBE);
    command
        .args(arguments)
        .env("NODE_NAME", NODE)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

/// What a command printed on both its outputs.
#[must_use]
pub fn printed(out: &Output) -> String {
    String::from_utf8_lossy(&[&*out.stdout, &out.stderr].concat()).into_owned()
}

/// A file or folder of the repository.
pub fn repository(path: impl AsRef<Path>) -> PathBuf {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    Path::new(root).join(path)
}

/// A folder for results that people look at, such as pictures.
#[must_use]
pub fn left_behind(folder: &str) -> PathBuf {
    let target = REGPROBE.ancestors().nth(2);
    let target = target.expect("cargo nests its folders");
    target.join("tmp").join(folder)
}
