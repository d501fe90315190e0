//! `regprobe explain`: the runbooks of `deploy/runbooks`, which the agent carries along, for they
//! are wanted where nothing can be pulled. What `check`, the status document and the alerts say of
//! a finding leads here.

use std::{borrow::Cow, ffi::OsStr};

use clap::{
    Arg,
    builder::{PossibleValue, TypedValueParser},
};
use regprobe_probes::Code;

use crate::report::{PLAIN, Page, Screen};

/// Where the same pages are on the web.
pub(crate) const ONLINE: &str = "https://github.com/regprobe/regprobe/blob/main/deploy/runbooks";
/// Less alike than this is no slip of the finger; the limit that clap has for its own hints.
const ALIKE: f64 = 0.7;

/// The runbook of `code`, or what codes there are.
pub(crate) fn explain(code: Option<Code>) -> Cow<'static, str> {
    match code {
        Some(code) => runbook(code).into(),
        None => list(Screen::of_stdout()).into(),
    }
}

/// The page on the web that explains `code`.
pub(crate) fn link(code: Code) -> String {
    format!("{ONLINE}/{code}.md")
}

/// Reads a code as somebody typed it, in any case.
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
    let alike = |code: &Code| strsim::jaro_winkler(&typed, &code.as_str().to_ascii_lowercase());
    let nearest = Code::ALL
        .iter()
        .max_by(|a, b| alike(a).total_cmp(&alike(b)))
        .filter(|code| alike(code) > ALIKE);
    let hint = "'regprobe explain' lists them";
    Err(match nearest {
        Some(code) => format!("no finding has this code; did you mean {code}? {hint}"),
        None => format!("no finding has this code; {hint}"),
    })
}

fn list(screen: Screen) -> String {
    let longest = Code::ALL.iter().map(|code| code.as_str().len()).max();
    let hang = longest.unwrap_or_default() + 2;
    let mut page = Page::new(screen);
    for code in Code::ALL {
        page.line(0, hang)
            .cell(0, PLAIN, code.as_str())
            .words_at_hang(code.meaning());
    }
    page.into_text()
}

macro_rules! runbooks {
    ($($code:ident)+) => {
        /// The page as it is in `deploy/runbooks`; a code without one does not compile.
        fn runbook(code: Code) -> &'static str {
            match code {
                $(Code::$code => include_str!(concat!(
                    "../../deploy/runbooks/",
                    stringify!($code),
                    ".md"
                )),)+
            }
        }
    };
}

runbooks! {
    PrivateLinkZoneNotLinked
    PrivateLinkRecordMissing
    PrivateLinkShadowZone
    PublicAddress
    UnexpectedAddress
    NameserversDisagree
    NameserverDown
    NameserverFailing
    NoNameserver
    NameNotFound
    NoAddress
    HostsFileOverride
    PrivateEndpointTimeout
    EndpointTimeout
    ConnectionRefused
    NoRoute
    AddressDown
    ProxyUnreachable
    ProxyDenied
    ProxyAuthRequired
    ProxyBroken
    TlsIntercepted
    CertificateExpired
    CertificateNotYetValid
    CertificateExpiringSoon
    CertificateNameMismatch
    TlsStalled
    TlsDropped
    LargeClientHelloDropped
    NotTls
    TlsVersion
    RegistryFirewall
    Forbidden
    NotARegistry
    Throttled
    RegistryError
    NoResponse
    ConnectionDropped
    MalformedResponse
    CredentialsRequired
    ImageNotFound
    PlatformMismatch
    BlobUnavailable
    MirrorFailing
    ClockSkew
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    const HEADINGS: [&str; 5] = [
        "## What it means",
        "## Confirm from the node",
        "## Usual causes",
        "## Fix it",
        "## Silence it",
    ];

    fn directory() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/runbooks")
    }

    #[test]
    fn every_code_has_a_runbook_of_the_same_shape() {
        for code in Code::ALL {
            let page = runbook(*code);
            assert_eq!(page.lines().next(), Some(&*format!("# {code}")));
            let headings = page.lines().filter(|line| line.starts_with("## "));
            assert_eq!(headings.collect::<Vec<_>>(), HEADINGS, "{code}");
            for fact in [
                "**Severity:**",
                "**Containerd prints:**",
                "**Health-check code:**",
            ] {
                assert!(
                    page.lines().any(|line| line.starts_with(fact)),
                    "{code}: {fact}"
                );
            }
            let wide = page.lines().find(|line| line.chars().count() > 80);
            assert_eq!(wide, None, "{code}");
        }
    }

    #[test]
    fn every_page_explains_a_code() {
        let files = fs::read_dir(directory()).unwrap();
        // Those in the folder beside them are about alerts.
        let pages = files
            .map(Result::unwrap)
            .filter(|file| file.path().is_file());
        let names: BTreeSet<_> = pages
            .map(|file| file.file_name().into_string().unwrap())
            .collect();
        let codes = Code::ALL.iter().map(|code| format!("{code}.md"));
        let expected: BTreeSet<_> = codes.chain(["README.md".to_owned()]).collect();
        assert_eq!(names, expected);
    }

    #[test]
    fn the_index_lists_every_code() {
        let index = fs::read_to_string(directory().join("README.md")).unwrap();
        for code in Code::ALL {
            assert!(index.contains(&format!("| [{code}] ")), "{code}: no row");
            assert!(
                index.contains(&format!("\n[{code}]: {code}.md\n")),
                "{code}: no link"
            );
        }
    }

    #[test]
    fn codes_are_found_in_any_case_and_slips_are_guessed() {
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

    #[test]
    fn the_list_fits_80_columns() {
        let list = list(Screen {
            width: 80,
            colour: false,
        });
        assert!(list.lines().all(|line| line.len() <= 80), "{list}");
        assert!(list.contains("ClockSkew                 The node's clock is wrong.\n"));
    }
}
