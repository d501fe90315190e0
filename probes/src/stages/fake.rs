//! A loopback server for unit tests: it accepts one connection, reads request heads and sends fixed
//! answers.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::Instant,
};

use crate::{
    net::wire::Wire,
    stages::{connect, http::connection::HttpConnection},
    words::endpoint::{Endpoint, Role, Scheme},
};

/// A fake server with its one connection.
pub(crate) struct Fake {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

/// What a fake does after its answers.
enum Then {
    Close,
    Wait,
    Repeat(String),
}

impl Fake {
    /// Sends one answer to each request, then closes.
    pub(crate) async fn answering(answers: impl IntoIterator<Item = impl Into<Vec<u8>>>) -> Self {
        let answers = answers.into_iter().map(Into::into).collect();
        Self::start(answers, Then::Close).await
    }

    /// Reads requests and never answers.
    pub(crate) async fn silent() -> Self {
        Self::start(Vec::new(), Then::Wait).await
    }

    /// Answers the first request so, and holds the connection open.
    pub(crate) async fn hanging_after(answer: &str) -> Self {
        Self::start(vec![answer.into()], Then::Wait).await
    }

    /// Answers the first request with `start` and then with `more`, forever.
    pub(crate) async fn endless(start: &str, more: &str) -> Self {
        Self::start(vec![start.into()], Then::Repeat(more.into())).await
    }

    async fn start(answers: Vec<Vec<u8>>, then: Then) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let seen = heads.clone();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            for answer in answers {
                let Some(head) = read_head(&mut stream).await else {
                    return;
                };
                seen.lock().unwrap().push(head);
                if stream.write_all(&answer).await.is_err() {
                    return;
                }
            }
            match then {
                Then::Close => {
                    // An unread request would turn the close into a reset.
                    let _ = stream.shutdown().await;
                    while let Ok(1..) = stream.read(&mut [0; 1024]).await {}
                }
                Then::Wait => std::future::pending().await,
                Then::Repeat(more) => while stream.write_all(more.as_bytes()).await.is_ok() {},
            }
        });
        Self { address, heads }
    }

    /// The request heads received so far.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    /// The fake as a registry's login server.
    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint {
            host: self.address.ip().to_string().into(),
            port: self.address.port(),
            role: Role::Login,
            scheme: Scheme::Http,
        }
    }

    /// Its one connection.
    pub(crate) async fn dial(&self) -> Wire {
        let deadline = Instant::now() + Duration::from_secs(5);
        connect::dial(self.address, deadline).await.unwrap().0
    }

    /// Its one connection, for HTTP.
    pub(crate) async fn http(&self) -> HttpConnection {
        let (wire, authority) = (self.dial().await, self.endpoint().authority());
        let allowance = wire.allowance().clone();
        HttpConnection::open(wire, authority, allowance)
            .await
            .unwrap()
    }
}

/// An answer with a body of known length.
pub(crate) fn answer(status: &str, headers: &[&str], body: &str) -> String {
    let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n{body}")
}

async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}
