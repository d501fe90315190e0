//! The real credential provider of AKS nodes, asked on a node as a kubelet asks it: it gives a credential exactly where
//! this table and the agent say, and complains in the words that runbooks quote.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use regprobe_harness::need::Need;
use regprobe_harness::program::REGPROBE;
use regprobe_harness::suite::{Suite, Test, test};
use regprobe_lab::scenario::Scenario;
use regprobe_lab::servers::{Provided, Release};

use serde_json::Value;

use super::pool::Pool;

/// Most tests wait until the provider gives up.
const WORLDS: usize = 12;

pub(crate) fn suite() -> Suite {
    let pool = Arc::new(Pool::default());
    let tests: Vec<_> = ROWS.iter().map(|row| row.test(&pool)).collect();
    Suite::of(tests).at_a_time(WORLDS).and_then(move || {
        pool.close();
        Ok(())
    })
}

/// A world, and what a kubelet gets there.
struct Row {
    name: &'static str,
    /// In the words of scenarios.
    agent: &'static str,
    world: &'static str,
    gets: Gets,
}

#[derive(Clone, Copy)]
enum Gets {
    Credential,
    /// The provider complains so and ends.
    Complaint(&'static str),
    /// The provider tries again and again. Whether it gives up before the kubelet ends it is chance.
    NothingForLong,
}

use Gets::{Complaint, Credential, NothingForLong};

const NAMED: &str = "{images: [probe/hello:v1], managed_identity: {client_id: d5b9dd1e-0000-4000-8000-000000000002}}";
const UNNAMED: &str = "{images: [probe/hello:v1], managed_identity: {}}";

const fn row(name: &'static str, agent: &'static str, world: &'static str, gets: Gets) -> Row {
    Row {
        name,
        agent,
        world,
        gets,
    }
}

const NOT_ASSIGNED: Gets = Complaint("the requested identity isn't assigned to this resource");
const REFUSED: Gets = Complaint("responded with status code 401");

#[rustfmt::skip]
const ROWS: &[Row] = &[
    row("an identity with its role", NAMED, "{metadata: {}}", Credential),
    row("the only identity, not named", UNNAMED, "{metadata: {}}", Credential),
    row("one of several", NAMED, "{metadata: {identities: [another, d5b9dd1e-0000-4000-8000-000000000002]}}", Credential),
    row("several, none named", UNNAMED, "{metadata: {identities: [one, another]}}", Complaint("Multiple user assigned")),
    row("not on the scale set", NAMED, "{metadata: {identities: [another]}}", NOT_ASSIGNED),
    row("no identity at all", NAMED, "{metadata: {identities: []}}", NOT_ASSIGNED),
    row("metadata not found", NAMED, "{metadata: {answers: {status: 404}}}", Complaint("404")),
    row("metadata gone", NAMED, "{metadata: {answers: {status: 410}}}", Complaint("410")),
    row("metadata throttled", NAMED, "{metadata: {answers: throttled}}", NothingForLong),
    row("metadata in error", NAMED, "{metadata: {answers: {status: 500}}}", NothingForLong),
    row("metadata silent", NAMED, "{}", NothingForLong),
    row("metadata never answers", NAMED, "{metadata: {answers: hangs}}", NothingForLong),
    row("metadata closed", NAMED, "{metadata: {closed: true}}", NothingForLong),
    row("metadata is a page", NAMED, "{metadata: {answers: a page to log in}}", Complaint("invalid character")),
    row("metadata is half an answer", NAMED, "{metadata: {answers: half of a JSON}}", Complaint("unexpected")),
    row("metadata without a token", NAMED, "{metadata: {answers: empty JSON}}", Complaint("token")),
    row(
        "metadata by a proxy", NAMED,
        "{metadata: {}, proxy: healthy, environment: {HTTP_PROXY: \"http://proxy.contoso.example:3128\"}}",
        NothingForLong,
    ),
    row("no role", NAMED, "{metadata: {}, registry: {role: nothing}}", REFUSED),
    row("another tenant", NAMED, "{metadata: {tenant: another}}", REFUSED),
    row("exchange behind the firewall", NAMED, "{metadata: {}, login: {exchange: as the firewall}}", Complaint("403")),
    row("exchange in error", NAMED, "{metadata: {}, login: {exchange: {status: 503}}}", Complaint("503")),
    row("exchange is a page", NAMED, "{metadata: {}, login: {exchange: a page to log in}}", Complaint("unable to read response")),
    row("exchange hangs up", NAMED, "{metadata: {}, login: {exchange: hangs up}}", Complaint("failed to reach auth url")),
    row("no challenge", NAMED, "{metadata: {}, login: {ping: as MCR}}", Complaint("did not issue a valid AAD challenge")),
    row("registry closed", NAMED, "{metadata: {}, packets: {login: refused}}", Complaint("error reaching registry endpoint")),
    // What it has got is no proof of a pull.
    row(
        "ABAC without a role", NAMED,
        "{metadata: {}, registry: {role: nothing, permissions: for repositories}}",
        Credential,
    ),
    row(
        "ABAC for other repositories", NAMED,
        "{metadata: {}, registry: {role: other repositories, permissions: for repositories}}",
        Credential,
    ),
    row("expired when it comes", NAMED, "{metadata: {}, registry: {refresh_token_seconds: 0}}", Credential),
    row("tokens refused", NAMED, "{metadata: {}, login: {token: {status: 401}}}", Credential),
];

/// Whether the kubelet would get a credential, as the agent has it: the exchange succeeds, and nothing is said of a proxy
/// that the provider goes through and the agent does not.
fn agent_expects_one(document: &Value) -> bool {
    let registry = &document["registries"][0];
    let is_proxied = |finding: &Value| finding["code"] == "MetadataProxied";
    let mut findings = registry["findings"].as_array().into_iter().flatten();
    has_exchanged(registry) && !findings.any(is_proxied)
}

fn has_exchanged(value: &Value) -> bool {
    match value {
        Value::Array(values) => values.iter().any(has_exchanged),
        Value::Object(fields) => {
            (value["stage"] == "exchange" && value["ok"] == true)
                || fields.values().any(has_exchanged)
        }
        _ => false,
    }
}

impl Row {
    fn test(&'static self, pool: &Arc<Pool>) -> Test {
        let pool = Arc::clone(pool);
        test(self.name, move || self.judge(&pool))
            .needs(Need::WORLD)
            .needs([Need::CredentialProvider])
            .within(Duration::from_secs(180))
    }

    fn judge(&self, pool: &Pool) -> Result<()> {
        let scenario = Scenario::parse(&format!(
            "story: {}\nagent: {}\nworld: {}\ncontainerd: {{does: pulls}}\nverdict: ok\n",
            self.name, self.agent, self.world
        ))?;
        let (provided, checked) = pool.with_world(|world| {
            let scene = world.set(&scenario)?;
            let provided = scene.provide("probe/hello")?;
            Ok((provided, scene.check(&REGPROBE, Release::NEWEST)?))
        })?;
        self.compare(&provided)?;
        let expected = provided.credential.is_some();
        let document = &checked.document;
        ensure!(
            agent_expects_one(document) == expected,
            "a credential: {expected}; the agent: {document:#}{}",
            checked.complaint
        );
        Ok(())
    }

    fn compare(&self, provided: &Provided) -> Result<()> {
        let Provided {
            credential,
            complaint,
            ..
        } = provided;
        let is_as_told = match self.gets {
            Credential => credential.is_some(),
            Complaint(text) => credential.is_none() && complaint.contains(text),
            NothingForLong => credential.is_none() && provided.took > Duration::from_secs(40),
        };
        ensure!(is_as_told, "{provided:#?}");
        Ok(())
    }
}
