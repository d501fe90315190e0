//! What one round saw of one endpoint: lookups, addresses, and the path that the node's client would take.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use super::stage::{Evidence, Fault, FaultRef, StageOutcome};
use crate::{
    stages::{
        resolve::{Lookup, ResolveFault},
        tls::Handshake,
    },
    words::{
        endpoint::{Endpoint, Origin, Role, Turn},
        reason::Stage,
        scope::Expectation,
    },
};

/// One round over one endpoint.
#[derive(Clone, Debug)]
pub struct EndpointOutcome {
    /// Which.
    pub endpoint: Endpoint,
    /// When the node's client asks the host that led here.
    pub turn: Turn,
    /// The proxy in between, as the node names it; never its credentials.
    pub proxy: Option<String>,
    /// The host whose name was looked up: the endpoint's, or its proxy's.
    pub dialled: Arc<str>,
    /// Addresses that the hosts file pins the name to.
    pub pinned: Vec<IpAddr>,
    /// Addresses that the node's own DNS cache pins the name to.
    pub pinned_in_cache: Vec<IpAddr>,
    /// What every nameserver said, in the order in which the node would ask them.
    pub lookups: Vec<Lookup>,
    /// Every distinct address, in the order in which it was found.
    pub addresses: Vec<AddressOutcome>,
    /// What the node's own client would meet.
    pub path: PullPath,
}

impl EndpointOutcome {
    /// What was seen of `endpoint`, asked first, where that is no more than `path`.
    pub fn new(endpoint: Endpoint, path: PullPath) -> Self {
        Self {
            turn: Turn::FIRST,
            proxy: None,
            dialled: endpoint.host.clone(),
            pinned: Vec::new(),
            pinned_in_cache: Vec::new(),
            lookups: Vec::new(),
            addresses: Vec::new(),
            path,
            endpoint,
        }
    }

    /// The address on the pull path.
    pub fn on_path(&self) -> Option<&AddressOutcome> {
        self.addresses
            .iter()
            .find(|outcome| Some(outcome.address) == self.path.address())
    }

    /// The first failure that a pull would meet here, if it would meet one.
    pub fn failure(&self) -> Option<(Stage, FaultRef<'_>)> {
        match (&self.path, self.on_path()) {
            (PullPath::Blocked { stage, fault }, _) => Some((*stage, FaultRef::Stage(fault))),
            (_, Some(address)) => address.failure(),
            (_, None) => Some(self.unreached()),
        }
    }

    /// Whether a pull would get through here.
    pub fn is_up(&self) -> bool {
        self.failure().is_none()
    }

    /// The outcome of a stage on the pull path.
    pub fn stage(&self, stage: Stage) -> Option<&StageOutcome> {
        self.on_path()?
            .stages
            .iter()
            .find(|outcome| outcome.stage == stage)
    }

    /// The evidence of a stage that succeeded on the pull path.
    pub fn evidence(&self, stage: Stage) -> Option<&Evidence> {
        self.stage(stage)?.result.as_ref().ok()
    }

    /// The handshake on the pull path.
    pub fn handshake(&self) -> Option<&Handshake> {
        match self.evidence(Stage::Tls)? {
            Evidence::Tls(handshake) => Some(handshake),
            _ => None,
        }
    }

    /// What a pull needs to get a connection here: the lookup that it goes by, the dial, the proxy and
    /// the handshake. `None` where it gets none.
    pub fn time_to_connection(&self) -> Option<Duration> {
        let stages = self.on_path()?.stages.iter();
        let network = stages.filter(|outcome| !outcome.stage.is_http());
        let took = network.map(|outcome| outcome.result.is_ok().then_some(outcome.took));
        let asked = |lookup: &&Lookup| {
            Some(lookup.nameserver.address) == self.path.nameserver()
                && lookup.addresses().next().is_some()
        };
        let lookup = self.lookups.iter().find(asked);
        let took = took.sum::<Option<Duration>>()?;
        Some(took + lookup.map_or(Duration::ZERO, |lookup| lookup.took))
    }

