//! Which containerd a node runs, and what differs between its releases for a pull. It is read from the program
//! itself: Go leaves in each what it was built from.

use std::{fmt, fs::File, io, path::Path, str::FromStr, time::Duration};

use super::go_program;

/// The patch of a release that is named without one: its last.
const LAST: u16 = u16::MAX;

/// A release of containerd.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerdRelease {
    major: u16,
    minor: u16,
    patch: u16,
}

/// Not a version such as `1.7`, `2.3.3` or `v2.4.2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a version of containerd")]
pub struct ContainerdReleaseError;

impl ContainerdRelease {
    /// The newest whose rules are known.
    pub const NEWEST: Self = Self::new(2, 4, 2);

    const fn new(major: u16, minor: u16, patch: u16) -> Self {
        Self {
            major,
            minor,
            patch,
        }
    }

    /// Whether it has what came to this minor release with that patch.
    fn is_from(self, (major, minor): (u16, u16), patch: u16) -> bool {
        (self.major, self.minor) == (major, minor) && self.patch >= patch
    }

    /// The first release whose ClientHello has a hybrid key share, and so needs two packets: those before have a
    /// `go` line below 1.24 in their go.mod, which turns it off whatever compiles them.
    pub const FIRST_WITH_LARGE_HELLO: Self = Self::new(2, 2, 0);

    /// Whether its ClientHello needs two packets.
    pub fn sends_large_hello(self) -> bool {
        self >= Self::FIRST_WITH_LARGE_HELLO
    }

    /// Whether a 500, 503 or 504 of the last host is asked again.
    pub(crate) fn repeats_server_errors(self) -> bool {
        self >= Self::new(2, 1, 0)
    }

    /// Whether it looks itself at the `Content-Encoding` of content, and takes none that it does not know.
    pub(crate) fn opens_encodings(self) -> bool {
        self >= Self::new(2, 0, 0)
    }

    /// Whether a time-out or an early end of a connection to the last host is tried again.
    pub(crate) fn repeats_transport_errors(self) -> bool {
        self >= Self::new(2, 3, 2)
    }

    /// Whether the error of an unexpected status names method and URL.
    pub(crate) fn names_the_request_of_a_status(self) -> bool {
        self >= Self::new(1, 6, 25)
    }

    /// Whether CRI hides the values of a query in what Go's HTTP client says of a request (`SanitizeError`). The first
    /// release of each line that has it does so too late.
    pub(crate) fn hides_queries(self) -> bool {
        self.is_from((1, 7), 31)
            || self.is_from((2, 0), 11)
            || self.is_from((2, 1), 8)
            || self >= Self::new(2, 2, 2)
    }

    /// As [`Self::names_the_request_of_a_status`], where the request was for content.
    pub(crate) fn names_the_request_for_content(self) -> bool {
        self >= Self::new(2, 1, 0)
    }

    /// Whether of the errors of several hosts it prints the one that came furthest, rather than the first.
    pub(crate) fn ranks_errors_of_hosts(self) -> bool {
        self >= Self::new(2, 0, 0)
    }

    /// Whether Go names the failed check of a certificate before its reason, as it does since Go 1.20.
    pub(crate) fn names_the_check_of_a_certificate(self) -> bool {
        self >= Self::new(1, 6, 24)
    }

    /// What it prints of content that is shorter or longer than its descriptor says; `None` where more came than
    /// anybody counted.
    pub(crate) fn other_length(self, got: Option<u64>, wanted: u64) -> Option<String> {
        Some(match got {
            Some(got) if got < wanted && self >= Self::new(2, 1, 3) => {
                format!("short read: expected {wanted} bytes but got {got}: unexpected EOF")
            }
            Some(got) if got < wanted => {
                "failed to read expected number of bytes: unexpected EOF".to_owned()
            }
            _ if self >= Self::new(2, 3, 7) || self.is_from((2, 0), 14) => format!(
                "failed to copy: httpReadSeeker: read past expected size {wanted}: failed precondition"
            ),
            _ => format!(
                "failed size validation: {} != {wanted}: failed precondition",
                got?
            ),
        })
    }

    /// Whether an http host with TLS settings, as a registry on the node is, gets TLS first, and plain HTTP where it does
    /// not speak that; before, it gets plain HTTP alone.
    pub(crate) fn falls_back_to_http(self) -> bool {
        self.is_from((1, 6), 25) || self >= Self::new(1, 7, 7)
    }

    /// Whether it also gets plain HTTP where its answer to TLS does not come.
    pub(crate) fn falls_back_from_silence(self) -> bool {
        self.is_from((1, 6), 32) || self >= Self::new(1, 7, 16)
    }

    /// Whether it also gets plain HTTP where no connection comes about at a port that its URL leaves out.
    pub(crate) fn falls_back_to_the_port_of_http(self) -> bool {
        self >= Self::new(1, 7, 24)
    }

    /// Whether it takes no byte order mark in a hosts.toml, and finds the hosts by the headers of their tables alone.
    pub(crate) fn is_strict_about_toml(self) -> bool {
        self >= Self::new(2, 0, 0)
    }

