//! What a healthy Azure Container Registry answers: challenge, exchange, tokens, manifests, blobs by
//! redirect, and the data endpoint behind it. No faults and no sockets here.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;

use super::Route;
use super::rights::{NO_USER, Rights};
use crate::fakes::answer::{API_VERSION, Challenge, azure_challenge, error, unauthorized};
use crate::fakes::http::{Request, Response};
use crate::image::Image;

/// What the answers depend on besides the request.
pub(super) struct Service<'a> {
    pub(super) name: &'a str,
    pub(super) realm: &'a str,
    /// Where blobs are redirected to; without one the login server sends them itself.
    pub(super) data_url: Option<&'a str>,
    pub(super) images: &'a [Image],
    pub(super) anonymous_pull: bool,
    /// Manifests and blobs need no token.
    pub(super) is_open: bool,
    /// What the identities of its tenant may do.
    pub(super) rights: &'a Rights,
    /// Who may pull everything beside the account that every registry knows.
    pub(super) admitted: &'a [String],
    /// The form of its challenges, if it is not the usual one.
    pub(super) challenge: Option<&'a Challenge>,
    /// What a data endpoint answers without a signature, if it is not 403.
    pub(super) unsigned_status: Option<u16>,
}

impl Route {
    /// The route of a path of the login server.
    pub(super) fn of(path: &str) -> Self {
        match path {
            "/v2" | "/v2/" => Self::Ping,
            "/oauth2/exchange" => Self::Exchange,
            _ if path.ends_with("/oauth2/token") => Self::Token,
            _ if path.contains("/v2/") && path.contains("/manifests/") => Self::Manifest,
            _ if path.contains("/v2/") && path.contains("/blobs/") => Self::Blob,
            _ => Self::Other,
        }
    }
}

