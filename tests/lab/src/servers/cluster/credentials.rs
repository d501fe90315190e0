//! Who may do what in the cluster: certificates of the servers, tokens of the components, and the files in which
//! each finds its own.

use std::net::Ipv4Addr;

use anyhow::Result;

use super::machine::Machine;
use super::{API_SERVER, NODE, NODE_ADDRESS, SERVICE};
use crate::pki::Pki;

/// Where everything of the cluster's own lies.
pub(super) const FOLDER: &str = "/etc/kubernetes";

/// Whoever has a token, and their groups. Real clusters give them certificates; the API server treats both alike.
const USERS: [(&str, &str); 4] = [
    ("admin", "system:masters"),
    ("system:kube-controller-manager", ""),
    ("system:kube-scheduler", ""),
    ("system:node:node1", "system:nodes"),
];

/// The token of who may do everything.
pub const ADMIN_TOKEN: &str = "token-of-admin";

/// Writes all of it.
pub(super) fn write(machine: &Machine) -> Result<()> {
    let pki = Pki::named("Cluster")?;
    let identities = [
        (
            "apiserver",
            vec![
                NODE_ADDRESS.to_string(),
                SERVICE.to_string(),
                Ipv4Addr::LOCALHOST.to_string(),
                "kubernetes.default.svc".to_owned(),
            ],
        ),
        ("kubelet", vec![NODE.to_owned(), NODE_ADDRESS.to_string()]),
        // What the API server shows to kubelet.
        ("kubelet-client", vec!["kube-apiserver".to_owned()]),
        ("service-accounts", vec!["service-accounts".to_owned()]),
    ];
    for (name, names) in identities {
        let identity = pki.leaf(names).issue()?;
        machine.write(&format!("{FOLDER}/{name}.crt"), identity.chain_pem())?;
        machine.write(&format!("{FOLDER}/{name}.key"), identity.key_pem())?;
    }
    machine.write(&format!("{FOLDER}/ca.crt"), pki.ca_pem())?;
    let tokens = USERS.map(|(user, group)| format!("token-of-{user},{user},{user},{group}\n"));
    machine.write(&format!("{FOLDER}/tokens.csv"), tokens.concat())?;
    for (user, _) in USERS {
        machine.write(&kubeconfig(user), kubeconfig_text(user))?;
    }
    Ok(())
}

/// The file of a user.
pub(super) fn kubeconfig(user: &str) -> String {
    format!("{FOLDER}/{}.yaml", user.replace(':', "-"))
}

fn kubeconfig_text(user: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: lab\n\
         clusters: [{{name: lab, cluster: {{server: \"https://{API_SERVER}\", \
           certificate-authority: {FOLDER}/ca.crt}}}}]\n\
         users: [{{name: lab, user: {{token: \"token-of-{user}\"}}}}]\n\
         contexts: [{{name: lab, context: {{cluster: lab, user: lab}}}}]\n"
    )
}
