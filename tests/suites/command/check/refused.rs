//! Command lines and files that are rejected.

use std::fs;

use anyhow::{Result, ensure};
use regprobe_harness::node::Node;
use regprobe_harness::suite::{Test, test};

use super::stderr;

pub(super) fn unreadable_config() -> Result<()> {
    for (config, place) in [
        (
            "registries:\n  - server: contoso.azurecr.io\n    regions: [west europe\n",
            "line 4",
        ),
        (
            "registries:\n  - server: contoso.azurecr.io\n    private: 10.0.0.0/33\n",
            "line 3",
        ),
        (
            "registries:\n  - server: contoso.azurecr.io\nnod: {}\n",
            "line 3",
        ),
    ] {
        let node = Node::asking([])?;
        fs::write(node.path("broken.yml"), config)?;
        let out = node
            .regprobe(["check", "--config.file"])
            .arg(node.path("broken.yml"))
            .output()?;
        ensure!(out.status.code() == Some(2), "{out:?}");
        ensure!(
            stderr(&out).contains("broken.yml: ") && stderr(&out).contains(place),
            "{out:?}"
        );
        ensure!(out.stdout.is_empty(), "{out:?}");
    }
    Ok(())
}

pub(super) fn unused_settings() -> Result<()> {
    let node = Node::asking([])?;
    let config = node.configure(&["{server: contoso.azurecr.io}".to_owned()])?;
    for (arguments, flag) in [
        (&["check", "--private"][..], "--private"),
        (&["check", "contoso", "--region=westeurope"], "--region"),
        (&["check", "--image=probe/hello:v1"], "--image"),
        (&["check", "--managed-identity"], "--managed-identity"),
        (&["check", "--azure-json"], "--azure-json"),
    ] {
        let mut check = node.regprobe(arguments);
        let out = check.arg("--config.file").arg(&config).output()?;
        let expected = format!("regprobe: {flag} is only for registries named on the command line");
        ensure!(
            out.status.code() == Some(2) && stderr(&out).starts_with(&expected),
            "{out:?}"
        );
    }
    Ok(())
}

/// What is typed, and part of the answer.
pub(super) const BAD_USAGES: &[(&[&str], &str)] = &[
    (&["check", ""], "the server is empty; write one, such as"),
    (&["check", "not a name"], "is not a host name"),
    (&["check", "con\u{f6}toso"], "is not a host name"),
    (
        &["check", "contoso", "contoso.azurecr.io"],
        "is listed twice",
    ),
    (&["check", "contoso:99999"], "has no valid port"),
    (
        &["check", "contoso.azurecr.io/probe/hello:v1"],
        "write only the server, not the image",
    ),
    (&["check", "ftp://contoso.azurecr.io"], "ftp"),
    (&["check", "--", "--help"], "is not a host name"),
    (
        &["check", "--config.file=/nonexistent"],
        "/nonexistent: cannot read the file",
    ),
    (&["check", "--config.file=/"], "/: cannot read the file"),
    (
        &["check", "contoso", "--ca-file=/nonexistent"],
        "cannot read CA file /nonexistent: No such file or directory (os error 2); check the path",
    ),
    (
        &["check", "contoso", "--ca-file=/dev/null"],
        "cannot read CA file /dev/null: not a regular file",
    ),
    (
        &["check", "contoso", "--ca-file=/etc/hosts"],
        "no PEM certificate in CA file /etc/hosts; name one",
    ),
    (
        &["check", "contoso", "--only=fabrikam"],
        "no registry matches --only=fabrikam; there are: contoso.azurecr.io",
    ),
    (&["check", "contoso", "--only"], "a value is required"),
    (&["check", "contoso", "--private=10.0.0.1/8"], "10.0.0.1/8"),
    (
        &["check", "contoso", "--private=10.0.0.0/8,"],
        "is not an address range",
    ),
    (
        &["check", "contoso", "--region=West Europe"],
        "is not a region's name",
    ),
    (
        &["check", "registry.example", "--region=westeurope"],
        "--region is only for Azure Container Registries, and registry.example is none; list its data hosts",
    ),
    (
        &["check", "user:hunter2@contoso.azurecr.io"],
        "regprobe: write the server without user and password",
    ),
    (
        &["check", "\u{1b}]0;owned\u{7}\u{202e}"],
        r#""\u{1b}]0;owned\u{7}\u{202e}" is not a host name"#,
    ),
    (
        &["check", "--output=\u{1b}]0;owned\u{7}\u{202e}"],
        r"\u{202e}' for '--output <OUTPUT>'",
    ),
    (
        &["check", "--config.file=/\u{1b}[2J\u{202e}"],
        r"/\u{1b}[2J\u{202e}: cannot read the file",
    ),
    (
        &[
            "check",
            "registry.example",
            "--image=a:v1",
            "--managed-identity",
        ],
        "--azure-json are only for Azure Container Registries, and registry.example is none",
    ),
    (
        &["check", "contoso", "--managed-identity"],
        "credentials are offered for images alone; name one with --image",
    ),
    (
        &[
            "check",
            "contoso",
            "--image=a:v1",
            "--managed-identity=kubelet",
        ],
        "\"kubelet\" is not a client id",
    ),
    (
        &["check", "contoso", "--managed-identity", "--azure-json"],
        "cannot be used with",
    ),
    (
        &[
            "check",
            "contoso",
            "--image=a:v1",
            "--azure-json",
            "--node-root=/proc",
        ],
        "failed to read /etc/kubernetes/azure.json",
    ),
    (
        &["check", "contoso", "--image=:v1"],
        "is not a repository name",
    ),
    (
        &["check", "contoso", "--nameserver=localhost"],
        "is not the address of a nameserver",
    ),
    (
        &["check", "contoso", "--nameserver=127.0.0.1:0"],
        "127.0.0.1:0",
    ),
    (&["check", "contoso", "--timeout=0s"], "0s"),
    (&["check", "contoso", "--timeout=10"], "has no unit"),
    (
        &["check", "contoso", "--timeout=99999999999999999999d"],
        "is too long; write a shorter duration",
    ),
    (
        &["check", "contoso", "--watch=100ms"],
        "100ms is out of range; write 1s to 1d",
    ),
    (
        &["check", "contoso", "--watch", "--output=json"],
        "--watch requires --output=text",
    ),
    (
        &["check", "contoso", "--watch=5s", "--output=npd"],
        "ask a running agent for /api/v1/status",
    ),
    (&["check", "contoso", "--output=xml"], "[possible values: "),
    (
        &["check", "contoso", "--no-such-flag"],
        "unexpected argument",
    ),
    (&["chekc", "contoso"], "'check'"),
    (&[], "Usage: regprobe"),
];

pub(super) fn bad_usages() -> impl Iterator<Item = Test> {
    BAD_USAGES.iter().map(|(arguments, message)| {
        test(
            format!("refused: regprobe {}", arguments.join(" ").escape_debug()),
            move || {
                let out = Node::asking([])?.regprobe(*arguments).output()?;
                let said = stderr(&out);
                ensure!(out.status.code() == Some(2), "{out:?}");
                ensure!(said.contains(message), "expected {message:?} in {said}");
                ensure!(is_inert(&said), "{said:?}");
                ensure!(
                    !said.contains("panicked") && out.stdout.is_empty(),
                    "{out:?}"
                );
                Ok(())
            },
        )
    })
}

/// Whether the text has no terminal commands.
pub(super) fn is_inert(text: &str) -> bool {
    let commands = |c: char| c.is_control() && c != '\n';
    !text.contains(|c: char| commands(c) || ('\u{200b}'..='\u{202e}').contains(&c))
}
