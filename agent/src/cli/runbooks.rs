//! The runbooks of `deploy/runbooks`. They are part of the binary because they are needed where nothing can
//! be pulled. `explain`, the pages and the links in documents use them.

use regprobe_probes::Code;

/// Where the runbooks are on the web.
pub(crate) const ONLINE: &str = "https://github.com/regprobe/regprobe/blob/main/deploy/runbooks";

/// The web page that explains `code`.
pub(crate) fn link(code: Code) -> String {
    format!("{ONLINE}/{code}.md")
}

/// A page of `deploy/runbooks`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Runbook {
    /// A finding's code, an alert's name, or a guide's.
    pub name: &'static str,
    /// What it is about, in one sentence.
    pub about: &'static str,
    page: &'static str,
}

impl Runbook {
    /// The page about a finding; a code without one does not compile.
    pub(crate) fn of(code: Code) -> Self {
        Self {
            name: code.as_str(),
            about: code.meaning(),
            page: page(code),
        }
    }

    /// Those about findings by what they are about, those about alerts without a finding, and the guides.
    pub(crate) fn all() -> Vec<(&'static str, Vec<Self>)> {
        let findings = FINDINGS.iter().map(|(group, codes)| {
            let runbooks = codes.iter().map(|code| Self::of(*code));
            (*group, runbooks.collect())
        });
        let others = [("Alerts", ALERTS.to_vec()), ("Guides", GUIDES.to_vec())];
        findings.chain(others).collect()
    }

    /// The one of this name, in upper or lower case.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let mut all = Self::all().into_iter().flat_map(|(_, group)| group);
        all.find(|runbook| runbook.name.eq_ignore_ascii_case(name))
    }

    /// Without the front matter, which names the sources of its facts.
    pub(crate) fn text(self) -> &'static str {
        let after = self.page.strip_prefix("---\n");
        let after = after.and_then(|page| page.split_once("\n---\n"));
        after.map_or(self.page, |(_, body)| body)
    }
}

macro_rules! file {
    ($name:expr) => {
        include_str!(concat!("../../../deploy/runbooks/", $name, ".md"))
    };
}

macro_rules! others {
    ($folder:literal, $($name:literal $about:literal)+) => {
        [$(Runbook {
            name: $name,
            about: $about,
            page: file!(concat!($folder, "/", $name)),
        }),+]
    };
}

const ALERTS: [Runbook; 12] = others! {
    "alerts",
    "RegprobeRegistryFailingOnManyNodes" "Pulls fail on many nodes at once."
    "RegprobeAgentDown" "The agent on a node does not respond."
    "RegprobeAgentAbsent" "There are fewer agents than nodes."
    "RegprobeConfigReloadFailed" "A new configuration was not loaded."
    "RegprobeSlowPullsPredicted" "Pulls wait for something that is down."
    "RegprobeLatencySloBurn" "Too many stages take over a second."
    "RegprobePodsCannotPull" "Pods cannot pull, though the path is fine."
    "RegprobePullsSlow" "Pulls are slow, though the path is fine."
    "RegprobePullAvailabilityBurn" "A registry fails too often."
    "RegprobeAgentImageWaiting" "The agent's own image cannot be pulled."
    "RegprobeFleetAssumed" "Agents cannot count each other."
    "RegprobeCannotTell" "Agents do not see enough for a verdict."
};

const GUIDES: [Runbook; 13] = others! {
    "guides",
    "first-ten-minutes" "Pulls fail: where to start."
    "node-shell" "A shell on a node, also if it cannot pull."
    "unauthorized" "401: pods are not authorized."
    "green-but-failing" "Everything is green, and pods still fail."
    "proof-from-azure" "Effective routes, rules and logs."
    "required-egress" "What nodes must reach."
    "node-does-not-join" "A new node does not join."
    "replace-a-node" "A node is broken for good."
    "add-a-region" "Adding a region, data or regional endpoints."
    "artifact-cache" "Artifact cache, and the limits of Docker Hub."
    "localdns" "The DNS cache of AKS."
    "snat-exhaustion" "Random time-outs under load."
    "windows-nodes" "Windows nodes are not supported."
};

