//! The agent's own HTTP server: `/metrics`, health, the status document and reload. It reads
//! snapshots and never waits for a probe.

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode, body::Incoming, header, server::conn::http1,
    service::service_fn,
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, mpsc, oneshot},
    time::timeout,
};

use crate::{board::Snapshot, metrics::Metrics, status::Status};

/// Connections at the same time; a node has one or two scrapers.
const MAX_CONNECTIONS: usize = 128;
/// For the head of a request, and so for an idle connection too.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// For answers under way when the agent ends: it is to be gone within 5 s.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);
const BACKLOG: i32 = 128;

/// What handlers read.
pub(crate) struct Site {
    /// The node's name.
    pub node: String,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The latest snapshot.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// Where reload requests go, if they are allowed.
    pub reload: Option<mpsc::Sender<oneshot::Sender<Result<(), String>>>>,
}

/// Binds `address`; a host left out means every address of both families.
pub(crate) fn listen(address: &str) -> io::Result<TcpListener> {
    let addresses = match address.strip_prefix(':').map(str::parse) {
        Some(Ok(port)) => vec![
            SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port),
            SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port),
        ],
        _ => vec![address.parse().map_err(|_| {
            let text = "not an address to listen on; write :9118, 127.0.0.1:9118 or [::1]:9118";
            io::Error::new(io::ErrorKind::InvalidInput, text)
        })?],
    };
    let mut bound = addresses.into_iter().map(bind);
    let first = bound
        .next()
        .unwrap_or_else(|| Err(io::ErrorKind::InvalidInput.into()));
    // A node without IPv6 has no socket of that family; then IPv4 alone will do.
    first.or_else(|error| match error.kind() {
        io::ErrorKind::AddrInUse => Err(error),
        _ => bound.next().unwrap_or(Err(error)),
    })
}

/// Serves until `stop` resolves, then lets answers under way finish.
pub(crate) async fn serve(listener: TcpListener, site: Arc<Site>, stop: impl Future<Output = ()>) {
    let graceful = GracefulShutdown::new();
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    tokio::pin!(stop);
    loop {
        let next = async {
            let slot = slots.clone().acquire_owned().await;
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            next = next => next,
            () = &mut stop => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let site = site.clone();
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .serve_connection(
                TokioIo::new(stream),
                service_fn(move |request| {
                    let site = site.clone();
                    async move { Ok::<_, Infallible>(answer(&site, request).await) }
                }),
            );
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // A scraper that goes away in the middle is no news.
            let _ = connection.await;
            drop(slot);
        });
    }
    drop(listener);
    let _ = timeout(DRAIN_TIMEOUT, graceful.shutdown()).await;
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

async fn answer(site: &Site, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    match (request.method(), path) {
        (&Method::POST, "/-/reload") => reload(site).await,
        (_, "/-/reload") => allow("POST"),
        (&Method::GET | &Method::HEAD, _) => read(site, path),
        _ => allow("GET, HEAD"),
    }
}

fn read(site: &Site, path: &str) -> Response<Full<Bytes>> {
    match path {
        "/metrics" => match site.metrics.encode() {
            Ok(text) => reply(StatusCode::OK, Metrics::CONTENT_TYPE, text),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error}\n")),
        },
        "/-/healthy" => text(StatusCode::OK, "regprobe is healthy.\n"),
        "/-/ready" => match site.snapshot.load().is_ready() {
            true => text(StatusCode::OK, "regprobe is ready.\n"),
            false => text(
                StatusCode::SERVICE_UNAVAILABLE,
                "The first round is not over.\n",
            ),
        },
        "/api/v1/status" => {
            match serde_json::to_vec(&Status::of(&site.snapshot.load(), &site.node)) {
                Ok(json) => reply(StatusCode::OK, "application/json", json),
                Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error}\n")),
            }
        }
        "/" => text(
            StatusCode::OK,
            "regprobe\n\n/metrics\n/api/v1/status\n/-/healthy\n/-/ready\n",
        ),
        _ => text(StatusCode::NOT_FOUND, "not found\n"),
    }
}

async fn reload(site: &Site) -> Response<Full<Bytes>> {
    let Some(requests) = &site.reload else {
        let why = "Lifecycle API is not enabled; start with --web.enable-lifecycle.\n";
        return text(StatusCode::FORBIDDEN, why);
    };
    let (done, result) = oneshot::channel();
    let outcome = match requests.send(done).await {
        Ok(()) => result
            .await
            .unwrap_or_else(|_| Err("the agent is ending".to_owned())),
        Err(_) => Err("the agent is ending".to_owned()),
    };
    match outcome {
        Ok(()) => text(StatusCode::OK, "Reloaded.\n"),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error}\n")),
    }
}

fn allow(methods: &'static str) -> Response<Full<Bytes>> {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n");
    response
        .headers_mut()
        .insert(header::ALLOW, header::HeaderValue::from_static(methods));
    response
}

fn text(status: StatusCode, body: &str) -> Response<Full<Bytes>> {
    reply(
        status,
        "text/plain; charset=utf-8",
        body.as_bytes().to_vec(),
    )
}

fn reply(status: StatusCode, media_type: &'static str, body: Vec<u8>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static(media_type),
    );
    headers.insert(
        header::CACHE_CONTROL,
        header::HeaderValue::from_static("no-store"),
    );
    let nosniff = header::HeaderValue::from_static("nosniff");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    response
}
