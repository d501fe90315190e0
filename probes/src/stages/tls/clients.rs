//! The TLS clients of one node: one with the node's own trust, and one for each other trust that its
//! `hosts.toml` files ask for, made when first needed and kept as long as the files hold the same.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use aws_lc_rs::digest::{self, SHA256};

use super::client::TlsClient;
use crate::node::{
    registry_host::TlsSettings,
    root::Root,
    trust::{CaFile, TrustError, TrustStore},
    unseen::Unseen,
};

/// More than any node has hosts; beyond that, the clients are made again.
const MAX_KEPT: usize = 64;

/// Every TLS client of one node.
pub struct TlsClients {
    root: Root,
    ca_file: Option<PathBuf>,
    own: TlsClient,
    others: Mutex<HashMap<Trust, TlsClient>>,
}

/// What a host's settings ask for beside the node's own trust.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Trust {
    Anyone,
    /// The roots of files whose content has this digest, and of one that is not seen.
    Files([u8; 32], Option<Unseen>),
}

impl TlsClients {
    /// A client that trusts the bundle of the node at `root` and `ca_file`, a file of this process.
    ///
    /// # Errors
    /// If `ca_file` cannot be used, or there is no root at all.
    pub fn load(root: Root, ca_file: Option<&Path>) -> Result<Self, TrustError> {
        let ca_file = ca_file.map(Path::to_owned);
        let own = TlsClient::new(&TrustStore::load(&root, ca_file.as_deref())?)?;
        Ok(Self {
            root,
            ca_file,
            own,
            others: Mutex::default(),
        })
    }

    /// The client for an endpoint without its own settings.
    pub(crate) fn own(&self) -> TlsClient {
        self.own.clone()
    }

    /// The client for a host of `hosts.toml`. Reads its `ca` again, as containerd does for each pull.
    pub(crate) fn of(&self, tls: &TlsSettings) -> Result<TlsClient, TrustError> {
        if tls.ca.is_empty() && !tls.skip_verify {
            return Ok(self.own());
        }
        let mut files = Vec::new();
        let trust = match tls.skip_verify {
            true => Trust::Anyone,
            false => {
                let mut unseen = None;
                for path in &tls.ca {
                    match CaFile::read(&self.root, path) {
                        Ok(file) => files.push(file),
                        Err(TrustError::Unseen(why)) => unseen = Some(why),
                        Err(error) => return Err(error),
                    }
                }
                Trust::Files(content(&files), unseen)
            }
        };
        // A panic elsewhere cannot leave the map half written.
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = others.get(&trust) {
            return Ok(client.clone());
        }
        let client = match &trust {
            Trust::Anyone => TlsClient::trusting_anyone()?,
            Trust::Files(_, unseen) => {
                let (ca_file, unseen) = (self.ca_file.as_deref(), unseen.clone());
                TlsClient::new(&TrustStore::with_files(
                    &self.root, ca_file, &files, unseen,
                )?)?
            }
        };
        if others.len() >= MAX_KEPT {
            others.clear();
        }
        others.insert(trust, client.clone());
        Ok(client)
    }
}

/// A digest of what all files hold. Each file is hashed by itself, so that none can pass for two.
fn content(files: &[CaFile]) -> [u8; 32] {
    let mut all = digest::Context::new(&SHA256);
    for file in files {
        all.update(digest::digest(&SHA256, &file.pem).as_ref());
    }
    let mut content = [0; 32];
    content.copy_from_slice(all.finish().as_ref());
    content
}
