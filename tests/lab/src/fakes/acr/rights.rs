//! What a registry lets the identities of its tenant do, and what it gives for their tokens: an exchange of
//! Entra's token for one of its own, with which a client then asks for tokens for repositories.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::fakes::answer::{error, unauthorized};
use crate::fakes::entra::{self, REGISTRIES, TENANT};
use crate::fakes::http::{Request, Response};

/// The user of a client that has a refresh token for its password.
pub(super) const NO_USER: &str = "00000000-0000-0000-0000-000000000000";

/// What the identities of a registry's tenant may do there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rights {
    pub role: Role,
    pub permissions: Permissions,
    /// How long a token of an exchange is good for.
    pub refresh_token_seconds: i64,
}

/// What an identity may pull.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Everything,
    OtherRepositories,
    Nothing,
}

/// What a registry's roles are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permissions {
    /// The registry. An identity without a role gets nothing for its token.
    ForRegistry,
    /// Repositories, by conditions. Every identity of the tenant gets something for its token.
    ForRepositories,
}

impl Default for Rights {
    fn default() -> Self {
        Self {
            role: Role::Everything,
            permissions: Permissions::ForRegistry,
            refresh_token_seconds: 3 * 60 * 60,
        }
    }
}

impl Rights {
    /// The answer of `registry` to an exchange.
    pub(super) fn exchange(&self, registry: &str, request: &Request) -> Response {
        if request.method != "POST" {
            return error(405, "UNSUPPORTED", "the operation is unsupported");
        }
        let grant = request.field("grant_type").unwrap_or_default();
        if !["access_token", "access_token_refresh_token"].contains(&&*grant) {
            return error(400, "UNSUPPORTED", "the grant type is not supported");
        }
        if request.field("service").as_deref() != Some(registry) {
            return error(400, "BAD_REQUEST", "the service is not this registry");
        }
        // Which tenant the form names is of no account: the token says its own.
        let token = request.field("access_token").unwrap_or_default();
        let claims = entra::claims(&token);
        let Some(claims) = claims.filter(|claims| claims["aud"] == REGISTRIES) else {
            return error(401, "UNAUTHORIZED", "token validation failed");
        };
        let for_registry = self.permissions == Permissions::ForRegistry;
        if claims["tid"] != TENANT || (for_registry && self.role == Role::Nothing) {
            return unauthorized();
        }
        let token = self.refresh_token(registry, &claims["appid"]);
        Response::new(200).json(&json!({"refresh_token": token}))
    }

    fn refresh_token(&self, registry: &str, client_id: &Value) -> String {
        let now = Timestamp::now().as_second();
        let mut claims = json!({
            "aud": registry,
            "iss": "Azure Container Registry",
            "iat": now,
            "exp": now + self.refresh_token_seconds,
            "appid": client_id,
            "grant_type": "refresh_token",
        });
        if self.permissions == Permissions::ForRegistry {
            claims["permissions"] = json!({"actions": ["read"]});
        }
        entra::encode(&claims)
    }

    /// Whether a client with this refresh token may pull from `registry` now.
    pub(super) fn permit(&self, registry: &str, token: &str) -> bool {
        let is_good = entra::claims(token).is_some_and(|claims| {
            claims["aud"] == registry && claims["grant_type"] == "refresh_token"
        });
        is_good && self.role == Role::Everything
    }
}
