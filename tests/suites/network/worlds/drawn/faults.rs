//! The faults of which worlds are made. Some of them are harmless, at least alone.

use serde_json::{Value, json};

use super::answers;
use super::credentials::{identity, secret};
use super::detours::{mirror, proxy, settings_of_its_own};
use super::homes::{MIRROR, Site, TOKEN_SERVER};
use super::{Draft, NAMESERVERS};

type Fault = fn(&mut Draft);

/// How often each is drawn.
pub(super) const FAULTS: [(u32, Fault); 20] = [
    (4, nameserver),
    (4, answer_set),
    (2, resolver_option),
    (2, search_domain),
    (3, hosts_file),
    (1, dual_stack),
    (4, packets),
    (1, packets_of_the_node),
    (4, certificate),
    (3, connection),
    (5, answer),
    (4, answer_of_its_kind),
    (2, redirect),
    (1, late),
    (3, registry),
    (5, mirror),
    (2, settings_of_its_own),
    (3, proxy),
    (4, secret),
    (4, identity),
];

/// A host that is up and closed, and one that is silent.
const CLOSED: &str = "10.240.1.2";
const SILENT: &str = "10.240.1.99";

fn nameserver(draft: &mut Draft) {
    let health = draft.draw.one(&[
        "silent",
        "closed",
        "failing",
        "refusing",
        "babbling",
        "slow",
        "very slow",
        "filtering",
        "silent about AAAA",
        "truncating",
        "truncating, with TCP closed",
        "rotating",
        "silent about data",
        "looping",
    ]);
    draft.draw.among(&mut draft.nameservers)["is"] = json!(health);
}

/// What a nameserver says of a name.
fn answer_set(draft: &mut Draft) {
    let site = draft.site();
    let addresses = addresses(draft, site);
    let chain = draft.draw.one(&[
        "not linked",
        "public",
        "record missing",
        "alias broken",
        "no address",
        "unknown",
    ]);
    let lists = !draft.draw.once_in(3);
    let nameserver = draft.draw.among(&mut draft.nameservers);
    match (site.key, lists) {
        ("login" | "data", true) => nameserver[site.key] = json!({"linked to": addresses}),
        ("login" | "data", false) => nameserver[site.key] = json!(chain),
        ("public_login", true) => nameserver["login"] = json!({"public at": addresses}),
        ("public_data", true) => nameserver["data"] = json!({"public at": addresses}),
        ("public_login", false) => nameserver["login"] = json!(chain),
        ("public_data", false) => nameserver["data"] = json!(chain),
        (_, lists) => {
            nameserver["lacks"] = json!([site.host]);
            if lists {
                nameserver["also"] = json!({site.host: addresses});
            }
        }
    }
}

/// One or two addresses for a site, right or wrong.
fn addresses(draft: &mut Draft, site: Site) -> Vec<&'static str> {
    let mut addresses = Vec::new();
    for _ in 0..draft.draw.number(1, 2) {
        let pool = [
            site.addresses[0],
            site.addresses[0],
            CLOSED,
            SILENT,
            draft.site().addresses[0],
        ];
        let address = draft.draw.one(&pool);
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    addresses
}

fn resolver_option(draft: &mut Draft) {
    let option = draft.draw.one(&[
        "timeout:1",
        "timeout:2",
        "attempts:1",
        "attempts:3",
        "rotate",
        "ndots:0",
        "ndots:3",
        "use-vc",
        "single-request",
        "edns0",
        "trust-ad",
        "no-aaaa",
        "inet6",
    ]);
    draft.resolv_conf.push(format!("options {option}\n"));
}

fn search_domain(draft: &mut Draft) {
    let domains = draft.draw.one(&[
        "contoso.example",
        "contoso.example corp.example",
        ".",
        "azurecr.io",
    ]);
    draft.resolv_conf.push(format!("search {domains}\n"));
}

fn hosts_file(draft: &mut Draft) {
    let site = draft.site();
    for address in addresses(draft, site) {
        draft.hosts.push(format!("{address} {}\n", site.host));
    }
}

/// A name has an IPv6 address beside, at which nobody is, and the node may have a way there.
fn dual_stack(draft: &mut Draft) {
    let site = draft.site();
    let has_route = draft.draw.once_in(2);
    draft.world.insert("node_ipv6".to_owned(), json!(has_route));
    let both = json!([site.addresses[0], "2001:db8::99"]);
    for nameserver in &mut draft.nameservers {
        match site.key {
            "login" | "public_login" => nameserver["login"] = json!({"public at": both}),
            "data" | "public_data" => nameserver["data"] = json!({"public at": both}),
            _ => {
                nameserver["lacks"] = json!([site.host]);
                nameserver["also"] = json!({site.host: both});
            }
        }
    }
}

fn packets(draft: &mut Draft) {
    let site = draft.site();
    let packets = draft.draw.one(&[
        "dropped",
        "refused",
        "unreachable",
        "prohibited",
        "dropped when large",
        "dropped when large on the way back",
    ]);
    let mut targets = site.addresses.to_vec();
    targets.push(site.key);
    if !draft.home.is_on_the_node() || site.key != "on_the_node" {
        let target = draft.draw.one(&targets);
        draft.set("packets", target, packets);
    }
}

