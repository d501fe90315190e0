//! An attack: a name, the attacker and what it does, and the expected result.

use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::nameserver::Lie;
use super::speech::{self, Boxed, Speech};

/// One attack on the agent as a client.
pub(crate) struct Attack {
    pub(crate) name: String,
    /// The expected stage and reason; none if the agent must not report a failure.
    pub(crate) expected: Option<(&'static str, &'static str)>,
    /// A finding that the agent must report besides.
    pub(crate) finding: Option<&'static str>,
    pub(crate) by: By,
}

/// The attacker.
pub(crate) enum By {
    /// Nobody, to measure the noise.
    Nobody,
    /// The node's nameserver, when asked about one registry's name.
    Nameserver(Lie),
    /// A server at the registry's address.
    Server(Talk),
    /// The registry itself, with a valid certificate.
    Registry(Site),
    /// The registry, after a handshake with this many session tickets.
    Session(usize, Turn),
    /// The node's proxy.
    Proxy(Talk),
}

/// Handles a connection.
pub(crate) type Talk = Arc<dyn Fn(TcpStream) -> Boxed + Send + Sync>;

/// Handles a session.
pub(crate) type Turn = Arc<dyn Fn(TlsStream<TcpStream>) -> Boxed + Send + Sync>;

/// A registry that is healthy except for paths with this prefix.
pub(crate) struct Site {
    pub(crate) at: &'static str,
    pub(crate) says: Speech,
}

impl Attack {
    fn new(name: &str, stage: &'static str, reason: &'static str, by: By) -> Self {
        Self {
            name: name.to_owned(),
            expected: Some((stage, reason)),
            finding: None,
            by,
        }
    }

    /// The attacker's place, as in the test's name.
    pub(crate) fn place(&self) -> &'static str {
        match &self.by {
            By::Nobody => "nobody",
            By::Nameserver(_) => "nameserver",
            By::Server(_) => "server",
            By::Registry(_) | By::Session(..) => "registry",
            By::Proxy(_) => "proxy",
        }
    }

    /// Expects another stage to fail.
    pub(crate) fn at(mut self, stage: &'static str) -> Self {
        self.expected = self.expected.map(|(_, reason)| (stage, reason));
        self
    }

    /// It looks like an attack, but is valid.
    pub(crate) fn borne(mut self) -> Self {
        self.expected = None;
        self
    }

    /// No stage fails, and yet this is found.
    pub(crate) fn finds(mut self, code: &'static str) -> Self {
        self.finding = Some(code);
        self.borne()
    }
}

/// No attack.
pub(crate) fn nothing(name: String) -> Attack {
    Attack {
        name,
        expected: None,
        finding: None,
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

/// Bytes in answer to a ClientHello, which can depend on it.
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

/// Bytes in answer to a request whose path has this prefix.
pub(crate) fn http(
    name: &str,
    stage: &'static str,
    reason: &'static str,
    at: &'static str,
    says: Speech,
) -> Attack {
    Attack::new(name, stage, reason, By::Registry(Site { at, says }))
}

/// A valid handshake with this many session tickets, and what follows it.
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
