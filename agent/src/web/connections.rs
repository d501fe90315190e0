//! The connections of clients. Their number is limited: a new one replaces the one that has been idle
//! longest, so idle clients cannot lock others out.

use std::{
    convert::Infallible,
    net::IpAddr,
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

use super::{answer::answer, reply, settings::Settings, site::Site};

/// The most connections at the same time; a node has one or two scrapers.
pub(crate) const MAX_CONNECTIONS: usize = 32;
/// The timeout of a TLS handshake and of a request's head, and so also of an idle connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest head of a request, which is also the memory that a connection takes.
const MAX_HEAD: usize = 16 << 10;
/// How long answers in progress may take when the agent ends: it must end within 5 s.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);

/// All open connections, the oldest first.
pub(super) struct Connections {
    site: Arc<Site>,
    open: Vec<Open>,
    graceful: GracefulShutdown,
}

struct Open {
    task: JoinHandle<()>,
    /// How many requests are being answered.
    busy: Arc<AtomicUsize>,
}

impl Connections {
    /// An empty list.
    pub(super) fn of(site: Arc<Site>) -> Self {
        Self {
            site,
            open: Vec::new(),
            graceful: GracefulShutdown::new(),
        }
    }

    /// Adds a connection.
    pub(super) fn add(&mut self, stream: TcpStream, peer: IpAddr) {
        self.open.retain(|open| !open.task.is_finished());
        if self.open.len() >= MAX_CONNECTIONS && !self.close_idle() {
            // If all are busy, the oldest has been busy longest.
            self.open.remove(0).task.abort();
        }
        let busy = Arc::new(AtomicUsize::new(0));
        let connection = Connection {
            site: self.site.clone(),
            settings: self.site.settings.now(),
            peer,
            busy: busy.clone(),
            watcher: self.graceful.watcher(),
        };
        let task = tokio::spawn(connection.accept(stream));
        self.open.push(Open { task, busy });
    }

    /// Closes the connection that has been idle longest; false if none is idle.
    pub(super) fn close_idle(&mut self) -> bool {
        self.open.retain(|open| !open.task.is_finished());
        let is_idle = |open: &Open| open.busy.load(Ordering::Relaxed) == 0;
        let idle = self.open.iter().position(is_idle);
        idle.is_some_and(|idle| {
            self.open.remove(idle).task.abort();
            true
        })
    }

    /// Finishes the answers in progress, then closes all connections.
    pub(super) async fn finish(self) {
        let _ = timeout(DRAIN_TIMEOUT, self.graceful.shutdown()).await;
        self.open.iter().for_each(|open| open.task.abort());
    }
}

struct Connection {
    site: Arc<Site>,
    settings: Arc<Settings>,
    peer: IpAddr,
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
            peer,
            busy,
            watcher,
        } = self;
        let service = service_fn(move |request| {
            let (site, settings, busy) = (site.clone(), settings.clone(), busy.clone());
            async move {
                let busy = Busy::new(busy);
                let reply = answer(&site, &settings, peer, request).await;
                Ok::<_, Infallible>(reply.map(|body| Sending { body, _busy: busy }))
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(stream), service);
        // A client that disconnects early is not worth a log line.
        let _ = watcher.watch(connection).await;
    }
}

/// Counts a request from its head to the end of its answer.
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

/// The body of an answer that is being sent.
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
