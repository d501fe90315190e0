//! What the agent gives up when it starts, whatever it was given: privileges that it might gain, the
//! capabilities that it holds, core dumps. `run` and `check` call this before any other thread is
//! there; the kernel keeps capabilities for each. The process stays dumpable, or it could not read
//! its own `/proc`, from which come its metrics.

use std::io;

use caps::{CapSet, Capability, CapsHashSet, errors::CapsError};
use nix::sys::{
    prctl,
    resource::{Resource, getrlimit, setrlimit},
};

/// File descriptors that no plan comes up to; where the hard limit is lower, that is the limit.
const FILES: u64 = 65_536;

/// Why privileges could not be given up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PrivilegeError {
    /// Of the kernel.
    #[error(transparent)]
    Kernel(#[from] nix::Error),
    /// Of the kernel, about capabilities.
    #[error(transparent)]
    Capabilities(#[from] CapsError),
}

/// What it takes to listen on a port below 1024, until the agent does.
pub(crate) const TO_LISTEN: &[Capability] = &[Capability::CAP_NET_BIND_SERVICE];

/// Gives everything up but `kept`, and raises the limit of open files. A program that is started from
/// here gains nothing, by whatever bits of its file.
pub(crate) fn give_up_all_but(kept: &[Capability]) -> Result<(), PrivilegeError> {
    prctl::set_no_new_privs()?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let wanted = FILES.min(hard);
    if soft < wanted {
        setrlimit(Resource::RLIMIT_NOFILE, wanted, hard)?;
    }
    // Only who may set capabilities may take from the bounding set. For others it bounds nothing: what
    // is not permitted and can't be gained is not there.
    if caps::has_cap(None, CapSet::Effective, Capability::CAP_SETPCAP)? {
        for capability in caps::read(None, CapSet::Bounding)? {
            caps::drop(None, CapSet::Bounding, capability)?;
        }
    }
    keep(kept)
}

/// Gives up the capabilities that are left but for `kept`.
pub(crate) fn keep(kept: &[Capability]) -> Result<(), PrivilegeError> {
    let kept: CapsHashSet = kept.iter().copied().collect();
    // In this order: what is effective must be permitted, and what is ambient inheritable, too.
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
