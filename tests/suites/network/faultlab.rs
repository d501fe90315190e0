//! The fault lab: every file of `tests/scenarios` is set up in its own world, a real containerd pulls
//! there, the agent checks there, and both must do what the file says. The last line has the totals.

pub(crate) mod confined;
mod drift;
mod pages;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use regprobe_harness::need::Need;
use regprobe_harness::output::schema;
use regprobe_harness::program::{REGPROBE, repository};
use regprobe_harness::suite::{Suite, Test, test};
use regprobe_lab::scenario::{Does, Scenario};
use regprobe_lab::servers::{Cri, Pull, Release};
use regprobe_lab::world::{Checked, Scene, World};
use regprobe_probes::ContainerdRelease;
use serde_json::Value;

use super::pool::{Pool, lock};

/// How many worlds run at the same time; most scenarios only wait.
const WORLDS: usize = 12;

/// How far a predicted delay may be off, if that is more than a quarter of it.
const PREDICTION_MARGIN: Duration = Duration::from_millis(1500);

/// How long a pull without faults takes.
const HEALTHY_PULL: Duration = Duration::from_millis(300);

/// The scenarios of a quick run: one short scenario of each kind.
const SMOKE: [&str; 12] = [
    "data-certificate-for-another-name",
    "dns-no-such-registry",
    "drift-data-record-missing",
    "drift-zone-not-linked-public-access-on",
    "fine-private-registry",
    "fine-private-registry-with-images",
    "http-firewall",
    "image-not-found",
    "mirror-in-error",
    "proxy-denies",
    "tcp-refused",
    "tls-intercepted",
];

/// The scenarios of [`SMOKE`] alone.
pub(crate) fn smoke() -> Suite {
    let scenarios = match read() {
        Ok((scenarios, _)) => scenarios,
        Err(error) => return Suite::of([test("the scenarios can be read", || Err(error))]),
    };
    let lab = Arc::new(Lab::default());
    let chosen = |scenario: &Scenario| SMOKE.contains(&&*scenario.name);
    let chosen = scenarios.into_iter().filter(chosen);
    let tests: Vec<_> = chosen.map(|scenario| as_test(&lab, scenario)).collect();
    Suite::of(tests).at_a_time(4)
}

pub(crate) fn suite() -> Suite {
    let (mut scenarios, codes) = match read() {
        Ok(read) => read,
        Err(error) => return Suite::of([test("the scenarios can be read", || Err(error))]),
    };
    // The longest waits first, so that none starts when all others are done.
    scenarios.sort_by_key(|scenario| std::cmp::Reverse(wait(scenario)));
    let lab = Arc::new(Lab::default());
    let told = scenarios
        .into_iter()
        .map(|scenario| as_test(&lab, scenario));
    // Changes while the agent runs only make sense with the agent.
    let changing = agent_is_judged().then(drift::tests).into_iter().flatten();
    let first = oracles().chain(confined::tests());
    let tests = first.chain(changing).chain(told);
    Suite::of(tests).at_a_time(WORLDS).and_then(move || {
        lab.close(&codes);
        Ok(())
    })
}

/// Every scenario, and every code of a finding: those with a runbook.
fn read() -> Result<(Vec<Scenario>, BTreeSet<String>)> {
    let mut codes = BTreeSet::new();
    for entry in
        fs::read_dir(repository("deploy/runbooks")).context("failed to list the runbooks")?
    {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        if name != "README" && path.is_file() {
            codes.insert(name.into_owned());
        }
    }
    let scenarios = Scenario::read_all(&repository("tests/scenarios"))?;
    for scenario in &scenarios {
        for code in scenario.loud.iter().chain(&scenario.quiet) {
            ensure!(
                codes.contains(code),
                "{}: no finding is called {code}",
                scenario.name
            );
        }
    }
    Ok((scenarios, codes))
}

fn as_test(lab: &Arc<Lab>, scenario: Scenario) -> Test {
    let lab = Arc::clone(lab);
    let provider = scenario
        .is_pulled_as_identity()
        .then_some(Need::CredentialProvider);
    test(scenario.name.clone(), move || lab.play(&scenario))
        .needs(Need::WORLD)
        .needs(provider)
        .needs([Need::Oracle(Release::NEWEST.as_str())])
        .within(Duration::from_secs(240))
}

/// The minimum duration of a scenario.
fn wait(scenario: &Scenario) -> Duration {
    let releases = scenario.releases().into_iter();
    let waits = releases.map(|release| {
        let client = &scenario.with(release).containerd;
        match client.does {
            Does::Hangs => client.patience(),
            Does::Pulls | Does::Fails => {
                Duration::from_secs_f64(client.after_seconds.unwrap_or_default())
            }
        }
    });
    waits.max().unwrap_or_default()
}

/// The worlds, and the results so far.
#[derive(Default)]
struct Lab {
    pool: Pool,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    scenarios: usize,
    /// Scenarios in which the verdict agrees with containerd.
    agreeing: usize,
    excepted: usize,
    codes: BTreeSet<String>,
}

