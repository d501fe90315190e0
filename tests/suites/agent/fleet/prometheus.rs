//! The view of the fleet out of a real Prometheus that scrapes real agents, and out of what only says that it is one.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use regprobe_harness::agent::Agent;
use regprobe_harness::ground::Ground;
use regprobe_lab::addresses::{free_port, loopback};
use regprobe_lab::fakes::sockets;
use regprobe_lab::servers::Prometheus;
use regprobe_lab::wait::pause;
use serde_json::json;

use super::{answers, http, view};

fn place() -> Result<SocketAddr> {
    Ok(SocketAddr::new(loopback().into(), free_port()?))
}

fn config(ground: &Ground, prometheus: SocketAddr) -> Result<PathBuf> {
    let fleet = format!("fleet: {{size: 1, prometheus: \"http://{prometheus}/\"}}\n");
    ground.config_with(&[&ground.contoso_entry()], &fleet)
}

/// One node that is well, one whose zone is not linked, and one whose agent is gone.
pub(super) fn shows_the_same() -> Result<()> {
    let grounds = [Ground::new()?, Ground::new()?];
    grounds[1].unlink();
    let agent = |ground: &Ground| {
        let agent = Agent::ready(&ground.config(&[&ground.contoso_entry()])?, &[])?;
        agent.until_rounds(&["contoso"; 2])?;
        anyhow::Ok(agent)
    };
    let (well, ill) = (agent(&grounds[0])?, agent(&grounds[1])?);
    let gone = place()?;
    let _gone = sockets::closed(gone)?;
    let targets = [("n-well", well.addr), ("n-ill", ill.addr), ("n-gone", gone)];
    let targets =
        targets.map(|(node, at)| format!("{{targets: [\"{at}\"], labels: {{node: {node}}}}}"));
    let scrape = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n\
         scrape_configs: [{{job_name: regprobe, static_configs: [{}]}}]\n",
        targets.join(", ")
    );
    let prometheus = Prometheus::configured(&scrape, (loopback(), 0))?;
    let ground = Ground::new()?;
    let looking = Agent::ready(&config(&ground, prometheus.addr())?, &[])?;
    looking.until("shows what Prometheus has", |looking| {
        let view = view(looking)?;
        ensure!(
            view["nodes_total"] == 3 && view["nodes_answered"] == 2,
            "{view:#}"
        );
        for (node, agent) in [("n-well", &well), ("n-ill", &ill)] {
            let summary = agent.get("/api/v1/summary")?.json()?;
            let registry = &summary["registries"][0];
            let condition = registry
                .get("condition")
                .cloned()
                .unwrap_or_else(|| json!("ok"));
            let mut nodes = view["nodes"].as_array().into_iter().flatten();
            let shown = nodes.find(|one| one["node"] == node).context(node)?;
            ensure!(shown["condition"] == condition, "{shown}: {summary}");
            ensure!(shown["version"] == summary["version"], "{shown}");
            for finding in registry["findings"].as_array().into_iter().flatten() {
                let mut causes = view["causes"].as_array().into_iter().flatten();
                ensure!(
                    causes
                        .any(|cause| cause["code"] == finding["code"]
                            && cause["nodes"] == json!([node])),
                    "{finding}: {view:#}"
                );
            }
        }
        let mut nodes = view["nodes"].as_array().into_iter().flatten();
        let gone = nodes
            .find(|one| one["node"] == "n-gone")
            .context("n-gone")?;
        ensure!(
            gone["no_answer"] == "Prometheus cannot scrape its agent",
            "{gone}"
        );
        let cause = &view["causes"][0]["code"];
        ensure!(cause == "PrivateLinkZoneNotLinked", "{view:#}");
        Ok(())
    })?;
    let page = looking.get("/fleet")?.expect_status(200)?.text();
    ensure!(
        page.contains("n-ill") && page.contains("as old as its last scrape"),
        "{page}"
    );
    Ok(())
}

/// Nothing that comes back harms the agent, and it asks nobody else.
pub(super) fn is_hostile() -> Result<()> {
    let trap = place()?;
    let trapped = answers(trap, http("200 OK", "{}"))?;
    let sample = |metric: serde_json::Value| {
        let result = json!([{"metric": metric, "value": [1, "2"]}]);
        json!({"status": "success", "data": {"resultType": "vector", "result": result}}).to_string()
    };
    let markup =
        sample(json!({"node": "<script>alert(1)</script>", "registry": "</td><img src=x>"}));
    let location =
        format!("HTTP/1.1 302 Found\r\nlocation: http://{trap}/\r\ncontent-length: 0\r\n\r\n");
    for (what, bytes, why) in [
        (
            "a redirect",
            location.into_bytes(),
            "it answers with status 302",
        ),
        (
            "markup",
            http("200 OK", "<html>"),
            "its answer is not that of a query",
        ),
        (
            "a flood",
            http("200 OK", &"x".repeat(50 << 20)),
            "its answer is too large",
        ),
        (
            "another document",
            http("200 OK", "{\"data\": {\"result\": [1]}}"),
            "its answer is not that of a query",
        ),
        (
            "a length that lies",
            b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{".to_vec(),
            "its answer is cut off",
        ),
        (
            "labels",
            http("200 OK", &markup),
            "as old as its last scrape",
        ),
    ] {
        let at = place()?;
        answers(at, bytes)?;
        let ground = Ground::new()?;
        let agent = Agent::ready(&config(&ground, at)?, &[])?;
        let view = view(&agent)?;
        ensure!(view["notes"].to_string().contains(why), "{what}: {view:#}");
        let page = agent.get("/fleet")?.expect_status(200)?.text();
        for markup in ["<script>alert", "<img"] {
            ensure!(!page.contains(markup), "{what}: {page}");
        }
    }
    ensure!(
        trapped.load(Ordering::SeqCst) == 0,
        "a redirect was followed"
    );
    Ok(())
}

/// One that sends a byte now and then does not hold up the page: the agent gives up.
pub(super) fn is_slow() -> Result<()> {
    let at = place()?;
    let listener = TcpListener::bind(at)?;
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let _ = trickle(client);
        }
    });
    let ground = Ground::new()?;
    let agent = Agent::ready(&config(&ground, at)?, &[])?;
    agent.until("gives up", |agent| {
        let view = view(agent)?;
        ensure!(
            view["notes"].to_string().contains("nothing within 5 s"),
            "{view:#}"
        );
        Ok(())
    })
}

fn trickle(mut client: TcpStream) -> Result<()> {
    client.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")?;
    loop {
        client.write_all(b" ")?;
        pause(Duration::from_millis(500));
    }
}
