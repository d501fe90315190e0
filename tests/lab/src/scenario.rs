//! A scenario of the fault lab: one file that says what is wrong with the world, what containerd
//! makes of it, and what the agent must say. The vocabulary is closed: a word it does not have is
//! refused, so no fault can be misspelt into health. `tests/scenarios/README.md` explains it for
//! authors of scenarios.

mod answers;
mod certificate;
mod identity;
mod releases;
mod setting;

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::servers::Release;
use crate::world::STAGE_TIMEOUT;

pub use self::answers::{Answers, Said};
pub use self::certificate::Certificate;
pub use self::identity::{ManagedIdentity, MetadataService, Permissions, Role};
pub use self::setting::{
    Blobs, ChallengeForm, Connection, Names, Nameserver, NameserverIs, NodePackets, Packets,
    ProxyIs, Registry, Setting, Site, Target,
};

/// One scenario.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The file's name without its ending.
    #[serde(skip)]
    pub name: String,
    /// What happened, in words.
    pub story: String,
    /// What the agent's config says of the registry.
    #[serde(default)]
    pub agent: Told,
    /// How the world differs from a healthy one.
    #[serde(default)]
    pub world: Setting,
    /// What the node's real client does.
    pub containerd: Client,
    /// What the agent says of the registry.
    pub verdict: Verdict,
    /// The codes of every finding of severity `warning` or `critical`; no others may be there.
    #[serde(default)]
    pub loud: BTreeSet<String>,
    /// Codes of findings of severity `info` that must be there; others may be, too.
    #[serde(default)]
    pub quiet: BTreeSet<String>,
    /// A part of what the agent says that it could not see, if that leaves no verdict.
    #[serde(default)]
    pub unseen: Option<String>,
    /// How it goes with releases before the newest, the oldest first: up to each of these.
    #[serde(skip)]
    until: Vec<(Release, Self)>,
    /// Whether the agent's `predicted_pull_delay_seconds` is held against the wait containerd had.
    #[serde(default)]
    pub predicted_delay_seconds: Option<Tolerance>,
}

/// The part of the agent's config that a scenario chooses.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Told {
    /// The registry; the node pulls from the same.
    pub server: String,
    pub regions: Vec<String>,
    /// `false`, `true` or ranges, as in the config.
    pub private: Value,
    pub anonymous_pull: bool,
    pub images: Vec<String>,
    /// The `.dockerconfigjson` of the pod's secret, word for word.
    pub pull_secret: Option<String>,
    /// The identity that the node's kubelet has.
    pub managed_identity: Option<ManagedIdentity>,
    /// `throughput`, as in the config.
    pub throughput: Option<Value>,
    /// Nameservers beside the node's own, by name.
    pub nameservers: Vec<Beside>,
    /// Whether it is told which containerd the node runs; it cannot see the program.
    pub knows_containerd: bool,
    /// How long one stage may take.
    pub timeout_seconds: u64,
}

impl Told {
    /// How long a check may take: it waits for one answer as long as three stages. With the default of ten seconds a
    /// stage, that is 35 seconds.
    #[must_use]
    pub fn check_limit(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds * 3 + 5)
    }
}

impl Default for Told {
    fn default() -> Self {
        Self {
            server: "myregistry.azurecr.io".to_owned(),
            regions: vec!["westeurope".to_owned()],
            private: json!(["10.240.0.0/16"]),
            anonymous_pull: false,
            images: Vec::new(),
            pull_secret: None,
            managed_identity: None,
            throughput: None,
            nameservers: Vec::new(),
            knows_containerd: true,
            timeout_seconds: STAGE_TIMEOUT.as_secs(),
        }
    }
}

/// A nameserver that the agent's configuration adds.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Beside {
    pub name: String,
    pub address: IpAddr,
}

