//! What concerns the process itself: output and log, privileges, signals, and changes of its configuration
//! file.

pub(crate) mod config_watch;
pub(crate) mod logging;
pub(crate) mod privilege;
pub(crate) mod signals;
pub(crate) mod standard_streams;
