//! One pull: what the stages `manifest` and `blob` share. The bearer is added here and nowhere
//! else, and only to requests that go to the registry itself.

use hyper::header::HeaderValue;
use url::Url;

use crate::{
    stages::{http::fault::HttpFault, token::Secret},
    words::endpoint::Endpoint,
};

/// What is fetched, from where, and by whose leave.
pub(crate) struct Pull<'a> {
    /// The login endpoint, or the mirror that stands in for it.
    pub registry: &'a Endpoint,
    /// The repository, as `probe/hello`.
    pub repository: &'a str,
    /// The token that the registry's token service granted; `None` where it asks for none.
    pub token: Option<&'a Secret>,
}

impl Pull<'_> {
    /// The URL of a part of the repository, as `manifests/v1`.
    pub(crate) fn url(&self, part: &str) -> Url {
        let mut url = self.registry.origin();
        url.set_path(&format!("/v2/{}/{part}", self.repository));
        url
    }

    /// The header `Authorization` of a request to `endpoint`: none for anyone but the registry.
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
