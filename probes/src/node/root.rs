//! The node's file system as this process sees it: at `/` on the node itself, elsewhere in a pod that
//! mounts parts of it. Everything that reads a file of the node finds it through [`Root`]; messages name files as
//! the node does.

use std::{
    ffi::{OsStr, OsString},
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use nix::errno::Errno;

use super::{regular_file::read_regular, unseen::Unseen};

/// As many symbolic links as Linux follows before it reports a loop.
const MAX_LINKS: usize = 40;

/// The directory that is the node's `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root(PathBuf);

impl Root {
    /// The node's `/` is at `path`.
    pub fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// Whether it is not this process's own `/`.
    pub fn is_elsewhere(&self) -> bool {
        self.0 != Path::new("/")
    }

    /// Where this process finds the node's file `path`. A symbolic link on the way leads where it leads
    /// on the node, not where it would lead here: `/etc/resolv.conf` is often one, and absolute. Also
    /// locates files that do not exist.
    ///
    /// # Errors
    /// If there are too many links, because a path that still has one leads out of the node's files.
    pub fn locate(&self, path: &Path) -> io::Result<PathBuf> {
        if !self.is_elsewhere() {
            return Ok(path.to_owned());
        }
        let mut way = steps(path);
        let mut links = 0;
        let mut inside = PathBuf::new();
        while let Some(step) = way.pop() {
            if step == "/" {
                inside.clear();
            } else if step == ".." {
                inside.pop();
            } else if step != "." {
                inside.push(step);
                if let Ok(target) = fs::read_link(self.0.join(&inside)) {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(Errno::ELOOP.into());
                    }
                    inside.pop();
                    way.extend(steps(&target));
                }
            }
        }
        Ok(self.0.join(inside))
    }

    /// Where this process finds the node's file or directory `path`, which is there.
    pub(crate) fn find(&self, path: &Path) -> Result<PathBuf, FileError> {
        let here = self.locate(path)?;
        match fs::metadata(&here) {
            Ok(_) => Ok(here),
            Err(error) => Err(self.explain(path, &here, error)),
        }
    }

    /// Reads the first `limit` bytes of the node's file `path`.
    ///
    /// # Errors
    /// If this process does not see it, or it cannot be read, or is not a regular file.
    pub fn read(&self, path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
        let here = self.locate(path)?;
        read_regular(&here, limit).map_err(|error| self.explain(path, &here, error))
    }

    /// What is in the node's directory `path`.
    pub(crate) fn list(&self, path: &Path) -> Result<fs::ReadDir, FileError> {
        let here = self.locate(path)?;
        fs::read_dir(&here).map_err(|error| self.explain(path, &here, error))
    }

    /// Whether the node may have `path` in a directory that is not mounted here.
    pub(crate) fn not_mounted(&self, path: &Path) -> Option<Unseen> {
        let here = self.locate(path).ok()?;
        let parent = here.parent().filter(|_| self.is_elsewhere())?;
        let is_mounted = parent.try_exists().unwrap_or(true);
        (!is_mounted).then(|| Unseen::NotMounted {
            path: path.to_owned(),
            directory: Path::new("/").join(parent.strip_prefix(&self.0).unwrap_or(parent)),
        })
    }

    /// Whether nothing is mounted here where the node may have the directory `path`.
    pub(crate) fn hides(&self, path: &Path) -> Option<Unseen> {
        let is_mounted = |top: &Path| self.0.join(top).exists();
        let top = path.strip_prefix("/").ok()?.iter().next()?;
        let is_hidden = self.is_elsewhere() && !is_mounted(Path::new(top));
        is_hidden.then(|| Unseen::NotMounted {
            path: path.to_owned(),
            directory: path.parent().unwrap_or(path).to_owned(),
        })
    }

    /// What `error` means for `path`, which is at `here`. Only a link promises that there is something.
    fn explain(&self, path: &Path, here: &Path, error: io::Error) -> FileError {
        let is_linked = || here != self.0.join(path.strip_prefix("/").unwrap_or(path));
        let unseen = match error.kind() {
            ErrorKind::PermissionDenied => Some(self.forbidden(path)),
            ErrorKind::NotFound if is_linked() => self.not_mounted(path),
            _ => None,
        };
        unseen.map_or(FileError::Io(error), FileError::Unseen)
    }

    fn forbidden(&self, path: &Path) -> Unseen {
        let is_there = |path: &&Path| {
            self.locate(path)
                .is_ok_and(|here| fs::metadata(here).is_ok())
        };
        let path = path.to_owned();
        match path.ancestors().find(is_there) {
            Some(closed) if closed != path => Unseen::Directory {
                closed: closed.to_owned(),
                path,
            },
            _ => Unseen::File { path },
        }
    }
}

