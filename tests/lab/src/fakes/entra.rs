//! Tokens as Microsoft Entra ID and a registry issue them for each other: JSON that anybody can read, between a
//! header and a signature. Nobody checks signatures here, since nobody in the lab forges tokens.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Value, json};

/// The tenant of every registry of the lab.
pub const TENANT: &str = "72f988bf-0000-4000-8000-000000000001";
/// The client id of the identity that a node's kubelet has.
pub const KUBELET_IDENTITY: &str = "d5b9dd1e-0000-4000-8000-000000000002";
/// Whom a token for registries is for.
pub const REGISTRIES: &str = "https://containerregistry.azure.net";

/// How long a token of Entra is good for, in seconds.
pub(super) const LIFETIME: i64 = 86_400;

/// What Entra says of an identity of a tenant to `audience`.
pub(super) fn token(client_id: &str, tenant: &str, audience: &str) -> String {
    let now = Timestamp::now().as_second();
    encode(&json!({
        "aud": audience,
        "iss": format!("https://sts.windows.net/{tenant}/"),
        "iat": now,
        "nbf": now,
        "exp": now + LIFETIME,
        "appid": client_id,
        "tid": tenant,
    }))
}

/// A token with these claims.
pub(super) fn encode(claims: &Value) -> String {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let header = part(r#"{"alg":"RS256","typ":"JWT"}"#);
    format!("{header}.{}.{}", part(&claims.to_string()), part("signed"))
}

/// The claims of a token, while it is good.
pub(super) fn claims(token: &str) -> Option<Value> {
    let claims = token.split('.').nth(1)?;
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
    let is_good = claims["exp"].as_i64()? > Timestamp::now().as_second();
    is_good.then_some(claims)
}
