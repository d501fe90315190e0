//! What goes wrong in the demo, one after the other: the event as people would describe it, and what the
//! agent has to find.

use crate::ground::Ground;

/// One thing that goes wrong for a while.
pub(crate) struct Fault {
    /// What happens, and what people notice.
    pub(crate) event: &'static str,
    /// The code of the finding that names it.
    pub(crate) code: &'static str,
    /// Lays it in.
    pub(crate) lay: fn(&mut Ground) -> anyhow::Result<()>,
    /// What is done about it.
    pub(crate) fix: &'static str,
}

/// In the order they are shown.
pub(crate) const FAULTS: [Fault; 4] = [
    Fault {
        event: "THE DNS DRIFTS: this node's network has lost its link to the zone\n         \
               privatelink.azurecr.io, and all three names lead to public addresses. Pulls still work,\n         \
               but over the public internet; nothing fails that would raise an alarm.",
        code: "PrivateLinkZoneNotLinked",
        lay: |ground| {
            ground.unlink();
            Ok(())
        },
        fix: "The zone is linked again.",
    },
    Fault {
        event: "A RECORD IS MISSING: the registry has a new replica in northeurope, and its data\n         \
               endpoint has no record in the private zone. The login server answers as before; a\n         \
               pull that is sent to the replica ends after the manifest.",
        code: "PrivateLinkRecordMissing",
        lay: |ground| {
            ground.lose_data_record();
            Ok(())
        },
        fix: "The record exists.",
    },
    Fault {
        event: "THE REGISTRY'S FIREWALL CLOSES: its network rules no longer allow the address of this\n         \
               node. Names, TCP and TLS are as before; the answer to every request is 403.",
        code: "RegistryFirewall",
        lay: |ground| {
            ground.close_firewall();
            Ok(())
        },
        fix: "The network rules allow this node's address again.",
    },
    Fault {
        event: "AN ADDRESS IS DEAD: the private endpoint was created again with another address, and\n         \
               the record still has the old one, where nothing answers.",
        code: "PrivateEndpointTimeout",
        lay: Ground::lead_to_dead_address,
        fix: "The record has the new address.",
    },
];
