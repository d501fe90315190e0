//! The paths in the code of a module, including arguments of macros, and the module that each leads to.

use proc_macro2::{TokenStream, TokenTree};
use regprobe_harness::suite::{Test, test};
use syn::visit::{self, Visit};
use syn::{ImplItem, Item, ItemUse, Macro};

use super::modules::{self, Crate, Import, Module, ModulePath, is_for_tests};

/// A path in code, and its line.
pub(crate) type Named = (Vec<String>, usize);

/// All paths in the code of a module, and what `use` names inside functions.
pub(crate) fn named(module: &Module) -> Vec<Named> {
    let mut found = Paths(Vec::new());
    for item in &module.items {
        found.visit_item(item);
    }
    found.0
}

struct Paths(Vec<Named>);

impl<'ast> Visit<'ast> for Paths {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_for_tests(modules::attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        let attributes: &[_] = match item {
            ImplItem::Const(item) => &item.attrs,
            ImplItem::Fn(item) => &item.attrs,
            ImplItem::Type(item) => &item.attrs,
            _ => &[],
        };
        if !is_for_tests(attributes) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let mut imports = Vec::new();
        modules::flatten(&item.tree, &mut Vec::new(), false, &mut imports);
        let named = imports.into_iter();
        self.0
            .extend(named.map(|import| (import.segments, import.line)));
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if let Some(first) = path.segments.first() {
            let segments = path.segments.iter();
            let segments = segments.map(|segment| segment.ident.to_string());
            self.0
                .push((segments.collect(), first.ident.span().start().line));
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        self.visit_path(&call.path);
        self.tokens(call.tokens.clone());
    }
}

impl Paths {
    /// A macro's arguments are not parsed: a path is names with `::` between them.
    fn tokens(&mut self, tokens: TokenStream) {
        let (mut path, mut colons): (Option<Named>, usize) = (None, 0);
        for token in tokens {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == ':' => {
                    colons += 1;
                    continue;
                }
                TokenTree::Ident(name) => {
                    let joins = colons == 2;
                    match &mut path {
                        Some((segments, _)) if joins => segments.push(name.to_string()),
                        _ => {
                            let line = name.span().start().line;
                            self.0.extend(path.replace((vec![name.to_string()], line)));
                        }
                    }
                }
                TokenTree::Group(group) => {
                    self.0.extend(path.take());
                    self.tokens(group.stream());
                }
                _ => self.0.extend(path.take()),
            }
            colons = 0;
        }
        self.0.extend(path);
    }
}

impl Crate {
    /// The module that declares what a path in `from` names, through imports and re-exports; a path to
    /// a module leads to that module. `None` for what other crates declare.
    pub(crate) fn resolve(&self, from: &ModulePath, segments: &[String]) -> Option<ModulePath> {
        self.walk(from, segments, 0).map(|(module, _)| module)
    }

    /// Like [`Self::resolve`], but `None` for a path to a module.
    pub(crate) fn resolve_item(
        &self,
        from: &ModulePath,
        segments: &[String],
    ) -> Option<ModulePath> {
        let (module, is_item) = self.walk(from, segments, 0)?;
        is_item.then_some(module)
    }

    fn walk(
        &self,
        from: &ModulePath,
        segments: &[String],
        depth: usize,
    ) -> Option<(ModulePath, bool)> {
        // A chain of re-exports is short; only one that leads back to itself is not.
        if depth > 16 {
            return None;
        }
        let (first, mut rest) = segments.split_first()?;
        let mut at = match first.as_str() {
            "crate" => ModulePath::default(),
            "self" => from.clone(),
            "super" => from.parent()?,
            _ => {
                rest = segments;
                from.clone()
            }
        };
        let is_absolute = rest.len() < segments.len();
        while let Some(parents) = rest.strip_prefix(&["super".to_owned()]) {
            (at, rest) = (at.parent()?, parents);
        }
        for (index, name) in rest.iter().enumerate() {
            let left = &rest[index + 1..];
            let child = at.join(name);
            let module = &self.modules[&at];
            let is_last = left.is_empty();
            if self.modules.contains_key(&child) && !(is_last && module.names.contains(name)) {
                at = child;
                continue;
            }
            if module.names.contains(name) {
                return Some((at, true));
            }
            return match self.imported(&at, name, left, depth) {
                Some(found) => Some(found),
                // Another crate or the prelude declares it. If the path led into a module, a macro does.
                None if index == 0 && !is_absolute => None,
                None => Some((at, true)),
            };
        }
        Some((at, false))
    }

