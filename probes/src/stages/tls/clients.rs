//! The TLS set-ups of one node: the one for its own trust, and one more for each other trust that
//! its `hosts.toml` files ask for, made when first needed and kept.

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

/// More than any node has hosts; past it the set-ups are made anew.
const MAX_KEPT: usize = 64;

/// Every TLS set-up of one node.
pub struct TlsClients {
    root: Root,
    ca_file: Option<PathBuf>,
    own: TlsClient,
    others: Mutex<HashMap<TlsSettings, TlsClient>>,
}

impl TlsClients {
    /// Trusts the bundle of the node at `root`, and `ca_file`, which is this process's own.
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

    /// The set-up for an endpoint without settings of its own.
    pub(crate) fn own(&self) -> TlsClient {
        self.own.clone()
    }

    /// The set-up for a host of `hosts.toml`.
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
