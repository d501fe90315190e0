use super::*;

type Variables = &'static [(&'static str, &'static str)];

fn rules(variables: &[(&str, &str)]) -> ProxyRules {
    ProxyRules::from_env(|key| {
        variables
            .iter()
            .find(|(name, _)| *name == key)
            .map(|(_, value)| (*value).to_owned())
    })
}

fn https_proxy(text: &str) -> Option<String> {
    let rules = rules(&[("HTTPS_PROXY", text)]);
    let proxy = rules.proxy_for("https", "contoso.azurecr.io", 443);
    proxy.map(ToString::to_string)
}

fn misread(text: &str) -> Option<String> {
    let rules = rules(&[("HTTPS_PROXY", text)]);
    let misread = rules.misread("https", "contoso.azurecr.io", 443);
    misread.map(ToString::to_string)
}

#[test]
fn what_is_shown_has_no_credentials() {
    let rules = ProxyRules::from_env(|name| {
        let value = match name {
            "HTTPS_PROXY" => "http://agent:hunter2@[fd00::7]:3128",
            "HTTP_PROXY" => "ftp://agent:hunter2@proxy.example:2121",
            "NO_PROXY" => {
                "*, 10.0.0.0/8,fd00::1,[fd00::1]:443,10.0.0.1:80,.a.example,\
                           *.b.example,c.example:8443,agent:hunter2@d.example,"
            }
            _ => return None,
        };
        Some(value.to_owned())
    });
    assert_eq!(rules.shown("https").unwrap(), "http://***@[fd00::7]:3128");
    assert_eq!(
        rules.shown("http").unwrap(),
        "http://***@proxy.example:2121"
    );
    assert_eq!(
        rules.exceptions().collect::<Vec<_>>().join(" "),
        "* 10.0.0.0/8 fd00::1 [fd00::1]:443 10.0.0.1:80 .a.example .b.example c.example:8443"
    );
}

#[test]
fn proxy_urls() {
    #[rustfmt::skip]
    let table = [
        ("http://proxy.corp:3128", Some("http://proxy.corp:3128")),
        ("http://proxy.corp", Some("http://proxy.corp:80")),
        ("https://proxy.corp/", Some("https://proxy.corp:443")),
        ("socks5://proxy.corp", Some("socks5://proxy.corp:1080")),
        ("proxy.corp:3128", Some("http://proxy.corp:3128")),
        ("proxy.corp", Some("http://proxy.corp:80")),
        ("10.0.0.9:3128", Some("http://10.0.0.9:3128")),
        ("http://[fd00::9]:3128", Some("http://[fd00::9]:3128")),
        ("http://user:secret@proxy.corp:3128", Some("http://***@proxy.corp:3128")),
        ("socks5h://proxy.corp", Some("socks5://proxy.corp:1080")),
        ("ftp://proxy.corp:3128", Some("http://proxy.corp:3128")),
        ("ftp://proxy.corp", Some("http://proxy.corp:0")),
        ("http://proxy.corp:99999", Some("http://proxy.corp:0")),
        ("http://user:p%40ss%w%23rd@proxy.corp:3128", None),
        ("http://user:p#ss@proxy.corp:3128", Some("http://http:80")),
        ("user:pw@proxy.corp:3128", Some("http://***@proxy.corp:3128")),
        // Go puts http:// before what is not a URL, and uses the result.
        ("http://proxy corp", Some("http://http:80")),
        // Go keeps it without a host, and so dials this node.
        ("proxy corp", Some("http://localhost:0")),
        ("", None),
    ];
    for (text, expected) in table {
        assert_eq!(https_proxy(text).as_deref(), expected, "{text:?}");
    }
}

#[test]
fn what_go_reads_otherwise_than_it_is_meant() {
    let table = [
        ("http://proxy.corp:3128", None),
        ("proxy.corp:3128", None),
        (
            "ftp://user:secret@proxy.corp:2121",
            Some(
                "Go does not know the scheme \"ftp\" of HTTPS_PROXY: it talks HTTP to proxy.corp:2121; in ",
            ),
        ),
        (
            "http://user:p%40ss%w%23rd@proxy.corp:3128",
            Some("Go cannot read HTTPS_PROXY as a URL, and so uses no proxy"),
        ),
        (
            "http://user:p#ss@proxy.corp:3128",
            Some(
                "Go cannot read HTTPS_PROXY as a URL, and takes \"http\" for the name of the proxy",
            ),
        ),
        (
            "http://proxy.corp:99999",
            Some("HTTPS_PROXY names the port \"99999\", which does not exist"),
        ),
    ];
    for (text, expected) in table {
        let said = misread(text);
        let fits = match (&said, expected) {
            (Some(said), Some(expected)) => said.starts_with(expected),
            (said, expected) => said.is_none() && expected.is_none(),
        };
        assert!(fits, "{text}: {said:?}");
    }
}

