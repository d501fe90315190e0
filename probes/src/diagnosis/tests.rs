//! Tests every rule of the diagnosis with hand-made outcomes, against everything that it says about
//! them.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use super::{Code, Expectations, Finding, Severity, Verdict, diagnose};
use crate::{
    node::misconfigured::{Misconfigured, SettingPlace},
    outcome::{Asked, Credentials, Walk, WalkEnd},
    words::{
        endpoint::{Endpoint, Nameserver, Role, Turn},
        reason::Stage,
        target::Image,
    },
};

use self::build::{Met, expecting_private, outcome};

mod any;
mod build;
mod credentials;
mod downloads;
mod healthy;
mod names;
mod nameservers;
mod properties;
mod requests;
mod way;
mod words;

#[test]
fn stories() {
    let stories = all_stories();
    let wrong: Vec<_> = stories
        .iter()
        .filter_map(|story| story.check().err())
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_code_has_a_story() {
    let found: BTreeSet<_> = all_stories()
        .iter()
        .flat_map(|story| story.finds.iter().map(|expected| expected.code))
        .collect();
    let missing: Vec<_> = Code::ALL
        .iter()
        .filter(|code| !found.contains(code))
        .collect();
    assert!(missing.is_empty(), "no story finds {missing:?}");
}

fn all_stories() -> Vec<Story> {
    [
        names::stories(),
        nameservers::stories(),
        way::stories(),
        requests::stories(),
        downloads::stories(),
        credentials::stories(),
        credentials::stories_of_identity(),
    ]
    .concat()
}

/// What a round saw, and everything that the diagnosis must say about it.
#[derive(Clone)]
struct Story {
    title: &'static str,
    met: Vec<Met>,
    misconfigured: Vec<Misconfigured>,
    /// Why its hosts are not known.
    unseen_hosts: Option<&'static str>,
    /// How the walk to its image ended.
    walk: Option<WalkEnd>,
    /// What was offered for it.
    credentials: Credentials,
    expectations: Expectations,
    verdict: Verdict,
    finds: Vec<Expected>,
}

/// A story that ends well, with private endpoints expected.
fn story(title: &'static str, met: impl IntoIterator<Item = Met>) -> Story {
    Story {
        title,
        met: met.into_iter().collect(),
        misconfigured: Vec::new(),
        unseen_hosts: None,
        walk: None,
        credentials: Credentials::default(),
        expectations: expecting_private(),
        verdict: Verdict::Ok,
        finds: Vec::new(),
    }
}

impl Story {
    fn under(mut self, expectations: Expectations) -> Self {
        self.expectations = expectations;
        self
    }

    fn with_hosts_toml(mut self, fatal: bool) -> Self {
        let problem = "hosts.toml: line 3: not TOML".to_owned();
        self.misconfigured.push(Misconfigured {
            place: SettingPlace::CertsD,
            client_error: fatal.then(|| problem.clone()),
            problem,
            fatal,
        });
        self
    }

    fn with_misread_proxy(mut self, problem: &str) -> Self {
        self.misconfigured.push(Misconfigured {
            place: SettingPlace::Proxy,
            problem: problem.to_owned(),
            fatal: false,
            client_error: None,
        });
        self
    }

    fn not_seeing_hosts(mut self, why: &'static str) -> Self {
        self.unseen_hosts = Some(why);
        self
    }

    /// A walk through all endpoints failed, and containerd would print this.
    fn whose_walk_fails(self, denied: bool, error: &str) -> Self {
        let error = Some(error.to_owned());
        self.whose_walk(WalkEnd::Failed { error, denied })
    }

    fn whose_walk(mut self, end: WalkEnd) -> Self {
        self.walk = Some(end);
        self
    }

    fn offering(mut self, credentials: Credentials) -> Self {
        self.credentials = credentials;
        self
    }

    fn degraded_by(self, finds: impl IntoIterator<Item = Expected>) -> Self {
        self.ends(Verdict::Degraded, finds)
    }

    fn fails_by(self, finds: impl IntoIterator<Item = Expected>) -> Self {
        self.ends(Verdict::Failing, finds)
    }

    fn unknown_with(self, finds: impl IntoIterator<Item = Expected>) -> Self {
        self.ends(Verdict::Unknown, finds)
    }

    fn ok_with(self, finds: impl IntoIterator<Item = Expected>) -> Self {
        self.ends(Verdict::Ok, finds)
    }

    fn ends(mut self, verdict: Verdict, finds: impl IntoIterator<Item = Expected>) -> Self {
        self.verdict = verdict;
        self.finds = finds.into_iter().collect();
        self
    }

    fn check(&self) -> Result<(), String> {
        let mut outcome = outcome(self.met.clone());
        outcome.misconfigured.clone_from(&self.misconfigured);
        outcome.unseen_hosts = self.unseen_hosts.map(str::to_owned);
        let route = || {
            let seen = outcome.endpoints.iter();
            seen.map(|seen| (seen.endpoint.clone(), seen.turn))
        };
        outcome.walks = self
            .walk
            .iter()
            .map(|end| Walk {
                credentials: self.credentials.clone(),
                ..walk(end.clone(), route().collect())
            })
            .collect();
        let diagnosis = diagnose(&outcome, &self.expectations);
        let mut wrong: Vec<String> = Vec::new();
        if diagnosis.verdict() != self.verdict {
            wrong.push(format!("it is {:?}", diagnosis.verdict()));
        }
        let mut left: Vec<_> = diagnosis.findings.iter().collect();
        for expected in &self.finds {
            match left.iter().position(|finding| expected.is(finding)) {
                Some(at) => wrong.extend(expected.compare(left.remove(at))),
                None => wrong.push(format!("missing: {expected:?}")),
            }
        }
        wrong.extend(
            left.iter()
                .map(|finding| format!("unexpected: {finding:#?}")),
        );
        match wrong.is_empty() {
            true => Ok(()),
            false => Err(format!("{}\n  {}", self.title, wrong.join("\n  "))),
        }
    }
}

fn walk(end: WalkEnd, route: Vec<(Endpoint, Turn)>) -> Walk {
    let (repository, reference) = ("probe/hello".to_owned(), "v1".to_owned());
    Walk {
        image: Image {
            repository,
            reference,
        },
        end,
        credentials: Credentials::default(),
        route: route
            .into_iter()
            .map(|(endpoint, turn)| Asked::at(&endpoint, turn, Stage::Manifest))
            .collect(),
        challenge: None,
    }
}

/// The parts of a finding that are checked.
#[derive(Clone, Debug)]
struct Expected {
    code: Code,
    severity: Severity,
    role: Role,
    nameserver: Option<Arc<Nameserver>>,
    address: Option<IpAddr>,
    client: Option<Client>,
    shows: Vec<&'static str>,
    /// A part of its remedy.
    advises: &'static str,
}

/// What containerd prints.
#[derive(Clone, Debug)]
enum Client {
    Says(&'static str),
    SaysNothing { because: &'static str },
}

fn critical(code: Code) -> Expected {
    Expected::new(code, Severity::Critical)
}

fn warning(code: Code) -> Expected {
    Expected::new(code, Severity::Warning)
}

fn info(code: Code) -> Expected {
    Expected::new(code, Severity::Info)
}

impl Expected {
    /// A finding at the login server.
    fn new(code: Code, severity: Severity) -> Self {
        Self {
            code,
            severity,
            role: Role::Login,
            nameserver: None,
            address: None,
            client: None,
            shows: Vec::new(),
            advises: "",
        }
    }

    fn at(self, role: Role) -> Self {
        Self { role, ..self }
    }

    fn by(self, nameserver: &Arc<Nameserver>) -> Self {
        let nameserver = Some(nameserver.clone());
        Self { nameserver, ..self }
    }

    fn on(self, address: &str) -> Self {
        let address = Some(address.parse().unwrap());
        Self { address, ..self }
    }

    fn saying(self, text: &'static str) -> Self {
        let client = Some(Client::Says(text));
        Self { client, ..self }
    }

    fn saying_nothing(self, because: &'static str) -> Self {
        let client = Some(Client::SaysNothing { because });
        Self { client, ..self }
    }

    /// Its message or evidence contains this text.
    fn showing(mut self, text: &'static str) -> Self {
        self.shows.push(text);
        self
    }

    fn advising(self, advises: &'static str) -> Self {
        Self { advises, ..self }
    }

    fn is(&self, finding: &Finding) -> bool {
        let nameserver = self.nameserver.as_ref().map(ToString::to_string);
        (self.code, self.severity, self.role)
            == (finding.code, finding.severity, finding.endpoint.role)
            && (&nameserver, self.address) == (&finding.nameserver, finding.address)
    }

    /// What in its texts is not as expected.
    fn compare(&self, finding: &Finding) -> Vec<String> {
        let code = self.code;
        let mut wrong = Vec::new();
        let said = finding.client_error.as_deref();
        match (&self.client, said) {
            (Some(Client::Says(text)), Some(said)) if said.contains(text) => {}
            (Some(Client::SaysNothing { because }), None) if !because.is_empty() => {}
            (None, None) if self.severity < Severity::Critical => {}
            (expected, _) => wrong.push(format!("{code}: client says {said:?}, not {expected:?}")),
        }
        for text in &self.shows {
            let words = || std::iter::once(&finding.message).chain(&finding.evidence);
            if !words().any(|words| words.contains(text)) {
                wrong.push(format!(
                    "{code}: no {text:?} in {:?}",
                    words().collect::<Vec<_>>()
                ));
            }
        }
        if !finding.remedy.contains(self.advises) {
            wrong.push(format!("{code}: advises {:?}", finding.remedy));
        }
        if finding.message.is_empty() || finding.evidence.is_empty() || finding.remedy.is_empty() {
            wrong.push(format!("{code}: no message, evidence or remedy"));
        }
        wrong
    }
}
