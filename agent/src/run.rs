//! `regprobe run`: the agent. It boots in the order of this file, then reloads and ends on signals.

use std::{io, path::Path, process::ExitCode, sync::Arc};

use anyhow::Context;
use jiff::Timestamp;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, oneshot, watch},
};

use crate::{
    board::Board,
    cli::RunArgs,
    config::{self, Config},
    out::{history::SharedHistory, kubernetes::Reporter, metrics::Exporter},
    plan::{self, Plan},
    process::{
        config_watch::ConfigWatch, logging, privilege, signals::Termination,
        standard_streams::print,
    },
    schedule::{Report, Scheduler, fleet::Fleet},
    web::{self, CurrentSettings, Site, peers::Peers},
};

/// Reports that can wait for the board.
const REPORTS: usize = 64;

/// Runs until SIGTERM or SIGINT, or only checks the configuration. What ends the agent is logged as
/// everything else is.
pub(crate) async fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    if args.config_check {
        return check(&args);
    }
    logging::start(args.log_level, args.log_format);
    Ok(work(args).await.unwrap_or_else(|error| {
        let error = format!("{error:#}");
        tracing::error!(error, "fatal");
        ExitCode::from(2)
    }))
}

async fn work(args: RunArgs) -> anyhow::Result<ExitCode> {
    // First: without a listener, a signal would end the process, SIGHUP included.
    let termination = Termination::listen().context("failed to listen for signals")?;
    let hangup = signal(SignalKind::hangup()).context("failed to listen for signals")?;
    privilege::give_up_all_but(privilege::TO_LISTEN).context("failed to give up privileges")?;
    // Before the file is read, so that a change during the reading is noticed.
    let watch = args
        .config_auto_reload
        .then(|| ConfigWatch::start(&args.config_file));
    let node = plan::node_name();
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "starting regprobe");

    let Loaded { config, plan, file } =
        Loaded::first(&args.config_file, args.config_fallback_file.as_deref())?;
    let exporter = Arc::new(Exporter::new(&config.metrics));
    let settings = load_settings(args.web_config_file.as_deref())?;
    let listener = web::listen(&args.listen_address).map_err(|error| {
        let address = &args.listen_address;
        let hint = match error.kind() {
            io::ErrorKind::InvalidInput => "",
            _ => "; choose another with --web.listen-address",
        };
        anyhow::anyhow!("failed to listen on {address}: {error}{hint}")
    })?;
    privilege::keep(&[]).context("failed to give up privileges")?;
    tracing::info!(address = %listener.local_addr()?, "listening");

    let (reports, incoming) = mpsc::channel(REPORTS);
    let (reload_requests, reloads) = mpsc::channel(1);
    let history = SharedHistory::new(args.history_limit);
    let mut board = Board::new(exporter.clone(), history.clone());
    let peers = Arc::new(Peers::new(&node, board.shown(), &config));
    let site = Site {
        peers: peers.clone(),
        fleet: Default::default(),
        node: node.clone(),
        started: Timestamp::now(),
        exporter,
        shown: board.shown(),
        history,
        page: Default::default(),
        settings,
        reload: args.enable_lifecycle.then_some(reload_requests.clone()),
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(web::serve(listener, Arc::new(site), async {
        let _ = stopped.await;
    }));

    let mut scheduler = Scheduler::new(&plan, &node, reports);
    apply(&plan, &mut board, &mut scheduler);
    board.reloaded(&file);
    let mut agent = Agent {
        config_file: &args.config_file,
        reporter: Reporter::start(&plan.kubernetes, &node, &board.shown()),
        node,
        watch,
        fleet: scheduler.fleet(),
        board,
        scheduler,
        peers,
    };
    agent.work(incoming, reloads, hangup, termination).await;
    drop(agent);

    tracing::info!("shutting down");
    // The server may have ended already; then there is nothing to stop.
    let _ = stop.send(());
    server.await.context("failed to end the web server")?;
    drop(reload_requests);
    Ok(ExitCode::SUCCESS)
}

/// `--config.check`: reads the files that a start would read.
fn check(args: &RunArgs) -> anyhow::Result<ExitCode> {
    let config = config::load(&args.config_file)?;
    load_settings(args.web_config_file.as_deref())?;
    let (file, registries) = (args.config_file.display(), config.registries.len());
    Ok(print(&format!("{file}: valid, {registries} registries\n")))
}

