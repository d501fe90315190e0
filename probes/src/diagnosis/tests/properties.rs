//! Properties that hold for every outcome, however strange: random mixes of the same faults that the
//! stories use.

use std::{
    collections::BTreeSet,
    hash::{BuildHasher, RandomState},
    net::IpAddr,
};

use proptest::{
    prelude::*,
    test_runner::{Config, RngAlgorithm, RngSeed},
};

use super::{
    any::{any_expectations, any_outcome, reordered},
    healthy::{healthy_private_round, healthy_public_round},
};
use crate::{
    diagnosis::{Code, Diagnosis, Expectations, Finding, Severity, Verdict, diagnose},
    outcome::{EndpointOutcome, Outcome},
    words::{
        endpoint::Turn,
        reason::{Reason, Stage},
    },
};

proptest! {
    #![proptest_config(config(1000))]

    #[test]
    fn the_diagnosis_never_panics(outcome in any_outcome(true), expectations in any_expectations()) {
        let diagnosis = diagnose(&outcome, &expectations);
        for finding in &diagnosis.findings {
            prop_assert!(!finding.message.is_empty() && !finding.remedy.is_empty(), "{finding:?}");
            let _ = (finding.health_check_code(), finding.code.meaning());
        }
    }

    /// One test for all these properties, because it takes longer to make an outcome than to judge it.
    #[test]
    fn every_outcome_is_judged_soundly(
        (outcome, reordered) in any_outcome(false).prop_flat_map(reordered),
        expectations in any_expectations(),
    ) {
        let diagnosis = diagnose(&outcome, &expectations);
        no_two_findings_share_a_cause(&diagnosis)?;
        no_endpoint_has_a_cascade(&outcome, &diagnosis)?;
        what_is_down_has_a_critical_finding(&outcome, &expectations, &diagnosis)?;
        the_verdict_is_that_of_the_worst_finding(&diagnosis)?;
        the_order_of_observations_does_not_matter(&diagnosis, &diagnose(&reordered, &expectations))?;
    }
}

proptest! {
    #![proptest_config(config(5000))]

    #[test]
    fn a_healthy_private_round_gives_no_finding((outcome, expectations) in healthy_private_round()) {
        let diagnosis = diagnose(&outcome, &expectations);
        prop_assert_eq!(diagnosis.verdict(), Verdict::Ok, "{:#?}", diagnosis.findings);
    }

    #[test]
    fn a_healthy_public_round_gives_no_finding((outcome, expectations) in healthy_public_round()) {
        let diagnosis = diagnose(&outcome, &expectations);
        prop_assert_eq!(diagnosis.verdict(), Verdict::Ok, "{:#?}", diagnosis.findings);
    }
}

fn no_two_findings_share_a_cause(diagnosis: &Diagnosis) -> Result<(), TestCaseError> {
    let mut causes = BTreeSet::new();
    for finding in &diagnosis.findings {
        prop_assert!(causes.insert(cause(finding)), "twice: {finding:?}");
    }
    Ok(())
}

/// Counts only findings about the endpoint itself.
fn no_endpoint_has_a_cascade(
    outcome: &Outcome,
    diagnosis: &Diagnosis,
) -> Result<(), TestCaseError> {
    for seen in outcome.endpoints.iter().filter(|seen| !seen.is_up()) {
        let here = |finding: &&Finding| {
            let code = finding.code;
            finding.endpoint == seen.endpoint
                && finding.severity == Severity::Critical
                && !code.is_shared_by_endpoints()
                && code != Code::MirrorFailing
        };
        let own = diagnosis.findings.iter().filter(here).count();
        prop_assert!(own <= 1, "a cascade: {diagnosis:#?}");
    }
    Ok(())
}

fn what_is_down_has_a_critical_finding(
    outcome: &Outcome,
    expectations: &Expectations,
    diagnosis: &Diagnosis,
) -> Result<(), TestCaseError> {
    let turns: BTreeSet<Turn> = outcome.endpoints.iter().map(|seen| seen.turn).collect();
    let may_serve = |turn: &Turn| {
        let of_turn = || outcome.endpoints.iter().filter(|seen| seen.turn == *turn);
        *turn != Turn::Never && of_turn().all(|seen| is_tolerable(seen, expectations))
    };
    let is_down = !turns.is_empty() && !turns.iter().any(may_serve);
    if is_down && outcome.unseen_hosts.is_none() {
        prop_assert_eq!(diagnosis.verdict(), Verdict::Failing, "{:#?}", diagnosis);
    }
    Ok(())
}

fn the_verdict_is_that_of_the_worst_finding(diagnosis: &Diagnosis) -> Result<(), TestCaseError> {
    let has = |least| diagnosis.findings.iter().any(|one| one.severity >= least);
    let expected = match (has(Severity::Warning), has(Severity::Critical)) {
        (_, true) => Verdict::Failing,
        _ if diagnosis.unseen.is_some() => Verdict::Unknown,
        (true, false) => Verdict::Degraded,
        (false, false) => Verdict::Ok,
    };
    prop_assert_eq!(diagnosis.verdict(), expected);
    Ok(())
}

fn the_order_of_observations_does_not_matter(
    one: &Diagnosis,
    other: &Diagnosis,
) -> Result<(), TestCaseError> {
    prop_assert_eq!(one.verdict(), other.verdict());
    prop_assert_eq!(texts(one), texts(other));
    prop_assert_eq!(one.predicted_pull_delay, other.predicted_pull_delay);
    Ok(())
}

/// Other cases in every run. A test that fails prints the variable that repeats its cases;
/// `PROPTEST_CASES=…` tries more of them.
fn config(cases: u32) -> Config {
    let default = Config::default();
    let seed = match default.rng_seed {
        RngSeed::Fixed(seed) => seed,
        RngSeed::Random => RandomState::new().hash_one(cases),
    };
    println!("PROPTEST_RNG_SEED={seed}");
    Config {
        cases: match std::env::var_os("PROPTEST_CASES") {
            Some(_) => default.cases,
            None => cases,
        },
        rng_seed: RngSeed::Fixed(seed),
        // The default generator is slow in a debug build, and is created again for
        // each choice between strategies.
        rng_algorithm: RngAlgorithm::XorShift,
        failure_persistence: None,
        ..default
    }
}

/// What makes two findings the same one.
fn cause(finding: &Finding) -> (Code, Option<String>, Option<String>, Option<IpAddr>) {
    let nameserver = finding.nameserver.clone();
    match finding.code.is_shared_by_endpoints() {
        true => (finding.code, None, nameserver, None),
        false => {
            let mut endpoint = format!("{} {}", finding.endpoint, finding.endpoint.role.as_str());
            // Two files of certs.d may both be wrong.
            if finding.code == Code::MirrorFailing {
                endpoint.push_str(finding.stage.as_str());
            }
            (finding.code, Some(endpoint), nameserver, finding.address)
        }
    }
}

/// The findings as a set; the order of their evidence does not matter.
fn texts(diagnosis: &Diagnosis) -> BTreeSet<String> {
    let text = |finding: &Finding| {
        let mut finding = finding.clone();
        finding.evidence.sort();
        format!("{finding:?}")
    };
    diagnosis.findings.iter().map(text).collect()
}

/// Up, or down for a reason that says nothing about the registry or that pulls do not meet.
fn is_tolerable(seen: &EndpointOutcome, expectations: &Expectations) -> bool {
    seen.failure().is_none_or(|(stage, fault)| {
        let throttled = stage == Stage::Token && fault.reason() == Reason::Throttled;
        fault.reason() == Reason::Local || throttled && !expectations.anonymous_pull
    })
}
