//! What one round saw of one endpoint: lookups, addresses, and the path that the node's client would
//! take.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use super::stage::{Evidence, Fault, FaultRef, StageOutcome};
use crate::{
    stages::{
        resolve::{Lookup, Negative, ResolveFault},
        tls::Handshake,
    },
    words::{
        acr::AcrName,
        endpoint::{Endpoint, Role, Turn},
        reason::{Reason, Stage},
        scope::Expectation,
        throughput::Download,
    },
};

/// No nameserver is asked for a name that cannot be one.
const NOT_ASKED: &ResolveFault = &ResolveFault::NxDomain(Negative {
    chain: Vec::new(),
    soa: None,
});

/// What one round saw of one endpoint.
#[derive(Clone, Debug)]
pub struct EndpointOutcome {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// When the node's client asks the host that led here.
    pub turn: Turn,
    /// Whether the client may ask that host what a tag means; another host has to, else.
    pub resolves: bool,
    /// The proxy on the way, as the node names it; never its credentials.
    pub proxy: Option<String>,
    /// The host whose name was looked up: the endpoint's, or its proxy's.
    pub dialled: Arc<str>,
    /// Addresses that the hosts file pins the name to.
    pub pinned: Vec<IpAddr>,
    /// Addresses that the node's own DNS cache pins the name to.
    pub pinned_in_cache: Vec<IpAddr>,
    /// What every nameserver answered, in the order in which the node would ask them.
    pub lookups: Vec<Lookup>,
    /// Every distinct address, in the order in which it was found.
    pub addresses: Vec<AddressOutcome>,
    /// What the node's own client would meet.
    pub path: PullPath,
}

