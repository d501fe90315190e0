//! Stories about credentials, in the order of the causes that pods show as 401.

use super::{
    Expected, Story,
    build::{expecting_anonymous_pull, login, pulled},
    critical, story, warning,
};
use crate::{
    diagnosis::Code::{
        ClientSecretRejected, ExchangeRefused, IdentityAmbiguous, IdentityNotOnNode,
        MetadataProxied, MetadataThrottled, MetadataUnreachable, PrincipalUnknown, PullRoleMissing,
        PullSecretInvalid, PullSecretNoMatch, RepositoryNotPermitted,
    },
    net::io_fault::IoFault,
    outcome::{Credentials, Fault, Giver, OfIdentity, OfSecret, Offer, OfferEnd, WalkEnd},
    stages::{
        http::fault::{HttpFault, Refusal},
        identity::IdentityFault,
    },
    words::reason::Stage,
};

const ANONYMOUS: &str = "failed to fetch anonymous token: 401 Unauthorized";
const OAUTH: &str = "failed to fetch oauth token: 401 Unauthorized";

fn offered(ends: impl IntoIterator<Item = OfferEnd>) -> Credentials {
    let of = Giver::Entry("contoso.azurecr.io".to_owned());
    let offers = ends.into_iter().map(|end| Offer {
        of: of.clone(),
        end,
    });
    Credentials {
        secret: OfSecret::Matches,
        offers: offers.collect(),
        ..Credentials::default()
    }
}

fn with(secret: OfSecret) -> Credentials {
    Credentials {
        secret,
        ..Credentials::default()
    }
}

/// The credential provider fails.
fn without_identity(stage: Stage, fault: Fault) -> Credentials {
    Credentials {
        identity: OfIdentity::Failed { stage, fault },
        ..Credentials::default()
    }
}

/// It fails at the metadata service.
fn without_token(fault: IdentityFault) -> Credentials {
    without_identity(Stage::Identity, Fault::Identity(fault))
}

/// The provider's credential is offered.
fn by_identity(end: OfferEnd) -> Credentials {
    let of = Giver::Identity;
    Credentials {
        identity: OfIdentity::Given,
        offers: vec![Offer { of, end }],
        ..Credentials::default()
    }
}

fn status(status: u16) -> HttpFault {
    HttpFault::Refused(Box::new(Refusal {
        status,
        ..Refusal::default()
    }))
}

fn refused(said: &str) -> OfferEnd {
    OfferEnd::Refused(Some(said.to_owned()))
}

/// The only credential is refused.
fn refused_alone(title: &'static str, end: OfferEnd, finds: Expected) -> Story {
    story(title, [login()])
        .whose_walk_fails(true, OAUTH)
        .offering(offered([end]))
        .fails_by([finds.saying(OAUTH)])
}

/// The only thing configured is the node's identity, and it gets nothing.
fn no_credential(title: &'static str, credentials: Credentials, finds: Expected) -> Story {
    story(title, [login()])
        .whose_walk_fails(true, ANONYMOUS)
        .offering(credentials)
        .fails_by([finds.saying(ANONYMOUS)])
}

/// The stories of the node's managed identity.
pub(super) fn stories_of_identity() -> Vec<Story> {
    let timeout = || IdentityFault::from(IoFault::Timeout);
    vec![
        story("the identity gets the image", [login()])
            .whose_walk(pulled())
            .offering(by_identity(OfferEnd::Pulled)),
        no_credential(
            "the identity was removed from the scale set",
            without_token(IdentityFault::NotAssigned("Identity not found".to_owned())),
            critical(IdentityNotOnNode)
                .showing("Identity not found")
                .advising("az aks update"),
        ),
        no_credential(
            "an add-on brought a second identity",
            without_token(IdentityFault::Ambiguous(
                "Multiple user assigned".to_owned(),
            )),
            critical(IdentityAmbiguous)
                .showing("Multiple user assigned")
                .advising("userAssignedIdentityID"),
        ),
        no_credential(
            "a firewall rule drops what goes to the metadata service",
            without_token(timeout()),
            critical(MetadataUnreachable)
                .showing("up to 60 s")
                .advising("169.254.169.254"),
        ),
        no_credential(
            "the metadata service fails",
            without_token(IdentityFault::Http(status(500))),
            critical(MetadataUnreachable).showing("up to 55 s"),
        ),
        no_credential(
            "the metadata service is being updated",
            without_token(IdentityFault::Http(status(410))),
            critical(MetadataUnreachable).showing("410"),
        ),
        no_credential(
            "noProxy lacks the metadata service",
            without_token(IdentityFault::Proxied(
                "http://proxy.contoso.example:3128".to_owned(),
            )),
            critical(MetadataProxied)
                .showing("proxy.contoso.example")
                .advising("noProxy"),
        ),
        no_credential(
            "a pod asks the metadata service all the time",
            without_token(IdentityFault::Http(status(429))),
            critical(MetadataThrottled).showing("429"),
        ),
        no_credential(
            "the role was never assigned",
            without_identity(Stage::Exchange, Fault::Http(status(401))),
            critical(PullRoleMissing)
                .showing("/oauth2/exchange responded with status code 401")
                .advising("AcrPull"),
        ),
        no_credential(
            "the registry's network rules refuse the exchange",
            without_identity(Stage::Exchange, Fault::Http(status(403))),
            critical(ExchangeRefused).showing("403"),
        ),
        story(
            "the exchange gets no answer, and the image is for everybody",
            [login()],
        )
        .whose_walk(pulled())
        .offering(without_identity(
            Stage::Exchange,
            Fault::Http(IoFault::Timeout.into()),
        ))
        .degraded_by([warning(ExchangeRefused).showing("up to 60 s")]),
        story("an ABAC registry does not give the repository", [login()])
            .whose_walk_fails(
                true,
                "[failed to fetch oauth token, failed to fetch anonymous token]",
            )
            .offering(by_identity(refused("authentication required")))
            .fails_by([critical(RepositoryNotPermitted)
                .showing("managed identity")
                .saying("[failed to fetch oauth token, failed to fetch anonymous token]")]),
        story(
            "a pull secret is right, and the identity is gone",
            [login()],
        )
        .whose_walk(pulled())
        .offering(Credentials {
            identity: OfIdentity::Failed {
                stage: Stage::Identity,
                fault: Fault::Identity(timeout()),
            },
            ..offered([OfferEnd::Pulled])
        })
        .degraded_by([warning(MetadataUnreachable).showing("also with a pull secret")]),
        story(
            "a pull secret is wrong, and the identity is right",
            [login()],
        )
        .whose_walk(pulled())
        .offering(Credentials {
            identity: OfIdentity::Given,
            ..offered([refused("Invalid clientid or client secret.")])
        })
        .degraded_by([warning(ClientSecretRejected)]),
    ]
}

