//! Files of the node that this process cannot see, although the node's own programs, which run as root, can. What
//! depends on such a file is not known, and no fault of the node.

use std::path::PathBuf;

/// Why a file of the node cannot be seen, and what to change.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Unseen {
    /// The user of this process may not read the file.
    #[error("this agent may not read {}; let its user or group read that file", path.display())]
    File {
        /// The file.
        path: PathBuf,
    },
    /// The user of this process may not enter a directory on the way.
    #[error(
        "this agent may not read {}; let its user or group enter and list {}",
        path.display(), closed.display()
    )]
    Directory {
        /// The file.
        path: PathBuf,
        /// The directory.
        closed: PathBuf,
    },
    /// It is kept in a directory that is not mounted here.
    #[error(
        "{} is in {}, which this agent does not see; add that directory to hostDirectories",
        path.display(), directory.display()
    )]
    NotMounted {
        /// The file as it was named; possibly a link.
        path: PathBuf,
        /// Where it is.
        directory: PathBuf,
    },
    /// None of the files that may be the node's bundle is here.
    #[error(
        "this agent does not see the node's CA bundle; add its directory, such as /etc/ssl, to hostDirectories"
    )]
    Bundle,
}
