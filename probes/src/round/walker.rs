//! The walks of a round: one for each configured image, one after another, by the rules of the node's client.
//! Requests go to lanes, one for each endpoint and trust; the round runs them, and surveys meanwhile.

use std::{net::IpAddr, sync::OnceLock, time::Duration};

use hyper::{Method, header::LOCATION};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep},
};

use self::followed::not_followed;
use crate::{
    client::{
        containerd::{self, Content, FaultKind, Transport, WalkReply},
        pull_hosts::{PullHost, PullHosts},
    },
    net::off_limits::led_from,
    node::{ContainerdRelease, registry_host::HostClient},
    outcome::{Asked, OfIdentity, Walk, WalkEnd},
    round::{
        identity::{HeldCredential, IdentityAnswer},
        offers::{By, Tries, Wallet},
        walk_request::stage_of,
    },
    stages::http::fault::HttpFault,
    words::{
        endpoint::{Endpoint, Role, Turn},
        platform::Platform,
        target::{Image, Target},
        throughput::Throughput,
    },
};

mod followed;
mod tries;

/// Endpoints that a round is led to by walks.
const MAX_OPENED: usize = 32;

/// What a lane is told.
pub(super) enum Order {
    /// To send a request, and what came back.
    Send(Box<containerd::WalkRequest>, oneshot::Sender<Heard>),
    /// That the client cannot use the last answer, or does not go where it leads for this.
    Blame(Option<Content>, HttpFault),
    /// To get what the node's credential provider would.
    Identify(oneshot::Sender<IdentityAnswer>),
}

/// What came back, and how long after the request was sent over its connection.
pub(super) struct Heard {
    pub reply: WalkReply,
    pub took: Duration,
    /// Whether the server closed the connection of the answer before, so that a new one was needed.
    pub hung_up: bool,
}

impl Heard {
    /// Without a connection, or without a request.
    pub(super) fn at_once(reply: WalkReply) -> Self {
        Self {
            reply,
            took: Duration::ZERO,
            hung_up: false,
        }
    }
}

/// An endpoint that a walk was led to.
pub(super) struct Opened<'a> {
    pub endpoint: Endpoint,
    pub turn: Turn,
    pub client: &'a HostClient,
    pub orders: mpsc::Receiver<Order>,
}

/// An endpoint, and who asks there.
pub(super) struct Lane<'a> {
    pub endpoint: Endpoint,
    pub client: &'a HostClient,
    pub orders: mpsc::Sender<Order>,
}

/// Asks for the images of a round.
pub(super) struct Walker<'a> {
    pub target: &'a Target,
    pub hosts: &'a PullHosts,
    pub release: ContainerdRelease,
    pub lanes: Vec<Lane<'a>>,
    pub opened: mpsc::UnboundedSender<Opened<'a>>,
    /// Where the registry itself lives, once that is known.
    pub login_at: &'a OnceLock<Option<IpAddr>>,
    /// What the walk under way has asked so far.
    route: Vec<Asked>,
    /// The place of the lane that was asked last.
    last: Option<usize>,
    /// Whether the reference is resolved.
    for_content: bool,
    /// Whether the last answer was a denial.
    denied: bool,
    /// The place of the host that is asked for the image now, also while somebody else asks for its token.
    asking: usize,
    /// The host, by its place, for which the last answer was 401.
    unauthorized: Option<usize>,
    /// How long the route was when the registry itself wanted a credential, and the client went on to a later host.
    denied_at: Option<usize>,
    /// Whether the last request was not answered in time.
    timed_out: bool,
    /// Places of lanes that gave a request of the walk under way no answer, and why.
    silent: Vec<(usize, containerd::WalkFault)>,
    wallet: Wallet,
    /// What earlier rounds got of the credential provider.
    held: &'a mut HeldCredential,
    /// What the last request with a credential, or with a token, was refused for, and what the registry said.
    refused: Option<(Content, Option<String>)>,
}

impl<'a> Walker<'a> {
    pub(super) fn new(
        target: &'a Target,
        hosts: &'a PullHosts,
        release: ContainerdRelease,
        lanes: Vec<Lane<'a>>,
        opened: mpsc::UnboundedSender<Opened<'a>>,
        login_at: &'a OnceLock<Option<IpAddr>>,
        held: &'a mut HeldCredential,
    ) -> Self {
        // Walks may be rare; every round looks.
        held.expire(Instant::now());
        Self {
            target,
            hosts,
            release,
            lanes,
            opened,
            login_at,
            wallet: Wallet::none(),
            held,
            route: Vec::new(),
            last: None,
            for_content: false,
            denied: false,
            asking: 0,
            unauthorized: None,
            denied_at: None,
            timed_out: false,
            silent: Vec::new(),
            refused: None,
        }
    }

