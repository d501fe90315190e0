//! Settings of the node for one registry: those that its client cannot use as they are meant, and a digest of all.

use std::{
    hash::{BuildHasher, Hash, Hasher, RandomState},
    sync::LazyLock,
};

use zeroize::Zeroizing;

use crate::{
    client::pull_hosts::PullHosts,
    node::{
        Node,
        misconfigured::{Misconfigured, SettingPlace},
        regular_file::read_regular,
    },
    round::offers::MAX_SECRET,
    stages::tls::TlsClients,
    words::{endpoint::Endpoint, target::Target},
};

/// Everything that is wrong with the settings that a pull reads.
pub(super) fn unusable(
    hosts: &PullHosts,
    target: &Target,
    node: &Node,
    tls: &TlsClients,
) -> Vec<Misconfigured> {
    let in_certs_d = hosts.misconfigured.clone().into_iter();
    let files = files(hosts, tls).into_iter();
    in_certs_d
        .chain(files)
        .chain(proxy(hosts, target, node))
        .collect()
}

/// A digest of what a pull reads of the node, which changes with it.
pub(super) fn digest(hosts: &PullHosts, target: &Target, node: &Node, tls: &TlsClients) -> u64 {
    /// Nobody who sees a digest can try what it is of: a pull secret is part of it.
    static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    let mut digest = KEY.build_hasher();
    // The text names every setting, and nobody sees it.
    (format!("{hosts:?}"), node.files, tls.trusted()).hash(&mut digest);
    if let Some(file) = &target.docker_config {
        let secret = read_regular(file, MAX_SECRET).map(Zeroizing::new);
        secret.ok().as_deref().hash(&mut digest);
    }
    node.containerd.hash(&mut digest);
    for host in &hosts.hosts {
        let client = tls.of(&host.client.tls);
        let made_of = client.map(|client| client.made_of());
        made_of.map_err(|error| error.to_string()).hash(&mut digest);
    }
    digest.finish()
}

/// The client sets up all hosts before it asks any, also those that no pull asks.
fn files(hosts: &PullHosts, tls: &TlsClients) -> Option<Misconfigured> {
    hosts.hosts.iter().find_map(|host| {
        let error = tls.of(&host.client.tls).err()?;
        // What this process may not read, the client may.
        (!error.is_of_this_process()).then(|| Misconfigured {
            place: SettingPlace::CertsD,
            problem: error.problem(),
            fatal: true,
            client_error: Some(error.to_string()),
        })
    })
}

fn proxy(hosts: &PullHosts, target: &Target, node: &Node) -> Option<Misconfigured> {
    let hosts = hosts.looked_at().map(|host| &host.endpoint);
    let misread = hosts.chain(&target.data).find_map(|endpoint| {
        let Endpoint {
            scheme, host, port, ..
        } = endpoint;
        node.proxies.misread(scheme.as_str(), host, *port)
    });
    misread.map(|misread| Misconfigured {
        place: SettingPlace::Proxy,
        problem: misread.to_string(),
        fatal: false,
        client_error: None,
    })
}