    /// Whether it turns image manifests of schema 1 into what it can unpack.
    pub(crate) fn converts_schema_1(self) -> bool {
        self < Self::new(2, 0, 0)
    }

    /// Whether layers that Docker compressed by zstd are layers to it.
    pub(crate) fn knows_docker_zstd(self) -> bool {
        self >= Self::new(2, 0, 0)
    }

    /// Whether layers that are EROFS images are layers to it.
    pub(crate) fn knows_erofs(self) -> bool {
        self >= Self::new(2, 3, 0)
    }

    /// Whether it stores content under a digest by another algorithm than SHA-256.
    pub(crate) fn stores_any_digest(self) -> bool {
        self >= Self::new(2, 3, 0)
    }

    /// Whether it takes sections of its configuration by the names of any version, and adds those of an imported file to
    /// those before; otherwise they replace them.
    pub(crate) fn migrates_configurations(self) -> bool {
        self >= Self::new(2, 0, 0)
    }

    /// Whether it takes no image for a platform with features of the operating system that the node is not known to have.
    pub(crate) fn reads_os_features(self) -> bool {
        self >= Self::new(2, 3, 0)
    }

    /// Whether it also brings a configuration of versions 1 and 3 to its own.
    pub(crate) fn migrates_version_3(self) -> bool {
        self >= Self::new(2, 3, 0)
    }

    /// Whether it pulls for the kubelet by its transfer service, unless its configuration is at odds with that.
    pub(crate) fn pulls_by_transfer(self) -> bool {
        self >= Self::new(2, 1, 0)
    }

    /// Whether it reads hosts.toml files although its configuration does not say where they are.
    pub(crate) fn has_default_config_path(self) -> bool {
        self >= Self::new(2, 2, 0)
    }

    /// Whether it ignores a hosts.toml without a table of a host.
    pub(crate) fn needs_a_host_table(self) -> bool {
        self < Self::new(2, 0, 0)
    }

    /// Whether a hosts.toml may have `dial_timeout`.
    pub(crate) fn knows_dial_timeout(self) -> bool {
        self.is_from((2, 0), 7) || self >= Self::new(2, 1, 0)
    }

    /// Whether `header` of a hosts.toml goes to the token service, too.
    pub(crate) fn sends_headers_for_tokens(self) -> bool {
        self >= Self::new(2, 1, 0)
    }

    /// Whether its Go may still offer cipher suites without forward secrecy, and 3DES: that follows its `go.mod`, which
    /// changed within 1.7.
    pub(crate) fn may_offer_former_suites(self) -> bool {
        self < Self::new(2, 0, 0)
    }

    /// Whether it knows the capability `referrers`.
    pub(crate) fn knows_referrers(self) -> bool {
        self >= Self::new(2, 2, 0)
    }

    /// How long it waits for the headers of an answer; `None` for ever.
    pub(crate) fn answer_limit(self) -> Option<Duration> {
        (self >= Self::new(2, 3, 0)).then_some(Duration::from_secs(30))
    }

    /// The release of the program at `path`; `None` if the program does not tell.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn of_program(path: &Path) -> io::Result<Option<Self>> {
        let info = go_program::build_info(&mut File::open(path)?)?;
        Ok(info.and_then(|info| Self::of_build(&info)))
    }

    /// By what `go version -m` shows. Where a distribution leaves out the version, the module's path, its
    /// compatibility settings and the version of Go tell the era, and so the rules.
    fn of_build(info: &str) -> Option<Self> {
        let mut v2 = false;
        let (mut of_module, mut of_api, mut of_linker) = (None, None, None);
        let (mut small_hello, mut go) = (false, None);
        for line in info.lines() {
            let mut fields = line.split('\t');
            let (kind, name) = (fields.next()?, fields.next().unwrap_or_default());
            match (kind, name) {
                ("go", version) => go = go_program::minor(version),
                ("path", path) if path.starts_with("github.com/containerd/containerd/v2/") => {
                    v2 = true;
                }
                ("path", path) if !path.starts_with("github.com/containerd/containerd/") => {
                    return None;
                }
                (
                    "mod" | "dep",
                    "github.com/containerd/containerd" | "github.com/containerd/containerd/v2",
                ) => of_module = fields.next().and_then(|version| version.parse().ok()),
                ("dep", "github.com/containerd/containerd/api") => {
                    of_api = fields.next().and_then(|version| version.parse().ok());
                }
                ("build", setting) if setting.starts_with("-ldflags=") => {
                    let after = setting.split_once("/version.Version=");
                    of_linker = after.and_then(|(_, version)| version.parse().ok());
                }
                ("build", setting) if setting.starts_with("DefaultGODEBUG=") => {
                    small_hello = setting.contains("tlsmlkem=0");
                }
                _ => {}
            }
        }
        // 2.0 came with version 1.8 of its API, and both count on together.
        let by_api = |api: Self| Self::new(2, api.minor.saturating_sub(8), 0);
        // Go 1.20 compiled the first 1.7.
        let by_era = match (v2, small_hello, go) {
            (false, _, Some(..20)) => Self::new(1, 6, 0),
            (false, _, Some(20)) => Self::new(1, 7, 0),
            (false, ..) => Self::new(1, 7, LAST),
            (true, true, _) => Self::new(2, 1, 0),
            (true, false, _) => Self::NEWEST,
        };
        let stated = of_linker.or(of_module);
        let stated = stated.or_else(|| of_api.filter(|_| v2).map(by_api));
        Some(stated.unwrap_or(by_era))
    }
}

