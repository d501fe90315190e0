//! The part of a kubelet that gets credentials for a pull: it asks the real credential provider of AKS nodes, which
//! `tests/oracles/bring` builds, in a kubelet's words and with its patience.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::fakes::entra::TENANT;

/// The provider.
#[must_use]
pub fn credential_provider() -> PathBuf {
    let built = "../oracles/credentials/bin/acr-credential-provider";
    Path::new(env!("CARGO_MANIFEST_DIR")).join(built)
}

/// After so many seconds a kubelet ends the provider and pulls without what it would have said.
const PATIENCE_SECONDS: &str = "60";
/// What `timeout` returns when it ended a program.
const ENDED: i32 = 124;

const API_VERSION: &str = "credentialprovider.kubelet.k8s.io/v1";

/// What a provider gave.
#[derive(Debug)]
pub struct Provided {
    /// `user:password`
    pub credential: Option<String>,
    /// What it wrote to the journal; nothing where it was ended.
    pub complaint: String,
    pub was_ended: bool,
    pub took: Duration,
}

impl Provided {
    /// Asks for an image, `server/repository`. `timeout` is the program of that name, about to be started on the node.
    pub fn by(mut timeout: Command, azure_json: &Path, image: &str) -> Result<Self> {
        let began = Instant::now();
        timeout
            .args(["--kill-after=1", PATIENCE_SECONDS])
            .arg(credential_provider())
            .arg(azure_json)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut provider = timeout.spawn().context("failed to start the provider")?;
        let request = json!({
            "apiVersion": API_VERSION,
            "kind": "CredentialProviderRequest",
            "image": image,
        });
        let mut input = provider.stdin.take().context("no standard input")?;
        input.write_all(request.to_string().as_bytes())?;
        drop(input);
        let out = provider.wait_with_output()?;
        let took = began.elapsed();
        let was_ended = out.status.code() == Some(ENDED);
        let complaint = String::from_utf8_lossy(&out.stderr).into_owned();
        if !out.status.success() {
            return Ok(Self {
                credential: None,
                complaint,
                was_ended,
                took,
            });
        }
        let response: Value = serde_json::from_slice(&out.stdout)
            .with_context(|| format!("no response: {complaint}"))?;
        ensure!(response["apiVersion"] == API_VERSION, "{response}");
        let server = image.split('/').next().unwrap_or_default();
        let given = &response["auth"][server];
        let part = |name: &str| given[name].as_str().filter(|part| !part.is_empty());
        let credential = part("username").zip(part("password"));
        Ok(Self {
            credential: credential.map(|(user, password)| format!("{user}:{password}")),
            complaint,
            was_ended,
            took,
        })
    }
}

/// What a node of AKS has in `/etc/kubernetes/azure.json` if its kubelet has a managed identity.
#[must_use]
pub fn azure_json(client_id: Option<&str>) -> String {
    let settings = json!({
        "cloud": "AzurePublicCloud",
        "tenantId": TENANT,
        "aadClientId": "msi",
        "aadClientSecret": "msi",
        "useManagedIdentityExtension": true,
        "userAssignedIdentityID": client_id.unwrap_or_default(),
    });
    settings.to_string()
}