/// What containerd does with a pull.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    pub does: Does,
    /// A part of what it prints.
    pub saying: Option<String>,
    /// The least time it takes.
    pub after_seconds: Option<f64>,
    /// The most time it takes; a pull that hangs is given up after it.
    pub within_seconds: Option<f64>,
    /// `repository:tag`
    #[serde(default = "default_image")]
    pub image: String,
    /// `user:password`: needed if the registry allows no anonymous pull. Or [`Client::IDENTITY`].
    #[serde(rename = "as")]
    pub credentials: Option<String>,
    /// Whether the page of a finding quotes what it prints. It does not where that is of a host which is not to blame.
    #[serde(default = "yes")]
    pub quoted: bool,
    /// Why the pull and the verdict rightly disagree here.
    pub although: Option<String>,
}

fn yes() -> bool {
    true
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Does {
    Pulls,
    Fails,
    /// Containerd waits for ever; the lab does not.
    Hangs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Ok,
    Degraded,
    Unknown,
    Failing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Tolerance {
    #[serde(rename = "within 20%")]
    Fifth,
}

impl Client {
    /// In place of a user: first with what the node's credential provider gives, as a kubelet pulls.
    pub const IDENTITY: &str = "identity";

    /// When the lab gives up on the pull.
    #[must_use]
    pub fn patience(&self) -> Duration {
        Duration::from_secs_f64(self.within_seconds.unwrap_or(match self.does {
            Does::Hangs => 12.0,
            Does::Pulls | Does::Fails => 75.0,
        }))
    }
}

impl Verdict {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Unknown => "unknown",
            Self::Failing => "failing",
        }
    }
}

impl Scenario {
    /// Every scenario of a folder, by name.
    pub fn read_all(folder: &Path) -> Result<Vec<Self>> {
        let mut scenarios = Vec::new();
        let entries =
            fs::read_dir(folder).with_context(|| format!("failed to read {}", folder.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|ending| ending == "yaml") {
                scenarios.push(Self::read(&path)?);
            }
        }
        scenarios.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(scenarios)
    }

    fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path)?;
        let mut scenario =
            Self::parse(&text).with_context(|| format!("failed to read {}", path.display()))?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        for (_, older) in &mut scenario.until {
            older.name = name.clone().into_owned();
        }
        scenario.name = name.into_owned();
        Ok(scenario)
    }

    /// Reads the text of a scenario.
    pub fn parse(text: &str) -> Result<Self> {
        let yaml = serde_yaml::Deserializer::from_str(text);
        let told = serde_yaml::Value::deserialize(yaml)?;
        releases::read(told)
    }

    /// The world without what is wrong, for the same agent: whoever there is else is well.
    pub fn healthy(&self) -> Result<Self> {
        let mut healthy = Self::parse(HEALTHY)?;
        healthy.agent.clone_from(&self.agent);
        healthy
            .world
            .environment
            .clone_from(&self.world.environment);
        healthy.world.proxy = self.world.proxy.map(ProxyIs::mended);
        let nameservers = self.world.nameservers.iter();
        healthy.world.nameservers = nameservers
            .map(|here| Nameserver::healthy(here.at))
            .collect();
        // Where a site is and what it speaks is no fault.
        let well = |site: &Option<Site>| {
            site.as_ref().map(|site| Site {
                port: site.port,
                plain_http: site.plain_http,
                ..Site::default()
            })
        };
        let metadata = self.world.metadata.as_ref();
        healthy.world.metadata = metadata.map(|_| MetadataService::default());
        healthy.world.mirror = well(&self.world.mirror);
        healthy.world.token_server = well(&self.world.token_server);
        healthy.world.docker_hub = well(&self.world.docker_hub);
        healthy.world.on_the_node = well(&self.world.on_the_node);
        Ok(healthy)
    }

    /// Whether the node's credential provider is asked.
    #[must_use]
    pub fn is_pulled_as_identity(&self) -> bool {
        self.containerd.credentials.as_deref() == Some(Client::IDENTITY)
    }

    /// How it goes with `release`.
    #[must_use]
    pub fn with(&self, release: Release) -> &Self {
        let mut older = self.until.iter();
        older
            .find(|(last, _)| release <= *last)
            .map_or(self, |(_, scenario)| scenario)
    }

    /// The releases that it is tried with: the two that most nodes run, and the last of those that differ.
    pub fn releases(&self) -> BTreeSet<Release> {
        let different = self.until.iter().map(|(last, _)| *last);
        different.chain([Release::V1_7, Release::NEWEST]).collect()
    }

    /// What the words mean together must hold as well.
    fn check(&self) -> Result<()> {
        let agrees = (self.containerd.does == Does::Pulls) == (self.verdict != Verdict::Failing);
        let is_unknown = self.verdict == Verdict::Unknown;
        ensure!(
            is_unknown || agrees != self.containerd.although.is_some(),
            "`although` is for scenarios in which pull and verdict disagree, and for them alone"
        );
        ensure!(
            self.verdict != Verdict::Ok || self.loud.is_empty(),
            "a verdict of ok leaves nothing loud to say"
        );
        ensure!(
            self.verdict == Verdict::Ok || is_unknown || !self.loud.is_empty(),
            "a verdict that is neither ok nor unknown has a loud finding"
        );
        ensure!(
            is_unknown || self.unseen.is_none(),
            "`unseen` is for the verdict unknown alone"
        );
        ensure!(
            self.containerd.does != Does::Hangs || self.containerd.saying.is_none(),
            "a pull that hangs says nothing"
        );
        Ok(())
    }
}

