//! The whole fleet: `/fleet` for people, `/api/v1/fleet` for programs. Both show the same view, which is made
//! once for all who look.

use hyper::{HeaderMap, StatusCode};

use super::{
    pages::cached,
    reply::{self, Reply},
    site::Site,
};
use crate::out::pages;

/// `/fleet`
pub(super) async fn page(site: &Site, headers: &HeaderMap) -> Reply {
    match site.peers.view().await {
        Some(view) => cached(site.fleet.get(view, pages::fleet), headers),
        None => unknown(),
    }
}

/// `/api/v1/fleet`
pub(super) async fn document(site: &Site) -> Reply {
    match site.peers.view().await {
        Some(view) => reply::json(StatusCode::OK, &*view),
        None => unknown(),
    }
}

fn unknown() -> Reply {
    let why = "It is not known yet who the other agents are. Try again.\n";
    reply::text(StatusCode::SERVICE_UNAVAILABLE, why)
}
