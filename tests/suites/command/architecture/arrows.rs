//! Which module uses which. No circle of modules, and no arrow from a room to a higher one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use regprobe_harness::suite::{Test, test};

use super::Rooms;
use super::modules::{Crate, Module, ModulePath};
use super::uses;

/// For each module the modules that it uses, each with the first place of use.
pub(crate) struct Arrows(BTreeMap<ModulePath, BTreeMap<ModulePath, String>>);

impl Arrows {
    /// Two things do not count: a re-export of what a module below declares, and `use` of a module; the
    /// paths through that module count.
    pub(crate) fn of(source: &Crate) -> Self {
        let modules = source.modules.iter();
        Self(
            modules
                .map(|(path, module)| (path.clone(), used(source, path, module)))
                .collect(),
        )
    }

    /// For each module on a circle, the shortest one through it.
    pub(crate) fn circles(&self) -> Vec<String> {
        let circles = self.0.keys().filter_map(|module| self.circle(module));
        // The same circle, found from each of its modules, begins with the first of them.
        let distinct: BTreeSet<_> = circles
            .map(|mut circle| {
                let first = (0..circle.len()).min_by_key(|&at| &circle[at]);
                circle.rotate_left(first.unwrap_or_default());
                circle
            })
            .collect();
        distinct.iter().map(|circle| self.show(circle)).collect()
    }

    /// The shortest way from a module back to it.
    fn circle(&self, start: &ModulePath) -> Option<Vec<ModulePath>> {
        let mut came_from = BTreeMap::new();
        let mut queue = VecDeque::from([start]);
        while let Some(module) = queue.pop_front() {
            for to in self.0[module].keys() {
                if to == start {
                    let back = std::iter::successors(Some(module), |at| came_from.get(at).copied());
                    let mut circle: Vec<_> = back.cloned().collect();
                    circle.reverse();
                    return Some(circle);
                }
                came_from.entry(to).or_insert_with(|| {
                    queue.push_back(to);
                    module
                });
            }
        }
        None
    }

    fn show(&self, circle: &[ModulePath]) -> String {
        let next = circle.iter().cycle().skip(1);
        let arrows = circle
            .iter()
            .zip(next)
            .map(|(from, to)| self.arrow(from, to));
        format!("a circle:\n{}", arrows.collect::<Vec<_>>().join("\n"))
    }

    fn arrow(&self, from: &ModulePath, to: &ModulePath) -> String {
        let place = &self.0[from][to];
        format!("  {from} uses {to} at {place}")
    }

    /// Arrows from a room to one that is not on a lower level, and rooms that have no level.
    pub(crate) fn upward(&self, rooms: Rooms) -> Vec<String> {
        let level = |room: &str| rooms.iter().position(|level| level.contains(&room));
        let room = |module: &ModulePath| module.0.first().cloned();
        let known: BTreeSet<_> = self.0.keys().filter_map(room).collect();
        let unknown = known.iter().filter(|room| level(room).is_none());
        let unknown = unknown.map(|room| format!("the room {room} is not in the list of rooms"));
        let arrows = self.0.iter();
        let arrows = arrows.flat_map(|(from, used)| used.keys().map(move |to| (from, to)));
        let upward = arrows.filter(|(from, to)| match (room(from), room(to)) {
            // The root is above all.
            (None, _) => false,
            (Some(_), None) => true,
            (Some(from), Some(to)) => from != to && level(&to) >= level(&from),
        });
        let upward = upward.map(|(from, to)| {
            format!(
                "an arrow to a room that is not lower:\n{}",
                self.arrow(from, to)
            )
        });
        unknown.chain(upward).collect()
    }
}

/// The modules that one uses, and where.
fn used(source: &Crate, path: &ModulePath, module: &Module) -> BTreeMap<ModulePath, String> {
    let mut used = BTreeMap::new();
    let mut add = |to: ModulePath, line| {
        if to != *path {
            used.entry(to)
                .or_insert_with(|| format!("{}:{line}", module.file));
        }
    };
    for import in &module.imports {
        let to = match import.name {
            Some(_) => source.resolve_item(path, &import.segments),
            None => source.resolve(path, &import.segments),
        };
        if let Some(to) = to.filter(|to| !(import.is_reexport && to.is_below(path))) {
            add(to, import.line);
        }
    }
    for (named, line) in uses::named(module) {
        if let Some(to) = source.resolve_item(path, &named) {
            add(to, line);
        }
    }
    used
}

pub(crate) fn tests() -> Vec<Test> {
    vec![
        test("a circle is found", || {
            let source = Crate::of(&[
                (
                    "lib.rs",
                    "mod a; mod b; mod c; pub use a::A; fn main() { a::A; }",
                ),
                ("a.rs", "use crate::b::B;\npub struct A(B);"),
                (
                    "b.rs",
                    "pub struct B;\n\nfn f() { println!(\"{}\", crate::c::C) }",
                ),
                ("c.rs", "pub struct C(super::A);"),
            ])?;
            let circle = "a circle:\n  \
                a uses b at src/a.rs:1\n  b uses c at src/b.rs:3\n  c uses a at src/c.rs:1";
            assert_eq!(Arrows::of(&source).circles(), [circle]);
            Ok(())
        }),
        test(
            "a parent and a child that use each other are a circle",
            || {
                let source = Crate::of(&[
                    ("lib.rs", "mod a;"),
                    ("a.rs", "mod b; pub use self::b::B; pub struct A(B);"),
                    ("a/b.rs", "pub struct B(Option<Box<super::A>>);"),
                ])?;
                assert_eq!(Arrows::of(&source).circles().len(), 1);
                Ok(())
            },
        ),
        test("a facade, a test and a shared child are no circle", || {
            let source = Crate::of(&[
                ("lib.rs", "mod a;"),
                (
                    "a.rs",
                    "mod b; mod c; pub use self::b::B; use self::c::C; fn f(_: C) {}",
                ),
                (
                    "a/b.rs",
                    "pub struct B; #[cfg(test)] mod tests { use crate::a::f; }",
                ),
                ("a/c.rs", "use super::B; pub struct C(B);"),
            ])?;
            assert_eq!(Arrows::of(&source).circles(), [""; 0]);
            Ok(())
        }),
        test("an arrow to a room that is not lower is found", || {
            let source = Crate::of(&[
                (
                    "lib.rs",
                    "mod low; mod left; mod right; mod new; fn main() {}",
                ),
                ("low.rs", "use crate::left::L;"),
                ("left.rs", "pub struct L(crate::right::R);"),
                ("right.rs", "pub struct R(crate::low::X);"),
                ("new.rs", "fn f() { crate::main() }"),
            ])?;
            let found = Arrows::of(&source).upward(&[&["low"], &["left", "right"]]);
            let lines: Vec<_> = found
                .iter()
                .filter_map(|text| text.lines().last())
                .collect();
            let expected = [
                "the room new is not in the list of rooms",
                "  left uses right at src/left.rs:1",
                "  low uses left at src/low.rs:1",
                "  new uses the root at src/new.rs:1",
            ];
            assert_eq!(lines, expected);
            Ok(())
        }),
    ]
}
