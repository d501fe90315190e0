//! What the dashboards show: a small cluster with many faults, scraped by a Prometheus.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use regprobe_harness::agent::Agent;
use regprobe_harness::ground::{Ground, Plain};
use regprobe_lab::addresses::{free_addr, loopback};
use regprobe_lab::fakes::acr::{Acr, Answer, Route};
use regprobe_lab::image::Image;
use regprobe_lab::servers::Prometheus;
use regprobe_lab::wait;

/// A node in a cluster with this name; `node-2` is in a cluster without a name.
pub(crate) const NODE: &str = "node-1";
pub(crate) const CLUSTER: &str = "east";

/// The rules that the fleet's dashboard needs.
pub(crate) const RULES: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../deploy/prometheus/rules.yaml"
);

/// Timeout until Prometheus has scraped something.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Cluster {
    pub(crate) prometheus: Prometheus,
    pub(crate) agent: Agent,
    _other_agent: Agent,
    _ground: Ground,
    _broken: Plain,
    _hello: Acr,
}

/// A registry with a public image, whose layer is large enough to see how fast it comes, and its entry.
pub(crate) fn pullable(name: &str) -> Result<(Acr, String)> {
    let at = loopback();
    let acr = Acr::at(&at.to_string(), (at, 0))
        .image(Image::of_size("probe/hello", "v1", &["linux/amd64"], 512)?)
        .anonymous_pull()
        .start()?;
    let entry = format!(
        "- {{server: \"http://{}\", name: {name}, anonymous_pull: true, images: [\"probe/hello:v1\"], \
         throughput: {{bytes: 512KiB, floor: 1MiB/s}}}}\n",
        acr.addr()
    );
    Ok((acr, entry))
}

impl Cluster {
    /// Returns once Prometheus has scraped a healthy cluster and then all the faults: the private zone of
    /// `contoso` loses its link, `broken` loses its data endpoint, and the agent of `node-3` ends.
    pub(crate) fn start() -> Result<Self> {
        let ground = Ground::new()?;
        let broken = ground.plain("broken")?;
        let (hello, entry_of_hello) = pullable("hello")?;
        let config = ground.config_with(
            &[&ground.contoso_entry(), &broken.entry, &entry_of_hello],
            "",
        )?;
        let agents = [Agent::ready(&config, &[])?, Agent::ready(&config, &[])?];
        let gone = free_addr(loopback())?;
        let [named, unnamed] = &agents;
        let prometheus = Prometheus::configured(
            &format!(
                "global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}\n\
                 rule_files: [\"{RULES}\"]\n\
                 scrape_configs:\n\
                 - job_name: regprobe\n  \
                   static_configs:\n  \
                   - {{targets: [\"{}\"], labels: {{node: {NODE}, cluster: {CLUSTER}}}}}\n  \
                   - {{targets: [\"{}\"], labels: {{node: node-2}}}}\n  \
                   - {{targets: [\"{gone}\"], labels: {{node: node-3}}}}\n",
                named.addr, unnamed.addr
            ),
            (loopback(), 0),
        )?;
        let [agent, other_agent] = agents;
        let cluster = Self {
            prometheus,
            agent,
            _other_agent: other_agent,
            _ground: ground,
            _broken: broken,
            _hello: hello,
        };
        cluster.until("count(regprobe_endpoint_up == 1)", 12.0)?;
        cluster._broken.acr.answer(Route::Data, Answer::Reset);
        cluster._ground.unlink();
        cluster.until("count(regprobe_endpoint_up == 0)", 2.0)?;
        cluster.until("count(regprobe_dns_answer_expected == 0)", 6.0)?;
        Ok(cluster)
    }

    fn until(&self, expression: &str, expected: f64) -> Result<()> {
        wait::until(expression, PATIENCE, || {
            let value = self.prometheus.value(expression, Duration::ZERO)?;
            ensure!(value == expected, "{value} instead of {expected}");
            Ok(())
        })
        .context("Prometheus does not see it")
    }
}
