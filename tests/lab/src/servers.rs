//! Real servers, of the Debian archive or built from source, as child processes, each on its own address and without
//! the machine's configuration: they prove what the fakes cannot. And a kubelet's credential provider.
//! Started on a thread inside a network namespace, a server lives in that namespace.

mod alertmanager;
mod bind;
pub mod cluster;
mod containerd;
mod credential_provider;
mod cri;
mod dnsmasq;
mod docker_registry;
mod nginx;
mod prometheus;
mod squid;
mod token_server;

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::Result;
use hickory_resolver::proto::op::{Message, Query};
use hickory_resolver::proto::rr::{DNSClass, Name, RecordType};

pub use self::alertmanager::{Alertmanager, Webhook};
pub use self::bind::{Bind, BindBuilder};
pub use self::containerd::{Containerd, Pull};
pub use self::credential_provider::{Provided, azure_json, credential_provider};
pub use self::cri::{Cri, Release};
pub use self::dnsmasq::{Dnsmasq, DnsmasqBuilder};
pub use self::docker_registry::DockerRegistry;
pub use self::nginx::{Nginx, NginxBuilder};
pub use self::prometheus::Prometheus;
pub use self::squid::{Squid, SquidBuilder};
pub use self::token_server::TokenServer;

/// Succeeds once a nameserver answers. It is asked for its version (in the CHAOS class), since that
/// is the one question it never forwards.
fn nameserver_answers(server: SocketAddr) -> Result<()> {
    let mut query = Message::query();
    let mut question = Query::query(Name::from_ascii("version.bind.")?, RecordType::TXT);
    question.set_query_class(DNSClass::CH);
    query.add_query(question);
    let socket = UdpSocket::bind((server.ip(), 0))?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(Duration::from_millis(500)))?;
    socket.send(&query.to_vec()?)?;
    socket.recv(&mut [0; 512])?;
    Ok(())
}
