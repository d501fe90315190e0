//! The survey of one endpoint: every nameserver asked, every distinct address dialled and its TLS
//! checked, all at the same time. An address is dialled as soon as one nameserver names it, so a dead
//! nameserver delays nothing.

use std::{collections::HashMap, net::IpAddr, sync::Arc, time::Duration};

use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::time::{Instant, sleep_until};

use crate::{
    client::lookup_error::LookupFault,
    net::off_limits::source_towards,
    node::Node,
    outcome::{AddressOutcome, EndpointOutcome, Fault, PullPath, StageOutcome},
    round::{deadlines::Deadlines, progress::StageEnd, stream::Stream, visit::Visit},
    stages::{
        http::fault::HttpFault,
        resolve::{self, HowToAsk, Lookup},
    },
    words::endpoint::{Nameserver, Origin},
};

/// More distinct addresses than this are not dialled.
const MAX_ADDRESSES: usize = 32;

/// Bytes of an answer over TCP: some 500 addresses. Reading 64 KiB of them would block the thread of
/// all probes.
const MAX_ANSWER: u16 = 8 * 1024;

/// A survey in progress. What it has seen so far is always consistent.
pub(crate) struct Survey<'a> {
    visit: Visit<'a>,
    pinned: Vec<IpAddr>,
    asked: FuturesUnordered<BoxFuture<'a, Vec<Lookup>>>,
    lookups: Vec<Lookup>,
    dialled: FuturesUnordered<BoxFuture<'a, Dialled>>,
    addresses: Vec<AddressOutcome>,
    open: HashMap<IpAddr, Stream>,
    /// The pull path according to what is seen so far, once it was needed.
    path: Option<PullPath>,
}

/// What dialling an address led to.
struct Dialled {
    address: IpAddr,
    stages: Vec<StageOutcome>,
    stream: Option<Stream>,
}

impl<'a> Survey<'a> {
    /// Asks every nameserver and dials every address that is known already.
    pub(crate) fn start(visit: Visit<'a>) -> Self {
        let mut survey = Self {
            pinned: visit.node.hosts.lookup(visit.dial_host()).to_vec(),
            visit,
            asked: FuturesUnordered::new(),
            lookups: Vec::new(),
            dialled: FuturesUnordered::new(),
            addresses: Vec::new(),
            open: HashMap::new(),
            path: None,
        };
        match survey.visit.dial_host().parse() {
            Ok(address) => survey.dial(address),
            // No nameserver has to know it.
            Err(_) if survey.visit.dial_host() == "localhost" && !survey.pinned.is_empty() => {}
            Err(_) => survey.ask(),
        }
        for address in survey.pinned.clone() {
            survey.dial(address);
        }
        survey
    }

    /// Continues until the pull path is known: everything is seen, or `patience` is over and some
    /// address is usable. Returns the connection on that path.
    pub(crate) async fn usable(&mut self, patience: Instant) -> Option<(IpAddr, Stream)> {
        let mut patient = true;
        while self.is_pending() && (patient || self.path().address().is_none()) {
            tokio::select! {
                () = self.step() => {}
                () = sleep_until(patience), if patient => patient = false,
            }
        }
        let address = self.path().address()?;
        Some((address, self.open.remove(&address)?))
    }

    /// Continues until everything is seen.
    pub(crate) async fn finish(&mut self) {
        while self.is_pending() {
            self.step().await;
        }
    }

    /// What was seen so far.
    pub(crate) fn seen(&mut self) -> EndpointOutcome {
        EndpointOutcome {
            lookups: self.lookups.clone(),
            addresses: self.addresses.clone(),
            proxy: self.visit.proxy.map(ToString::to_string),
            dialled: self.visit.dial_host().into(),
            pinned: self.pinned.clone(),
            ..EndpointOutcome::new(self.visit.endpoint.clone(), self.path().clone())
        }
    }

    /// What was seen; `over` is the address that the requests used, with their stages.
    pub(crate) fn outcome(mut self, over: Option<(IpAddr, Vec<StageOutcome>)>) -> EndpointOutcome {
        let path = self.path().clone();
        if let Some((used, stages)) = over
            && let Some(address) = self.addresses.iter_mut().find(|seen| seen.address == used)
        {
            address.stages.extend(stages);
        }
        let Visit { node, .. } = self.visit;
        self.lookups.sort_by_key(|lookup| {
            let mut nameservers = node.nameservers.iter();
            nameservers.position(|asked| *asked == lookup.nameserver)
        });
        let dialled = self.visit.dial_host();
        EndpointOutcome {
            endpoint: self.visit.endpoint.clone(),
            turn: self.visit.turn,
            resolves: self.visit.resolves,
            proxy: self.visit.proxy.map(ToString::to_string),
            dialled: dialled.into(),
            pinned: self.pinned,
            pinned_in_cache: node.localdns_hosts.lookup(dialled).to_vec(),
            lookups: self.lookups,
            addresses: self.addresses,
            path,
        }
    }

