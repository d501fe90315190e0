use std::{path::Path, time::Duration};

use hyper::header;

use super::*;

const REGISTRY: &str = "contoso.azurecr.io";

fn parsed(text: &str, release: &str) -> Result<Vec<RegistryHost>, HostsTomlError> {
    let dir = Path::new("/certs.d/contoso");
    parse(text, dir, REGISTRY, release.parse().unwrap()).map(|named| named.hosts)
}

fn hosts(text: &str) -> Vec<RegistryHost> {
    parsed(text, "2.4").unwrap()
}

fn error(text: &str) -> String {
    let error = parsed(text, "2.4").unwrap_err();
    error
        .to_string()
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// HostScheme, address, path and `?ns` of each host, in a line.
fn addresses(hosts: &[RegistryHost]) -> Vec<String> {
    let line = |host: &RegistryHost| {
        let ns = if host.needs_ns { "?ns" } else { "" };
        format!(
            "{:?} {}:{}{}{ns}",
            host.scheme, host.host, host.port, host.path
        )
    };
    hosts.iter().map(line).collect()
}

#[test]
fn hosts_in_the_order_of_the_file_then_the_server() {
    #[rustfmt::skip]
    let table: &[(&str, &[&str])] = &[
        ("", &["Https contoso.azurecr.io:443/v2"]),
        (
            r#"server = "https://contoso.azurecr.io""#,
            &["Https contoso.azurecr.io:443/v2"],
        ),
        (r#"server = "contoso.azurecr.io:443""#, &["Https contoso.azurecr.io:443/v2?ns"]),
        (
            r#"server = "https://other.azurecr.io/""#,
            &["Https other.azurecr.io:443/v2?ns"],
        ),
        (
            "[host.\"https://z.example\"]\n[host.\"https://z.example\".header]\nx = \"1\"\n[host.\"http://a.example:5000\"]",
            &[
                "Https z.example:443/v2?ns",
                "Http a.example:5000/v2?ns",
                "Https contoso.azurecr.io:443/v2",
            ],
        ),
        (
            "  [ host . 'https://only.a.header' . header ]\nx = \"1\"",
            &[
                "Https only.a.header:443/v2?ns",
                "Https contoso.azurecr.io:443/v2",
            ],
        ),
        (
            r#"host = { "https://inline.example" = {} }"#,
            &["Https contoso.azurecr.io:443/v2"],
        ),
        (
            r#"host."https://dotted.example".skip_verify = true"#,
            &["Https contoso.azurecr.io:443/v2"],
        ),
        ("unknown = 1\n[other.table]\n", &["Https contoso.azurecr.io:443/v2"]),
    ];
    for (text, expected) in table {
        assert_eq!(addresses(&hosts(text)), *expected, "{text}");
    }
}

#[test]
fn schemes_ports_and_paths() {
    #[rustfmt::skip]
    let table = [
        ("https://m.example", "", "Https m.example:443/v2?ns"),
        ("https://m.example:8443/v2/", "", "Https m.example:8443/v2?ns"),
        ("https://m.example/proxy", "", "Https m.example:443/proxy/v2?ns"),
        ("https://m.example//a/../b/", "override_path = true", "Https m.example:443/b?ns"),
        ("https://m.example", "override_path = true", "Https m.example:443?ns"),
        ("http://m.example", "", "Http m.example:80/v2?ns"),
        ("http://m.example:80", "skip_verify = true", "Http m.example:80/v2?ns"),
        ("http://m.example", "skip_verify = false", "HttpsThenHttp m.example:443/v2?ns"),
        ("http://m.example:5000", "ca = 'ca.pem'", "HttpsThenHttp m.example:5000/v2?ns"),
        ("https://[fd00::1]:5000", "", "Https fd00::1:5000/v2?ns"),
        ("https://user:pw@contoso.azurecr.io", "", "Https contoso.azurecr.io:443/v2"),
    ];
    for (url, fields, expected) in table {
        let hosts = hosts(&format!("[host.'{url}']\n{fields}"));
        assert_eq!(addresses(&hosts)[0], expected, "{url} {fields}");
    }
}

#[test]
fn the_registry_itself() {
    #[rustfmt::skip]
    let table = [
        ("contoso.azurecr.io", "Https contoso.azurecr.io:443/v2", false),
        ("registry.example:5000", "Https registry.example:5000/v2", false),
        ("docker.io", "Https registry-1.docker.io:443/v2", false),
        ("docker.io:443", "Https docker.io:443/v2", false),
        ("localhost", "Https localhost:443/v2", true),
        ("localhost:443", "Https localhost:443/v2", true),
        ("localhost:5000", "HttpsThenHttp localhost:5000/v2", true),
        ("127.0.0.1:80", "Http 127.0.0.1:80/v2", false),
        ("[::1]:5000", "HttpsThenHttp ::1:5000/v2", true),
        ("[::1]", "Https ::1:443/v2", false),
        ("[2001:db8::10]:5000", "Https 2001:db8::10:5000/v2", false),
    ];
    for (named, expected, skip_verify) in table {
        let upstream = RegistryHost::upstream(named, ContainerdRelease::NEWEST);
        assert_eq!(upstream.tls.skip_verify, skip_verify, "{named}");
        assert_eq!(addresses(&[upstream]), [expected]);
    }
}

#[test]
fn everything_a_host_can_say() {
    let text = r#"
        [host."https://m.example"]
        capabilities = ["Pull", "resolve"]
        ca = ["ca.pem", "/etc/ssl/corp.pem"]
        client = ["both.pem", ["client.cert", "client.key"], ["one.pem", ""]]
        skip_verify = true
        dial_timeout = "1m1.5s"
        header = { authorization = "Basic c2VjcmV0", x = ["a"], "not a name" = "c", y = "not\na value" }
    "#;
    let path = |name| Path::new("/certs.d/contoso").join(name);
    let expected = RegistryHost {
        scheme: HostScheme::Https,
        host: "m.example".to_owned(),
        port: 443,
        path: "/v2".to_owned(),
        capabilities: Capabilities {
            pull: true,
            resolve: true,
            push: false,
        },
        tls: TlsSettings {
            ca: vec![path("ca.pem"), path("/etc/ssl/corp.pem")],
            skip_verify: true,
            client: vec![
                ClientCertificate {
                    cert: path("both.pem"),
                    key: None,
                },
                ClientCertificate {
                    cert: path("client.cert"),
                    key: Some(path("client.key")),
                },
                ClientCertificate {
                    cert: path("one.pem"),
                    key: Some(Path::new("/certs.d/contoso").to_owned()),
                },
            ],
        },
        dial_timeout: Some(Duration::from_millis(61_500)),
        headers: HeaderMap::from_iter([
            (
                header::AUTHORIZATION,
                HeaderValue::from_static("Basic c2VjcmV0"),
            ),
            (HeaderName::from_static("x"), HeaderValue::from_static("a")),
        ]),
        has_own_client: true,
        needs_ns: true,
    };
    let host = hosts(text).swap_remove(0);
    assert_eq!(host, expected);
    assert!(!format!("{host:?}").contains("c2VjcmV0"));
}

#[test]
fn every_shape_of_client_certificates() {
    let path = |name: &str| Path::new("/certs.d/contoso").join(name);
    let certificate = |(cert, key): (&str, &str)| ClientCertificate {
        cert: path(cert),
        key: (!key.is_empty()).then(|| path(key)),
    };
    let table: &[(&str, &[(&str, &str)])] = &[
        ("'both.pem'", &[("both.pem", "")]),
        ("['a.pem']", &[("a.pem", "")]),
        ("['a.pem', 'b.pem']", &[("a.pem", ""), ("b.pem", "")]),
        ("[['a.crt', 'a.key']]", &[("a.crt", "a.key")]),
        (
            "[['a.crt', 'a.key'], 'b.pem']",
            &[("a.crt", "a.key"), ("b.pem", "")],
        ),
        ("[]", &[]),
    ];
    for (text, expected) in table {
        let host = hosts(&format!("[host.'https://m.example']\nclient = {text}")).swap_remove(0);
        let expected: Vec<_> = expected.iter().copied().map(certificate).collect();
        assert_eq!(host.tls.client, expected, "{text}");
    }
}

#[test]
fn the_default_server_keeps_the_trust_of_the_file_but_can_do_everything() {
    let server = hosts("capabilities = ['pull']\nca = 'ca.pem'").remove(0);
    assert_eq!(server.capabilities, Capabilities::ALL);
    assert_eq!(server.tls.ca, [Path::new("/certs.d/contoso/ca.pem")]);
}

#[test]
fn files_that_containerd_ignores() {
    #[rustfmt::skip]
    let table = [
        ("server = ", "decode hosts.toml: line 1: string values must be quoted, expected literal string"),
        ("\nserver = 1", "decode hosts.toml: line 2: invalid type: integer `1`, expected a string"),
        ("ca = 1", "decode hosts.toml: line 1: expected a string or an array"),
        ("client = [['a', 'b', 'c']]", "decode hosts.toml: line 1: expected a string or an array"),
        ("host = 1", "decode hosts.toml: line 1: invalid type: integer `1`, expected a map"),
        ("server = 'https://a b'", "parse server \"https://a b\""),
        ("capabilities = ['fly']", "use unknown capability \"fly\""),
        ("dial_timeout = '5'", "parse dial_timeout \"5\""),
    ];
    for (text, expected) in table {
        assert_eq!(error(text), expected, "{text}");
    }
    let deep = format!("a = {}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(error(&deep).starts_with("decode hosts.toml"));
}

#[test]
fn a_host_that_nobody_can_ask_is_passed_over() {
    let dir = Path::new("/certs.d/contoso");
    for server in [
        "https://",
        "https://CONTOSO.é",
        "httpx://m.example",
        "https://m.example:65536",
        "https://m<.example",
    ] {
        let text =
            format!("server = 'https://a.example'\n[host.'{server}']\n[host.'https://b.example']");
        let named = parse(&text, dir, REGISTRY, ContainerdRelease::NEWEST).unwrap();
        assert_eq!(
            addresses(&named.hosts),
            ["Https b.example:443/v2?ns", "Https a.example:443/v2?ns"],
        );
        assert_eq!(named.passed_over.as_deref(), Some(server));
    }
}

#[test]
fn what_releases_make_of_plain_http() {
    let mirror = "[host.'http://m.example:5000']\nskip_verify = true";
    for (release, of_mirror, local, bare) in [
        ("1.6.20", "Http", "Http", "Http localhost:80/v2"),
        (
            "1.6.25",
            "HttpsThenHttp",
            "HttpsThenHttp",
            "Https localhost:443/v2",
        ),
        ("1.7.6", "Http", "Http", "Http localhost:80/v2"),
        (
            "1.7.7",
            "HttpsThenHttp",
            "HttpsThenHttp",
            "Https localhost:443/v2",
        ),
        (
            "2.4",
            "HttpsThenHttp",
            "HttpsThenHttp",
            "Https localhost:443/v2",
        ),
    ] {
        let hosts = parsed(mirror, release).unwrap();
        let expected = format!("{of_mirror} m.example:5000/v2?ns");
        assert_eq!(addresses(&hosts)[0], expected, "{release}");
        let upstream = |named| RegistryHost::upstream(named, release.parse().unwrap());
        let with_port = upstream("localhost:5000");
        assert_eq!(
            addresses(&[with_port]),
            [format!("{local} localhost:5000/v2")]
        );
        assert_eq!(addresses(&[upstream("localhost")]), [bare], "{release}");
    }
}

#[test]
fn what_older_releases_do_not_know() {
    let host = |fields: &str| format!("[host.'https://m.example']\n{fields}");
    let limit = host("dial_timeout = '2s'");
    for (release, known) in [("2.0.5", None), ("2.1", Some(Duration::from_secs(2)))] {
        let limited = parsed(&limit, release).unwrap().remove(0);
        assert_eq!(limited.dial_timeout, known, "{release}");
        assert_eq!(limited.has_own_client, known.is_some(), "{release}");
    }
    let number = host("dial_timeout = 5");
    assert!(parsed(&number, "1.7").is_ok() && parsed(&number, "2.1").is_err());
    let header = parsed(&host("header = { x = 'a' }"), "2.0").unwrap();
    assert!(!header[0].has_own_client && header[0].headers.len() == 1);
    let referrers = host("capabilities = ['pull', 'referrers']");
    assert!(parsed(&referrers, "2.1").is_err() && parsed(&referrers, "2.2").is_ok());
    let server = "server = 'https://other.example'";
    assert_eq!(parsed(server, "1.7"), Err(HostsTomlError::NoHost));
    assert!(parsed(server, "2.0").is_ok());
}
