//! What the demo shows: an Azure Container Registry with private link, an agent that watches it, and
//! faults that come and go, each of which the agent names. Everything is on loopback addresses and
//! high ports, with its files in one folder, and ends with this process.

use std::env;
use std::future;
use std::io::{self, IsTerminal, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep};

use crate::agent::Agent;
use crate::faults::{FAULTS, Fault};
use crate::folder::Folder;
use crate::ground::{Ground, PRIVATE, REGIONS};
use crate::options::Options;
use crate::turns::Turns;

/// How long nothing is wrong before a fault, at most.
const LULL: Duration = Duration::from_secs(5);

/// Shows everything until it ends.
pub(crate) fn run(options: &Options) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let folder = Folder::create()?;
    runtime.block_on(async {
        tokio::select! {
            biased;
            ended = end(options.end_after) => ended?,
            shown = show(&folder, options.pace) => shown?,
        }
        // The terminal may be gone; that is a good end, too.
        let _ = say("\nEnded, and everything with it.");
        Ok(())
    })
}

/// Waits until the demo is to end.
async fn end(after: Option<Duration>) -> io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    // The terminal was closed.
    let mut hangup = signal(SignalKind::hangup())?;
    let over = async {
        match after {
            Some(after) => sleep(after).await,
            None => future::pending().await,
        }
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
        () = over => {}
    }
    Ok(())
}

async fn show(folder: &Folder, pace: Option<Duration>) -> Result<()> {
    let start = Instant::now();
    let mut ground = Ground::new(folder).context("failed to start the servers")?;
    let mut agent = Agent::start(folder).context("failed to start the agent")?;
    agent.until_ready().await?;
    let page = format!("http://{}/", agent.addr);
    say(&format!(
        "The status page:\n  \
           {page}\n\n\
         Everything runs on loopback addresses of this machine:\n  \
           nameserver  {dns}\n  \
           registry    {server} at {login}, data endpoints in {regions}\n  \
           agent       regprobe run, a round every second; its log is {log}\n\n\
         Check the registry yourself, in another terminal:\n  \
           cargo demo check contoso",
        dns = ground.nameserver(),
        server = ground.server(),
        login = PRIVATE[0],
        regions = REGIONS.join(" and "),
        log = agent.log.display(),
    ))?;
    show_page(&page);
    let mut story = Story {
        start,
        turns: Turns::new(pace),
    };
    story.tell("The first round is over.")?;
    agent.tell_state()?;
    loop {
        for fault in &FAULTS {
            story.come_and_go(fault, &mut ground, &mut agent).await?;
        }
        story.tell("That was all; it starts again. Ctrl-C ends it.")?;
    }
}

/// How the demo goes on.
struct Story {
    start: Instant,
    turns: Turns,
}

impl Story {
    /// Lays a fault in, waits until the agent names it, fixes it, and waits until the agent sees that.
    async fn come_and_go(
        &mut self,
        fault: &Fault,
        ground: &mut Ground,
        agent: &mut Agent,
    ) -> Result<()> {
        sleep(self.turns.pace().map_or(LULL, |pace| pace.min(LULL))).await;
        agent.check_alive()?;
        let laid = Instant::now();
        (fault.lay)(ground)?;
        self.tell(fault.event)?;
        agent.until_found(fault.code).await?;
        let took = laid.elapsed().as_secs_f64();
        self.tell(&format!("Found after {took:.1} s: {}.", fault.code))?;
        agent.tell_state()?;

        say(&format!("\nThis stays {}.", self.turns.words()))?;
        tokio::select! {
            next = self.turns.next() => next?,
            ended = agent.until_ended() => ended?,
        }
        let fixed = Instant::now();
        ground.fix();
        self.tell(fault.fix)?;
        agent.until_healthy().await?;
        let took = fixed.elapsed().as_secs_f64();
        self.tell(&format!(
            "Noticed after {took:.1} s: the verdict is ok again."
        ))
    }

    fn tell(&self, text: &str) -> Result<()> {
        let passed = self.start.elapsed().as_secs_f64();
        say(&format!("\n[{passed:4.1} s] {text}"))
    }
}

/// Opens the page where somebody sits at a desktop; elsewhere its address is enough.
fn show_page(page: &str) {
    let has_desktop = ["DISPLAY", "WAYLAND_DISPLAY"]
        .into_iter()
        .any(|name| env::var_os(name).is_some_and(|value| !value.is_empty()));
    if io::stdout().is_terminal() && has_desktop {
        // There may be no such program.
        let _ = Command::new("xdg-open")
            .arg(page)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
    }
}

pub(crate) fn say(text: &str) -> Result<()> {
    Ok(writeln!(io::stdout(), "{text}")?)
}
