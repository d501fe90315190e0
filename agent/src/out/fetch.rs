//! One HTTP request over a connection of its own, and its whole answer, up to a cap. It follows no redirect. The
//! caller dials, and sets the deadline.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{Request, StatusCode, client::conn::http1};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};

/// The most bytes of an answer's head, which is the least that hyper takes.
const MAX_HEAD: usize = 8 << 10;

/// Why there is no answer.
#[derive(Debug, Error)]
pub(crate) enum FetchError {
    #[error("it breaks HTTP: {0}")]
    Http(#[from] hyper::Error),
    #[error("its answer is too large")]
    TooLarge,
    #[error("its answer is cut off")]
    CutOff,
}

/// What `work` comes to, or an error if that takes longer than `limit`.
pub(crate) async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, String>>,
) -> Result<T, String> {
    let ended = timeout(limit, work).await;
    ended.unwrap_or_else(|_| Err(format!("nothing within {} s", limit.as_secs_f64())))
}

/// Sends `request` and reads a body of at most `max` bytes.
pub(crate) async fn fetch(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Full<Bytes>>,
    max: usize,
) -> Result<(StatusCode, Bytes), FetchError> {
    let mut http = http1::Builder::new();
    http.max_buf_size(MAX_HEAD);
    let (mut sender, connection) = http.handshake(TokioIo::new(stream)).await?;
    let exchange = async {
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), max).collect().await;
        let body = body.map_err(|error| match error.is::<LengthLimitError>() {
            true => FetchError::TooLarge,
            false => FetchError::CutOff,
        })?;
        Ok((status, body.to_bytes()))
    };
    tokio::select! {
        answer = exchange => answer,
        Err(error) = connection => Err(error.into()),
    }
}
