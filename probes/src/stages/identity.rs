//! The stage `identity`: the metadata service of the node's virtual machine is asked for a token of a managed identity,
//! as the node's credential provider asks. Always at its fixed address, never by a proxy, one question at a time in
//! this process, and no redirect is followed. What it is asked for one registry is known to all: while it is silent or
//! asks to wait, nobody asks again.
//!
//! Source: learn.microsoft.com "how-to-use-vm-token"; the resource is that of the credential provider of Azure's
//! cloud provider, `pkg/credentialprovider/azure_credentials.go`.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use hyper::{
    HeaderMap, Method, StatusCode,
    header::{HeaderName, HeaderValue},
};
use jiff::Timestamp;
use serde::Deserialize;
use tokio::{
    sync::Mutex,
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
/// After an answer that is of no use to any identity, or none, it is left alone for so long at least: as long as it may
/// be updated after `410 Gone`.
const REST: Duration = Duration::from_secs(70);
/// The one of this node.
static SERVICE: Service = Service::at(SocketAddr::new(IpAddr::V4(METADATA), 80));

/// A token of Entra ID for registries, for one exchange. It has no `Debug`, and its memory is cleared when it is
/// dropped.
pub(crate) struct AccessToken(pub(super) Zeroizing<String>);

/// Asks for a token of `identity`. `None`: there was less time than the question may take.
pub(crate) async fn ask(
    identity: &ManagedIdentity,
    deadline: Instant,
) -> Option<Result<AccessToken, IdentityFault>> {
    SERVICE.ask(identity, deadline).await
}

/// A metadata service. It takes five questions at once of the whole machine, so this process asks one at a time.
struct Service {
    at: SocketAddr,
    /// Until when it is left alone, and why. Locked while a question is under way.
    rests: Mutex<Option<(Instant, IdentityFault)>>,
}

impl Service {
    const fn at(at: SocketAddr) -> Self {
        Self {
            at,
            rests: Mutex::const_new(None),
        }
    }

    async fn ask(
        &self,
        identity: &ManagedIdentity,
        deadline: Instant,
    ) -> Option<Result<AccessToken, IdentityFault>> {
        let left = || deadline.saturating_duration_since(Instant::now());
        // Whoever waits meanwhile has time left to hear of it.
        let limit = LIMIT.min(left() / 2);
        let mut rests = timeout_at(deadline, self.rests.lock()).await.ok()?;
        let now = Instant::now();
        rests.take_if(|(until, _)| *until <= now);
        if let Some((_, fault)) = &*rests {
            return Some(Err(fault.clone()));
        }
        // Other questions may have taken most of the time.
        let is_hurried = left() < limit;
        let asked = send(self.at, identity, deadline.min(now + limit)).await;
        let Err(fault) = &asked else {
            return Some(asked);
        };
        if is_hurried && fault.reason() == Reason::Timeout {
            return None;
        }
        let rest = rest(fault, Timestamp::now());
        *rests = rest.map(|rest| (Instant::now() + rest, fault.clone()));
        Some(asked)
    }
}

/// How long nobody asks again after `fault`; `None` if it is about one identity.
fn rest(fault: &IdentityFault, now: Timestamp) -> Option<Duration> {
    match fault {
        IdentityFault::Http(HttpFault::Io(_)) => Some(REST),
        IdentityFault::Http(HttpFault::Refused(refusal)) => {
            Some(refusal.wait(now).map_or(REST, |wait| wait.max(REST)))
        }
        _ => None,
    }
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
    use tokio::time::sleep;

    use super::*;
    use crate::stages::{
        fake::{Fake, answer},
        http::fault::Refusal,
    };

    const PATIENCE: Duration = Duration::from_secs(20);

    async fn ask(
        fake: &Fake,
        client_id: Option<&str>,
        patience: Duration,
    ) -> Result<AccessToken, IdentityFault> {
        let client_id = client_id.map(str::to_owned);
        let deadline = Instant::now() + patience;
        let (service, identity) = (service(fake), ManagedIdentity { client_id });
        let asked = service.ask(&identity, deadline).await;
        asked.expect("no other question for so long")
    }

    fn service(fake: &Fake) -> Service {
        let endpoint = fake.endpoint();
        Service::at(SocketAddr::new(endpoint.literal().unwrap(), endpoint.port))
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

    /// The fake answers once, and another question would be refused.
    #[tokio::test]
    async fn while_it_asks_to_wait_one_question_is_asked_for_all() {
        let throttled = answer("429 Too Many Requests", &["Retry-After: 5"], "");
        let fake = Fake::answering([throttled]).await;
        let service = service(&fake);
        let identity = |client_id: &str| ManagedIdentity {
            client_id: Some(client_id.to_owned()),
        };
        let [one, other] = ["one", "other"].map(identity);
        let deadline = Instant::now() + PATIENCE;
        let (first, second) =
            tokio::join!(service.ask(&one, deadline), service.ask(&other, deadline));
        let later = service.ask(&one, deadline).await;
        for asked in [first, second, later] {
            let fault = asked.unwrap().map(drop).unwrap_err();
            assert_eq!(fault.reason(), Reason::Throttled);
        }
        assert_eq!(fake.heads().len(), 1);
    }

    #[tokio::test]
    async fn a_question_with_too_little_time_left_says_nothing() {
        let fake = Fake::silent().await;
        let service = service(&fake);
        let nobody = ManagedIdentity { client_id: None };
        let under_way = service.rests.lock().await;
        let deadline = Instant::now() + Duration::from_millis(600);
        let (asked, ()) = tokio::join!(service.ask(&nobody, deadline), async {
            sleep(Duration::from_millis(500)).await;
            drop(under_way);
        });
        assert!(asked.is_none());
        assert!(service.rests.lock().await.is_none());
    }

    #[test]
    fn it_is_left_alone_as_long_as_it_asks_up_to_an_hour() {
        let now = "1994-11-06T08:49:00Z".parse().unwrap();
        let refused = |status, retry_after: &str| {
            IdentityFault::Http(HttpFault::Refused(Box::new(Refusal {
                status,
                retry_after: Some(retry_after.to_owned()),
                ..Refusal::default()
            })))
        };
        for (fault, seconds) in [
            (refused(429, "120"), Some(120)),
            (refused(410, "Sun, 06 Nov 1994 08:54:00 GMT"), Some(300)),
            (refused(429, "Sun, 06 Nov 1994 08:48:00 GMT"), Some(70)),
            (refused(429, "0"), Some(70)),
            (refused(429, "-120"), Some(70)),
            (refused(429, "soon"), Some(70)),
            (refused(410, ""), Some(70)),
            (refused(503, "99999999999999999999"), Some(3600)),
            (refused(429, "Fri, 01 Jan 2100 00:00:00 GMT"), Some(3600)),
            (IoFault::Refused.into(), Some(70)),
            (IdentityFault::NotAssigned(String::new()), None),
            (no_token().into(), None),
        ] {
            let expected = seconds.map(Duration::from_secs);
            assert_eq!(rest(&fault, now), expected, "{fault:?}");
        }
    }
}
