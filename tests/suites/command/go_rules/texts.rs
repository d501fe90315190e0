//! Texts that Go reads: URLs, proxies and their exceptions, resolv.conf, answers with a token. Each is put together from
//! parts that mean something to its rule, and then often spoilt; long because rustfmt gives each part a line.

use anyhow::{Context, Result, ensure};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use regprobe_probes::{ResolvConf, fuzz_support};
use serde_json::{Value, json};

use super::{ask, number, seed};

const INPUTS: usize = 3000;
/// Of a URL, says the Go program.
const STRANGE: &str = "strange";
pub(super) const NOT_FOLLOWED: &str = "not followed";

/// A rule, and who says what it makes of an input.
pub(super) struct Rule {
    pub(super) name: &'static str,
    /// For the Go program.
    pub(super) rule: &'static str,
    pub(super) make: fn(&mut StdRng) -> Value,
    pub(super) ours: fn(&Value) -> Vec<String>,
}

pub(super) const RULES: [Rule; 4] = [
    Rule {
        name: "URLs are read as Go reads them",
        rule: "url",
        make: |random| json!(url(random)),
        ours: |input| or_error(fuzz_support::go_url(text(input)).map(Vec::from)),
    },
    Rule {
        name: "a proxy is chosen as Go chooses it",
        rule: "proxy",
        make: proxy,
        ours: our_proxy,
    },
    Rule {
        name: "resolv.conf is read as Go reads it",
        rule: "resolv_conf",
        make: resolv_conf,
        ours: our_resolv_conf,
    },
    Rule {
        name: "a token is taken as containerd takes it",
        rule: "token",
        make: token,
        ours: our_token,
    },
];

pub(super) fn compare(rule: &Rule) -> Result<()> {
    let count = number("REGPROBE_INPUTS")?.map_or(Ok(INPUTS), usize::try_from)?;
    let (seed, mut random) = seed()?;
    println!("{}: seed {seed}, {count} inputs", rule.rule);
    let inputs: Vec<_> = (0..count).map(|_| (rule.make)(&mut random)).collect();
    let said = ask("rules", &[rule.rule], inputs.iter().cloned())?;
    ensure!(
        said.lines().count() == count,
        "{} answers",
        said.lines().count()
    );
    let mut errors = 0;
    let mut different = Vec::new();
    for (input, by_go) in inputs.iter().zip(said.lines()) {
        let by_go: Vec<String> = serde_json::from_str(by_go)?;
        let ours = (rule.ours)(input);
        errors += usize::from(by_go == ["error"]);
        if !agree(&ours, &by_go) {
            different.push(format!("{input}\n  {ours:?}\n  Go: {by_go:?}"));
        }
    }
    println!("{}: Go refuses {errors} of them", rule.rule);
    let first = different.iter().take(10).map(String::as_str);
    ensure!(
        different.is_empty(),
        "{} of {count} differ, seed {seed}:\n{}",
        different.len(),
        first.collect::<Vec<_>>().join("\n")
    );
    Ok(())
}

/// What only Go's URLs can express need not be followed.
fn agree(ours: &[String], by_go: &[String]) -> bool {
    match by_go.split_first() {
        Some((first, by_go)) if first == STRANGE => ours == [NOT_FOLLOWED] || ours == by_go,
        _ => ours == by_go,
    }
}

pub(super) fn text(input: &Value) -> &str {
    input.as_str().unwrap_or_default()
}

pub(super) fn or_error(answer: Option<Vec<String>>) -> Vec<String> {
    answer.unwrap_or_else(|| vec!["error".to_owned()])
}

pub(super) fn one<'a>(random: &mut StdRng, of: &[&'a str]) -> &'a str {
    of.choose(random).copied().unwrap_or_default()
}

/// Some of these, one after the other.
pub(super) fn some(random: &mut StdRng, most: usize, of: &[&str], between: &str) -> String {
    let count = random.random_range(0..=most);
    let chosen: Vec<_> = (0..count).map(|_| one(random, of)).collect();
    chosen.join(between)
}

