//! Reads the code of a finding from the command line.

use std::ffi::OsStr;

use clap::{
    Arg,
    builder::{PossibleValue, TypedValueParser},
};
use regprobe_probes::Code;

/// The least similarity for a suggestion; clap uses the same for its hints.
const SIMILAR: f64 = 0.7;

/// Reads a code in upper or lower case.
#[derive(Clone)]
pub(crate) struct CodeParser;

impl TypedValueParser for CodeParser {
    type Value = Code;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&Arg>,
        value: &OsStr,
    ) -> Result<Code, clap::Error> {
        let parse = |text: &str| parse_code(text);
        TypedValueParser::parse_ref(&parse, command, argument, value)
    }

    /// For completions.
    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue>>> {
        let value = |code: &Code| PossibleValue::new(code.as_str()).help(code.meaning());
        Some(Box::new(Code::ALL.iter().map(value)))
    }
}

fn parse_code(text: &str) -> Result<Code, String> {
    let exact = |code: &&Code| code.as_str().eq_ignore_ascii_case(text);
    if let Some(code) = Code::ALL.iter().find(exact) {
        return Ok(*code);
    }
    let typed = text.to_ascii_lowercase();
    let similarity =
        |code: &Code| strsim::jaro_winkler(&typed, &code.as_str().to_ascii_lowercase());
    let nearest = Code::ALL
        .iter()
        .max_by(|a, b| similarity(a).total_cmp(&similarity(b)))
        .filter(|code| similarity(code) > SIMILAR);
    let hint = "'regprobe explain' lists them";
    Err(match nearest {
        Some(code) => format!("no finding has this code; did you mean {code}? {hint}"),
        None => format!("no finding has this code; {hint}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_found_in_any_case_and_typos_get_a_suggestion() {
        assert_eq!(parse_code("clockskew"), Ok(Code::ClockSkew));
        for (typed, guess) in [
            ("PrivateLinkRecordMising", Some("PrivateLinkRecordMissing")),
            ("nametfound", Some("NameNotFound")),
            ("tlsstaled", Some("TlsStalled")),
            ("xyzzy", None),
        ] {
            let error = parse_code(typed).unwrap_err();
            let guessed = error
                .split_once("did you mean ")
                .and_then(|(_, rest)| rest.split('?').next());
            assert_eq!(guessed, guess, "{typed}: {error}");
        }
    }
}
