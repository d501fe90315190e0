//! The rate over time, as a table and as a picture.

use std::fmt::Write as _;

use crate::{
    simulation::{BUDGET, Seen},
    story::{EVENT, Seconds, Story},
};

const STEP: Seconds = 10.0;
const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 240.0;
const MARGIN: f64 = 40.0;
/// The budget is drawn at this part of the height.
const TOP: f64 = 1.25;

/// Requests in each ten seconds.
pub(crate) struct Rate {
    first: Seconds,
    counts: Vec<u32>,
}

impl Rate {
    pub(crate) fn of(seen: &Seen) -> Self {
        let first = seen.requests.first().copied().unwrap_or_default();
        let mut counts = vec![0; ((seen.end - first) / STEP).ceil() as usize];
        for time in &seen.requests {
            counts[((time - first) / STEP) as usize] += 1;
        }
        Self { first, counts }
    }

    /// A line for each ten seconds; those are counted from the event of the story.
    pub(crate) fn csv(&self) -> String {
        let mut table = String::from("seconds,requests\n");
        for (at, count) in self.counts.iter().enumerate() {
            let seconds = self.first - EVENT + STEP * at as f64;
            let _ = writeln!(table, "{seconds:.0},{count}");
        }
        table
    }

    /// With the budget as a line.
    pub(crate) fn svg(&self, story: Story, size: u32) -> String {
        let budget = f64::from(BUDGET) * STEP / 60.0;
        let most = self.counts.iter().copied().max().unwrap_or(0);
        let scale = f64::from(most).max(budget) * TOP;
        let x = |at: usize| MARGIN + (WIDTH - 2.0 * MARGIN) * at as f64 / self.counts.len() as f64;
        let y = |count: f64| HEIGHT - MARGIN - (HEIGHT - 2.0 * MARGIN) * count / scale;
        let mut path = String::new();
        for (at, count) in self.counts.iter().enumerate() {
            let step = if at == 0 { 'M' } else { 'L' };
            let _ = write!(path, "{step}{:.1} {:.1}", x(at), y((*count).into()));
        }
        let (left, right, line, bottom) = (MARGIN, WIDTH - MARGIN, y(budget), y(0.0));
        format!(
            r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="#fff"/>
<text x="{left}" y="20">{story}, {size} nodes: requests to the registry in 10 s, over {minutes:.0} minutes</text>
<path d="M{left} {line:.1}H{right}" stroke="#c22" stroke-dasharray="4"/>
<text x="{left}" y="{above:.1}" fill="#c22">budget: {budget:.0}</text>
<path d="M{left} {bottom:.1}H{right}" stroke="#888"/>
<path d="{path}" fill="none" stroke="#07a"/>
</svg>
"##,
            story = story.as_str(),
            minutes = STEP * self.counts.len() as f64 / 60.0,
            above = line - 4.0,
        )
    }
}
