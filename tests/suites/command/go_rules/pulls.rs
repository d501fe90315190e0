//! What a pull meets: nameservers, challenges, redirects and documents of images; long because rustfmt gives each part
//! a line.

use std::net::SocketAddr;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use regprobe_probes::{ResolvConf, fuzz_support};
use serde_json::{Value, json};

use super::texts::{NOT_FOLLOWED, Rule, one, or_error, some, spoilt, text};

pub(super) const RULES: [Rule; 5] = [
    Rule {
        name: "redirects lead where Go's client goes, with the token where it sends it",
        rule: "redirects",
        make: redirects,
        ours: our_redirects,
    },
    Rule {
        name: "challenges are read as containerd reads them",
        rule: "challenge",
        make: challenge,
        ours: our_challenge,
    },
    Rule {
        name: "tokens are asked for where containerd asks",
        rule: "token_url",
        make: token_url,
        ours: our_token_url,
    },
    Rule {
        name: "documents of images are taken as containerd takes them",
        rule: "document",
        make: document,
        ours: our_document,
    },
    Rule {
        name: "nameservers are asked in the order of Go's resolver",
        rule: "lookup",
        make: lookup,
        ours: our_lookup,
    },
];

fn texts(input: &Value) -> Vec<String> {
    let items = input.as_array().into_iter().flatten();
    items.map(|item| text(item).to_owned()).collect()
}

fn number(input: &Value) -> usize {
    let number = input.as_u64().and_then(|number| number.try_into().ok());
    number.unwrap_or_default()
}

/// Without capitals, which are another host to Go, and without zones, which it writes and reads again for a token.
const HOSTS: [&str; 19] = [
    "contoso.azurecr.io",
    "contoso.azurecr.io",
    "contoso.azurecr.io:443",
    "contoso.azurecr.io:8443",
    "contoso.azurecr.io.",
    "eu.contoso.azurecr.io",
    "xcontoso.azurecr.io",
    "azurecr.io",
    "blob.example",
    "10.1.2.3",
    "10.1.2.3:5000",
    "0x7f.1",
    "2130706433",
    "[::1]",
    "[2001:db8:0::1]:443",
    "a_b.example",
    "user:secret@blob.example",
    "blob.example:",
    "",
];

const OF_LOCATIONS: [&str; 31] = [
    ":", "/", "@", "%", "%20", "%2e", "%zz", "?", "#", "[", "]", " ", "\\", "^", "|", "<", "\"",
    "`", "{", "ü", "_", "~", "!", "$", "&", "'", "*", "+", ";", "=", ".",
];

fn location(random: &mut StdRng) -> String {
    let host = one(random, &HOSTS);
    let place = match random.random_range(0..10) {
        0..4 => String::new(),
        4..8 => format!(
            "{}://{host}",
            one(random, &["https", "https", "http", "HTTPS", "ftp"])
        ),
        8 => format!("//{host}"),
        _ => one(random, &["https:", "mailto:", "///", "http:/", ":"]).to_owned(),
    };
    let path = some(
        random,
        4,
        &[
            "a",
            "b",
            "..",
            ".",
            "",
            "sha256:0a",
            "%41",
            "%2e%2e",
            "a b",
            "[",
            "(x)",
            "%c3%bc",
            "ü",
        ],
        "/",
    );
    let slash = one(random, &["/", "/", ""]);
    let query = one(
        random,
        &[
            "",
            "",
            "?",
            "?sig=a%2Fb%3D&se=2026",
            "?a;b",
            "?x=y z",
            "?filename*=UTF-8''x",
            "?a?b",
            "??",
        ],
    );
    let fragment = one(random, &["", "", "", "#f", "#%zz", "#"]);
    let location = [&place, slash, &path, query, fragment].concat();
    let location = match random.random_bool(0.5) {
        true => spoilt(random, location, &OF_LOCATIONS),
        false => location,
    };
    // A header has no space around its value.
    location.trim().to_owned()
}

