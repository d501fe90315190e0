//! Which containerd a node runs, and what differs between its releases for a pull. It is read from the program
//! itself: Go leaves in each what it was built from.

use std::{
    fmt,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
    str::FromStr,
    time::Duration,
};

/// A release of containerd.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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

    /// The first release whose ClientHello has a hybrid key share, and so needs two packets: those before have a
    /// `go` line below 1.24 in their go.mod, which turns it off whatever compiles them.
    pub const FIRST_WITH_LARGE_HELLO: Self = Self::new(2, 2, 0);

    /// Whether its ClientHello needs two packets.
    pub fn sends_large_hello(self) -> bool {
        self >= Self::FIRST_WITH_LARGE_HELLO
    }

    /// Whether a 500, 503 or 504 of the last host is asked again.
    pub(crate) fn repeats_server_errors(self) -> bool {
        self >= Self::new(2, 0, 0)
    }

    /// Whether a time-out or an early end of a connection to the last host is tried again.
    pub(crate) fn repeats_transport_errors(self) -> bool {
        self >= Self::new(2, 3, 7)
    }

    /// Whether the error of an unexpected status names method and URL.
    pub(crate) fn names_the_request_of_a_status(self) -> bool {
        self >= Self::new(1, 7, 0)
    }

    /// As [`Self::names_the_request_of_a_status`], where the request was for content.
    pub(crate) fn names_the_request_for_content(self) -> bool {
        self >= Self::new(2, 0, 0)
    }

    /// Whether of the errors of several hosts it prints the one that came furthest, rather than the first.
    pub(crate) fn ranks_errors_of_hosts(self) -> bool {
        self >= Self::new(2, 0, 0)
    }

    /// Whether Go names the failed check of a certificate before its reason.
    pub(crate) fn names_the_check_of_a_certificate(self) -> bool {
        self >= Self::new(1, 7, 0)
    }

    /// What it prints of content that is shorter or longer than its descriptor says; `None` where more came than
    /// anybody counted.
    pub(crate) fn other_length(self, got: Option<u64>, wanted: u64) -> Option<String> {
        Some(match got {
            Some(got) if got < wanted && self >= Self::new(2, 0, 0) => {
                format!("short read: expected {wanted} bytes but got {got}: unexpected EOF")
            }
            Some(got) if got < wanted => {
                "failed to read expected number of bytes: unexpected EOF".to_owned()
            }
            _ if self >= Self::new(2, 3, 7) => format!(
                "failed to copy: httpReadSeeker: read past expected size {wanted}: failed precondition"
            ),
            _ => format!(
                "failed size validation: {} != {wanted}: failed precondition",
                got?
            ),
        })
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
        let info = build_info(&mut File::open(path)?)?;
        Ok(info.and_then(|info| Self::of_build(&info)))
    }

    /// By what `go version -m` shows. Where a distribution leaves out the version, the module's path and its
    /// compatibility settings tell the era, and so the rules.
    fn of_build(info: &str) -> Option<Self> {
        let mut v2 = false;
        let (mut of_module, mut of_api, mut of_linker) = (None, None, None);
        let mut small_hello = false;
        for line in info.lines() {
            let mut fields = line.split('\t');
            let (kind, name) = (fields.next()?, fields.next().unwrap_or_default());
            match (kind, name) {
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
        let by_era = match (v2, small_hello) {
            (false, _) => Self::new(1, 7, 0),
            (true, true) => Self::new(2, 1, 0),
            (true, false) => Self::NEWEST,
        };
        let stated = of_linker.or(of_module);
        let stated = stated.or_else(|| of_api.filter(|_| v2).map(by_api));
        Some(stated.unwrap_or(by_era))
    }
}

impl FromStr for ContainerdRelease {
    type Err = ContainerdReleaseError;

    /// Whatever follows three numbers is a distribution's.
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
            0
        };
        Ok(Self::new(major, minor, patch))
    }
}

impl fmt::Display for ContainerdRelease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// Where Go puts what a program was built from (`debug/buildinfo` in Go's library): after a header the version of Go,
/// and the modules, each after its length.
const SECTION: &[u8] = b".go.buildinfo\0";
const HEADER: usize = 32;
/// Go frames the list of modules in as many bytes before and after.
const FRAME: usize = 16;
/// No part of a program that is read here is larger.
const MAX_PART: u64 = 256 * 1024;
/// The size of a section's header in an ELF file of 64 bits.
const SECTION_HEADER: usize = 64;

