//! How one endpoint is reached: directly or through the node's proxy, with which trust, and until when.
//! Dialling an address goes through the stages `connect`, `proxy` and `tls`. Each is recorded with its
//! own time: the time on the wire if it succeeds, else the time that it was waited for.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use futures_util::future::join;
use tokio::time::Instant;

use crate::{
    client::{go_client::DIAL_BUDGET, pull_path::NodeClient},
    net::{io_fault::IoFault, wire::Wire},
    node::{
        ContainerdRelease, Node,
        proxy::{ProxyScheme, ProxyUrl},
        registry_host::HostClient,
    },
    outcome::{Evidence, Fault, StageOutcome},
    round::{
        deadlines::Deadlines,
        progress::{OnStageEnd, StageEnd},
        stream::{Layers, Stream},
    },
    stages::{
        connect::{self, Connected},
        http::{connection::Forwarder, fault::HttpFault},
        proxy::{self, Tunnel},
        socks,
        tls::{Handshake, Hello, Lost, TlsClient, TlsFault},
    },
    words::{
        endpoint::{Endpoint, Scheme, Turn},
        reason::{Reason, Stage},
    },
};

/// How long a second hello may take after one got no answer.
const SECOND_HELLO: Duration = Duration::from_millis(600);

/// One endpoint and the way to it.
#[derive(Clone)]
pub(crate) struct Visit<'a> {
    pub(crate) node: &'a Node,
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) deadlines: Deadlines,
    pub(crate) tls: TlsClient,
    /// Whose client goes there.
    pub(crate) client: &'a HostClient,
    pub(crate) proxy: Option<&'a ProxyUrl>,
    /// Whether an address that a registry led to may be dialled.
    pub(crate) may_dial: fn(IpAddr) -> bool,
    /// When the node's client asks the host that led here.
    pub(crate) turn: Turn,
    /// Whether it may ask that host what a tag means.
    pub(crate) resolves: bool,
    /// Whether images are walked to, which says more than other requests.
    pub(crate) walks: bool,
    /// Called for each stage that ends.
    pub(crate) on_stage_end: OnStageEnd<'a>,
}

