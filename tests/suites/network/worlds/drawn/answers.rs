//! What servers say in place of what they should, in the words of scenarios.

use serde_json::{Value, json};

use super::draw::Draw;

/// Whatever a server may answer to any request.
pub(super) fn any(draw: &mut Draw) -> Value {
    match draw.number(0, 5) {
        0 | 1 => json!({"status": draw.one(&STATUSES)}),
        2 | 3 => json!(draw.one(&WRONG)),
        4 => json!(draw.one(&ODD_AND_FINE)),
        _ => with(draw, &HEADERS),
    }
}

/// What a token service may answer beside.
pub(super) fn of_token_service(draw: &mut Draw) -> Value {
    match draw.once_in(3) {
        true => any(draw),
        false => document(draw, "application/json", &TOKENS),
    }
}

/// What may be answered beside to a question for a manifest.
pub(super) fn of_manifest(draw: &mut Draw) -> Value {
    match draw.number(0, 3) {
        0 => any(draw),
        1 => json!({"to HEAD": any(draw)}),
        2 => json!({"to GET": any(draw)}),
        _ => {
            let media_type = draw.one(&MEDIA_TYPES);
            document(draw, media_type, &MANIFESTS)
        }
    }
}

/// What may be answered beside to a question for a blob.
pub(super) fn of_blob(draw: &mut Draw) -> Value {
    match draw.number(0, 5) {
        // What containerd does not ask for.
        0 => {
            let status = draw.one(&[204, 400, 401, 403, 404, 416, 429, 500, 501]);
            json!({"to a range": {"status": status}})
        }
        1 => {
            let faults = ["resets", "hangs up", "ends early", "hangs in the body"];
            json!({"to a range": draw.one(&faults)})
        }
        // Nobody sees by its start that a layer is damaged.
        2 => match any(draw) {
            answer if answer == json!("damaged") => json!({"to the last layer": "resets"}),
            answer => json!({"to the last layer": answer}),
        },
        _ => any(draw),
    }
}

/// Where a server may send its clients; `host` is its own.
pub(super) fn redirect(draw: &mut Draw, host: &str) -> Value {
    let own = format!("https://{host}/moved");
    let places = [
        "https://mirror.contoso.example",
        "http://mirror.contoso.example",
        "https://auth.contoso.example",
        "https://nowhere.contoso.example",
        "/moved",
        "moved/",
        "//mirror.contoso.example",
        "https://mirror.contoso.example:5000/cache",
        "ftp://mirror.contoso.example",
        &own,
    ];
    json!({"redirect to": draw.one(&places)})
}

fn document(draw: &mut Draw, media_type: &str, texts: &[&str]) -> Value {
    let status = match draw.once_in(6) {
        true => draw.one(&STATUSES),
        false => 200,
    };
    json!({"says": {"status": status, "type": media_type, "text": draw.one(texts)}})
}

fn with(draw: &mut Draw, headers: &[(&str, &str)]) -> Value {
    let (name, value) = draw.one(headers);
    json!({"with headers": {name: value}})
}

const STATUSES: [u16; 18] = [
    200, 201, 202, 204, 206, 400, 401, 403, 404, 405, 408, 416, 418, 429, 500, 502, 503, 504,
];

const WRONG: [&str; 15] = [
    "as the firewall",
    "throttled",
    "hangs",
    "hangs in the body",
    "hangs up",
    "resets",
    "garbage",
    "half of a JSON",
    "a page to log in",
    "a redirect away",
    "a redirect to itself",
    "ends early",
    "damaged",
    "a body without end",
    "headers without end",
];

const ODD_AND_FINE: [&str; 5] = [
    "in HTTP/1.0",
    "in chunks",
    "once a connection",
    "empty JSON",
    "as MCR",
];

/// They come before those that an answer has itself.
const HEADERS: [(&str, &str); 15] = [
    ("Content-Length", "5"),
    ("Content-Length", "99999"),
    ("Content-Length", "many"),
    ("Content-Type", "text/html"),
    ("Content-Type", "application/json; charset"),
    ("Content-Encoding", "gzip"),
    ("Content-Encoding", "br"),
    ("Transfer-Encoding", "identity"),
    ("Docker-Content-Digest", "sha256:0"),
    (
        "Docker-Content-Digest",
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    ),
    ("Connection", "close"),
    ("Retry-After", "soon"),
    ("Location", "https://nowhere.contoso.example/"),
    ("WWW-Authenticate", "Basic realm=\"Registry\""),
    ("Www-Authenticate", "Negotiate"),
];

const TOKENS: [&str; 14] = [
    r#"{"token": "TOKEN"}"#,
    r#"{"token": "", "access_token": "TOKEN"}"#,
    r#"{"token": "wrong", "access_token": "TOKEN"}"#,
    r#"{"access_token": "TOKEN", "expires_in": "60"}"#,
    r#"{"access_token": "TOKEN", "expires_in": 0.5}"#,
    r#"{"access_token": "TOKEN", "expires_in": -1}"#,
    r#"{"access_token": "TOKEN", "issued_at": "yesterday"}"#,
    r#"{"access_token": "TOKEN", "issued_at": "2020-01-01T00:00:00Z", "expires_in": 1}"#,
    r#"{"ACCESS_TOKEN": "TOKEN"}"#,
    r#"{"access_token": "TOKEN"} and more"#,
    r#"{"access_token": ["TOKEN"]}"#,
    r#"{"access_token": null}"#,
    "null",
    "",
];

const MEDIA_TYPES: [&str; 7] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
    "application/octet-stream",
    "text/plain; charset=utf-8",
];

const MANIFESTS: [&str; 9] = [
    "{}",
    "",
    "[]",
    r#"{"schemaVersion": 1, "fsLayers": []}"#,
    r#"{"schemaVersion": 2, "manifests": []}"#,
    r#"{"schemaVersion": 2, "manifests": null, "layers": []}"#,
    r#"{"schemaVersion": 2, "config": {}, "layers": []}"#,
    r#"{"schemaVersion": 2, "layers": [],
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "size": 2,
        "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}}"#,
    r#"{"schemaVersion": 2, "manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 2,
        "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}]}"#,
];
