//! Registries with invalid images, and with blobs in other places.

use super::attack::{Attack, http};
use super::site::{CONFIG, LAYER, LAYER_SIZE, MANIFEST_TYPE, answer, digest, manifest_with};
use super::speech::say;

const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
const MANIFESTS: &str = "/v2/probe/hello/manifests/";
const BLOBS: &str = "/v2/probe/hello/blobs/";

pub(crate) fn attacks() -> Vec<Attack> {
    let manifest = |name: &str, reason, kind: &'static str, body: String| {
        http(name, "manifest", reason, MANIFESTS, {
            say(answer("200 OK", &[&format!("Content-Type: {kind}")], &body))
        })
    };
    let blob = |name: &str, reason, location: &'static str| {
        http(name, "blob", reason, BLOBS, {
            say(answer(
                "307 Elsewhere",
                &[&format!("Location: {location}")],
                "",
            ))
            .listen()
        })
    };
    let mut attacks = vec![
        http(
            "a manifest that never ends",
            "manifest",
            "too_large",
            MANIFESTS,
            {
                say(format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: {MANIFEST_TYPE}\r\n\r\n["
                ))
                .endless("{},")
            },
        ),
        http(
            "a manifest whose interim answers never end",
            "manifest",
            "too_large",
            MANIFESTS,
            say([]).endless("HTTP/1.1 102 Processing\r\n\r\n"),
        ),
        http(
            "a manifest of another digest",
            "manifest",
            "corrupt",
            MANIFESTS,
            {
                let other = format!("Docker-Content-Digest: {}", digest("another"));
                let kind = format!("Content-Type: {MANIFEST_TYPE}");
                say(answer("200 OK", &[&kind, &other], "{}"))
            },
        ),
        http(
            "a digest with a path in it",
            "manifest",
            "malformed",
            MANIFESTS,
            {
                let kind = format!("Content-Type: {MANIFEST_TYPE}");
                let digest = "Docker-Content-Digest: sha256:../../../etc/shadow";
                say(answer("200 OK", &[&kind, digest], "{}"))
            },
        ),
        manifest(
            "a manifest nested 100,000 deep",
            "malformed",
            MANIFEST_TYPE,
            format!(r#"{{"a":{}"#, "[".repeat(100_000)),
        ),
        manifest(
            "a blob of a negative size",
            "malformed",
            MANIFEST_TYPE,
            format!(r#"{{"config":{{"digest":"{}","size":-1}}}}"#, digest("a")),
        ),
        manifest(
            "a blob with a path for a digest",
            "malformed",
            MANIFEST_TYPE,
            r#"{"config":{"digest":"sha256:../../secrets","size":1}}"#.to_owned(),
        ),
        manifest("100,000 layers", "malformed", MANIFEST_TYPE, {
            let layer = r#"{"digest":"a","size":1},"#.repeat(100_000);
            format!(r#"{{"config":{{"digest":"a","size":1}},"layers":[{layer}]}}"#)
        }),
        manifest(
            "an index of 50,000 platforms",
            "platform_mismatch",
            INDEX_TYPE,
            {
                let one = |n| {
                    format!(
                        r#"{{"digest":"a","size":1,"platform":{{"os":"os{n}","architecture":"a"}}}}"#
                    )
                };
                let many: Vec<_> = (0..50_000).map(one).collect();
                format!(r#"{{"manifests":[{}]}}"#, many.join(","))
            },
        ),
        manifest(
            "an index of 20,000 manifests for the node",
            "corrupt",
            INDEX_TYPE,
            {
                let one = |n| {
                    format!(
                        r#"{{"mediaType":"{MANIFEST_TYPE}","digest":"sha256:{n:064x}","size":9}}"#
                    )
                };
                let many: Vec<_> = (0..20_000).map(one).collect();
                format!(r#"{{"manifests":[{}]}}"#, many.join(","))
            },
        ),
        manifest(
            "an index of nothing",
            "platform_mismatch",
            INDEX_TYPE,
            r#"{"manifests":[]}"#.to_owned(),
        ),
        manifest(
            "an index that is declared as a manifest",
            "malformed",
            MANIFEST_TYPE,
            r#"{"manifests":[]}"#.to_owned(),
        ),
        manifest("a manifest of schema 1", "malformed", MANIFEST_TYPE, {
            r#"{"fsLayers":[]}"#.to_owned()
        }),
        manifest(
            "a media type of control characters",
            "malformed",
            "\u{80}\u{9b}31m",
            // The client fetches such content from where layers are.
            " ".repeat(LAYER_SIZE),
        ),
        http(
            "a manifest that redirects to itself",
            "manifest",
            "too_many_redirects",
            MANIFESTS,
            say(answer("307 Again", &["Location: v1"], "")).listen(),
        ),
        http(
            "a manifest at a metadata service",
            "manifest",
            "not_followed",
            MANIFESTS,
            {
                say(answer(
                    "307 Elsewhere",
                    &["Location: http://169.254.169.254/"],
                    "",
                ))
                .listen()
            },
        ),
        http(
            "a manifest on the loopback",
            "manifest",
            "not_followed",
            MANIFESTS,
            say(answer(
                "307 Elsewhere",
                &["Location: https://127.0.0.1/"],
                "",
            ))
            .listen(),
        ),
        http(
            "a manifest on the link",
            "manifest",
            "not_followed",
            MANIFESTS,
            say(answer(
                "307 Elsewhere",
                &["Location: https://[fe80::1]/"],
                "",
            ))
            .listen(),
        ),
        http(
            "a manifest that wants its token in the clear",
            "manifest",
            "not_followed",
            MANIFESTS,
            {
                let clear = "Location: http://attacked.registry.example/v2/";
                say(answer("307 Elsewhere", &[clear], "")).listen()
            },
        ),
        blob(
            "a blob at a metadata service",
            "not_followed",
            "https://169.254.169.254/blob",
        ),
        blob(
            "a blob at a metadata service in plain HTTP",
            "not_followed",
            "http://169.254.169.254/",
        ),
        blob(
            "a blob on the loopback",
            "not_followed",
            "https://127.0.0.1/blob",
        ),
        blob(
            "a blob on the loopback in decimal",
            "not_followed",
            "https://2130706433/blob",
        ),
        blob(
            "a blob on the loopback, mapped",
            "not_followed",
            "https://[::ffff:7f00:1]/blob",
        ),
        blob(
            "a blob on the link",
            "not_followed",
            "https://[fe80::1]/blob",
        ),
        blob("a blob in a file", "malformed", "file:///etc/shadow"),
        blob(
            "a blob with a password",
            "not_followed",
            "https://a:b@attacked.registry.example/",
        ),
        blob(
            "a blob that redirects to itself",
            "too_many_redirects",
            "/v2/probe/hello/blobs/again",
        ),
        http(
            "a blob whose headers never end",
            "blob",
            "too_large",
            BLOBS,
            say("HTTP/1.1 206 Partial Content\r\n").endless("X-Filler: y\r\n"),
        ),
        http("a blob of nothing", "blob", "corrupt", BLOBS, {
            say(answer("206 Partial Content", &[], ""))
        }),
        http("a blob that never begins", "blob", "timeout", BLOBS, {
            say("HTTP/1.1 206 Partial Content\r\nContent-Length: 1\r\n\r\n").hang()
        }),
        // The configuration among them is read whole.
        http("a blob that never ends", "blob", "corrupt", BLOBS, {
            say("HTTP/1.1 200 OK\r\n\r\n").endless("x")
        }),
        http(
            "another configuration of the same length",
            "blob",
            "corrupt",
            BLOBS,
            say(answer("200 OK", &[], &"x".repeat(CONFIG.len()))).listen(),
        ),
        // The agent does not read so much, and does not say that it is wrong.
        http("a configuration of 5 GB", "blob", "none", MANIFESTS, {
            say(manifest_with(5_000_000_000)).listen()
        })
        .borne(),
    ];
    attacks.extend(unlike_heads());
    attacks.extend(layers());
    attacks
}

/// A layer that is downloaded, to see how fast it comes. That it is slow is no failure, but a finding.
fn layers() -> Vec<Attack> {
    let layer = |name: &str, reason, says| http(name, "blob", reason, LAYER, says);
    let whole = format!("HTTP/1.1 200 OK\r\nContent-Length: {LAYER_SIZE}\r\n\r\nx");
    let elsewhere = |name: &str, location: &str| {
        let location = format!("Location: {location}");
        layer(name, "not_followed", {
            say(answer("307 Elsewhere", &[&location], "")).listen()
        })
    };
    vec![
        layer("a layer that never ends", "none", {
            say("HTTP/1.1 200 OK\r\n\r\n").endless("x")
        })
        .borne(),
        layer("a layer of endless chunks", "none", {
            say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").endless("1\r\nx\r\n")
        })
        .borne(),
        layer("a layer of a chunk that never ends", "none", {
            say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffff\r\n")
                .endless("x")
        })
        .borne(),
        layer("a layer of a byte now and then", "none", {
            say(&*whole).drip("x")
        })
        .finds("SlowDownload"),
        layer("a layer that stops", "timeout", say(&*whole).hang()),
        layer("a layer that stops where it is measured", "none", {
            let begun = "x".repeat(4096);
            say(format!("{whole}{begun}")).hang()
        })
        .finds("SlowDownload"),
        layer("a layer that is cut off", "closed", say(&*whole)),
        layer("a layer of 9 exabytes", "corrupt", {
            say(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
                i64::MAX
            ))
            .endless("x")
        }),
        layer("a layer of a negative length", "malformed", {
            say("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nx").hang()
        }),
        layer("a part of another layer", "corrupt", {
            say("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-262143/5\r\n\r\n")
                .endless("x")
        }),
        elsewhere("a layer at a metadata service", "http://169.254.169.254/"),
        elsewhere("a layer on the loopback", "https://127.0.0.1/layer"),
        elsewhere("a layer on the link", "https://[fe80::1]/layer"),
    ]
}

/// What `HEAD` says of a manifest is not what `GET` brings.
fn unlike_heads() -> Vec<Attack> {
    const HEAD: &str = "HEAD /v2/probe/hello/manifests/";
    const GET: &str = "GET /v2/probe/hello/manifests/";
    let head = |name: &str, reason, headers: &[&str]| {
        let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
        http(name, "manifest", reason, HEAD, {
            say(format!("HTTP/1.1 200 OK\r\n{headers}\r\n")).listen()
        })
    };
    let get = |name: &str, reason, says| http(name, "manifest", reason, GET, says);
    let sound = manifest_with(CONFIG.len());
    let line = |name: &str| {
        let lines = sound.lines().find(|line| line.starts_with(name));
        lines.unwrap_or_default().to_owned()
    };
    let (kind, named, length) = (
        line("Content-Type"),
        line("Docker-Content-Digest"),
        line("Content-Length"),
    );
    let other = format!("Docker-Content-Digest: {}", digest("another"));
    vec![
        head(
            "a HEAD of another digest",
            "corrupt",
            &[&kind, &other, &length],
        ),
        head(
            "a HEAD of one byte",
            "corrupt",
            &[&kind, &named, "Content-Length: 1"],
        ),
        head(
            "a HEAD of an index",
            "malformed",
            &[&format!("Content-Type: {INDEX_TYPE}"), &named, &length],
        ),
        http(
            "a HEAD that hangs",
            "manifest",
            "timeout",
            HEAD,
            say("").hang(),
        ),
        get("a HEAD of what GET does not find", "not_found", {
            say(answer("404 Not Found", &[], "{}")).listen()
        }),
        get("a HEAD of what GET never ends", "corrupt", {
            say("HTTP/1.1 200 OK\r\n\r\n").endless("x")
        }),
        get("a HEAD of other bytes", "corrupt", {
            let size = length
                .trim_start_matches("Content-Length: ")
                .parse()
                .unwrap_or(0);
            say(answer("200 OK", &[&kind], &" ".repeat(size))).listen()
        }),
    ]
}