fn packets_of_the_node(draft: &mut Draft) {
    let site = draft.site();
    let packets = draft.draw.one(&["dropped", "prohibited"]);
    let target = draft.draw.one(&[site.addresses[0], NAMESERVERS[0]]);
    if site.key != "on_the_node" {
        draft.set("node_packets", target, packets);
    }
}

fn certificate(draft: &mut Draft) {
    let site = draft.site();
    let certificate = draft.draw.one(&[
        "expired",
        "not yet valid",
        "ends in three days",
        "by an unknown issuer",
        "by the corporate authority",
        "for another name",
        "without names",
        "for any usage",
        "for clients alone",
        "of an authority",
        "with critical policies",
        "with an unknown critical extension",
        "by an intermediate",
        "by an intermediate that is not sent",
        "by an intermediate that may not sign",
        "with an expired cross-certificate",
        "self-signed",
        "self-signed and trusted",
    ]);
    draft.set(site.key, "certificate", certificate);
    if draft.draw.once_in(4) {
        draft.set(site.key, "asks_for_certificate", true);
    }
}

fn connection(draft: &mut Draft) {
    let site = draft.site();
    let connection = draft.draw.one(&[
        "closes",
        "resets",
        "stalls",
        "closes after the hello",
        "resets after the hello",
        "stalls after the hello",
        "drops large hellos",
        "speaks plain HTTP",
        "speaks SSH",
        "ends at TLS 1.1",
        "ends at TLS 1.2",
        "has CBC alone",
        "has RSA key exchange alone",
        "agrees to nothing",
        "does not know the name",
        "denies access",
        "fails inside",
    ]);
    draft.set(site.key, "connection", connection);
}

/// Any answer, to one kind of request or to all.
fn answer(draft: &mut Draft) {
    let site = draft.site();
    let answer = answers::any(&mut draft.draw);
    let part = part(draft, site);
    draft.set(site.key, part, answer);
}

fn part(draft: &mut Draft, site: Site) -> &'static str {
    match site.key {
        "data" | "public_data" => "answers",
        "token_server" => draft.draw.one(&["answers", "token"]),
        _ => draft.draw.one(&[
            "answers", "ping", "token", "token", "manifest", "manifest", "blob", "blob",
        ]),
    }
}

/// An answer that only this kind of request gets.
fn answer_of_its_kind(draft: &mut Draft) {
    let site = draft.site();
    let part = part(draft, site);
    let answer = match part {
        "token" => answers::of_token_service(&mut draft.draw),
        "manifest" => answers::of_manifest(&mut draft.draw),
        _ => answers::of_blob(&mut draft.draw),
    };
    if answer.get("to the last layer").is_some() {
        draft.set("registry", "layers", json!(3));
    }
    draft.set(site.key, part, answer);
}

fn redirect(draft: &mut Draft) {
    let site = draft.site();
    let part = part(draft, site);
    let redirect = answers::redirect(&mut draft.draw, site.host);
    draft.set(site.key, part, redirect);
    draft.open(draft.home.sites[0].key);
    let opened = draft.draw.one(&["mirror", "token_server"]);
    draft.open(opened);
}

/// Late answers, which count as waits from a second on.
fn late(draft: &mut Draft) {
    let site = draft.site();
    match draft.draw.once_in(2) {
        true => {
            let part = part(draft, site);
            let seconds = draft.draw.one(&[2, 4, 12]);
            draft.set(site.key, part, json!({"late by": seconds}));
        }
        false => {
            draft.set(site.key, "late_seconds", 2.0);
        }
    }
}

/// What holds for the registry as a whole.
fn registry(draft: &mut Draft) {
    let (key, value): (_, Value) = match draft.draw.number(0, 7) {
        0 => (
            "platforms",
            json!(
                draft
                    .draw
                    .one(&[&["linux/arm64"][..], &[], &["linux/amd64"]])
            ),
        ),
        1 => (
            draft
                .draw
                .one(&["platforms_unsaid", "first_platform_unsaid"]),
            json!(true),
        ),
        2 => ("layer_kib", json!(64)),
        3 => ("layers", json!(draft.draw.one(&[2, 3, 12]))),
        4 => ("anonymous_pull", json!(false)),
        5 => ("open", json!(true)),
        6 => (
            "clock_ahead_seconds",
            json!(draft.draw.one(&[-86400, 7200])),
        ),
        _ => (
            "challenge",
            json!(draft.draw.one(&[
                "mixed case",
                "several in one header",
                "quoted pairs",
                "extra parameters",
                "basic and bearer",
                "basic only",
                "to the token server",
            ])),
        ),
    };
    draft.set("registry", key, value);
}

impl Draft {
    /// An endpoint that the pull needs, or a mirror that there is.
    pub(super) fn site(&mut self) -> Site {
        let mut sites = self.home.sites.to_vec();
        let others = [MIRROR, TOKEN_SERVER].into_iter();
        sites.extend(others.filter(|site| self.world.contains_key(site.key)));
        self.draw.one(&sites)
    }
}
