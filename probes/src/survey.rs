//! The survey of one endpoint: every nameserver asked, every distinct address dialled and its TLS
//! checked, all at once. An address is dialled as soon as one nameserver names it, so that a dead
//! nameserver delays nobody.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::{
    net::TcpStream,
    time::{Instant, sleep_until},
};
use tokio_rustls::client::TlsStream;

use crate::{
    connect::{self, Connected},
    endpoint::{Endpoint, Nameserver, Origin, Scheme},
    exchange::{HttpConnection, HttpFault},
    node::Node,
    outcome::{AddressOutcome, EndpointOutcome, Evidence, Fault, StageOutcome},
    pull_path::{self, PullPath},
    reason::Stage,
    resolve::{self, Lookup},
    round::Deadlines,
};

/// More distinct addresses than this are not dialled.
const MAX_ADDRESSES: usize = 32;

/// A survey under way. What is seen so far is always whole.
pub(crate) struct Survey<'a> {
    node: &'a Node,
    endpoint: &'a Endpoint,
    deadlines: Deadlines,
    may_dial: fn(IpAddr) -> bool,
    pinned: Vec<IpAddr>,
    asked: FuturesUnordered<BoxFuture<'a, Vec<Lookup>>>,
    lookups: Vec<Lookup>,
    dialled: FuturesUnordered<BoxFuture<'a, (AddressOutcome, Option<Stream>)>>,
    addresses: Vec<AddressOutcome>,
    open: HashMap<IpAddr, Stream>,
}

impl<'a> Survey<'a> {
    /// Asks and dials all that can be asked and dialled now; only addresses that `may_dial` allows.
    pub(crate) fn start(
        node: &'a Node,
        endpoint: &'a Endpoint,
        deadlines: Deadlines,
        may_dial: fn(IpAddr) -> bool,
    ) -> Self {
        let mut survey = Self {
            node,
            endpoint,
            deadlines,
            may_dial,
            pinned: node.hosts.lookup(&endpoint.host).to_vec(),
            asked: FuturesUnordered::new(),
            lookups: Vec::new(),
            dialled: FuturesUnordered::new(),
            addresses: Vec::new(),
            open: HashMap::new(),
        };
        match endpoint.literal() {
            Some(address) => survey.dial(address),
            None => survey.ask(),
        }
        for address in survey.pinned.clone() {
            survey.dial(address);
        }
        survey
    }

    /// Goes on until the pull path is known: all is seen, or `patience` is over and some address
    /// is usable. Returns the connection on that path.
    pub(crate) async fn usable(&mut self, patience: Instant) -> Option<(IpAddr, Stream)> {
        let mut patient = true;
        while self.is_pending() && (patient || self.path().address.is_none()) {
            tokio::select! {
                () = self.step() => {}
                () = sleep_until(patience), if patient => patient = false,
            }
        }
        let address = self.path().address?;
        Some((address, self.open.remove(&address)?))
    }

    /// Goes on until all is seen.
    pub(crate) async fn finish(&mut self) {
        while self.is_pending() {
            self.step().await;
        }
    }

    /// What was seen; `asked_over` is the address that HTTP went over, with its stages.
    pub(crate) fn outcome(mut self, over: Option<(IpAddr, Vec<StageOutcome>)>) -> EndpointOutcome {
        let path = self.path();
        if let Some((used, stages)) = over
            && let Some(address) = self.addresses.iter_mut().find(|seen| seen.address == used)
        {
            address.stages.extend(stages);
        }
        let place = |lookup: &Lookup| {
            self.node.nameservers.iter().position(|asked| *asked == lookup.nameserver)
        };
        self.lookups.sort_by_key(place);
        EndpointOutcome {
            endpoint: self.endpoint.clone(),
            pinned: self.pinned,
            lookups: self.lookups,
            addresses: self.addresses,
            path,
        }
    }

    fn ask(&mut self) {
        let node = self.node;
        for nameserver in &node.nameservers {
            let host = self.endpoint.host.clone();
            self.asked.push(Box::pin(async move { ask(node, nameserver, &host).await }));
        }
    }

