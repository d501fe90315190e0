//! A whole pull: the reference to a descriptor, then every document and blob below it that this node needs.
//!
//! Source: containerd `client/pull.go` (`fetch`).

use std::sync::Arc;

use super::{
    fetch::Pulled,
    source::{Host, Source, WantedImage},
    stop::Stop,
    transport::Transport,
};
use crate::{client::credential::Credential, node::ContainerdRelease};

/// Pulls `image` from `hosts` in turn, as far as a probe goes: documents and the configuration whole, of each
/// layer its start. The `credential` is offered to every host.
pub(crate) async fn pull<T: Transport>(
    transport: &mut T,
    image: &WantedImage<'_>,
    hosts: &[Host],
    release: ContainerdRelease,
    credential: Option<Arc<Credential>>,
) -> Result<Pulled, Stop> {
    let mut source = Source::new(transport, image, hosts, release, credential);
    let failed = |stop: Stop| match release.pulls_by_transfer() {
        true => stop.within("failed to resolve image"),
        false => stop.within(format_args!(
            "failed to resolve reference {:?}",
            image.reference
        )),
    };
    let root = source.resolve().await.map_err(failed)?;
    source.turn_to_content();
    source.fetch_all(root).await
}
