use std::sync::Arc;

use super::*;
use crate::state::story;

fn document(registries: Vec<Arc<RegistryState>>) -> (Summary, String) {
    let summary = Summary::of(&Snapshot::once(registries), "aks-np1-12345678-vmss000004");
    let text = printable_json(&to_string(&summary).unwrap()).into_owned();
    (summary, text)
}

#[test]
fn what_is_sent_is_what_is_read_and_fits() {
    let (summary, text) = document(vec![story::healthy(), story::drift(), story::failing()]);
    assert!(text.len() <= MAX_BYTES, "{}: {text}", text.len());
    assert_eq!(read(text.as_bytes()), Some(summary.clone()));
    let names: Vec<_> = summary.registries.iter().map(|one| &*one.name).collect();
    assert_eq!(names, ["contoso", "drift"]);
    assert_eq!(summary.ok, ["contoso.azurecr.io"]);
    assert!(summary.left_out.is_empty());
    let missing = &summary.registries[0].findings[0];
    assert_eq!(missing.code, "PrivateLinkRecordMissing");
    assert!(missing.message.is_some(), "{text}");
    // What only informs is left out.
    assert_eq!(summary.registries[1].findings.len(), 1);
}

#[test]
fn many_registries_fit_and_the_rest_is_counted() {
    for (good, bad) in [(500, 0), (0, 500), (300, 300)] {
        let healthy = std::iter::repeat_n(story::healthy(), good);
        let failing = std::iter::repeat_n(story::failing(), bad);
        let (summary, text) = document(healthy.chain(failing).collect());
        assert!(text.len() <= MAX_BYTES, "{}: {text}", text.len());
        let left_out: u32 = summary.left_out.values().sum();
        let listed = summary.registries.len() + summary.ok.len();
        assert_eq!(listed + left_out as usize, good + bad);
        assert!(summary.registries.len().min(bad) > 3 || bad == 0, "{text}");
    }
}

#[test]
fn long_and_unprintable_names_fit() {
    let registries = std::iter::repeat_n(story::long_names(), 50).collect();
    let node = "\u{202e}".repeat(300);
    let summary = Summary::of(&Snapshot::once(registries), &node);
    let text = to_string(&summary).unwrap();
    assert!(printable_json(&text).len() <= MAX_BYTES);
}

#[test]
fn other_documents_are_refused() {
    let (summary, _) = document(vec![story::failing()]);
    let other = Summary {
        schema: "regprobe/v1".to_owned(),
        ..summary.clone()
    };
    assert_eq!(read(to_string(&other).unwrap().as_bytes()), None);
    let large = Summary {
        ok: vec!["x".repeat(MAX_BYTES)],
        ..summary
    };
    assert_eq!(read(to_string(&large).unwrap().as_bytes()), None);
    for text in ["", "{}", "[]", "<html>"] {
        assert_eq!(read(text.as_bytes()), None, "{text}");
    }
}
