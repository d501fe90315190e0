//! What the names of Azure Container Registry (ACR) and of private link say by themselves: which
//! endpoint a host is, which record its private zone should hold, and what a CNAME chain or an SOA
//! owner gives away. Diagnosis reads names through it; it asks nobody and knows no addresses.

use std::fmt;

/// The label that every private link zone starts with.
/// <https://learn.microsoft.com/azure/private-link/private-endpoint-dns>
const PRIVATELINK: &str = "privatelink";

/// The cloud that a registry lives in; each has a suffix of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AcrCloud {
    /// `azurecr.io`
    Public,
    /// `azurecr.us`
    UsGovernment,
    /// `azurecr.cn`
    China,
    /// `azurecr.de`, closed in 2021
    Germany,
}

impl AcrCloud {
    const ALL: [Self; 4] = [Self::Public, Self::UsGovernment, Self::China, Self::Germany];

    /// The domain of its registries.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Public => "azurecr.io",
            Self::UsGovernment => "azurecr.us",
            Self::China => "azurecr.cn",
            Self::Germany => "azurecr.de",
        }
    }
}

/// Which of a registry's endpoints a name is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AcrEndpoint {
    /// `<reg>.azurecr.io`
    Login,
    /// `<reg>.<region>.geo.azurecr.io`
    Regional(String),
    /// `<reg>.<region>.data.azurecr.io`
    Data(String),
}

/// The name of an ACR endpoint. It displays as the host name, in lower case.
///
/// Source:
/// <https://learn.microsoft.com/azure/container-registry/container-registry-endpoint-reference>
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AcrName {
    /// The registry: 5–50 letters and digits, with `-` and a hash behind it if it was made with a
    /// domain name label (DNL).
    pub registry: String,
    /// The endpoint.
    pub endpoint: AcrEndpoint,
    /// The cloud.
    pub cloud: AcrCloud,
}

impl AcrName {
    /// Reads a host name, in any case and with or without a dot at its end. `None` if it is no ACR
    /// endpoint; a private link name is none either.
    pub fn parse(host: &str) -> Option<Self> {
        let host = normalized(host);
        let (cloud, labels) = AcrCloud::ALL.into_iter().find_map(|cloud| {
            let labels = host.strip_suffix(cloud.suffix())?.strip_suffix('.')?;
            Some((cloud, labels))
        })?;
        let (registry, endpoint) = match *labels.split('.').collect::<Vec<_>>() {
            [registry] => (registry, AcrEndpoint::Login),
            [registry, region, "geo"] if is_alphanumeric(region) => {
                (registry, AcrEndpoint::Regional(region.to_owned()))
            }
            [registry, region, "data"] if is_alphanumeric(region) => {
                (registry, AcrEndpoint::Data(region.to_owned()))
            }
            _ => return None,
        };
        is_registry(registry).then(|| Self {
            registry: registry.to_owned(),
            endpoint,
            cloud,
        })
    }

    /// The login server of the registry.
    #[must_use]
    pub fn login_server(&self) -> Self {
        Self {
            endpoint: AcrEndpoint::Login,
            ..self.clone()
        }
    }

    /// The dedicated data endpoint of the registry's replica in a region (`westeurope`).
    #[must_use]
    pub fn data_endpoint(&self, region: &str) -> Self {
        Self {
            endpoint: AcrEndpoint::Data(region.to_ascii_lowercase()),
            ..self.clone()
        }
    }

    /// The private DNS zone that holds the records of all its endpoints: `privatelink.azurecr.io`.
    pub fn privatelink_zone(&self) -> String {
        format!("{PRIVATELINK}.{}", self.cloud.suffix())
    }

    /// The record expected in that zone: `reg.privatelink.azurecr.io`,
    /// `reg.region.data.privatelink.azurecr.io`.
    pub fn privatelink_name(&self) -> String {
        format!("{}.{}", self.labels(), self.privatelink_zone())
    }

    /// What stands before the suffix.
    fn labels(&self) -> String {
        match &self.endpoint {
            AcrEndpoint::Login => self.registry.clone(),
            AcrEndpoint::Regional(region) => format!("{}.{region}.geo", self.registry),
            AcrEndpoint::Data(region) => format!("{}.{region}.data", self.registry),
        }
    }
}

impl fmt::Display for AcrName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.labels(), self.cloud.suffix())
    }
}