const HEALTHY: &str = "story: All is well.\ncontainerd: {does: pulls}\nverdict: ok";

fn default_image() -> String {
    "probe/hello:v1".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRIFT: &str = "story: The zone is not linked.\n\
        world: {nameservers: [{at: 198.18.0.53, login: not linked, data: {linked to: [10.240.1.9]}}]}\n\
        containerd: {does: pulls}\n";

    #[test]
    fn reads_the_vocabulary_and_nothing_else() {
        let good = format!("{DRIFT}verdict: degraded\nloud: [PrivateLinkZoneNotLinked]\n");
        let scenario = Scenario::parse(&good).unwrap();
        let nameserver = &scenario.world.nameservers[0];
        assert_eq!(nameserver.login, Names::NotLinked);
        assert_eq!(
            nameserver.data,
            Names::LinkedTo(vec![[10, 240, 1, 9].into()])
        );
        for (bad, complaint) in [
            (
                good.replace("not linked", "unlinked"),
                "unknown variant `unlinked`",
            ),
            (good.replace("story", "tale"), "unknown field `tale`"),
            (good.replace("degraded", "failing"), "`although` is for"),
            (good.replace("degraded", "ok"), "leaves nothing loud"),
        ] {
            let error = Scenario::parse(&bad).unwrap_err();
            assert!(format!("{error:#}").contains(complaint), "{error:#}");
        }
    }

    #[test]
    fn older_releases_may_differ() {
        let good = format!(
            "{DRIFT}verdict: degraded\nloud: [PrivateLinkZoneNotLinked]\n\
             until:\n  \"1.6\": {{containerd: {{after_seconds: 3}}}}\n  \
             \"2.1\": {{containerd: {{does: fails}}, verdict: failing}}\n"
        );
        let scenario = Scenario::parse(&good).unwrap();
        let with = |release| {
            let seen = &scenario.with(release);
            (seen.containerd.does, seen.containerd.after_seconds)
        };
        assert_eq!(with(Release::V2_4), (Does::Pulls, None));
        assert_eq!(with(Release::V2_1), (Does::Fails, None));
        assert_eq!(with(Release::V1_7), (Does::Fails, None));
        assert_eq!(with(Release::V1_6), (Does::Fails, Some(3.0)));
        assert_eq!(scenario.releases().len(), 4);
        for (bad, complaint) in [
            (good.replace("\"2.1\"", "\"2.4\""), "is the newest"),
            (good.replace("\"2.1\"", "\"2.2\""), "unknown release"),
            (good.replace(", verdict: failing", ""), "`although` is for"),
            (
                good.replace("verdict: failing", "world: {}"),
                "the same with every",
            ),
        ] {
            let error = Scenario::parse(&bad).unwrap_err();
            assert!(format!("{error:#}").contains(complaint), "{error:#}");
        }
    }
}
