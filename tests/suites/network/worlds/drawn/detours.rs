//! Faults of what a node may have between itself and a registry: other hosts by `hosts.toml`, and proxies.

use serde_json::json;

use super::Draft;
use super::homes::{MIRROR, TOKEN_SERVER};

/// A host before the registry, or two, and perhaps none behind.
pub(super) fn mirror(draft: &mut Draft) {
    let own = draft.home.sites[0].key;
    for _ in 0..draft.draw.number(1, 2) {
        let (key, urls) = draft.draw.one(&MIRRORS);
        if key == own {
            continue;
        }
        draft.open(key);
        let url = draft.draw.one(urls);
        draft.turn(url, &[]);
        let settings: Vec<_> = (0..draft.draw.number(0, 2))
            .map(|_| setting(draft))
            .collect();
        if url.contains("/cache") {
            draft.turn(url, &["override_path = true".to_owned()]);
        }
        draft.turn(url, &settings);
    }
    draft.server = draft.draw.one(&[
        None,
        None,
        Some(draft.home.url),
        Some(draft.home.url),
        Some("https://mirror.contoso.example"),
        Some("https://"),
    ]);
    draft.for_all = draft.draw.once_in(5);
}

const MIRRORS: [(&str, &[&str]); 3] = [
    (
        MIRROR.key,
        &[
            "https://mirror.contoso.example",
            "https://mirror.contoso.example",
            "https://mirror.contoso.example/cache/v2",
            "http://mirror.contoso.example",
            "http://mirror.contoso.example:443",
            "https://mirror.contoso.example:99999",
        ],
    ),
    (
        TOKEN_SERVER.key,
        &[
            "https://auth.contoso.example",
            "https://auth.contoso.example/v2/",
        ],
    ),
    ("docker_hub", &["https://registry-1.docker.io"]),
];

/// What `hosts.toml` may say of a host.
fn setting(draft: &mut Draft) -> String {
    let setting = draft.draw.one(&[
        r#"capabilities = ["pull", "resolve"]"#,
        r#"capabilities = ["pull", "resolve"]"#,
        r#"capabilities = ["pull"]"#,
        r#"capabilities = ["resolve"]"#,
        r#"capabilities = ["push"]"#,
        "skip_verify = true",
        "override_path = true",
        r#"ca = "CA_FILE""#,
        r#"ca = "CORP_CA""#,
        r#"client = [["CLIENT_CERT", "CLIENT_KEY"]]"#,
        r#"client = ["CLIENT_BOTH"]"#,
        r#"dial_timeout = "1s""#,
        r#"header = {"X-Access" = "yes"}"#,
    ]);
    setting.to_owned()
}

/// `hosts.toml` has settings for the registry itself.
pub(super) fn settings_of_its_own(draft: &mut Draft) {
    let settings: Vec<_> = (0..draft.draw.number(1, 2))
        .map(|_| setting(draft))
        .collect();
    draft.turn(draft.home.url, &settings);
}

/// A proxy, for some of the hosts, and what is wrong with it.
pub(super) fn proxy(draft: &mut Draft) {
    let is = draft.draw.one(&[
        "healthy",
        "healthy",
        "denying",
        "asking for credentials",
        "cut off",
        "hanging up",
        "resetting",
        "hanging",
        "babbling",
        "intercepting",
        "for SOCKS",
        "for SOCKS with a password",
        "for SOCKS and denying",
        "closed",
    ]);
    let port = match is.contains("SOCKS") {
        true => "socks5://proxy.contoso.example:1080",
        false => "http://proxy.contoso.example:3128",
    };
    draft.world.insert("proxy".to_owned(), json!(is));
    let variable = draft
        .draw
        .one(&["HTTPS_PROXY", "HTTPS_PROXY", "https_proxy", "HTTP_PROXY"]);
    draft.set("environment", variable, port);
    if draft.draw.once_in(2) {
        let site = draft.site();
        let (host, address) = (site.host, site.addresses[0]);
        let rules = [
            host.to_owned(),
            format!(".{host}"),
            format!("{host}:443"),
            format!("{host}:5000"),
            address.to_owned(),
            format!("{address}/16"),
            ".contoso.example,.azurecr.io".to_owned(),
            "*.contoso.example".to_owned(),
            "*".to_owned(),
        ];
        let at = draft.draw.number(0, rules.len() - 1);
        draft.set("environment", "NO_PROXY", rules[at].as_str());
    }
}
