//! The runbooks as pages, because they are needed where the web may be unreachable. A page that was opened from a
//! finding has the names and addresses of this node in its commands.

use super::{
    frame::{ABOVE, HERE, frame, in_query},
    html::Html,
    markdown::markdown,
    words::Sentence,
};
use crate::{
    cli::runbooks::Runbook,
    out::status::{FindingStatus, PrivateStatus, RegistryStatus},
};

/// Names and addresses that runbooks have as examples.
mod example {
    pub(super) const NODE: &str = "aks-pool1-12345678-vmss000000";
    pub(super) const NAME: &str = "contoso";
    pub(super) const SERVER: &str = "contoso.azurecr.io";
    pub(super) const CHECK: &str = "regprobe check contoso";
    pub(super) const PRIVATE: &str = " --private=10.240.0.0/16";
    pub(super) const REGION: &str = "westeurope";
    pub(super) const ADDRESS: &str = "10.240.1.4";
    pub(super) const NEW: &str = "NEW=10.240.1.4";
    pub(super) const WRONG: [&str; 2] = ["OLD=10.99.0.4", "DEAD=10.99.0.4"];
    pub(super) const NAMESERVER: &str = "NAMESERVER=10.0.0.4";
}

/// What this node knows of the registry that a runbook was opened for.
pub(crate) struct Known<'a> {
    /// The name of the node.
    pub node: &'a str,
    /// The registry.
    pub registry: &'a RegistryStatus,
}

/// The list of all runbooks.
pub(crate) fn runbooks() -> String {
    frame("Runbooks – regprobe", HERE, |html| {
        header(html, "Runbooks");
        html.tag("main", &[], |html| {
            for (group, runbooks) in Runbook::all() {
                html.leaf("h2", &[], group);
                html.tag("ul", &[("class", &"rounds")], |html| {
                    for runbook in runbooks {
                        html.tag("li", &[], |html| {
                            let href = html.local(format_args!("runbook/{}", runbook.name));
                            html.leaf("a", &[("href", &href)], runbook.name);
                            html.text(format_args!(": {}", runbook.about));
                        });
                    }
                });
            }
        });
    })
}

/// One runbook, with what is `known` in its commands.
pub(crate) fn runbook(runbook: Runbook, known: Option<&Known<'_>>) -> String {
    frame(&format!("{} – regprobe", runbook.name), ABOVE, |html| {
        let (title, text) = runbook.text().split_once('\n').unwrap_or_default();
        header(html, title.trim_start_matches("# "));
        html.tag("main", &[("class", &"runbook")], |html| {
            let text = match known {
                Some(known) => {
                    let finding = known.finding(runbook);
                    about(html, known, finding);
                    known.fill_in(text, finding)
                }
                None => text.to_owned(),
            };
            let query = known.map(|known| format!("?registry={}", in_query(&known.registry.name)));
            let root = html.local("runbook/");
            markdown(html, &text, |to| {
                let page = to.strip_suffix(".md")?.rsplit('/').next()?;
                let page = Runbook::named(page)?.name;
                Some(format!(
                    "{root}{page}{}",
                    query.as_deref().unwrap_or_default()
                ))
            });
        });
    })
}

/// What the page was opened for.
fn about(html: &mut Html, known: &Known<'_>, finding: Option<&FindingStatus>) {
    let Known { node, registry } = known;
    html.tag("p", &[("class", &"note"), ("id", &"filled")], |html| {
        html.text(format_args!(
            "For node {node} and registry {}. ",
            registry.name
        ));
        match finding {
            Some(finding) => html.text(Sentence(&finding.message)),
            None => html.text("This node does not have this finding now."),
        }
        html.text(" The commands have its names and addresses.");
    });
}

impl Known<'_> {
    fn finding(&self, runbook: Runbook) -> Option<&FindingStatus> {
        let mut findings = self.registry.findings.iter();
        findings.find(|finding| finding.code == runbook.name)
    }

    /// `text` with what is known in place of the examples.
    fn fill_in(&self, text: &str, finding: Option<&FindingStatus>) -> String {
        let pairs = self.pairs(finding);
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(next) = rest.chars().next() {
            let here = pairs
                .iter()
                .filter(|(example, _)| rest.starts_with(example));
            match here.max_by_key(|(example, _)| example.len()) {
                Some((example, value)) => {
                    filled.push_str(value);
                    rest = &rest[example.len()..];
                }
                None => {
                    filled.push(next);
                    rest = &rest[next.len_utf8()..];
                }
            }
        }
        filled
    }

    /// Examples, and what to put in their place. Everything here ends in a shell: what has any character that no name
    /// or address has stays an example.
    fn pairs(&self, finding: Option<&FindingStatus>) -> Vec<(&'static str, String)> {
        let server = &*self.registry.server;
        let host = server.rsplit_once(':').map_or(server, |(host, _)| host);
        let azure = host.split_once(".azurecr.").map(|(name, _)| name);
        let mut pairs = vec![
            (example::NODE, self.node.to_owned()),
            (example::SERVER, server.to_owned()),
            (example::CHECK, format!("regprobe check {server}")),
            // The right address of a record is not the one that was found.
            (example::NEW, example::NEW.to_owned()),
            (
                example::PRIVATE,
                match &self.registry.private {
                    PrivateStatus::Anywhere(false) => String::new(),
                    PrivateStatus::Anywhere(true) => " --private".to_owned(),
                    PrivateStatus::Within(ranges) => format!(" --private={}", ranges.join(",")),
                },
            ),
        ];
        if let Some(name) = azure {
            pairs.push((example::NAME, name.to_owned()));
        }
        let hosts = self.registry.endpoints.iter().map(|seen| &*seen.host);
        let concerned = finding.map(|finding| &*finding.endpoint);
        let mut hosts: Vec<_> = hosts.collect();
        hosts.sort_by_key(|host| !concerned.is_some_and(|endpoint| endpoint.starts_with(host)));
        let region = hosts.iter().find_map(|host| {
            let (before, _) = host.split_once(".data.")?;
            Some(before.split_once('.')?.1)
        });
        if let Some(region) = region {
            pairs.push((example::REGION, region.to_owned()));
        }
        if let Some(finding) = finding {
            let address = finding.address.map(|address| address.to_string());
            if let Some(address) = address {
                for wrong in example::WRONG {
                    let (name, _) = wrong.split_once('=').unwrap_or_default();
                    pairs.push((wrong, format!("{name}={address}")));
                }
                if finding.stage != "resolve" {
                    pairs.push((example::ADDRESS, address));
                }
            }
            let nameserver = finding.nameserver.as_ref();
            if let Some((nameserver, _)) = nameserver.and_then(|at| at.rsplit_once(':')) {
                pairs.push((example::NAMESERVER, format!("NAMESERVER={nameserver}")));
            }
        }
        let is_plain = |c: char| c.is_ascii_alphanumeric() || " -=.,:/[]_".contains(c);
        pairs.retain(|(_, value)| value.chars().all(is_plain));
        pairs
    }
}