impl EndpointOutcome {
    /// An outcome for `endpoint` with nothing but its `path`, in the first turn.
    pub fn new(endpoint: Endpoint, path: PullPath) -> Self {
        Self {
            turn: Turn::FIRST,
            resolves: true,
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

    /// How fast a layer came, where that was measured.
    pub fn download(&self) -> Option<Download> {
        let mut stages = self.on_path()?.stages.iter();
        stages.find_map(|outcome| match outcome.result {
            Ok(Evidence::Blob(_, download)) => download,
            _ => None,
        })
    }

    /// The time that a pull needs to get a connection here: the lookup that it relies on, the dial, the
    /// proxy and the handshake. `None` if it gets none.
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
        Some(took + lookup.map_or(Duration::ZERO, |lookup| lookup.took()))
    }

    /// Where the addresses should be, given the expectation for the registry. Nothing is expected of a
    /// mirror, a token service or a proxy.
    pub fn expectation<'a>(&self, of_registry: &'a Expectation) -> &'a Expectation {
        match self.endpoint.role {
            Role::Login | Role::Data if self.proxy.is_none() => of_registry,
            _ => &Expectation::Any,
        }
    }

    /// The lookups of the host's own name, without those of the search list.
    pub fn lookups_of_host(&self) -> impl Iterator<Item = &Lookup> {
        let lookups = self.lookups.iter();
        lookups.filter(|lookup| *lookup.name == *self.endpoint.host)
    }

    /// The answer of each nameserver that counts: the addresses that it has for any of the names tried,
    /// or else what it says of the name itself.
    pub fn answers(&self) -> impl Iterator<Item = &Lookup> {
        let first_of_server = |(at, lookup): &(usize, &Lookup)| {
            let mut before = self.lookups[..*at].iter();
            before.all(|before| before.nameserver != lookup.nameserver)
        };
        let servers = self.lookups.iter().enumerate().filter(first_of_server);
        servers.map(|(_, first)| {
            let is_of_server = |lookup: &&Lookup| lookup.nameserver == first.nameserver;
            let of_server = || self.lookups.iter().filter(is_of_server);
            let found = of_server().find(|lookup| lookup.addresses().next().is_some());
            let own = || of_server().find(|lookup| lookup.name == self.dialled);
            found.or_else(own).unwrap_or(first)
        })
    }

    /// The address at which a pull would fail.
    pub fn failed_address(&self) -> Option<IpAddr> {
        let path = self.path.address();
        path.or_else(|| self.stopped_at().map(|seen| seen.address))
    }

    /// Whether the node's client would get this address, and not only others that were asked.
    pub(crate) fn offers(&self, address: IpAddr) -> bool {
        let by_lookup = |lookup: &Lookup| {
            Some(lookup.nameserver.address) == self.path.nameserver()
                && lookup.addresses().any(|named| named == address)
        };
        self.pinned.contains(&address)
            || self.dialled.parse() == Ok(address)
            || self.lookups.iter().any(by_lookup)
    }

    /// The address that stops a pull for which none works. What this node itself prevents comes first: its client may
    /// be allowed to.
    fn stopped_at(&self) -> Option<&AddressOutcome> {
        let failed = || self.offered().filter(|seen| seen.failure().is_some());
        let is_local = |seen: &&AddressOutcome| {
            seen.failure()
                .is_some_and(|(_, fault)| fault.reason() == Reason::Local)
        };
        failed().find(is_local).or_else(|| failed().next())
    }

    fn offered(&self) -> impl Iterator<Item = &AddressOutcome> {
        let seen = self.addresses.iter();
        seen.filter(|seen| self.offers(seen.address))
    }

    /// The image or blob at which a pull would fail.
    pub fn failed_subject(&self) -> Option<&str> {
        let mut stages = self.on_path()?.stages.iter();
        let failed = stages.find(|stage| stage.result.is_err() && !stage.optional)?;
        failed.subject.as_deref()
    }

    /// The stages that a pull would pass before it fails, with their times.
    pub fn passed_stages(&self) -> String {
        let address = self.failed_address();
        let seen = self
            .addresses
            .iter()
            .find(|seen| Some(seen.address) == address);
        let stages = seen.map_or(&[][..], |seen| &seen.stages);
        let passed = stages.iter().take_while(|stage| stage.result.is_ok());
        let texts = passed.map(|passed| {
            let milliseconds = passed.took.as_secs_f64() * 1000.0;
            format!("{} {milliseconds:.1} ms", passed.stage)
        });
        texts.collect::<Vec<_>>().join(", ")
    }

    /// Why none of the node's own nameservers was asked, if one should have been: Go asks for no such name.
    pub fn no_lookup(&self) -> Option<&'static ResolveFault> {
        let needs_one = !matches!(self.path, PullPath::Blocked { .. })
            && self.dialled.parse::<IpAddr>().is_err()
            && self.pinned.is_empty();
        let of_config = |lookup: &Lookup| !lookup.nameserver.origin.is_of_node();
        (needs_one && self.lookups.iter().all(of_config)).then_some(NOT_ASKED)
    }

    /// How the answer to `/v2/` fails, if it does.
    pub(super) fn challenge_fault(&self) -> Option<Reason> {
        let challenge = self.stage(Stage::Challenge)?;
        challenge.result.as_ref().err().map(Fault::reason)
    }

    /// Whether the answer to `/v2/` fails in a way that says nothing of pulls. Azure's registries answer it as the
    /// specification has it, so there it does say something.
    pub(super) fn challenge_proves_nothing(&self) -> bool {
        let challenge = self.stage(Stage::Challenge);
        let fault = challenge.and_then(|challenge| challenge.result.as_ref().err());
        AcrName::parse(&self.endpoint.host).is_none()
            && matches!(fault, Some(Fault::Http(fault)) if fault.proves_nothing())
    }

    /// Notes that a pull works without what was asked of `/v2/`.
    pub(super) fn make_challenge_optional(&mut self) {
        let stages = self
            .addresses
            .iter_mut()
            .flat_map(|address| &mut address.stages);
        let challenges = stages.filter(|stage| stage.stage == Stage::Challenge);
        challenges.for_each(|challenge| challenge.optional = true);
    }

    /// The address to which a connection comes about, if one does.
    pub(super) fn reached(&self) -> Option<IpAddr> {
        let fails = self.failure().is_some_and(|(stage, _)| !stage.is_http());
        self.path.address().filter(|_| !fails)
    }

    /// Whether the answer that the client uses still leads to `earlier`, which was [`Self::reached`], and a connection
    /// still comes about. If none did, whether none does.
    pub(super) fn still_reaches(&self, earlier: Option<IpAddr>) -> bool {
        let reaches = self.reached().is_some();
        earlier.map_or(!reaches, |earlier| reaches && self.leads_to(earlier))
    }

    fn leads_to(&self, address: IpAddr) -> bool {
        let used = self.path.nameserver();
        let is_used = |lookup: &&Lookup| Some(lookup.nameserver.address) == used;
        let mut answers = self.lookups.iter().filter(is_used);
        self.path.address() == Some(address)
            || answers.any(|answer| answer.addresses().any(|found| found == address))
    }

    /// Whether the name still leads to where it led `before`, and a connection there still comes about.
    pub(super) fn leads_where(&self, before: &Self) -> bool {
        self.still_reaches(before.reached())
    }

    /// Requests that were not due this time still hold, as long as the path to them does and the
    /// name still leads to where they went.
    pub(super) fn take_over_requests(&mut self, before: &Self) {
        let Some(earlier) = before.on_path().filter(|_| self.leads_where(before)) else {
            return;
        };
        let path = self.path.address();
        let mut addresses = self.addresses.iter_mut();
        let on_path = addresses.find(|seen| Some(seen.address) == path);
        let Some(seen) = on_path.filter(|seen| seen.failure().is_none()) else {
            return;
        };
        let asked: Vec<_> = seen.stages.iter().map(|stage| stage.stage).collect();
        let not_due =
            |stage: &&StageOutcome| stage.stage.is_http() && !asked.contains(&stage.stage);
        seen.stages
            .extend(earlier.stages.iter().filter(not_due).cloned());
    }

    /// Why there is no address to use: none was found, or none accepted a connection.
    fn unreached(&self) -> (Stage, FaultRef<'_>) {
        let from_node = |lookup: &&Lookup| lookup.nameserver.origin.is_of_node();
        let dialled = self.stopped_at().and_then(AddressOutcome::failure);
        let unresolved = || {
            let own = || self.lookups.iter().filter(from_node);
            // An answer is final. What this node itself prevents may be an answer to its client.
            let ends = |fault: &&ResolveFault| {
                fault.negative().is_some() || fault.reason() == Reason::Local
            };
            let ending = own().filter_map(Lookup::fault).find(ends);
            let first = || own().find_map(Lookup::fault);
            ending.or_else(first).unwrap_or(NOT_ASKED)
        };
        dialled.unwrap_or_else(|| (Stage::Resolve, FaultRef::Resolve(unresolved())))
    }
}

