//! The HTTP side of a scene: the registry behind its private endpoint, its public twin, a mirror, a
//! token server and a portal, each endpoint in the health that the scenario gives it.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use rcgen::ExtendedKeyUsagePurpose as Usage;

use super::places::{self, Place};
use crate::fakes::acr::{self, Acr, Answer, Challenge, Kind, Rights, Route, pull_token};
use crate::fakes::relay::{self, Relay};
use crate::fakes::sockets::{self, Trap};
use crate::image::Image;
use crate::pki::{self, Identity, Pki};
use crate::scenario::{
    Answers, Blobs, Certificate, ChallengeForm, Connection, Permissions, Registry, Role, Said,
    Setting, Site,
};
use crate::servers::Nginx;

/// The address that the firewall says it saw.
const EGRESS: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);

/// The authorities of a world.
pub(super) struct LabPki {
    /// The node trusts it.
    pub(super) nodes: Pki,
    /// Only a `hosts.toml` may name it.
    pub(super) corporate: Pki,
    /// The good certificates, by host: a server that opens again presents the same.
    good: Mutex<HashMap<&'static str, Identity>>,
}

impl LabPki {
    pub(super) fn new() -> Result<Self> {
        Ok(Self {
            nodes: Pki::new()?,
            corporate: Pki::new()?,
            good: Mutex::default(),
        })
    }

    fn good(&self, host: &'static str) -> Result<Identity> {
        let mut good = self.good.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(identity) = good.get(host) {
            return Ok(identity.clone());
        }
        let identity = self.nodes.leaf([host]).issue()?;
        good.insert(host, identity.clone());
        Ok(identity)
    }
}

/// Everything that serves, until dropped.
#[derive(Default)]
pub(super) struct Endpoints {
    registries: Vec<Acr>,
    fronts: Vec<Front>,
    /// Certificates that nodes trust beside the authority of the world.
    pub(super) trusted: String,
    /// How many addresses behind fronts are taken.
    behind: u8,
}

/// What stands in an endpoint's place and spoils or delays its connections.
enum Front {
    Trap { _held: Trap },
    Relay { _held: Relay },
    Nginx { _held: Nginx },
}

/// Opens everything that a setting has; to be called inside the network.
pub(super) fn open(pki: &LabPki, setting: &Setting) -> Result<Endpoints> {
    let well = Site::default();
    let mut opened = Endpoints::default();
    let (data, public_data): (&[_], &[_]) = match setting.registry.blobs {
        Blobs::FromData => (
            &[(&places::DATA, &setting.data), (&places::NORTH_DATA, &well)],
            &[(&places::PUBLIC_DATA, &setting.public_data)],
        ),
        Blobs::FromLogin => (&[], &[]),
        // Whoever has a private endpoint has data endpoints.
        Blobs::FromStorage => (&[], &[(&places::STORAGE, &well)]),
    };
    opened.registry(pki, setting, (&places::LOGIN, &setting.login), data)?;
    let public_login = (&places::PUBLIC_LOGIN, &setting.public_login);
    opened.registry(pki, setting, public_login, public_data)?;
    for (place, site) in [
        (&places::MIRROR, &setting.mirror),
        (&places::TOKEN_SERVER, &setting.token_server),
        (&places::DOCKER_HUB, &setting.docker_hub),
    ] {
        if let Some(site) = site {
            opened.registry(pki, setting, (place, site), &[])?;
        }
    }
    if redirects_away(setting) {
        let portal = Site {
            answers: Answers::CaptivePortal,
            ..Site::default()
        };
        opened.registry(pki, setting, (&places::PORTAL, &portal), &[])?;
    }
    Ok(opened)
}

/// Opens what a setting has on the node itself; to be called there.
pub(super) fn open_on_the_node(pki: &LabPki, setting: &Setting) -> Result<Endpoints> {
    let mut opened = Endpoints::default();
    if let Some(site) = &setting.on_the_node {
        opened.registry(pki, setting, (&places::ON_THE_NODE, site), &[])?;
    }
    Ok(opened)
}

/// What an intercepting proxy shows: the registry's name with a certificate from an unknown issuer.
pub(super) fn impostor(at: SocketAddr) -> Result<Acr> {
    Acr::at(places::LOGIN.host, at).tls(&Pki::new()?).start()
}

