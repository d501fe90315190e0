//! The listener with `--web.config.file`, used by curl, openssl and malicious clients: who gets in, who
//! does not, and the errors for wrong files.

mod place;
mod strangers;
mod wrong_files;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use regprobe_harness::need::Need;
use regprobe_harness::suite::{Suite, test};
use regprobe_lab::pki::Pki;
use regprobe_lab::{client, wait};
use socket2::{Domain, Socket, Type};

use self::place::Place;
use self::wrong_files::wrong_files;

/// Timeout for anything that the listener should do.
const SOON: Duration = Duration::from_secs(15);
/// bcrypt's lowest cost.
const COST: u32 = 4;

pub(crate) fn suite() -> Suite {
    let tests = [
        test("the documented example", documented_example),
        test(
            "clients without a certificate are rejected",
            client_certificates,
        ),
        test("old versions of TLS are refused", versions),
        test("passwords without TLS", passwords),
        test(
            "the response time does not reveal user names",
            nobody_learns_who_exists,
        ),
        test("headers and the limit of requests", headers_and_rate),
        test("changed files are reloaded", reload),
    ];
    let tests = tests.map(|test| test.needs([Need::CURL, Need::OPENSSL]));
    let others = [
        test("wrong files are rejected with the reason", wrong_files),
        test("silent clients do not block others", silent_clients),
        test("a slow scrape is not interrupted", scrape_under_way),
    ];
    let all = tests.into_iter().chain(others);
    Suite::of(all.chain(strangers::tests()))
}

/// The keys of exporter-toolkit's sample, and all others in its documentation.
fn documented_example() -> Result<()> {
    let place = Place::new()?;
    place.issue("server", &["localhost"])?;
    let listener = place.listen(&format!(
        "tls_server_config: {{cert_file: server.crt, key_file: server.key}}\n\
         basic_auth_users: {{alice: {}, bob: {}}}\n\
         rate_limit: {{interval: \"1s\", burst: 20}}\n\
         http_server_config: {{http2: false}}\n",
        hash("alice's"),
        hash("bob's"),
    ))?;
    for (login, status) in [
        ("alice:alice's", "200"),
        ("bob:bob's", "200"),
        ("bob:alice's", "401"),
        ("alice:", "401"),
        ("nobody:alice's", "401"),
        // Again: the cached result is the same.
        ("alice:alice's", "200"),
        ("bob:alice's", "401"),
    ] {
        let got = listener.curl(&["--user", login])?;
        ensure!(got == status, "{login}: {got}");
    }
    ensure!(listener.curl(&[])? == "401");
    // There is no plain HTTP.
    let plain = client::get(listener.addr, "/metrics").send();
    ensure!(plain.is_err(), "{plain:?}");
    Ok(())
}

fn client_certificates() -> Result<()> {
    let place = Place::new()?;
    place.issue("server", &["localhost"])?;
    place.issue("scraper", &["prometheus.contoso.example"])?;
    place.issue("other", &["other.contoso.example"])?;
    let untrusted = Pki::new()?;
    let identity = untrusted.leaf(["prometheus.contoso.example"]).issue()?;
    place.write("untrusted.crt", identity.chain_pem())?;
    place.write("untrusted.key", identity.key_pem())?;
    let required = "tls_server_config:\n  \
         cert_file: server.crt\n  \
         key_file: server.key\n  \
         client_auth_type: RequireAndVerifyClientCert\n  \
         client_ca_file: ca.crt\n";
    let listener = place.listen(required)?;
    ensure!(listener.curl_as("scraper")? == "200");
    ensure!(listener.curl_as("other")? == "200");
    for refused in [listener.curl_as("untrusted")?, listener.curl(&[])?] {
        ensure!(refused == "000", "{refused}");
    }
    drop(listener);

    let named = format!("{required}  client_allowed_sans: [prometheus.contoso.example]\n");
    let listener = place.listen(&named)?;
    ensure!(listener.curl_as("scraper")? == "200");
    ensure!(listener.curl_as("other")? == "000");
    drop(listener);

    let optional = required.replace("RequireAndVerify", "Verify");
    let optional = optional.replace("ClientCert\n", "ClientCertIfGiven\n");
    let listener = place.listen(&optional)?;
    // Without a certificate, only the kubelet's paths.
    ensure!(listener.curl(&[])? == "403");
    ensure!(listener.curl_at("/-/healthy", &[])? == "200");
    ensure!(listener.curl_as("scraper")? == "200");
    ensure!(listener.curl_as("untrusted")? == "000");
    drop(listener);

    let named = format!("{optional}  client_allowed_sans: [prometheus.contoso.example]\n");
    let listener = place.listen(&named)?;
    ensure!(listener.curl(&[])? == "403");
    ensure!(listener.curl_as("scraper")? == "200");
    ensure!(listener.curl_as("other")? == "000");
    Ok(())
}

