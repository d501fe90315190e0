//! The connections of clients. Their number is limited: a new one replaces one of the peer that has the most,
//! so nobody can lock out others, by idle connections or by a flood of new ones.

use std::{
    cmp::Reverse,
    convert::Infallible,
    net::IpAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
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
use rustls::pki_types::CertificateDer;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinHandle,
    time::timeout,
};

use super::{
    answer::{Client, answer},
    rate::host,
    reply,
    site::Site,
};

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
    peer: IpAddr,
    activity: Arc<Activity>,
}

/// What a connection is doing.
#[derive(Default)]
struct Activity {
    /// Whether its client has sent anything.
    has_spoken: AtomicBool,
    /// How many requests are being answered.
    requests: AtomicUsize,
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
        if self.open.len() >= MAX_CONNECTIONS {
            self.close_one(|_| true);
        }
        let activity = Arc::<Activity>::default();
        let connection = Connection {
            site: self.site.clone(),
            peer,
            activity: activity.clone(),
            watcher: self.graceful.watcher(),
        };
        let task = tokio::spawn(connection.accept(stream));
        let peer = host(peer);
        self.open.push(Open {
            task,
            peer,
            activity,
        });
    }

    /// Closes an idle connection; false if none is idle.
    pub(super) fn close_idle(&mut self) -> bool {
        self.open.retain(|open| !open.task.is_finished());
        self.close_one(Open::is_idle)
    }

    /// Closes a connection of the peer that has the most: if possible an idle one, if possible one that has not
    /// been used yet, and of those the oldest.
    fn close_one(&mut self, may_close: impl Fn(&Open) -> bool) -> bool {
        let of_peer = |peer| self.open.iter().filter(|open| open.peer == peer).count();
        let open = self.open.iter().enumerate();
        let candidates = open.filter(|(_, open)| may_close(open));
        let chosen = candidates.max_by_key(|(place, open)| {
            let is_silent = !open.activity.has_spoken.load(Ordering::Relaxed);
            (
                of_peer(open.peer),
                open.is_idle(),
                is_silent,
                Reverse(*place),
            )
        });
        let chosen = chosen.map(|(place, _)| place);
        chosen.is_some_and(|place| {
            self.open.remove(place).task.abort();
            true
        })
    }

    /// Finishes the answers in progress, then closes all connections.
    pub(super) async fn finish(self) {
        let _ = timeout(DRAIN_TIMEOUT, self.graceful.shutdown()).await;
        self.open.iter().for_each(|open| open.task.abort());
    }
}

impl Open {
    fn is_idle(&self) -> bool {
        self.activity.requests.load(Ordering::Relaxed) == 0
    }
}

struct Connection {
    site: Arc<Site>,
    peer: IpAddr,
    activity: Arc<Activity>,
    watcher: Watcher,
}

impl Connection {
    async fn accept(self, stream: TcpStream) {
        // Otherwise the kernel holds back the end of an answer until the client acknowledges its beginning.
        let _ = stream.set_nodelay(true);
        let Ok(Ok(())) = timeout(HEAD_TIMEOUT, stream.readable()).await else {
            return;
        };
        self.activity.has_spoken.store(true, Ordering::Relaxed);
        let settings = self.site.settings.now();
        let Some(tls) = &settings.tls else {
            return self.serve(stream, None).await;
        };
        let Ok(Ok(stream)) = timeout(HEAD_TIMEOUT, tls.acceptor.accept(stream)).await else {
            return;
        };
        let certificates = stream.get_ref().1.peer_certificates();
        let certificates = certificates.unwrap_or_default().to_vec();
        if certificates.is_empty() || tls.admits(&certificates) {
            self.serve(stream, Some(certificates)).await;
        }
    }

    async fn serve(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        certificates: Option<Vec<CertificateDer<'static>>>,
    ) {
        let Self {
            site,
            peer,
            activity,
            watcher,
        } = self;
        let client = Arc::new(Client { peer, certificates });
        let service = service_fn(move |request| {
            let (site, client, activity) = (site.clone(), client.clone(), activity.clone());
            async move {
                let busy = Busy::new(activity);
                let reply = answer(&site, &client, request).await;
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
struct Busy(Arc<Activity>);

impl Busy {
    fn new(activity: Arc<Activity>) -> Self {
        activity.requests.fetch_add(1, Ordering::Relaxed);
        Self(activity)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
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
