//! One agent, asked for its summary. What it sends is untrusted: it has a cap, it is no markup and no redirect,
//! and what it says is only shown.

use std::{net::SocketAddr, time::Duration};

use url::Url;

use super::transport::{NodeTrust, SetupError, Transport};
use crate::{
    config::{FleetClient, PeerScheme},
    out::{
        fetch::within,
        summary::{self, MAX_BYTES, Summary},
    },
};

/// From the dial to the end of the answer.
const DEADLINE: Duration = Duration::from_millis(1500);

/// How to ask.
pub(super) struct PeerClient {
    scheme: PeerScheme,
    transport: Transport,
}

impl PeerClient {
    /// Reads certificates, password and token, which may change.
    pub(super) fn load(config: &FleetClient, node: &NodeTrust) -> Result<Self, SetupError> {
        let is_https = config.scheme == PeerScheme::Https;
        Ok(Self {
            scheme: config.scheme,
            transport: Transport::load(&config.http, is_https, node)?,
        })
    }

    /// The summary of the agent at this address, or why there is none.
    pub(super) async fn ask(&self, address: SocketAddr) -> Result<Summary, String> {
        let url = format!("{}://{address}/api/v1/summary", self.scheme);
        let exchange = async {
            let url = Url::parse(&url).map_err(|error| error.to_string())?;
            let answer = self.transport.get(address, &url, MAX_BYTES).await;
            answer.map_err(|error| error.to_string())
        };
        let body = within(DEADLINE, exchange).await?;
        summary::read(&body).ok_or_else(|| "its answer is not a summary".to_owned())
    }
}
