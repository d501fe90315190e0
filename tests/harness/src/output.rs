//! What the agent prints and serves, parsed and compared with its documentation.

pub mod json;
pub mod log_lines;
pub mod openapi;
pub mod schema;
pub mod scrape;
