//! Stories about requests: the registry's answers, tokens, images; and about hosts asked in turn.

use super::{
    Story,
    build::{
        FIRST, PRIVATE_LOGIN, PUBLIC, basic_challenge, challenge_that_containerd_misreads,
        challenge_with_clock_off_by, data, denied, dial, expecting_anonymous_pull, expecting_any,
        http, locked, login, malformed, mirror, no_registry, not_linked, other_platform, pulled,
        refused, storage, tls, token_service, turned_away,
    },
    critical, info, story, warning,
};
use crate::{
    diagnosis::Code::{
        BlobCorrupt, BlobUnavailable, ClientCertificateRequired, ClockSkew, ConnectionDropped,
        ConnectionRefused, CredentialsRequired, EndpointTimeout, Forbidden, ImageLocked,
        ImageNotFound, MalformedResponse, MirrorFailing, NoResponse, NodeConfigInvalid,
        NotARegistry, PlatformMismatch, PrivateEndpointTimeout, RegistryError, RegistryFirewall,
        Throttled,
    },
    diagnosis::Verdict,
    net::io_fault::IoFault,
    outcome::{Fault, WalkEnd},
    stages::{http::fault::HttpFault, tls::TlsFault},
    words::{
        endpoint::{Role, Turn},
        reason::Stage,
    },
};

const IMAGE: &str = "probe/hello:v1";
const MIRROR: &str = "198.18.2.10";

/// An address that the registry may see.
const EGRESS: &str = "198.51.100.7";

pub(super) fn stories() -> Vec<Story> {
    [answers(), tokens(), images(), clocks(), mirrors()].concat()
}

fn answers() -> Vec<Story> {
    let answers = |fault| login().fails(Stage::Challenge, fault);
    vec![
        story(
            "the registry's firewall refuses the node",
            [answers(turned_away(EGRESS))],
        )
        .fails_by([critical(RegistryFirewall)
            .on(PRIVATE_LOGIN)
            .saying("403 Forbidden")
            .showing("the registry saw this node as 198.51.100.7")
            .advising("by the public path")]),
        story(
            "the network rules see an address of a service endpoint",
            [answers(turned_away("10.240.0.4"))],
        )
        .fails_by([critical(RegistryFirewall)
            .on(PRIVATE_LOGIN)
            .saying("403 Forbidden")
            .advising("which IP rules cannot allow")]),
        story(
            "the network rules see an IPv6 address",
            [answers(turned_away("2603:1020::5"))],
        )
        .fails_by([critical(RegistryFirewall)
            .on(PRIVATE_LOGIN)
            .saying("403 Forbidden")
            .advising("know no IPv6")]),
        story(
            "the network rules see the egress address of a node that dialled the public one",
            [answers(turned_away(EGRESS)).resolves_by([], PUBLIC)],
        )
        .under(expecting_any())
        .fails_by([critical(RegistryFirewall)
            .on(PUBLIC)
            .saying("403 Forbidden")
            .advising("198.51.100.7 among them")]),
        story("403 without a reason", [answers(refused(403))]).fails_by([critical(Forbidden)
            .on(PRIVATE_LOGIN)
            .saying("403 Forbidden")]),
        story("a portal answers", [answers(no_registry())]).fails_by([critical(NotARegistry)
            .on(PRIVATE_LOGIN)
            .saying_nothing("what it makes of a portal depends on the portal")]),
        story("404", [answers(refused(404))]).fails_by([critical(NotARegistry)
            .on(PRIVATE_LOGIN)
            .saying(": not found")]),
        story(
            "containerd cannot read the challenge",
            [login().shows(challenge_that_containerd_misreads())],
        )
        .fails_by([critical(NotARegistry)
            .on(PRIVATE_LOGIN)
            .saying("401 Unauthorized")]),
        story(
            "containerd cannot read the challenge, which the image does not need",
            [login().shows(challenge_that_containerd_misreads())],
        )
        .whose_walk(pulled()),
        story(
            "a portal answers since the image came",
            [answers(no_registry())],
        )
        .whose_walk(pulled())
        .fails_by([critical(NotARegistry)
            .on(PRIVATE_LOGIN)
            .saying_nothing("what it makes of a portal depends on the portal")]),
        story("429", [answers(refused(429))]).fails_by([critical(Throttled)
            .on(PRIVATE_LOGIN)
            .saying("429 Too Many Requests")]),
        story("503", [answers(refused(503))]).fails_by([critical(RegistryError)
            .on(PRIVATE_LOGIN)
            .saying("503 Service Unavailable")
            .showing("X-Ms-Correlation-Request-Id: 3b1c")]),
        story("no answer", [answers(http(IoFault::Timeout))]).fails_by([critical(NoResponse)
            .on(PRIVATE_LOGIN)
            .saying_nothing("whether it ever says so depends on its release")
            .showing("before that: connect 2.0 ms, tls 2.0 ms")]),
        story("cut off", [answers(http(IoFault::Closed))])
            .fails_by([critical(ConnectionDropped).on(PRIVATE_LOGIN).saying("EOF")]),
        story("reset", [answers(http(IoFault::Reset))]).fails_by([critical(ConnectionDropped)
            .on(PRIVATE_LOGIN)
            .saying("connection reset by peer")]),
        story("garbage", [answers(malformed())]).fails_by([critical(MalformedResponse)
            .on(PRIVATE_LOGIN)
            .saying_nothing("Go quotes the garbage")]),
        story(
            "no answer, and the round ends",
            [answers(Fault::Http(HttpFault::NoTime))],
        )
        .unknown_with([]),
        story(
            "the data endpoint gives no answer",
            [login(), data().fails(Stage::Http, http(IoFault::Timeout))],
        )
        .fails_by([critical(NoResponse)
            .at(Role::Data)
            .on("10.240.1.5")
            .saying_nothing("whether it ever says so depends on its release")]),
    ]
}

