//! Go's rules for the names that an authority may sign. Constraints of mail addresses and URIs are not looked at.
//!
//! Source: Go 1.26, `crypto/x509/constraints.go`.

use x509_parser::extensions::{GeneralName, GeneralSubtree};

use super::Parsed;

/// Whether each authority that constrains names allows those of all certificates below it.
pub(super) fn allow(chain: &[&Parsed<'_>]) -> bool {
    for (place, authority) in chain.iter().enumerate() {
        let Ok(Some(constraints)) = authority.x509.name_constraints() else {
            continue;
        };
        let permitted = constraints
            .value
            .permitted_subtrees
            .as_deref()
            .unwrap_or_default();
        let excluded = constraints
            .value
            .excluded_subtrees
            .as_deref()
            .unwrap_or_default();
        for name in chain[..place]
            .iter()
            .flat_map(|below| below.names().unwrap_or_default())
        {
            let of_its_kind = |subtree: &&GeneralSubtree<'_>| is_same_kind(&subtree.base, name);
            let mut permitting = permitted.iter().filter(of_its_kind).peekable();
            let is_permitted = permitting.peek().is_none()
                || permitting.any(|subtree| contains(&subtree.base, name, false));
            let mut excluding = excluded.iter().filter(of_its_kind);
            if !is_permitted || excluding.any(|subtree| contains(&subtree.base, name, true)) {
                return false;
            }
        }
    }
    true
}

fn is_same_kind(constraint: &GeneralName<'_>, name: &GeneralName<'_>) -> bool {
    match (constraint, name) {
        (GeneralName::DNSName(_), GeneralName::DNSName(_)) => true,
        // An address of one family is not of the other's kind, but what permits one excludes the other.
        (GeneralName::IPAddress(_), GeneralName::IPAddress(_)) => true,
        _ => false,
    }
}

fn contains(constraint: &GeneralName<'_>, name: &GeneralName<'_>, excludes: bool) -> bool {
    match (constraint, name) {
        (GeneralName::DNSName(constraint), GeneralName::DNSName(name)) => contains_name(
            &constraint.to_ascii_lowercase(),
            &name.to_ascii_lowercase(),
            excludes,
        ),
        (GeneralName::IPAddress(constraint), GeneralName::IPAddress(address)) => {
            let (network, mask) = constraint.split_at(constraint.len() / 2);
            let bits = address.iter().zip(network).zip(mask);
            network.len() == address.len()
                && bits
                    .into_iter()
                    .all(|((octet, network), mask)| octet & mask == network & mask)
        }
        _ => false,
    }
}

/// A wildcard is also excluded by a constraint that it covers.
fn contains_name(constraint: &str, name: &str, excludes: bool) -> bool {
    let after_first_label = |name: &str| name.find('.').map(|dot| name[dot..].to_owned());
    let is_below = name.strip_suffix(constraint).is_some_and(|above| {
        above.is_empty()
            || constraint.is_empty()
            || constraint.starts_with('.')
            || above.ends_with('.')
    });
    let covers =
        || name.starts_with('*') && after_first_label(name) == after_first_label(constraint);
    is_below || (excludes && after_first_label(constraint).is_some() && covers())
}
