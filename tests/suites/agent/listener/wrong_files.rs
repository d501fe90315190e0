//! Web configurations that are rejected, with the reason.

use anyhow::{Result, ensure};
use regprobe_lab::addresses::{free_addr, loopback};

use super::hash;
use super::place::Place;

pub(super) fn wrong_files() -> Result<()> {
    let place = Place::new()?;
    place.issue("server", &["localhost"])?;
    place.issue("other", &["localhost"])?;
    place.write("empty.pem", "")?;
    let tls = |more: &str| format!("tls_server_config: {{{more}}}\n");
    let good = "cert_file: server.crt, key_file: server.key";
    for (text, complaint) in [
        ("tls: {}\n".into(), "unknown key `tls`"),
        (
            "basic_auth_users: {alice: 1234}\n".into(),
            "basic_auth_users.alice: not a bcrypt hash",
        ),
        (
            format!(
                "basic_auth_users: {{alice: {}}}\n",
                hash("x").replace("$04$", "$31$")
            ),
            "basic_auth_users.alice: a cost of 31 is too high",
        ),
        (
            tls("cert_file: server.crt"),
            "tls_server_config: key is missing; write key_file",
        ),
        (
            tls("key_file: server.key"),
            "tls_server_config: cert is missing; write cert_file",
        ),
        (
            tls("cert_file: gone.crt, key_file: server.key"),
            "tls_server_config.cert_file: cannot read",
        ),
        (
            tls(&format!("{good}, cert: text")),
            "tls_server_config: cert and cert_file are both set; keep one",
        ),
        (
            tls("cert_file: empty.pem, key_file: server.key"),
            "cert: no PEM certificate",
        ),
        (
            tls("cert_file: server.crt, key_file: empty.pem"),
            "key: no PEM private key",
        ),
        (
            tls("cert_file: server.crt, key_file: other.key"),
            "certificate and key: ",
        ),
        (
            tls(&format!("{good}, min_version: TLS11")),
            "min_version: \"TLS11\" is not supported; write TLS12 or TLS13",
        ),
        (
            tls(&format!("{good}, min_version: TLS13, max_version: TLS12")),
            "min_version is above max_version",
        ),
        (
            tls(&format!("{good}, client_auth_type: RequireAnyClientCert")),
            "client_auth_type: this type verifies nothing; write RequireAndVerifyClientCert",
        ),
        (
            tls(&format!(
                "{good}, client_auth_type: RequireAndVerifyClientCert"
            )),
            "client_auth_type: there is no CA to verify with; write client_ca_file",
        ),
        (
            tls(&format!("{good}, client_ca_file: ca.crt")),
            "client_auth_type: client_ca is set, but no certificate is requested",
        ),
        (
            tls(&format!("{good}, client_allowed_sans: [a]")),
            "client_allowed_sans: no client has to present a certificate",
        ),
        (
            tls(&format!(
                "{good}, cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]"
            )),
            "cipher_suites: \"TLS_RSA_WITH_RC4_128_SHA\" is not supported; choose from TLS_ECDHE",
        ),
        (
            tls(&format!("{good}, curve_preferences: [CurveP521]")),
            "curve_preferences: \"CurveP521\" is not supported; choose from ",
        ),
        (
            "http_server_config: {headers: {Server: x}}\n".into(),
            "http_server_config.headers.Server: this header cannot be set",
        ),
        (
            "http_server_config: {headers: {X-Frame-Options: allow}}\n".into(),
            "http_server_config.headers.X-Frame-Options: write deny or sameorigin",
        ),
        (
            "rate_limit: {interval: soon}\n".into(),
            "rate_limit.interval: ",
        ),
        (
            "rate_limit: {interval: 9999y, burst: 4294967295}\n".into(),
            "rate_limit.interval: longer than a day; write at most 24h",
        ),
    ] {
        place.write("web.yaml", &text)?;
        for more in [&[][..], &["--config.check"]] {
            let out = place.command(free_addr(loopback())?)?.args(more).output()?;
            // A log line escapes quotation marks.
            let said = String::from_utf8_lossy(&out.stderr).replace("\\\"", "\"");
            ensure!(
                out.status.code() == Some(2),
                "{text}: {}: {said}",
                out.status
            );
            ensure!(
                said.contains("web.yaml: ") && said.contains(complaint),
                "{text}: {said}"
            );
        }
    }
    Ok(())
}
