//! The answer at a terminal.

use anstyle::{AnsiColor, Style};

use super::{answer::WhyPod, causes::WhyWorkload};
use crate::{
    cli::runbooks::Runbook,
    out::screen::{Layout, PLAIN, Screen},
};

/// The answer as text.
pub(super) fn text(answer: &WhyPod, screen: Screen) -> String {
    let mut layout = Layout::new(screen);
    headline(&mut layout, answer.condition, &answer.sentence);
    details(&mut layout, answer);
    layout.into_text()
}

/// The answer about a workload as text.
pub(super) fn text_of_workload(answer: &WhyWorkload, screen: Screen) -> String {
    let mut layout = Layout::new(screen);
    headline(&mut layout, answer.condition, &answer.sentence);
    let count = |count, what| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    for cause in &answer.causes {
        let pods = count(cause.pods, "pod");
        let who = match cause.nodes {
            0 => pods,
            nodes => format!("{pods} on {}", count(nodes, "node")),
        };
        say(&mut layout, &who, &cause.example.sentence);
        details(&mut layout, &cause.example);
    }
    for note in &answer.notes {
        say(&mut layout, "note", note);
    }
    layout.into_text()
}

fn headline(layout: &mut Layout, condition: &str, sentence: &str) {
    let (colour, word) = match condition {
        "cannot_pull" => (AnsiColor::Red, "CANNOT PULL"),
        "pulling" => (AnsiColor::Magenta, "PULLING"),
        "not_scheduled" => (AnsiColor::Magenta, "NOT SCHEDULED"),
        "no_pods" => (AnsiColor::Magenta, "NO PODS"),
        _ => (AnsiColor::Green, "NO PULL FAULT"),
    };
    let style: Style = colour.on_default().bold();
    layout.line(0, 2).cell(0, style, word).words(2, sentence);
}

fn details(layout: &mut Layout, answer: &WhyPod) {
    if let Some(remedy) = &answer.remedy {
        say(layout, "do", remedy);
    }
    for (place, image) in answer.images.iter().enumerate() {
        if place > 0 {
            let cause = format!("{}: {}", image.image, image.cause);
            say(layout, "image", &cause);
        }
        say(layout, "do", &image.remedy);
        if let Some(said) = &image.said {
            say(layout, "kubelet", said);
        }
        let runbook = image.runbook.as_deref().and_then(Runbook::named);
        if let Some(runbook) = runbook {
            say(
                layout,
                "more",
                &format!("regprobe explain {}", runbook.name),
            );
        }
    }
    for note in &answer.notes {
        say(layout, "note", note);
    }
}

fn say(layout: &mut Layout, label: &str, text: &str) {
    let label = format!("{label}:");
    layout.line(2, 4).cell(0, PLAIN, &label).words(1, text);
}
