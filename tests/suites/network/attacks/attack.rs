//! What an attack is: a name, who attacks and how, and what the agent has to make of it.

use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::nameserver::Lie;
use super::speech::{self, Boxed, Speech};

/// One attack on the agent as a client.
pub(crate) struct Attack {
    pub(crate) name: String,
    /// Stage and reason; nothing where the agent must not mind.
    pub(crate) expected: Option<(&'static str, &'static str)>,
    pub(crate) by: By,
}

/// Who attacks.
pub(crate) enum By {
    /// Nobody: what is seen then is the noise.
    Nobody,
    /// The node's nameserver, about the name of one registry.
    Nameserver(Lie),
    /// Whoever answers at the registry's address.
    Server(Talk),
    /// The registry itself: its certificate is good.
    Registry(Site),
    /// The registry, after a handshake of which so many tickets are a part.
    Session(usize, Turn),
    /// The node's proxy.
    Proxy(Talk),
}

/// What becomes of a connection.
pub(crate) type Talk = Arc<dyn Fn(TcpStream) -> Boxed + Send + Sync>;

/// What becomes of a session.
pub(crate) type Turn = Arc<dyn Fn(TlsStream<TcpStream>) -> Boxed + Send + Sync>;

/// A registry that is sound but for the paths that begin so.
pub(crate) struct Site {
    pub(crate) at: &'static str,
    pub(crate) says: Speech,
}

impl Attack {
    fn new(name: &str, stage: &'static str, reason: &'static str, by: By) -> Self {
        Self {
            name: name.to_owned(),
            expected: Some((stage, reason)),
            by,
        }
    }

    /// Where it comes from.
    pub(crate) fn place(&self) -> &'static str {
        match &self.by {
            By::Nobody => "nobody",
            By::Nameserver(_) => "nameserver",
            By::Server(_) => "server",
            By::Registry(_) | By::Session(..) => "registry",
            By::Proxy(_) => "proxy",
        }
    }

    /// Another stage has to find it out.
    pub(crate) fn at(mut self, stage: &'static str) -> Self {
        self.expected = self.expected.map(|(_, reason)| (stage, reason));
        self
    }

    /// It looks like an attack, and is none.
    pub(crate) fn borne(mut self) -> Self {
        self.expected = None;
        self
    }
}

/// Nothing at all.
pub(crate) fn nothing(name: String) -> Attack {
    Attack {
        name,
        expected: None,
        by: By::Nobody,
    }
}

/// Answers to questions about one name.
pub(crate) fn nameserver(name: &str, reason: &'static str, lie: Lie) -> Attack {
    Attack::new(name, "resolve", reason, By::Nameserver(lie))
}

/// Anything at all over TCP.
pub(crate) fn tcp<F, Fut>(name: &str, reason: &'static str, talk: F) -> Attack
where
    F: Fn(TcpStream) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let talk: Talk = Arc::new(move |stream| Box::pin(talk(stream)));
    Attack::new(name, "tls", reason, By::Server(talk))
}

/// Bytes in answer to a ClientHello, which they may depend on.
pub(crate) fn tls<F>(name: &str, reason: &'static str, says: F) -> Attack
where
    F: Fn(&[u8]) -> Speech + Send + Sync + 'static,
{
    let says = Arc::new(says);
    tcp(name, reason, move |mut stream| {
        let says = says.clone();
        async move {
            if let Some(hello) = speech::record(&mut stream).await {
                says(&hello).deliver(stream).await;
            }
        }
    })
}

/// Bytes in answer to a request of the registry, where its path begins like this.
pub(crate) fn http(
    name: &str,
    stage: &'static str,
    reason: &'static str,
    at: &'static str,
    says: Speech,
) -> Attack {
    Attack::new(name, stage, reason, By::Registry(Site { at, says }))
}

/// A good handshake with so many tickets, and what comes after it.
pub(crate) fn session<F, Fut>(name: &str, reason: &'static str, tickets: usize, then: F) -> Attack
where
    F: Fn(TlsStream<TcpStream>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let turn: Turn = Arc::new(move |stream| Box::pin(then(stream)));
    Attack::new(name, "challenge", reason, By::Session(tickets, turn))
}

/// Bytes in answer to a CONNECT.
pub(crate) fn proxy(name: &str, reason: &'static str, says: Speech) -> Attack {
    let talk: Talk = Arc::new(move |mut stream| {
        let says = says.clone();
        Box::pin(async move {
            if speech::head(&mut stream).await.is_some() {
                says.deliver(stream).await;
            }
        })
    });
    Attack::new(name, "proxy", reason, By::Proxy(talk))
}
