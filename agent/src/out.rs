//! Everything that leaves the agent, each from the same state: metrics, log lines, documents, pages, text.

#[doc(hidden)]
pub mod bench_support;
pub(crate) mod change_log;
pub(crate) mod describe;
pub(crate) mod explain;
pub(crate) mod history;
pub(crate) mod metrics;
pub(crate) mod page;
pub(crate) mod runbooks;
pub(crate) mod screen;
pub(crate) mod status;
