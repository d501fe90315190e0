//! What a CNAME chain or the owner of an SOA record says about private link, for ACR and any other
//! service.

/// The label that every private link zone starts with.
/// <https://learn.microsoft.com/azure/private-link/private-endpoint-dns>
pub(super) const PRIVATELINK: &str = "privatelink";

/// The chain of a lookup goes through private link: a private endpoint exists somewhere, for ACR or
/// any other service (`*.privatelink.blob.core.windows.net`). `chain` is the names in the order of
/// the CNAMEs.
pub(crate) fn passes_privatelink(chain: &[impl AsRef<str>]) -> bool {
    chain.iter().any(|name| has_privatelink(name.as_ref()))
}

/// The chain goes through private link and out again: the nameserver sees no private zone, so the
/// public DNS answered.
pub(crate) fn leaves_privatelink(chain: &[impl AsRef<str>]) -> bool {
    passes_privatelink(chain)
        && chain
            .last()
            .is_some_and(|last| !has_privatelink(last.as_ref()))
}

/// Where a negative answer comes from, according to the owner of its SOA record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum SoaZone {
    /// `privatelink.azurecr.io`: the zone is linked and lacks the record.
    PrivatelinkZone,
    /// A zone below it, as `westeurope.data.privatelink.azurecr.io`: it hides the record.
    ShadowZone,
    /// A public zone above the host: the name does not exist, or the nameserver does not know the
    /// private zone.
    PublicZone,
    /// A zone that is unrelated to the host, such as one at the end of a CNAME chain.
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

pub(super) fn has_privatelink(name: &str) -> bool {
    name.split('.')
        .any(|label| label.eq_ignore_ascii_case(PRIVATELINK))
}

fn is_at_or_below(name: &str, zone: &str) -> bool {
    zone.is_empty()
        || name
            .strip_suffix(zone)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

pub(super) fn normalized(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
