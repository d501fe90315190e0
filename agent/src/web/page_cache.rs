//! The status page as last made. All readers share it, and it is made so rarely that this takes less than a
//! thousandth of a processor.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use hyper::header::HeaderValue;
use jiff::Timestamp;
use tokio::time::Instant;

use crate::state::Snapshot;

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
        let html = make(snapshot, now).into();
        let pause = (start.elapsed() * PAUSE_FACTOR).clamp(PAUSE, LONGEST_PAUSE);
        let etag = format!("\"{}\"", now.as_microsecond());
        let etag = HeaderValue::try_from(etag).expect("a number in quotes is a header's value");
        let page = CachedPage { etag, html };
        *made = Some(Made {
            of: snapshot.clone(),
            good_until: start + pause,
            page: page.clone(),
        });
        page
    }
}
