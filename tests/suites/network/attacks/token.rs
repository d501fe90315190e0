//! Registries that redirect a client, and token services that return anything.

pub(crate) mod led;
pub(crate) mod metadata;

use super::attack::{Attack, http};
use super::site::{CHALLENGES, REALM, answer, bearer};
use super::speech::say;

pub(crate) fn attacks() -> Vec<Attack> {
    let mut attacks = challenges();
    attacks.extend(realms());
    attacks.extend(redirects());
    attacks.extend(tokens());
    attacks
}

fn challenges() -> Vec<Attack> {
    vec![
        challenge("a hundred challenges", None, {
            let many: Vec<_> = (0..100).map(|n| format!("Scheme{n} a=\"b\"")).collect();
            format!("{}, {}", many.join(", "), bearer(REALM))
        }),
        challenge("a hundred lines of challenges", None, {
            let many = "Negotiate\r\nWww-Authenticate: ".repeat(100);
            many + &bearer(REALM)
        }),
        challenge(
            "a parameter of a megabyte",
            Some(("challenge", "too_large")),
            format!("Bearer realm=\"https://{}/\"", "a".repeat(1 << 20)),
        ),
        challenge(
            "a parameter of 60,000 bytes",
            Some(("token", "malformed")),
            format!("Bearer realm=\"{}\"", "a".repeat(60_000)),
        ),
        challenge(
            "a quote that never closes",
            Some(("challenge", "no_challenge")),
            format!("Bearer realm=\"{REALM}"),
        ),
        challenge(
            "a backslash at the end",
            Some(("challenge", "no_challenge")),
            format!("Bearer realm=\"{REALM}\\"),
        ),
        challenge(
            "ten thousand commas",
            Some(("challenge", "no_challenge")),
            ", ".repeat(10_000),
        ),
        challenge(
            "ten thousand schemes",
            Some(("challenge", "no_challenge")),
            "a, ".repeat(10_000),
        ),
        challenge(
            "control characters",
            Some(("challenge", "malformed")),
            bearer("https://attacked.registry.example\x0b/"),
        ),
        challenge("no realm", Some(("challenge", "no_challenge")), {
            "Bearer service=\"a\"".to_owned()
        }),
    ]
}

/// Realms of a challenge.
fn realms() -> Vec<Attack> {
    [
        (
            "a realm of a metadata service",
            "https://169.254.169.254/token",
            "not_followed",
        ),
        (
            "a realm of Azure's wire server",
            "https://168.63.129.16/token",
            "not_followed",
        ),
        (
            "a realm on the loopback",
            "https://127.0.0.1/token",
            "not_followed",
        ),
        (
            "a realm on the loopback in decimal",
            "https://2130706433/token",
            "not_followed",
        ),
        (
            "a realm on the loopback in octal",
            "https://0177.0.0.1/token",
            "not_followed",
        ),
        (
            "a realm on the loopback in hexadecimal",
            "https://0x7f000001/token",
            "not_followed",
        ),
        (
            "a realm on the loopback in IPv6",
            "https://[::1]/token",
            "not_followed",
        ),
        (
            "a realm on the loopback, mapped",
            "https://[::ffff:127.0.0.1]/token",
            "not_followed",
        ),
        (
            "a realm of a metadata service, mapped",
            "https://[::ffff:169.254.169.254]/",
            "not_followed",
        ),
        (
            "a realm on the link",
            "https://[fe80::1]/token",
            "not_followed",
        ),
        (
            "a realm of no address",
            "https://0.0.0.0/token",
            "not_followed",
        ),
        (
            "a realm in plain HTTP",
            "http://attacked.registry.example/token",
            "not_followed",
        ),
        (
            "a realm with a password",
            "https://a:b@attacked.registry.example/",
            "not_followed",
        ),
        ("a realm of a file", "file:///etc/shadow", "malformed"),
        (
            "a realm of gopher",
            "gopher://127.0.0.1:6379/_FLUSHALL",
            "malformed",
        ),
        ("a realm that is no URL", "////", "malformed"),
        (
            "a realm of the wrong port",
            "https://attacked.registry.example:99999/",
            "malformed",
        ),
    ]
    .into_iter()
    .map(|(name, realm, reason)| challenge(name, Some(("token", reason)), bearer(realm)))
    .collect()
}

