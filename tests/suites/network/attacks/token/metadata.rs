//! Metadata services that ask to wait for any time, or say nothing: they are asked once in a check, however many
//! registries have an identity.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use anyhow::{Context, Result, ensure};
use regprobe_harness::node::{Node, Report};
use regprobe_harness::suite::Test;
use regprobe_lab::addresses::loopback;
use regprobe_lab::fakes::acr::{Acr, Route};
use regprobe_lab::fakes::dns::Dns;
use regprobe_lab::fakes::metadata::ADDRESS;
use regprobe_lab::image::Image;
use regprobe_lab::netns::Namespace;
use regprobe_lab::pki::Pki;

use crate::attacks::site::answer;
use crate::attacks::{in_arena, lock};

const REGISTRIES: [&str; 3] = [
    "contoso.azurecr.io",
    "fabrikam.azurecr.io",
    "northwind.azurecr.io",
];

pub(crate) fn tests() -> Vec<Test> {
    vec![
        in_arena("metadata: any time to wait".to_owned(), any_time_to_wait),
        in_arena("metadata: silence".to_owned(), silence),
    ]
}

fn any_time_to_wait() -> Result<()> {
    let long = "9".repeat(20_000);
    let waits = [
        "120",
        "0",
        "-120",
        "1e9",
        "99999999999999999999999999999999",
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "Fri, 31 Dec 99999 23:59:59 GMT",
        "Fri, 99 Foo 2099 99:99:99 GMT",
        "soon",
        "",
        "120, 240",
        "\u{fffd}",
        &long,
    ];
    in_scene(|scene| {
        for wait in waits {
            for (status, reason) in [
                ("429 Too Many Requests", "throttled"),
                ("410 Gone", "unexpected_status"),
            ] {
                let wait = format!("Retry-After: {wait}");
                let asked = scene.asked_once(&answer(status, &[&wait], "{}"), reason);
                asked.with_context(|| format!("{status}, {}", wait.get(..40).unwrap_or(&wait)))?;
            }
        }
        Ok(())
    })
}

fn silence() -> Result<()> {
    in_scene(|scene| scene.asked_once("", "timeout"))
}

/// Registries with an identity each, and a metadata service.
struct Scene {
    node: Node,
    acrs: Vec<Acr>,
    service: Service,
    _dns: Dns,
}

fn in_scene(run: impl FnOnce(&Scene) -> Result<()> + Send) -> Result<()> {
    let namespace = Namespace::new("metadata")?;
    namespace.address(&format!("{}/32", ADDRESS.ip()))?;
    namespace.enter(|| run(&Scene::new()?))
}

impl Scene {
    fn new() -> Result<Self> {
        let (pki, dns) = (Pki::new()?, Dns::start((loopback(), 0))?);
        dns.zone("azurecr.io");
        let start = |name| {
            let acr = Acr::at(name, (loopback(), 0)).tls(&pki);
            let acr = acr.image(Image::hello()?).start()?;
            dns.address(name, [acr.addr().ip()], 60);
            Ok(acr)
        };
        Ok(Self {
            acrs: REGISTRIES.into_iter().map(start).collect::<Result<_>>()?,
            node: Node::asking([dns.addr()])?.trusting(&pki.ca_pem())?,
            service: Service::start(TcpListener::bind(ADDRESS)?),
            _dns: dns,
        })
    }

    /// Each of the registries has the outcome of the one question, which is answered so.
    fn asked_once(&self, says: &str, reason: &str) -> Result<()> {
        says.clone_into(&mut lock(&self.service.says));
        self.service.asked.store(0, Ordering::SeqCst);
        let entries = self.acrs.iter().map(|acr| {
            let server = acr.server();
            format!(
                "{{server: \"{server}\", images: [\"probe/hello:v1\"], credentials: {{managed_identity: {{}}}}}}"
            )
        });
        let config = self.node.configure(&entries.collect::<Vec<_>>())?;
        let mut check = self
            .node
            .regprobe(["check", "--output=json", "--config.file"]);
        let document = Report::of(&check.arg(config).output()?)?.document;
        for (number, acr) in self.acrs.iter().enumerate() {
            let seen = &document["registries"][number];
            let mut findings = seen["findings"].as_array().into_iter().flatten();
            ensure!(seen["server"] == acr.server(), "{seen:#}");
            ensure!(
                findings
                    .any(|finding| finding["stage"] == "identity" && finding["reason"] == reason),
                "not {reason}: {seen:#}"
            );
            ensure!(acr.seen_on(Route::Exchange).is_empty());
        }
        let asked = self.service.asked.load(Ordering::SeqCst);
        ensure!(asked == 1, "asked {asked} times");
        Ok(())
    }
}

/// It answers everything the same, and keeps connections open. An empty answer is none.
struct Service {
    says: Arc<Mutex<String>>,
    asked: Arc<AtomicUsize>,
}

impl Service {
    fn start(listener: TcpListener) -> Self {
        let (says, asked) = (Arc::default(), Arc::default());
        let service = Self { says, asked };
        let (says, asked) = (service.says.clone(), service.asked.clone());
        thread::spawn(move || {
            let mut open = Vec::new();
            for stream in listener.incoming().flatten() {
                asked.fetch_add(1, Ordering::SeqCst);
                // A client that breaks off is the client's business.
                let _ = respond(&stream, &lock(&says));
                open.push(stream);
            }
        });
        service
    }
}

fn respond(mut stream: &TcpStream, says: &str) -> Result<()> {
    let mut head = String::new();
    let mut lines = BufReader::new(stream);
    while !head.ends_with("\r\n\r\n") {
        ensure!(lines.read_line(&mut head)? > 0, "cut off");
    }
    Ok(stream.write_all(says.as_bytes())?)
}
