//! A line with a name to look up, then a `resolv.conf`: the result respects Go's limits, survives being
//! written out and parsed again, and every name to query is valid.
#![no_main]

use std::{fmt::Write, net::SocketAddr};

use libfuzzer_sys::fuzz_target;
use regprobe_probes::ResolvConf;

fuzz_target!(|input: &str| {
    let (host, text) = input.split_once('\n').unwrap_or((input, ""));
    let conf = ResolvConf::parse(text, |_| None);
    assert!(conf.nameservers.len() <= 3);
    assert!(conf.ndots <= 15 && conf.attempts >= 1 && conf.timeout.as_secs() >= 1);
    assert!(conf.search.iter().all(|suffix| suffix.ends_with('.')));

    let written = write(&conf);
    let again = ResolvConf::parse(&written, |_| None);
    assert_eq!(again, conf, "{written}");

    let names = conf.names(host);
    assert!(names.len() <= 1 + conf.search.len());
    for name in names {
        assert!(
            name.len() <= 254 && name.ends_with('.') && !name.contains(".."),
            "{name:?}"
        );
        assert!(name.starts_with(host), "{name:?}");
    }
});

fn write(conf: &ResolvConf) -> String {
    let mut text = String::new();
    for nameserver in &conf.nameservers {
        let port = nameserver.port();
        let address = match nameserver {
            SocketAddr::V6(v6) if v6.scope_id() > 0 => format!("{}%{}", v6.ip(), v6.scope_id()),
            nameserver => nameserver.ip().to_string(),
        };
        let _ = writeln!(text, "nameserver [{address}]:{port}");
    }
    match &conf.search[..] {
        [domain] => _ = writeln!(text, "domain {domain}"),
        search => _ = writeln!(text, "search {}", search.join(" ")),
    }
    let (ndots, attempts, timeout) = (conf.ndots, conf.attempts, conf.timeout.as_secs());
    let _ = write!(
        text,
        "options ndots:{ndots} attempts:{attempts} timeout:{timeout}"
    );
    for (is_set, option) in [
        (conf.rotate, "rotate"),
        (conf.use_vc, "use-vc"),
        (conf.single_request, "single-request"),
    ] {
        if is_set {
            let _ = write!(text, " {option}");
        }
    }
    text
}