    /// Where the addresses should be, given what is expected of the registry's: of a mirror's or a
    /// token service's, or of a proxy's, nothing is.
    pub fn expectation<'a>(&self, of_registry: &'a Expectation) -> &'a Expectation {
        match self.endpoint.role {
            Role::Login | Role::Data if self.proxy.is_none() => of_registry,
            _ => &Expectation::Any,
        }
    }

    /// The lookups of the host's own name, without those by the search list.
    pub fn lookups_of_host(&self) -> impl Iterator<Item = &Lookup> {
        self.lookups
            .iter()
            .filter(|lookup| *lookup.name == *self.endpoint.host)
    }

    /// What each nameserver says in the end: the addresses that it has for any of the names tried,
    /// else what it says of the name itself.
    pub fn answers(&self) -> impl Iterator<Item = &Lookup> {
        let first_of_server = |(at, lookup): &(usize, &Lookup)| {
            self.lookups[..*at]
                .iter()
                .all(|before| before.nameserver != lookup.nameserver)
        };
        let servers = self.lookups.iter().enumerate().filter(first_of_server);
        servers.map(|(_, first)| {
            let of_server = || {
                self.lookups
                    .iter()
                    .filter(|lookup| lookup.nameserver == first.nameserver)
            };
            let found = of_server().find(|lookup| lookup.addresses().next().is_some());
            let own = || of_server().find(|lookup| lookup.name == self.dialled);
            found.or_else(own).unwrap_or(first)
        })
    }

    /// The address at which a pull would fail.
    pub fn failed_address(&self) -> Option<IpAddr> {
        let failed = || self.offered().find(|seen| seen.failure().is_some());
        self.path
            .address()
            .or_else(|| failed().map(|seen| seen.address))
    }

    /// Whether the node's client would be given this address, and not only somebody else.
    pub(crate) fn offers(&self, address: IpAddr) -> bool {
        let by_lookup = |lookup: &Lookup| {
            Some(lookup.nameserver.address) == self.path.nameserver()
                && lookup.addresses().any(|named| named == address)
        };
        self.pinned.contains(&address)
            || self.dialled.parse() == Ok(address)
            || self.lookups.iter().any(by_lookup)
    }

    fn offered(&self) -> impl Iterator<Item = &AddressOutcome> {
        self.addresses
            .iter()
            .filter(|seen| self.offers(seen.address))
    }

    /// The image or blob at which a pull would fail.
    pub fn failed_subject(&self) -> Option<&str> {
        let failed = |stage: &&StageOutcome| stage.result.is_err();
        self.on_path()?
            .stages
            .iter()
            .find(failed)?
            .subject
            .as_deref()
    }

    /// The stages that a pull would get through before it fails, with their times.
    pub fn passed_stages(&self) -> String {
        let address = self
            .addresses
            .iter()
            .find(|seen| Some(seen.address) == self.failed_address());
        let stages = address.map_or(&[][..], |seen| &seen.stages);
        let passed = stages.iter().take_while(|stage| stage.result.is_ok());
        let texts = passed.map(|stage| {
            format!(
                "{} {:.1} ms",
                stage.stage,
                stage.took.as_secs_f64() * 1000.0
            )
        });
        texts.collect::<Vec<_>>().join(", ")
    }

    /// Why no nameserver of the node's own was asked, where one should have been.
    pub fn no_lookup(&self) -> Option<&'static ResolveFault> {
        let needs_one = !matches!(self.path, PullPath::Blocked { .. })
            && self.dialled.parse::<IpAddr>().is_err()
            && self.pinned.is_empty();
        let of_config = |lookup: &Lookup| lookup.nameserver.origin == Origin::Config;
        (needs_one && self.lookups.iter().all(of_config)).then_some(&ResolveFault::NoNameserver)
    }

    /// Requests that were not due this time still hold, as long as the path to them does and the
    /// name still leads to where they went.
    pub(super) fn take_over_requests(&mut self, before: &Self) {
        let still_there = |earlier: &&AddressOutcome| {
            self.addresses
                .iter()
                .any(|seen| seen.address == earlier.address)
        };
        let Some(earlier) = before.on_path().filter(still_there) else {
            return;
        };
        let path = self.path.address();
        let on_path = self
            .addresses
            .iter_mut()
            .find(|seen| Some(seen.address) == path);
        let Some(seen) = on_path.filter(|seen| seen.failure().is_none()) else {
            return;
        };
        for stage in &earlier.stages {
            if stage.stage.is_http() && seen.stages.iter().all(|seen| seen.stage != stage.stage) {
                seen.stages.push(stage.clone());
            }
        }
    }

    /// Why there is no address to use: none was found, or none could be dialled.
    fn unreached(&self) -> (Stage, FaultRef<'_>) {
        let from_node = |lookup: &&Lookup| lookup.nameserver.origin == Origin::Node;
        let dialled = self.offered().find_map(AddressOutcome::failure);
        let unresolved = || {
            let lookups = || {
                self.lookups
                    .iter()
                    .filter(from_node)
                    .filter_map(Lookup::fault)
            };
            let told = lookups().find(|fault| fault.negative().is_some());
            told.or_else(|| lookups().next())
                .unwrap_or(&ResolveFault::NoNameserver)
        };
        dialled.unwrap_or_else(|| (Stage::Resolve, FaultRef::Resolve(unresolved())))
    }
}

