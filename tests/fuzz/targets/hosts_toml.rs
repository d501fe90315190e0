//! A `hosts.toml`: it gives usable hosts, the server last, or a name that nobody can ask, or an error that
//! identifies a line only by its number.
#![no_main]

use libfuzzer_sys::fuzz_target;
use regprobe_probes::fuzz_support::hosts_toml;

fuzz_target!(|text: &str| {
    match hosts_toml(text) {
        Ok((hosts, passed_over)) => {
            assert!(!hosts.is_empty() || passed_over.is_some());
            for (host, _, root) in hosts {
                assert!(
                    !host.is_empty()
                        && host.is_ascii()
                        && !host.contains(['[', ']', '/', '@', ' ']),
                    "{host:?}"
                );
                assert!(root.is_empty() || root.starts_with('/'), "{root:?}");
                assert!(!root.ends_with('/') && !root.contains("//"), "{root:?}");
            }
        }
        Err(error) => {
            assert!(!error.contains(char::is_control), "{error:?}");
            if let Some((_, rest)) = error.split_once("hosts.toml: line ") {
                let line = rest.split(':').next().and_then(|line| line.parse().ok());
                let lines = text.matches('\n').count() + 1;
                assert!(
                    line.is_some_and(|line: usize| (1..=lines).contains(&line)),
                    "{error:?}"
                );
            }
        }
    }
});
