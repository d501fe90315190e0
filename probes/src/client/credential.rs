//! A user and a password as they reach the node's containerd. Neither is ever shown: the type has no `Debug`, and
//! its memory is cleared when it is dropped.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use hyper::header::HeaderValue;
use url::form_urlencoded;
use zeroize::Zeroizing;

const MASK: &str = "***";

/// A user and a password, neither of them empty.
pub(crate) struct Credential {
    user: Zeroizing<String>,
    password: Zeroizing<String>,
}

impl Credential {
    /// `None` where the client would take them for nothing: one of the two is empty.
    ///
    /// Source: containerd `internal/cri/server/images/image_pull.go` (`ParseAuth`), `core/remotes/docker/authorizer.go`.
    pub(crate) fn new(user: Zeroizing<String>, password: Zeroizing<String>) -> Option<Self> {
        (!user.is_empty() && !password.is_empty()).then_some(Self { user, password })
    }

    /// The header `Authorization` of Basic authentication.
    pub(crate) fn basic(&self) -> Option<HeaderValue> {
        let text = Zeroizing::new(format!("Basic {}", *self.encoded()));
        let mut value = HeaderValue::from_str(&text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// The body of a token request by password, with `fields` that are no secrets.
    pub(crate) fn form(&self, fields: &[(&str, String)]) -> Bytes {
        let own = [
            ("grant_type", "password"),
            ("username", &*self.user),
            ("password", &*self.password),
        ];
        let fields = fields.iter().map(|(name, value)| (*name, value.as_str()));
        let mut pairs: Vec<_> = own.into_iter().chain(fields).collect();
        pairs.sort_unstable();
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(pairs).finish().into()
    }

    /// Whether `text` shows the password, as it is or as a header has it.
    pub(crate) fn is_in(&self, text: &str) -> bool {
        text.contains(&**self.password) || text.contains(&**self.encoded())
    }

    /// `text` with the password left out, as it is or as a header has it.
    pub(crate) fn masked(&self, text: &str) -> String {
        let encoded = self.encoded();
        // A URL has no padding, or other characters for it.
        let encoded = encoded.trim_end_matches('=');
        text.replace(&**self.password, MASK).replace(encoded, MASK)
    }

    fn encoded(&self) -> Zeroizing<String> {
        let pair = Zeroizing::new(format!("{}:{}", *self.user, *self.password));
        Zeroizing::new(STANDARD.encode(pair.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credential(user: &str, password: &str) -> Option<Credential> {
        let secret = |text: &str| Zeroizing::new(text.to_owned());
        Credential::new(secret(user), secret(password))
    }

    #[test]
    fn a_form_is_sorted_and_escaped_as_go_does() {
        let reader = credential("reader", "p&ss w=rd").unwrap();
        let fields = [
            ("client_id", "containerd-client".to_owned()),
            ("scope", "repository:a:pull".to_owned()),
        ];
        assert_eq!(
            &*reader.form(&fields),
            b"client_id=containerd-client&grant_type=password&password=p%26ss+w%3Drd&scope=repository%3Aa%3Apull&username=reader"
        );
        assert_eq!(reader.basic().unwrap(), "Basic cmVhZGVyOnAmc3Mgdz1yZA==");
        assert!(reader.basic().unwrap().is_sensitive());
    }

    #[test]
    fn is_masked_in_either_form() {
        let reader = credential("reader", "s3cret").unwrap();
        let url = "https://a.example/s3cret/cmVhZGVyOnMzY3JldA%3D%3D?p=cmVhZGVyOnMzY3JldA==";
        let masked = "https://a.example/***/***%3D%3D?p=***==";
        assert_eq!(reader.masked(url), masked);
        assert_eq!(reader.masked(masked), masked);
    }

    #[test]
    fn half_of_one_is_none() {
        for (user, password) in [("", "x"), ("x", ""), ("", "")] {
            assert!(
                credential(user, password).is_none(),
                "{user:?} {password:?}"
            );
        }
    }
}