fn tokens() -> Vec<Story> {
    let token = |fault| login().fails(Stage::Token, fault);
    vec![
        story(
            "no anonymous token, as from most private registries",
            [login().shows(denied())],
        )
        .ok_with([info(CredentialsRequired).on(PRIVATE_LOGIN)]),
        story(
            "no anonymous token although one is expected",
            [token(refused(401))],
        )
        .under(expecting_anonymous_pull())
        .fails_by([critical(CredentialsRequired)
            .on(PRIVATE_LOGIN)
            .saying("failed to fetch anonymous token")]),
        story("user name and password", [login().shows(basic_challenge())])
            .ok_with([info(CredentialsRequired).on(PRIVATE_LOGIN)]),
        story(
            "user name and password although anyone may pull",
            [login().shows(basic_challenge())],
        )
        .under(expecting_anonymous_pull())
        .fails_by([critical(CredentialsRequired)
            .on(PRIVATE_LOGIN)
            .saying("401 Unauthorized")]),
        story(
            "anonymous tokens are throttled, and pulls do not use them",
            [token(refused(429))],
        )
        .degraded_by([warning(Throttled).on(PRIVATE_LOGIN)]),
        story("anonymous tokens are throttled", [token(refused(429))])
            .under(expecting_anonymous_pull())
            .fails_by([critical(Throttled)
                .on(PRIVATE_LOGIN)
                .saying("429 Too Many Requests")]),
        story(
            "the token service is silent",
            [
                login(),
                token_service().fails(Stage::Connect, dial(IoFault::Timeout)),
            ],
        )
        .fails_by([critical(EndpointTimeout)
            .at(Role::Token)
            .on("203.0.113.20")
            .saying("i/o timeout")]),
    ]
}