fn redirects_away(setting: &Setting) -> bool {
    [&setting.login, &setting.public_login]
        .iter()
        .any(|site| site.answers == Answers::RedirectAway || site.ping == Answers::RedirectAway)
}

impl Endpoints {
    fn registry(
        &mut self,
        pki: &LabPki,
        setting: &Setting,
        (place, login): (&Place, &Site),
        data: &[(&Place, &Site)],
    ) -> Result<()> {
        let mut acr = Acr::at(place.host, self.listens(pki, place, login)?);
        if !login.plain_http {
            acr = acr.tls(&pki.nodes);
        }
        if !has_front(login) {
            for address in &place.addresses[1..] {
                acr = acr.also_at((*address, login.port()));
            }
        }
        for (place, site) in data {
            acr = acr.data(place.host, self.listens(pki, place, site)?);
        }
        let registry = &setting.registry;
        let platforms: Vec<_> = registry.platforms.iter().map(String::as_str).collect();
        let unsaid = match (registry.platforms_unsaid, registry.first_platform_unsaid) {
            (true, _) => platforms.len(),
            (false, true) => 1,
            (false, false) => 0,
        };
        let image = match (unsaid, registry.layer_kib) {
            (0, 0) => Image::of_layers("probe/hello", "v1", &platforms, registry.layers)?,
            (0, kib) => Image::of_size("probe/hello", "v1", &platforms, kib)?,
            _ => Image::without_platforms("probe/hello", "v1", &platforms, unsaid)?,
        };
        let acr = acr.image(image).start()?;
        acr.allow_anonymous_pull(registry.anonymous_pull)
            .open(registry.open)
            .grant(rights(registry))
            .set_clock_ahead(registry.clock_ahead_seconds)
            .answer_unsigned(registry.unsigned_status)
            .challenge(challenge(registry.challenge));
        for (place, site) in [(place, login)].iter().chain(data) {
            self.dress(&acr, pki, place, site)?;
        }
        for (route, answers) in [
            (Route::Ping, &login.ping),
            (Route::Exchange, &login.exchange),
            (Route::Token, &login.token),
            (Route::Manifest, &login.manifest),
            (Route::Blob, &login.blob),
        ] {
            acr.answer(route, answer(answers));
        }
        self.registries.push(acr);
        Ok(())
    }

    /// Where a site's server listens: at its place, or behind the front that stands there.
    fn listens(&mut self, pki: &LabPki, place: &Place, site: &Site) -> Result<SocketAddr> {
        let at = SocketAddr::new(place.address(), site.port());
        if !has_front(site) {
            return Ok(at);
        }
        // The same port, since a registry tells clients its own.
        self.behind += 1;
        let behind = SocketAddr::new(Ipv4Addr::new(127, 1, 0, self.behind).into(), site.port());
        self.fronts.push(front(pki, place, site, at, behind)?);
        Ok(behind)
    }

    fn dress(&mut self, acr: &Acr, pki: &LabPki, place: &Place, site: &Site) -> Result<()> {
        if site.answers != Answers::Well {
            acr.answer_at(place.host, answer(&site.answers));
        }
        if site.plain_http {
            return Ok(());
        }
        let identity = identity(pki, place.host, site.certificate)?;
        if site.certificate == Certificate::SelfSignedTrusted {
            self.trusted.push_str(identity.chain_pem());
        }
        let versions: &[_] = match site.connection {
            Connection::Tls12 => &[&rustls::version::TLS12],
            _ => rustls::ALL_VERSIONS,
        };
        let clients = site.asks_for_certificate.then_some(&pki.nodes);
        acr.present_as(place.host, identity.server_config_for(versions, clients)?);
        Ok(())
    }
}

impl Site {
    fn port(&self) -> u16 {
        self.port.unwrap_or(if self.plain_http { 80 } else { 443 })
    }
}

fn has_front(site: &Site) -> bool {
    site.late_seconds > 0.0 || !matches!(site.connection, Connection::Sound | Connection::Tls12)
}

