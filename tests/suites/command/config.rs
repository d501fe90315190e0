//! What the config module accepts and rejects: `bad.txt` with every error in full, `good/`, and input
//! that no text file can contain.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use regprobe::config::{Config, FleetSize, Private, ProxySource};
use regprobe_harness::program::repository;
use regprobe_harness::suite::{Suite, test};

pub(crate) fn suite() -> Suite {
    Suite::of([
        test(
            "each bad configuration has its error",
            each_bad_config_has_its_error,
        ),
        test(
            "the documented configuration spells out the defaults",
            the_documented_config_spells_out_the_defaults,
        ),
        test(
            "keys without a value mean their defaults",
            keys_without_a_value_mean_their_defaults,
        ),
        test("aliases are followed", aliases_are_followed),
        test("every key has an effect", every_key_is_heard),
        test(
            "line ends and a byte order mark make no difference",
            line_ends_and_a_byte_order_mark_are_no_matter,
        ),
        test(
            "files that are not text are refused",
            what_is_no_text_is_refused,
        ),
        test(
            "depth and breadth are limited",
            neither_depth_nor_breadth_is_without_bound,
        ),
        test("no text makes the parser panic", no_text_makes_it_panic),
    ])
}

fn dir() -> PathBuf {
    repository("tests/config")
}

fn good(name: &str) -> Config {
    let path = dir().join("good").join(name);
    Config::load(&path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// One case of `bad.txt`.
struct Bad<'a> {
    title: &'a str,
    yaml: &'a str,
    error: &'a str,
}

fn bad(table: &str) -> Vec<Bad<'_>> {
    let cases = table.split("\n=== ").skip(1);
    cases
        .map(|case| {
            let (title, rest) = case.split_once('\n').expect("a title has a line");
            let (yaml, error) = rest.split_once(">>> ").expect("a case ends in its error");
            Bad {
                title,
                yaml,
                error: error.trim_end(),
            }
        })
        .collect()
}

fn error(yaml: &str) -> String {
    match Config::parse(yaml) {
        Ok(config) => format!("accepted: {config:?}"),
        Err(error) => error.to_string(),
    }
}

fn error_of_file(path: &Path) -> String {
    match Config::load(path) {
        Ok(config) => format!("accepted: {config:?}"),
        Err(error) => error.to_string(),
    }
}

fn each_bad_config_has_its_error() -> Result<()> {
    let table = fs::read_to_string(dir().join("bad.txt"))?;
    let cases = bad(&table);
    assert!(cases.len() > 100, "only {} cases were found", cases.len());
    let mut wrong = String::new();
    for Bad {
        title,
        yaml,
        error: expected,
    } in cases
    {
        let error = error(yaml);
        if error != expected {
            wrong += &format!("{title}\n  expected: {expected}\n  got:      {error}\n");
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
    Ok(())
}

fn the_documented_config_spells_out_the_defaults() -> Result<()> {
    let documented = good("design.yaml");
    let minimal = good("minimal.yaml");
    assert_eq!(documented.node, minimal.node);
    assert_eq!(documented.schedule, minimal.schedule);
    assert_eq!(documented.fleet, minimal.fleet);
    assert_eq!(documented.tls, minimal.tls);
    assert_eq!(documented.metrics, minimal.metrics);

    let [registry] = &documented.registries[..] else {
        panic!("one registry is documented");
    };
    assert_eq!(registry.name, "contoso");
    assert_eq!(registry.server.to_string(), "contoso.azurecr.io");
    assert_eq!(
        registry.private,
        Private::Within(vec!["10.240.0.0/16".parse()?])
    );
    assert_eq!(minimal.registries[0].name, "contoso.azurecr.io");
    assert_eq!(minimal.registries[0].private, Private::No);
    Ok(())
}

fn keys_without_a_value_mean_their_defaults() -> Result<()> {
    assert_eq!(good("sparse.yaml"), good("minimal.yaml"));
    Ok(())
}

fn aliases_are_followed() -> Result<()> {
    let config = good("aliases.yaml");
    assert_eq!(config.registries[0].private, config.registries[1].private);
    Ok(())
}

fn every_key_is_heard() -> Result<()> {
    let config = good("everything.yaml");
    let [azure, local] = &config.registries[..] else {
        panic!("two registries are listed");
    };
    assert_eq!(azure.name, "Contoso 中国");
    assert_eq!(
        azure.server.acr().context("no ACR")?.cloud.suffix(),
        "azurecr.cn"
    );
    assert_eq!(azure.regions[0].as_str(), "chinaeast2");
    assert_eq!(azure.data_endpoints[1].port(), 8443);
    let Private::Within(ranges) = &azure.private else {
        panic!("ranges are listed");
    };
    assert_eq!(ranges[0].to_string(), "10.240.1.4/32");
    assert!(azure.anonymous_pull);
    assert!(azure.images[0].0.reference.starts_with("sha256:"));
    assert_eq!(local.name, "localhost:5000");
    assert!(local.server.is_plain_http());
    assert_eq!(local.private, Private::Yes);

    assert_eq!(
        config.nameservers[0].address.to_string(),
        "168.63.129.16:53"
    );
    assert_eq!(config.nameservers[1].address.to_string(), "[fd00::a]:5353");
    assert_eq!(config.node.root, Path::new("/host"));
    assert_eq!(config.node.hosts, Path::new("/etc/hosts.node"));
    assert_eq!(config.node.localdns, Path::new("/opt/localdns"));
    assert_eq!(config.node.proxy, ProxySource::None);
    assert_eq!(config.schedule.request_interval, Duration::from_secs(90));
    assert_eq!(config.schedule.timeout, Duration::from_millis(500));
    assert_eq!(config.fleet.size, FleetSize::Fixed(5000));
    assert_eq!(config.fleet.nameserver, Some("10.0.0.10:53".parse()?));
    assert_eq!(config.fleet.requests_per_minute, 600);
    assert_eq!(
        config.tls.ca_file.as_deref(),
        Some(Path::new("/etc/regprobe/ca.pem"))
    );
    assert_eq!(config.tls.expiry_warning, Duration::ZERO);
    assert!(!config.metrics.histograms);
    assert_eq!(config.metrics.buckets, [0.001, 1.0, 60.0]);
    Ok(())
}

fn line_ends_and_a_byte_order_mark_are_no_matter() -> Result<()> {
    let unix = fs::read_to_string(dir().join("good/everything.yaml"))?;
    let windows = format!("\u{feff}{}", unix.replace('\n', "\r\n"));
    assert_eq!(Config::parse(&windows)?, Config::parse(&unix)?);
    assert_eq!(
        error("registries:\r\n  - server: contoso\r\n"),
        error("registries:\n  - server: contoso\n"),
    );
    Ok(())
}

fn what_is_no_text_is_refused() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let load = |content: &[u8]| {
        let path = dir.path().join("config.yaml");
        fs::write(&path, content)?;
        anyhow::Ok(error_of_file(&path))
    };
    assert_eq!(
        load(b"registries:\n  - server: \xff\n")?,
        "the file is not UTF-8 text; save it as UTF-8 (line 2, column 13)"
    );
    let too_large = "the file is larger than 1 MiB; is it a config?";
    assert_eq!(load(&vec![b'#'; (1 << 20) + 1])?, too_large);
    // One never ends, the other never starts.
    let pipe = dir.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU)?;
    for path in [Path::new("/dev/zero"), &pipe] {
        assert_eq!(
            error_of_file(path),
            "cannot read the file: not a regular file; \
             check the path, and that this user may read it"
        );
    }
    assert_eq!(
        error_of_file(&dir.path().join("missing")),
        "cannot read the file: No such file or directory (os error 2); \
         check the path, and that this user may read it"
    );
    Ok(())
}

