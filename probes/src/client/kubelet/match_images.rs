//! Which images a key of a pull secret, or a pattern of a credential provider, stands for.
//!
//! Source: Kubernetes `pkg/credentialprovider/keyring.go` (`URLsMatch`).

/// Whether `image`, as `host[:port]/repository`, is one of `pattern`: as many labels in the host, each by glob; the
/// same port, or none on both sides; and a path that begins so.
pub(super) fn is_match(pattern: &str, image: &str) -> bool {
    let (pattern_host, pattern_path) = split_path(pattern);
    let (host, path) = split_path(image);
    let ((pattern_host, pattern_port), (host, port)) = (split_port(pattern_host), split_port(host));
    let (patterns, labels) = (pattern_host.split('.'), host.split('.'));
    pattern_port == port
        && patterns.clone().count() == labels.clone().count()
        && path.starts_with(pattern_path)
        && patterns
            .zip(labels)
            .all(|(pattern, label)| is_glob_of(pattern.as_bytes(), label.as_bytes()))
}

fn split_path(url: &str) -> (&str, &str) {
    url.split_at(url.find('/').unwrap_or(url.len()))
}

fn split_port(host: &str) -> (&str, &str) {
    match host.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, port),
        _ => (host, ""),
    }
}

/// `*` is any text and `?` any character.
fn is_glob_of(pattern: &[u8], text: &[u8]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((b'*', rest)) => (0..=text.len()).any(|skipped| is_glob_of(rest, &text[skipped..])),
        Some((first, rest)) => text.split_first().is_some_and(|(next, after)| {
            (*first == b'?' || first == next) && is_glob_of(rest, after)
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_ports_and_paths() {
        for (pattern, image, matches) in [
            ("contoso.azurecr.io", "contoso.azurecr.io/probe/hello", true),
            (
                "contoso.azurecr.io",
                "fabrikam.azurecr.io/probe/hello",
                false,
            ),
            ("*.azurecr.io", "contoso.azurecr.io/probe/hello", true),
            ("con*.azurecr.io", "contoso.azurecr.io/probe/hello", true),
            ("cont?so.azurecr.io", "contoso.azurecr.io/probe/hello", true),
            // A star stays within its label.
            ("*.io", "contoso.azurecr.io/probe/hello", false),
            ("*.azurecr.io", "contoso.geo.azurecr.io/probe", false),
            ("*.*.azurecr.io", "contoso.geo.azurecr.io/probe", true),
            ("registry.example", "registry.example:5000/app", false),
            ("registry.example:5000", "registry.example:5000/app", true),
            ("registry.example:5000", "registry.example/app", false),
            (
                "contoso.azurecr.io/probe",
                "contoso.azurecr.io/probe/hello",
                true,
            ),
            (
                "contoso.azurecr.io/probe",
                "contoso.azurecr.io/problem",
                false,
            ),
            // A plain prefix, not a whole part of the path.
            (
                "contoso.azurecr.io/pro",
                "contoso.azurecr.io/probe/hello",
                true,
            ),
            (
                "contoso.azurecr.io/other",
                "contoso.azurecr.io/probe/hello",
                false,
            ),
            ("[::1]:5000", "[::1]:5000/app", true),
        ] {
            assert_eq!(is_match(pattern, image), matches, "{pattern} {image}");
        }
    }
}
