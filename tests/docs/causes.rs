//! The page about pulls from ACR to AKS: its stages exist, and its commands are in the runbooks of its findings, where
//! the real `az` parses them.

use regprobe_probes::Stage;

use super::{page, regprobe, set};

const PAGE: &str = "docs/registries/acr-aks.md";

/// What stands in backquotes.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[test]
fn every_stage_is_beside_a_check() {
    let head = [
        "`az aks check-acr` says",
        "what it checks",
        "regprobe's stage",
        "how regprobe differs",
    ];
    let rows = page(PAGE).table(&head);
    let named = rows.iter().flat_map(|row| quoted(&row[2]));
    let known = Stage::ALL.map(|stage| stage.to_string());
    assert_eq!(set(named), set(known.iter().map(String::as_str)));
}

#[test]
fn every_command_is_in_a_runbook_of_its_row() {
    let mut checked = 0;
    for first in ["cause and solution in the article", "cause"] {
        for row in page(PAGE).table(&[first, "finding", "command in the runbook"]) {
            let codes = quoted(&row[1]).filter(|code| !code.contains(' '));
            let runbooks: String = codes.map(|code| regprobe(&["explain", code])).collect();
            for command in quoted(&row[2]) {
                let has = runbooks.contains(command);
                assert!(has, "{}: no runbook of {} has {command}", row[0], row[1]);
                checked += 1;
            }
        }
    }
    assert!(checked > 15, "only {checked} commands were found");
}