/// Redirects of `/v2/`.
fn redirects() -> Vec<Attack> {
    let to = |name: &str, reason, location: &'static str| {
        http(name, "challenge", reason, "/v2/", {
            say(answer("302 Found", &[&format!("Location: {location}")], "")).listen()
        })
    };
    vec![
        to("a redirect to itself", "too_many_redirects", "/v2/"),
        to(
            "a redirect to plain HTTP",
            "not_followed",
            "http://attacked.registry.example/v2/",
        ),
        to(
            "a redirect to a metadata service",
            "not_followed",
            "http://169.254.169.254/latest/",
        ),
        to(
            "a redirect to the loopback",
            "not_followed",
            "https://127.0.0.1/v2/",
        ),
        to(
            "a redirect to another port",
            "not_followed",
            "https://attacked.registry.example:22/",
        ),
        to(
            "a redirect with a password",
            "not_followed",
            "https://a:b@127.0.0.1/",
        ),
        to("a redirect to a file", "malformed", "file:///etc/shadow"),
        to(
            "a redirect to something that is not a URL",
            "malformed",
            "https://[::1/",
        ),
        to(
            "a redirect to a host of another name",
            "not_followed",
            "//169.254.169.254/",
        ),
    ]
}

fn tokens() -> Vec<Attack> {
    let token = |name: &str, reason, body: String| {
        http(name, "token", reason, "/token", {
            say(answer("200 OK", &[], &body)).listen()
        })
    };
    let json = |token: &str| format!(r#"{{"token":"{token}"}}"#);
    vec![
        token("ten megabytes of JSON", "too_large", {
            format!(r#"{{"token":"{}"}}"#, "a".repeat(10 << 20))
        }),
        token("JSON nested 30,000 deep", "malformed", {
            format!(r#"{{"a":{}{}}}"#, "[".repeat(30_000), "]".repeat(30_000))
        }),
        token("a token nested 30,000 deep", "malformed", {
            format!(r#"{{"token":{}"#, "{\"a\":".repeat(10_000))
        }),
        token("a token with a new line", "malformed", {
            r#"{"token":"a\r\nHost: evil.example"}"#.to_owned()
        }),
        token("a token with a zero byte", "malformed", {
            r#"{"token":"a\u0000"}"#.to_owned()
        }),
        // Go sends it, so the agent does.
        token("a token of letters beyond ASCII", "none", {
            r#"{"token":"ä"}"#.to_owned()
        })
        .borne(),
        token("a number as a token", "malformed", {
            r#"{"token":1234}"#.to_owned()
        }),
        token("a lifetime as text", "malformed", {
            r#"{"token":"a","expires_in":"3600"}"#.to_owned()
        }),
        token("a lifetime that overflows", "malformed", {
            r#"{"token":"a","expires_in":1e999}"#.to_owned()
        }),
        token("a list in place of an object", "malformed", {
            "[]".to_owned()
        }),
        token("bytes that are not UTF-8", "malformed", {
            "\u{fffd}\u{0}".to_owned()
        }),
        token("half an object", "malformed", {
            r#"{"token":"a""#.to_owned()
        }),
        http(
            "a huge token",
            "manifest",
            "too_large",
            "/token",
            say(answer("200 OK", &[], &json(&"a".repeat(60_000)))).listen(),
        )
        .borne(),
        http(
            "a token service that redirects to a metadata service",
            "token",
            "not_followed",
            "/token",
            {
                say(answer(
                    "307 Elsewhere",
                    &["Location: https://169.254.169.254/"],
                    "",
                ))
            },
        ),
        http(
            "a token whose headers never end",
            "token",
            "too_large",
            "/token",
            say("HTTP/1.1 200 OK\r\n").endless("X-Filler: y\r\n"),
        ),
        http(
            "a token that never ends",
            "token",
            "too_large",
            "/token",
            say("HTTP/1.1 200 OK\r\n\r\n{\"token\":\"").endless("a"),
        ),
        http(
            "a token one byte at a time",
            "token",
            "timeout",
            "/token",
            say("HTTP/1.1 200 OK\r\n\r\n").drip("{\"token\":\"a\""),
        ),
    ]
}

fn challenge(
    name: &str,
    expected: Option<(&'static str, &'static str)>,
    challenge: String,
) -> Attack {
    let says = {
        let challenge = format!("Www-Authenticate: {challenge}");
        say(answer("401 Unauthorized", &[&challenge], "")).listen()
    };
    match expected {
        Some((stage @ "token", reason)) => http(name, stage, reason, CHALLENGES, says),
        Some((stage, reason)) => http(name, stage, reason, "/v2/", says),
        None => http(name, "challenge", "none", CHALLENGES, says).borne(),
    }
}
