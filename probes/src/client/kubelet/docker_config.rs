//! A pull secret of the type `kubernetes.io/dockerconfigjson`, as the kubelet reads it.
//!
//! Source: Kubernetes `pkg/credentialprovider/{config,keyring}.go`.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::{
    go_base64::{self, CorruptInput},
    match_images::is_match,
};
use crate::{
    client::credential::Credential,
    net::inert::excerpt,
    stages::http::go_json::{self, JsonFault},
};

/// The entries of a pull secret, in the order in which they are tried.
pub(crate) struct PullSecret {
    entries: Vec<Entry>,
}

/// One entry.
pub(crate) struct Entry {
    /// `host[:port][/path]`, where `*` stands for any text in a label.
    pub key: String,
    /// `None`: it holds nothing that containerd takes, which then asks anonymously.
    pub credential: Option<Arc<Credential>>,
}

/// What makes a secret useless, as the kubelet prints it; `None` where that is not known to the letter. The kubelet
/// then pulls nothing, whatever else would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub Option<String>);

impl PullSecret {
    /// Reads the content of the secret's key `.dockerconfigjson`.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, Malformed> {
        let text = std::str::from_utf8(text).map_err(|_| Malformed(None))?;
        let document: &RawValue = serde_json::from_str(text).map_err(|_| Malformed(None))?;
        let fields = go_json::object(Some(document), &["auths"])?;
        let auths: BTreeMap<String, &RawValue> = match fields.get("auths") {
            None => BTreeMap::new(),
            Some(raw) => serde_json::from_str(raw.get()).map_err(|_| Malformed(None))?,
        };
        let mut entries = Vec::with_capacity(auths.len());
        for (key, raw) in auths {
            let credential = entry(raw)?.map(Arc::new);
            entries.extend(normal(&key).map(|key| Entry { key, credential }));
        }
        // Longer and more exact keys come before shorter ones and wildcards.
        entries.sort_by(|a, b| b.key.cmp(&a.key));
        Ok(Self { entries })
    }

    /// The entries for `image`, as `host[:port]/repository`.
    pub(crate) fn matching(&self, image: &str) -> Vec<&Entry> {
        let entries = || self.entries.iter();
        let matching: Vec<_> = entries().filter(|one| is_match(&one.key, image)).collect();
        if !matching.is_empty() || !image.starts_with("docker.io/") {
            return matching;
        }
        entries().filter(|one| one.key == DEFAULT_KEY).collect()
    }

    /// What it has entries for, each made safe to print.
    pub(crate) fn keys(&self) -> Vec<String> {
        let keys = self.entries.iter().map(|one| one.key.as_bytes());
        keys.map(excerpt).collect()
    }
}

/// `defaultRegistryKey`
const DEFAULT_KEY: &str = "index.docker.io";

impl From<JsonFault> for Malformed {
    fn from(_: JsonFault) -> Self {
        // Go names the struct's field, too.
        Self(None)
    }
}

/// `None` for an entry without user or password. `auth` outweighs both.
fn entry(raw: &RawValue) -> Result<Option<Credential>, Malformed> {
    let fields = go_json::object(Some(raw), &["username", "password", "email", "auth"])?;
    let text = |name| go_json::text(fields.get(name)).map(Zeroizing::new);
    let (user, password, auth) = (text("username")?, text("password")?, text("auth")?);
    text("email")?;
    if auth.is_empty() {
        return Ok(Credential::new(user, password));
    }
    let padded = auth.trim().ends_with('=');
    let decoded = go_base64::decode(auth.as_bytes(), padded).map_err(|CorruptInput(at)| {
        Malformed(Some(format!("illegal base64 data at input byte {at}")))
    })?;
    let pair = Zeroizing::new(String::from_utf8_lossy(&decoded).into_owned());
    let Some((user, password)) = pair.split_once(':') else {
        let text = "unable to parse auth field, must be formatted as base64(username:password)";
        return Err(Malformed(Some(text.to_owned())));
    };
    let secret = |text: &str| Zeroizing::new(text.to_owned());
    Ok(Credential::new(secret(user), secret(password)))
}

