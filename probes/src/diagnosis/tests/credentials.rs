//! Stories about credentials, in the order of the causes that pods show as 401.

use super::{
    Expected, Story,
    build::{expecting_anonymous_pull, login},
    critical, story, warning,
};
use crate::{
    diagnosis::Code::{
        ClientSecretRejected, PrincipalUnknown, PullSecretInvalid, PullSecretNoMatch,
        RepositoryNotPermitted,
    },
    outcome::{Credentials, Offer, OfferEnd, WalkEnd},
    words::digest::Digest,
};

const ANONYMOUS: &str = "failed to fetch anonymous token: 401 Unauthorized";
const OAUTH: &str = "failed to fetch oauth token: 401 Unauthorized";

fn offered(ends: impl IntoIterator<Item = OfferEnd>) -> Credentials {
    let offers = ends.into_iter().map(|end| Offer {
        key: "contoso.azurecr.io".to_owned(),
        end,
    });
    Credentials::Offered(offers.collect())
}

fn refused(said: &str) -> OfferEnd {
    OfferEnd::Refused(Some(said.to_owned()))
}

fn pulled() -> WalkEnd {
    WalkEnd::Pulled {
        manifest: Digest::of(b"a manifest"),
        platform: None,
    }
}

/// The only credential is refused.
fn refused_alone(title: &'static str, end: OfferEnd, finds: Expected) -> Story {
    story(title, [login()])
        .whose_walk_fails(true, OAUTH)
        .offering(offered([end]))
        .fails_by([finds.saying(OAUTH)])
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
            .offering(Credentials::Malformed(Some(
                "illegal base64 data at input byte 0".to_owned(),
            )))
            .fails_by([critical(PullSecretInvalid).saying("illegal base64 data")]),
        story("a secret is malformed in another way", [login()])
            .whose_walk(WalkEnd::Failed {
                error: None,
                denied: false,
            })
            .offering(Credentials::Malformed(None))
            .fails_by([critical(PullSecretInvalid)
                .saying_nothing("Go's text for this is not known to the letter")]),
        story("a secret is for another registry", [login()])
            .whose_walk_fails(true, ANONYMOUS)
            .offering(Credentials::NoMatch(vec!["fabrikam.azurecr.io".to_owned()]))
            .fails_by([critical(PullSecretNoMatch)
                .showing("fabrikam.azurecr.io")
                .saying(ANONYMOUS)]),
        story(
            "a secret is for another registry, and the image is for everybody",
            [login()],
        )
        .whose_walk(pulled())
        .offering(Credentials::NoMatch(Vec::new()))
        .degraded_by([warning(PullSecretNoMatch).showing("no entries")]),
        story("an entry is empty", [login()])
            .whose_walk_fails(true, ANONYMOUS)
            .offering(offered([OfferEnd::Empty]))
            .fails_by([critical(PullSecretNoMatch).saying(ANONYMOUS)]),
    ]
}
