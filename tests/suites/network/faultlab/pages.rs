//! What the runbooks say that containerd prints, compared with what it printed.

use anyhow::{Result, ensure};
use regprobe_harness::quotes;
use regprobe_lab::scenario::{Does, Scenario};
use regprobe_lab::servers::Pull;

/// If containerd failed, the page of at least one of the findings has a text that it printed.
pub(super) fn quote(scenario: &Scenario, pull: &Pull) -> Result<()> {
    if scenario.containerd.does != Does::Fails || scenario.loud.is_empty() {
        return Ok(());
    }
    let mut quoted = Vec::new();
    for code in &scenario.loud {
        quoted.extend(quotes::of_page(code)?);
    }
    ensure!(
        quoted.iter().any(|text| quotes::occurs(text, &pull.said)),
        "containerd prints none of {quoted:?}, which the runbooks say"
    );
    Ok(())
}
