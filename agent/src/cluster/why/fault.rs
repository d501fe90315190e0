//! The cause of a failed pull by the text that kubelet and containerd print for it. Pure. The texts are those of
//! `tests/oracles/printed.txt` and of the kubelet's sources.

use std::net::IpAddr;

use regprobe_probes::{Scope, Stage};

/// What a text says about a pull.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PullFault {
    /// Its runbook: the code of a finding, or a guide.
    pub runbook: &'static str,
    /// The stage that failed: a finding of an agent about the same or an earlier one explains it. `None` if it is
    /// no stage: the network is not at fault.
    pub stage: Option<Stage>,
    /// The cause. `HOST` stands for the host that was asked.
    pub cause: &'static str,
    pub remedy: &'static str,
}

/// The cause of a pull that failed with this text.
pub(super) fn of(text: &str) -> Option<PullFault> {
    let row = FAULTS.iter().find(|(patterns, _)| {
        let mut patterns = patterns.iter();
        patterns.any(|pattern| fits(text, pattern))
    });
    row.map(|(_, fault)| match fault.runbook {
        "EndpointTimeout" if is_private(text) => PullFault {
            runbook: "PrivateEndpointTimeout",
            ..*fault
        },
        _ => *fault,
    })
}

/// What the kubelet says of a pull secret that it cannot read.
pub(super) fn of_malformed_secret(text: &str) -> Option<PullFault> {
    let starts = [
        "illegal base64 data",
        "unable to parse auth field",
        "json: cannot unmarshal",
        "invalid character",
        "unexpected end of JSON input",
    ];
    let is_it = starts.iter().any(|start| text.starts_with(start));
    is_it.then_some(PullFault {
        runbook: "PullSecretInvalid",
        stage: None,
        cause: "a pull secret of the pod is malformed, and the kubelet then does not pull at all",
        remedy: "Create the pull secret again with 'kubectl create secret docker-registry'.",
    })
}

/// The host that was asked last, by the text.
pub(super) fn host(text: &str) -> Option<&str> {
    let after = |word| text.rsplit_once(word).map(|(_, rest)| rest);
    let rest = after("lookup ").or_else(|| after("://"))?;
    let end = rest.find(['/', ' ', '"', ':', '?']).unwrap_or(rest.len());
    Some(&rest[..end]).filter(|host| !host.is_empty())
}

/// Whether the text has the parts of the pattern, which are separated by `…`, one after the other.
fn fits(text: &str, pattern: &str) -> bool {
    let parts = pattern.split('…');
    let mut rest = Some(text);
    for part in parts {
        rest = rest.and_then(|text| text.split_once(part).map(|(_, after)| after));
    }
    rest.is_some()
}

/// Whether the address that did not answer is private.
fn is_private(text: &str) -> bool {
    let address = text.rsplit_once("dial tcp ").map(|(_, rest)| rest);
    let address = address.and_then(|rest| rest.split_once(": i/o timeout"));
    let address = address.and_then(|(address, _)| address.rsplit_once(':'));
    let address = address.map(|(ip, _)| ip.trim_matches(['[', ']']));
    let address: Option<IpAddr> = address.and_then(|ip| ip.parse().ok());
    address.is_some_and(|ip| Scope::of(ip).is_endpoint())
}

macro_rules! faults {
    ($($runbook:literal $stage:expr, [$($pattern:literal),+]: $cause:literal; $remedy:literal)+) => {
        /// The first row with a pattern that fits counts.
        const FAULTS: &[(&[&str], PullFault)] = &[$((&[$($pattern),+], PullFault {
            runbook: $runbook,
            stage: $stage,
            cause: $cause,
            remedy: $remedy,
        })),+];
    };
}