fn versions() -> Result<()> {
    let place = Place::new()?;
    place.issue("server", &["localhost"])?;
    let tls = "tls_server_config: {cert_file: server.crt, key_file: server.key";
    for (more, spoken, refused) in [
        ("", &["-tls1_2", "-tls1_3"][..], &["-tls1", "-tls1_1"][..]),
        (
            ", min_version: TLS13",
            &["-tls1_3"],
            &["-tls1_1", "-tls1_2"],
        ),
        (
            ", max_version: TLS12",
            &["-tls1_2"],
            &["-tls1_1", "-tls1_3"],
        ),
        (
            ", cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256], \
             curve_preferences: [CurveP256]",
            &["-tls1_2", "-tls1_3"],
            &["-tls1_1"],
        ),
    ] {
        let listener = place.listen(&format!("{tls}{more}}}\n"))?;
        for version in spoken {
            ensure!(listener.shakes_hands(version)?, "{more}: no {version}");
        }
        for version in refused {
            ensure!(!listener.shakes_hands(version)?, "{more}: {version}");
        }
    }
    Ok(())
}

fn passwords() -> Result<()> {
    let place = Place::new()?;
    let listener = place.listen(&format!("basic_auth_users: {{alice: {}}}\n", hash("x:y")))?;
    let get = |path: &str, login: &str| {
        let header = format!("Basic {login}");
        let call = client::get(listener.addr, path).header("Authorization", &header);
        Ok::<_, anyhow::Error>(call.send()?.status)
    };
    // alice:x:y
    for path in ["/metrics", "/", "/api/v1/status"] {
        ensure!(get(path, "YWxpY2U6eDp5")? == 200, "{path}");
        ensure!(get(path, "YWxpY2U6eDp6")? == 401, "{path}");
    }
    for nonsense in ["", "!", "YWxpY2U=", "//8="] {
        ensure!(get("/metrics", nonsense)? == 401, "{nonsense}");
    }
    // Kubelet has no password; a wrong one counts as none.
    for path in ["/-/healthy", "/-/ready"] {
        ensure!(get(path, "YWxpY2U6eDp6")? != 401, "{path}");
        let status = client::get(listener.addr, path).send()?.status;
        ensure!(status != 401, "{path}");
    }
    for path in ["/-/healthy/", "//-/healthy", "/-/healthy/../../metrics"] {
        let status = client::get(listener.addr, path).send()?.status;
        ensure!(status == 401, "{path}: {status}");
    }
    let asked = client::get(listener.addr, "/metrics").send()?;
    ensure!(
        asked.status == 401 && asked.header("WWW-Authenticate") == Some("Basic realm=\"regprobe\"")
    );
    let reload = client::call("POST", listener.addr, "/-/reload").send()?;
    ensure!(reload.status == 401);
    Ok(())
}

/// A wrong password for an existing user and for an unknown one: both are rejected, after the same time.
fn nobody_learns_who_exists() -> Result<()> {
    const TIMES: usize = 12;
    let dear = bcrypt::hash("right", 2 * COST)?;
    let place = Place::new()?;
    let listener = place.listen(&format!("basic_auth_users: {{alice: {dear}}}\n"))?;
    // A password that was rejected before is rejected faster, so each one is used once.
    let refused = |user: &str, turn: usize| {
        let login = STANDARD.encode(format!("{user}:wrong {turn}"));
        let header = format!("Basic {login}");
        let call = client::get(listener.addr, "/metrics").header("Authorization", &header);
        let start = Instant::now();
        call.send()?.expect_status(401)?;
        Ok::<_, anyhow::Error>(start.elapsed())
    };
    let (mut somebody, mut nobody) = (Vec::new(), Vec::new());
    for turn in 0..TIMES {
        somebody.push(refused("alice", turn)?);
        nobody.push(refused("bob", turn)?);
    }
    let unasked = Instant::now();
    client::get(listener.addr, "/metrics")
        .send()?
        .expect_status(401)?;
    let unasked = unasked.elapsed();
    let median = |mut times: Vec<Duration>| {
        times.sort();
        times[TIMES / 2].as_secs_f64()
    };
    let (somebody, nobody) = (median(somebody), median(nobody));
    println!("a wrong password takes {somebody:.4} s, a user who is none {nobody:.4} s");
    let ratio = somebody / nobody;
    ensure!(
        (0.6..1.7).contains(&ratio),
        "{somebody} s against {nobody} s"
    );
    // The hash takes the time: without one the difference would be visible.
    let without = unasked.as_secs_f64();
    ensure!(nobody > 3.0 * without, "{nobody} s against {without} s");
    Ok(())
}

