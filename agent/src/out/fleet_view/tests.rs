use serde_json::json;

use super::*;
use crate::out::{pages, screen::Screen, summary};

fn time(text: &str) -> Timestamp {
    format!("2026-02-20T{text}Z").parse().unwrap()
}

/// A node that asks this nameserver.
fn node(name: &str, nameserver: &str) -> serde_json::Value {
    json!({
        "schema": "regprobe-summary/v1", "node": name, "version": "0.2.0", "at": time("12:00:00"),
        "nameservers": [nameserver], "subnet": null, "proxy": null,
        "registries": [], "ok": ["contoso", "mcr"], "left_out": {},
    })
}

fn failing(name: &str, since: &str) -> serde_json::Value {
    let mut document = node(name, "10.1.0.10");
    document["ok"] = json!(["mcr"]);
    document["registries"] = json!([{
        "name": "contoso", "condition": "failing", "since": time(since),
        "findings": [{
            "code": "PrivateLinkRecordMissing", "severity": "critical",
            "endpoint": "contoso.azurecr.io:443", "since": time(since),
            "message": "The zone has no record.", "remedy": "Add it.",
        }],
    }]);
    document
}

fn degraded(name: &str) -> serde_json::Value {
    let mut document = failing(name, "02:14:00");
    let registry = &mut document["registries"][0];
    registry["condition"] = json!("degraded");
    registry["findings"][0]["severity"] = json!("warning");
    registry["findings"][0]["code"] = json!("AddressDown");
    document
}

fn heard(document: &serde_json::Value) -> Heard {
    let name = document["node"].as_str().unwrap();
    let summary = summary::read(document.to_string().as_bytes()).unwrap();
    Heard {
        called: name.to_owned(),
        page: Some(format!("http://{name}:9118/")),
        answer: Answer::Summary(Arc::new(summary)),
    }
}

fn silent(name: &str) -> Heard {
    Heard {
        called: name.to_owned(),
        page: None,
        answer: Answer::Nothing("nothing within 1.5 s".to_owned()),
    }
}

fn view(heard: &[Heard]) -> FleetView {
    FleetView::of(heard, None, time("12:00:00"))
}

/// Three nodes fail and one does not answer, of 48.
fn drift() -> FleetView {
    let pool = |pool: &str, n: usize| format!("aks-{pool}-12345678-vmss{n:06}");
    let bad = ["02:20:00", "02:14:00", "02:15:00"];
    let bad = bad
        .iter()
        .enumerate()
        .map(|(n, since)| heard(&failing(&pool("np2", n), since)));
    let good = (3..47).map(|n| heard(&node(&pool("np1", n), "168.63.129.16")));
    let all: Vec<_> = bad
        .chain(good)
        .chain([silent("aks-np3-12345678-vmss000000")])
        .collect();
    view(&all)
}

#[test]
fn the_sentence_says_the_one_thing_to_know() {
    let good = |n: usize| heard(&node(&format!("n{n}"), "10.0.0.10"));
    let drift = drift();
    assert_eq!(
        drift.sentence,
        "3 of 48 nodes cannot pull from contoso: PrivateLinkRecordMissing since 02:14 UTC."
    );
    assert_eq!(
        drift.notes,
        [
            "All 3 have nameservers 10.1.0.10 and node pool np2; no other node that answered does.",
            "1 node did not answer."
        ]
    );
    for (heard, sentence) in [
        (vec![], "No agent is known."),
        (vec![silent("a"), silent("b")], "None of 2 nodes answered."),
        (vec![good(1), good(2)], "All 2 nodes can pull."),
        (
            vec![good(1), silent("b")],
            "All 1 node of 2 that answered can pull.",
        ),
        (
            vec![good(1), heard(&degraded("n2"))],
            "No node fails. 1 of 2 nodes can pull, but something is wrong or slow: AddressDown \
             since 02:14 UTC.",
        ),
    ] {
        assert_eq!(view(&heard).sentence, sentence);
    }
}

#[test]
fn what_differs_is_shown_and_what_does_not_is_not() {
    let contrast = drift().contrast.unwrap();
    assert_eq!((contrast.nodes, contrast.others), (3, 44));
    let what: Vec<_> = contrast.differences.iter().map(|one| one.what).collect();
    assert_eq!(what, ["nameservers", "node pool"]);
    assert_eq!(contrast.differences[0].these, [("10.1.0.10".to_owned(), 3)]);
    let alike = view(&[
        heard(&failing("a", "01:00:00")),
        heard(&failing("b", "01:00:00")),
    ]);
    assert!(alike.contrast.is_none());
}

