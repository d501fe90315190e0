//! The TLS clients of one node: one with the node's own trust, and one for each other trust and client certificate
//! that its `hosts.toml` files ask for, made when first needed and kept as long as the files hold the same.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use aws_lc_rs::digest::{self, SHA256};

use super::{
    client::TlsClient,
    client_certificates::ClientCertificates,
    settings_error::{TlsSettingsError, read},
};
use crate::node::{
    registry_host::TlsSettings,
    root::Root,
    trust::{self, TrustError, TrustStore},
    unseen::Unseen,
};

/// More than any node has hosts; beyond that, the clients are made again.
const MAX_KEPT: usize = 64;

/// Every TLS client of one node.
pub struct TlsClients {
    root: Root,
    ca_file: Option<PathBuf>,
    own: TlsClient,
    trusted: u64,
    others: Mutex<HashMap<Wanted, TlsClient>>,
}

/// What a host's settings ask for beside the node's own trust.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Wanted {
    is_verified: bool,
    /// A digest of all files of authorities.
    authorities: [u8; 32],
    /// One of these that this process does not see.
    unseen: Option<Unseen>,
    /// A digest of all client certificates and keys.
    certificates: [u8; 32],
}

impl TlsClients {
    /// A client that trusts the bundle of the node at `root` and `ca_file`, a file of this process.
    ///
    /// # Errors
    /// If `ca_file` cannot be used, or there is no root at all.
    pub fn load(root: Root, ca_file: Option<&Path>) -> Result<Self, TrustError> {
        let ca_file = ca_file.map(Path::to_owned);
        let trust = TrustStore::load(&root, ca_file.as_deref())?;
        let own = TlsClient::new(&trust, ClientCertificates::default())?;
        Ok(Self {
            root,
            ca_file,
            own,
            trusted: trust.digest(),
            others: Mutex::default(),
        })
    }

    /// A digest of the roots that this node trusts for all hosts.
    pub(crate) fn trusted(&self) -> u64 {
        self.trusted
    }

    /// The client for a host of `hosts.toml`. Reads its files again, as containerd does for each pull.
    pub(crate) fn of(&self, tls: &TlsSettings) -> Result<TlsClient, TlsSettingsError> {
        if *tls == TlsSettings::default() {
            return Ok(self.own.clone());
        }
        let (authorities, unseen) = self.authorities(&tls.ca)?;
        let (certificates, pems) = ClientCertificates::load(&self.root, &tls.client)?;
        let wanted = Wanted {
            is_verified: !tls.skip_verify,
            authorities: content(authorities.iter().map(|pem| &**pem)),
            unseen: unseen.clone(),
            certificates: content(pems.iter().map(|pem| &**pem)),
        };
        // A panic elsewhere cannot leave the map half written.
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = others.get(&wanted) {
            return Ok(client.clone());
        }
        let client = match tls.skip_verify {
            true => TlsClient::trusting_anyone(certificates)?,
            false => {
                let ca_file = self.ca_file.as_deref();
                let of_host = authorities.iter().flat_map(|pem| trust::certificates(pem));
                let trust = TrustStore::with(&self.root, ca_file, of_host.collect(), unseen)?;
                TlsClient::new(&trust, certificates)?
            }
        };
        let mut made_of = DefaultHasher::new();
        wanted.hash(&mut made_of);
        let client = client.of_files(made_of.finish());
        if others.len() >= MAX_KEPT {
            others.clear();
        }
        others.insert(wanted, client.clone());
        Ok(client)
    }

    /// The files of `ca`, each with a certificate in it, and why one is not seen. containerd reads them even if it
    /// verifies nothing.
    fn authorities(
        &self,
        paths: &[PathBuf],
    ) -> Result<(Vec<Vec<u8>>, Option<Unseen>), TlsSettingsError> {
        let (mut pems, mut unseen) = (Vec::new(), None);
        for path in paths {
            match read(&self.root, path, "CA cert") {
                Ok(pem) if trust::certificates(&pem).is_empty() => {
                    return Err(TlsSettingsError::NoAuthority { path: path.clone() });
                }
                Ok(pem) => pems.push(pem),
                Err(TlsSettingsError::Unseen(why)) => unseen = Some(why),
                Err(error) => return Err(error),
            }
        }
        Ok((pems, unseen))
    }
}

/// A digest of what all files hold. Each file is hashed by itself, so that none can pass for two.
fn content<'a>(files: impl Iterator<Item = &'a [u8]>) -> [u8; 32] {
    let mut all = digest::Context::new(&SHA256);
    for file in files {
        all.update(digest::digest(&SHA256, file).as_ref());
    }
    let mut content = [0; 32];
    content.copy_from_slice(all.finish().as_ref());
    content
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    #[test]
    fn a_file_that_is_replaced_under_its_path_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name| folder.path().join(name);
        let write = |name| {
            let key = KeyPair::generate().unwrap();
            let certificate = CertificateParams::default().self_signed(&key).unwrap();
            fs::write(file(name), certificate.pem()).unwrap();
        };
        ["own.pem", "host.pem"].into_iter().for_each(write);
        let root = Root::at(folder.path().to_owned());
        let clients = TlsClients::load(root, Some(&file("own.pem"))).unwrap();
        let of_host = TlsSettings {
            ca: vec!["/host.pem".into()],
            ..TlsSettings::default()
        };
        let made_of = || clients.of(&of_host).unwrap().made_of();
        let before = made_of();
        assert_eq!(made_of(), before);
        write("host.pem");
        assert_ne!(made_of(), before);
    }
}
