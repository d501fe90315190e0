//! What makes the agent reload its configuration by itself.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use regprobe_harness::agent::Agent;
use regprobe_harness::ground::Ground;

/// A folder with the layout of a mounted ConfigMap: the file is a link through `..data` to a folder that
/// never changes; an update replaces `..data`.
struct ConfigMap {
    folder: PathBuf,
    updates: u32,
}

impl ConfigMap {
    fn mount(folder: PathBuf, text: &str) -> Result<Self> {
        fs::create_dir(&folder)?;
        symlink("..data/regprobe.yaml", folder.join("regprobe.yaml"))?;
        let mut map = Self { folder, updates: 0 };
        map.update(text)?;
        Ok(map)
    }

    fn file(&self) -> PathBuf {
        self.folder.join("regprobe.yaml")
    }

    fn update(&mut self, text: &str) -> Result<()> {
        let version = |number| format!("..2026_01_02_03_04_05.{number}");
        let before = self.folder.join(version(self.updates));
        self.updates += 1;
        let now = version(self.updates);
        fs::create_dir(self.folder.join(&now))?;
        fs::write(self.folder.join(&now).join("regprobe.yaml"), text)?;
        let swapped = self.folder.join("..data_tmp");
        symlink(&now, &swapped)?;
        fs::rename(swapped, self.folder.join("..data"))?;
        if Path::exists(&before) {
            fs::remove_dir_all(before)?;
        }
        Ok(())
    }
}

pub(crate) fn swap_of_a_config_map() -> Result<()> {
    let ground = Ground::new()?;
    let [one, two] = ["one", "two"].map(|name| ground.plain(name));
    let (one, two) = (one?, two?);
    let text =
        |entries: &[&str]| -> Result<String> { Ok(fs::read_to_string(ground.config(entries)?)?) };
    let first = text(&[&one.entry])?;
    let mut map = ConfigMap::mount(ground.folder.path().join("mounted"), &first)?;
    let agent = Agent::ready(&map.file(), &["--config.auto-reload"])?;
    let loaded = "regprobe_config_last_reload_successful";
    let loaded_at = agent.status()?["config"]["loaded_at"].clone();

    map.update(&format!("{first}nonsense: true\n"))?;
    agent.until_value(loaded, &[], 0.0)?;
    let log = agent.log().join("\n");
    ensure!(
        log.contains("configuration not reloaded; the old one stays"),
        "{log}"
    );
    let status = agent.status()?;
    let error = status["config"]["reload_error"]
        .as_str()
        .unwrap_or_default();
    ensure!(error.contains("nonsense"), "{status}");
    ensure!(status["config"]["loaded_at"] == loaded_at, "{status}");
    agent.until_rounds(&["one"])?;

    map.update(&text(&[&one.entry, &two.entry])?)?;
    agent.until_value(loaded, &[], 1.0)?;
    agent.until_rounds(&["one", "two"])?;
    let status = agent.status()?;
    ensure!(status["config"]["reload_error"].is_null(), "{status}");
    ensure!(status["config"]["loaded_at"] != loaded_at, "{status}");

    map.update(&text(&[&two.entry])?)?;
    agent.until("forgets what is listed no more", |agent| {
        ensure!(!agent.scrape()?.mentions("one"));
        Ok(())
    })
}
