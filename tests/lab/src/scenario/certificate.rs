//! The words for the certificate that a server presents.

use serde::Deserialize;

/// What a server presents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Certificate {
    #[default]
    Good,
    Expired,
    #[serde(rename = "not yet valid")]
    NotYetValid,
    #[serde(rename = "ends in three days")]
    EndsInThreeDays,
    #[serde(rename = "by an unknown issuer")]
    UnknownIssuer,
    /// That of CORP_CA, which the node does not trust by itself.
    #[serde(rename = "by the corporate authority")]
    ByCorporateAuthority,
    /// Which every current bundle has, by its name, and this node's has not.
    #[serde(rename = "by a public authority")]
    ByPublicAuthority,
    #[serde(rename = "for another name")]
    OtherName,
    #[serde(rename = "without names")]
    WithoutNames,
    #[serde(rename = "for any usage")]
    ForAnyUsage,
    #[serde(rename = "for clients alone")]
    ForClients,
    /// `CA:TRUE`.
    #[serde(rename = "of an authority")]
    OfAnAuthority,
    /// Which Go knows.
    #[serde(rename = "with critical policies")]
    WithCriticalPolicies,
    #[serde(rename = "with an unknown critical extension")]
    WithUnknownCriticalExtension,
    #[serde(rename = "by an intermediate")]
    ByIntermediate,
    #[serde(rename = "by an intermediate that is not sent")]
    ByUnsentIntermediate,
    /// Which is sent, and whose key usage is not that of an authority.
    #[serde(rename = "by an intermediate that may not sign")]
    ByBarredIntermediate,
    /// And with an older certificate of the root, which nobody needs and which has expired.
    #[serde(rename = "with an expired cross-certificate")]
    WithExpiredCrossCertificate,
    #[serde(rename = "self-signed")]
    SelfSigned,
    /// And `CA:TRUE`, as `openssl req -x509` makes them.
    #[serde(rename = "self-signed and trusted")]
    SelfSignedTrusted,
}