fn front(
    pki: &LabPki,
    place: &Place,
    site: &Site,
    at: SocketAddr,
    behind: SocketAddr,
) -> Result<Front> {
    let with_suites = |identity, suites| {
        let nginx = Nginx::at(at).tls(&identity).protocols("TLSv1.2");
        let nginx = nginx.ciphers(suites).pass_to_tls(behind).without_log();
        Ok(Front::Nginx {
            _held: nginx.start()?,
        })
    };
    let trap = match site.connection {
        Connection::Sound | Connection::Tls12 => {
            let wait = Duration::from_secs_f64(site.late_seconds);
            let relay = relay::late(at, behind, wait)?;
            return Ok(Front::Relay { _held: relay });
        }
        Connection::Closes => sockets::closes(at),
        Connection::Resets => sockets::resets(at),
        Connection::Stalls => sockets::stalls(at),
        Connection::ClosesAfterHello => sockets::tls_closes(at),
        Connection::ResetsAfterHello => sockets::tls_resets(at),
        Connection::StallsAfterHello => sockets::tls_stalls(at),
        Connection::DropsLargeHello => sockets::drops_large_hello(at, behind),
        Connection::PlainHttp => sockets::plain_http(at),
        Connection::Ssh => sockets::ssh(at),
        Connection::Tls11 => sockets::tls11_only(at),
        Connection::CbcAlone => {
            return with_suites(pki.good(place.host)?, "ECDHE-ECDSA-AES128-SHA");
        }
        Connection::RsaKeyExchangeAlone => {
            let identity = pki.nodes.leaf([place.host]).with_rsa_key().issue()?;
            return with_suites(identity, "AES128-GCM-SHA256:AES128-SHA");
        }
        Connection::HandshakeFailure => sockets::tls_alerts(at, sockets::ALERT_HANDSHAKE_FAILURE),
        Connection::UnrecognizedName => sockets::tls_alerts(at, sockets::ALERT_UNRECOGNIZED_NAME),
        Connection::AccessDenied => sockets::tls_alerts(at, sockets::ALERT_ACCESS_DENIED),
        Connection::InternalError => sockets::tls_alerts(at, sockets::ALERT_INTERNAL_ERROR),
    };
    Ok(Front::Trap { _held: trap? })
}

fn identity(pki: &LabPki, host: &'static str, certificate: Certificate) -> Result<Identity> {
    const THREE_DAYS: Duration = Duration::from_secs(3 * 24 * 60 * 60);
    let leaf = || pki.nodes.leaf([host]);
    match certificate {
        Certificate::Good => pki.good(host),
        Certificate::Expired => leaf().expired().issue(),
        Certificate::NotYetValid => leaf().not_yet_valid().issue(),
        Certificate::EndsInThreeDays => leaf().expires_in(THREE_DAYS).issue(),
        Certificate::UnknownIssuer => Pki::new()?.leaf([host]).issue(),
        Certificate::ByCorporateAuthority => pki.corporate.leaf([host]).issue(),
        Certificate::ByPublicAuthority => {
            let pki = Pki::of("Microsoft Corporation", "Microsoft TLS G2 RSA CA OCSP 02")?;
            pki.leaf([host]).issue()
        }
        Certificate::OtherName => pki.nodes.leaf(["fabrikam.azurecr.io"]).issue(),
        Certificate::WithoutNames => leaf().without_san().issue(),
        Certificate::ForAnyUsage => leaf().for_usage(Usage::Any).issue(),
        Certificate::ForClients => leaf().for_usage(Usage::ClientAuth).issue(),
        Certificate::OfAnAuthority => leaf().with_ca_true().issue(),
        Certificate::WithCriticalPolicies => leaf().with_critical(&[2, 5, 29, 32]).issue(),
        // An arc for examples.
        Certificate::WithUnknownCriticalExtension => leaf().with_critical(&[2, 999, 1]).issue(),
        Certificate::ByIntermediate => leaf().via_intermediate().issue(),
        Certificate::ByUnsentIntermediate => leaf().via_unsent_intermediate().issue(),
        Certificate::ByBarredIntermediate => leaf().via_barred_intermediate().issue(),
        Certificate::WithExpiredCrossCertificate => leaf().with_expired_cross_certificate().issue(),
        Certificate::SelfSigned => pki::self_signed([host]).issue(),
        Certificate::SelfSignedTrusted => pki::self_signed([host]).with_ca_true().issue(),
    }
}