fn redirects(random: &mut StdRng) -> Value {
    let answer = |random: &mut StdRng| {
        let statuses = [301, 302, 303, 307, 307, 307, 308, 300, 304, 401, 200];
        let status = statuses.choose(random).copied().unwrap_or(307);
        json!({"Status": status, "Location": location(random)})
    };
    let count = match random.random_range(0..10) {
        0 => random.random_range(9..12),
        _ => random.random_range(1..4),
    };
    let answers: Vec<_> = match random.random_bool(0.1) {
        true => vec![
            json!({"Status": 307, "Location": one(random, &["/a", "b", "?x", "//blob.example", "ftp://a/", ":"])});
            11
        ],
        false => (0..count).map(|_| answer(random)).collect(),
    };
    let host = one(
        random,
        &[
            "contoso.azurecr.io",
            "contoso.azurecr.io:8443",
            "10.1.2.3",
            "[2001:db8::1]",
        ],
    );
    json!({
        "Method": one(random, &["HEAD", "GET", "POST"]),
        "First": format!("https://{host}/v2/probe/hello/manifests/v1{}", one(random, &["", "?ns=docker.io"])),
        "Answers": answers,
    })
}

fn our_redirects(input: &Value) -> Vec<String> {
    let answers = input["Answers"].as_array().into_iter().flatten();
    let answers: Vec<_> = answers
        .map(|answer| {
            let status = answer["Status"]
                .as_u64()
                .and_then(|status| status.try_into().ok());
            (
                status.unwrap_or_default(),
                text(&answer["Location"]).as_bytes().to_vec(),
            )
        })
        .collect();
    let followed = fuzz_support::follow(text(&input["Method"]), text(&input["First"]), &answers);
    followed.unwrap_or_else(|| vec![NOT_FOLLOWED.to_owned()])
}

fn challenge(random: &mut StdRng) -> Value {
    let line = |random: &mut StdRng| {
        let scheme = one(
            random,
            &[
                "Bearer ",
                "Bearer ",
                "bearer ",
                "BASIC ",
                "Basic ",
                "Digest ",
                "Negotiate",
                "Bearer",
                "",
                "Bearer\t",
            ],
        );
        let parameter = |random: &mut StdRng| {
            let name = one(
                random,
                &[
                    "realm", "realm", "service", "scope", "error", "Realm", "SCOPE", "x", "",
                ],
            );
            let value = one(
                random,
                &[
                    "\"https://contoso.azurecr.io/oauth2/token\"",
                    "\"contoso.azurecr.io\"",
                    "\"repository:probe/hello:pull\"",
                    "\"a\\\"b\\\\\"",
                    "\"a,b=c\"",
                    "token",
                    "https://a",
                    "\"\"",
                    "",
                    "\"open",
                    "\"ü\\ü\"",
                    "insufficient_scope",
                ],
            );
            format!("{name}{}{value}", one(random, &["=", "=", "=", " = ", ""]))
        };
        let count = random.random_range(0..4);
        let parameters: Vec<_> = (0..count).map(|_| parameter(random)).collect();
        let line = format!(
            "{scheme}{}",
            parameters.join(one(random, &[",", ", ", " ,", " ", "\t,"]))
        );
        let line = spoilt(
            random,
            line,
            &["\"", ",", "=", " ", "\\", "a", "\t", "(", ";", "ü", "Basic"],
        );
        line.trim().to_owned()
    };
    let count = random.random_range(1..4);
    (0..count).map(|_| json!(line(random))).collect()
}

fn our_challenge(input: &Value) -> Vec<String> {
    let lines: Vec<_> = texts(input).into_iter().map(String::into_bytes).collect();
    or_error(fuzz_support::first_challenge(&lines))
}

fn token_url(random: &mut StdRng) -> Value {
    let realm = match random.random_bool(0.5) {
        true => location(random),
        false => {
            let host = one(random, &HOSTS);
            let query = some(
                random,
                3,
                &[
                    "account=a",
                    "service=x",
                    "b=%20+c",
                    "d;e=f",
                    "g=%zz",
                    "h",
                    "=i",
                    "scope=j",
                    "*=~",
                    "",
                ],
                "&",
            );
            spoilt(
                random,
                format!("https://{host}/oauth2/token?{query}"),
                &OF_LOCATIONS,
            )
        }
    };
    let scopes = ["repository:probe/hello:pull", "a b", "", "~*"];
    let count = random.random_range(1..=2);
    let scopes: Vec<_> = scopes.choose_multiple(random, count).collect();
    json!({
        "Realm": realm, "Service": one(random, &["contoso.azurecr.io", "", "a&b", "a;b"]), "Scopes": scopes,
    })
}

fn our_token_url(input: &Value) -> Vec<String> {
    let scopes = texts(&input["Scopes"]);
    match fuzz_support::token_url(text(&input["Realm"]), text(&input["Service"]), &scopes) {
        Ok(parts) => parts,
        Err(true) => vec![NOT_FOLLOWED.to_owned()],
        Err(false) => vec!["error".to_owned()],
    }
}

