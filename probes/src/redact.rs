//! Takes secrets out of URLs before anything prints them: signed queries and user information.

/// `url` with its query, fragment and user information replaced.
pub fn redacted(url: &str) -> String {
    let (head, hidden) = match url.find(['?', '#']) {
        Some(at) => (&url[..at], "?…"),
        None => (url, ""),
    };
    let head = match head.split_once("//") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            match authority.rsplit_once('@') {
                Some((_, host)) => format!("{scheme}//…@{host}{path}"),
                None => head.to_owned(),
            }
        }
        None => head.to_owned(),
    };
    head + hidden
}

#[cfg(test)]
mod tests {
    use super::redacted;

    #[test]
    fn only_what_is_no_secret_is_left() {
        for (url, shown) in [
            (
                "https://contoso.azurecr.io/v2/",
                "https://contoso.azurecr.io/v2/",
            ),
            (
                "https://data.example/blob?sig=abc",
                "https://data.example/blob?…",
            ),
            (
                "https://user:pass@proxy.example:3128",
                "https://…@proxy.example:3128",
            ),
            ("//a@b@host/path#x", "//…@host/path?…"),
            ("/relative?token=1", "/relative?…"),
        ] {
            assert_eq!(redacted(url), shown);
        }
    }
}