impl Service<'_> {
    pub(super) fn respond(&self, route: Route, request: &Request) -> Response {
        match route {
            Route::Ping => self.challenge(""),
            Route::Exchange => self.rights.exchange(self.name, request),
            Route::Token => self.token(request),
            Route::Manifest => self.manifest(request),
            Route::Blob => self.blob(request),
            Route::Data => self.data(request),
            Route::Other => Response::new(404).body("text/plain", "404 page not found\n"),
        }
    }

    fn challenge(&self, scope: &str) -> Response {
        if let Some(form) = self.challenge {
            return form.response(self.realm, self.name);
        }
        let mut challenge = azure_challenge(self.realm, self.name);
        if !scope.is_empty() {
            challenge.push_str(&format!(r#",scope="{scope}""#));
        }
        unauthorized().header("Www-Authenticate", challenge)
    }

    fn token(&self, request: &Request) -> Response {
        if request.method == "POST" {
            let is_refresh = request.field("grant_type").as_deref() == Some("refresh_token");
            let (Some(token), true) = (request.field("refresh_token"), is_refresh) else {
                return error(400, "UNSUPPORTED", "the grant type is not supported");
            };
            let scope = request.field("scope").unwrap_or_default();
            return self.token_for(&scope, self.rights.permit(self.name, &token));
        }
        let permitted = match request
            .header("authorization")
            .map(|it| Account::of(it, self.admitted))
        {
            None => self.anonymous_pull,
            Some(Account::Reader) => true,
            Some(Account::Limited) => false,
            Some(Account::Identity(token)) => self.rights.permit(self.name, &token),
            Some(Account::WrongPassword) => {
                return error(401, "UNAUTHORIZED", "Invalid clientid or client secret.");
            }
            Some(Account::Unknown) => {
                return error(401, "UNAUTHORIZED", "Application not registered with AAD.");
            }
        };
        let scope = request.parameter("scope").unwrap_or_default();
        self.token_for(&scope, permitted)
    }

    fn token_for(&self, scope: &str, is_permitted: bool) -> Response {
        let mut images = self.images.iter();
        if is_permitted && images.any(|image| scope == pull_scope(image.repository())) {
            Response::new(200).json(&json!({"access_token": token_for(scope)}))
        } else {
            unauthorized()
        }
    }

    fn manifest(&self, request: &Request) -> Response {
        let (repository, reference) = split(request.path(), "/manifests/");
        if let Err(challenge) = self.authorize(request, repository) {
            return challenge;
        }
        let found = self
            .images
            .iter()
            .filter(|image| image.repository() == repository)
            .find_map(|image| image.manifest(reference));
        match found {
            Some((digest, manifest)) => Response::new(200)
                .header(API_VERSION.0, API_VERSION.1)
                .header("Docker-Content-Digest", digest)
                .body(manifest.media_type, manifest.bytes.clone()),
            None => error(
                404,
                "MANIFEST_UNKNOWN",
                "manifest tagged by the reference is not found",
            ),
        }
    }

    fn blob(&self, request: &Request) -> Response {
        let (repository, digest) = split(request.path(), "/blobs/");
        if let Err(challenge) = self.authorize(request, repository) {
            return challenge;
        }
        let Some(blob) = self.find_blob(digest) else {
            return error(404, "BLOB_UNKNOWN", "blob unknown to registry");
        };
        match self.data_url {
            Some(data) => Response::new(307).header("Location", signed_url(data, digest)),
            None => range_of(blob, request).header("Docker-Content-Digest", digest),
        }
    }

    /// The data endpoint ignores bearer tokens: any request with a signed URL may read that blob.
    fn data(&self, request: &Request) -> Response {
        if request.parameter("sig").as_deref() != Some(SIGNATURE) {
            let status = self.unsigned_status.unwrap_or(403);
            return storage_error(status, "AuthenticationFailed");
        }
        let digest = request.path().trim_end_matches("/data").rsplit('/').next();
        let blob = digest.and_then(|hex| self.find_blob(&format!("sha256:{hex}")));
        match blob {
            Some(blob) => range_of(blob, request).header("x-ms-blob-type", "BlockBlob"),
            None => storage_error(404, "BlobNotFound"),
        }
    }

    fn authorize(&self, request: &Request, repository: &str) -> Result<(), Response> {
        let scope = pull_scope(repository);
        let granted = format!("Bearer {}", token_for(&scope));
        if self.is_open || request.header("authorization") == Some(&granted) {
            Ok(())
        } else {
            Err(self.challenge(&scope))
        }
    }

    fn find_blob(&self, digest: &str) -> Option<&[u8]> {
        self.images.iter().find_map(|image| image.blob(digest))
    }
}

/// An account that every registry of the lab knows, and that may pull everything.
pub const CREDENTIALS: &str = "reader:secret";
/// One whose scope map has other repositories.
const LIMITED: &str = "limited:secret";

/// Who a request says that it is.
enum Account {
    Reader,
    Limited,
    /// With a refresh token of an exchange.
    Identity(String),
    WrongPassword,
    Unknown,
}

impl Account {
    fn of(authorization: &str, admitted: &[String]) -> Self {
        let pair = authorization.strip_prefix("Basic ").unwrap_or_default();
        let pair = STANDARD.decode(pair).unwrap_or_default();
        let pair = String::from_utf8_lossy(&pair);
        let user = |pair: &str| pair.split(':').next().unwrap_or_default().to_owned();
        if let Some((NO_USER, token)) = pair.split_once(':') {
            return Self::Identity(token.to_owned());
        }
        match &*pair {
            CREDENTIALS => Self::Reader,
            pair if admitted.iter().any(|known| known == pair) => Self::Reader,
            LIMITED => Self::Limited,
            pair if [CREDENTIALS, LIMITED].map(user).contains(&user(pair)) => Self::WrongPassword,
            _ => Self::Unknown,
        }
    }
}

const SIGNATURE: &str = "c2VjcmV0LW9mLXRoZS1sYWI=";

fn pull_scope(repository: &str) -> String {
    format!("repository:{repository}:pull")
}

/// A token for pulls of a repository.
#[must_use]
pub fn pull_token(repository: &str) -> String {
    token_for(&pull_scope(repository))
}

/// A token is the scope it grants, so any registry of the lab takes what any other has issued.
fn token_for(scope: &str) -> String {
    format!("lab.{}.token", URL_SAFE_NO_PAD.encode(scope))
}

/// A URL as Azure signs them; the query is what must never be shown.
fn signed_url(data: &str, digest: &str) -> String {
    let hex = digest.trim_start_matches("sha256:");
    let (first, _) = hex.split_at_checked(2).unwrap_or((hex, ""));
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([
            ("se", "2099-01-01T00:00:00Z"),
            ("sig", SIGNATURE),
            ("sp", "r"),
            ("sr", "b"),
        ])
        .finish();
    format!("{data}/lab-0123456789//docker/registry/v2/blobs/sha256/{first}/{hex}/data?{query}")
}

/// Splits `…/v2/<repository><between><last>`.
fn split<'a>(path: &'a str, between: &str) -> (&'a str, &'a str) {
    let (_, path) = path.split_once("/v2/").unwrap_or_default();
    path.split_once(between).unwrap_or_default()
}

/// The blob, or the one range of it that was asked for (RFC 9110, section 14).
fn range_of(blob: &[u8], request: &Request) -> Response {
    const BINARY: &str = "application/octet-stream";
    let size = blob.len();
    let Some(range) = request
        .header("range")
        .and_then(|range| range.strip_prefix("bytes="))
    else {
        return Response::new(200)
            .header("Accept-Ranges", "bytes")
            .body(BINARY, blob);
    };
    let (first, last) = range.split_once('-').unwrap_or((range, ""));
    let first = first.parse().unwrap_or(0_usize);
    let last = last
        .parse()
        .unwrap_or(usize::MAX)
        .min(size.saturating_sub(1));
    match blob.get(first..=last) {
        Some(part) if !part.is_empty() => Response::new(206)
            .header("Content-Range", format!("bytes {first}-{last}/{size}"))
            .body(BINARY, part),
        _ => Response::new(416).header("Content-Range", format!("bytes */{size}")),
    }
}

fn storage_error(status: u16, code: &str) -> Response {
    let body =
        format!("<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>{code}</Code></Error>");
    Response::new(status)
        .header("x-ms-error-code", code)
        .body("application/xml", body)
}
