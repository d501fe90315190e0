//! The results as a table: medians of all runs, with ratios.

use std::{fmt, time::Duration};

use crate::{accuracy::Errors, cost::Cost};

/// One run with all contenders.
pub(crate) struct Run {
    /// The floor without pauses between its probes.
    pub(crate) unpaced: Cost,
    pub(crate) floor: Cost,
    pub(crate) regprobe: Cost,
    pub(crate) blackbox: Cost,
    pub(crate) regprobe_errors: Errors,
    pub(crate) blackbox_errors: Errors,
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cost = |cost: &Cost| {
            format!(
                "{:.3} ms {:.1} MB",
                milliseconds(cost.cpu),
                megabytes(cost.rss)
            )
        };
        writeln!(
            f,
            "  floor {}, unpaced {}, regprobe {}, blackbox_exporter {}",
            cost(&self.floor),
            cost(&self.unpaced),
            cost(&self.regprobe),
            cost(&self.blackbox)
        )?;
        for (who, errors) in [
            ("regprobe", &self.regprobe_errors),
            ("blackbox_exporter", &self.blackbox_errors),
        ] {
            write!(f, "  {who}:")?;
            for (stage, errors) in errors {
                write!(f, " {stage} {}", parts(errors))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// The whole table; `few` is the memory of regprobe and blackbox_exporter with few registries, and `sizes`
/// are the sizes of their binaries.
pub(crate) fn markdown(runs: &[Run], few: &[[u64; 2]], sizes: [u64; 2]) -> String {
    let mut lines = vec![
        "| | floor | regprobe | blackbox_exporter | regprobe / floor | regprobe / blackbox_exporter |".to_owned(),
        "|---|---|---|---|---|---|".to_owned(),
    ];
    let mut row = |name: &str, floor: Option<f64>, regprobe: f64, blackbox: f64, digits: usize| {
        let floor_text = floor.map_or(String::new(), |floor| format!("{floor:.digits$}"));
        let to_floor = floor.map_or(String::new(), |floor| format!("{:.2}", regprobe / floor));
        lines.push(format!(
            "| {name} | {floor_text} | {regprobe:.digits$} | {blackbox:.digits$} | {to_floor} | {:.2} |",
            regprobe / blackbox
        ));
    };
    let of = |value: &dyn Fn(&Run) -> f64| median(runs.iter().map(value).collect());
    let of_few = |who: usize| median(few.iter().map(|few| megabytes(few[who])).collect());
    row(
        "processor time of a probe, ms",
        Some(of(&|run| milliseconds(run.floor.cpu))),
        of(&|run| milliseconds(run.regprobe.cpu)),
        of(&|run| milliseconds(run.blackbox.cpu)),
        3,
    );
    row(
        "the same, the floor's one right after the other, ms",
        Some(of(&|run| milliseconds(run.unpaced.cpu))),
        of(&|run| milliseconds(run.regprobe.cpu)),
        of(&|run| milliseconds(run.blackbox.cpu)),
        3,
    );
    row(
        "resident memory with 100 registries, MB",
        Some(of(&|run| megabytes(run.floor.rss))),
        of(&|run| megabytes(run.regprobe.rss)),
        of(&|run| megabytes(run.blackbox.rss)),
        1,
    );
    row(
        "resident memory with 20 registries, MB",
        None,
        of_few(0),
        of_few(1),
        1,
    );
    row(
        "binary, MB",
        None,
        megabytes(sizes[0]),
        megabytes(sizes[1]),
        2,
    );
    let scrape = |cost: &Cost| {
        cost.scrape
            .map_or((0.0, 0.0), |s| (milliseconds(s.took), s.bytes as f64 / 1e3))
    };
    row(
        "one scrape, ms",
        None,
        of(&|run| scrape(&run.regprobe).0),
        of(&|run| scrape(&run.blackbox).0),
        1,
    );
    row(
        "bytes of all targets, kB",
        None,
        of(&|run| scrape(&run.regprobe).1),
        of(&|run| scrape(&run.blackbox).1),
        0,
    );
    for stage in ["resolve", "connect", "tls", "http"] {
        for (name, part) in [("median", 0.5), ("p99", 0.99)] {
            let error = |errors: &Errors| {
                errors
                    .get(stage)
                    .map_or(f64::NAN, |e| milliseconds(quantile(e, part)) * 1e3)
            };
            row(
                &format!("error of `{stage}`, {name}, µs"),
                None,
                of(&|run| error(&run.regprobe_errors)),
                of(&|run| error(&run.blackbox_errors)),
                0,
            );
        }
    }
    lines.join("\n")
}

fn parts(errors: &[Duration]) -> String {
    format!(
        "{:.0?} {:.0?}",
        quantile(errors, 0.5),
        quantile(errors, 0.99)
    )
}

fn quantile(values: &[Duration], part: f64) -> Duration {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let last = sorted.len().saturating_sub(1);
    sorted
        .get((last as f64 * part).round() as usize)
        .copied()
        .unwrap_or_default()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
