//! The first sentences of the page: whether this node can pull, and from where it cannot.

use super::super::words::{meaning, names, state_of};
use crate::out::status::RegistryStatus;

/// What the page says first.
pub(super) struct Headline {
    /// The page's title.
    pub title: String,
    /// The worst of it: `This node cannot pull from contoso.`
    pub verdict: String,
    /// The rest of it; empty if there is none.
    pub rest: String,
}

/// The headline for these registries, the worst first.
pub(super) fn headline(registries: &[RegistryStatus]) -> Headline {
    let all = registries.len();
    let of = |condition: &str| {
        let those = registries.iter().filter(|seen| seen.condition == condition);
        those.map(|seen| &*seen.name).collect::<Vec<_>>()
    };
    let [failing, unknown, degraded] = ["failing", "unknown", "degraded"].map(of);
    let listed = |those: &[&str]| names(those, "registries");
    let verdict = match (&*failing, &*unknown, &*degraded) {
        _ if registries.is_empty() => "This node watches no registry.".to_owned(),
        ([], [], []) => format!("This node can pull from {}.", every(registries)),
        ([], [], _) if all == 1 => format!("This node can pull from {}.", every(registries)),
        ([], [], some) => format!("This node can pull, with a problem at {}.", listed(some)),
        ([], _, _) if registries.iter().all(|seen| seen.at.is_none()) => {
            "The first round has not finished yet.".to_owned()
        }
        ([], some, _) => {
            format!(
                "This node cannot tell whether it can pull from {}.",
                listed(some)
            )
        }
        (some, _, _) => format!("This node cannot pull from {}.", listed(some)),
    };
    let mut rest = Vec::new();
    let works = all - failing.len() - unknown.len();
    if !failing.is_empty() && works > 0 {
        rest.push(format!("It can pull from {works} of {all} registries"));
    }
    if !failing.is_empty() && !unknown.is_empty() {
        rest.push(format!("it cannot tell for {}", listed(&unknown)));
    }
    let degraded = registries
        .iter()
        .filter(|seen| seen.condition == "degraded");
    for seen in degraded.take(3) {
        rest.push(format!("{} {}", seen.name, state_of(seen)));
    }
    let rest = match rest.join("; ") {
        rest if rest.is_empty() => rest,
        rest => format!("{rest}."),
    };
    Headline {
        title: title(registries),
        verdict,
        rest,
    }
}

fn every(registries: &[RegistryStatus]) -> String {
    match registries {
        [only] => only.name.clone(),
        all => format!("all {} registries", all.len()),
    }
}

fn title(registries: &[RegistryStatus]) -> String {
    let parts = ["failing", "unknown", "degraded", "ok"].map(|condition| {
        let those = registries.iter().filter(|seen| seen.condition == condition);
        (those.count(), meaning(condition))
    });
    let parts = parts.iter().filter(|(count, _)| *count > 0);
    let parts: Vec<_> = parts
        .map(|(count, words)| format!("{count} {words}"))
        .collect();
    match &*parts {
        [] => "no registry".to_owned(),
        parts => parts.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{RegistryState, story};

    fn says(states: &[&RegistryState]) -> (String, String) {
        let registries: Vec<_> = states
            .iter()
            .map(|state| RegistryStatus::of(state))
            .collect();
        let Headline { verdict, rest, .. } = headline(&registries);
        (verdict, rest)
    }

    #[test]
    fn the_worst_comes_first_and_by_name() {
        let (failing, drift, healthy) = (story::failing(), story::drift(), story::healthy());
        for (states, verdict, rest) in [
            (&[][..], "This node watches no registry.", ""),
            (
                &[&*healthy],
                "This node can pull from contoso.azurecr.io.",
                "",
            ),
            (
                &[&*healthy, &*healthy],
                "This node can pull from all 2 registries.",
                "",
            ),
            (
                &[&*drift],
                "This node can pull from drift.",
                "drift works, but slowly.",
            ),
            (
                &[&*drift, &*healthy],
                "This node can pull, with a problem at drift.",
                "drift works, but slowly.",
            ),
            (&[&*failing], "This node cannot pull from contoso.", ""),
            (
                &[&*failing, &*drift, &*healthy],
                "This node cannot pull from contoso.",
                "It can pull from 2 of 3 registries; drift works, but slowly.",
            ),
        ] {
            assert_eq!(says(states), (verdict.to_owned(), rest.to_owned()));
        }
    }

    #[test]
    fn before_the_first_round_nothing_is_claimed() {
        let mut state = RegistryState::clone(&story::failing());
        state.round = None;
        let (verdict, _) = says(&[&state]);
        assert_eq!(verdict, "The first round has not finished yet.");
        let (verdict, _) = says(&[&state, &story::healthy()]);
        assert_eq!(
            verdict,
            "This node cannot tell whether it can pull from contoso."
        );
    }
}
