//! The runbooks of `deploy/runbooks`. They are part of the binary because they are needed where nothing can
//! be pulled. `explain`, the pages and the links in documents use them.

use regprobe_probes::Code;

/// Where the runbooks are on the web.
pub(crate) const ONLINE: &str = "https://github.com/regprobe/regprobe/blob/main/deploy/runbooks";
/// The web page that explains `code`.
pub(crate) fn link(code: Code) -> String {
    format!("{ONLINE}/{code}.md")
}

/// A page without its front matter, which names the sources of its facts.
fn body(page: &'static str) -> &'static str {
    let after = page.strip_prefix("---\n");
    let after = after.and_then(|page| page.split_once("\n---\n"));
    after.map_or(page, |(_, body)| body)
}

macro_rules! runbooks {
    ($($code:ident)+) => {
        /// The runbook from `deploy/runbooks`; a code without a runbook does not compile.
        pub(crate) fn text(code: Code) -> &'static str {
            body(match code {
                $(Code::$code => include_str!(concat!(
                    "../../../deploy/runbooks/",
                    stringify!($code),
                    ".md"
                )),)+
            })
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

    const HEADINGS: [&str; 6] = [
        "## What it means",
        "## Confirm",
        "## Usual causes",
        "## Fix",
        "## When to ask support",
        "## Silence it",
    ];

    fn directory() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/runbooks")
    }

    #[test]
    fn every_code_has_a_runbook_of_the_same_shape() {
        for code in Code::ALL {
            let page = text(*code);
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
}
