//! The shape of the sources: which module uses which, what types are called, how long a file is and how
//! many share a folder. Each check is a function over sources, so it has tests on small made-up ones.

mod arrows;
mod modules;
mod names;
mod sizes;
mod uses;

use anyhow::Result;
use regprobe_harness::program::repository;
use regprobe_harness::suite::{Suite, Test, test};

use self::arrows::Arrows;
use self::modules::Crate;
use self::sizes::Sources;

/// The rooms of a crate from the lowest: a room uses only rooms on levels below its own.
type Rooms = &'static [&'static [&'static str]];

const PROBES: Rooms = &[
    &["words"],
    &["net"],
    &["node"],
    &["stages"],
    &["outcome"],
    &["client"],
    &["round", "diagnosis"],
    &["fuzz_support"],
];

const AGENT: Rooms = &[
    &["printable"],
    &["config"],
    &["cli"],
    &["process"],
    &["plan"],
    &["schedule"],
    &["state"],
    &["out"],
    &["board"],
    &["web"],
    &["check"],
    &["cluster"],
    &["run"],
];

pub(crate) fn suite() -> Suite {
    let crates = [("probes", PROBES), ("agent", AGENT)];
    let of_crates = crates.into_iter().flat_map(|(name, rooms)| {
        [
            test(format!("{name}: no circle between modules"), move || {
                none(Arrows::of(&source(name)?).circles())
            }),
            test(format!("{name}: no arrow to a higher room"), move || {
                none(Arrows::of(&source(name)?).upward(rooms))
            }),
            test(format!("{name}: no two types of one name"), move || {
                none(names::shared(&source(name)?))
            }),
        ]
    });
    let of_files = [
        test("no long file without a reason in its head", || {
            none(Sources::read(&repository(""))?.too_long())
        }),
        test("no crowded folder", || {
            none(Sources::read(&repository(""))?.crowded())
        }),
    ];
    let of_checks = [
        arrows::tests(),
        modules::tests(),
        names::tests(),
        sizes::tests(),
        uses::tests(),
    ];
    let of_checks = of_checks.into_iter().flatten();
    Suite::of(
        of_crates
            .chain(of_files)
            .chain(of_checks)
            .collect::<Vec<Test>>(),
    )
}

fn source(name: &str) -> Result<Crate> {
    Crate::read(&repository(name).join("src"), &format!("{name}/src"))
}

fn none(problems: Vec<String>) -> Result<()> {
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    Ok(())
}