fn challenge(form: ChallengeForm) -> Option<Challenge> {
    Some(match form {
        ChallengeForm::Usual => return None,
        ChallengeForm::MixedCase => Challenge::MixedCase,
        ChallengeForm::Several => Challenge::Several,
        ChallengeForm::QuotedPairs => Challenge::QuotedPairs,
        ChallengeForm::ExtraParameters => Challenge::ExtraParameters,
        ChallengeForm::BasicAndBearer => Challenge::BasicAndBearer,
        ChallengeForm::BasicOnly => Challenge::BasicOnly,
        ChallengeForm::ToTokenServer => Challenge::Realm(format!(
            "https://{}/oauth2/token",
            places::TOKEN_SERVER.host
        )),
    })
}

fn rights(registry: &Registry) -> Rights {
    Rights {
        role: match registry.role {
            Role::Everything => acr::Role::Everything,
            Role::OtherRepositories => acr::Role::OtherRepositories,
            Role::Nothing => acr::Role::Nothing,
        },
        permissions: match registry.permissions {
            Permissions::ForRegistry => acr::Permissions::ForRegistry,
            Permissions::ForRepositories => acr::Permissions::ForRepositories,
        },
        refresh_token_seconds: registry.refresh_token_seconds,
    }
}

pub(super) fn answer(answers: &Answers) -> Answer {
    let only = |kind, answers| Answer::Only(kind, Box::new(answer(answers)));
    match answers {
        Answers::Well => Answer::AsAzure,
        Answers::Status(status) => Answer::Status(*status),
        Answers::Says(Said {
            status,
            media_type,
            text,
            headers,
        }) => {
            let text = text.replace("TOKEN", &pull_token("probe/hello"));
            with(headers, Answer::Body(*status, media_type.clone(), text))
        }
        Answers::Challenge(line) => Answer::Challenge(Challenge::Raw(vec![line.clone()])),
        Answers::WithHeaders(headers) => with(headers, Answer::AsAzure),
        Answers::RedirectTo(place) => Answer::MovedTo(place.clone()),
        Answers::ToHead(answers) => only(Kind::Head, answers),
        Answers::ToGet(answers) => only(Kind::Get, answers),
        Answers::ToRange(answers) => only(Kind::Range, answers),
        Answers::ToStrangers(answers) => only(Kind::Stranger, answers),
        Answers::ToLastLayer(answers) => only(Kind::LastLayer, answers),
        Answers::Firewall => Answer::Firewall(IpAddr::V4(EGRESS)),
        Answers::Throttled => Answer::Throttled(Some(Duration::from_secs(30))),
        Answers::Mcr => Answer::Mcr,
        Answers::EmptyJson => Answer::EmptyJson,
        Answers::NotJson => Answer::NotJson,
        Answers::CaptivePortal => Answer::CaptivePortal,
        Answers::RedirectAway => {
            Answer::RedirectTo(format!("https://{}/login", places::PORTAL.host))
        }
        Answers::RedirectLoop => Answer::RedirectLoop,
        Answers::LateBy(seconds) => Answer::Late(Duration::from_secs(*seconds)),
        Answers::Slowly(kib) => Answer::Slowly(kib * 1024),
        Answers::Hangs => Answer::HangBeforeHeaders,
        Answers::HangsInBody => Answer::HangInBody,
        Answers::EndlessBody => Answer::EndlessBody,
        Answers::EndlessHeaders => Answer::EndlessHeaders,
        Answers::HangsUp => Answer::Eof,
        Answers::Resets => Answer::Reset,
        Answers::Garbage => Answer::Garbage,
        Answers::EndsEarly => Answer::EndsEarly,
        Answers::Damaged => Answer::Damaged,
        Answers::Http10 => Answer::Http10,
        Answers::Once => Answer::Once,
        Answers::Chunked => Answer::Chunked,
    }
}

fn with(headers: &BTreeMap<String, String>, answer: Answer) -> Answer {
    Answer::With(headers.clone().into_iter().collect(), Box::new(answer))
}