macro_rules! runbooks {
    ($($group:literal: $($code:ident)+;)+) => {
        /// Findings by what they are about.
        const FINDINGS: &[(&str, &[Code])] = &[$(($group, &[$(Code::$code),+])),+];

        fn page(code: Code) -> &'static str {
            match code {
                $($(Code::$code => file!(stringify!($code)),)+)+
            }
        }
    };
}

runbooks! {
    "Names and addresses":
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
        AliasBroken
        AnswerFiltered
        SearchDomainAnswer
        NameserverSlow
        HostsFileOverride;
    "TCP":
        PrivateEndpointTimeout
        EndpointTimeout
        ConnectionRefused
        NoRoute
        AddressDown
        NodePolicyBlocked;
    "Proxy":
        ProxyUnreachable
        ProxyDenied
        ProxyAuthRequired
        ProxyBroken;
    "Certificates":
        TlsIntercepted
        TrustOutdated
        CertificateExpired
        CertificateNotYetValid
        CertificateExpiringSoon
        CertificateNameMismatch
        CertificateInvalid;
    "TLS handshake":
        TlsStalled
        TlsDropped
        PathMtuBlackHole
        LargeClientHelloDropped
        NotTls
        TlsVersion
        ClientCertificateRequired;
    "The registry's response":
        RegistryFirewall
        Forbidden
        NotARegistry
        Throttled
        RegistryError
        NoResponse
        ConnectionDropped
        MalformedResponse;
    "The node's identity":
        IdentityNotOnNode
        IdentityAmbiguous
        MetadataUnreachable
        MetadataProxied
        MetadataThrottled
        PullRoleMissing
        ExchangeRefused;
    "Credentials and images":
        CredentialsRequired
        PullSecretInvalid
        PullSecretNoMatch
        ClientSecretRejected
        PrincipalUnknown
        RepositoryNotPermitted
        ImageNotFound
        ImageLocked
        PlatformMismatch
        BlobUnavailable
        BlobCorrupt
        SlowDownload;
    "Mirrors, settings and clock":
        MirrorFailing
        NodeConfigInvalid
        ClockSkew;
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
            let page = Runbook::of(*code).text();
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
    fn every_page_is_a_runbook() {
        let names = |of: &dyn Fn(&str) -> bool| {
            let groups = Runbook::all().into_iter().filter(|(group, _)| of(group));
            let runbooks = groups.flat_map(|(_, runbooks)| runbooks);
            runbooks.map(|runbook| runbook.name.to_owned()).collect()
        };
        let of_findings = names(&|group| !["Alerts", "Guides"].contains(&group));
        for (folder, names) in [
            ("", of_findings),
            ("alerts", names(&|group| group == "Alerts")),
            ("guides", names(&|group| group == "Guides")),
        ] {
            let files = fs::read_dir(directory().join(folder)).unwrap();
            let files = files.map(|file| file.unwrap().path());
            let pages = files.filter(|path| path.is_file() && !path.ends_with("README.md"));
            let pages: BTreeSet<_> = pages
                .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
                .collect();
            assert_eq!(pages, names, "{folder}");
        }
    }

    #[test]
    fn the_index_has_the_same_groups() {
        let index = fs::read_to_string(directory().join("README.md")).unwrap();
        for (group, codes) in FINDINGS {
            let (_, after) = index.split_once(&format!("\n## {group}\n")).expect(group);
            let rows = after.split("\n## ").next().unwrap_or_default().lines();
            let rows = rows.filter_map(|row| row.strip_prefix("| [")?.split_once(']'));
            let names: Vec<_> = rows.map(|(name, _)| name).collect();
            let codes: Vec<_> = codes.iter().map(|code| code.as_str()).collect();
            assert_eq!(names, codes, "{group}");
        }
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
