//! Where containerd looks for hosts.toml files, by its own word: `containerd config dump`.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use regprobe_lab::servers::Release;
use regprobe_probes::{HostSettings, Root};

const VERSION_2: &str = "version = 2\nimports = ['conf.d/*.toml']\n";
const VERSION_3: &str = "version = 3\nimports = ['conf.d/more.toml']\n";
const NOTHING: &str = "";
const RUNTIME: &str =
    "version = 2\n[plugins.'io.containerd.grpc.v1.cri'.containerd]\ndefault_runtime_name = 'x'\n";
const PATH: &str =
    "[plugins.'io.containerd.grpc.v1.cri'.registry]\nconfig_path = '/etc/a:/etc/b'\n";
const NEW_PATH: &str = "[plugins.'io.containerd.cri.v1.images'.registry]\nconfig_path = '/etc/c'\n";
const OLD_PATH: &str = "[plugins.cri.registry]\nconfig_path = '/etc/a'\n";
const BOTH: &str = "[plugins.'io.containerd.grpc.v1.cri'.registry]\nconfig_path = '/etc/a'\n[plugins.'io.containerd.cri.v1.images']\nsnapshotter = 'x'\n";
const MIRROR: &str = "[plugins.'io.containerd.grpc.v1.cri'.registry.mirrors.'docker.io']\nendpoint = ['https://m.example']\n";

/// A configuration, and what it imports.
const CONFIGURATIONS: [(&str, &str, &str); 16] = [
    ("", NOTHING, NOTHING),
    ("", OLD_PATH, NOTHING),
    (VERSION_2, NOTHING, NOTHING),
    (VERSION_2, PATH, NOTHING),
    (VERSION_2, NEW_PATH, NOTHING),
    (VERSION_2, PATH, RUNTIME),
    (VERSION_2, NOTHING, PATH),
    (VERSION_2, MIRROR, NOTHING),
    (VERSION_2, NOTHING, MIRROR),
    (VERSION_2, MIRROR, RUNTIME),
    (VERSION_2, BOTH, NOTHING),
    (VERSION_3, NOTHING, NOTHING),
    (VERSION_3, PATH, NOTHING),
    (VERSION_3, NOTHING, PATH),
    (VERSION_3, NEW_PATH, NOTHING),
    (VERSION_3, NOTHING, NEW_PATH),
];

pub(super) fn compare() -> Result<()> {
    let mut wrong = Vec::new();
    let mut compared = 0;
    for (version, own, imported) in CONFIGURATIONS {
        let root = tempfile::tempdir()?;
        let folder = root.path().join("etc/containerd");
        fs::create_dir_all(folder.join("conf.d"))?;
        let path = folder.join("config.toml");
        fs::write(&path, format!("{version}{own}"))?;
        fs::write(folder.join("conf.d/more.toml"), imported)?;
        for release in Release::ALL {
            let Some(dumped) = dump(release, &path)? else {
                continue;
            };
            compared += 1;
            let read =
                HostSettings::read(&Root::at(root.path().to_owned()), release.as_str().parse()?);
            let is_same = match &read {
                HostSettings::CertsD(folders)
                | HostSettings::SeveralFolders(folders)
                | HostSettings::WithCredentials { folders, .. } => {
                    let is_default = !dumped.mirrors && dumped.config_path.is_empty();
                    *folders == Path::new(&dumped.config_path)
                        || is_default
                            && folders.starts_with("/etc/containerd")
                            && release.as_str() == "2.4"
                }
                HostSettings::InConfiguration { .. } => {
                    dumped.config_path.is_empty() && dumped.mirrors
                }
                HostSettings::NotFollowed(_) => false,
            };
            if !is_same {
                wrong.push(format!(
                    "{release}: {read:?}, not {dumped:?} for {version}{own}, importing {imported}"
                ));
            }
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    ensure!(compared > 42, "only {compared} were compared");
    Ok(())
}

/// What containerd says.
#[derive(Debug)]
struct Dumped {
    config_path: String,
    mirrors: bool,
}

/// `None` where it does not start with this configuration. 1.6 takes imports from where it was started.
fn dump(release: Release, path: &Path) -> Result<Option<Dumped>> {
    let mut containerd = Command::new(release.program());
    let out = containerd
        .current_dir(path.parent().unwrap_or(path))
        .arg("--config")
        .arg(path)
        .args(["config", "dump"])
        .output()?;
    if !out.status.success() {
        return Ok(None);
    }
    let text = String::from_utf8(out.stdout)?;
    let mut lines = text.lines().map(str::trim);
    let path = lines
        .clone()
        .find_map(|line| line.strip_prefix("config_path = "));
    Ok(Some(Dumped {
        config_path: path
            .unwrap_or_default()
            .trim_matches(['\'', '"'])
            .to_owned(),
        mirrors: lines.any(|line| line.contains(".registry.mirrors.")),
    }))
}
