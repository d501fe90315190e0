//! The TLS clients of one node: one with the node's own trust, and one for each other set of TLS
//! settings in its `hosts.toml` files, made when first needed and kept.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use super::client::TlsClient;
use crate::node::{
    registry_host::TlsSettings,
    root::Root,
    trust::{TrustError, TrustStore},
};

/// More than any node has hosts; beyond that, the clients are made again.
const MAX_KEPT: usize = 64;

/// Every TLS client of one node.
pub struct TlsClients {
    root: Root,
    ca_file: Option<PathBuf>,
    own: TlsClient,
    others: Mutex<HashMap<TlsSettings, TlsClient>>,
}

impl TlsClients {
    /// A client that trusts the bundle of the node at `root` and `ca_file`, a file of this process.
    ///
    /// # Errors
    /// If `ca_file` cannot be used, or there is no root at all.
    pub fn load(root: Root, ca_file: Option<&Path>) -> Result<Self, TrustError> {
        let ca_file = ca_file.map(Path::to_owned);
        let own = TlsClient::new(&TrustStore::load(&root, ca_file.as_deref(), &[])?)?;
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

    /// The client for a host of `hosts.toml`.
    pub(crate) fn of(&self, tls: &TlsSettings) -> Result<TlsClient, TrustError> {
        if tls.ca.is_empty() && !tls.skip_verify {
            return Ok(self.own());
        }
        // A panic elsewhere cannot leave the map half written.
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = others.get(tls) {
            return Ok(client.clone());
        }
        let client = match tls.skip_verify {
            true => TlsClient::trusting_anyone()?,
            false => {
                let ca_file = self.ca_file.as_deref();
                TlsClient::new(&TrustStore::load(&self.root, ca_file, &tls.ca)?)?
            }
        };
        if others.len() >= MAX_KEPT {
            others.clear();
        }
        others.insert(tls.clone(), client.clone());
        Ok(client)
    }
}
