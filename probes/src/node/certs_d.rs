//! containerd's registry configuration directory, `/etc/containerd/certs.d`: which directory applies to
//! a registry, and what containerd makes of its files. It reads files and never dials.
//!
//! Sources: containerd `core/remotes/docker/config/hosts.go` and `config_unix.go`.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::{
    hosts_toml::{self, HostsTomlError},
    registry_host::{ClientCertificate, RegistryHost, TlsSettings},
    root::{FileError, Root},
    unseen::Unseen,
};

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
    /// Why containerd ignores the hosts.toml. It then logs this, forgets the mirrors and uses the
    /// certificates in the directory.
    pub ignored: Option<HostsTomlError>,
}

/// Something in `certs.d` that containerd cannot use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misconfigured {
    /// Which file, and what is wrong with it.
    pub problem: String,
    /// Whether containerd fails the pull because of it; otherwise it ignores the file.
    pub fatal: bool,
}

/// Why the configuration of a registry could not be read. containerd fails the pull on
/// [`Self::Read`], and on nothing else.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CertsDError {
    /// containerd may see it.
    #[error(transparent)]
    Unseen(Unseen),
    /// A file or directory exists and cannot be read.
    #[error("read {}: {source}", path.display())]
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

/// Reads what is configured for a registry under `certs_d`. `None` if nothing is: containerd then uses
/// [`RegistryHost::upstream`] alone.
///
/// The first directory that exists is used: `host_port_`, `host:port` (or `host`, without a port),
/// `_default`.
pub(crate) fn load(
    root: &Root,
    certs_d: &Path,
    registry_host: &str,
    port: Option<u16>,
) -> Result<Option<HostsConfig>, CertsDError> {
    let directories = match port {
        Some(port) => vec![
            format!("{registry_host}_{port}_"),
            format!("{registry_host}:{port}"),
            "_default".to_owned(),
        ],
        None => vec![registry_host.to_owned(), "_default".to_owned()],
    };
    for dir in directories.into_iter().map(|name| certs_d.join(name)) {
        match root.find(&dir) {
            Ok(_) => return load_dir(root, dir, registry_host, port).map(Some),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(CertsDError::of(&dir, error)),
        }
    }
    Ok(None)
}

fn load_dir(
    root: &Root,
    dir: PathBuf,
    registry_host: &str,
    port: Option<u16>,
) -> Result<HostsConfig, CertsDError> {
    let path = dir.join("hosts.toml");
    let ignored = match read_capped(root, &path)? {
        // Before parsing, which takes seconds for a hundred thousand of them.
        Some(bytes) if tables(&bytes) > MAX_TABLES => {
            return Err(CertsDError::TooManyTables { path });
        }
        Some(bytes) if !bytes.is_empty() => {
            let text = str::from_utf8(&bytes).map_err(|_| HostsTomlError::NotUtf8);
            match text.and_then(|text| hosts_toml::parse(text, &dir, registry_host, port)) {
                Ok(hosts) => {
                    return Ok(HostsConfig {
                        dir,
                        hosts,
                        ignored: None,
                    });
                }
                Err(error) => Some(error),
            }
        }
        _ => None,
    };
    let mut upstream = RegistryHost::upstream(registry_host, port);
    docker_certificates(root, &dir, &mut upstream.tls)
        .map_err(|error| CertsDError::of(&dir, error))?;
    Ok(HostsConfig {
        dir,
        hosts: vec![upstream],
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
    files.sort();
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
        let table: &[(&[&str], Option<u16>, Option<&str>)] = &[
            (&[], None, None),
            (&["other.example"], None, None),
            (&["_default"], None, Some("_default")),
            (&["_default", REGISTRY], None, Some(REGISTRY)),
            (&["_default", REGISTRY], Some(5000), Some("_default")),
            (&["contoso.azurecr.io:5000"], Some(5000), Some("contoso.azurecr.io:5000")),
            (&["contoso.azurecr.io_5000_", "contoso.azurecr.io:5000"], Some(5000), Some("contoso.azurecr.io_5000_")),
        ];
        for (directories, port, expected) in table {
            let paths: Vec<_> = directories
                .iter()
                .map(|directory| format!("{directory}/hosts.toml"))
                .collect();
            let files: Vec<_> = paths.iter().map(|path| (&**path, mirror)).collect();
            let root = certs_d(&files);
            let config = load(&Root::default(), root.path(), REGISTRY, *port).unwrap();
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
        let config = load(&Root::default(), root.path(), REGISTRY, None)
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
            ..RegistryHost::upstream(REGISTRY, None)
        };
        assert_eq!(config.hosts, [upstream]);
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
            load(&Root::default(), root.path(), "many.example", None),
            Err(CertsDError::TooManyTables { .. })
        ));
        assert!(matches!(
            load(&Root::default(), root.path(), REGISTRY, None),
            Err(CertsDError::TooLarge { .. })
        ));
        assert!(matches!(
            load(&Root::default(), root.path(), "other.example", None),
            Err(CertsDError::Read { .. })
        ));
    }
}
