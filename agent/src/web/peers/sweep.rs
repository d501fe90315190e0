//! All agents, asked once: with limits on how many at a time, how many a second, and how long in all. If one is
//! configured, Prometheus is asked instead.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{client::PeerClient, prometheus, transport::NodeTrust};
use crate::{
    config::{FleetConfig, HttpUrl},
    out::{
        fetch::within,
        fleet_view::{Answer, FleetView, Heard},
        summary::Summary,
    },
    schedule::service,
};

/// Agents asked at the same time.
const AT_ONCE: usize = 100;
/// A thousand a second, some at a time: this process wakes up once for the answers of all of them.
const PACE: Duration = Duration::from_millis(20);
const EACH_TURN: u32 = 20;
/// For all of them together, whatever they do.
const LIMIT: Duration = Duration::from_secs(10);
/// Between two views of what is known so far.
const PROGRESS: Duration = Duration::from_secs(1);

/// Tells the view as it grows, and at last the complete one. `own` is the summary of this agent, if this process
/// is one.
pub(super) async fn sweep(
    config: &FleetConfig,
    node: &NodeTrust,
    own: Option<Summary>,
    mut tell: impl FnMut(FleetView),
) {
    if let Some(prometheus) = &config.prometheus {
        return tell(view_of(prometheus, config, node, own).await);
    }
    let start = Instant::now();
    let mut missing = None;
    let others = match service::others(config).await {
        Ok(others) => {
            if others.is_cut {
                let known = others.addresses.len();
                missing = Some(format!(
                    "A DNS answer has no room for all agents: {known} others are known, and there may be more."
                ));
            }
            others.addresses
        }
        Err(why) => {
            missing = Some(format!("The other agents are not known: {why}."));
            Vec::new()
        }
    };
    let own = own.map(of_this_agent);
    let (client, others) = match PeerClient::load(&config.client, node) {
        Ok(client) => (Some(client), others),
        Err(why) => {
            missing = Some(format!("The other agents cannot be asked: {why}."));
            (None, Vec::new())
        }
    };
    let scheme = config.client.scheme;
    let addresses = others
        .into_iter()
        .map(|address| SocketAddr::new(address, config.port));
    let addresses: Vec<_> = addresses.collect();
    let awaited = addresses.iter().map(|address| Heard {
        called: address.ip().to_string(),
        page: Some(format!("{scheme}://{address}/")),
        answer: Answer::Awaited,
    });
    // This agent's own comes last, so that the others keep their places.
    let mut heard: Vec<_> = awaited.chain(own).collect();
    let mut view = |heard: &[Heard]| {
        tell(FleetView::of(heard, missing.as_deref(), Timestamp::now()));
    };
    if let Some(client) = &client {
        let turns = (0..).map(|number| start + PACE * (number / EACH_TURN));
        let asked = addresses.into_iter().zip(turns).enumerate();
        let asked = asked.map(|(place, (address, turn))| async move {
            sleep_until(turn).await;
            (place, client.ask(address).await)
        });
        let mut answers = stream::iter(asked).buffer_unordered(AT_ONCE);
        let mut next = start + PROGRESS;
        while start.elapsed() < LIMIT {
            match timeout_at(next, answers.next()).await {
                Ok(Some((place, answer))) => {
                    heard[place].answer = match answer {
                        Ok(summary) => Answer::Summary(Arc::new(summary)),
                        Err(why) => Answer::Nothing(why),
                    };
                }
                Ok(None) => break,
                Err(_) => {
                    view(&heard);
                    next = Instant::now() + PROGRESS;
                }
            }
        }
    }
    for one in heard
        .iter_mut()
        .filter(|one| matches!(one.answer, Answer::Awaited))
    {
        one.answer = Answer::Nothing("not asked, as too many agents do not answer".to_owned());
    }
    view(&heard);
}

/// The view of Prometheus; without an answer, that of this agent alone.
async fn view_of(
    prometheus: &HttpUrl,
    config: &FleetConfig,
    node: &NodeTrust,
    own: Option<Summary>,
) -> FleetView {
    let asked = within(LIMIT, prometheus::ask(prometheus, config, node));
    let (heard, note) = match asked.await {
        Ok(heard) => (
            heard,
            format!("From {prometheus}: as old as its last scrape."),
        ),
        Err(why) => {
            let own = own.map(of_this_agent).into_iter().collect();
            (
                own,
                format!("The other agents are not known: {prometheus}: {why}."),
            )
        }
    };
    FleetView::of(&heard, Some(&note), Timestamp::now())
}

fn of_this_agent(summary: Summary) -> Heard {
    Heard {
        called: summary.node.clone(),
        page: Some("./".to_owned()),
        answer: Answer::Summary(Arc::new(summary)),
    }
}
