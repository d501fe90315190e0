//! containerd's registry configuration directory, `/etc/containerd/certs.d`: which directory applies to
//! a registry, and what containerd makes of its files. It reads files and never dials.
//!
//! Sources: containerd `core/remotes/docker/config/hosts.go` and `config_unix.go`.

use std::{
    env, io,
    path::{Path, PathBuf},
};

use self::hosts_toml::{HostsTomlError, NamedHosts};
use super::{
    containerd_release::ContainerdRelease,
    registry_host::{ClientCertificate, RegistryHost, TlsSettings},
    root::{FileError, Root},
    unseen::Unseen,
};
use crate::net::io_fault::in_go_words;

pub(crate) mod hosts_toml;

/// Larger files are refused, in bytes. containerd has no limit; a hosts.toml has a few hundred bytes.
const MAX_FILE: u64 = 1024 * 1024;
/// More tables are refused; a hosts.toml has a few, and each host is dialled in each round.
const MAX_TABLES: usize = 128;

/// The hosts that containerd tries for one registry.
#[derive(Clone, Debug)]
pub(crate) struct HostsConfig {
    /// The directory it was read from.
    pub dir: PathBuf,
    /// In the order in which containerd tries them; the last one is the `server`.
    pub hosts: Vec<RegistryHost>,
    /// As in [`NamedHosts`].
    pub passed_over: Option<String>,
    /// Why containerd ignores the hosts.toml. It then logs this, forgets the mirrors and uses the
    /// certificates in the directory.
    pub ignored: Option<HostsTomlError>,
}

/// Why the configuration of a registry could not be read. containerd fails the pull on
/// [`Self::Read`], and on nothing else.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CertsDError {
    /// containerd may see it.
    #[error(transparent)]
    Unseen(Unseen),
    /// A file or directory exists and cannot be read.
    #[error("read {}: {}", path.display(), in_go_words(source))]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// This is our limit, not containerd's.
    #[error("read {}: larger than {MAX_FILE} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// This is our limit, not containerd's.
    #[error("read {}: more than {MAX_TABLES} tables", path.display())]
    TooManyTables {
        /// The file.
        path: PathBuf,
    },
}

impl CertsDError {
    fn of(path: &Path, error: FileError) -> Self {
        match error {
            FileError::Unseen(unseen) => Self::Unseen(unseen),
            FileError::Io(source) => Self::Read {
                path: path.to_owned(),
                source,
            },
        }
    }
}

/// Reads what is configured for `registry`, `host[:port]` as in an image reference. `certs_d` is like containerd's
/// `config_path`: folders joined by colons. `None` if nothing is configured: containerd then uses
/// [`RegistryHost::upstream`] alone.
pub(crate) fn load(
    root: &Root,
    certs_d: &Path,
    registry: &str,
    release: ContainerdRelease,
) -> Result<Option<HostsConfig>, CertsDError> {
    let folders = env::split_paths(certs_d).filter(|folder| !folder.as_os_str().is_empty());
    for dir in folders.flat_map(|folder| directories(&folder, registry)) {
        match root.find(&dir) {
            Ok(_) => return load_dir(root, dir, registry, release).map(Some),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(CertsDError::of(&dir, error)),
        }
    }
    Ok(None)
}

/// Where containerd looks for a registry, as `hostPaths`: with `_port_` for `:port`, where there is a colon, if only
/// in an IPv6 address; by its name; `_default`. The first that exists is used.
fn directories(folder: &Path, registry: &str) -> Vec<PathBuf> {
    let with_underscores = match registry.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() => Some(format!("{host}_{port}_")),
        _ => None,
    };
    let names = with_underscores.into_iter();
    let names = names.chain([registry.to_owned(), "_default".to_owned()]);
    names.map(|name| folder.join(name)).collect()
}

