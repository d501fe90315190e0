//! Three lines: a proxy URL after its credentials, `NO_PROXY`, and a host. Parsing the displayed
//! exceptions gives the same rules, this node itself is never reached through a proxy, and no password is
//! displayed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use regprobe_probes::ProxyRules;

fuzz_target!(|input: &str| {
    let mut lines = input.splitn(3, '\n');
    let [proxy, no_proxy, host] = [(); 3].map(|()| lines.next().unwrap_or_default());
    let rules = rules(&format!("http://agent:hunter2@{proxy}"), no_proxy);
    let shown: Vec<_> = rules.exceptions().collect();
    // As in Go, the part before a port or in brackets may be an invalid name; it then matches no host.
    let is_odd = |entry: &str| {
        entry.contains(|c: char| c == '[' || c.is_whitespace()) || entry.ends_with(':')
    };
    if no_proxy.split(',').any(is_odd) {
        return;
    }
    let again = self::rules("http://10.240.1.9:3128", &shown.join(","));
    assert_eq!(again.exceptions().collect::<Vec<_>>(), shown);

    let there = self::rules("http://10.240.1.9:3128", no_proxy);
    for port in [80, 443, 5000] {
        let is_exempt = |rules: &ProxyRules| rules.proxy_for("https", host, port).is_none();
        assert_eq!(
            is_exempt(&there),
            is_exempt(&again),
            "{shown:?} and {host:?}"
        );
        for local in ["localhost", "127.0.0.1", "::1"] {
            assert!(rules.proxy_for("https", local, port).is_none());
        }
    }
    if !input.to_ascii_lowercase().contains("hunter2") {
        let shown = rules.shown("https").unwrap_or_default();
        let debug = format!("{rules:?}");
        assert!(
            !shown.contains("hunter2") && !debug.contains("hunter2"),
            "{shown} {debug}"
        );
    }
});

fn rules(proxy: &str, no_proxy: &str) -> ProxyRules {
    ProxyRules::from_env(|name| match name {
        "HTTPS_PROXY" => Some(proxy.to_owned()),
        "NO_PROXY" => Some(no_proxy.to_owned()),
        _ => None,
    })
}
