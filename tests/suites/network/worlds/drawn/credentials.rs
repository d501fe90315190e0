//! Faults of the credentials by which a node pulls.

use serde_json::json;

use super::{Draft, answers};

/// The client ids that `world.metadata` and the agent may know.
const IDENTITY: &str = "d5b9dd1e-0000-4000-8000-000000000002";
const OTHER: &str = "d5b9dd1e-0000-4000-8000-000000000003";

/// The pod has a pull secret, and most registries want one.
pub(super) fn secret(draft: &mut Draft) {
    let (username, password) = draft.draw.one(&[
        ("reader", "secret"),
        ("reader", "secret"),
        ("reader", "secret"),
        ("limited", "secret"),
        ("reader", "mistyped"),
        ("nobody", "secret"),
    ]);
    let auths = json!({draft.home.key(): {"username": username, "password": password}});
    let secret = json!({"auths": auths}).to_string();
    draft.pull_as(format!("{username}:{password}"));
    draft
        .credentials
        .insert("pull_secret".to_owned(), json!(secret));
}

/// The kubelet gets its credential by the node's identity, as on AKS.
pub(super) fn identity(draft: &mut Draft) {
    if !draft.home.is_azures() {
        return;
    }
    draft.pull_as("identity".to_owned());
    let named = match draft.draw.once_in(2) {
        true => json!({}),
        false => json!({"client_id": IDENTITY}),
    };
    draft
        .credentials
        .insert("managed_identity".to_owned(), named);
    draft.open("metadata");
    match draft.draw.number(0, 9) {
        0 => draft.set("metadata", "identities", json!([IDENTITY, OTHER])),
        1 => draft.set("metadata", "identities", json!([OTHER])),
        2 => draft.set("metadata", "closed", true),
        3 => {
            let answer = answers::any(&mut draft.draw);
            draft.set("metadata", "answers", answer);
        }
        4 => {
            let role = draft.draw.one(&["other repositories", "nothing"]);
            draft.set("registry", "role", role);
            let permissions = draft.draw.one(&["for the registry", "for repositories"]);
            draft.set("registry", "permissions", permissions);
        }
        5 => {
            let answer = answers::any(&mut draft.draw);
            draft.set(draft.home.sites[0].key, "exchange", answer);
        }
        _ => {}
    }
}

impl Draft {
    /// One credential at a time; most registries want one.
    fn pull_as(&mut self, user: String) {
        self.user = Some(user);
        self.credentials.clear();
        let is_anonymous = self.draw.once_in(3);
        self.set("registry", "anonymous_pull", is_anonymous);
    }
}