fn images() -> Vec<Story> {
    let manifest = |fault| login().fails_on(IMAGE, Stage::Manifest, fault);
    let blob = |fault| login().fails_on("probe/hello@sha256:e3b0", Stage::Blob, fault);
    vec![
        story("the image is not there", [manifest(refused(404))])
            .whose_walk_fails(false, "contoso.azurecr.io/probe/hello:v1: not found")
            .fails_by([critical(ImageNotFound)
                .on(PRIVATE_LOGIN)
                .saying("contoso.azurecr.io/probe/hello:v1: not found")]),
        story("the image is locked", [manifest(locked())])
            .whose_walk_fails(false, "405 Method Not Allowed")
            .fails_by([critical(ImageLocked)
                .on(PRIVATE_LOGIN)
                .saying("405 Method Not Allowed")]),
        story(
            "the image is not for this node",
            [manifest(other_platform())],
        )
        .whose_walk_fails(
            false,
            "no match for platform in manifest sha256:1: not found",
        )
        .fails_by([critical(PlatformMismatch)
            .on(PRIVATE_LOGIN)
            .saying("no match for platform in manifest")]),
        story("its manifest cannot be served", [manifest(refused(500))])
            .whose_walk_fails(false, "500 Internal Server Error")
            .fails_by([critical(RegistryError).on(PRIVATE_LOGIN).saying("500")]),
        story("a layer is gone", [blob(refused(404))])
            .whose_walk_fails(false, "failed to copy: not found")
            .fails_by([critical(BlobUnavailable)
                .on(PRIVATE_LOGIN)
                .saying("failed to copy")]),
        story(
            "the registry's firewall keeps a layer back",
            [blob(turned_away("198.51.100.7"))],
        )
        .whose_walk_fails(false, "failed to copy: 403 Forbidden")
        .fails_by([critical(RegistryFirewall)
            .on(PRIVATE_LOGIN)
            .saying("403 Forbidden")]),
        story("a layer is asked for too often", [blob(refused(429))])
            .whose_walk_fails(false, "failed to copy: 429 Too Many Requests")
            .fails_by([critical(Throttled)
                .on(PRIVATE_LOGIN)
                .saying("429 Too Many Requests")]),
        story(
            "a layer is not what the manifest names",
            [blob(Fault::Http(HttpFault::Corrupt(
                "52 bytes in place of 167".to_owned(),
            )))],
        )
        .whose_walk_fails(false, "failed to copy: unexpected EOF")
        .fails_by([critical(BlobCorrupt)
            .on(PRIVATE_LOGIN)
            .showing("52 bytes in place of 167")
            .saying("unexpected EOF")]),
        story(
            "storage refuses a layer",
            [
                login(),
                storage().fails_on("probe/hello@sha256:e3b0", Stage::Blob, refused(403)),
            ],
        )
        .whose_walk_fails(false, "failed to copy: 403 Forbidden")
        .fails_by([critical(BlobUnavailable)
            .at(Role::Storage)
            .on("203.0.113.30")
            .saying("failed to copy")]),
        story("a pull fails and no rule says why", [login()])
            .whose_walk_fails(false, "unsupported protocol scheme")
            .fails_by([critical(NotARegistry)
                .on(PRIVATE_LOGIN)
                .saying("unsupported protocol")]),
        story("an image is not for everybody", [login()])
            .whose_walk_fails(true, "401 Unauthorized")
            .ok_with([info(CredentialsRequired).on(PRIVATE_LOGIN)]),
        story("an image that should be for everybody is not", [login()])
            .under(expecting_anonymous_pull())
            .whose_walk_fails(true, "401 Unauthorized")
            .fails_by([critical(CredentialsRequired)
                .on(PRIVATE_LOGIN)
                .saying("401")]),
        story("a walk was not seen to its end", [login()])
            .whose_walk(WalkEnd::NotSeen("the round had no time left".to_owned()))
            .ends(Verdict::Unknown, []),
        story(
            "storage is silent",
            [
                login(),
                storage().fails(Stage::Connect, dial(IoFault::Timeout)),
            ],
        )
        .fails_by([critical(EndpointTimeout)
            .at(Role::Storage)
            .on("203.0.113.30")
            .saying("i/o timeout")]),
    ]
}

fn clocks() -> Vec<Story> {
    let off_by = |seconds| login().shows(challenge_with_clock_off_by(seconds));
    vec![
        story(
            "61 seconds behind, and a layer is gone",
            [off_by(-61.0).fails_on("probe/hello@sha256:e3b0", Stage::Blob, refused(404))],
        )
        .whose_walk_fails(false, "failed to copy: not found")
        .fails_by([
            critical(BlobUnavailable)
                .on(PRIVATE_LOGIN)
                .saying("failed to copy"),
            warning(ClockSkew).on(PRIVATE_LOGIN).showing("61 s behind"),
        ]),
        story("59 seconds ahead", [off_by(59.0)]),
        story("59 seconds behind", [off_by(-59.0)]),
        story("61 seconds ahead", [off_by(61.0)]).degraded_by([warning(ClockSkew)
            .on(PRIVATE_LOGIN)
            .showing("61 s ahead of")]),
        story("61 seconds behind", [off_by(-61.0)])
            .degraded_by([warning(ClockSkew).on(PRIVATE_LOGIN).showing("61 s behind")]),
    ]
}

