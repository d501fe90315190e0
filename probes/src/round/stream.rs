//! An open connection of a visit, through as many layers as its way has.

use tokio_rustls::client::TlsStream;

use crate::{
    net::wire::{Stopwatch, Wire},
    stages::http::{
        connection::{Forwarder, HttpConnection},
        fault::HttpFault,
    },
    words::endpoint::Endpoint,
};

/// An open connection, ready for HTTP.
pub(crate) struct Stream {
    pub(super) layers: Layers,
    /// The proxy at its other end, where that passes requests on and opens no tunnel.
    pub(super) forwarder: Option<Forwarder>,
}

/// What is spoken over the wire.
pub(super) enum Layers {
    Plain(Wire),
    Tls(Box<TlsStream<Wire>>),
    /// TLS to an endpoint inside TLS to a proxy.
    TlsInTls(Box<TlsStream<TlsStream<Wire>>>),
}

impl Stream {
    /// To the endpoint itself, if through a tunnel.
    pub(super) fn direct(layers: Layers) -> Self {
        Self {
            layers,
            forwarder: None,
        }
    }

    /// Whether nothing on its way is encrypted.
    pub(super) fn is_plain(&self) -> bool {
        matches!(self.layers, Layers::Plain(_))
    }

    pub(crate) fn stopwatch(&self) -> Stopwatch {
        self.wire().stopwatch().clone()
    }

    pub(super) fn wire(&self) -> &Wire {
        match &self.layers {
            Layers::Plain(wire) => wire,
            Layers::Tls(stream) => stream.get_ref().0,
            Layers::TlsInTls(stream) => stream.get_ref().0.get_ref().0,
        }
    }

    pub(crate) async fn into_http(self, endpoint: &Endpoint) -> Result<HttpConnection, HttpFault> {
        let (authority, allowance) = (endpoint.authority(), self.wire().allowance().clone());
        let opened = match self.layers {
            Layers::Plain(stream) => HttpConnection::open(stream, authority, allowance).await,
            Layers::Tls(stream) => HttpConnection::open(stream, authority, allowance).await,
            Layers::TlsInTls(stream) => HttpConnection::open(stream, authority, allowance).await,
        };
        Ok(opened?.forwarded_by(self.forwarder))
    }
}