    fn ask(&mut self) {
        let (node, deadlines) = (self.visit.node, self.visit.deadlines);
        let host: Arc<str> = self.visit.dial_host().into();
        // Nobody named those of Go's default, and for a pinned name it does not ask them.
        let is_of_interest = |nameserver: &&Arc<Nameserver>| {
            nameserver.origin != Origin::Default || self.pinned.is_empty()
        };
        for nameserver in node.nameservers.iter().filter(is_of_interest) {
            let host = host.clone();
            self.asked.push(Box::pin(async move {
                ask(node, deadlines, nameserver, &host).await
            }));
        }
    }

    fn dial(&mut self, address: IpAddr) {
        let known = self.addresses.iter().any(|seen| seen.address == address);
        if known || self.addresses.len() >= MAX_ADDRESSES {
            return;
        }
        let denied = self.denied(address).map(|to| {
            let why = "a probe does not go to this node, its link or a metadata service";
            let fault = Fault::Http(HttpFault::not_followed(&to.to_string(), why));
            StageOutcome::new(self.visit.last_stage(), Duration::ZERO, Err(fault))
        });
        let is_denied = denied.is_some();
        denied.iter().for_each(|denied| self.visit.report(denied));
        self.addresses.push(AddressOutcome {
            address,
            source: None,
            stages: denied.into_iter().collect(),
        });
        // The second address makes a choice, and then the first one needs a source too.
        match self.addresses.len() {
            0 | 1 => {}
            2 => (0..2).for_each(|place| self.find_source(place)),
            count => self.find_source(count - 1),
        }
        if is_denied {
            return;
        }
        let visit = self.visit.clone();
        self.dialled.push(Box::pin(async move {
            let mut stages = Vec::with_capacity(5);
            let stream = visit.dial(address, &mut stages).await;
            Dialled {
                address,
                stages,
                stream,
            }
        }));
    }

    /// Where `address` leads, if no probe may go there.
    fn denied(&self, address: IpAddr) -> Option<IpAddr> {
        let leads_to = self.visit.leads_to(address);
        leads_to.filter(|to| !(self.visit.may_dial)(*to))
    }

    fn find_source(&mut self, place: usize) {
        let address = self.addresses[place].address;
        if self.denied(address).is_none() {
            let to = self.visit.dial_address(address);
            self.addresses[place].source = source_towards(to);
        }
    }

    fn is_pending(&self) -> bool {
        !self.asked.is_empty() || !self.dialled.is_empty()
    }

    async fn step(&mut self) {
        self.path = None;
        tokio::select! {
            Some(lookups) = self.asked.next(), if !self.asked.is_empty() => {
                // Names of the search list come before it.
                if let Some(last) = lookups.last() {
                    (self.visit.on_stage_end)(StageEnd::lookup(self.visit.endpoint, last));
                }
                let found: Vec<_> = lookups.iter().flat_map(Lookup::addresses).collect();
                self.lookups.extend(lookups);
                found.into_iter().for_each(|address| self.dial(address));
            }
            Some(Dialled { address, stages, stream }) = self.dialled.next(),
                if !self.dialled.is_empty() =>
            {
                if let Some(stream) = stream {
                    self.open.insert(address, stream);
                }
                let seen = self.addresses.iter_mut().find(|seen| seen.address == address);
                if let Some(seen) = seen {
                    seen.stages = stages;
                }
            }
            else => {}
        }
    }

    fn path(&mut self) -> &PullPath {
        self.path.get_or_insert_with(|| {
            self.visit
                .node_client()
                .pull_path(&self.lookups, &self.addresses)
        })
    }
}

/// Asks a nameserver. The node's own are asked for the names that its client would try, until one
/// has addresses or gets no answer; the others only for the name itself.
async fn ask(
    node: &Node,
    deadlines: Deadlines,
    nameserver: &Arc<Nameserver>,
    host: &str,
) -> Vec<Lookup> {
    let is_nodes_own = nameserver.origin.is_of_node();
    let names = match is_nodes_own {
        true => node.resolv_conf.names(host),
        false => vec![host.to_owned()],
    };
    let mut lookups = Vec::new();
    for name in names {
        let name = name.trim_end_matches('.');
        let how = HowToAsk {
            limit: deadlines.left(node.question_limit),
            max_bytes: MAX_ANSWER,
            only_over_tcp: is_nodes_own && node.resolv_conf.use_vc,
        };
        let lookup = resolve::lookup(nameserver, name, how).await;
        let faults = [&lookup.a, &lookup.aaaa].map(|result| result.as_ref().err());
        let is_silence = |fault| LookupFault::of(fault) == LookupFault::Timeout;
        let goes_on = faults
            .iter()
            .all(|fault| fault.is_some_and(|fault| !is_silence(fault)));
        lookups.push(lookup);
        if !goes_on {
            break;
        }
    }
    lookups
}