/// A configuration, and what follows from it.
struct Loaded {
    config: Config,
    plan: Plan,
    /// Why the configuration is not that of the file, but of the fallback.
    file: Result<(), String>,
}

impl Loaded {
    fn from(path: &Path) -> anyhow::Result<Self> {
        let config = config::load(path)?;
        let plan = Plan::new(&config, &[]).context("failed to set up TLS")?;
        Ok(Self {
            config,
            plan,
            file: Ok(()),
        })
    }

    /// What to start with: the file, or the fallback if the file cannot be used.
    fn first(path: &Path, fallback: Option<&Path>) -> anyhow::Result<Self> {
        let (error, fallback) = match (Self::from(path), fallback) {
            (Err(error), Some(fallback)) => (format!("{error:#}"), fallback),
            (loaded, _) => return loaded,
        };
        let loaded = Self::from(fallback).map_err(|second| {
            anyhow::anyhow!("{error}; and the fallback is no better: {second:#}")
        })?;
        tracing::error!(error, fallback = %fallback.display(), "starting with the fallback configuration");
        Ok(Self {
            file: Err(error),
            ..loaded
        })
    }
}

/// Loads the settings of the web server; the error names the file.
fn load_settings(path: Option<&Path>) -> anyhow::Result<CurrentSettings> {
    let Some(path) = path else {
        return Ok(CurrentSettings::default());
    };
    CurrentSettings::load(path).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))
}

struct Agent<'a> {
    config_file: &'a Path,
    node: String,
    reporter: Reporter,
    watch: Option<ConfigWatch>,
    fleet: watch::Receiver<Fleet>,
    board: Board,
    scheduler: Scheduler,
    peers: Arc<Peers>,
}

impl Agent<'_> {
    /// Takes reports and reloads; returns on SIGTERM or SIGINT.
    async fn work(
        &mut self,
        mut reports: mpsc::Receiver<Report>,
        mut reloads: mpsc::Receiver<oneshot::Sender<Result<(), String>>>,
        mut hangup: Signal,
        mut termination: Termination,
    ) {
        loop {
            tokio::select! {
                Some(report) = reports.recv() => self.board.take(report),
                Ok(()) = self.fleet.changed() => self.counted(),
                Some(()) = hangup.recv() => drop(self.reload()),
                () = changed(&mut self.watch) => drop(self.reload()),
                Some(done) = reloads.recv() => drop(done.send(self.reload())),
                () = termination.requested() => return,
            }
        }
    }

    fn counted(&mut self) {
        let fleet = *self.fleet.borrow_and_update();
        self.board.count(fleet);
    }

    /// Applies the configuration file; on any error the old configuration stays.
    fn reload(&mut self) -> Result<(), String> {
        let result = match Loaded::from(self.config_file) {
            Ok(Loaded { config, plan, .. }) => {
                self.peers.adopt(&config);
                apply(&plan, &mut self.board, &mut self.scheduler);
                if !self.reporter.is_of(&plan.kubernetes) {
                    let shown = self.board.shown();
                    self.reporter = Reporter::start(&plan.kubernetes, &self.node, &shown);
                }
                tracing::info!(registries = plan.registries.len(), "configuration reloaded");
                Ok(())
            }
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(error, "configuration not reloaded; the old one stays");
                Err(error)
            }
        };
        self.board.reloaded(&result);
        result
    }
}

/// Pending forever without a watch.
async fn changed(watch: &mut Option<ConfigWatch>) {
    match watch {
        Some(watch) => watch.changed().await,
        None => std::future::pending().await,
    }
}

fn apply(plan: &Plan, board: &mut Board, scheduler: &mut Scheduler) {
    let nameservers = match plan.node.read() {
        Ok(node) => node.nameservers.clone(),
        Err(error) => {
            tracing::warn!(%error, "cannot read the node's nameservers yet");
            Vec::new()
        }
    };
    log_file_limit(plan.files(nameservers.len()) + web::MAX_CONNECTIONS as u64);
    board.apply(plan, &nameservers);
    scheduler.apply(plan);
}

/// Logs how many files may be open at once, and warns if the limit is lower.
fn log_file_limit(needed: u64) {
    match privilege::file_limit() {
        Ok(limit) if limit < needed => {
            tracing::warn!(needed, limit, "the limit of open files is too low");
        }
        Ok(limit) => tracing::info!(needed, limit, "open files"),
        Err(error) => tracing::warn!(%error, "cannot read the limit of open files"),
    }
}