faults! {
    "ImageNotFound" None, ["couldn't parse image", "invalid reference format"]:
        "the name of the image is not valid";
        "Correct the name of the image in the pod."
    "green-but-failing" None, ["is not present with pull policy of Never"]:
        "its pull policy is Never, and the node has no image that this pod may use";
        "Set imagePullPolicy to IfNotPresent, or bring the image to the node."
    "RegprobePullsSlow" None, ["pull QPS exceeded"]:
        "the kubelet has started as many pulls as it may in a second";
        "Wait: it tries again. If this lasts, raise registryPullQPS in the kubelet's configuration."
    "green-but-failing" None, ["no space left on device"]:
        "the node's disk is full";
        "Free space on the node, or use another node."
    "PlatformMismatch" None, ["no match for platform in manifest", "no matching manifest for", "content digest…: not found"]:
        "the image has no version for the node's platform";
        "Push the image for this platform, or give the pod a nodeSelector for nodes of another."
    "NodeConfigInvalid" Some(Stage::Resolve), ["unable to read CA cert", "unable to read CERT file", "unable to load CA cert",
        "failed to load X509 key pair", "failed to parse hosts", "hosts.toml: is a directory",
        "\": dial tcp: address …: invalid port", "no Host in request URL", "no resolve hosts"]:
        "containerd cannot use the node's settings for this registry";
        "Correct what the error names in /etc/containerd/certs.d on the node."

    "ProxyAuthRequired" Some(Stage::Proxy), ["Proxy Authentication Required", "no acceptable authentication methods"]:
        "the node's proxy wants a password";
        "Put user and password into containerd's proxy settings on the node, or exempt HOST in NO_PROXY."
    "ProxyDenied" Some(Stage::Proxy), ["\": Forbidden", "connection not allowed by ruleset"]:
        "the node's proxy does not allow connections to HOST";
        "Allow HOST at the proxy, or exempt it in NO_PROXY."
    "ProxyUnreachable" Some(Stage::Proxy), ["proxyconnect tcp: dial", "socks connect…dial"]:
        "the node cannot reach its proxy";
        "Repair the proxy, or correct containerd's proxy settings on the node."
    "ProxyBroken" Some(Stage::Proxy), ["proxyconnect tcp", "socks connect", "\": Internal Server Error", "\": Bad Gateway",
        "\": Service Unavailable", "\": Gateway Timeout"]:
        "the node's proxy fails";
        "Repair the proxy, or exempt HOST in NO_PROXY."

    "NameNotFound" Some(Stage::Resolve), ["lookup …no such host"]:
        "the node's nameserver does not know HOST";
        "Correct the registry's name, or add its record to the zone that the node's nameserver reads."
    "NameserverFailing" Some(Stage::Resolve), ["lookup …server misbehaving"]:
        "the node's nameserver cannot answer for HOST";
        "Repair the nameserver, or what it forwards to."
    "NodePolicyBlocked" Some(Stage::Resolve), ["lookup …permission denied", "lookup …operation not permitted"]:
        "the node does not let its own questions to the nameserver out";
        "Correct the firewall or the routes of the node."
    "NameserverDown" Some(Stage::Resolve), ["dial tcp: lookup "]:
        "the node's nameserver does not answer";
        "Repair the nameserver or the way to it, or correct the node's resolv.conf."

    "ConnectionRefused" Some(Stage::Connect), ["connect: connection refused"]:
        "HOST refuses connections";
        "Check that the registry runs, and that its address and port are right."
    "NoRoute" Some(Stage::Connect), ["connect: no route to host", "connect: network is unreachable"]:
        "the node has no route to HOST";
        "Correct routes, peering or network rules between the node and HOST."
    "NodePolicyBlocked" Some(Stage::Connect), ["connect: permission denied", "operation not permitted"]:
        "the node does not let its own packets to HOST out";
        "Correct the firewall or the routes of the node."
    "EndpointTimeout" Some(Stage::Connect), ["dial tcp …i/o timeout"]:
        "nothing answers at the address of HOST";
        "Check the address, then firewalls, network rules and routes between the node and HOST."

    "CertificateNotYetValid" Some(Stage::Tls), ["is not yet valid…is before"]:
        "the certificate of HOST is not valid yet, or the node's clock is slow";
        "Check the node's clock, then the certificate."
    "CertificateExpired" Some(Stage::Tls), ["certificate has expired"]:
        "the certificate of HOST has expired, or the node's clock is fast";
        "Check the node's clock, then renew the certificate."
    "TlsIntercepted" Some(Stage::Tls), ["certificate signed by unknown authority"]:
        "the certificate of HOST is not from an authority that the node trusts";
        "If a proxy inspects TLS, exempt HOST there; else install the authority on the node."
    "CertificateNameMismatch" Some(Stage::Tls), ["certificate is valid for", "cannot validate certificate for", "is not valid for any names"]:
        "the certificate is not for the name in the image, HOST";
        "Check where the name leads to, and which names the certificate there has."
    "CertificateInvalid" Some(Stage::Tls), ["x509: "]:
        "containerd does not take the certificate of HOST";
        "Replace the certificate."
    "TlsStalled" Some(Stage::Tls), ["TLS handshake timeout"]:
        "HOST accepts connections and never answers the TLS handshake";
        "Look for a firewall, or a link with a smaller MTU, between the node and HOST."
    "NotTls" Some(Stage::Tls), ["server gave HTTP response to HTTPS client", "first record does not look like a TLS handshake"]:
        "what answers at HOST does not speak TLS";
        "Correct the port, or give the node an http:// entry for it in /etc/containerd/certs.d."
    "ClientCertificateRequired" Some(Stage::Tls), ["tls: certificate required", "tls: bad certificate"]:
        "HOST wants a client certificate that it trusts";
        "Give the node one in /etc/containerd/certs.d."
    "TlsVersion" Some(Stage::Tls), ["tls: protocol version not supported"]:
        "HOST and the node have no version of TLS in common";
        "Enable TLS 1.2 or later at HOST."
    "TlsDropped" Some(Stage::Tls), ["error: tls: "]:
        "HOST ends the TLS handshake";
        "Look for a firewall that inspects TLS between the node and HOST, then at the log of HOST."

    "unauthorized" Some(Stage::Token), ["oauth token…401 Unauthorized…anonymous token…401 Unauthorized"]:
        "the registry rejects the credentials that the node brought, and does not allow anonymous pulls";
        "Check the role of the node's identity on the registry, then the pod's pull secrets."
    "unauthorized" Some(Stage::Token), ["oauth token…401 Unauthorized"]:
        "the registry rejects the credentials of the pod's pull secret";
        "Renew the pull secret. 'regprobe check --docker-config=FILE --image=IMAGE' says what is wrong with it."
    "unauthorized" Some(Stage::Token), ["anonymous token…401 Unauthorized", "no basic auth credentials"]:
        "the registry wants credentials, and the node had none for it";
        "Give the node's identity a role on the registry, or the pod a pull secret for this registry."
    "unauthorized" Some(Stage::Token), ["insufficient_scope", "pull access denied"]:
        "the credentials do not cover this repository, or it does not exist";
        "Check the name of the repository, then what the credentials may read."
    "unauthorized" Some(Stage::Manifest), ["401 Unauthorized"]:
        "the registry does not accept the credentials that it got";
        "Check the pod's pull secrets, then the role of the node's identity on the registry."
    "Throttled" Some(Stage::Blob), ["429 Too Many Requests", "toomanyrequests"]:
        "the registry limits how often it may be asked";
        "Wait, and pull with credentials or through a cache: nodes behind one address share an anonymous limit."
    "RegistryFirewall" Some(Stage::Blob), ["client with IP"]:
        "the registry's firewall turns the node away";
        "Reach the registry through its private endpoint, or allow the node's address in the registry's network rules."
    "Forbidden" Some(Stage::Blob), ["403 Forbidden"]:
        "HOST refuses the node: by its network rules, or for lack of a permission";
        "Check the registry's network rules, then what the credentials may read."
    "RegistryError" Some(Stage::Blob), ["500 Internal Server Error", "502 Bad Gateway", "503 Service Unavailable", "504 Gateway"]:
        "HOST fails";
        "Look at the state of the registry; the kubelet tries again."
    "NotARegistry" Some(Stage::Blob), ["405 Method Not Allowed", "stopped after 10 redirects", "unexpected media type text/html"]:
        "what answers at HOST is no registry";
        "Check where the name leads to, and what is in front of the registry."
    "MalformedResponse" Some(Stage::Blob), ["malformed", "invalid header field value", "no longer supported", "no signatures", "json: cannot unmarshal",
        "reports content size of zero", "server response headers exceeded", "unable to decode token response",
        "gzip: invalid header", "unsupported Content-Encoding algorithm", "multiple Content-Length", "bad Content-Length",
        "did not include a token", "unexpected media type"]:
        "HOST answers with something that is not valid";
        "Check what is in front of the registry."
    "BlobUnavailable" None, ["failed to get stream processor"]:
        "the node's containerd cannot unpack a layer of the image";
        "Push the image with layers that are compressed by gzip and not encrypted, or set the node up for them."
    "BlobCorrupt" Some(Stage::Blob), ["unexpected commit digest", "unexpected commit size", "failed size validation",
        "read past expected size", "short read: expected", "failed to read expected number of bytes"]:
        "what HOST sends is not the content of the image";
        "Exempt HOST from proxies, caches and filters; if the registry's own copy is damaged, push the image again."
    "BlobUnavailable" Some(Stage::Blob), ["could not fetch content descriptor", "failed commit on ref",
        "mismatched image rootfs", "number of layers and diffIDs don't match"]:
        "a part of the image is missing in the registry";
        "Push the image again."
    "BlobUnavailable" Some(Stage::Blob), ["children: invalid desc", "wrong diff id"]:
        "the image says of one of its parts what it is not";
        "Push the image again."
    "ImageNotFound" None, [": not found", "manifest unknown", "404 Not Found"]:
        "the registry has no such image";
        "Correct repository or tag in the pod, or push the image."

    "ConnectionDropped" Some(Stage::Blob), ["connection reset by peer", "EOF", "broken pipe"]:
        "HOST drops the connection instead of answering";
        "Look for a firewall or a proxy between the node and HOST, then at the log of HOST."
    "NoResponse" Some(Stage::Blob), ["timeout awaiting response headers", "i/o timeout", "deadline exceeded", "context canceled", "Client.Timeout"]:
        "HOST does not answer, or too slowly";
        "Look at the state of the registry, and of what is between the node and HOST."
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::runbooks::Runbook;

    const PRINTED: &str = include_str!("../../../../tests/oracles/printed.txt");

    #[test]
    fn every_text_that_containerd_printed_has_a_cause() {
        let lines = PRINTED.lines().filter(|line| !line.starts_with('#'));
        let texts = lines.filter_map(|line| line.split_once(' '));
        let unknown: Vec<_> = texts.filter(|(_, text)| of(text).is_none()).collect();
        assert!(unknown.is_empty(), "{unknown:#?}");
    }

    #[test]
    fn every_cause_has_a_runbook() {
        for (patterns, fault) in FAULTS {
            assert!(Runbook::named(fault.runbook).is_some(), "{patterns:?}");
        }
        assert!(of_malformed_secret("illegal base64 data at input byte 0").is_some());
    }

    #[test]
    fn causes() {
        let token = "failed to authorize: failed to fetch";
        let (anonymous, oauth) = (
            format!("{token} anonymous token: unexpected status: 401 Unauthorized"),
            format!("{token} oauth token: unexpected status: 401 Unauthorized"),
        );
        for (text, cause) in [
            (&*anonymous, "had none for it"),
            (&oauth, "of the pod's pull secret"),
            (&format!("[{oauth}, {anonymous}]"), "that the node brought"),
            ("Head \"https://a/v2/\": Forbidden", "proxy does not allow"),
            ("Head \"https://a/v2/\": 403 Forbidden", "refuses the node"),
            (
                "no match for platform in manifest sha256:0: not found",
                "platform",
            ),
            (
                "manifests/c\": dial tcp [fd00::1]:443: i/o timeout",
                "nothing answers",
            ),
        ] {
            let fault = of(text).unwrap();
            assert!(fault.cause.contains(cause), "{text}: {fault:?}");
        }
        let address = |ip: &str| {
            of(&format!("dial tcp {ip}:443: i/o timeout"))
                .unwrap()
                .runbook
        };
        assert_eq!(address("10.1.0.4"), "PrivateEndpointTimeout");
        assert_eq!(address("[fd00::1]"), "PrivateEndpointTimeout");
        assert_eq!(address("20.1.0.4"), "EndpointTimeout");
        assert_eq!(of("something new"), None);
        assert_eq!(of_malformed_secret(&anonymous), None);
    }

    #[test]
    fn the_host_that_was_asked_last() {
        for (text, asked) in [
            (
                "Get \"https://a.example/b?c\": dial tcp: lookup d.example on 1.2.3.4:53: no such host",
                Some("d.example"),
            ),
            (
                "Head \"https://a.example:5000/v2/\": EOF",
                Some("a.example"),
            ),
            ("pulling from host a.example failed", None),
        ] {
            assert_eq!(host(text), asked, "{text}");
        }
    }
}
