//! One word for one thing: no two types of one name, if other modules can see them.

use std::collections::BTreeMap;

use regprobe_harness::suite::{Test, test};
use syn::{Ident, Item, Visibility};

use super::modules::Crate;

/// A message for each name that more than one type has.
pub(crate) fn shared(source: &Crate) -> Vec<String> {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for module in source.modules.values() {
        for name in module.items.iter().filter_map(visible_type) {
            let place = format!("{}:{}", module.file, name.span().start().line);
            places.entry(name.to_string()).or_default().push(place);
        }
    }
    let shared = places.iter().filter(|(_, places)| places.len() > 1);
    shared
        .map(|(name, places)| format!("two types are called {name}: {}", places.join(", ")))
        .collect()
}

fn visible_type(item: &Item) -> Option<&Ident> {
    let (visibility, name) = match item {
        Item::Enum(item) => (&item.vis, &item.ident),
        Item::Struct(item) => (&item.vis, &item.ident),
        Item::Trait(item) => (&item.vis, &item.ident),
        Item::Type(item) => (&item.vis, &item.ident),
        _ => return None,
    };
    (!matches!(visibility, Visibility::Inherited)).then_some(name)
}

pub(crate) fn tests() -> Vec<Test> {
    vec![test("two types of one name are found", || {
        let source = Crate::of(&[
            (
                "lib.rs",
                "mod a; pub enum One {} struct Two; pub struct Three; #[cfg(test)] pub struct Four;",
            ),
            (
                "a.rs",
                "pub(crate) trait One {}\npub(super) type Two = u8;\npub(in crate::a) struct Four;",
            ),
        ])?;
        assert_eq!(
            shared(&source),
            ["two types are called One: src/lib.rs:1, src/a.rs:1"]
        );
        Ok(())
    })]
}
