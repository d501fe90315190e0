//! The process among others on its node: what it prints and logs, which privileges it gives up, and when
//! its configuration changes.

pub(crate) mod config_watch;
pub(crate) mod logging;
pub(crate) mod privilege;
pub(crate) mod signals;
pub(crate) mod standard_streams;
