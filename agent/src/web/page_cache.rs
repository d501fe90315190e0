//! The status page and the page of the fleet as last made. All readers share it, and it is made so rarely that this takes less than a
//! thousandth of a processor.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use hyper::header::HeaderValue;
use jiff::Timestamp;
use tokio::time::Instant;

use crate::{out::fleet_view::FleetView, state::Snapshot};

/// The page is made again after this time at the earliest, or this many times the time that it took.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_FACTOR: u32 = 1000;
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Empty until the first request.
#[derive(Default)]
pub(crate) struct PageCache(Mutex<Option<Made>>);

struct Made {
    of: Arc<Snapshot>,
    good_until: Instant,
    page: CachedPage,
}

/// A page and its entity tag.
#[derive(Clone)]
pub(super) struct CachedPage {
    /// Unique for each page that is made.
    pub etag: HeaderValue,
    /// The page.
    pub html: Bytes,
}

impl CachedPage {
    /// A page that was made `now`.
    pub(super) fn new(html: String, now: Timestamp) -> Self {
        let etag = format!("\"{}\"", now.as_microsecond());
        let etag = HeaderValue::try_from(etag).expect("a number in quotes is a header's value");
        let html = html.into();
        Self { etag, html }
    }
}

impl PageCache {
    /// The page of `snapshot` or a slightly older one. Calls `make` if there is none.
    pub(super) fn get(
        &self,
        snapshot: &Arc<Snapshot>,
        make: impl FnOnce(&Snapshot, Timestamp) -> String,
    ) -> CachedPage {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let start = Instant::now();
        if let Some(made) = &*made
            && (Arc::ptr_eq(&made.of, snapshot) || start < made.good_until)
        {
            return made.page.clone();
        }
        let now = Timestamp::now();
        let page = CachedPage::new(make(snapshot, now), now);
        let pause = (start.elapsed() * PAUSE_FACTOR).clamp(PAUSE, LONGEST_PAUSE);
        *made = Some(Made {
            of: snapshot.clone(),
            good_until: start + pause,
            page: page.clone(),
        });
        page
    }
}

/// The page of the last view of the fleet that was shown.
#[derive(Default)]
pub(crate) struct FleetPage(Mutex<Option<(Arc<FleetView>, CachedPage)>>);

impl FleetPage {
    /// The page of this view. Calls `make` if it is not the last one.
    pub(super) fn get(
        &self,
        view: Arc<FleetView>,
        make: impl FnOnce(&FleetView, Timestamp) -> String,
    ) -> CachedPage {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, page)) = &*made
            && Arc::ptr_eq(of, &view)
        {
            return page.clone();
        }
        let now = Timestamp::now();
        let page = CachedPage::new(make(&view, now), now);
        *made = Some((view, page.clone()));
        page
    }
}