fn load_dir(
    root: &Root,
    dir: PathBuf,
    registry: &str,
    release: ContainerdRelease,
) -> Result<HostsConfig, CertsDError> {
    let path = dir.join("hosts.toml");
    let mut upstream = RegistryHost::upstream(registry, release);
    let ignored = match read_capped(root, &path)? {
        // Before parsing, which takes seconds for a hundred thousand of them.
        Some(bytes) if tables(&bytes) > MAX_TABLES => {
            return Err(CertsDError::TooManyTables { path });
        }
        Some(bytes) if !bytes.is_empty() => {
            let text = str::from_utf8(&bytes).map_err(|_| HostsTomlError::NotUtf8);
            let read_by = |release| {
                let text = text.clone()?;
                hosts_toml::parse(text, &dir, registry, release)
            };
            match read_by(release) {
                Ok(NamedHosts { hosts, passed_over }) => {
                    return Ok(HostsConfig {
                        dir,
                        hosts,
                        passed_over,
                        ignored: None,
                    });
                }
                // A file that changes nothing may as well be ignored.
                Err(HostsTomlError::NoHost)
                    if read_by(ContainerdRelease::NEWEST)
                        .is_ok_and(|named| named.hosts == [upstream.clone()]) =>
                {
                    None
                }
                Err(error) => Some(error),
            }
        }
        _ => None,
    };
    docker_certificates(root, &dir, &mut upstream.tls)
        .map_err(|error| CertsDError::of(&dir, error))?;
    upstream.has_own_client = upstream.tls != TlsSettings::default();
    Ok(HostsConfig {
        dir,
        hosts: vec![upstream],
        passed_over: None,
        ignored,
    })
}

/// How many lines begin a table.
fn tables(toml: &[u8]) -> usize {
    let lines = toml.split(|byte| *byte == b'\n');
    let begins = |line: &&[u8]| line.trim_ascii_start().first() == Some(&b'[');
    lines.filter(begins).count()
}

/// `None` if there is no such file.
fn read_capped(root: &Root, path: &Path) -> Result<Option<Vec<u8>>, CertsDError> {
    match root.read(path, MAX_FILE + 1) {
        Ok(bytes) if bytes.len() as u64 > MAX_FILE => Err(CertsDError::TooLarge {
            path: path.to_owned(),
        }),
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(CertsDError::of(path, error)),
    }
}