impl FromStr for ContainerdRelease {
    type Err = ContainerdReleaseError;

    /// Whatever follows three numbers is a distribution's; two numbers mean the last of that release.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let mut parts = text.splitn(3, '.');
        let mut number = |is_last: bool| {
            let part = parts.next().ok_or(ContainerdReleaseError)?;
            let end = part.find(|c: char| !c.is_ascii_digit());
            match end {
                Some(end) if is_last => part[..end].parse(),
                _ => part.parse(),
            }
            .map_err(|_| ContainerdReleaseError)
        };
        let (major, minor) = (number(false)?, number(false)?);
        let patch = if text.matches('.').count() > 1 {
            number(true)?
        } else {
            LAST
        };
        Ok(Self::new(major, minor, patch))
    }
}

impl fmt::Display for ContainerdRelease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        match self.patch {
            LAST => Ok(()),
            patch => write!(f, ".{patch}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(text: &str) -> ContainerdRelease {
        text.parse().unwrap()
    }

    #[test]
    fn versions_as_people_and_distributions_write_them() {
        for (text, meant) in [
            ("1.7", "1.7"),
            ("2.3.3", "2.3.3"),
            ("v2.4.2", "2.4.2"),
            ("1.6.20~ds1", "1.6.20"),
            ("2.1.9+unknown", "2.1.9"),
            ("2.0.0-rc.1", "2.0.0"),
        ] {
            assert_eq!(release(text).to_string(), meant, "{text}");
        }
        for bad in [
            "",
            "2",
            "auto",
            "1.x",
            "two.1",
            "1.7~1",
            "1.70000000.0",
            "1.7.x",
        ] {
            assert_eq!(
                bad.parse::<ContainerdRelease>(),
                Err(ContainerdReleaseError),
                "{bad}"
            );
        }
    }

    /// From `go version -m` of the programs of Debian 12, 13 and testing, and of one built from its module.
    #[test]
    fn what_a_program_was_built_from() {
        let v1 = "path\tgithub.com/containerd/containerd/cmd/containerd\n";
        let v2 = "path\tgithub.com/containerd/containerd/v2/cmd/containerd\n";
        for (info, meant) in [
            (format!("go\tgo1.19.8\n{v1}"), "1.6.0"),
            (format!("go\tgo1.20.2\n{v1}"), "1.7.0"),
            (
                format!("go\tgo1.24.4\n{v1}build\tDefaultGODEBUG=panicnil=1,tlsmlkem=0\n"),
                "1.7",
            ),
            (
                format!("{v2}build\tDefaultGODEBUG=panicnil=1,tlsmlkem=0\n"),
                "2.1.0",
            ),
            (v2.to_owned(), "2.4.2"),
            (
                format!(
                    "{v2}mod\tgithub.com/containerd/containerd/v2\t(devel)\t\n\
                dep\tgithub.com/containerd/containerd/api\tv1.10.0\th1:x=\n"
                ),
                "2.2.0",
            ),
            (
                format!(
                    "{v1}mod\tgithub.com/containerd/containerd\t(devel)\t\n\
                dep\tgithub.com/containerd/containerd/api\tv1.8.0\th1:x=\n"
                ),
                "1.7",
            ),
            (
                format!(
                    "{v2}mod\tgithub.com/containerd/containerd/v2\tv2.3.3\th1:x=\n\
                dep\tgithub.com/containerd/containerd/api\tv1.10.0\th1:x=\n"
                ),
                "2.3.3",
            ),
            (
                format!(
                    "{v1}build\t-ldflags=\"-s -X github.com/containerd/containerd/version.Version=1.7.34 -w\"\n"
                ),
                "1.7.34",
            ),
        ] {
            assert_eq!(
                ContainerdRelease::of_build(&info),
                Some(release(meant)),
                "{info}"
            );
        }
        assert_eq!(
            ContainerdRelease::of_build("path\tgithub.com/other/program\n"),
            None
        );
    }

    #[test]
    fn rules_follow_the_release() {
        let rules = |text: &str| {
            let release = release(text);
            (
                release.sends_large_hello(),
                release.repeats_server_errors(),
                release.answer_limit().is_some(),
                release.repeats_transport_errors(),
            )
        };
        assert_eq!(rules("1.7.34"), (false, false, false, false));
        assert_eq!(rules("2.0.14"), (false, false, false, false));
        assert_eq!(rules("2.1.9"), (false, true, false, false));
        assert_eq!(rules("2.2.4"), (true, true, false, false));
        assert_eq!(rules("2.3.1"), (true, true, true, false));
        assert_eq!(rules("2.3.2"), (true, true, true, true));
        assert_eq!(rules("2.4.2"), (true, true, true, true));
    }
}