/// The modules and settings that a Go program was built from; `None` if it is none.
fn build_info(program: &mut (impl Read + Seek)) -> io::Result<Option<String>> {
    let Some(section) = section(program)? else {
        return Ok(None);
    };
    let modules = || {
        let (_, rest) = prefixed(section.get(HEADER..)?)?;
        let (framed, _) = prefixed(rest)?;
        let modules = framed.get(FRAME..framed.len().checked_sub(FRAME)?)?;
        Some(String::from_utf8_lossy(modules).into_owned())
    };
    Ok(modules())
}

/// Go's section of an ELF file of 64 bits, little-endian, as on every processor that regprobe is built for.
fn section(program: &mut (impl Read + Seek)) -> io::Result<Option<Vec<u8>>> {
    let head = part(program, 0, SECTION_HEADER as u64)?;
    if !head.starts_with(b"\x7fELF\x02\x01") {
        return Ok(None);
    }
    let (count, names) = (number(&head, 60, 2), number(&head, 62, 2) as usize);
    let headers = part(program, number(&head, 40, 8), count * SECTION_HEADER as u64)?;
    let headers: Vec<_> = headers.chunks_exact(SECTION_HEADER).collect();
    let mut content = |header: &[u8]| part(program, number(header, 24, 8), number(header, 32, 8));
    let Some(names) = headers.get(names) else {
        return Ok(None);
    };
    let names = content(names)?;
    let is_wanted = |header: &&&[u8]| {
        let name = names.get(number(header, 0, 4) as usize..);
        name.is_some_and(|name| name.starts_with(SECTION))
    };
    headers
        .iter()
        .find(is_wanted)
        .map(|header| content(header))
        .transpose()
}

/// A little-endian number of `size` bytes; 0 if it is not there.
fn number(bytes: &[u8], at: usize, size: usize) -> u64 {
    let bytes = bytes.get(at..at + size).unwrap_or_default();
    let digits = bytes.iter().rev();
    digits.fold(0, |number, digit| number << 8 | u64::from(*digit))
}

/// A part of a file, as far as it is there.
fn part(file: &mut (impl Read + Seek), at: u64, size: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(at))?;
    file.take(size.min(MAX_PART)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Bytes after their length, a varint, and what follows them.
fn prefixed(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut length = 0_usize;
    for (place, byte) in bytes.iter().take(4).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return bytes.get(place + 1..)?.split_at_checked(length);
        }
    }
    None
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
            ("1.7", "1.7.0"),
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
            (v1.to_owned(), "1.7.0"),
            (
                format!("{v1}build\tDefaultGODEBUG=panicnil=1,tlsmlkem=0\n"),
                "1.7.0",
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
                "1.7.0",
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

    /// An ELF file with nothing but the names of its sections and Go's.
    fn program() -> Vec<u8> {
        let names = [b"\0.names\0", SECTION].concat();
        let frame = [b'f'; FRAME];
        let modules = [&frame[..], b"path\tab\n", &frame].concat();
        let info = [
            &[0; HEADER][..],
            b"\x05go1.1",
            &[modules.len() as u8],
            &modules,
        ]
        .concat();
        let (first, second) = (64_u64, 64 + names.len() as u64);
        let mut program = b"\x7fELF\x02\x01".to_vec();
        program.resize(40, 0);
        program.extend((second + info.len() as u64).to_le_bytes());
        program.resize(60, 0);
        program.extend([2, 0, 0, 0]);
        program.extend([&names[..], &info].concat());
        for (name, at, size) in [(1_u32, first, names.len()), (8, second, info.len())] {
            let mut header = name.to_le_bytes().to_vec();
            header.resize(24, 0);
            header.extend(at.to_le_bytes());
            header.extend((size as u64).to_le_bytes());
            header.resize(SECTION_HEADER, 0);
            program.extend(header);
        }
        program
    }

    #[test]
    fn a_program_tells_its_modules_and_half_of_one_nothing() {
        let whole = program();
        let modules = |bytes: &[u8]| build_info(&mut io::Cursor::new(bytes)).unwrap();
        assert_eq!(modules(&whole).as_deref(), Some("path\tab\n"));
        for end in 0..whole.len() - 1 {
            assert_eq!(modules(&whole[..end]), None, "{end}");
        }
        assert_eq!(modules(b"#!/bin/sh\nexec containerd"), None);
    }

    #[test]
    fn no_number_of_a_broken_program_leads_astray() {
        let whole = program();
        for at in 0..whole.len() {
            let mut broken = whole.clone();
            broken[at] = 0xff;
            let _ = build_info(&mut io::Cursor::new(broken));
        }
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
        assert_eq!(rules("2.1.9"), (false, true, false, false));
        assert_eq!(rules("2.2.4"), (true, true, false, false));
        assert_eq!(rules("2.3.3"), (true, true, true, false));
        assert_eq!(rules("2.4.2"), (true, true, true, true));
    }
}
