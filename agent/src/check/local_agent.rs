//! Asks the agent on this node which registries it watches, and with which settings. A check without
//! arguments checks the same.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use nix::ifaddrs::getifaddrs;
use serde::Deserialize;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpSocket,
    time::timeout,
};

use crate::config::{Image, Label, Private, RegistryFile, Server};

/// The agent's default port.
const PORT: u16 = 9118;
/// The agent answers at once.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Larger than any agent's answer.
const MAX_ANSWER: u64 = 32 * 1024 * 1024;

/// The agent's address and the registries that it watches; none without an agent, or with one of an
/// incompatible version.
pub(super) async fn registries() -> Option<(SocketAddr, Vec<RegistryFile>)> {
    let found = async {
        for address in addresses() {
            let answer = status(address).await;
            if let Some(document) = answer.as_deref().and_then(document) {
                let watched = document.registries.into_iter();
                let files = watched.filter_map(WatchedRegistry::into_file).collect();
                return Some((address, files));
            }
        }
        None
    };
    timeout(TIMEOUT, found).await.ok().flatten()
}

/// An agent may listen on all addresses, or only on the node's, as the chart configures it.
fn addresses() -> Vec<SocketAddr> {
    let own = getifaddrs().into_iter().flatten();
    let own = own.filter_map(|interface| {
        let address = *interface.address?.as_sockaddr_in()?;
        Some(IpAddr::V4(address.ip()))
    });
    let mut addresses: Vec<IpAddr> = vec![Ipv4Addr::LOCALHOST.into()];
    for address in own {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    let with_port = |address| SocketAddr::new(address, PORT);
    addresses.into_iter().map(with_port).collect()
}

/// The head and body of the agent's answer.
async fn status(address: SocketAddr) -> Option<Vec<u8>> {
    let mut stream = TcpSocket::new_v4().ok()?.connect(address).await.ok()?;
    let request = format!("GET /api/v1/status HTTP/1.0\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    stream
        .take(MAX_ANSWER)
        .read_to_end(&mut answer)
        .await
        .ok()?;
    Some(answer)
}

fn document(answer: &[u8]) -> Option<AgentStatus> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let (head, body) = answer.split_at(end);
    let status = head.split(|byte| *byte == b' ').nth(1)?;
    let document: AgentStatus = serde_json::from_slice(body).ok()?;
    (status == b"200" && document.schema == "regprobe/v1").then_some(document)
}

#[derive(Deserialize)]
struct AgentStatus {
    schema: String,
    registries: Vec<WatchedRegistry>,
}

#[derive(Deserialize)]
struct WatchedRegistry {
    name: Label,
    server: Server,
    private: Private,
    anonymous_pull: bool,
    images: Vec<Image>,
    endpoints: Vec<WatchedEndpoint>,
}

#[derive(Deserialize)]
struct WatchedEndpoint {
    host: String,
    port: u16,
    role: String,
    scheme: String,
}

impl WatchedRegistry {
    /// An equivalent configuration. Regions have become data endpoints.
    fn into_file(self) -> Option<RegistryFile> {
        let of_role = |role| self.endpoints.iter().filter(move |one| one.role == role);
        let is_plain = of_role("login").any(|login| login.scheme == "http");
        let server = match is_plain {
            true => format!("http://{}", self.server).parse().ok()?,
            false => self.server.clone(),
        };
        let data_endpoints = of_role("data").map(WatchedEndpoint::server);
        Some(RegistryFile {
            data_endpoints: data_endpoints.collect::<Option<_>>()?,
            name: Some(self.name),
            private: self.private,
            anonymous_pull: self.anonymous_pull,
            images: self.images,
            ..RegistryFile::from(server)
        })
    }
}

impl WatchedEndpoint {
    fn server(&self) -> Option<Server> {
        let Self {
            scheme, host, port, ..
        } = self;
        let bracketed = match host.contains(':') {
            true => format!("[{host}]"),
            false => host.clone(),
        };
        format!("{scheme}://{bracketed}:{port}").parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::Config, out::status::Status, state::Snapshot, state::story};

    #[test]
    fn the_status_document_says_what_an_agent_watches() {
        let registries = vec![story::failing(), story::drift()];
        let snapshot = Snapshot::once(registries);
        let status = Status::of(&snapshot, "node");
        let body = serde_json::to_string(&status).unwrap();
        let answer = format!("HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\n{body}");
        let document = document(answer.as_bytes()).unwrap();
        let registries: Option<Vec<_>> = document
            .registries
            .into_iter()
            .map(WatchedRegistry::into_file)
            .collect();
        let expected = Config::parse(
            "registries:\n\
             - {name: contoso, server: contoso.azurecr.io,\n   \
                data_endpoints: [contoso.westeurope.data.azurecr.io]}\n\
             - {name: drift, server: drift.azurecr.io}\n",
        );
        let file = crate::config::ConfigFile {
            registries: registries.unwrap(),
            ..Default::default()
        };
        assert_eq!(Config::try_from(file).unwrap(), expected.unwrap());
    }

    #[test]
    fn other_answers_are_ignored() {
        for answer in [
            "",
            "HTTP/1.0 200 OK\r\n\r\n",
            "HTTP/1.0 200 OK\r\n\r\n{}",
            "HTTP/1.0 503 Busy\r\n\r\n{\"schema\":\"regprobe/v1\",\"registries\":[]}",
            "HTTP/1.0 200 OK\r\n\r\n{\"schema\":\"regprobe/v2\",\"registries\":[]}",
        ] {
            assert!(document(answer.as_bytes()).is_none(), "{answer}");
        }
    }
}
