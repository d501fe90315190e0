//! What the demo shows: an Azure Container Registry with private link, an agent that watches it, and
//! faults that come and go, each of which the agent names. Everything is on loopback addresses and
//! high ports, in one temporary folder, and ends with this process.

mod agent;
mod faults;
mod ground;

use std::env;
use std::ffi::OsString;
use std::future;
use std::io::{self, IsTerminal, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep, sleep_until};

use self::agent::Agent;
use self::faults::{FAULTS, Fault};
use self::ground::{Ground, PRIVATE, REGIONS};

const USAGE: &str = "usage: regprobe-lab [--pace SECONDS] [--seconds SECONDS]\n\
    --pace     how long all is well before each fault, and each fault stays [default: 20]\n\
    --seconds  when to end [default: when interrupted]";

/// What was typed.
#[derive(Debug)]
pub(crate) struct Options {
    /// How long each state of the network is left as it is.
    pace: Duration,
    /// When the demo ends by itself.
    end_after: Option<Duration>,
}

impl Options {
    pub(crate) fn parse(arguments: &[OsString]) -> Result<Self, &'static str> {
        let mut options = Self {
            pace: Duration::from_secs(20),
            end_after: None,
        };
        let mut arguments = arguments.iter().map(|argument| argument.to_str());
        while let Some(flag) = arguments.next() {
            let mut seconds = || arguments.next().flatten()?.parse().ok();
            match (flag, seconds().map(Duration::from_secs)) {
                (Some("--pace"), Some(pace)) => options.pace = pace,
                (Some("--seconds"), after @ Some(_)) => options.end_after = after,
                _ => return Err(USAGE),
            }
        }
        Ok(options)
    }
}

/// Shows everything, until it is told to end.
pub(crate) fn run(options: Options) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let end_after = options.end_after;
        let ended = async move {
            let mut interrupt = signal(SignalKind::interrupt())?;
            let mut terminate = signal(SignalKind::terminate())?;
            // The terminal was closed.
            let mut hangup = signal(SignalKind::hangup())?;
            let over = async {
                match end_after {
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
            Ok::<_, io::Error>(())
        };
        tokio::select! {
            biased;
            ended = ended => ended?,
            shown = show(options.pace) => shown?,
        }
        // The terminal may be gone; that is a good end, too.
        let _ = say("\nEnded, and everything with it.");
        Ok(())
    })
}

async fn show(pace: Duration) -> Result<()> {
    let story = Story {
        start: Instant::now(),
        pace,
    };
    let mut ground = Ground::new().context("failed to start the servers")?;
    let mut agent = Agent::start(&ground).context("failed to start the agent")?;
    agent.until_ready().await?;
    let page = format!("http://{}/", agent.addr);
    say(&format!(
        "Look at it while it runs:\n  \
           {page}\n  \
           {page}metrics\n  \
           {page}api/v1/status\n\n\
         Started, all on loopback addresses of this machine:\n  \
           nameserver  {dns}\n  \
           registry    {server} at {login}, data endpoints in {regions}\n  \
           agent       regprobe run, a round every second; its log is {log}\n\n\
         Check it yourself, in another terminal:\n  \
           cargo run --release -p regprobe -- check --config.file={config}",
        dns = ground.nameserver(),
        server = ground.server(),
        login = PRIVATE[0],
        regions = REGIONS.join(" and "),
        log = agent.log.display(),
        config = ground.config().display(),
    ))?;
    show_page(&page);
    story.tell(&format!(
        "The first round is over. In {} s the first of {} faults will come.",
        pace.as_secs(),
        FAULTS.len()
    ))?;
    agent.tell_state()?;

    for fault in &FAULTS {
        story.come_and_go(fault, &mut ground, &mut agent).await?;
    }
    say("\nThat was all, and it goes on so; Ctrl-C ends it.")?;
    loop {
        sleep(Duration::from_secs(1)).await;
        agent.check_alive()?;
    }
}

/// How the demo goes on.
struct Story {
    start: Instant,
    pace: Duration,
}

impl Story {
    /// Lays a fault in, waits until the agent names it, mends it, and waits until the agent sees that.
    async fn come_and_go(
        &self,
        fault: &Fault,
        ground: &mut Ground,
        agent: &mut Agent,
    ) -> Result<()> {
        sleep(self.pace).await;
        let laid = Instant::now();
        (fault.lay)(ground)?;
        self.tell(fault.told)?;
        agent.until_found(fault.code).await?;
        self.tell(&format!(
            "Found after {:.1} s: {}.",
            laid.elapsed().as_secs_f64(),
            fault.code
        ))?;
        agent.tell_state()?;

        sleep_until(laid + self.pace).await;
        let mended = Instant::now();
        ground.mend();
        self.tell(fault.mended)?;
        agent.until_well().await?;
        self.tell(&format!(
            "Noticed after {:.1} s: the verdict is ok again.",
            mended.elapsed().as_secs_f64()
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

fn say(text: &str) -> Result<()> {
    Ok(writeln!(io::stdout(), "{text}")?)
}
