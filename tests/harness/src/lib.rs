//! What the test suites share: the real binary as a child process, parsers for what it prints and
//! serves, registries for it to probe, and suites whose tests declare what they need from the machine.
//!
//! The servers and networks come from `regprobe-lab`, which does not know the agent. Nothing here depends
//! on the agent's library either: the tests run it as a program, as users do.

pub mod agent;
pub mod browser;
pub mod contoso;
pub mod ground;
pub mod need;
pub mod node;
pub mod openssl;
pub mod output;
pub mod program;
pub mod quotes;
pub mod static_binary;
pub mod suite;
pub mod terminal;