    fn dial(&mut self, address: IpAddr) {
        let known = self.addresses.iter().any(|seen| seen.address == address);
        if known || self.addresses.len() >= MAX_ADDRESSES {
            return;
        }
        if !(self.may_dial)(address) {
            let why = "a probe is not led to this node, its link or a metadata service";
            let fault = Fault::Http(HttpFault::redirect_denied(&address.to_string(), why));
            let denied = StageOutcome {
                stage: Stage::Token,
                took: Duration::ZERO,
                result: Err(fault),
            };
            self.addresses.push(AddressOutcome { address, source: None, stages: vec![denied] });
            return;
        }
        let source = connect::source_towards(SocketAddr::new(address, self.endpoint.port));
        self.addresses.push(AddressOutcome { address, source, stages: Vec::new() });
        let (node, endpoint, deadlines) = (self.node, self.endpoint, self.deadlines);
        self.dialled.push(Box::pin(async move {
            let mut stages = Vec::with_capacity(4);
            let stream = dial(node, endpoint, address, deadlines, &mut stages).await;
            (AddressOutcome { address, source, stages }, stream)
        }));
    }

    fn is_pending(&self) -> bool {
        !self.asked.is_empty() || !self.dialled.is_empty()
    }

    async fn step(&mut self) {
        tokio::select! {
            Some(lookups) = self.asked.next(), if !self.asked.is_empty() => {
                let found: Vec<_> = lookups.iter().flat_map(Lookup::addresses).collect();
                self.lookups.extend(lookups);
                found.into_iter().for_each(|address| self.dial(address));
            }
            Some((outcome, stream)) = self.dialled.next(), if !self.dialled.is_empty() => {
                if let Some(stream) = stream {
                    self.open.insert(outcome.address, stream);
                }
                let place = self.addresses.iter_mut().find(|seen| seen.address == outcome.address);
                if let Some(place) = place {
                    *place = outcome;
                }
            }
            else => {}
        }
    }

    fn path(&self) -> PullPath {
        pull_path::walk(self.node, self.endpoint, &self.lookups, &self.addresses)
    }
}

/// The node's own nameservers are asked the names that its client would try, until one exists;
/// the others only the name itself.
async fn ask(node: &Node, nameserver: &Arc<Nameserver>, host: &str) -> Vec<Lookup> {
    let names = match nameserver.origin {
        Origin::Node => node.resolv_conf.names(host),
        Origin::Config => vec![host.to_owned()],
    };
    let mut lookups = Vec::new();
    for name in names {
        let lookup =
            resolve::lookup(nameserver, name.trim_end_matches('.'), node.question_limit).await;
        let goes_on = lookup
            .fault()
            .is_some_and(|fault| fault.negative().is_some());
        lookups.push(lookup);
        if !goes_on {
            break;
        }
    }
    lookups
}

/// Connect, then TLS where the endpoint speaks it; each stage is recorded with its own time.
pub(crate) async fn dial(
    node: &Node,
    endpoint: &Endpoint,
    address: IpAddr,
    deadlines: Deadlines,
    stages: &mut Vec<StageOutcome>,
) -> Option<Stream> {
    let start = Instant::now();
    let dialled = connect::dial(SocketAddr::new(address, endpoint.port), deadlines.next()).await;
    let took = start.elapsed();
    let (result, stream) = match dialled {
        Ok((stream, connected)) => (Ok(Evidence::Connect(connected)), Some(stream)),
        Err(fault) => (Err(Fault::Connect(fault)), None),
    };
    stages.push(StageOutcome {
        stage: Stage::Connect,
        took,
        result,
    });
    if endpoint.scheme == Scheme::Http {
        return stream.map(Stream::Plain);
    }

    let start = Instant::now();
    let shaken = node
        .tls
        .handshake(stream?, &endpoint.host, deadlines.next())
        .await;
    let took = start.elapsed();
    let (result, stream) = match shaken {
        Ok((stream, handshake)) => (Ok(Evidence::Tls(Box::new(handshake))), Some(stream)),
        Err(fault) => (Err(Fault::Tls(Box::new(fault))), None),
    };
    // Segments lost during the handshake count as the connection's.
    if let (Some(connect), Some(stream)) = (stages.first_mut(), &stream)
        && let Ok(Evidence::Connect(connected)) = &mut connect.result
    {
        connected.retransmits = Connected::of(stream.get_ref().0).retransmits;
    }
    stages.push(StageOutcome {
        stage: Stage::Tls,
        took,
        result,
    });
    stream.map(Box::new).map(Stream::Tls)
}

/// An open connection, ready for HTTP.
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    pub(crate) async fn into_http(self, endpoint: &Endpoint) -> Result<HttpConnection, HttpFault> {
        let authority = endpoint.authority();
        match self {
            Self::Plain(stream) => HttpConnection::open(stream, authority).await,
            Self::Tls(stream) => HttpConnection::open(stream, authority).await,
        }
    }
}