/// The login server meant by a bare registry name: `contoso` is `contoso.azurecr.io`. `None` if it
/// cannot be the name of a registry.
pub fn expand_bare_name(name: &str) -> Option<AcrName> {
    let registry = name.to_ascii_lowercase();
    let long_enough = registry
        .split('-')
        .next()
        .is_some_and(|name| name.len() >= 5);
    (is_registry(&registry) && long_enough && registry != "localhost").then_some(AcrName {
        registry,
        endpoint: AcrEndpoint::Login,
        cloud: AcrCloud::Public,
    })
}

/// The chain of a lookup goes through private link: a private endpoint exists somewhere, for ACR or
/// any other service (`*.privatelink.blob.core.windows.net`). `chain` is the names in the order of
/// the CNAMEs.
pub(crate) fn passes_privatelink(chain: &[impl AsRef<str>]) -> bool {
    chain.iter().any(|name| has_privatelink(name.as_ref()))
}

/// The chain goes through private link and out again: no private zone answered this nameserver, so
/// the public DNS did.
pub(crate) fn leaves_privatelink(chain: &[impl AsRef<str>]) -> bool {
    passes_privatelink(chain)
        && chain
            .last()
            .is_some_and(|last| !has_privatelink(last.as_ref()))
}

/// Whose "no" a negative answer is, told by the owner of its SOA record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum SoaZone {
    /// `privatelink.azurecr.io`: the zone is linked, and the record is missing in it.
    PrivatelinkZone,
    /// A zone below it, as `westeurope.data.privatelink.azurecr.io`: it hides the record.
    ShadowZone,
    /// A public zone above the host: the name does not exist, or the nameserver does not know the
    /// private zone.
    PublicZone,
    /// A zone with no relation to the host, as at the end of a CNAME chain.
    Other,
}

impl SoaZone {
    /// Classifies the SOA owner of a negative answer to a question for `host`.
    pub(crate) fn of(owner: &str, host: &str) -> Self {
        let (owner, host) = (normalized(owner), normalized(host));
        if owner.split('.').next() == Some(PRIVATELINK) {
            Self::PrivatelinkZone
        } else if has_privatelink(&owner) {
            Self::ShadowZone
        } else if is_at_or_below(&host, &owner) {
            Self::PublicZone
        } else {
            Self::Other
        }
    }
}

/// The name probably meant by one that does not work: a private link name instead of the public
/// one, a mistyped ACR domain, a missing dot. `None` if nothing better comes to mind.
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

