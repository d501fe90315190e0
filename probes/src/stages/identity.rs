//! The stage `identity`: the metadata service of the node's virtual machine is asked for a token of a managed identity,
//! as the node's credential provider asks. Always at its fixed address, never by a proxy, one question at a time in
//! this process, and no redirect is followed.
//!
//! Source: learn.microsoft.com "how-to-use-vm-token"; the resource is that of the credential provider of Azure's
//! cloud provider, `pkg/credentialprovider/azure_credentials.go`.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use hyper::{
    HeaderMap, Method, StatusCode,
    header::{HeaderName, HeaderValue},
};
use serde::Deserialize;
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};
use url::form_urlencoded;
use zeroize::Zeroizing;

use crate::{
    net::{inert::excerpt, io_fault::IoFault},
    stages::{
        connect,
        http::{
            connection::{HttpConnection, Request},
            fault::HttpFault,
            response::Response,
        },
    },
    words::{reason::Reason, target::ManagedIdentity},
};

/// Where every machine of Azure has it.
pub(crate) const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
const PATH: &str = "/metadata/identity/oauth2/token";
/// Whom the token is for: the registries of all clouds.
const RESOURCE: &str = "https://containerregistry.azure.net";
/// It is on the same host, and answers within tens of milliseconds.
const LIMIT: Duration = Duration::from_secs(5);
/// The service takes five at once of the whole machine.
static ONE_AT_A_TIME: Semaphore = Semaphore::const_new(1);

/// A token of Entra ID for registries, for one exchange. It has no `Debug`, and its memory is cleared when it is
/// dropped.
pub(crate) struct AccessToken(pub(super) Zeroizing<String>);

/// Asks for a token of `identity`. `None`: other questions were under way until `deadline`.
pub(crate) async fn ask(
    identity: &ManagedIdentity,
    deadline: Instant,
) -> Option<Result<AccessToken, IdentityFault>> {
    let at = SocketAddr::from((METADATA, 80));
    ask_at(at, identity, deadline).await
}

async fn ask_at(
    at: SocketAddr,
    identity: &ManagedIdentity,
    deadline: Instant,
) -> Option<Result<AccessToken, IdentityFault>> {
    let turn = timeout_at(deadline, ONE_AT_A_TIME.acquire()).await;
    let _turn = turn.ok()?.ok()?;
    let limit = deadline.min(Instant::now() + LIMIT);
    Some(send(at, identity, limit).await)
}

async fn send(
    at: SocketAddr,
    identity: &ManagedIdentity,
    deadline: Instant,
) -> Result<AccessToken, IdentityFault> {
    let (wire, _) = connect::dial(at, deadline).await.map_err(HttpFault::from)?;
    let allowance = wire.allowance().clone();
    let mut http = HttpConnection::open(wire, at.ip().to_string(), allowance).await?;
    let name = HeaderName::from_static("metadata");
    let request = Request {
        method: Method::GET,
        target: &target(identity),
        headers: HeaderMap::from_iter([(name, HeaderValue::from_static("true"))]),
        body: Default::default(),
    };
    let response = http.send(request, deadline).await?;
    answer(response, identity, deadline).await
}

fn target(identity: &ManagedIdentity) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("api-version", "2018-02-01");
    query.append_pair("resource", RESOURCE);
    if let Some(client_id) = &identity.client_id {
        query.append_pair("client_id", client_id);
    }
    format!("{PATH}?{}", query.finish())
}

async fn answer(
    mut response: Response,
    identity: &ManagedIdentity,
    deadline: Instant,
) -> Result<AccessToken, IdentityFault> {
    if let Some(to) = response.redirect() {
        let why = "a metadata service does not redirect";
        return Err(HttpFault::not_followed(to, why).into());
    }
    match response.status {
        StatusCode::OK => {
            let body = response.body(deadline).await?;
            let issued: Issued = serde_json::from_slice(&body).map_err(|_| no_token())?;
            let token = token(issued.access_token).ok_or_else(no_token)?;
            Ok(AccessToken(token))
        }
        StatusCode::BAD_REQUEST => {
            let body = response.body(deadline).await.unwrap_or_default();
            let refused = serde_json::from_slice::<Refused>(&body)
                .map_err(|_| HttpFault::Malformed("400 without a word why".to_owned()))?;
            let is_ambiguous = refused
                .error_description
                .to_lowercase()
                .contains("multiple user assigned identities");
            let said = excerpt(refused.error_description.as_bytes());
            Err(match is_ambiguous && identity.client_id.is_none() {
                true => IdentityFault::Ambiguous(said),
                false => IdentityFault::NotAssigned(said),
            })
        }
        _ => Err(response.refusal(deadline).await.into()),
    }
}

/// `text`, if it can be a token.
pub(super) fn token(text: String) -> Option<Zeroizing<String>> {
    let text = Zeroizing::new(text);
    let is_token = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    is_token.then_some(text)
}

fn no_token() -> HttpFault {
    HttpFault::Malformed("an answer that is no token".to_owned())
}

#[derive(Deserialize)]
struct Issued {
    access_token: String,
}

#[derive(Deserialize)]
struct Refused {
    #[serde(default)]
    error_description: String,
}