/// Now and then a character is put in, taken out or replaced.
pub(super) fn spoilt(random: &mut StdRng, text: String, by: &[&str]) -> String {
    let mut characters: Vec<String> = text.chars().map(String::from).collect();
    while random.random_bool(0.3) {
        let at = random.random_range(0..=characters.len());
        let other = one(random, by).to_owned();
        match random.random_range(0..3) {
            0 => characters.insert(at, other),
            1 if at < characters.len() => drop(characters.remove(at)),
            _ if at < characters.len() => characters[at] = other,
            _ => {}
        }
    }
    characters.concat()
}

const OF_URLS: [&str; 40] = [
    ":", "/", "@", "%", "%20", "%41", "%c3%bc", "%zz", "%2", "?", "#", "[", "]", " ", "\t", "\n",
    "\u{7f}", "\\", "^", "|", "<", ">", "\"", "`", "{", "ü", "_", "~", "!", "$", "&", "'", "(",
    "*", "+", ",", ";", "=", ".", "A",
];

fn url(random: &mut StdRng) -> String {
    let scheme = one(
        random,
        &[
            "http://",
            "https://",
            "HTTPS://",
            "socks5://",
            "socks://",
            "//",
            "",
            "http:",
            "1http://",
            "a+b.c-://",
        ],
    );
    let user = one(
        random,
        &[
            "",
            "",
            "",
            "user@",
            "user:pass@",
            "us%40er:p%3ass@",
            ":@",
            "@",
            "a:b:c@",
            "%@",
        ],
    );
    let host = one(
        random,
        &[
            "proxy",
            "Proxy.Example",
            "10.0.0.1",
            "[::1]",
            "[fe80::1%25eth0]",
            "[fe80::1%eth0]",
            "[::ffff:10.0.0.1]",
            "[10.0.0.1]",
            "",
            "a_b",
            "pro%c3%bcfer",
            "prüfer",
            "[::1",
            "::1",
            "a]",
        ],
    );
    let port = one(
        random,
        &[
            "", "", ":", ":3128", ":0", ":99999", ":port", ":-1", ":+1", ":1:2",
        ],
    );
    let rest = one(
        random,
        &[
            "",
            "",
            "/",
            "/v2/?a=b#c",
            "?q",
            "#f",
            "/%zz",
            "/a b",
            "?%zz",
            "#%zz",
        ],
    );
    spoilt(random, [scheme, user, host, port, rest].concat(), &OF_URLS)
}

fn proxy(random: &mut StdRng) -> Value {
    let entry = |random: &mut StdRng| {
        let entry = one(
            random,
            &[
                "*",
                "contoso.azurecr.io",
                ".azurecr.io",
                "*.azurecr.io",
                "azurecr.io",
                "AZURECR.io",
                "cr.io",
                "contoso.azurecr.io:443",
                ".azurecr.io:8443",
                "10.0.0.0/8",
                "10.1.2.3",
                "10.1.2.3:443",
                "10.1.2.3/33",
                "::/0",
                "2001:db8::1",
                "[2001:db8::1]",
                "[2001:db8::1]:443",
                "::ffff:10.1.2.3",
                "::ffff:10.0.0.0/104",
                "",
                " ",
                ".",
                "*.",
                ":443",
                "io",
                "localhost",
                "prüfer.example",
                "xn--prfer-kva.example",
                "10.1.2.3:",
                "contoso.azurecr.io:https",
                "010.1.2.3",
            ],
        );
        spoilt(
            random,
            entry.to_owned(),
            &[
                ".", ":", "*", " ", "/", "[", "]", "a", "1", ",", "%", "\t", "ü",
            ],
        )
    };
    let no_proxy: Vec<_> = (0..random.random_range(0..4))
        .map(|_| entry(random))
        .collect();
    let between = one(random, &[",", ", ", " ", ","]);
    let host = one(
        random,
        &[
            "contoso.azurecr.io",
            "CONTOSO.azurecr.io",
            "azurecr.io",
            "xazurecr.io",
            "10.1.2.3",
            "[2001:db8::1]",
            "[::ffff:10.1.2.3]",
            "localhost",
            "127.0.0.9",
            "[::1]",
            "xn--prfer-kva.example",
            "localhost.",
            "a.localhost",
            "contoso.azurecr.io.",
        ],
    );
    let port = one(random, &["", ":443", ":80", ":8443"]);
    let scheme = one(random, &["https", "https", "http"]);
    let variable = |random: &mut StdRng| match random.random_range(0..3) {
        0 => String::new(),
        1 => "http://proxy.example:3128".to_owned(),
        _ => url(random),
    };
    json!({
        "HTTP": variable(random), "HTTPS": variable(random), "NoProxy": no_proxy.join(between),
        "URL": format!("{scheme}://{host}{port}/"),
    })
}

