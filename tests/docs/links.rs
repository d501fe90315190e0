//! Every link within the repository leads to something. The book is read away from the repository, so
//! its pages name files beside it by their address on the web.

use std::path::{Path, PathBuf};

use super::markdown::{self, Page};
use super::root;

/// Where a file or folder of the repository is on the web.
const ONLINE: [&str; 3] = [
    "https://github.com/regprobe/regprobe/blob/main/",
    "https://github.com/regprobe/regprobe/tree/main/",
    "https://raw.githubusercontent.com/regprobe/regprobe/main/",
];

#[test]
fn every_link_leads_somewhere() {
    let (mut dead, mut checked) = (Vec::new(), 0);
    for path in markdown::files(&root()) {
        let page = Page::read(&path);
        for link in page.links() {
            let Some(target) = target(&page.path, &link) else {
                continue;
            };
            checked += 1;
            if !exists(&target) {
                dead.push(format!("{page}: {link}"));
            }
        }
    }
    assert!(dead.is_empty(), "{dead:#?}");
    assert!(checked > 150, "only {checked} links were found");
}

#[test]
fn links_of_the_book_stay_in_it() {
    let docs = root().join("docs").canonicalize().unwrap();
    for path in markdown::files(&docs) {
        let page = Page::read(&path);
        for link in page.links().iter().filter(|link| !link.contains("://")) {
            let Some((file, _)) = target(&path, link) else {
                continue;
            };
            let file = file
                .canonicalize()
                .unwrap_or_else(|e| panic!("{page}: {link}: {e}"));
            assert!(
                file.starts_with(&docs),
                "{page}: {link} leads out of the book"
            );
        }
    }
}

/// What stands in backquotes and starts with a folder of the repository is a path; a suite may be named
/// without its `.rs`.
#[test]
fn every_path_exists() {
    const FOLDERS: [&str; 6] = [
        "agent/", "benches/", "deploy/", "docs/", "probes/", "tests/",
    ];
    let mut dead = Vec::new();
    for page in [
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "README.md",
        "SECURITY.md",
    ] {
        for word in Page::read(&root().join(page)).quoted() {
            let path = root().join(word.split(' ').next().unwrap_or_default());
            let is_path = FOLDERS.iter().any(|folder| word.starts_with(folder));
            if is_path && !path.exists() && !path.with_extension("rs").exists() {
                dead.push(format!("{page}: {word}"));
            }
        }
    }
    assert!(dead.is_empty(), "{dead:#?}");
}

/// The file and the anchor, if it is one of ours.
fn target(page: &Path, link: &str) -> Option<(PathBuf, Option<String>)> {
    let (link, anchor) = match link.split_once('#') {
        Some((link, anchor)) => (link, Some(anchor.to_owned())),
        None => (link, None),
    };
    let online = ONLINE.iter().find_map(|prefix| link.strip_prefix(prefix));
    let file = match online {
        Some(path) => root().join(path),
        None if link.contains("://") || link.starts_with("mailto:") => return None,
        None if link.is_empty() => page.to_owned(),
        None => page.parent()?.join(link),
    };
    Some((file, anchor))
}

fn exists((file, anchor): &(PathBuf, Option<String>)) -> bool {
    match anchor {
        Some(anchor) if file.extension().is_some_and(|extension| extension == "md") => {
            file.exists() && Page::read(file).anchors().contains(anchor)
        }
        _ => file.exists(),
    }
}