fn headers_and_rate() -> Result<()> {
    let place = Place::new()?;
    let listener = place.listen(
        "http_server_config:\n  headers:\n    \
             X-Frame-Options: deny\n    \
             Content-Security-Policy: default-src 'self'\n    \
             Strict-Transport-Security: \"\"\n\
         rate_limit: {interval: 1h, burst: 4}\n",
    )?;
    let page = client::get(listener.addr, "/").send()?;
    ensure!(page.header("X-Frame-Options") == Some("deny"));
    ensure!(page.header("Strict-Transport-Security").is_none());
    // The page's own headers win.
    let policy = page.header("Content-Security-Policy").unwrap_or_default();
    ensure!(policy.starts_with("default-src 'none'"), "{policy}");
    let metrics = client::get(listener.addr, "/metrics").send()?;
    ensure!(metrics.header("Content-Security-Policy") == Some("default-src 'self'"));
    let statuses: Vec<_> = (0..4)
        .map(|_| Ok(client::get(listener.addr, "/metrics").send()?.status))
        .collect::<Result<_>>()?;
    ensure!(statuses == [200, 200, 429, 429], "{statuses:?}");
    // A busy connection is not closed.
    for path in ["/-/healthy", "/-/ready"] {
        let status = client::get(listener.addr, path).send()?.status;
        ensure!(status != 429, "{path}: {status}");
    }
    Ok(())
}

fn reload() -> Result<()> {
    let place = Place::new()?;
    place.issue("server", &["localhost"])?;
    let tls = "tls_server_config: {cert_file: server.crt, key_file: server.key}\n";
    let listener = place.listen(tls)?;
    ensure!(listener.curl(&[])? == "200");
    // A renewed certificate, from new authorities.
    let renewed = Pki::new()?;
    let identity = renewed.leaf(["localhost"]).issue()?;
    place.write("server.crt", identity.chain_pem())?;
    place.write("server.key", identity.key_pem())?;
    renewed.write_ca(place.file("ca.crt"))?;
    wait::until("the certificate is another", SOON, || {
        ensure!(listener.curl(&[])? == "200");
        Ok(())
    })?;
    // A wrong file changes nothing; a corrected one does.
    place.write(
        "web.yaml",
        "tls_server_config: {cert_file: gone.crt, key_file: server.key}\n",
    )?;
    wait::until("the log tells", SOON, || {
        ensure!(listener.curl(&[])? == "200");
        let log = listener.log();
        ensure!(log.contains("web configuration not reloaded"), "{log}");
        ensure!(log.contains("gone.crt"), "{log}");
        Ok(())
    })?;
    let users = format!("basic_auth_users: {{alice: {}}}\n", hash("new"));
    place.write("web.yaml", &format!("{tls}{users}"))?;
    wait::until("passwords are asked for", SOON, || {
        ensure!(listener.curl(&[])? == "401");
        Ok(())
    })?;
    ensure!(listener.curl(&["--user", "alice:new"])? == "200");
    Ok(())
}

/// Four times the connection limit; each client sends part of a request at most.
fn silent_clients() -> Result<()> {
    let place = Place::new()?;
    let listener = place.listen("")?;
    let mut silent = Vec::new();
    for number in 0..500 {
        let mut stream = TcpStream::connect_timeout(&listener.addr, SOON)?;
        if number % 2 == 0 {
            stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: ")?;
        }
        silent.push(stream);
        if number % 50 == 0 {
            client::get(listener.addr, "/metrics")
                .send()?
                .expect_status(200)?;
        }
    }
    client::get(listener.addr, "/metrics")
        .send()?
        .expect_status(200)?;
    let files = fs::read_dir(format!("/proc/{}/fd", listener.child.id()))?.count();
    ensure!(files < 200, "{files} files are open");
    Ok(())
}

/// More than the kernel buffers for a slow reader.
fn scrape_under_way() -> Result<()> {
    let mut place = Place::new()?;
    let entries: Vec<_> = (0..400)
        .map(|number| format!("- {{server: myregistry{number}.azurecr.io}}\n"))
        .collect();
    let entries: Vec<_> = entries.iter().map(String::as_str).collect();
    place.config = place.ground.config(&entries)?;
    let listener = place.listen("")?;
    let reader = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    reader.set_recv_buffer_size(4096)?;
    reader.connect(&listener.addr.into())?;
    let mut reader = TcpStream::from(reader);
    reader.set_read_timeout(Some(SOON))?;
    reader.write_all(b"GET /metrics HTTP/1.0\r\n\r\n")?;
    let mut text = vec![0; 1000];
    reader.read_exact(&mut text)?;
    let _silent = (0..300)
        .map(|_| Ok(TcpStream::connect_timeout(&listener.addr, SOON)?))
        .collect::<Result<Vec<_>>>()?;
    reader.read_to_end(&mut text)?;
    let text = String::from_utf8(text)?;
    let last = text.lines().last();
    let is_whole = last.is_some_and(|line| line.starts_with("process_"));
    ensure!(is_whole, "{} bytes, and {last:?} at the end", text.len());
    Ok(())
}

fn hash(password: &str) -> String {
    bcrypt::hash(password, COST).unwrap_or_else(|error| panic!("{password}: {error}"))
}
