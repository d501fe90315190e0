//! Which address the node's own client would use, by rule, over what a survey has seen so far.
//! Pure; what has not answered yet counts as silent.

use std::net::IpAddr;

use crate::{endpoint::Origin, outcome::AddressOutcome, resolve::Lookup};

/// The hosts file wins; else the first nameserver that gives a proper answer decides; of its
/// addresses the first that takes a connection is used.
pub(crate) fn address(
    pinned: &[IpAddr],
    answered: &[(usize, Vec<Lookup>)],
    seen: &[AddressOutcome],
) -> Option<IpAddr> {
    let usable = |address: &IpAddr| {
        seen.iter()
            .any(|outcome| outcome.address == *address && outcome.is_connected())
    };
    if !pinned.is_empty() {
        return pinned.iter().copied().find(usable);
    }
    if answered.is_empty() {
        return seen.iter().map(|outcome| outcome.address).find(usable);
    }
    let decides = |lookup: &&Lookup| {
        lookup.addresses().next().is_some()
            || lookup
                .fault()
                .is_some_and(|fault| fault.negative().is_some())
    };
    let mut by_order: Vec<_> = answered.iter().collect();
    by_order.sort_unstable_by_key(|(place, _)| *place);
    let last_words = by_order.iter().filter_map(|(_, lookups)| lookups.last());
    let deciding = last_words
        .filter(|l| l.nameserver.origin == Origin::Node)
        .find(decides)?;
    deciding.addresses().find(usable)
}