    /// Where a name that a module imports leads; `left` is the rest of the path.
    fn imported(
        &self,
        at: &ModulePath,
        name: &str,
        left: &[String],
        depth: usize,
    ) -> Option<(ModulePath, bool)> {
        let module = &self.modules[at];
        let onward = |import: &Import, own: &[String]| {
            let path: Vec<_> = [&import.segments, own, left].concat();
            self.walk(at, &path, depth + 1)
        };
        let by_name = module
            .imports
            .iter()
            .find(|import| import.name.as_deref() == Some(name));
        if let Some(import) = by_name {
            return onward(import, &[]);
        }
        let globs = module.imports.iter().filter(|import| import.name.is_none());
        globs
            .filter(|import| {
                let of = self.resolve(at, &import.segments);
                of.is_some_and(|of| self.modules[&of].names.contains(name))
            })
            .find_map(|import| onward(import, &[name.to_owned()]))
    }
}

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test("paths are found in code and in macros", || {
            let found = Crate::of(&[(
                "lib.rs",
                "use a::B;
                 impl x::Y for Z { fn f() -> g::H<i::J> { use k::L; m::n(); println!(\"{}\", o::p(q::r)) } }
                 #[cfg(test)] fn t() { u::v() }
                 impl Z { #[cfg(test)] fn t() { u::v() } }",
            )])?;
            let named = named(&found.modules[&ModulePath::default()]);
            let paths: Vec<_> = named.iter().map(|(path, _)| path.join("::")).collect();
            for path in ["x::Y", "g::H", "i::J", "k::L", "m::n", "o::p", "q::r"] {
                assert!(paths.contains(&path.to_owned()), "{path} of {paths:?}");
            }
            assert!(!paths.contains(&"u::v".to_owned()));
            assert!(!paths.contains(&"a::B".to_owned()));
            assert_eq!(named.iter().map(|(_, line)| *line).max(), Some(4));
            Ok(())
        }),
        test(
            "names lead through re-exports to where they are declared",
            || {
                let found = Crate::of(&[
                    ("lib.rs", "mod a; mod b; pub use a::One;"),
                    (
                        "a.rs",
                        "mod c; pub use self::c::{One, Two as Three}; pub struct Four; codes! { Made }",
                    ),
                    ("a/c.rs", "pub struct One; pub struct Two; pub fn c() {}"),
                    ("b.rs", "use super::a::{self, *}; use std::fmt; fn a() {}"),
                ])?;
                let b = ModulePath::default().join("b");
                let to = |path: &str| {
                    let segments: Vec<_> = path.split("::").map(str::to_owned).collect();
                    found
                        .resolve(&b, &segments)
                        .map(|module| module.to_string())
                };
                for (path, expected) in [
                    ("crate::One", Some("a::c")),
                    ("crate::a::Three::Variant", Some("a::c")),
                    ("crate::a::c::c", Some("a::c")),
                    ("super::a::Four", Some("a")),
                    ("crate::a::Made", Some("a")),
                    ("Four", Some("a")),
                    ("self::a", Some("b")),
                    ("crate::a", Some("a")),
                    ("fmt::Display", None),
                    ("std::fmt", None),
                    ("Unknown::new", None),
                ] {
                    assert_eq!(to(path).as_deref(), expected, "{path}");
                }
                Ok(())
            },
        ),
    ]
}
