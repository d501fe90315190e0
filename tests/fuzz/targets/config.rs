//! A configuration: it is rejected with a location and a one-line message, or all its values are within
//! bounds.
#![no_main]

use std::{collections::HashSet, time::Duration};

use libfuzzer_sys::fuzz_target;
use regprobe::config::{Config, ConfigError};

fuzz_target!(|text: &str| {
    match Config::parse(text) {
        Ok(config) => {
            assert!(!config.registries.is_empty());
            let names: HashSet<_> = config
                .registries
                .iter()
                .map(|registry| &registry.name)
                .collect();
            assert_eq!(names.len(), config.registries.len());
            let schedule = &config.schedule;
            let intervals = [
                schedule.network_interval,
                schedule.request_interval,
                schedule.token_interval,
            ];
            assert!(intervals.is_sorted() && schedule.image_interval >= schedule.request_interval);
            assert!(schedule.network_interval >= Duration::from_secs(1));
            let timeouts = Duration::from_millis(100)..=Duration::from_secs(60);
            assert!(timeouts.contains(&schedule.timeout));
            assert!(config.fleet.requests_per_minute > 0);
            let buckets = &config.metrics.buckets;
            assert!(buckets.is_sorted() && buckets.iter().all(|bound| bound.is_finite()));
            // A comment changes nothing. It goes first, because the text may end in the middle of a line or block.
            assert_eq!(
                Config::parse(&format!("# \n{text}")).expect("the same"),
                config
            );
        }
        Err(error) => {
            let message = error.to_string();
            assert!(!message.contains(char::is_control), "{message:?}");
            let location = match error {
                ConfigError::Unreadable { location, .. }
                | ConfigError::Refused { location, .. } => location,
                _ => None,
            };
            let Some(location) = location else {
                assert!(
                    message.starts_with("aliases of aliases"),
                    "no location in {message:?}"
                );
                return;
            };
            // The end of the file is a valid location, too.
            let lines = text
                .split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'])
                .count();
            assert!((1..=lines + 1).contains(&location.line), "{message:?}");
            assert!(location.column >= 1, "{message:?}");
        }
    }
});