#[test]
fn causes_are_grouped_and_sorted() {
    let mut all: Vec<_> = ["c", "a"]
        .map(|name| heard(&failing(name, "01:00:00")))
        .into();
    all.extend((0..9).map(|n| heard(&degraded(&format!("d{n}")))));
    let view = view(&all);
    let causes: Vec<_> = view
        .causes
        .iter()
        .map(|cause| (&*cause.code, cause.nodes.len()))
        .collect();
    assert_eq!(
        causes,
        [("PrivateLinkRecordMissing", 2), ("AddressDown", 9)]
    );
    assert_eq!(view.causes[0].nodes, ["a", "c"]);
    assert_eq!(view.causes[0].remedy.as_deref(), Some("Add it."));
    let order: Vec<_> = view.nodes.iter().take(3).map(|node| &*node.node).collect();
    assert_eq!(order, ["a", "c", "d0"]);
}

#[test]
fn one_liar_does_not_push_the_others_aside() {
    let mut lie = failing("<b>liar</b>", "00:00:01");
    lie["registries"] = (0..8)
        .map(|n| json!({"name": format!("\u{202e}{n}"), "condition": "on fire", "since": null, "findings": []}))
        .collect();
    lie["left_out"] = json!({"failing": u32::MAX, "nonsense": 7});
    lie["nameservers"] = json!([]);
    let mut all = vec![heard(&lie)];
    all.extend((0..20).map(|n| heard(&failing(&format!("n{n}"), "01:00:00"))));
    let view = view(&all);
    assert!(
        view.sentence
            .starts_with("20 of 21 nodes cannot pull from contoso"),
        "{}",
        view.sentence
    );
    assert_eq!(view.registries[0], "contoso");
    let page = pages::fleet(&view, view.at);
    assert!(
        !page.contains("<b>liar") && !page.contains('\u{202e}'),
        "{page}"
    );
    let screen = Screen {
        width: 80,
        colour: false,
    };
    assert!(!text(&view, screen).contains('\u{202e}'));
}

#[test]
fn the_page_of_five_thousand_nodes_has_a_bound() {
    let names = (0..5000).map(|n| format!("{n:0>120}"));
    let all: Vec<_> = names
        .map(|name| heard(&failing(&name, "01:00:00")))
        .collect();
    let view = view(&all);
    let page = pages::fleet(&view, view.at);
    assert!(page.len() < 300_000, "{} bytes", page.len());
    assert!(page.contains("5000 of 5000 nodes"));
    assert_eq!(view.nodes.len(), 5000);
}

#[test]
fn the_text_for_a_terminal() {
    let screen = Screen {
        width: 80,
        colour: false,
    };
    let expected = "\
FAILING  3 of 48 nodes cannot pull from contoso: PrivateLinkRecordMissing since
  02:14 UTC.
  All 3 have nameservers 10.1.0.10 and node pool np2; no other node that
  answered does.
  1 node did not answer.

CRITICAL PrivateLinkRecordMissing  contoso  3 nodes since 02:14 UTC
  contoso.azurecr.io:443
  The zone has no record.
  do: Add it.
  nodes: aks-np2-12345678-vmss000000 aks-np2-12345678-vmss000001
    aks-np2-12345678-vmss000002
  more: regprobe explain PrivateLinkRecordMissing

What differs between 3 nodes that fail and 44 nodes that do not
  nameservers: 10.1.0.10 (3); the others: 168.63.129.16 (44)
  node pool: np2 (3); the others: np1 (44)

aks-np2-12345678-vmss000000  FAILING  contoso failing
aks-np2-12345678-vmss000001  FAILING  contoso failing
aks-np2-12345678-vmss000002  FAILING  contoso failing
aks-np3-12345678-vmss000000  NO ANSWER  nothing within 1.5 s
44 nodes  OK
";
    assert_eq!(text(&drift(), screen), expected);
}

#[test]
fn what_is_not_known_yet_is_said() {
    let awaited = Heard {
        called: "10.240.0.4".to_owned(),
        page: None,
        answer: Answer::Awaited,
    };
    let view = FleetView::of(
        &[awaited, silent("a")],
        Some("No Service."),
        time("12:00:00"),
    );
    assert!(!view.is_complete());
    assert_eq!(view.condition, "unknown");
    assert_eq!(
        view.notes,
        [
            "1 node did not answer.",
            "Not all agents have been asked yet: 0 of 2 answered so far.",
            "No Service."
        ]
    );
}