fn our_proxy(input: &Value) -> Vec<String> {
    let [http, https, no_proxy, url] =
        ["HTTP", "HTTPS", "NoProxy", "URL"].map(|name| text(&input[name]));
    let environment = |name: &str| match name {
        "HTTP_PROXY" => Some(http.to_owned()),
        "HTTPS_PROXY" => Some(https.to_owned()),
        "NO_PROXY" => Some(no_proxy.to_owned()),
        _ => None,
    };
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    let rest = rest.trim_end_matches('/');
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (rest, if scheme == "http" { "80" } else { "443" }),
    };
    let host = host.trim_matches(['[', ']']);
    let port = port.parse().unwrap_or_default();
    match fuzz_support::proxy_for(environment, scheme, host, port) {
        Some(mut proxy) => {
            proxy[3] = proxy[3].to_lowercase();
            proxy[4] = proxy[4].trim_start_matches('0').to_owned();
            Vec::from(proxy)
        }
        None => vec!["direct".to_owned()],
    }
}

fn resolv_conf(random: &mut StdRng) -> Value {
    let line = |random: &mut StdRng| {
        let keyword = one(
            random,
            &[
                "nameserver",
                "search",
                "domain",
                "options",
                "lookup",
                "sortlist",
                "#nameserver",
                ";",
                "NAMESERVER",
            ],
        );
        let values = match keyword {
            "nameserver" => some(
                random,
                2,
                &[
                    "10.0.0.1",
                    "10.0.0.2",
                    "168.63.129.16",
                    "::1",
                    "2001:db8::53",
                    "fe80::1%2",
                    "::ffff:1.2.3.4",
                    "010.0.0.1",
                    "1.2.3",
                    "dns",
                    "10.0.0.1:53",
                ],
                " ",
            ),
            "options" => some(
                random,
                4,
                &[
                    "ndots:5",
                    "ndots:0",
                    "ndots:-1",
                    "ndots:16",
                    "ndots:x",
                    "ndots:",
                    "ndots",
                    "timeout:1",
                    "timeout:0",
                    "timeout:30",
                    "timeout:-3",
                    "attempts:3",
                    "attempts:0",
                    "attempts:99999999999999999999",
                    "rotate",
                    "use-vc",
                    "usevc",
                    "tcp",
                    "single-request",
                    "single-request-reopen",
                    "edns0",
                    "trust-ad",
                    "no-reload",
                    "rotate:1",
                    "ndots:2x",
                    "ndots:+2",
                    "Rotate",
                ],
                " ",
            ),
            _ => some(
                random,
                3,
                &[
                    "a.example",
                    "b.example.",
                    ".",
                    "svc.cluster.local",
                    "x.onion",
                    "c",
                    "a..b",
                    "-",
                    "#",
                    "A.Example",
                ],
                " ",
            ),
        };
        let space = one(random, &[" ", " ", "\t", "  ", ""]);
        let end = one(random, &["\n", "\n", "\r\n", " # why\n", "\n\n"]);
        [keyword, space, &values, end].concat()
    };
    let lines: String = (0..random.random_range(0..6))
        .map(|_| line(random))
        .collect();
    // The agent does not ask for names beyond printable ASCII, which Go puts into a question as they are.
    let conf = spoilt(
        random,
        lines,
        &[" ", "\t", "\n", "\r", ":", ".", "#", ";", "0", "a", "-"],
    );
    let host = one(
        random,
        &[
            "contoso.azurecr.io",
            "contoso.azurecr.io.",
            "contoso",
            "hidden.onion",
            "a.b.c.d.e.f",
            "x.ONION",
            "onion",
        ],
    );
    json!({"Conf": conf, "Host": host})
}

