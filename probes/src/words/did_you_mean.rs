//! Suggests the name that was probably meant when a name does not exist.

use super::{
    acr::{AcrCloud, AcrName},
    privatelink::{PRIVATELINK, has_privatelink, normalized},
};

/// The name that was probably meant by one that does not work: a private link name instead of the
/// public one, a mistyped ACR domain, a missing dot. `None` if there is no better guess.
pub(crate) fn did_you_mean(host: &str) -> Option<String> {
    let host = normalized(host);
    if has_privatelink(&host) {
        let labels: Vec<_> = host
            .split('.')
            .filter(|label| *label != PRIVATELINK)
            .collect();
        return Some(labels.join("."));
    }
    if AcrName::parse(&host).is_some() {
        return None;
    }
    let meant = with_missing_dot(&host).or_else(|| with_acr_domain(&host))?;
    AcrName::parse(&meant).map(|name| name.to_string())
}

/// `contosoazurecr.io`, `contoso.azurecrio`, `contoso.azurecr`.
fn with_missing_dot(host: &str) -> Option<String> {
    if let Some(labels) = host.strip_suffix(".azurecr") {
        return Some(format!("{labels}.azurecr.io"));
    }
    AcrCloud::ALL
        .into_iter()
        .map(AcrCloud::suffix)
        .find_map(|suffix| {
            let labels = host
                .strip_suffix(suffix)
                .or_else(|| host.strip_suffix(&suffix.replace('.', "")))?;
            Some(format!(
                "{}.{suffix}",
                labels.strip_suffix('.').unwrap_or(labels)
            ))
        })
}

/// `contoso.azureacr.io`, `contoso.azurecr.com`: one typo in `azurecr`, or a top-level domain that ACR
/// does not use.
fn with_acr_domain(host: &str) -> Option<String> {
    let (rest, top) = host.rsplit_once('.')?;
    let (labels, domain) = rest.rsplit_once('.')?;
    if !is_one_typo_or_less(domain, "azurecr") {
        return None;
    }
    let has_acr = AcrCloud::ALL
        .iter()
        .any(|cloud| cloud.suffix().ends_with(&format!(".{top}")));
    Some(format!(
        "{labels}.azurecr.{}",
        if has_acr { top } else { "io" }
    ))
}

/// The texts are equal, or differ by one letter that is missing, extra, wrong or swapped with the next.
fn is_one_typo_or_less(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let same = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    match (&a[same..], &b[same..]) {
        ([], []) | ([_], []) | ([], [_]) => true,
        ([a0, a1, a @ ..], [b0, b1, b @ ..]) if a0 == b1 && a1 == b0 && a == b => true,
        ([_, a @ ..], [_, b @ ..]) if a == b => true,
        ([_, a @ ..], b) if a == b => true,
        (a, [_, b @ ..]) => a == b,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggestions() {
        #[rustfmt::skip]
        let table = [
            ("contoso.azureacr.io", Some("contoso.azurecr.io")),
            ("contoso.azurcr.io", Some("contoso.azurecr.io")),
            ("contoso.auzrecr.io", Some("contoso.azurecr.io")),
            ("contoso.azurecr.com", Some("contoso.azurecr.io")),
            ("contoso.azurecr.net", Some("contoso.azurecr.io")),
            ("contoso.azureacr.us", Some("contoso.azurecr.us")),
            ("contoso.westeurope.data.azureacr.io", Some("contoso.westeurope.data.azurecr.io")),
            ("contosoazurecr.io", Some("contoso.azurecr.io")),
            ("contoso.azurecrio", Some("contoso.azurecr.io")),
            ("contoso.azurecr", Some("contoso.azurecr.io")),
            ("contoso.privatelink.azurecr.io", Some("contoso.azurecr.io")),
            ("contoso.westeurope.data.privatelink.azurecr.io.", Some("contoso.westeurope.data.azurecr.io")),
            ("s.privatelink.blob.core.windows.net", Some("s.blob.core.windows.net")),
            ("contoso.azurecr.io", None),
            ("con_toso.azureacr.io", None),
            ("registry.example", None),
            ("mcr.microsoft.com", None),
            ("quay.io", None),
            ("azurecr.io", None),
            ("", None),
        ];
        for (host, expected) in table {
            assert_eq!(did_you_mean(host).as_deref(), expected, "{host}");
        }
    }

    #[test]
    fn typos() {
        for (a, expected) in [
            ("abcd", true),
            ("abc", true),
            ("abcde", true),
            ("bacd", true),
            ("abxd", true),
            ("abdc", true),
            ("ab", false),
            ("badc", false),
        ] {
            assert_eq!(is_one_typo_or_less(a, "abcd"), expected, "{a}");
            assert_eq!(is_one_typo_or_less("abcd", a), expected, "{a}");
        }
    }
}