/// What the node's own client would meet on its way to one endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PullPath {
    /// It would look up the name and dial.
    Walked {
        /// The address that it would talk to, or what it would print if it gets no connection.
        result: Result<IpAddr, String>,
        /// The nameserver whose answer it would use. `None` without one, with an IP address or with a
        /// pinned name.
        nameserver: Option<SocketAddr>,
        /// The time that it would lose on nameservers and addresses that do not answer; with `rotate`, on average.
        waits: Duration,
        /// Where lookups that start at other nameservers (`rotate`) lead, if not to one of the same addresses.
        elsewhere: Vec<Result<IpAddr, String>>,
    },
    /// A setting of the node leaves no way there, so nothing was looked up or dialled.
    Blocked {
        /// The stage that the setting is for.
        stage: Stage,
        /// What is wrong with it.
        fault: Fault,
    },
}

impl PullPath {
    /// The address that the client would talk to.
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Walked { result, .. } => result.as_ref().ok().copied(),
            Self::Blocked { .. } => None,
        }
    }

    /// The nameserver whose answer the client would use.
    pub fn nameserver(&self) -> Option<SocketAddr> {
        match self {
            Self::Walked { nameserver, .. } => *nameserver,
            Self::Blocked { .. } => None,
        }
    }

    /// What the client would print if it gets no connection; `None` if that is not known.
    pub fn error(&self) -> Option<&str> {
        match self {
            Self::Walked { result, .. } => result.as_ref().err().map(String::as_str),
            Self::Blocked { .. } => None,
        }
    }

    /// Where lookups that start at other nameservers lead, if not to one of the same addresses.
    pub fn elsewhere(&self) -> &[Result<IpAddr, String>] {
        match self {
            Self::Walked { elsewhere, .. } => elsewhere,
            Self::Blocked { .. } => &[],
        }
    }

    /// The time that the client would lose on nameservers and addresses that do not answer.
    pub fn waits(&self) -> Duration {
        match self {
            Self::Walked { waits, .. } => *waits,
            Self::Blocked { .. } => Duration::ZERO,
        }
    }
}

/// What one round saw of one address of an endpoint.
#[derive(Clone, Debug)]
pub struct AddressOutcome {
    /// The address.
    pub address: IpAddr,
    /// The node's own address towards it, by which a client chooses between addresses; `None` without a
    /// route or a choice, and for addresses that no probe may dial.
    pub source: Option<IpAddr>,
    /// In the order in which they ran; a failure is the last.
    pub stages: Vec<StageOutcome>,
}

impl AddressOutcome {
    /// The first stage that failed here.
    pub fn failure(&self) -> Option<(Stage, FaultRef<'_>)> {
        let mut needed = self.stages.iter().filter(|outcome| !outcome.optional);
        needed.find_map(|outcome| {
            let fault = outcome.result.as_ref().err()?;
            Some((outcome.stage, FaultRef::Stage(fault)))
        })
    }
}