impl Visit<'_> {
    /// Reports a stage that ended.
    pub(crate) fn report(&self, outcome: &StageOutcome) {
        (self.on_stage_end)(StageEnd::stage(self.endpoint, outcome));
    }

    /// The stage that the endpoint is visited for.
    pub(crate) fn last_stage(&self) -> Stage {
        self.endpoint.stages().last().unwrap_or(Stage::Connect)
    }

    /// The host to look up and dial: the proxy, if there is one.
    pub(crate) fn dial_host(&self) -> &str {
        self.proxy.map_or(&self.endpoint.host, |proxy| &proxy.host)
    }

    /// The socket address to dial.
    pub(crate) fn dial_address(&self, address: IpAddr) -> SocketAddr {
        SocketAddr::new(
            address,
            self.proxy.map_or(self.endpoint.port, |proxy| proxy.port),
        )
    }

    /// What the rules of the node's client need to know to get here.
    pub(crate) fn node_client(&self) -> NodeClient<'_> {
        NodeClient {
            hosts: &self.node.hosts,
            resolv_conf: &self.node.resolv_conf,
            nameservers: &self.node.nameservers,
            host: self.dial_host(),
            port: self.proxy.map_or(self.endpoint.port, |proxy| proxy.port),
            proxied: self.proxy.is_some(),
            dial_budget: match self.client.dial_timeout {
                None => DIAL_BUDGET,
                Some(Duration::ZERO) => Duration::MAX,
                Some(limit) => limit,
            },
        }
    }

    /// Where a connection to `address` leads. Only the proxy knows what a name means to it.
    pub(crate) fn leads_to(&self, address: IpAddr) -> Option<IpAddr> {
        match self.proxy {
            None => Some(address),
            Some(_) => self.endpoint.host.parse().ok(),
        }
    }

    /// Goes through the stages until HTTP can begin. Where the host's client falls back to plain HTTP, what came
    /// of TLS does not count.
    pub(crate) async fn dial(
        &self,
        address: IpAddr,
        stages: &mut Vec<StageOutcome>,
    ) -> Option<Stream> {
        let Endpoint { scheme, port, .. } = *self.endpoint;
        let stream = self.dial_as(scheme, port, address, stages).await;
        if stream.is_some() || !self.falls_back(stages) {
            return stream;
        }
        let port = if port == 443 { 80 } else { port };
        let Endpoint { host, .. } = self.endpoint;
        if self.node.proxies.proxy_for("http", host, port) != self.proxy {
            // Elsewhere the address is of no use.
            if let Some(failed) = stages.last_mut() {
                let to = format!("http://{host}:{port}/");
                let why = "the client goes on there in plain HTTP, which takes another way by the node's proxy settings";
                failed.result = Err(Fault::Http(HttpFault::not_followed(&to, why)));
            }
            return None;
        }
        let failed = stages.drain(..).next_back();
        let stream = self.dial_as(Scheme::Http, port, address, stages).await;
        if let Some(Ok(Evidence::Connect(connected))) =
            stages.first_mut().map(|first| first.result.as_mut())
        {
            connected.fell_back_after = failed.map(|failed| failed.waits());
        }
        stream
    }

    /// As containerd's `httpFallback`: the answer to TLS is none, or does not come, or nobody listens at a port that
    /// the URL leaves out.
    fn falls_back(&self, stages: &[StageOutcome]) -> bool {
        let failed = stages.last().and_then(|stage| stage.result.as_ref().err());
        let release = self.node.release();
        self.client.falls_back
            && failed.is_some_and(|fault| match fault {
                Fault::Tls(fault) => match fault.reason() {
                    Reason::NotTls => true,
                    Reason::Timeout => release.falls_back_from_silence(),
                    _ => false,
                },
                Fault::Connect(_) => {
                    self.endpoint.port == 443 && release.falls_back_to_the_port_of_http()
                }
                Fault::Proxy(_) | Fault::Identity(_) | Fault::Http(_) => false,
            })
    }

    /// What few visits need is boxed: each visit has room for everything else, for as long as it takes.
    async fn dial_as(
        &self,
        scheme: Scheme,
        port: u16,
        address: IpAddr,
        stages: &mut Vec<StageOutcome>,
    ) -> Option<Stream> {
        let mut record = |stage, took, result| {
            let outcome = StageOutcome::new(stage, took, result);
            self.report(&outcome);
            stages.push(outcome);
        };
        let start = Instant::now();
        let port = self.proxy.map_or(port, |proxy| proxy.port);
        let to = SocketAddr::new(address, port);
        let (wire, connected) = match connect::dial(to, self.dial_deadline()).await {
            Ok(dialled) => dialled,
            Err(fault) => {
                record(Stage::Connect, start.elapsed(), Err(Fault::Connect(fault)));
                return None;
            }
        };
        let took = connected.took().unwrap_or_else(|| start.elapsed());
        record(Stage::Connect, took, Ok(Evidence::Connect(connected)));
        let watch = wire.stopwatch().clone();

        let start = Instant::now();
        let stream = match self.proxy {
            None => Stream::direct(Layers::Plain(wire)),
            // Nothing comes before the first request.
            Some(proxy) if scheme == Scheme::Http && proxy.scheme == ProxyScheme::Http => Stream {
                layers: Layers::Plain(wire),
                forwarder: Some(Forwarder::at(proxy)),
            },
            Some(proxy) => match Box::pin(self.through(proxy, scheme, wire)).await {
                Ok(stream) => {
                    let took = watch.read().unwrap_or_else(|| start.elapsed());
                    record(
                        Stage::Proxy,
                        took,
                        Ok(Evidence::Proxy(Tunnel::through(proxy))),
                    );
                    stream
                }
                Err(fault) => {
                    record(Stage::Proxy, start.elapsed(), Err(fault));
                    return None;
                }
            },
        };
        if scheme == Scheme::Http {
            return Some(stream);
        }

        watch.restart();
        let start = Instant::now();
        let (host, deadline) = (&self.endpoint.host, self.deadlines.next());
        let hello = self.hello();
        let shaken = match stream.layers {
            Layers::Plain(stream) => {
                let shaken = self.tls.handshake(hello, stream, host, deadline).await;
                shaken.map(|(stream, shaken)| (Layers::Tls(Box::new(stream)), shaken))
            }
            Layers::Tls(stream) => {
                let shaken = Box::pin(self.tls.handshake(hello, *stream, host, deadline)).await;
                shaken.map(|(stream, shaken)| (Layers::TlsInTls(Box::new(stream)), shaken))
            }
            Layers::TlsInTls(_) => return None,
        };
        let waited = start.elapsed();
        let took = watch.read().filter(|_| shaken.is_ok()).unwrap_or(waited);
        let shaken = match shaken {
            Err(TlsFault::Io(IoFault::Timeout)) if self.proxy.is_none() => {
                Box::pin(self.with_less(hello, to)).await
            }
            Err(fault) if fault.is_about_parameters() => {
                let unspoken = Box::pin(self.unspoken_suite(to)).await;
                Err(unspoken.map_or(fault, TlsFault::Unspoken))
            }
            shaken => shaken,
        };
        let (result, layers) = match shaken {
            Ok((layers, shaken)) => (Ok(Evidence::Tls(Box::new(shaken))), Some(layers)),
            Err(fault) => (Err(Fault::Tls(Box::new(fault))), None),
        };
        // Retransmits during the handshake count for the connection.
        if let (Some(Layers::Tls(stream)), Some(first)) = (&layers, stages.first_mut())
            && let Ok(Evidence::Connect(connected)) = &mut first.result
        {
            connected.retransmits = Connected::of(stream.get_ref().0.stream()).retransmits;
        }
        let outcome = StageOutcome::new(Stage::Tls, took, result);
        self.report(&outcome);
        stages.push(outcome);
        layers.map(Stream::direct)
    }

    /// The way through a proxy: a tunnel, or for plain HTTP the proxy itself.
    async fn through(
        &self,
        proxy: &ProxyUrl,
        scheme: Scheme,
        stream: Wire,
    ) -> Result<Stream, Fault> {
        let deadline = self.deadlines.next();
        let opened = match proxy.scheme {
            ProxyScheme::Http => {
                let opened = proxy::tunnel(stream, proxy, self.endpoint, deadline).await;
                opened.map(Layers::Plain)
            }
            ProxyScheme::Https => {
                let hello = self.hello();
                let shaken = self
                    .tls
                    .handshake(hello, stream, &proxy.host, deadline)
                    .await;
                let (stream, _) = shaken.map_err(|fault| Fault::Tls(Box::new(fault)))?;
                if scheme == Scheme::Http {
                    return Ok(Stream {
                        layers: Layers::Tls(Box::new(stream)),
                        forwarder: Some(Forwarder::at(proxy)),
                    });
                }
                let opened = proxy::tunnel(stream, proxy, self.endpoint, deadline).await;
                opened.map(|stream| Layers::Tls(Box::new(stream)))
            }
            ProxyScheme::Socks5 => {
                let opened = socks::tunnel(stream, proxy, self.endpoint, deadline).await;
                opened.map(Layers::Plain)
            }
        };
        opened.map(Stream::direct).map_err(Fault::Proxy)
    }

    /// The client's own limit, where it is shorter than a stage's.
    fn dial_deadline(&self) -> Instant {
        let of_stage = self.deadlines.next();
        match self.client.dial_timeout {
            Some(limit) if !limit.is_zero() => of_stage.min(Instant::now() + limit),
            _ => of_stage,
        }
    }

    /// The ClientHello of the node's client.
    fn hello(&self) -> Hello {
        match self.node.release().sends_large_hello() {
            true => Hello::Large,
            false => Hello::Small,
        }
    }

    /// What the endpoint agrees to with a client like the node's, where it agrees to nothing with this one.
    async fn unspoken_suite(&self, to: SocketAddr) -> Option<&'static str> {
        let deadline = self.deadlines.next();
        let (wire, _) = connect::dial(to, deadline).await.ok()?;
        let layers = match self.proxy {
            None => Layers::Plain(wire),
            Some(proxy) => self.through(proxy, Scheme::Https, wire).await.ok()?.layers,
        };
        let with_former = self
            .node
            .containerd
            .is_none_or(ContainerdRelease::may_offer_former_suites);
        let (tls, host) = (&self.tls, &self.endpoint.host);
        match layers {
            Layers::Plain(mut stream) => {
                tls.unspoken_suite(&mut stream, host, with_former, deadline)
                    .await
            }
            Layers::Tls(mut stream) => {
                tls.unspoken_suite(&mut stream, host, with_former, deadline)
                    .await
            }
            Layers::TlsInTls(_) => None,
        }
    }

    /// After a hello got no answer: whether there is one to the same in small packets, or to a small hello. The
    /// connection of a small hello serves where it is not known which hello the node's client sends.
    async fn with_less(
        &self,
        hello: Hello,
        to: SocketAddr,
    ) -> Result<(Layers, Handshake), TlsFault> {
        const NO_ANSWER: TlsFault = TlsFault::Io(IoFault::Timeout);
        let deadline = Instant::now() + SECOND_HELLO;
        let in_small_packets = async {
            let wire = connect::dial_for_small_packets(to, deadline).await?;
            self.shake_again(hello, wire, deadline).await
        };
        let small = async {
            if hello == Hello::Small {
                return Err(NO_ANSWER);
            }
            let (wire, _) = connect::dial(to, deadline).await?;
            self.shake_again(Hello::Small, wire, deadline).await
        };
        let (in_small_packets, small) = join(in_small_packets, small).await;
        let lost = match (&in_small_packets, &small) {
            (Err(TlsFault::Io(_)), Err(TlsFault::Io(_))) => return Err(NO_ANSWER),
            (Err(TlsFault::Io(_)), _) => Lost::LargeHello,
            _ => Lost::LargePackets,
        };
        match small {
            Ok((stream, shaken)) if self.node.containerd.is_none() => {
                let lost = Some(lost);
                Ok((stream, Handshake { lost, ..shaken }))
            }
            _ => Err(TlsFault::Lost(lost)),
        }
    }

    async fn shake_again(
        &self,
        hello: Hello,
        wire: Wire,
        deadline: Instant,
    ) -> Result<(Layers, Handshake), TlsFault> {
        let host = &self.endpoint.host;
        let (stream, shaken) = self.tls.handshake(hello, wire, host, deadline).await?;
        Ok((Layers::Tls(Box::new(stream)), shaken))
    }
}
