//! How long it takes until everybody has seen what happened. The times are printed and not tested.

use std::time::{Duration, Instant};

use anyhow::Result;
use regprobe_lab::servers::cluster::until;

use super::ground::PATIENCE;

/// Prints when what is awaited has come.
pub(super) struct Clock {
    begun: Instant,
    what: String,
}

/// What should come: a word for it, a colon, and more words.
pub(super) struct Awaited<'a> {
    what: &'static str,
    has_come: Box<dyn FnMut() -> Result<()> + 'a>,
    after: Option<Duration>,
}

impl<'a> Awaited<'a> {
    pub(super) fn new(what: &'static str, has_come: impl FnMut() -> Result<()> + 'a) -> Self {
        Self {
            what,
            has_come: Box::new(has_come),
            after: None,
        }
    }
}

impl Clock {
    pub(super) fn start(what: &str) -> Self {
        println!("   0.0 s  {what}");
        Self {
            begun: Instant::now(),
            what: what.to_owned(),
        }
    }

    pub(super) fn await_all(&self, awaited: &mut [Awaited<'_>]) -> Result<Times> {
        until("all of it", PATIENCE, || {
            let mut last = Ok(());
            for one in awaited.iter_mut().filter(|one| one.after.is_none()) {
                match (one.has_come)() {
                    Ok(()) => {
                        let after = self.begun.elapsed();
                        one.after = Some(after);
                        println!("{:6.1} s  {}", after.as_secs_f64(), one.what);
                    }
                    Err(error) => last = Err(error.context(one.what.to_owned())),
                }
            }
            last
        })?;
        let came = awaited.iter().filter_map(|one| {
            let word = one.what.split(':').next()?;
            Some((word, one.after?))
        });
        Ok(Times {
            after: self.what.trim_start_matches("repaired: ").to_owned(),
            came: came.collect(),
        })
    }
}

/// When all of it had come.
pub(super) struct Times {
    after: String,
    came: Vec<(&'static str, Duration)>,
}

impl Times {
    /// A table of those that waited for the same.
    pub(super) fn print(title: &str, all: &[Self]) {
        let Some(first) = all.first() else { return };
        let widest = all.iter().map(|times| times.after.len());
        let width = widest.max().unwrap_or_default().max(title.len());
        print!("{title:width$}");
        first.came.iter().for_each(|(word, _)| print!("{word:>11}"));
        println!();
        for times in all {
            print!("{:width$}", times.after);
            for (_, after) in &times.came {
                print!("{:11.1}", after.as_secs_f64());
            }
            println!();
        }
        println!();
    }
}
