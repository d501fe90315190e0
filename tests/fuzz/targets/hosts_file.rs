//! A hosts file: a name has the addresses from its lines, in order, regardless of its case and of a
//! trailing dot.
#![no_main]

use libfuzzer_sys::fuzz_target;
use regprobe_probes::Hosts;

fuzz_target!(|text: &str| {
    let whole = Hosts::parse(text);
    let lines: Vec<Hosts> = text.lines().map(Hosts::parse).collect();
    for name in text.split_whitespace().take(64) {
        let addresses = whole.lookup(name);
        let by_line = lines.iter().flat_map(|line| line.lookup(name));
        assert!(by_line.eq(addresses), "{name:?}");
        assert_eq!(
            whole.lookup(&name.to_ascii_uppercase()),
            addresses,
            "{name:?}"
        );
        if name.contains('.') && !name.ends_with('.') {
            assert_eq!(whole.lookup(&format!("{name}.")), addresses, "{name:?}");
        }
    }
});