/// What the node's own client would meet on its way to one endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PullPath {
    /// A connection.
    Connected {
        /// The address that the client would talk to.
        address: IpAddr,
        /// The nameserver whose answer it would use; `None` for an IP address or a pinned name.
        nameserver: Option<SocketAddr>,
        /// What it would lose on nameservers and addresses that give no answer.
        waits: Duration,
    },
    /// No address, or none that takes a connection.
    Failed {
        /// What the client would print.
        error: String,
        /// The nameserver whose answer it would use, where it gets one.
        nameserver: Option<SocketAddr>,
        /// What it would lose on nameservers and addresses that give no answer.
        waits: Duration,
    },
    /// The node's own settings leave no way there, so nothing was looked up or dialled.
    Blocked {
        /// The stage that they are for.
        stage: Stage,
        /// What is wrong with them.
        fault: Fault,
    },
}

impl PullPath {
    /// The address that the client would talk to.
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Connected { address, .. } => Some(*address),
            Self::Failed { .. } | Self::Blocked { .. } => None,
        }
    }

    /// The nameserver whose answer the client would use; `None` for an IP address or a pinned name.
    pub fn nameserver(&self) -> Option<SocketAddr> {
        match self {
            Self::Connected { nameserver, .. } | Self::Failed { nameserver, .. } => *nameserver,
            Self::Blocked { .. } => None,
        }
    }

    /// What the client would print, where it gets no connection and that is known.
    pub fn error(&self) -> Option<&str> {
        match self {
            Self::Failed { error, .. } => Some(error),
            Self::Connected { .. } | Self::Blocked { .. } => None,
        }
    }

    /// What the client would lose on nameservers and addresses that give no answer.
    pub fn waits(&self) -> Duration {
        match self {
            Self::Connected { waits, .. } | Self::Failed { waits, .. } => *waits,
            Self::Blocked { .. } => Duration::ZERO,
        }
    }
}

/// One round over one address of an endpoint.
#[derive(Clone, Debug)]
pub struct AddressOutcome {
    /// Which.
    pub address: IpAddr,
    /// The node's own address towards it, by which a client with a choice of addresses chooses; `None`
    /// without a route or a choice, and where no probe may go.
    pub source: Option<IpAddr>,
    /// In the order in which they ran; nothing comes after a failure.
    pub stages: Vec<StageOutcome>,
}

impl AddressOutcome {
    /// The first stage that failed here.
    pub fn failure(&self) -> Option<(Stage, FaultRef<'_>)> {
        self.stages.iter().find_map(|outcome| {
            let fault = outcome.result.as_ref().err()?;
            Some((outcome.stage, FaultRef::Stage(fault)))
        })
    }
}
