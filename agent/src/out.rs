//! Everything that leaves the agent: metrics, log lines, documents, pages and text, all made from the same
//! state.

#[doc(hidden)]
pub mod bench_support;
pub(crate) mod change_log;
pub(crate) mod describe;
pub(crate) mod explain;
pub(crate) mod fetch;
pub(crate) mod fleet_view;
pub(crate) mod history;
pub(crate) mod kubernetes;
pub(crate) mod metrics;
pub(crate) mod pages;
pub(crate) mod screen;
pub(crate) mod status;
pub(crate) mod summary;
