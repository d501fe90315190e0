//! The node's file system as this process sees it: at `/` on the node itself, elsewhere in a pod that
//! mounts parts of it. Everything that reads a file of the node finds it through [`Root::locate`];
//! messages name files as the node does.

use std::{
    ffi::{OsStr, OsString},
    fs, io,
    path::{Path, PathBuf},
};

use nix::errno::Errno;

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
    fn on_the_node_itself_a_path_stays_as_it_is() {
        let path = Path::new("/etc/../etc/resolv.conf");
        assert_eq!(Root::default().locate(path).unwrap(), path);
    }
}