/// A key without its scheme, and without `/v1` or `/v2` in front of its path; `None` where it is no URL.
fn normal(key: &str) -> Option<String> {
    let key = ["https://", "http://"]
        .into_iter()
        .find_map(|scheme| key.strip_prefix(scheme))
        .unwrap_or(key);
    let (host, path) = key.split_at(key.find(['/', '?', '#']).unwrap_or(key.len()));
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let is_api = path.starts_with("/v1/") || path.starts_with("/v2/");
    let path = if is_api { &path[3..] } else { path };
    let is_host = |host: &str| !host.contains([' ', '<', '>', '"', '\\', '%']);
    is_host(host).then(|| match path {
        "/" => host.to_owned(),
        path => format!("{host}{path}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGE: &str = "contoso.azurecr.io/probe/hello";
    const READER: &str = r#"{"auth":"cmVhZGVyOnNlY3JldA=="}"#;

    fn secret(auths: &str) -> Result<PullSecret, Malformed> {
        PullSecret::parse(format!(r#"{{"auths":{auths}}}"#).as_bytes())
    }

    /// What the entries for an image offer, in order; `-` for an entry that offers nothing.
    fn offered(auths: &str, image: &str) -> Vec<String> {
        let secret = secret(auths).ok().unwrap();
        let offered = secret.matching(image).into_iter().map(|entry| {
            let header = entry.credential.as_ref().map(|one| one.basic().unwrap());
            let header = header.map(|header| header.to_str().unwrap().to_owned());
            header.map_or_else(
                || "-".to_owned(),
                |header| header["Basic ".len()..].to_owned(),
            )
        });
        offered.collect()
    }

    #[test]
    fn auth_outweighs_user_and_password_and_a_token_is_not_read() {
        for (entry, is_offered) in [
            (READER, "cmVhZGVyOnNlY3JldA=="),
            (r#"{"auth":"cmVhZGVyOnNlY3JldA"}"#, "cmVhZGVyOnNlY3JldA=="),
            (r#"{"AUTH":"cmVhZGVyOnNlY3JldA=="}"#, "cmVhZGVyOnNlY3JldA=="),
            (r#"{"username":"a","password":"b"}"#, "YTpi"),
            (r#"{"username":"a","password":"b","auth":"YTpj"}"#, "YTpj"),
            (r#"{"username":"a","password":"b","auth":""}"#, "YTpi"),
            (r#"{"username":"a","password":"b","email":"c"}"#, "YTpi"),
            // Only the first colon divides.
            (r#"{"auth":"YTpiOmM="}"#, "YTpiOmM="),
            ("{}", "-"),
            ("null", "-"),
            (r#"{"username":"a","password":""}"#, "-"),
            (r#"{"identitytoken":"eyJ"}"#, "-"),
            (r#"{"auth":"YTo="}"#, "-"),
        ] {
            let auths = format!(r#"{{"contoso.azurecr.io":{entry}}}"#);
            assert_eq!(offered(&auths, IMAGE), [is_offered], "{entry}");
        }
    }

    #[test]
    fn a_malformed_secret_is_none_at_all() {
        let text = |text: &str| Malformed(Some(text.to_owned()));
        for (document, malformed) in [
            (
                r#"{"auths":{"contoso.azurecr.io":{"auth":"!"}}}"#,
                text("illegal base64 data at input byte 0"),
            ),
            (
                r#"{"auths":{"contoso.azurecr.io":{"auth":"cmVhZGVy"}}}"#,
                text("unable to parse auth field, must be formatted as base64(username:password)"),
            ),
            // An entry for another registry spoils it as well.
            (
                r#"{"auths":{"contoso.azurecr.io":{"auth":"YTpi"},"other.example":{"auth":"?"}}}"#,
                text("illegal base64 data at input byte 0"),
            ),
            (r#"{"auths":[]}"#, Malformed(None)),
            (
                r#"{"auths":{"contoso.azurecr.io":"YTpi"}}"#,
                Malformed(None),
            ),
            (
                r#"{"auths":{"contoso.azurecr.io":{"auth":1}}}"#,
                Malformed(None),
            ),
            ("", Malformed(None)),
            ("[]", Malformed(None)),
            (r#"{"auths":{}"#, Malformed(None)),
        ] {
            let parsed = PullSecret::parse(document.as_bytes());
            assert_eq!(parsed.err(), Some(malformed), "{document}");
        }
        for empty in [
            "{}",
            "null",
            r#"{"auths":null}"#,
            r#"{"credHelpers":{"a":"b"}}"#,
        ] {
            assert!(
                PullSecret::parse(empty.as_bytes()).is_ok_and(|secret| secret.keys().is_empty()),
                "{empty}"
            );
        }
    }

    #[test]
    fn longer_and_exact_keys_come_first() {
        let auths = r#"{
            "*.azurecr.io": {"auth": "YTpi"},
            "contoso.azurecr.io": {"auth": "YTpj"},
            "contoso.azurecr.io/probe": {"auth": "YTpk"},
            "contoso.azurecr.io/other": {"auth": "YTpl"},
            "fabrikam.azurecr.io": {"auth": "YTpm"}
        }"#;
        assert_eq!(offered(auths, IMAGE), ["YTpk", "YTpj", "YTpi"]);
        assert_eq!(
            offered(auths, "contoso.azurecr.io:5000/probe/hello"),
            [""; 0]
        );
    }

    #[test]
    fn schemes_and_versions_in_keys_do_not_matter() {
        for key in [
            "contoso.azurecr.io/",
            "https://contoso.azurecr.io",
            "http://contoso.azurecr.io/v1/",
            "https://contoso.azurecr.io/v2/",
            "contoso.azurecr.io/v2/probe",
        ] {
            let auths = format!(r#"{{"{key}":{READER}}}"#);
            assert_eq!(offered(&auths, IMAGE).len(), 1, "{key}");
        }
        // Without the slash behind it, this is a path.
        let auths = format!(r#"{{"https://contoso.azurecr.io/v2":{READER}}}"#);
        assert!(offered(&auths, IMAGE).is_empty());
    }

    #[test]
    fn docker_hub_has_a_key_of_its_own() {
        let auths = format!(r#"{{"https://index.docker.io/v1/":{READER}}}"#);
        assert_eq!(offered(&auths, "docker.io/library/app").len(), 1);
        assert!(offered(&auths, IMAGE).is_empty());
        let both = format!(r#"{{"index.docker.io":{READER},"docker.io":{{"auth":"YTpi"}}}}"#);
        assert_eq!(offered(&both, "docker.io/library/app"), ["YTpi"]);
    }
}
