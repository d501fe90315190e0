//! The document of the HTTP API against a running agent: every path, parameter, status, header and type
//! in it is seen, and no answer has anything else. `agent/src/web/answer.rs` tests that the document has
//! all paths.

use std::fs;

use anyhow::{Context, Result, ensure};
use regprobe_harness::agent::Agent;
use regprobe_harness::ground::Ground;
use regprobe_harness::output::openapi::OpenApi;
use regprobe_harness::suite::{Suite, test};
use regprobe_lab::addresses::loopback;
use regprobe_lab::client::{self, Reply};
use regprobe_lab::fakes::acr::{Answer, Route};
use regprobe_lab::fakes::sockets;

pub(crate) fn suite() -> Suite {
    Suite::of([
        test("the agent matches its document", documented),
        test("other methods and paths are rejected", others),
    ])
}

fn documented() -> Result<()> {
    let ground = Ground::new()?;
    let mut api = Api {
        document: OpenApi::load()?,
    };
    let config = ground.config(&[&ground.contoso_entry()])?;
    let agent = Agent::ready(&config, &["--web.enable-lifecycle"])?;
    agent.until_rounds(&["contoso"; 2])?;

    api.get(&agent, "/", "", 200)?;
    // The page may have been rendered again in between.
    let known = agent.until("knows its page", |agent| {
        let etag = agent
            .get("/")?
            .header("etag")
            .context("no ETag")?
            .to_owned();
        let again = client::get(agent.addr, "/").header("If-None-Match", &etag);
        again.send()?.expect_status(304)
    })?;
    api.document.gave("get", "/", "If-None-Match")?;
    api.document.hold("get", "/", &known)?;

    let known = agent.get("/fleet")?.expect_status(200)?;
    let etag = known.header("etag").context("no ETag")?.to_owned();
    let again = client::get(agent.addr, "/fleet").header("If-None-Match", &etag);
    let known = again.send()?.expect_status(304)?;
    api.document.gave("get", "/fleet", "If-None-Match")?;
    api.document.hold("get", "/fleet", &known)?;

    for path in [
        "/fleet",
        "/static/page.css",
        "/static/page.js",
        "/static/icon.svg",
        "/metrics",
        "/api/v1/status",
        "/api/v1/summary",
        "/api/v1/fleet",
        "/api/v1/bundle",
        "/-/healthy",
        "/-/ready",
        "/-/can-pull",
    ] {
        api.get(&agent, path, "", 200)?;
    }
    api.get(&agent, "/rounds", "registry=contoso", 200)?;
    api.get(&agent, "/rounds", "registry=nobody", 404)?;
    api.get(&agent, "/-/can-pull", "registry=contoso", 200)?;
    api.get(&agent, "/-/can-pull", "registry=nobody", 404)?;
    api.get(
        &agent,
        "/-/can-pull",
        "registry=contoso&registry=contoso",
        400,
    )?;
    api.get(&agent, "/runbooks", "", 200)?;

    let [login, ..] = ground.contoso_endpoints();
    let history = api.get(&agent, "/api/v1/history", "", 200)?.json()?;
    let first = &history["rounds"][0];
    let from = first["at"].as_str().context("no time")?;
    let query = format!("registry=contoso&endpoint={login}&from={from}&limit=1");
    let history = api.get(&agent, "/api/v1/history", &query, 200)?.json()?;
    ensure!(history["rounds"][0] != *first && history["rounds"][0]["id"] == first["id"]);
    ensure!(history["next"].is_string(), "{history}");
    api.get(&agent, "/api/v1/history", "limit=0", 400)?;
    api.get(&agent, "/api/v1/history", "registry=nobody", 404)?;
    let id = first["id"].as_str().context("no id")?;
    for (path, id, status) in [
        ("/api/v1/history/{id}", id, 200),
        ("/api/v1/history/{id}", "nonsense", 400),
        ("/api/v1/history/{id}", "7", 404),
        ("/round/{id}", id, 200),
        ("/round/{id}", "7", 404),
        ("/runbook/{id}", "AddressDown", 200),
        ("/runbook/{id}", "RegprobeAgentDown", 200),
        ("/runbook/{id}", "first-ten-minutes", 200),
        ("/runbook/{id}", "Nothing", 404),
    ] {
        let reply = agent
            .get(&path.replace("{id}", id))?
            .expect_status(status)?;
        api.document.gave("get", path, "id")?;
        api.document.hold("get", path, &reply)?;
    }
    let filled = agent
        .get("/runbook/AddressDown?registry=contoso")?
        .expect_status(200)?;
    ensure!(
        filled
            .text()
            .contains("For node node-1 and registry contoso.")
    );
    for parameter in ["id", "registry"] {
        api.document.gave("get", "/runbook/{id}", parameter)?;
    }
    api.document.hold("get", "/runbook/{id}", &filled)?;
    // A failure has more fields.
    ground.contoso.answer(Route::Ping, Answer::Status(503));
    agent.until("has seen a failure", |agent| {
        let history = agent.get("/api/v1/history?limit=1000")?;
        ensure!(history.text().contains("\"reason\""), "{}", history.text());
        Ok(())
    })?;
    api.get(&agent, "/api/v1/history", "limit=1000", 200)?;
    api.get(&agent, "/api/v1/status", "", 200)?;
    api.get(&agent, "/api/v1/summary", "", 200)?;
    agent.until("shows it in the view of the fleet", |agent| {
        let view = agent.get("/api/v1/fleet")?.json()?;
        ensure!(view["causes"][0].is_object(), "{view}");
        Ok(())
    })?;
    api.get(&agent, "/api/v1/fleet", "", 200)?;

    api.post(&agent, "/-/reload", 200)?;
    fs::write(&config, "registries: [")?;
    api.post(&agent, "/-/reload", 500)?;
    api.get(&agent, "/api/v1/status", "", 200)?;

    let silent = sockets::stalls((loopback(), 0))?;
    let config = ground.config(&[&format!("- server: {}\n", silent.addr())])?;
    let agent = Agent::start(&config, &[])?;
    api.get(&agent, "/-/ready", "", 503)?;
    api.get(&agent, "/-/can-pull", "", 503)?;
    api.get(&agent, "/", "", 200)?;
    api.get(&agent, "/api/v1/status", "", 200)?;
    api.post(&agent, "/-/reload", 403)?;

    let unseen = api.document.unseen();
    ensure!(unseen.is_empty(), "documented and never seen: {unseen:#?}");
    Ok(())
}

