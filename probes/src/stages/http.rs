//! The stage `http`: `GET /` at a data or storage endpoint. Without a signed URL, such an endpoint
//! refuses, and the refusal proves the path: any status is an answer.

use hyper::header::SERVER;
use tokio::time::Instant;

use self::{connection::HttpConnection, fault::HttpFault};

pub(crate) mod connection;
pub(crate) mod download;
pub(crate) mod fault;
pub(crate) mod go_json;
pub(crate) mod go_shape;
pub(crate) mod response;
pub(crate) mod www_authenticate;

/// Requests `target` (`/` at a data endpoint) and waits for the head of any answer.
pub(crate) async fn http(
    connection: &mut HttpConnection,
    target: &str,
    deadline: Instant,
) -> Result<HttpAnswer, HttpFault> {
    let response = connection.get(target, deadline).await?;
    Ok(HttpAnswer {
        status: response.status.as_u16(),
        server: response.header(SERVER),
        correlation_id: response.correlation_id(),
    })
}

/// The head of an answer, in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpAnswer {
    /// Any status.
    pub status: u16,
    /// The header `Server`.
    pub server: Option<String>,
    /// The id that the registry's support asks for.
    pub correlation_id: Option<String>,
}