/// `contoso.azureacr.io`, `contoso.azurecr.com`: one slip in `azurecr`, or a top-level domain that
/// ACR has not.
fn with_acr_domain(host: &str) -> Option<String> {
    let (rest, top) = host.rsplit_once('.')?;
    let (labels, domain) = rest.rsplit_once('.')?;
    if !is_one_slip_or_less(domain, "azurecr") {
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

/// The texts are equal, or one letter is missing, too many, wrong, or changed places with the next.
fn is_one_slip_or_less(a: &str, b: &str) -> bool {
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

fn is_registry(label: &str) -> bool {
    let (name, hash) = label
        .split_once('-')
        .map_or((label, None), |(name, hash)| (name, Some(hash)));
    (1..=50).contains(&name.len())
        && is_alphanumeric(name)
        && hash.is_none_or(is_alphanumeric)
        && label.len() <= 63
        && label != PRIVATELINK
}

fn is_alphanumeric(label: &str) -> bool {
    !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn has_privatelink(name: &str) -> bool {
    name.split('.')
        .any(|label| label.eq_ignore_ascii_case(PRIVATELINK))
}

fn is_at_or_below(name: &str, zone: &str) -> bool {
    zone.is_empty()
        || name
            .strip_suffix(zone)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn normalized(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acr(host: &str) -> AcrName {
        AcrName::parse(host).unwrap()
    }

    #[test]
    fn endpoints_and_their_private_records() {
        #[rustfmt::skip]
        let table = [
            ("contoso.azurecr.io", "contoso.privatelink.azurecr.io"),
            ("contoso.westeurope.data.azurecr.io", "contoso.westeurope.data.privatelink.azurecr.io"),
            ("contoso.westeurope.geo.azurecr.io", "contoso.westeurope.geo.privatelink.azurecr.io"),
            ("contoso-h4x0r.azurecr.io", "contoso-h4x0r.privatelink.azurecr.io"),
            ("contoso.usgovvirginia.data.azurecr.us", "contoso.usgovvirginia.data.privatelink.azurecr.us"),
            ("contoso.azurecr.cn", "contoso.privatelink.azurecr.cn"),
            ("contoso.azurecr.de", "contoso.privatelink.azurecr.de"),
        ];
        for (host, record) in table {
            assert_eq!(acr(host).to_string(), host);
            assert_eq!(acr(host).privatelink_name(), record, "{host}");
        }
        assert_eq!(acr("Contoso.AzureCR.io."), acr("contoso.azurecr.io"));
        assert_eq!(
            acr("contoso.westeurope.data.azurecr.io").login_server(),
            acr("contoso.azurecr.io")
        );
        assert_eq!(
            acr("contoso.azurecr.io").data_endpoint("WestEurope"),
            acr("contoso.westeurope.data.azurecr.io")
        );
        assert_eq!(
            acr("contoso.azurecr.us").privatelink_zone(),
            "privatelink.azurecr.us"
        );
    }

    #[test]
    fn names_of_no_acr_endpoint() {
        for host in [
            "azurecr.io",
            ".azurecr.io",
            "mcr.microsoft.com",
            "con_toso.azurecr.io",
            "contoso-.azurecr.io",
            "contoso-a-b.azurecr.io",
            "privatelink.azurecr.io",
            "contoso.privatelink.azurecr.io",
            "contoso.westeurope.azurecr.io",
            "contoso.westeurope.blob.azurecr.io",
            "contoso..data.azurecr.io",
            "contosoazurecr.io",
            "contoso.azurecr.io.example",
            "",
        ] {
            assert_eq!(AcrName::parse(host), None, "{host}");
        }
    }

    #[test]
    fn bare_names() {
        let table = [
            ("contoso", Some("contoso.azurecr.io")),
            ("Contoso-H4x0r", Some("contoso-h4x0r.azurecr.io")),
            ("four", None),
            ("contoso.example", None),
            ("con_toso", None),
            (&*"x".repeat(51), None),
        ];
        for (name, expected) in table {
            assert_eq!(
                expand_bare_name(name)
                    .map(|name| name.to_string())
                    .as_deref(),
                expected,
                "{name}"
            );
        }
    }

    #[test]
    fn chains() {
        #[rustfmt::skip]
        let table: &[(&[&str], bool, bool)] = &[
            // chain, passes, leaves
            (&[], false, false),
            (&["contoso.azurecr.io", "sec.fe.azcr.io.", "x.cloudapp.azure.com."], false, false),
            (&["contoso.azurecr.io", "contoso.PrivateLink.azurecr.io."], true, false),
            (&["contoso.azurecr.io", "contoso.privatelink.azurecr.io.", "eus1.fe.azcr.io."], true, true),
            (
                &[
                    "s.blob.core.windows.net",
                    "s.privatelink.blob.core.windows.net",
                    "blob.ams.store.core.windows.net",
                ],
                true,
                true,
            ),
            (&["my-privatelink.example"], false, false),
        ];
        for (chain, passes, leaves) in table {
            assert_eq!(passes_privatelink(chain), *passes, "{chain:?}");
            assert_eq!(leaves_privatelink(chain), *leaves, "{chain:?}");
        }
    }

    #[test]
    fn soa_owners() {
        let data = "contoso.westeurope.data.azurecr.io";
        #[rustfmt::skip]
        let table = [
            ("privatelink.azurecr.io.", data, SoaZone::PrivatelinkZone),
            ("westeurope.data.privatelink.azurecr.io.", data, SoaZone::ShadowZone),
            ("azurecr.io.", data, SoaZone::PublicZone),
            ("io.", "contoso.azureacr.io", SoaZone::PublicZone),
            (".", "contoso.azurecr.i0", SoaZone::PublicZone),
            ("zurecr.io.", data, SoaZone::Other),
            ("trafficmanager.net.", data, SoaZone::Other),
            ("privatelink.blob.core.windows.net", "s.blob.core.windows.net", SoaZone::PrivatelinkZone),
        ];
        for (owner, host, expected) in table {
            assert_eq!(SoaZone::of(owner, host), expected, "{owner} for {host}");
        }
    }

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
    fn slips() {
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
            assert_eq!(is_one_slip_or_less(a, "abcd"), expected, "{a}");
            assert_eq!(is_one_slip_or_less("abcd", a), expected, "{a}");
        }
    }
}
