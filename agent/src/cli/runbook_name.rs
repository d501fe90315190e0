//! Reads the name of a runbook from the command line.

use std::ffi::OsStr;

use clap::{
    Arg,
    builder::{PossibleValue, TypedValueParser},
};

use super::runbooks::Runbook;
use crate::config::most_similar;

/// Reads a name in upper or lower case.
#[derive(Clone)]
pub(crate) struct RunbookParser;

impl TypedValueParser for RunbookParser {
    type Value = Runbook;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&Arg>,
        value: &OsStr,
    ) -> Result<Runbook, clap::Error> {
        let parse = |text: &str| parse_runbook(text);
        TypedValueParser::parse_ref(&parse, command, argument, value)
    }

    /// For completions.
    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue>>> {
        let value = |runbook: Runbook| PossibleValue::new(runbook.name).help(runbook.about);
        Some(Box::new(all().map(value)))
    }
}

fn all() -> impl Iterator<Item = Runbook> {
    Runbook::all().into_iter().flat_map(|(_, group)| group)
}

fn parse_runbook(text: &str) -> Result<Runbook, String> {
    if let Some(runbook) = Runbook::named(text) {
        return Ok(runbook);
    }
    let nearest = most_similar(text, all().map(|runbook| runbook.name));
    let hint = "'regprobe explain' lists them";
    Err(match nearest {
        Some(name) => format!("no runbook has this name; did you mean {name}? {hint}"),
        None => format!("no runbook has this name; {hint}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_case_and_typos_get_a_suggestion() {
        let found = |typed: &str| parse_runbook(typed).map(|runbook| runbook.name);
        assert_eq!(found("clockskew"), Ok("ClockSkew"));
        assert_eq!(found("LocalDNS"), Ok("localdns"));
        for (typed, guess) in [
            ("PrivateLinkRecordMising", Some("PrivateLinkRecordMissing")),
            ("nametfound", Some("NameNotFound")),
            ("tlsstaled", Some("TlsStalled")),
            ("first-ten-minute", Some("first-ten-minutes")),
            ("xyzzy", None),
        ] {
            let error = parse_runbook(typed).unwrap_err();
            let guessed = error
                .split_once("did you mean ")
                .and_then(|(_, rest)| rest.split('?').next());
            assert_eq!(guessed, guess, "{typed}: {error}");
        }
    }
}