pub(super) fn stories() -> Vec<Story> {
    vec![
        story("the credential gets the image", [login()])
            .whose_walk(pulled())
            .offering(offered([OfferEnd::Pulled])),
        refused_alone(
            "the client secret has expired",
            refused("Invalid clientid or client secret."),
            critical(ClientSecretRejected).showing("Invalid clientid"),
        ),
        refused_alone(
            "a registry refuses and does not say why",
            OfferEnd::Refused(None),
            critical(ClientSecretRejected).showing("contoso.azurecr.io"),
        ),
        refused_alone(
            "the principal was deleted",
            refused("Application not registered with AAD."),
            critical(PrincipalUnknown).showing("not registered"),
        ),
        refused_alone(
            "the principal has no role for the repository",
            refused("authentication required, visit https://aka.ms/acr/authorization"),
            critical(RepositoryNotPermitted).advising("Container Registry Repository Reader"),
        ),
        refused_alone(
            "the token does not cover the repository",
            OfferEnd::NotGiven(None),
            critical(RepositoryNotPermitted).showing("probe/hello:v1"),
        ),
        story("a wrong secret stands in front of a right one", [login()])
            .whose_walk(pulled())
            .offering(offered([
                refused("Invalid clientid or client secret."),
                OfferEnd::Pulled,
            ]))
            .degraded_by([warning(ClientSecretRejected)]),
        story(
            "a wrong secret spoils a pull that works without it",
            [login()],
        )
        .under(expecting_anonymous_pull())
        .whose_walk_fails(true, OAUTH)
        .offering(offered([refused("Invalid clientid or client secret.")]))
        .fails_by([critical(ClientSecretRejected).saying(OAUTH)]),
        story("a secret is malformed", [login()])
            .whose_walk_fails(false, "illegal base64 data at input byte 0")
            .offering(with(OfSecret::Malformed(Some(
                "illegal base64 data at input byte 0".to_owned(),
            ))))
            .fails_by([critical(PullSecretInvalid).saying("illegal base64 data")]),
        story("a secret is malformed in another way", [login()])
            .whose_walk(WalkEnd::Failed {
                error: None,
                denied: false,
            })
            .offering(with(OfSecret::Malformed(None)))
            .fails_by([critical(PullSecretInvalid)
                .saying_nothing("Go's text for this is not known to the letter")]),
        story("a secret is for another registry", [login()])
            .whose_walk_fails(true, ANONYMOUS)
            .offering(with(OfSecret::NoMatch(vec![
                "fabrikam.azurecr.io".to_owned(),
            ])))
            .fails_by([critical(PullSecretNoMatch)
                .showing("fabrikam.azurecr.io")
                .saying(ANONYMOUS)]),
        story(
            "a secret is for another registry, and the image is for everybody",
            [login()],
        )
        .whose_walk(pulled())
        .offering(with(OfSecret::NoMatch(Vec::new())))
        .degraded_by([warning(PullSecretNoMatch).showing("no entries")]),
        story("an entry is empty", [login()])
            .whose_walk_fails(true, ANONYMOUS)
            .offering(offered([OfferEnd::Empty]))
            .fails_by([critical(PullSecretNoMatch).saying(ANONYMOUS)]),
    ]
}
