//! The identity of the node's kubelet, out of the file that configures Azure's cloud provider. It also has a client
//! secret on some nodes, so nothing else is read there, and the rest is cleared from memory at once.

use std::path::Path;

use anyhow::{Context, anyhow};
use regprobe_probes::Root;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::config::{ClientId, IdentityConfig};

const AZURE_JSON: &str = "/etc/kubernetes/azure.json";
/// Larger than any.
const MAX_FILE: u64 = 64 * 1024;

#[derive(Deserialize)]
struct AzureJson {
    #[serde(rename = "userAssignedIdentityID", default)]
    identity: String,
}

/// Which identity the kubelet of the node at `root` uses.
pub(super) fn identity(root: &Path) -> anyhow::Result<IdentityConfig> {
    let text = Root::at(root.to_owned()).read(Path::new(AZURE_JSON), MAX_FILE);
    let text = Zeroizing::new(text.with_context(|| format!("failed to read {AZURE_JSON}"))?);
    let client_id = client_id(&text).with_context(|| format!("failed to use {AZURE_JSON}"))?;
    Ok(IdentityConfig { client_id })
}

fn client_id(text: &[u8]) -> anyhow::Result<Option<ClientId>> {
    // The error would quote what is there.
    let file: AzureJson = serde_json::from_slice(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        anyhow!("it cannot be read as JSON (line {line}, column {column})")
    })?;
    match &*file.identity {
        "" => Ok(None),
        named => Ok(Some(named.parse().context("userAssignedIdentityID")?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_key_is_read_and_nothing_else_is_shown() {
        let id = "d5b9dd1e-0000-4000-8000-000000000002";
        let read = |text: &str| client_id(text.as_bytes()).map(|id| id.map(|id| id.to_string()));
        let with = |value: &str| {
            format!(r#"{{"aadClientSecret":"hunter2","userAssignedIdentityID":{value}}}"#)
        };
        assert_eq!(
            read(&with(&format!("{id:?}"))).unwrap(),
            Some(id.to_owned())
        );
        assert_eq!(read(&with(r#""""#)).unwrap(), None);
        assert_eq!(read("{}").unwrap(), None);
        for text in [
            with("7"),
            with(r#""msi""#),
            with(r#""/subscriptions/0/b""#),
            r#"{"aadClientSecret":"hunter2"#.to_owned(),
            "hunter2".to_owned(),
        ] {
            let error = format!("{:#}", read(&text).unwrap_err());
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
