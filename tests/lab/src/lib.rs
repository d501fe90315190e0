//! The test ground of regprobe: everything a node meets on the way to an image, on loopback
//! addresses or in network namespaces, healthy or broken in one chosen way.
//!
//! Everything that is started here runs on its own threads or child processes, can be changed while it
//! runs, and ends when it is dropped. The library does not know the agent, which is tested against it.

pub mod addresses;
mod background;
pub mod client;
pub mod container;
pub mod fakes;
pub mod image;
pub mod netns;
pub mod pki;
mod process;
pub mod scenario;
pub mod servers;
pub mod wait;
pub mod world;