/// Mostly what belongs there.
fn value(random: &mut StdRng, usual: String) -> String {
    match random.random_bool(0.97) {
        true => usual,
        false => one(
            random,
            &[
                "null",
                "1",
                "-1",
                "1.5",
                "1e2",
                "-0",
                "9223372036854775808",
                "\"\"",
                "\"x\"",
                "true",
                "[]",
                "{}",
                "[1]",
                "[null]",
                "{\"a\":1}",
                "{\"a\":\"b\"}",
                "\"\\ud800\"",
                "[\"a\",\"b\"]",
                "\"2026-01-02T03:04:05Z\"",
                "nul",
                "01",
            ],
        )
        .to_owned(),
    }
}

/// An object of some of these fields.
fn fields(random: &mut StdRng, usual: Vec<(f64, &str, String)>) -> String {
    let mut fields = Vec::new();
    for (chance, name, usual) in usual {
        if !random.random_bool(chance) {
            continue;
        }
        let name = match random.random_range(0..40) {
            0 => name.to_uppercase(),
            1 => name.replace('s', "\u{17f}"),
            _ => name.to_owned(),
        };
        // Go decodes an object or a list into what an earlier one of its name left.
        let is_plain = !usual.starts_with(['{', '[']);
        if is_plain && random.random_bool(0.03) {
            fields.push(format!("\"{name}\":{}", value(random, usual.clone())));
        }
        fields.push(format!("\"{name}\":{}", value(random, usual)));
    }
    format!("{{{}}}", fields.join(one(random, &[",", ", "])))
}

fn list(random: &mut StdRng, most: usize, one: fn(&mut StdRng) -> String) -> String {
    let count = random.random_range(0..=most);
    let items: Vec<_> = (0..count)
        .map(|_| {
            let item = one(random);
            value(random, item)
        })
        .collect();
    format!("[{}]", items.join(","))
}

fn quoted(random: &mut StdRng, of: &[&str]) -> String {
    format!("\"{}\"", one(random, of))
}

fn digest(random: &mut StdRng) -> String {
    match random.random_range(0..40) {
        0 => format!("\"sha512:{}\"", "0a".repeat(64)),
        1 => format!("\"sha384:{}\"", "0a".repeat(48)),
        2 => quoted(
            random,
            &[
                "sha256:0A",
                "sha256:",
                "md5:d41d8cd98f00b204e9800998ecf8427e",
                "",
                "sha256:../..",
                "x",
            ],
        ),
        _ => format!("\"sha256:{:064x}\"", random.random_range(0..1000)),
    }
}

fn platform(random: &mut StdRng) -> String {
    let usual = vec![
        (
            0.95,
            "os",
            quoted(random, &["linux", "linux", "linux", "Linux", "windows", ""]),
        ),
        (
            0.95,
            "architecture",
            quoted(
                random,
                &[
                    "amd64", "amd64", "386", "arm64", "arm", "x86_64", "AMD64", "unknown", "",
                ],
            ),
        ),
        (
            0.2,
            "variant",
            quoted(random, &["", "v1", "v2", "v7", "v8"]),
        ),
        (0.05, "os.version", quoted(random, &["10.0.1"])),
        (
            0.1,
            "os.features",
            one(random, &["[]", "null", "[\"a\"]", "[\"\"]"]).to_owned(),
        ),
    ];
    fields(random, usual)
}

fn annotations(random: &mut StdRng) -> String {
    let usual = vec![
        (0.7, "a", "\"b\"".to_owned()),
        (0.3, "c", "\"d\"".to_owned()),
    ];
    fields(random, usual)
}

fn descriptor(random: &mut StdRng) -> String {
    let media_type = quoted(
        random,
        &[
            "application/vnd.oci.image.manifest.v1+json",
            "application/vnd.oci.image.layer.v1.tar+gzip",
            "application/vnd.oci.image.config.v1+json",
            "",
        ],
    );
    let usual = vec![
        (0.95, "mediaType", media_type),
        (0.98, "digest", digest(random)),
        (
            0.98,
            "size",
            one(random, &["0", "1", "4096", "5000000000"]).to_owned(),
        ),
        (0.6, "platform", platform(random)),
        (0.05, "urls", "[\"https://a\"]".to_owned()),
        (0.1, "annotations", annotations(random)),
        (
            0.05,
            "data",
            quoted(random, &["e30=", "e30", "", "e3\\n0=", "*"]),
        ),
        (0.05, "artifactType", "\"a\"".to_owned()),
    ];
    fields(random, usual)
}