/// Why there is no token of an identity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityFault {
    /// The metadata service knows no such identity on this node: its words.
    #[error("the metadata service has no such identity: {0}")]
    NotAssigned(String),
    /// The node has several identities, and none is named: its words.
    #[error("the metadata service has several identities: {0}")]
    Ambiguous(String),
    /// The credential provider would ask by this proxy, so the metadata service was not asked.
    #[error("the node's proxy settings send the question to {0}")]
    Proxied(String),
    /// It gives no answer of use.
    #[error(transparent)]
    Http(#[from] HttpFault),
}

impl IdentityFault {
    /// The reason that this fault counts as.
    pub fn reason(&self) -> Reason {
        match self {
            Self::NotAssigned(_) => Reason::NotAssigned,
            Self::Ambiguous(_) => Reason::Ambiguous,
            Self::Proxied(_) => Reason::NotFollowed,
            Self::Http(fault) => fault.reason(),
        }
    }
}

impl From<IoFault> for IdentityFault {
    fn from(fault: IoFault) -> Self {
        Self::Http(fault.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::fake::{Fake, answer};

    const PATIENCE: Duration = Duration::from_secs(20);

    async fn ask(
        fake: &Fake,
        client_id: Option<&str>,
        patience: Duration,
    ) -> Result<AccessToken, IdentityFault> {
        let endpoint = fake.endpoint();
        let at = SocketAddr::new(endpoint.literal().unwrap(), endpoint.port);
        let client_id = client_id.map(str::to_owned);
        let deadline = Instant::now() + patience;
        let asked = ask_at(at, &ManagedIdentity { client_id }, deadline).await;
        asked.expect("no other question for so long")
    }

    async fn fault(status: &str, headers: &[&str], body: &str) -> IdentityFault {
        let fake = Fake::answering([answer(status, headers, body)]).await;
        match ask(&fake, None, PATIENCE).await {
            Ok(_) => panic!("a token came of {status} {body}"),
            Err(fault) => fault,
        }
    }

    #[tokio::test]
    async fn the_question_is_that_of_the_credential_provider() {
        for (client_id, query) in [
            (None, ""),
            (Some("d5b9dd1e&x=y"), "&client_id=d5b9dd1e%26x%3Dy"),
        ] {
            let fake =
                Fake::answering([answer("200 OK", &[], r#"{"access_token":"eyJ.a-b_c"}"#)]).await;
            let Ok(token) = ask(&fake, client_id, PATIENCE).await else {
                panic!("no token");
            };
            assert_eq!(*token.0, "eyJ.a-b_c");
            let head = &fake.heads()[0];
            let line = format!(
                "GET /metadata/identity/oauth2/token?api-version=2018-02-01&\
                 resource=https%3A%2F%2Fcontainerregistry.azure.net{query} HTTP/1.1\r\n"
            );
            assert!(head.starts_with(&line), "{head}");
            assert!(head.contains("\r\nmetadata: true\r\n"), "{head}");
        }
    }

    #[tokio::test]
    async fn its_words_name_the_cause() {
        let body =
            |text: &str| format!(r#"{{"error":"invalid_request","error_description":"{text}"}}"#);
        let several = "Multiple user assigned identities exist, please specify the clientId";
        assert_eq!(
            fault("400 Bad Request", &[], &body("Identity not found")).await,
            IdentityFault::NotAssigned("Identity not found".to_owned())
        );
        assert_eq!(
            fault("400 Bad Request", &[], &body(several)).await,
            IdentityFault::Ambiguous(several.to_owned())
        );
        for (status, body, reason) in [
            ("400 Bad Request", "<html>", Reason::Malformed),
            ("404 Not Found", "", Reason::NotFound),
            ("410 Gone", "", Reason::UnexpectedStatus),
            ("429 Too Many Requests", "", Reason::Throttled),
            ("500 Internal Server Error", "", Reason::ServerError),
            ("200 OK", "<html>", Reason::Malformed),
            ("200 OK", "{}", Reason::Malformed),
            ("200 OK", r#"{"access_token":""}"#, Reason::Malformed),
            (
                "200 OK",
                r#"{"access_token":"a\r\nb: c"}"#,
                Reason::Malformed,
            ),
        ] {
            assert_eq!(
                fault(status, &[], body).await.reason(),
                reason,
                "{status} {body}"
            );
        }
        let to = fault("302 Found", &["Location: http://evil.example/"], "").await;
        assert_eq!(to.reason(), Reason::NotFollowed);
    }

    #[tokio::test]
    async fn it_is_not_waited_for_and_floods_nobody() {
        let silent = ask(&Fake::silent().await, None, Duration::from_millis(500)).await;
        assert_eq!(
            silent.err().map(|fault| fault.reason()),
            Some(Reason::Timeout)
        );
        let flood = Fake::endless("HTTP/1.1 200 OK\r\n\r\n", &"x".repeat(4096)).await;
        let flood = ask(&flood, None, PATIENCE).await;
        assert_eq!(
            flood.err().map(|fault| fault.reason()),
            Some(Reason::TooLarge)
        );
    }
}