fn others() -> Result<()> {
    let ground = Ground::new()?;
    let agent = Agent::start(&ground.config(&[&ground.contoso_entry()])?, &[])?;
    for (method, path, status, allow) in [
        ("GET", "/-/reload", 405, Some("POST")),
        ("POST", "/", 405, Some("GET, HEAD")),
        ("DELETE", "/api/v1/history", 405, Some("GET, HEAD")),
        ("GET", "/nowhere", 404, None),
        ("GET", "/api/v1/", 404, None),
        ("GET", "/static/", 404, None),
        ("HEAD", "/", 200, None),
        ("HEAD", "/api/v1/bundle", 200, None),
    ] {
        let reply = client::call(method, agent.addr, path).send()?;
        ensure!(reply.status == status, "{method} {path}: {}", reply.status);
        ensure!(reply.header("allow") == allow, "{method} {path}");
        ensure!(
            method != "HEAD" || reply.text().is_empty(),
            "{method} {path}"
        );
    }
    Ok(())
}

/// Requests whose answers are checked against the document.
struct Api {
    document: OpenApi,
}

impl Api {
    fn get(&mut self, agent: &Agent, path: &str, query: &str, status: u16) -> Result<Reply> {
        let target = match query {
            "" => path.to_owned(),
            query => format!("{path}?{query}"),
        };
        let reply = agent.get(&target)?.expect_status(status)?;
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, _) = pair.split_once('=').context("no value")?;
            self.document.gave("get", path, name)?;
        }
        self.document.hold("get", path, &reply)?;
        Ok(reply)
    }

    fn post(&mut self, agent: &Agent, path: &str, status: u16) -> Result<()> {
        let reply = agent.post(path)?.expect_status(status)?;
        self.document.hold("post", path, &reply)
    }
}
