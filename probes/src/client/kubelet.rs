//! What the kubelet hands to containerd for a pull: the entries of a pull secret that match an image, in its order,
//! then those of its credential provider.

pub(crate) use self::docker_config::{Malformed, PullSecret};

mod docker_config;
mod go_base64;
mod match_images;

/// Whether the entry without user and password, which Azure's credential provider adds to its answer, is for `image`, as
/// `host[:port]/repository`: then the kubelet tries without a credential at last.
///
/// Source: kubernetes-sigs/cloud-provider-azure `pkg/credentialprovider/azure_credentials.go`.
pub(crate) fn provider_adds_anonymous(image: &str) -> bool {
    match_images::is_match("*.azurecr.*", image)
}
