//! Compares reports with the files in `golden/`. `UPDATE_GOLDEN=1 cargo test` writes these; read the
//! difference before you commit it.

use std::{env, fs, path::Path, sync::Arc};

use super::{Screen, text};
use crate::state::{RegistryState, Snapshot, story};

type Story = fn() -> Arc<RegistryState>;

const STORIES: [(&str, Story); 4] = [
    ("healthy", story::healthy),
    ("drift", story::drift),
    ("failing", story::failing),
    ("long-names", story::long_names),
];

fn report(story: Story, width: usize, colour: bool) -> String {
    let registries = vec![story()];
    text(&Snapshot::once(registries), Screen { width, colour })
}

#[test]
fn reports_match_the_golden_files() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/check/report/golden");
    let mut changed = Vec::new();
    for (name, story) in STORIES {
        for (width, colour, file) in [
            (80, false, format!("{name}-80.txt")),
            (80, true, format!("{name}-80-colour.txt")),
            (120, false, format!("{name}-120.txt")),
        ] {
            let path = golden.join(file);
            // A visible character instead of the escape, so that the file is safe to print.
            let text = report(story, width, colour).replace('\u{1b}', "\u{241b}");
            if env::var_os("UPDATE_GOLDEN").is_some() {
                fs::write(&path, &text).unwrap();
            }
            if fs::read_to_string(&path).unwrap_or_default() != text {
                changed.push(format!("{}:\n{text}", path.display()));
            }
        }
    }
    assert!(changed.is_empty(), "{}", changed.join("\n"));
}

#[test]
fn only_long_names_exceed_the_width() {
    for (name, story) in STORIES {
        for width in [80, 120] {
            for line in report(story, width, false).lines() {
                // A name, or an endpoint with its role.
                let is_name = line.split_whitespace().count() <= 2;
                let fits = line.chars().count() <= width;
                assert!(fits || is_name, "{name}: {line}");
            }
        }
    }
}

#[test]
fn colours_do_not_change_the_text() {
    for (name, story) in STORIES {
        let mut plain = String::new();
        for (place, part) in report(story, 80, true).split('\u{1b}').enumerate() {
            let part = match place {
                0 => part,
                _ => part.split_once('m').expect("an escape is a colour").1,
            };
            plain.push_str(part);
        }
        assert_eq!(plain, report(story, 80, false), "{name}");
    }
}