/// Why a file of the node could not be had.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// This process does not see it; the node's own programs may.
    #[error(transparent)]
    Unseen(Unseen),
    /// The node's own programs would not get it either.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl FileError {
    /// Whether there is no such file.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == ErrorKind::NotFound)
    }
}

/// The node's `/` is this process's own.
impl Default for Root {
    fn default() -> Self {
        Self::at("/".into())
    }
}

/// The components of a path, last one first.
fn steps(path: &Path) -> Vec<OsString> {
    let components = path.components().rev();
    components
        .map(|component| OsStr::to_owned(component.as_os_str()))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A node that keeps its resolv.conf as AKS does, and its bundle as Azure Linux does.
    fn node() -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        for path in [
            "run/systemd/resolve",
            "etc/ssl",
            "etc/pki/tls/certs",
            "etc/pki/pem",
        ] {
            fs::create_dir_all(at(path)).unwrap();
        }
        for (link, target) in [
            ("etc/resolv.conf", "/run/systemd/resolve/resolv.conf"),
            ("etc/relative", "../run/./systemd/resolve/resolv.conf"),
            ("etc/outside", "../../../../run/systemd/resolve/resolv.conf"),
            ("etc/ssl/certs", "../pki/tls/certs"),
            ("etc/pki/tls/certs/ca-bundle.crt", "/etc/pki/pem/bundle.pem"),
            ("etc/loop", "loop"),
            ("etc/nowhere", "/var/nowhere"),
        ] {
            symlink(target, at(link)).unwrap();
        }
        let root = Root::at(dir.path().to_owned());
        (dir, root)
    }

    #[test]
    fn links_lead_where_they_lead_on_the_node() {
        let (dir, root) = node();
        for (path, expected) in [
            ("/etc/hosts", "etc/hosts"),
            ("/etc/resolv.conf", "run/systemd/resolve/resolv.conf"),
            ("/etc/relative", "run/systemd/resolve/resolv.conf"),
            ("/etc/outside", "run/systemd/resolve/resolv.conf"),
            ("/etc/ssl/certs/ca-bundle.crt", "etc/pki/pem/bundle.pem"),
            ("/etc/nowhere", "var/nowhere"),
            ("/no/such/../file", "no/file"),
        ] {
            let expected = dir.path().join(expected);
            assert_eq!(root.locate(Path::new(path)).unwrap(), expected, "{path}");
        }
    }

    #[test]
    fn forty_links_lead_nowhere_else() {
        let (dir, root) = node();
        symlink("/etc/hosts", dir.path().join("etc/link0")).unwrap();
        for link in 0..MAX_LINKS {
            let next = dir.path().join(format!("etc/link{}", link + 1));
            symlink(format!("/etc/link{link}"), next).unwrap();
        }
        let locate = |path: &str| root.locate(Path::new(path));
        assert_eq!(locate("/etc/link39").unwrap(), dir.path().join("etc/hosts"));
        for path in ["/etc/link40", "/etc/loop"] {
            let error = locate(path).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(Errno::ELOOP as i32), "{path}");
        }
    }

    #[test]
    fn a_link_into_a_directory_that_is_not_mounted_is_no_missing_file() {
        let (dir, root) = node();
        symlink("/run/netconfig/resolv.conf", dir.path().join("etc/linked")).unwrap();
        fs::write(dir.path().join("etc/hosts"), "text").unwrap();
        let read = |path: &str| root.read(Path::new(path), 9);
        assert_eq!(read("/etc/hosts").unwrap(), b"text");
        // The directory is mounted, and the file is not there.
        assert!(read("/etc/resolv.conf").unwrap_err().is_not_found());
        assert!(read("/etc/missing").unwrap_err().is_not_found());
        // Nothing promises that there is such a directory.
        assert!(read("/opt/pki/ca.pem").unwrap_err().is_not_found());
        let unseen = read("/etc/linked").unwrap_err().to_string();
        let expected = "/etc/linked is in /run/netconfig, which this agent does not see; add that directory \
                        to hostDirectories";
        assert_eq!(unseen, expected);
        let named = root.not_mounted(Path::new("/opt/pki/ca.pem")).unwrap();
        assert!(named.to_string().contains("is in /opt/pki,"), "{named}");
        let here = Root::default();
        assert_eq!(here.not_mounted(Path::new("/no/such/ca.pem")), None);
    }

    #[test]
    fn on_the_node_itself_a_path_stays_as_it_is() {
        let path = Path::new("/etc/../etc/resolv.conf");
        assert_eq!(Root::default().locate(path).unwrap(), path);
    }
}