fn header(html: &mut Html, title: &str) {
    html.tag("header", &[], |html| {
        html.leaf("h1", &[], title);
        html.tag("nav", &[("aria-label", &"Links")], |html| {
            let [status_page, all] = ["", "runbooks"].map(|path| html.local(path));
            html.leaf("a", &[("href", &status_page)], "Status page");
            html.leaf("a", &[("href", &all)], "Runbooks");
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::story;

    fn filled(text: &str, registry: &RegistryStatus, finding: Option<&FindingStatus>) -> String {
        let node = "aks-np1-12345678-vmss000004";
        Known { node, registry }.fill_in(text, finding)
    }

    #[test]
    fn commands_get_what_the_node_knows() {
        let mut registry = RegistryStatus::of(&story::failing());
        registry.server = "myregistry.azurecr.io".to_owned();
        registry.private = PrivateStatus::Within(vec!["192.0.2.0/24".to_owned()]);
        registry.endpoints[1].host = "myregistry.northeurope.data.azurecr.io".to_owned();
        let finding = FindingStatus {
            address: Some([192, 0, 2, 4].into()),
            nameserver: Some("192.0.2.53:53".to_owned()),
            stage: "connect",
            ..registry.findings[0].clone()
        };
        for (text, expected) in [
            (
                "NODE=aks-pool1-12345678-vmss000000",
                "NODE=aks-np1-12345678-vmss000004",
            ),
            (
                "dig contoso.azurecr.io contoso.westeurope.data.azurecr.io",
                "dig myregistry.azurecr.io myregistry.northeurope.data.azurecr.io",
            ),
            ("az acr show -n contoso", "az acr show -n myregistry"),
            (
                "regprobe check contoso --private=10.240.0.0/16 --region=westeurope",
                "regprobe check myregistry.azurecr.io --private=192.0.2.0/24 --region=northeurope",
            ),
            ("nc 10.240.1.4 443", "nc 192.0.2.4 443"),
            (
                "OLD=10.99.0.4 NEW=10.240.1.4",
                "OLD=192.0.2.4 NEW=10.240.1.4",
            ),
            ("NAMESERVER=10.0.0.4", "NAMESERVER=192.0.2.53"),
            (
                "--dns-servers 10.0.0.4 10.0.0.5",
                "--dns-servers 10.0.0.4 10.0.0.5",
            ),
        ] {
            assert_eq!(filled(text, &registry, Some(&finding)), expected);
        }
        // A name that leads to a wrong address says nothing of the right one.
        let drift = FindingStatus {
            stage: "resolve",
            ..finding
        };
        assert_eq!(
            filled("nc 10.240.1.4 443", &registry, Some(&drift)),
            "nc 10.240.1.4 443"
        );
    }

    #[test]
    fn what_a_shell_would_take_for_more_than_a_name_stays_out() {
        let mut registry = RegistryStatus::of(&story::failing());
        registry.server = "a;reboot".to_owned();
        registry.endpoints[1].host = "a.$(reboot).data.azurecr.io".to_owned();
        for text in [
            "dig contoso.azurecr.io",
            "regprobe check contoso",
            "--region=westeurope",
        ] {
            assert_eq!(filled(text, &registry, None), text);
        }
    }

    #[test]
    fn links_between_runbooks_stay_on_this_agent() {
        let registry = RegistryStatus::of(&story::drift());
        let known = Known {
            node: "node-1",
            registry: &registry,
        };
        let page = runbook(
            Runbook::named("PrivateLinkZoneNotLinked").unwrap(),
            Some(&known),
        );
        assert!(page.contains("href=\"../runbook/node-shell?registry=drift\""));
        let hrefs = page.split("href=\"").skip(1);
        let beyond: Vec<_> = hrefs.filter(|href| !href.starts_with("../")).collect();
        assert!(beyond.is_empty(), "{beyond:?}");
    }
}