/// Docker's layout, used if there is no hosts.toml: `*.crt` are roots, `*.cert` and `*.key` are client
/// certificates.
fn docker_certificates(root: &Root, dir: &Path, tls: &mut TlsSettings) -> Result<(), FileError> {
    let mut files: Vec<_> = root
        .list(dir)?
        .map(|entry| entry.map(|entry| dir.join(entry.file_name())))
        .collect::<Result<_, _>>()?;
    files.sort_unstable();
    for file in files {
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("crt") => tls.ca.push(file),
            Some("cert") => {
                let exists = |key: &PathBuf| root.locate(key).is_ok_and(|key| key.exists());
                let key = Some(file.with_extension("key")).filter(exists);
                tls.client.push(ClientCertificate { cert: file, key });
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const REGISTRY: &str = "contoso.azurecr.io";
    const NEWEST: ContainerdRelease = ContainerdRelease::NEWEST;

    /// A certs.d with these files.
    fn certs_d(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn the_first_directory_decides() {
        let mirror = "[host.'https://m.example']";
        #[rustfmt::skip]
        let table: &[(&[&str], &str, Option<&str>)] = &[
            (&[], REGISTRY, None),
            (&["other.example"], REGISTRY, None),
            (&["_default"], REGISTRY, Some("_default")),
            (&["_default", REGISTRY], REGISTRY, Some(REGISTRY)),
            (&["_default", REGISTRY], "contoso.azurecr.io:5000", Some("_default")),
            (&["contoso.azurecr.io:5000"], "contoso.azurecr.io:5000", Some("contoso.azurecr.io:5000")),
            (&["contoso.azurecr.io_5000_", "contoso.azurecr.io:5000"], "contoso.azurecr.io:5000", Some("contoso.azurecr.io_5000_")),
            (&["[2001:db8::10]:5000"], "[2001:db8::10]:5000", Some("[2001:db8::10]:5000")),
            (&["[2001:db8::10]_5000_"], "[2001:db8::10]:5000", Some("[2001:db8::10]_5000_")),
            (&["2001:db8::10_5000_"], "[2001:db8::10]:5000", None),
            (&["[2001:db8::10]"], "[2001:db8::10]", Some("[2001:db8::10]")),
            (&["[2001:db8:_10]_", "[2001:db8::10]"], "[2001:db8::10]", Some("[2001:db8:_10]_")),
        ];
        for (directories, registry, expected) in table {
            let paths: Vec<_> = directories
                .iter()
                .map(|directory| format!("{directory}/hosts.toml"))
                .collect();
            let files: Vec<_> = paths.iter().map(|path| (&**path, mirror)).collect();
            let root = certs_d(&files);
            let config = load(&Root::default(), root.path(), registry, NEWEST).unwrap();
            assert_eq!(
                config.as_ref().map(|config| config.dir.clone()),
                expected.map(|name| root.path().join(name))
            );
            assert!(
                config.is_none_or(|config| config.hosts.len() == 2 && config.ignored.is_none())
            );
        }
    }

    #[test]
    fn of_several_folders_the_first_that_has_anything_decides() {
        let [first, second] = [&["_default/hosts.toml"], &["contoso.azurecr.io/hosts.toml"]]
            .map(|paths| certs_d(&[(paths[0], "")]));
        let joined = |folders: &[&Path]| PathBuf::from(env::join_paths(folders).unwrap());
        let both = joined(&[first.path(), second.path()]);
        let found = load(&Root::default(), &both, REGISTRY, NEWEST)
            .unwrap()
            .unwrap();
        assert_eq!(found.dir, first.path().join("_default"));
        let missing = joined(&[Path::new("/no/such/folder"), second.path()]);
        let found = load(&Root::default(), &missing, REGISTRY, NEWEST)
            .unwrap()
            .unwrap();
        assert_eq!(found.dir, second.path().join(REGISTRY));
    }

    #[test]
    fn a_broken_hosts_toml_is_ignored_and_the_certificates_beside_it_are_used() {
        let root = certs_d(&[
            (
                "contoso.azurecr.io/hosts.toml",
                "[host.'https://m.example']\ncapabilities = ['fly']",
            ),
            ("contoso.azurecr.io/corp.crt", ""),
            ("contoso.azurecr.io/a.cert", ""),
            ("contoso.azurecr.io/b.cert", ""),
            ("contoso.azurecr.io/b.key", ""),
        ]);
        let config = load(&Root::default(), root.path(), REGISTRY, NEWEST)
            .unwrap()
            .unwrap();
        assert_eq!(
            config.ignored,
            Some(HostsTomlError::Capability("fly".to_owned()))
        );
        let tls = TlsSettings {
            ca: vec![config.dir.join("corp.crt")],
            skip_verify: false,
            client: vec![
                ClientCertificate {
                    cert: config.dir.join("a.cert"),
                    key: None,
                },
                ClientCertificate {
                    cert: config.dir.join("b.cert"),
                    key: Some(config.dir.join("b.key")),
                },
            ],
        };
        let upstream = RegistryHost {
            tls,
            has_own_client: true,
            ..RegistryHost::upstream(REGISTRY, NEWEST)
        };
        assert_eq!(config.hosts, [upstream]);
    }

    #[test]
    fn a_file_without_hosts_is_ignored_by_older_releases_where_that_makes_a_difference() {
        for (text, release, is_ignored) in [
            ("server = 'https://contoso.azurecr.io'", "1.7", false),
            ("server = 'https://other.example'", "1.7", true),
            ("server = 'https://other.example'", "2.0", false),
        ] {
            let root = certs_d(&[("contoso.azurecr.io/hosts.toml", text)]);
            let release = release.parse().unwrap();
            let config = load(&Root::default(), root.path(), REGISTRY, release).unwrap();
            let ignored = config.and_then(|config| config.ignored);
            assert_eq!(ignored.is_some(), is_ignored, "{text} {release}");
        }
    }

    #[test]
    fn a_file_that_is_too_large_or_not_a_file() {
        let many: String = (0..30_000)
            .map(|host| format!("[host.'https://m{host}']\n"))
            .collect();
        let root = certs_d(&[
            (
                "contoso.azurecr.io/hosts.toml",
                &"#".repeat(MAX_FILE as usize + 1),
            ),
            ("many.example/hosts.toml", &many),
            ("_default", ""),
        ]);
        assert!(matches!(
            load(&Root::default(), root.path(), "many.example", NEWEST),
            Err(CertsDError::TooManyTables { .. })
        ));
        assert!(matches!(
            load(&Root::default(), root.path(), REGISTRY, NEWEST),
            Err(CertsDError::TooLarge { .. })
        ));
        assert!(matches!(
            load(&Root::default(), root.path(), "other.example", NEWEST),
            Err(CertsDError::Read { .. })
        ));
    }
}