impl Lab {
    fn play(&self, scenario: &Scenario) -> Result<()> {
        let seen = self.pool.with_world(|world| run(world, scenario))?;
        let mut all = lock(&self.seen);
        all.scenarios += 1;
        all.agreeing += usize::from(seen.agrees);
        all.excepted += usize::from(scenario.containerd.although.is_some());
        all.codes.extend(seen.codes);
        Ok(())
    }

    /// Ends the worlds and prints the totals.
    fn close(&self, codes: &BTreeSet<String>) {
        self.pool.close();
        let seen = lock(&self.seen);
        if seen.scenarios == 0 {
            return;
        }
        let whom = if agent_is_judged() {
            "containerd and the agent"
        } else {
            "containerd alone"
        };
        println!(
            "fault lab, {whom}: {} scenarios as told, {} pulls agree with the verdict ({} rightly do not), {} of {} codes",
            seen.scenarios,
            seen.agreeing,
            seen.excepted,
            seen.codes.len(),
            codes.len()
        );
    }
}

/// The result of a scenario that went as expected.
struct Shown {
    agrees: bool,
    codes: BTreeSet<String>,
}

fn run(world: &mut World, scenario: &Scenario) -> Result<Shown> {
    let scene = world.set(scenario).context("failed to set the scene")?;
    for (release, pull, checked) in look(&scene, &releases(scenario)?)? {
        let told = || format!("with containerd {release}");
        judge(scenario.with(release), &pull, checked.as_ref()).with_context(told)?;
    }
    Ok(Shown {
        agrees: scenario.containerd.although.is_none(),
        codes: scenario.loud.union(&scenario.quiet).cloned().collect(),
    })
}

/// Pulls with each of these releases and checks for each of them, all at the same time in the same world.
pub(crate) fn look(
    scene: &Scene<'_>,
    releases: &[Release],
) -> Result<Vec<(Release, Pull, Option<Checked>)>> {
    thread::scope(|threads| {
        let mut running = Vec::new();
        for &release in releases {
            let check = move || agent_is_judged().then(|| check(scene, release)).transpose();
            let pull = threads.spawn(move || scene.pull(release));
            running.push((release, pull, threads.spawn(check)));
        }
        let joined = running.into_iter().map(|(release, pull, check)| {
            let pull = pull.join().expect("a pull does not panic")?;
            let checked = check.join().expect("a check does not panic")?;
            Ok((release, pull, checked))
        });
        joined.collect()
    })
}

/// Whether one containerd and the agent on its node did what the scenario says.
fn judge(scenario: &Scenario, pull: &Pull, checked: Option<&Checked>) -> Result<()> {
    let mut faults = judge_client(scenario, pull);
    faults.extend(
        pages::quote(scenario, pull)
            .err()
            .map(|error| error.to_string()),
    );
    if let Some(checked) = checked {
        faults.extend(judge_agent(scenario, checked, pull));
    }
    if std::env::var_os("REGPROBE_LAB_TELL").is_some() {
        println!(
            "{}: {}",
            scenario.name,
            tell(scenario, &faults, pull, checked)
        );
    }
    if !faults.is_empty() {
        bail!("{}", tell(scenario, &faults, pull, checked));
    }
    Ok(())
}

/// A check whose document, if it has one, matches the schema. A busy machine can make one late, so it may
/// try again.
fn check(scene: &Scene<'_>, release: Release) -> Result<Checked> {
    let mut checked = scene.check(&regprobe(), release)?;
    if checked.took > scene.scenario().agent.check_limit() {
        checked = scene.check(&regprobe(), release)?;
    }
    documented(checked)
}

/// A check whose document, if it has one, matches the schema.
fn documented(checked: Checked) -> Result<Checked> {
    if !checked.document.is_null() {
        schema::validate(&checked.document)?;
    }
    Ok(checked)
}

/// How containerd differed from the scenario.
fn judge_client(scenario: &Scenario, pull: &Pull) -> Vec<String> {
    let client = &scenario.containerd;
    let gave_up = !pull.ok && pull.took >= client.patience();
    let did = match (pull.ok, gave_up) {
        (true, _) => Does::Pulls,
        (false, true) => Does::Hangs,
        (false, false) => Does::Fails,
    };
    let mut faults = Vec::new();
    if did != client.does {
        faults.push(format!("containerd {did:?}, not {:?}", client.does));
    }
    if let Some(saying) = client
        .saying
        .as_deref()
        .filter(|saying| !pull.said.contains(*saying))
    {
        faults.push(format!("containerd does not say {saying:?}"));
    }
    let least = Duration::from_secs_f64(client.after_seconds.unwrap_or_default());
    if pull.took < least {
        faults.push(format!("containerd took less than {least:?}"));
    }
    faults
}