fn our_resolv_conf(input: &Value) -> Vec<String> {
    let conf = ResolvConf::parse(text(&input["Conf"]), |_| None);
    let mut servers: Vec<_> = conf
        .nameservers
        .iter()
        .map(|server| server.ip().to_string())
        .collect();
    if servers.is_empty() {
        // The caller asks this host, as Go does.
        servers = ["127.0.0.1", "::1"].map(str::to_owned).to_vec();
    }
    let ResolvConf {
        ndots,
        timeout,
        attempts,
        rotate,
        use_vc,
        single_request,
        ..
    } = &conf;
    vec![
        servers.join(" "),
        conf.search.join(" "),
        format!(
            "{ndots} {} {attempts} {rotate} {use_vc} {single_request}",
            timeout.as_secs()
        ),
        conf.names(text(&input["Host"])).join(" "),
    ]
}

fn token(random: &mut StdRng) -> Value {
    let value = |random: &mut StdRng| {
        one(
            random,
            &[
                "\"secret\"",
                "\"other\"",
                "\"\"",
                "null",
                "1",
                "-0",
                "3600",
                "3600.0",
                "1e3",
                "9223372036854775808",
                "true",
                "[]",
                "{}",
                "\"2026-01-02T03:04:05Z\"",
                "\"2026-01-02T03:04:05.123456789+01:00\"",
                "\"2026-01-02t03:04:05z\"",
                "\"2026-02-30T03:04:05Z\"",
                "\"2026-01-02 03:04:05Z\"",
                "\"\\u0041\\ud83d\\ude00\"",
                "\"\\ud800\"",
                "\"\\ud800x\"",
                "\"\\q\"",
                "\"a\u{1}\"",
                "\"ü\"",
                "[[[[]]]]",
                "{\"token\":\"inner\"}",
                "01",
                "-",
                "nul",
                "\"2026-01-02T24:00:00Z\"",
                "\"2026-01-02T03:04:60Z\"",
                "\"2026-01-02T3:04:05Z\"",
                "\"2026-01-02T03:04:05+25:00\"",
                "\"2026-01-02T03:04:05,5Z\"",
                "\"10000-01-02T03:04:05Z\"",
            ],
        )
    };
    let field = |random: &mut StdRng| {
        let name = one(
            random,
            &[
                "token",
                "access_token",
                "expires_in",
                "issued_at",
                "refresh_token",
                "Token",
                "ACCESS_TOKEN",
                "acce\u{17f}s_token",
                "to\u{212a}en",
                "scope",
                "",
                "to\\u006ben",
                "token\\ud800",
            ],
        );
        format!("\"{name}\":{}", value(random))
    };
    let fields: Vec<_> = (0..random.random_range(0..5))
        .map(|_| field(random))
        .collect();
    let object = format!("{{{}}}", fields.join(","));
    let body = match random.random_range(0..20) {
        0 => value(random).to_owned(),
        1 => object + "trailing",
        2 => object.clone() + &object,
        3 => format!("\u{feff}{object}"),
        4 => format!(" \r\n\t{object} "),
        5 => format!(
            "{{\"deep\":{}1{},{}",
            "[".repeat(200),
            "]".repeat(200),
            &object[1..]
        ),
        _ => object,
    };
    let body = spoilt(
        random,
        body,
        &[
            "{", "}", "[", "]", "\"", ":", ",", "\\", " ", "\n", "0", "e",
        ],
    );
    let mut body = body.into_bytes();
    if random.random_bool(0.05) && !body.is_empty() {
        let at = random.random_range(0..body.len());
        body[at] = 0xff;
    }
    json!(base64::Engine::encode(
        &base64::prelude::BASE64_STANDARD,
        body
    ))
}

fn our_token(input: &Value) -> Vec<String> {
    let body = base64::Engine::decode(&base64::prelude::BASE64_STANDARD, text(input));
    let granted = body
        .context("it is ours")
        .ok()
        .and_then(|body| fuzz_support::token(&body));
    or_error(granted.map(|token| vec![token]))
}