fn neither_depth_nor_breadth_is_without_bound() -> Result<()> {
    assert_eq!(
        error(&format!("registries: {}", "[".repeat(1_000_000))),
        "more than 1000 brackets are open; close them (line 1, column 1013)"
    );
    assert_eq!(
        error(&format!("registries:\n{}a", "- ".repeat(1000))),
        "nested too deeply, or an alias inside itself; write it out (line 2, column 255)"
    );
    let list = "a,".repeat(90_000);
    assert_eq!(
        error(&format!("registries: [{list}{list}]")),
        "registries: more than 100000 values, aliases counted in full; write fewer (line 1, column 13)"
    );
    // The aliases are fewer than serde_yaml's own limit, the values behind them are not.
    assert_eq!(
        error(&format!("a: &a [{list}]\nb: [{}]", "*a,".repeat(90_000))),
        "b[0]: more than 100000 values, aliases counted in full; write fewer (line 1, column 4)"
    );
    let word = "a".repeat(1_000_000);
    assert!(error(&word).len() < 600);
    assert!(error(&format!("registries: [{{server: {word}}}]")).len() < 600);
    Ok(())
}

/// Every good and bad configuration, broken in hundreds of ways: the parser must return, nothing more.
fn no_text_makes_it_panic() -> Result<()> {
    const SCRAPS: [&str; 24] = [
        "",
        " ",
        "\n",
        "\t",
        ":",
        ": ",
        "- ",
        "[",
        "]",
        "{",
        "}",
        ",",
        "&a ",
        "*a",
        "!t ",
        "|",
        ">",
        "\"",
        "'",
        "#",
        "---\n",
        "...\n",
        "é\u{2028}",
        "0",
    ];
    let table = fs::read_to_string(dir().join("bad.txt"))?;
    let mut texts: Vec<_> = bad(&table)
        .iter()
        .map(|case| case.yaml.to_owned())
        .collect();
    for entry in fs::read_dir(dir().join("good"))? {
        texts.push(fs::read_to_string(entry?.path())?);
    }
    // A fixed sequence (Knuth's MMIX), so that failures are reproducible.
    let mut state = 1u64;
    let mut below = |bound: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % bound
    };
    for text in &texts {
        for _ in 0..300 {
            let mut chars: Vec<char> = text.chars().collect();
            for _ in 0..=below(3) {
                let start = below(chars.len() + 1);
                let end = (start + below(8)).min(chars.len());
                chars.splice(start..end, SCRAPS[below(SCRAPS.len())].chars());
            }
            let broken: String = chars.into_iter().collect();
            let _ = Config::parse(&broken);
        }
    }
    Ok(())
}
