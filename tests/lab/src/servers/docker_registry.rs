//! Debian's `docker-registry`, the reference implementation of the distribution protocol, open or
//! behind the token authentication that Azure's registry uses too. It speaks plain HTTP; an
//! [`Nginx`](super::Nginx) in front of it speaks TLS.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use anyhow::{Context, Result};
use tempfile::TempDir;
use url::Url;

use super::TokenServer;
use crate::addresses;
use crate::client::{self, Call};
use crate::image::{self, Image};
use crate::process::Process;

/// A running registry; it ends when dropped.
pub struct DockerRegistry {
    addr: SocketAddr,
    process: Process,
    _folder: TempDir,
}

impl DockerRegistry {
    /// A registry that lets everybody do everything.
    pub fn open(at: impl Into<SocketAddr>) -> Result<Self> {
        Self::start(at.into(), "")
    }

    /// A registry that wants a token of this server's.
    pub fn with_tokens(at: impl Into<SocketAddr>, tokens: &TokenServer) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let bundle = folder.path().join("issuer.crt");
        fs::write(&bundle, tokens.issuer_pem())?;
        // The bundle is read once, at the start.
        Self::start(
            at.into(),
            &format!(
                "auth: {{token: {{realm: \"{}\", service: \"{}\", issuer: \"{}\", rootcertbundle: \"{}\"}}}}",
                tokens.realm(),
                tokens.service(),
                tokens.issuer(),
                bundle.display()
            ),
        )
    }

    fn start(at: SocketAddr, auth: &str) -> Result<Self> {
        let addr = addresses::with_port(at)?;
        let folder = tempfile::tempdir()?;
        let config = folder.path().join("config.yml");
        fs::write(
            &config,
            format!(
                "version: 0.1\n\
                log: {{level: info}}\n\
                storage: {{filesystem: {{rootdirectory: \"{}\"}}}}\n\
                http: {{addr: \"{addr}\", secret: lab}}\n\
                {auth}\n",
                folder.path().join("storage").display()
            ),
        )?;
        let mut command = Command::new("/usr/bin/docker-registry");
        command.arg("serve").arg(&config);
        let process = Process::start(command, folder.path(), || {
            client::get(addr, "/v2/").send().map(drop)
        })?;
        Ok(Self {
            addr,
            process,
            _folder: folder,
        })
    }

    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Puts an image into an open registry.
    pub fn push(&self, image: &Image) -> Result<()> {
        self.push_as(image, None)
    }

    /// Puts an image into a registry that wants tokens; pushing needs no grant, since the token is
    /// signed for just that.
    pub fn push_with_token(&self, image: &Image, tokens: &TokenServer) -> Result<()> {
        let token = tokens.token(image.repository(), &["pull", "push"])?;
        self.push_as(image, Some(&token))
    }

    fn push_as(&self, image: &Image, token: Option<&str>) -> Result<()> {
        let base = format!("/v2/{}", image.repository());
        for (digest, blob) in image.blobs() {
            let uploads = format!("{base}/blobs/uploads/");
            let upload = authorize(client::call("POST", self.addr, &uploads), token)
                .send()?
                .expect_status(202)?;
            let mut location =
                Url::parse(upload.header("Location").context("no upload location")?)?;
            location.query_pairs_mut().append_pair("digest", digest);
            let target = &location[url::Position::BeforePath..];
            authorize(client::call("PUT", self.addr, target), token)
                .body("application/octet-stream", blob)
                .send()?
                .expect_status(201)
                .with_context(|| format!("failed to push {digest}"))?;
        }
        // The registry takes an index only when it has all that it lists.
        let (indexes, manifests): (Vec<_>, Vec<_>) = image
            .manifests()
            .partition(|(_, manifest)| manifest.media_type == image::INDEX);
        for (digest, manifest) in manifests.into_iter().chain(indexes) {
            let reference = if manifest.media_type == image::INDEX {
                image.tag()
            } else {
                digest
            };
            let target = format!("{base}/manifests/{reference}");
            authorize(client::call("PUT", self.addr, &target), token)
                .body(manifest.media_type, &manifest.bytes)
                .send()?
                .expect_status(201)
                .with_context(|| format!("failed to push {reference}"))?;
        }
        Ok(())
    }
}

fn authorize<'a>(call: Call<'a>, token: Option<&str>) -> Call<'a> {
    match token {
        Some(token) => call.header("Authorization", &format!("Bearer {token}")),
        None => call,
    }
}
