//! The words for the node's identity: what the metadata service says of it, and what the registry lets it do.

use serde::{Deserialize, Serialize};

use super::answers::Answers;
use crate::fakes::entra;

/// An identity, as the config names it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ManagedIdentity {
    /// If absent, the only one on the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
}

/// What an identity may pull.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    #[default]
    Everything,
    #[serde(rename = "other repositories")]
    OtherRepositories,
    Nothing,
}

/// What a registry's roles are for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Permissions {
    /// Without a role the exchange is refused.
    #[default]
    #[serde(rename = "for the registry")]
    ForRegistry,
    /// ABAC: the exchange succeeds for every identity, and the token is refused.
    #[serde(rename = "for repositories")]
    ForRepositories,
}

/// The metadata service of the node.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetadataService {
    /// The client ids of the scale set's identities.
    pub identities: Vec<String>,
    /// Where they belong; the registry's, unless it says otherwise.
    pub tenant: String,
    /// Its port is closed.
    pub closed: bool,
    /// How it answers everything.
    pub answers: Answers,
}

impl Default for MetadataService {
    fn default() -> Self {
        Self {
            identities: vec![entra::KUBELET_IDENTITY.to_owned()],
            tenant: entra::TENANT.to_owned(),
            closed: false,
            answers: Answers::Well,
        }
    }
}