#[test]
fn which_variable_counts() {
    #[rustfmt::skip]
    let table: &[(Variables, &str, Option<&str>)] = &[
        (&[], "https", None),
        (&[("HTTP_PROXY", "upper")], "https", None),
        (&[("HTTPS_PROXY", "upper")], "http", None),
        (&[("HTTPS_PROXY", "upper"), ("https_proxy", "lower")], "https", Some("upper")),
        (&[("HTTPS_PROXY", ""), ("https_proxy", "lower")], "https", Some("lower")),
        (&[("http_proxy", "lower")], "http", Some("lower")),
        (&[("HTTPS_PROXY", "upper")], "ftp", None),
    ];
    for (variables, scheme, expected) in table {
        let rules = rules(variables);
        let proxy = rules.proxy_for(scheme, "contoso.azurecr.io", 443);
        assert_eq!(
            proxy.map(|proxy| &*proxy.host),
            *expected,
            "{variables:?} {scheme}"
        );
    }
}

#[test]
fn no_proxy() {
    let table = [
        // NO_PROXY, host, port, goes direct
        ("", "contoso.azurecr.io", 443, false),
        ("*", "contoso.azurecr.io", 443, true),
        ("example.com, *", "contoso.azurecr.io", 443, true),
        ("azurecr.io", "contoso.azurecr.io", 443, true),
        ("azurecr.io", "azurecr.io", 443, true),
        ("azurecr.io", "notazurecr.io", 443, false),
        (".azurecr.io", "contoso.azurecr.io", 443, true),
        (".azurecr.io", "azurecr.io", 443, false),
        ("*.azurecr.io", "contoso.azurecr.io", 443, true),
        ("*.azurecr.io", "azurecr.io", 443, false),
        ("con*.azurecr.io", "contoso.azurecr.io", 443, false),
        (" AzureCR.io ,other", "Contoso.azurecr.io", 443, true),
        ("azurecr.io:443", "contoso.azurecr.io", 443, true),
        ("azurecr.io:5000", "contoso.azurecr.io", 443, false),
        ("azurecr.io:", "contoso.azurecr.io", 443, true),
        ("azurecr.io:https", "contoso.azurecr.io", 443, false),
        ("azurecr.io.", "contoso.azurecr.io", 443, false),
        ("10.0.0.0/8", "10.240.1.4", 443, true),
        ("10.0.0.0/8", "::ffff:10.240.1.4", 443, true),
        ("10.0.0.0/8", "contoso.azurecr.io", 443, false),
        ("10.240.1.4", "10.240.1.4", 443, true),
        ("10.240.1.4:5000", "10.240.1.4", 443, false),
        ("fd00::/8", "fd00::4", 443, true),
        ("fd00::4", "fd00::4", 443, true),
        ("[fd00::4]:443", "fd00::4", 443, true),
        ("[fd00::4]:5000", "fd00::4", 443, false),
        (":443,,.", "contoso.azurecr.io", 443, false),
        ("", "localhost", 5000, true),
        ("", "127.0.0.1", 5000, true),
        ("", "::1", 5000, true),
        ("", "localhost.example", 5000, false),
    ];
    for (no_proxy, host, port, direct) in table {
        let rules = rules(&[("HTTPS_PROXY", "proxy.corp:3128"), ("NO_PROXY", no_proxy)]);
        assert_eq!(
            rules.proxy_for("https", host, port).is_none(),
            direct,
            "{no_proxy:?} {host}"
        );
    }
}

/// The name is not decoded; here it stands for a right-to-left mark.
#[test]
fn punycode_is_taken_as_it_is() {
    let rules = rules(&[("HTTPS_PROXY", "http://XN--A-YGN:3128")]);
    let proxy = rules.proxy_for("https", "contoso.azurecr.io", 443);
    assert_eq!(proxy.unwrap().to_string(), "http://xn--a-ygn:3128");
}

#[test]
fn credentials_are_kept_but_not_shown() {
    let rules = rules(&[("HTTPS_PROXY", "http://us%40er:sec%2Fret@proxy.corp:3128")]);
    let proxy = rules.proxy_for("https", "contoso.azurecr.io", 443).unwrap();
    let credentials = proxy.credentials.as_ref().unwrap();
    assert_eq!(
        (&*credentials.username, &*credentials.password),
        ("us@er", "sec/ret")
    );
    for shown in [
        format!("{proxy}"),
        format!("{proxy:?}"),
        format!("{rules:?}"),
    ] {
        assert!(
            !shown.contains("sec") && !shown.contains("us@er"),
            "{shown}"
        );
    }
}
