//! What the test suites share: the real binary as a child process, what it prints and serves taken
//! apart, grounds to run it on, and suites whose tests say what they need of the machine.
//!
//! The servers and networks come from `regprobe-lab`, which knows nothing of the agent. Nothing here
//! depends on the agent's library either: the tests meet it as users do, as a program.

pub mod agent;
pub mod browser;
pub mod contoso;
pub mod ground;
pub mod json;
pub mod log_lines;
pub mod need;
pub mod node;
pub mod openapi;
pub mod openssl;
pub mod program;
pub mod schema;
pub mod scrape;
pub mod suite;
pub mod terminal;
