//! What the stages `manifest` and `blob` of one pull share. The bearer token is added only here, and
//! only to requests to the registry itself.

use hyper::header::HeaderValue;
use url::Url;

use crate::{
    stages::{http::fault::HttpFault, token::Secret},
    words::endpoint::Endpoint,
};

/// What is pulled, from where, and with which token.
pub(crate) struct Pull<'a> {
    /// The login endpoint, or the mirror in its place.
    pub registry: &'a Endpoint,
    /// The repository, such as `probe/hello`.
    pub repository: &'a str,
    /// The token that the registry's token service granted; `None` if it needs none.
    pub token: Option<&'a Secret>,
}

impl Pull<'_> {
    /// The URL of a part of the repository, such as `manifests/v1`.
    pub(crate) fn url(&self, part: &str) -> Url {
        let mut url = self.registry.origin();
        url.set_path(&format!("/v2/{}/{part}", self.repository));
        url
    }

    /// The header `Authorization` of a request to `endpoint`: only the registry gets one.
    pub(crate) fn authorization(
        &self,
        endpoint: &Endpoint,
    ) -> Result<Option<HeaderValue>, HttpFault> {
        let token = self
            .token
            .filter(|_| endpoint.is_same_server(self.registry));
        token.map(Secret::authorization).transpose()
    }
}
