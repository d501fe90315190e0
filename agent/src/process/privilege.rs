//! What the agent gives up when it starts: privileges that it could gain, capabilities that it has, and
//! core dumps. `run` and `check` call this before another thread exists, because the kernel keeps
//! capabilities per thread. The process stays dumpable; otherwise it could not read its `/proc`, the source
//! of its process metrics.

use std::io;

use caps::{CapSet, Capability, CapsHashSet, errors::CapsError};
use nix::sys::{
    prctl,
    resource::{Resource, getrlimit, setrlimit},
};

/// More file descriptors than any plan needs; a lower hard limit takes precedence.
const FILES: u64 = 65_536;

/// Less than the smallest core file. A limit of 0 does not keep the kernel from piping a core to a program, and
/// 1 does. Who starts the agent may have set 0, and then it stays. Source: Linux, `fs/coredump.c`.
const NO_CORE: u64 = 1;

/// Why privileges could not be dropped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PrivilegeError {
    /// From the kernel.
    #[error(transparent)]
    Kernel(#[from] nix::Error),
    /// From the kernel, about capabilities.
    #[error(transparent)]
    Capabilities(#[from] CapsError),
}

/// Required to listen on a port below 1024; kept until the agent listens.
pub(crate) const TO_LISTEN: &[Capability] = &[Capability::CAP_NET_BIND_SERVICE];

/// Drops everything except `kept`, and raises the limit of open files. Programs that this process starts
/// gain no privileges, whatever the mode of their file.
pub(crate) fn give_up_all_but(kept: &[Capability]) -> Result<(), PrivilegeError> {
    prctl::set_no_new_privs()?;
    let (_, hard) = getrlimit(Resource::RLIMIT_CORE)?;
    let core = NO_CORE.min(hard);
    setrlimit(Resource::RLIMIT_CORE, core, core)?;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let wanted = FILES.min(hard);
    if soft < wanted {
        setrlimit(Resource::RLIMIT_NOFILE, wanted, hard)?;
    }
    // Shrinking the bounding set requires CAP_SETPCAP. Without it the bounding set does not matter: what
    // is not permitted cannot be gained.
    if caps::has_cap(None, CapSet::Effective, Capability::CAP_SETPCAP)? {
        for capability in caps::read(None, CapSet::Bounding)? {
            caps::drop(None, CapSet::Bounding, capability)?;
        }
    }
    keep(kept)
}

/// Drops all capabilities except `kept`.
pub(crate) fn keep(kept: &[Capability]) -> Result<(), PrivilegeError> {
    let kept: CapsHashSet = kept.iter().copied().collect();
    // In this order, because effective ones must be permitted, and ambient ones inheritable.
    for set in [CapSet::Ambient, CapSet::Inheritable] {
        if !caps::read(None, set)?.is_empty() {
            caps::clear(None, set)?;
        }
    }
    for set in [CapSet::Effective, CapSet::Permitted] {
        let held = caps::read(None, set)?;
        let left = held.intersection(&kept).copied().collect();
        if held != left {
            caps::set(None, set, &left)?;
        }
    }
    Ok(())
}

/// How many files this process may have open.
pub(crate) fn file_limit() -> io::Result<u64> {
    Ok(getrlimit(Resource::RLIMIT_NOFILE)?.0)
}