fn mirrors() -> Vec<Story> {
    let closed = || dial(IoFault::Refused);
    let no_file = || "cannot read CA file /etc/mirror.pem: not found".to_owned();
    let closed_mirror = || mirror().fails(Stage::Connect, closed());
    vec![
        story(
            "mirror and registry work",
            [mirror(), login().in_turn(Turn::After(1))],
        ),
        story(
            "the mirror fails, the registry works",
            [closed_mirror(), login().in_turn(Turn::After(1))],
        )
        .degraded_by([warning(MirrorFailing)
            .at(Role::Mirror)
            .on(MIRROR)
            .saying("connection refused")]),
        story(
            "the authority that hosts.toml names for the mirror does not exist",
            [
                mirror().blocked(Stage::Tls, tls(TlsFault::Settings(no_file()))),
                login().in_turn(Turn::After(1)),
            ],
        )
        .with_hosts_toml(true)
        .fails_by([critical(NodeConfigInvalid).saying("line 3: not TOML")]),
        story(
            "this process may not read the authority that hosts.toml names",
            [login().blocked(Stage::Tls, tls(TlsFault::Unseen(no_file())))],
        )
        .ends(Verdict::Unknown, []),
        story(
            "the mirror has no tags, and the registry that has them is closed",
            [
                mirror().without_tags(),
                login()
                    .in_turn(Turn::After(1))
                    .fails(Stage::Connect, dial(IoFault::Refused)),
            ],
        )
        .fails_by([critical(ConnectionRefused)
            .on(PRIVATE_LOGIN)
            .saying("connection refused")]),
        story(
            "the registry asks for a client certificate after the handshake",
            [login().fails(
                Stage::Challenge,
                Fault::Http(HttpFault::CertificateRequired("certificate required")),
            )],
        )
        .fails_by([critical(ClientCertificateRequired)
            .on(PRIVATE_LOGIN)
            .saying("remote error: tls: certificate required")]),
        story(
            "the mirror works, the registry behind it does not",
            [
                mirror(),
                login()
                    .in_turn(Turn::After(1))
                    .fails(Stage::Connect, dial(IoFault::Timeout)),
            ],
        )
        .ok_with([info(PrivateEndpointTimeout)
            .on(PRIVATE_LOGIN)
            .saying("i/o timeout")]),
        story(
            "neither works",
            [
                closed_mirror(),
                login()
                    .in_turn(Turn::After(1))
                    .fails(Stage::Connect, closed()),
            ],
        )
        .fails_by([
            critical(ConnectionRefused)
                .at(Role::Mirror)
                .on(MIRROR)
                .saying("connection refused"),
            critical(ConnectionRefused)
                .on(PRIVATE_LOGIN)
                .saying("connection refused"),
        ]),
        story(
            "the mirror is the only host, and fails",
            [closed_mirror(), login().in_turn(Turn::Never)],
        )
        .fails_by([critical(ConnectionRefused)
            .at(Role::Mirror)
            .on(MIRROR)
            .saying("connection refused")]),
        story(
            "the registry is asked first, and fails; a mirror of last resort works",
            [
                login().fails(Stage::Connect, closed()),
                mirror().in_turn(Turn::After(1)),
            ],
        )
        .degraded_by([warning(ConnectionRefused)
            .on(PRIVATE_LOGIN)
            .saying("connection refused")]),
        story(
            "drift behind a working mirror is only worth knowing",
            [
                mirror(),
                login()
                    .in_turn(Turn::After(1))
                    .answered(&FIRST, not_linked()),
            ],
        )
        .ok_with([info(super::Code::PrivateLinkZoneNotLinked)
            .by(&FIRST)
            .on(PUBLIC)]),
        story("hosts.toml cannot be read and is ignored", [login()])
            .with_hosts_toml(false)
            .degraded_by([warning(NodeConfigInvalid).showing("line 3: not TOML")]),
        story("certs.d cannot be read", [login()])
            .with_hosts_toml(true)
            .fails_by([critical(NodeConfigInvalid).saying("line 3: not TOML")]),
        story(
            "certs.d is for root alone, and the registry is closed",
            [login().fails(Stage::Connect, closed())],
        )
        .not_seeing_hosts("this agent may not read hosts.toml")
        .unknown_with([warning(ConnectionRefused).on(PRIVATE_LOGIN)]),
    ]
}
