//! The answer at a terminal.

use anstyle::{AnsiColor, Style};

use super::answer::WhyPod;
use crate::{
    cli::runbooks::Runbook,
    out::screen::{Layout, PLAIN, Screen},
};

/// The answer as text.
pub(super) fn text(answer: &WhyPod, screen: Screen) -> String {
    let (colour, word) = match answer.condition {
        "cannot_pull" => (AnsiColor::Red, "CANNOT PULL"),
        "pulling" => (AnsiColor::Magenta, "PULLING"),
        "not_scheduled" => (AnsiColor::Magenta, "NOT SCHEDULED"),
        _ => (AnsiColor::Green, "NO PULL FAULT"),
    };
    let mut layout = Layout::new(screen);
    let style: Style = colour.on_default().bold();
    layout
        .line(0, 2)
        .cell(0, style, word)
        .words(2, &answer.sentence);
    let mut say = |label: &str, text: &str| {
        let label = format!("{label}:");
        layout.line(2, 4).cell(0, PLAIN, &label).words(1, text);
    };
    if let Some(remedy) = &answer.remedy {
        say("do", remedy);
    }
    for (place, image) in answer.images.iter().enumerate() {
        if place > 0 {
            say("image", &format!("{}: {}", image.image, image.cause));
        }
        say("do", &image.remedy);
        if let Some(said) = &image.said {
            say("kubelet", said);
        }
        let runbook = image.runbook.as_deref().and_then(Runbook::named);
        if let Some(runbook) = runbook {
            say("more", &format!("regprobe explain {}", runbook.name));
        }
    }
    for note in &answer.notes {
        say("note", note);
    }
    layout.into_text()
}