    /// Walks to each of `images`; the lanes end with the walker.
    pub(super) async fn walk(mut self, images: &[Image]) -> Vec<Walk> {
        let hosts = self.hosts.for_pull(&self.target.named);
        let platform = Platform::of_this_node();
        if !images.is_empty() {
            self.wallet = Wallet::read(self.target);
            self.ask_provider().await;
        }
        let mut walks = Vec::with_capacity(images.len());
        let mut throughput = self.target.throughput;
        for image in images {
            let walk = self.walk_to(image, &hosts, &platform, throughput.take());
            // Boxed, because most rounds have none.
            walks.push(Box::pin(walk).await);
        }
        walks
    }

    async fn walk_to(
        &mut self,
        image: &Image,
        hosts: &[containerd::Host],
        platform: &Platform,
        throughput: Option<Throughput>,
    ) -> Walk {
        let name = image.to_string();
        let reference = format!("{}/{name}", self.target.named);
        let asked = containerd::WantedImage {
            name: &name,
            reference: &reference,
            repository: &image.repository,
            object: &image.reference,
            platform,
            throughput,
            layers: self.target.layers,
        };
        self.route.clear();
        self.silent.clear();
        (self.last, self.for_content) = (None, false);
        let repository = format!("{}/{}", self.target.named, image.repository);
        let Tries {
            mut credentials,
            each,
        } = self.wallet.tries(&repository);
        let end = match each {
            Err(end) => end,
            Ok(tries) => {
                let (end, offers) = self.pull(&asked, hosts, &tries).await;
                credentials.offers = offers;
                match (end, &credentials.identity) {
                    // The provider may have what is missing.
                    (WalkEnd::Failed { denied: true, .. }, OfIdentity::NotSeen(why)) => {
                        WalkEnd::NotSeen(format!("the node's credential is not seen: {why}"))
                    }
                    (end, _) => end,
                }
            }
        };
        Walk {
            image: image.clone(),
            end,
            credentials,
            route: std::mem::take(&mut self.route),
            challenge: None,
        }
    }

    /// Which addresses a registry may lead to.
    fn may_dial(&self) -> fn(IpAddr) -> bool {
        led_from(self.login_at.get().copied().flatten())
    }

    /// Tells the lane that answered last what is wrong.
    async fn blame(&mut self, content: Option<Content>, fault: HttpFault) {
        if let Some(last) = self.last {
            // It is there as long as the walker is.
            let _ = self.lanes[last]
                .orders
                .send(Order::Blame(content, fault))
                .await;
        }
    }

    /// The lane of the client of `host` to `endpoint`, opened if it is not there yet.
    fn lane(&mut self, endpoint: Endpoint, host: &'a PullHost) -> Result<usize, &'static str> {
        let is_it = |lane: &Lane<'_>| {
            lane.endpoint.is_same_server(&endpoint) && *lane.client == host.client
        };
        if let Some(place) = self.lanes.iter().position(is_it) {
            return Ok(place);
        }
        if self.lanes.len() >= MAX_OPENED {
            return Err("a round visits no more endpoints");
        }
        let known = self
            .lanes
            .iter()
            .find(|lane| lane.endpoint.is_same_server(&endpoint));
        let endpoint = known.map_or(endpoint, |known| known.endpoint.clone());
        let (sender, orders) = mpsc::channel(1);
        self.lanes.push(Lane {
            endpoint: endpoint.clone(),
            client: &host.client,
            orders: sender,
        });
        let opened = Opened {
            endpoint,
            turn: host.turn,
            client: &host.client,
            orders,
        };
        // The round listens as long as the walker is there.
        let _ = self.opened.send(opened);
        Ok(self.lanes.len() - 1)
    }
}

impl Walker<'_> {
    /// Whether the client reads the body of an answer, so that it can use the connection again: Go reads those of
    /// redirects. Of errors, containerd reads what a token service says, and what a host says of content that it does
    /// not get there (`open` of its `fetcher.go`), unless it asks once more or knows enough.
    fn is_read(&self, content: Content, response: &containerd::WalkResponse) -> bool {
        let explains = !matches!(response.status, 401 | 404 | 408 | 429);
        response.status < 400
            || response.headers.contains_key(LOCATION)
            || content == Content::Token
            || self.for_content && explains
    }
}

