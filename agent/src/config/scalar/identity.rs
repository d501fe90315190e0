//! Client ids of managed identities.

use std::fmt::{self, Display};
use std::str::FromStr;

use serde::de::Deserializer;
use thiserror::Error;

use super::{quoted, read_or_none};

/// The client id of a managed identity, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientId(String);

impl FromStr for ClientId {
    type Err = ClientIdError;

    fn from_str(text: &str) -> Result<Self, ClientIdError> {
        if text.starts_with("/subscriptions/") {
            return Err(ClientIdError::ResourceId);
        }
        let groups = text.split('-');
        let is_hex = |group: &str| group.bytes().all(|byte| byte.is_ascii_hexdigit());
        match groups.clone().map(str::len).eq([8, 4, 4, 4, 12]) && groups.clone().all(is_hex) {
            true => Ok(Self(text.to_ascii_lowercase())),
            false => Err(ClientIdError::Other(text.into())),
        }
    }
}

impl Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// For `deserialize_with`: a client id, or none.
pub(crate) fn client_id_or_none<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<ClientId>, D::Error> {
    read_or_none(deserializer, "a client id", str::parse)
}

/// Why a text is not a [`ClientId`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ClientIdError {
    /// Another name of the same thing.
    #[error(
        "this is the resource id of an identity; write its client id: az identity show --ids ID --query clientId"
    )]
    ResourceId,
    /// Something else.
    #[error(
        "{} is not a client id; write one as 00000000-0000-0000-0000-000000000000",
        quoted(.0)
    )]
    Other(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_ids() {
        let id = "d5b9dd1e-0000-4000-8000-000000000002";
        let parse = |text: &str| text.parse::<ClientId>().map(|id| id.to_string());
        assert_eq!(parse(id), Ok(id.to_owned()));
        assert_eq!(parse(&id.to_uppercase()), Ok(id.to_owned()));
        for text in [
            "",
            "msi",
            &id[1..],
            &id.replace('-', ""),
            &id.replace('d', "g"),
        ] {
            assert_eq!(parse(text), Err(ClientIdError::Other(text.to_owned())));
        }
        let resource = "/subscriptions/0/resourceGroups/a/providers/b";
        assert_eq!(parse(resource), Err(ClientIdError::ResourceId));
    }
}
