//! The names of Azure Container Registry (ACR): which endpoint a host is, and which record its private
//! zone should hold. Diagnosis reads names through it; it asks nobody and knows no addresses.

use std::fmt;

use super::privatelink::{PRIVATELINK, normalized};

/// The cloud that a registry lives in; each has its own suffix.
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
    pub(super) const ALL: [Self; 4] =
        [Self::Public, Self::UsGovernment, Self::China, Self::Germany];

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
    /// The registry: 5–50 letters and digits, followed by `-` and a hash if it was created with a
    /// domain name label (DNL).
    pub registry: String,
    /// The endpoint.
    pub endpoint: AcrEndpoint,
    /// The cloud.
    pub cloud: AcrCloud,
}

impl AcrName {
    /// Parses a host name, in any case, with or without a trailing dot. `None` if it is not an ACR
    /// endpoint; a private link name is not one either.
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

    /// The part before the suffix.
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
            acr("contoso.azurecr.io").data_endpoint("WestEurope"),
            acr("contoso.westeurope.data.azurecr.io")
        );
        assert_eq!(
            acr("contoso.azurecr.us").privatelink_zone(),
            "privatelink.azurecr.us"
        );
    }

    #[test]
    fn names_that_are_not_acr_endpoints() {
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
}
