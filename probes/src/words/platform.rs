//! Which of an index's platforms this node can run, in the order of containerd's `platforms.Default()`
//! (github.com/containerd/platforms, compare.go and database.go).

use std::fmt;

/// An operating system on a processor architecture, normalised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    /// Go's name, such as `linux`.
    pub os: String,
    /// Go's name, such as `amd64`.
    pub architecture: String,
    /// Such as `v7`; empty if the architecture has none.
    pub variant: String,
}

impl Platform {
    /// This node's. 32-bit ARM is taken as v7, which Kubernetes needs.
    pub(crate) fn of_this_node() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86" => "386",
            "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
            "loongarch64" => "loong64",
            other => other,
        };
        Self::normal("linux", architecture, "")
    }

    /// Maps different names of the same thing to one; a missing system is this node's.
    pub(crate) fn normal(os: &str, architecture: &str, variant: &str) -> Self {
        let os = match os {
            "" => "linux".to_owned(),
            os => os.to_lowercase(),
        };
        let (architecture, variant) = (architecture.to_lowercase(), variant.to_lowercase());
        let (architecture, variant) = match (&*architecture, &*variant) {
            ("i386", _) => ("386", ""),
            ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
            ("x86_64" | "x86-64", variant) => ("amd64", variant),
            ("aarch64" | "arm64", "8" | "v8") => ("arm64", ""),
            ("aarch64", variant) => ("arm64", variant),
            ("armhf", _) | ("arm", "" | "7") => ("arm", "v7"),
            ("armel", _) | ("arm", "6") => ("arm", "v6"),
            ("arm", "5") => ("arm", "v5"),
            ("arm", "8") => ("arm", "v8"),
            same => same,
        };
        Self {
            os,
            architecture: architecture.to_owned(),
            variant: variant.to_owned(),
        }
    }

    /// How well an image for `other` suits a node of this platform: lower is better; `None` if the node
    /// cannot run it.
    pub(crate) fn rank(&self, other: &Self) -> Option<usize> {
        if self.os != other.os {
            return None;
        }
        const ARM: [&str; 4] = ["v8", "v7", "v6", "v5"];
        let older_arm = |newest: &str| {
            let from = ARM.iter().position(|variant| *variant == newest)?;
            let at = ARM.iter().position(|variant| *variant == other.variant)?;
            (other.architecture == "arm" && at >= from).then(|| at - from + 1)
        };
        match (&*self.architecture, &*other.architecture) {
            _ if self == other => Some(0),
            ("amd64", "386") => other.variant.is_empty().then_some(1),
            ("arm64", "arm") => older_arm("v8"),
            ("arm", "arm") => older_arm(&self.variant),
            _ => None,
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &*self.variant {
            "" => Ok(()),
            variant => write!(f, "/{variant}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(text: &str) -> Platform {
        let mut parts = text.split('/');
        let mut part = || parts.next().unwrap_or_default();
        Platform::normal(part(), part(), part())
    }

    #[test]
    fn ranks() {
        let table: &[(&str, &[&str], &[&str])] = &[
            (
                "linux/amd64",
                &["linux/amd64", "linux/386"],
                &["linux/amd64/v2", "linux/arm64", "windows/amd64"],
            ),
            (
                "linux/arm64",
                &["linux/arm64", "linux/arm/v8", "linux/arm", "linux/arm/v6"],
                &["linux/arm64/v9", "linux/amd64", "linux/arm/v4"],
            ),
            (
                "linux/arm",
                &["linux/arm/v7", "linux/arm/v6", "linux/arm/v5"],
                &["linux/arm/v8", "linux/arm64"],
            ),
            ("linux/s390x", &["linux/s390x"], &["linux/s390", "linux/"]),
        ];
        for (node, runs, not) in table {
            let rank = |image: &&str| platform(node).rank(&platform(image));
            let ranks: Vec<_> = runs.iter().map(rank).collect();
            assert!(ranks.iter().all(Option::is_some), "{node}: {ranks:?}");
            assert!(ranks.is_sorted_by(|a, b| a < b), "{node}: {ranks:?}");
            assert!(not.iter().all(|image| rank(image).is_none()), "{node}");
        }
    }

    #[test]
    fn platforms_are_normalised() {
        for (text, normal) in [
            ("Linux/x86_64", "linux/amd64"),
            ("linux/amd64/v1", "linux/amd64"),
            ("linux/aarch64/v8", "linux/arm64"),
            ("linux/armhf", "linux/arm/v7"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/arm/6", "linux/arm/v6"),
            ("/i386", "linux/386"),
        ] {
            assert_eq!(platform(text).to_string(), normal);
        }
        assert!(!Platform::of_this_node().architecture.is_empty());
    }
}