impl Transport for Walker<'_> {
    async fn send(&mut self, request: &containerd::WalkRequest) -> WalkReply {
        let hosts = self.hosts;
        let Some(host) = hosts.hosts.get(request.host) else {
            return WalkReply::NotSeen("no such host".to_owned());
        };
        let role = match request.content {
            Content::Token => Role::Token,
            Content::Manifest | Content::Blob => Role::Storage,
        };
        if let Some(why) = not_followed(request, hosts, host, self.may_dial()) {
            let fault = HttpFault::not_followed(request.url.as_str(), why);
            let said = fault.to_string();
            self.blame(Some(request.content), fault).await;
            return WalkReply::NotSeen(said);
        }
        let Some(endpoint) = Endpoint::of(&request.url, role) else {
            let scheme = request.url.scheme();
            let fault = HttpFault::Malformed("sent to neither https nor http".to_owned());
            self.blame(Some(request.content), fault).await;
            return WalkReply::Fault(containerd::WalkFault {
                text: Some(format!("unsupported protocol scheme {scheme:?}")),
                kind: FaultKind::Other,
            });
        };
        let endpoint = match host.is_at(&endpoint) {
            true => host.endpoint.clone(),
            false => endpoint,
        };
        let place = match self.lane(endpoint, host) {
            Ok(place) => place,
            Err(why) => return WalkReply::NotSeen(why.to_owned()),
        };
        self.last = Some(place);
        if request.content != Content::Token {
            self.asking = request.host;
        }
        self.note_denial(self.asking);
        let (sender, heard) = oneshot::channel();
        let (content, by) = (request.content, By::of(request));
        let mut request = request.clone();
        let mut withheld = None;
        if !self.lanes[place].endpoint.is_same_server(&host.endpoint) {
            // What the node's settings hold for a host may be a secret.
            let sent = request.headers.len();
            let of_host = host.headers.keys();
            of_host.for_each(|name| drop(request.headers.remove(name)));
            withheld = (request.headers.len() < sent).then(|| request.url.clone());
        }
        let endpoint = &self.lanes[place].endpoint;
        let mut asked = Asked {
            subject: request.subject.clone(),
            for_content: self.for_content,
            keeps_connection: false,
            ..Asked::at(endpoint, host.turn, stage_of(request.content))
        };
        let method = request.method.clone();
        let order = Order::Send(Box::new(request), sender);
        let is_here = |(silent, _): &&(usize, containerd::WalkFault)| *silent == place;
        let silence = self.silent.iter().find(is_here);
        let gone = || Heard::at_once(WalkReply::NotSeen("the round is over".to_owned()));
        let heard = match silence {
            // Where the client waits once more, there is no time to do so.
            Some((_, fault)) => Heard::at_once(WalkReply::Fault(fault.clone())),
            None => match self.lanes[place].orders.send(order).await {
                Ok(()) => heard.await.unwrap_or_else(|_| gone()),
                Err(_) => gone(),
            },
        };
        let Heard {
            mut reply,
            took,
            hung_up,
        } = heard;
        asked.took = took;
        if hung_up {
            let is_here = |before: &&mut Asked| before.endpoint.is_same_server(&asked.endpoint);
            if let Some(before) = self.route.iter_mut().rev().find(is_here) {
                before.keeps_connection = false;
            }
        }
        match &mut reply {
            WalkReply::Response(response) => {
                asked.challenged = response.status == 401;
                let bodiless = method == Method::HEAD || response.length == Some(0);
                let is_read = bodiless || self.is_read(content, response);
                asked.keeps_connection = response.keeps_open && is_read;
            }
            WalkReply::Fault(fault) if fault.kind == FaultKind::Silence => {
                self.silent.push((place, fault.clone()));
                match self.release.answer_limit() {
                    Some(limit) => {
                        asked.took = limit;
                        fault.text = Some("net/http: timeout awaiting response headers".to_owned());
                    }
                    None => fault.kind = FaultKind::Hangs,
                }
            }
            WalkReply::Fault(fault) if self.release.names_the_check_of_a_certificate() => {
                let text = fault.text.as_mut();
                let text = text.filter(|text| text.starts_with("x509: "));
                text.into_iter()
                    .for_each(|text| text.insert_str(0, "tls: failed to verify certificate: "));
            }
            WalkReply::Fault(_) | WalkReply::NotSeen(_) => {}
        }
        if let Some(url) = withheld
            && matches!(&reply, WalkReply::Response(response) if response.status >= 400)
        {
            let why = "a probe sends the headers of hosts.toml to their host alone";
            let fault = HttpFault::not_followed(url.as_str(), why);
            reply = WalkReply::NotSeen(fault.to_string());
            self.blame(None, fault).await;
        }
        self.note_refusal(content, by, &reply);
        self.note_status(self.asking, content, by, &reply);
        self.timed_out = matches!(&reply, WalkReply::Fault(fault) if fault.kind.is_timeout());
        self.route.push(asked);
        reply
    }

    fn turns_to_content(&mut self) {
        self.for_content = true;
    }

    async fn pause(&mut self, time: Duration) -> bool {
        // The client would wait for longer, and so has to be taken at the first time-out.
        if self.timed_out {
            return false;
        }
        sleep(time).await;
        true
    }
}
