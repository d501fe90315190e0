//! The connections of clients. There are only so many; where one more comes, the one gives way that has
//! been silent the longest, so that clients that say nothing keep nobody out.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use hyper::{
    body::{Body, Frame, SizeHint},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinHandle,
    time::timeout,
};

use super::{Site, answer::answer, reply, settings::Settings};

/// Connections at the same time; a node has one or two scrapers.
pub(crate) const MAX_CONNECTIONS: usize = 32;
/// For a TLS handshake, for the head of a request, and so for an idle connection too.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// The most that the head of a request may take, and what a connection takes of memory.
const MAX_HEAD: usize = 16 << 10;
/// For answers under way when the agent ends: it is to be gone within 5 s.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);

/// All that are open, the oldest first.
pub(super) struct Connections {
    site: Arc<Site>,
    open: Vec<Open>,
    graceful: GracefulShutdown,
}

struct Open {
    task: JoinHandle<()>,
    /// Requests that are being answered.
    busy: Arc<AtomicUsize>,
}

impl Connections {
    /// None yet.
    pub(super) fn of(site: Arc<Site>) -> Self {
        Self {
            site,
            open: Vec::new(),
            graceful: GracefulShutdown::new(),
        }
    }

    /// One more.
    pub(super) fn add(&mut self, stream: TcpStream) {
        self.open.retain(|open| !open.task.is_finished());
        if self.open.len() >= MAX_CONNECTIONS && !self.close_silent() {
            // Where all are being answered, the oldest has been at it the longest.
            self.open.remove(0).task.abort();
        }
        let busy = Arc::new(AtomicUsize::new(0));
        let connection = Connection {
            site: self.site.clone(),
            settings: self.site.settings.now(),
            busy: busy.clone(),
            watcher: self.graceful.watcher(),
        };
        let task = tokio::spawn(connection.accept(stream));
        self.open.push(Open { task, busy });
    }

    /// Closes the one that has been silent the longest, if any is.
    pub(super) fn close_silent(&mut self) -> bool {
        self.open.retain(|open| !open.task.is_finished());
        let is_silent = |open: &Open| open.busy.load(Ordering::Relaxed) == 0;
        let silent = self.open.iter().position(is_silent);
        silent.is_some_and(|silent| {
            self.open.remove(silent).task.abort();
            true
        })
    }

    /// Lets answers under way finish, and no more.
    pub(super) async fn finish(self) {
        let _ = timeout(DRAIN_TIMEOUT, self.graceful.shutdown()).await;
        self.open.iter().for_each(|open| open.task.abort());
    }
}

struct Connection {
    site: Arc<Site>,
    settings: Arc<Settings>,
    busy: Arc<AtomicUsize>,
    watcher: Watcher,
}

impl Connection {
    async fn accept(self, stream: TcpStream) {
        let settings = self.settings.clone();
        let Some(tls) = &settings.tls else {
            return self.serve(stream).await;
        };
        let Ok(Ok(stream)) = timeout(HEAD_TIMEOUT, tls.acceptor.accept(stream)).await else {
            return;
        };
        if tls.admits(stream.get_ref().1.peer_certificates()) {
            self.serve(stream).await;
        }
    }

    async fn serve(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let Self {
            site,
            settings,
            busy,
            watcher,
        } = self;
        let service = service_fn(move |request| {
            let (site, settings, busy) = (site.clone(), settings.clone(), busy.clone());
            async move {
                let busy = Busy::new(busy);
                let reply = answer(&site, &settings, request).await;
                Ok::<_, Infallible>(reply.map(|body| Sending { body, _busy: busy }))
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(stream), service);
        // A scraper that goes away in the middle is no news.
        let _ = watcher.watch(connection).await;
    }
}

/// Counts a request, from its head to the end of its answer.
struct Busy(Arc<AtomicUsize>);

impl Busy {
    fn new(busy: Arc<AtomicUsize>) -> Self {
        busy.fetch_add(1, Ordering::Relaxed);
        Self(busy)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An answer on its way.
struct Sending {
    body: reply::Body,
    _busy: Busy,
}

impl Body for Sending {
    type Data = Bytes;
    type Error = <reply::Body as Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
