//! The last stage of the image in the Dockerfile.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, ensure};
use regprobe_harness::program::repository;

pub(crate) struct Image {
    pub(crate) entry_point: String,
    /// The default arguments.
    pub(crate) arguments: Vec<String>,
    pub(crate) user: String,
    pub(crate) port: String,
    pub(crate) environment: BTreeMap<String, String>,
}

impl Image {
    pub(crate) fn of_dockerfile() -> Result<Self> {
        let text = fs::read_to_string(repository("Dockerfile"))?;
        // A tag can be moved to another image.
        let mut stages = text.lines().filter_map(|line| line.strip_prefix("FROM "));
        let is_fixed = |from: &str| {
            from.starts_with("scratch ") || from == "${BINARY}" || from.contains("@sha256:")
        };
        ensure!(stages.all(is_fixed), "an image without a digest");
        let (_, stage) = text.rsplit_once("\nFROM ").context("no last stage")?;
        let instruction = |name: &str| {
            let mut lines = stage.lines().filter_map(|line| line.split_once(' '));
            let line = lines.find(|(instruction, _)| *instruction == name);
            Ok::<_, anyhow::Error>(line.with_context(|| format!("no {name}"))?.1.to_owned())
        };
        let entry_point: Vec<String> = serde_json::from_str(&instruction("ENTRYPOINT")?)?;
        ensure!(entry_point.len() == 1, "{entry_point:?}");
        let environment = instruction("ENV")?;
        let environment = environment.split_once('=').context("ENV without =")?;
        Ok(Self {
            entry_point: entry_point[0].clone(),
            arguments: serde_json::from_str(&instruction("CMD")?)?,
            user: instruction("USER")?,
            port: instruction("EXPOSE")?,
            environment: BTreeMap::from([(environment.0.to_owned(), environment.1.to_owned())]),
        })
    }
}