fn history(random: &mut StdRng) -> String {
    let usual = vec![
        (0.5, "created", time(random)),
        (0.5, "created_by", "\"sh\"".to_owned()),
        (0.1, "author", "\"a\"".to_owned()),
        (0.1, "comment", "\"b\"".to_owned()),
        (0.2, "empty_layer", "true".to_owned()),
    ];
    fields(random, usual)
}

fn time(random: &mut StdRng) -> String {
    let usual = [
        "2026-01-02T03:04:05Z",
        "2026-01-02T03:04:05.1+01:00",
        "0001-01-01T00:00:00Z",
    ];
    match random.random_range(0..20) {
        0 => quoted(
            random,
            &[
                "",
                "2026-01-02",
                "2026-01-02 03:04:05Z",
                "9999-12-31T23:59:59Z",
            ],
        ),
        _ => quoted(random, &usual),
    }
}

fn settings(random: &mut StdRng) -> String {
    let usual = vec![
        (0.3, "User", "\"0\"".to_owned()),
        (0.2, "ExposedPorts", "{\"80/tcp\":{}}".to_owned()),
        (0.5, "Env", "[\"A=b\"]".to_owned()),
        (0.3, "Entrypoint", "null".to_owned()),
        (0.3, "Cmd", "[\"sh\"]".to_owned()),
        (0.1, "Volumes", "{\"/data\":{}}".to_owned()),
        (0.1, "WorkingDir", "\"/\"".to_owned()),
        (0.1, "Labels", annotations(random)),
        (0.1, "StopSignal", "\"TERM\"".to_owned()),
        (0.1, "ArgsEscaped", "true".to_owned()),
        (0.1, "Healthcheck", "{\"Test\":1}".to_owned()),
    ];
    fields(random, usual)
}

fn document(random: &mut StdRng) -> Value {
    let kind = one(random, &["index", "manifest", "config"]);
    let layers = random.random_range(0..3);
    let types = [
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "",
    ];
    let usual = match kind {
        "config" => {
            let unpacked = match random.random_bool(0.05) {
                true => "sha256:0a".to_owned(),
                false => format!("sha256:{}", "0a".repeat(32)),
            };
            let diff_ids = vec![format!("{unpacked:?}"); layers].join(",");
            let rootfs = vec![
                (0.9, "type", "\"layers\"".to_owned()),
                (0.95, "diff_ids", format!("[{diff_ids}]")),
            ];
            vec![
                (0.7, "created", time(random)),
                (0.1, "author", "\"a\"".to_owned()),
                (
                    0.95,
                    "architecture",
                    quoted(random, &["amd64", "amd64", "amd64", "386", "arm64"]),
                ),
                (
                    0.95,
                    "os",
                    quoted(random, &["linux", "linux", "linux", "windows"]),
                ),
                (0.1, "variant", quoted(random, &["", "v1", "v2"])),
                (0.7, "config", settings(random)),
                (0.98, "rootfs", fields(random, rootfs)),
                (0.5, "history", list(random, 2, history)),
                (0.05, "moby.buildkit.buildinfo.v1", "1".to_owned()),
            ]
        }
        kind => {
            let (here, there) = if kind == "index" {
                (0.97, 0.02)
            } else {
                (0.02, 0.97)
            };
            vec![
                (0.95, "schemaVersion", "2".to_owned()),
                (
                    0.7,
                    "mediaType",
                    quoted(
                        random,
                        if kind == "index" {
                            &types[..1]
                        } else {
                            &types[1..]
                        },
                    ),
                ),
                (0.02, "mediaType", quoted(random, &types)),
                (here, "manifests", list(random, 4, descriptor)),
                (there, "config", descriptor(random)),
                (there, "layers", list(random, 3, descriptor)),
                (0.02, "fsLayers", "[]".to_owned()),
                (0.05, "artifactType", "\"a\"".to_owned()),
                (0.05, "subject", descriptor(random)),
                (0.1, "annotations", annotations(random)),
            ]
        }
    };
    let mut body = fields(random, usual);
    if random.random_bool(0.1) {
        body = spoilt(
            random,
            body,
            &[
                "{", "}", "[", "]", "\"", ":", ",", "\\", " ", "\n", "0", "e",
            ],
        );
    }
    let mut body = body.into_bytes();
    if random.random_bool(0.02) && !body.is_empty() {
        let at = random.random_range(0..body.len());
        body[at] = 0xff;
    }
    json!({"Kind": kind, "Layers": layers, "Body": BASE64_STANDARD.encode(body)})
}

