//! What the node's own client would do, by the rules of Go and containerd. Pure: the rounds ask, and
//! these rules say what a pull would make of the answers.

pub(crate) mod containerd;
pub(crate) mod credential;
pub(crate) mod dns_survey;
pub(crate) mod go_client;
pub(crate) mod go_dialer;
pub(crate) mod go_error;
pub(crate) mod go_resolver;
pub(crate) mod kubelet;
pub(crate) mod lookup_error;
pub(crate) mod pull_hosts;
pub(crate) mod pull_path;
pub(crate) mod rfc6724;