/// How the agent differed from the scenario.
fn judge_agent(scenario: &Scenario, checked: &Checked, pull: &Pull) -> Vec<String> {
    let registry = &checked.document["registries"][0];
    let mut faults = Vec::new();
    let expected = scenario.verdict.as_str();
    if registry["verdict"] != expected {
        faults.push(format!(
            "the verdict is {}, not {expected}",
            registry["verdict"]
        ));
    }
    let unseen = registry["unseen"].as_str().unwrap_or_default();
    let expected = scenario.unseen.as_deref().unwrap_or_default();
    if !unseen.contains(expected) {
        faults.push(format!("{unseen:?} is not seen, not {expected:?}"));
    }
    let codes = |loud: bool| -> BTreeSet<String> {
        let findings = registry["findings"].as_array().into_iter().flatten();
        findings
            .filter(|finding| (finding["severity"] != "info") == loud)
            .filter_map(|finding| finding["code"].as_str().map(str::to_owned))
            .collect()
    };
    let (loud, quiet) = (codes(true), codes(false));
    if loud != scenario.loud {
        faults.push(format!(
            "loud findings are {loud:?}, not {:?}",
            scenario.loud
        ));
    }
    if !quiet.is_superset(&scenario.quiet) {
        faults.push(format!(
            "quiet findings are {quiet:?}, not {:?}",
            scenario.quiet
        ));
    }
    // What Entra ID and the registry issue begins so.
    if [checked.document.to_string(), checked.complaint.clone()]
        .iter()
        .any(|shown| shown.contains("eyJ"))
    {
        faults.push("the agent shows a token".to_owned());
    }
    if checked.took > scenario.agent.check_limit() {
        faults.push(format!("the check took {:?}", checked.took));
    }
    if scenario.containerd.does == Does::Fails {
        faults.extend(pages::judge_client_error(registry, pull));
    }
    if scenario.predicted_delay_seconds.is_some() {
        faults.extend(judge_prediction(
            &registry["predicted_pull_delay_seconds"],
            pull,
        ));
    }
    faults
}

fn judge_prediction(predicted: &Value, pull: &Pull) -> Option<String> {
    let predicted = predicted.as_f64()?;
    delay_is_off(predicted, pull).then(|| {
        let waited = waited(pull);
        format!("a delay of {predicted} s was predicted, it was {waited:.1} s")
    })
}

/// Whether a pull took neither as long as predicted nor nearly so.
pub(crate) fn delay_is_off(predicted: f64, pull: &Pull) -> bool {
    let waited = waited(pull);
    // A busy machine makes the pull slower, and not what it waits for.
    (predicted - waited).abs() > PREDICTION_MARGIN.as_secs_f64().max(0.25 * waited)
}

fn waited(pull: &Pull) -> f64 {
    pull.took.saturating_sub(HEALTHY_PULL).as_secs_f64()
}

/// Everything that helps to fix a failure.
fn tell(scenario: &Scenario, faults: &[String], pull: &Pull, checked: Option<&Checked>) -> String {
    let mut told = format!("{}\n", scenario.story.trim());
    for fault in faults {
        told.push_str(&format!("  * {fault}\n"));
    }
    let said = pull.said.trim().lines().last().unwrap_or_default();
    told.push_str(&format!("containerd, after {:.1?}: {said}\n", pull.took));
    if let Some(checked) = checked {
        let registry = &checked.document["registries"][0];
        told.push_str(&format!(
            "regprobe, after {:.1?}: {registry:#}\n",
            checked.took
        ));
        told.push_str(&checked.complaint);
    }
    told
}

/// `REGPROBE_LAB_ORACLE_ONLY=1` runs containerd without the agent.
fn agent_is_judged() -> bool {
    std::env::var("REGPROBE_LAB_ORACLE_ONLY").as_deref() != Ok("1")
}

/// The releases of containerd to try, of those that were brought; `REGPROBE_LAB_CONTAINERD=2.4` chooses one.
fn releases(scenario: &Scenario) -> Result<Vec<Release>> {
    let chosen = std::env::var_os("REGPROBE_LAB_CONTAINERD");
    let releases: Vec<_> = match &chosen {
        Some(chosen) => Release::ALL
            .into_iter()
            .filter(|release| *release.as_str() == **chosen)
            .collect(),
        None => scenario.releases().into_iter().collect(),
    };
    let here = releases.into_iter().filter(|release| release.is_here());
    Ok(here.collect())
}

/// A test for each release, so that one that is missing counts as skipped.
fn oracles() -> impl Iterator<Item = Test> {
    Release::ALL.into_iter().map(|release| {
        let starts = move || {
            let nothing = tempfile::tempdir()?;
            Cri::start(release, nothing.path(), |program: &Path| {
                Command::new(program)
            })?;
            let told = ContainerdRelease::of_program(&release.program())?;
            let told = told.context("its program does not tell what it is")?;
            ensure!(told.to_string().starts_with(release.as_str()), "{told}");
            Ok(())
        };
        test(
            format!("containerd {release} starts and tells its release"),
            starts,
        )
        .needs([Need::Root, Need::Oracle(release.as_str())])
    })
}

/// The image's binary, if there is one, because its system calls are what counts.
fn regprobe() -> PathBuf {
    std::env::var_os("REGPROBE_STATIC_BINARY").map_or_else(|| REGPROBE.clone(), PathBuf::from)
}