fn our_document(input: &Value) -> Vec<String> {
    let body = BASE64_STANDARD
        .decode(text(&input["Body"]))
        .unwrap_or_default();
    let layers = number(&input["Layers"]);
    or_error(fuzz_support::image_document(
        text(&input["Kind"]),
        &body,
        layers,
    ))
}

const FAULTS: [&str; 6] = [
    "timeout", "servfail", "refused", "lame", "nxdomain", "nodata",
];

fn lookup(random: &mut StdRng) -> Value {
    let host = one(
        random,
        &[
            "contoso.azurecr.io",
            "contoso.azurecr.io.",
            "contoso",
            "a.b",
            "_x",
            "-x",
            "1.2",
            "x..y",
        ],
    );
    let search = ["corp.example.", "svc.cluster.local.", "io."];
    let count = random.random_range(0..=2);
    let search: Vec<_> = search.choose_multiple(random, count).collect();
    let single = random.random_bool(0.7);
    let servers: Vec<_> = (0..random.random_range(1..=3))
        .map(|_| {
            let mut answers = serde_json::Map::new();
            if random.random_bool(0.15) {
                answers.insert(
                    "dial".to_owned(),
                    json!(one(random, &["unreachable", "prohibited"])),
                );
            }
            let bare = host.trim_end_matches('.');
            let names = search
                .iter()
                .map(|suffix| format!("{bare}.{suffix}"))
                .chain([format!("{bare}.")]);
            for name in names {
                let fault = one(random, &FAULTS);
                let said = |random: &mut StdRng| match random.random_bool(0.3) {
                    // Go asks for both families at once, and which fails first is not known.
                    true if single => one(random, &FAULTS).to_owned(),
                    _ => fault.to_owned(),
                };
                let addresses = ["10.1.2.3", "10.9.8.7", "10.4.4.4"];
                let count = random.random_range(1..=3);
                let found: Vec<_> = addresses.choose_multiple(random, count).copied().collect();
                let has_found = random.random_bool(0.3);
                let a = if has_found {
                    found.join(" ")
                } else {
                    said(random)
                };
                let aaaa = if has_found {
                    "nodata".to_owned()
                } else {
                    said(random)
                };
                answers.insert(format!("{name} A"), json!(a));
                answers.insert(format!("{name} AAAA"), json!(aaaa));
            }
            Value::Object(answers)
        })
        .collect();
    json!({
        "Host": host, "Servers": servers, "Search": search, "Ndots": random.random_range(0..4),
        "Attempts": random.random_range(1..=3), "Rotate": single && random.random_bool(0.5),
        "Offset": random.random_range(0..3), "Single": single,
    })
}

fn our_lookup(input: &Value) -> Vec<String> {
    let servers: Vec<_> = input["Servers"].as_array().into_iter().flatten().collect();
    let at = |number: u8| SocketAddr::from(([10, 0, 0, number], 53));
    let conf = ResolvConf {
        nameservers: (1..).map(at).take(servers.len()).collect(),
        search: texts(&input["Search"]),
        ndots: u32::try_from(number(&input["Ndots"])).unwrap_or_default(),
        attempts: u32::try_from(number(&input["Attempts"])).unwrap_or_default(),
        rotate: input["Rotate"] == true,
        single_request: input["Single"] == true,
        ..ResolvConf::default()
    };
    let said = |server: usize, name: &str, v6: bool| {
        let answers = servers[server];
        let key = format!("{name} {}", if v6 { "AAAA" } else { "A" });
        let said = answers.get("dial").unwrap_or_else(|| &answers[&key]);
        let faults = FAULTS.iter().chain(&["unreachable", "prohibited"]);
        match faults.copied().find(|fault| *said == **fault) {
            Some(fault) => Err(fault),
            None => Ok(text(said)
                .split(' ')
                .filter_map(|address| address.parse().ok())
                .collect()),
        }
    };
    fuzz_support::lookup(text(&input["Host"]), &conf, number(&input["Offset"]), said)
}
