//! The modules of a crate, as its sources declare them. What only tests compile is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use regprobe_harness::suite::{Test, test};
use syn::{Attribute, Item, ItemMod, Meta, UseTree, Visibility};

/// Where a module is in its crate; the root has no segments.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ModulePath(pub(crate) Vec<String>);

impl ModulePath {
    pub(crate) fn join(&self, child: &str) -> Self {
        let mut path = self.clone();
        path.0.push(child.to_owned());
        path
    }

    pub(crate) fn parent(&self) -> Option<Self> {
        let (_, parents) = self.0.split_last()?;
        Some(Self(parents.to_vec()))
    }

    pub(crate) fn is_below(&self, other: &Self) -> bool {
        self.0.len() > other.0.len() && self.0.starts_with(&other.0)
    }
}

impl fmt::Display for ModulePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.is_empty() {
            true => f.write_str("the root"),
            false => f.write_str(&self.0.join("::")),
        }
    }
}

/// One `use` of one name, out of what may be a tree of them.
#[derive(Clone, Debug)]
pub(crate) struct Import {
    pub(crate) segments: Vec<String>,
    /// None for `*`.
    pub(crate) name: Option<String>,
    pub(crate) is_reexport: bool,
    pub(crate) line: usize,
}

/// A module: its file, what it declares and what it imports.
pub(crate) struct Module {
    pub(crate) file: String,
    pub(crate) items: Vec<Item>,
    pub(crate) names: BTreeSet<String>,
    pub(crate) imports: Vec<Import>,
}

/// All modules of a crate.
#[derive(Default)]
pub(crate) struct Crate {
    pub(crate) modules: BTreeMap<ModulePath, Module>,
}

/// Text of a file by its path below `src`.
type Load<'a> = dyn Fn(&str) -> Option<String> + 'a;

impl Crate {
    /// Reads it from a folder with a `lib.rs`. Messages say `shown` for the folder.
    pub(crate) fn read(folder: &Path, shown: &str) -> Result<Self> {
        Self::load(shown, &|file| fs::read_to_string(folder.join(file)).ok())
    }

    /// A crate of files in memory.
    pub(crate) fn of(files: &[(&str, &str)]) -> Result<Self> {
        Self::load("src", &|file| {
            let found = files.iter().find(|(name, _)| *name == file)?;
            Some(found.1.to_owned())
        })
    }

    fn load(shown: &str, load: &Load<'_>) -> Result<Self> {
        let mut found = Self::default();
        found.add_file(ModulePath::default(), shown, "lib.rs", load)?;
        Ok(found)
    }

    fn add_file(
        &mut self,
        path: ModulePath,
        shown: &str,
        file: &str,
        load: &Load<'_>,
    ) -> Result<()> {
        let text = load(file).with_context(|| format!("no file {shown}/{file}"))?;
        let parsed = syn::parse_file(&text).with_context(|| format!("{shown}/{file}"))?;
        self.add(path, shown, file, parsed.items, load)
    }

    fn add(
        &mut self,
        path: ModulePath,
        shown: &str,
        file: &str,
        items: Vec<Item>,
        load: &Load<'_>,
    ) -> Result<()> {
        let mut module = Module {
            file: format!("{shown}/{file}"),
            items: Vec::new(),
            names: BTreeSet::new(),
            imports: Vec::new(),
        };
        for item in items
            .into_iter()
            .filter(|item| !is_for_tests(attributes(item)))
        {
            match item {
                Item::Mod(ItemMod {
                    ident,
                    content: None,
                    ..
                }) => {
                    let child = path.join(&ident.to_string());
                    let file = format!("{}.rs", child.0.join("/"));
                    self.add_file(child, shown, &file, load)?;
                }
                Item::Mod(ItemMod {
                    ident,
                    content: Some((_, items)),
                    ..
                }) => {
                    self.add(path.join(&ident.to_string()), shown, file, items, load)?;
                }
                Item::Use(item) => {
                    let is_reexport = !matches!(item.vis, Visibility::Inherited);
                    flatten(
                        &item.tree,
                        &mut Vec::new(),
                        is_reexport,
                        &mut module.imports,
                    );
                }
                item => {
                    module.names.extend(name(&item));
                    module.items.push(item);
                }
            }
        }
        self.modules.insert(path, module);
        Ok(())
    }
}

/// Each name that a tree of `use` imports.
pub(crate) fn flatten(
    tree: &UseTree,
    before: &mut Vec<String>,
    is_reexport: bool,
    imports: &mut Vec<Import>,
) {
    let mut import = |last: Option<&syn::Ident>, name: Option<String>, line| {
        let mut segments = before.clone();
        segments.extend(last.filter(|last| *last != "self").map(ToString::to_string));
        let name = name.map(|name| match name.as_str() {
            "self" => segments.last().cloned().unwrap_or_default(),
            _ => name,
        });
        imports.push(Import {
            segments,
            name,
            is_reexport,
            line,
        });
    };
    match tree {
        UseTree::Path(tree) => {
            before.push(tree.ident.to_string());
            flatten(&tree.tree, before, is_reexport, imports);
            before.pop();
        }
        UseTree::Group(group) => {
            for tree in &group.items {
                flatten(tree, before, is_reexport, imports);
            }
        }
        UseTree::Name(tree) => {
            let line = tree.ident.span().start().line;
            import(Some(&tree.ident), Some(tree.ident.to_string()), line);
        }
        UseTree::Rename(tree) => {
            let line = tree.ident.span().start().line;
            import(Some(&tree.ident), Some(tree.rename.to_string()), line);
        }
        UseTree::Glob(tree) => import(None, None, tree.star_token.spans[0].start().line),
    }
}

/// Whether only tests compile what has these attributes.
pub(crate) fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("cfg") => list.tokens.to_string() == "test",
        _ => false,
    })
}

/// The attributes of an item.
pub(crate) fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn name(item: &Item) -> Option<String> {
    let name = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        _ => return None,
    };
    Some(name.to_string())
}

pub(crate) fn tests() -> Vec<Test> {
    vec![test("modules are found by their declarations", || {
        let found = Crate::of(&[
            ("lib.rs", "mod a; mod b { mod c; } #[cfg(test)] mod tests;"),
            (
                "a.rs",
                "pub use self::d::{self, E as F, *}; mod d; #[cfg(test)] struct T; struct S;",
            ),
            ("a/d.rs", ""),
            ("b/c.rs", ""),
        ])?;
        let paths: Vec<_> = found.modules.keys().map(ToString::to_string).collect();
        assert_eq!(paths, ["the root", "a", "a::d", "b", "b::c"]);
        let a = &found.modules[&ModulePath::default().join("a")];
        assert_eq!(a.file, "src/a.rs");
        assert_eq!(a.names, BTreeSet::from(["S".to_owned()]));
        let imports = a.imports.iter();
        let imports: Vec<_> = imports
            .map(|import| (import.segments.join("::"), import.name.as_deref()))
            .collect();
        let expected = [
            ("self::d", Some("d")),
            ("self::d::E", Some("F")),
            ("self::d", None),
        ];
        assert_eq!(
            imports,
            expected.map(|(path, name)| (path.to_owned(), name))
        );
        assert!(a.imports.iter().all(|import| import.is_reexport));

        assert!(Crate::of(&[("lib.rs", "mod a;")]).is_err());
        Ok(())
    })]
}
