//! Every way in which a stage can fail, each produced by a real server or socket that does exactly that,
//! and read from `regprobe check --output=json`. Also: what looks odd and is healthy.

mod closed_set;
mod connect;
mod healthy;
mod http;
mod resolve;
mod tls;

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Result, ensure};
use regprobe_harness::contoso::LOGIN;
use regprobe_harness::need::Need;
use regprobe_harness::node::{Node, Report};
use regprobe_harness::suite::{Suite, Test, test};
use regprobe_lab::addresses::loopback;
use regprobe_lab::pki::Identity;
use regprobe_lab::servers::Nginx;

use self::closed_set::the_set_is_closed;
use self::connect::connect;
use self::healthy::healthy;
use self::http::{challenge, http, token};
use self::resolve::resolve;
use self::tls::tls;

const AUTH: &str = "auth.lab.example";

/// A free port of the address on which BIND listens as well.
const ANY: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);
/// Addresses for documentation: unused, and without a route from a new namespace.
const NOWHERE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);

pub(crate) fn suite() -> Suite {
    let failing = cases().into_iter().map(Case::into_test);
    let closed_set = test(
        "every reason of every stage is produced or explained",
        the_set_is_closed,
    );
    Suite::of(failing.chain(healthy()).chain([closed_set]))
}

fn cases() -> Vec<Case> {
    [resolve(), connect(), tls(), challenge(), token(), http()]
        .into_iter()
        .flatten()
        .collect()
}

/// One failure and its cause.
struct Case {
    /// `stage reason: story`
    name: String,
    role: &'static str,
    needs: Vec<Need>,
    run: Box<dyn FnOnce() -> Result<Report> + Send>,
}

/// At the login server for this reason, and nowhere else.
fn fails(name: &str, run: impl FnOnce() -> Result<Report> + Send + 'static) -> Case {
    Case {
        name: name.to_owned(),
        role: "login",
        needs: Vec::new(),
        run: Box::new(run),
    }
}

impl Case {
    /// At the endpoint of this role instead.
    fn at(self, role: &'static str) -> Self {
        Self { role, ..self }
    }

    fn needs(mut self, needs: impl IntoIterator<Item = Need>) -> Self {
        self.needs.extend(needs);
        self
    }

    fn stage_and_reason(&self) -> (String, String) {
        let (place, _) = self
            .name
            .split_once(": ")
            .expect("a colon before the story");
        let (stage, reason) = place.split_once(' ').expect("a stage and a reason");
        (stage.to_owned(), reason.to_owned())
    }

    fn into_test(self) -> Test {
        let (stage, reason) = self.stage_and_reason();
        let expected = BTreeSet::from([(self.role.to_owned(), stage, reason)]);
        test(self.name, move || {
            let report = (self.run)()?;
            let failures = report.failures();
            ensure!(failures == expected, "{failures:?} in {}", report.document);
            Ok(())
        })
        .needs(self.needs)
    }
}

/// A node whose hosts file has the login server at this address.
fn pinned_to(addr: SocketAddr) -> Result<Node> {
    Node::pinning(LOGIN, addr.ip())
}

/// The login server on the port of this address.
fn at(addr: SocketAddr) -> String {
    format!("{LOGIN}:{}", addr.port())
}

fn dialling(addr: SocketAddr) -> Result<Report> {
    pinned_to(addr)?.check(&at(addr))
}

/// The report with the smallest sufficient number of descriptors.
fn starved(node: &Node, server: &str, enough: impl Fn(&Report) -> bool) -> Result<Report> {
    for limit in 4..64 {
        let output = node.checking(server).with_descriptors(limit).output()?;
        if let Some(report) = Report::of(&output).ok().filter(&enough) {
            return Ok(report);
        }
    }
    anyhow::bail!("no number of descriptors is enough")
}

fn nginx(identity: &Identity) -> Result<Nginx> {
    nginx_at(loopback(), identity)
}

/// It answers like a registry without authentication.
fn nginx_at(ip: Ipv4Addr, identity: &Identity) -> Result<Nginx> {
    Nginx::at((ip, 0))
        .tls(identity)
        .answer("/v2/", 200, "{}")
        .start()
}
