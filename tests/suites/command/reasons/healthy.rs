//! Answers that look odd and are healthy.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use regprobe_harness::contoso::{Contoso, LOGIN};
use regprobe_harness::need::Need;
use regprobe_harness::node::{Node, Report};
use regprobe_harness::output::json::{items, text};
use regprobe_harness::suite::{Test, test};
use regprobe_lab::addresses::loopback;
use regprobe_lab::fakes::acr::{Acr, Answer, Challenge, Route};
use regprobe_lab::fakes::dns::{Fault, OverTcp};
use regprobe_lab::pki::{Pki, self_signed};
use regprobe_lab::servers::{Bind, Dnsmasq, Nginx};

use super::{ANY, AUTH, at, nginx, nginx_at, pinned_to};

pub(super) fn healthy() -> Vec<Test> {
    let mut tests = vec![
        thrives("a truncated answer is asked for again over TCP", || {
            let contoso = Contoso::new()?;
            contoso.dns.break_all(Fault::Truncated(OverTcp::Answers));
            let report = contoso.check()?;
            let asked = contoso.dns.asked();
            ensure!(asked.iter().any(|asked| asked.over_tcp), "{asked:?}");
            Ok(report)
        }),
        thrives("an answer of BIND's too long for a packet", || {
            let contoso = Contoso::new()?;
            let zone = aliases(10, &"x".repeat(60), contoso.ip());
            let bind = Bind::at(ANY).zone("azurecr.io", &zone).max_udp_size(512);
            contoso.through(bind.start()?.addr())
        })
        .needs([Need::BIND]),
        thrives("a chain of five aliases", || {
            let contoso = Contoso::new()?;
            let zone = aliases(5, "alias", contoso.ip());
            let bind = Bind::at(ANY).zone("azurecr.io", &zone).start()?;
            let report = contoso.through(bind.addr())?;
            let chain = &report.lookup()?["chain"];
            ensure!(items(chain).count() == 5, "{chain}");
            ensure!(items(chain).all(|alias| alias["ttl"] == 60), "{chain}");
            Ok(report)
        })
        .needs([Need::BIND]),
        thrives("dnsmasq between the node and the zone", || {
            let contoso = Contoso::new()?;
            let cache = Dnsmasq::at((loopback(), 0)).forward_all(contoso.dns.addr());
            contoso.through(cache.start()?.addr())
        })
        .needs([Need::DNSMASQ]),
        thrives("addresses that rotate", || {
            let contoso = Contoso::at_addresses(3)?;
            contoso.dns.break_all(Fault::Rotate);
            let report = contoso.check()?;
            let addresses = &report.endpoint("login")?["addresses"];
            ensure!(items(addresses).count() == 3, "{addresses}");
            Ok(report)
        }),
        thrives("garbage before the answer", || {
            let contoso = Contoso::new()?;
            contoso.dns.break_all(Fault::GarbageThenTruth);
            contoso.check()
        }),
        thrives("a slow nameserver", || {
            let contoso = Contoso::new()?;
            let slow = Duration::from_millis(300);
            contoso.dns.break_all(Fault::Delay(slow));
            let report = contoso.check()?;
            let took = report.lookup()?["seconds"].as_f64().context("no time")?;
            ensure!(took >= slow.as_secs_f64(), "{took} s");
            Ok(report)
        }),
        thrives("TLS 1.2 at most", || {
            let pki = Pki::new()?;
            let front = Nginx::at((loopback(), 0)).tls(&pki.leaf([LOGIN]).issue()?);
            let nginx = front
                .protocols("TLSv1.2")
                .answer("/v2/", 200, "{}")
                .start()?;
            let node = pinned_to(nginx.addr())?.trusting(&pki.ca_pem())?;
            let report = node.check(&at(nginx.addr()))?;
            let version = text(&report.stage("login", "tls")?["detail"]);
            ensure!(version.starts_with("TLS1.2"), "{version}");
            Ok(report)
        })
        .needs([Need::NGINX]),
        thrives("a chain with an intermediate", || {
            let pki = Pki::new()?;
            let nginx = nginx(&pki.leaf([LOGIN]).via_intermediate().issue()?)?;
            let node = pinned_to(nginx.addr())?.trusting(&pki.ca_pem())?;
            let report = node.check(&at(nginx.addr()))?;
            let chain = &report.stage("login", "tls")?["certificates"];
            ensure!(items(chain).count() == 2, "{chain}");
            Ok(report)
        })
        .needs([Need::NGINX]),
        thrives("a certificate that signs itself, CA:TRUE, trusted", || {
            let identity = self_signed([LOGIN]).with_ca_true().issue()?;
            let nginx = nginx(&identity)?;
            let node = pinned_to(nginx.addr())?.trusting(identity.chain_pem())?;
            node.check(&at(nginx.addr()))
        })
        .needs([Need::NGINX]),
        thrives("a registry without a name", || {
            let (pki, ip) = (Pki::new()?, loopback());
            let nginx = nginx_at(ip, &pki.leaf([ip.to_string()]).issue()?)?;
            let node = Node::asking([])?.trusting(&pki.ca_pem())?;
            node.check(&nginx.addr().to_string())
        })
        .needs([Need::NGINX]),
        thrives("a token service on another host", || {
            let contoso = Contoso::new()?;
            let auth = Acr::at(AUTH, (loopback(), 0)).tls(&contoso.pki).start()?;
            contoso.dns.zone(AUTH).address(AUTH, [auth.addr().ip()], 60);
            let realm = format!("https://{}/oauth2/token", auth.server());
            let report = contoso.challenges(Challenge::Realm(realm))?;
            ensure!(auth.seen_on(Route::Token).len() == 1);
            ensure!(report.endpoint("token")?["host"] == AUTH);
            ensure!(report.stage("token", "token")?["ok"] == true);
            Ok(report)
        }),
        thrives("a private registry that denies the anonymous token", || {
            let report = Contoso::new()?.check()?;
            let detail = text(&report.stage("login", "token")?["detail"]);
            ensure!(detail.starts_with("denied"), "{detail}");
            Ok(report)
        }),
        thrives("a registry for everybody", || {
            let contoso = Contoso::new()?;
            contoso.acr.allow_anonymous_pull(true);
            let image = "images: [\"probe/hello:v1\"], anonymous_pull: true";
            let report = contoso.checking().setting(image).run()?;
            ensure!(report.stage("login", "token")?["detail"] == "granted");
            Ok(report)
        }),
        test(
            "read and yet failing: several challenges in one line",
            || {
                let report = Contoso::new()?.challenges(Challenge::Several)?;
                ensure!(report.stage("login", "token")?["ok"] == true);
                // containerd only reads the first challenge of a line.
                ensure!(report.verdict() == "failing");
                Ok(())
            },
        ),
        thrives("Basic alone: there is no token to ask for", || {
            let report = Contoso::new()?.challenges(Challenge::BasicOnly)?;
            ensure!(report.stage("login", "token").is_err());
            Ok(report)
        }),
    ];
    for challenge in [
        Challenge::MixedCase,
        Challenge::QuotedPairs,
        Challenge::ExtraParameters,
        Challenge::BasicAndBearer,
    ] {
        let story = format!("an odd and legal challenge, {challenge:?}");
        tests.push(thrives(&story, move || {
            let report = Contoso::new()?.challenges(challenge)?;
            ensure!(report.stage("login", "token")?["ok"] == true);
            Ok(report)
        }));
    }
    for (route, answers) in [
        (
            Route::Ping,
            vec![
                Answer::Mcr,
                Answer::EmptyJson,
                Answer::Chunked,
                Answer::Http10,
            ],
        ),
        (Route::Token, vec![Answer::Chunked, Answer::Http10]),
        (
            Route::Data,
            [400, 403, 404, 429, 500].map(Answer::Status).to_vec(),
        ),
        (
            Route::Data,
            vec![
                Answer::RedirectTo("https://elsewhere.example/".to_owned()),
                Answer::HangInBody,
                Answer::EndlessBody,
                Answer::Http10,
            ],
        ),
    ] {
        for answer in answers {
            tests.push(thrives(
                &format!("{route:?} answers {answer:?}"),
                move || {
                    let contoso = Contoso::new()?;
                    contoso.acr.answer(route, answer);
                    contoso.check()
                },
            ));
        }
    }
    tests
}

/// Nothing fails, even if it looks odd.
pub(super) fn thrives(story: &str, run: impl FnOnce() -> Result<Report> + Send + 'static) -> Test {
    test(format!("healthy: {story}"), || {
        let report = run()?;
        let failures = report.failures();
        ensure!(failures.is_empty(), "{failures:?} in {}", report.document);
        ensure!(report.verdict() == "ok", "{}", report.document);
        ensure!(report.status == Some(0), "exit status {:?}", report.status);
        Ok(())
    })
}

/// Records that lead from the login server through this many aliases to its address.
pub(super) fn aliases(count: usize, word: &str, ip: IpAddr) -> String {
    let names: Vec<_> = (1..=count).map(|n| format!("{word}{n}")).collect();
    let owners = std::iter::once("contoso").chain(names.iter().map(String::as_str));
    let chain: String = owners
        .zip(&names)
        .map(|(owner, target)| format!("{owner} CNAME {target}\n"))
        .collect();
    format!("{chain}{word}{count} A {ip}\n")
}
