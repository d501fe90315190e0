//! What the kubelet hands to containerd for a pull: the entries of a pull secret that match an image, in its order.

pub(crate) use self::docker_config::{Malformed, PullSecret};

mod docker_config;
mod go_base64;
mod match_images;
