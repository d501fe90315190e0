//! What goes wrong in the demo, one after the other: what is done to the network, in the words of
//! whoever would have done it, and what the agent has to find.

use super::ground::Ground;

/// One thing that goes wrong for a while.
pub(super) struct Fault {
    /// What happens, and what anybody would notice of it.
    pub(super) told: &'static str,
    /// The code of the finding that names it.
    pub(super) code: &'static str,
    /// Lays it in.
    pub(super) lay: fn(&mut Ground) -> anyhow::Result<()>,
    /// What is done about it.
    pub(super) mended: &'static str,
}

/// In the order they are shown.
pub(super) const FAULTS: [Fault; 4] = [
    Fault {
        told: "THE DNS DRIFTS: this node's network has lost its link to the zone\n         \
               privatelink.azurecr.io, and all three names lead to public addresses. Pulls work as\n         \
               before, by another way than they should; nothing fails that would tell anybody.",
        code: "PrivateLinkZoneNotLinked",
        lay: |ground| {
            ground.unlink();
            Ok(())
        },
        mended: "The zone is linked again.",
    },
    Fault {
        told: "A RECORD IS MISSING: the registry has got a replica in northeurope, and nobody has\n         \
               given its data endpoint a record in the private zone. The login server answers as\n         \
               ever; a pull that is led there ends after the manifest.",
        code: "PrivateLinkRecordMissing",
        lay: |ground| {
            ground.lose_data_record();
            Ok(())
        },
        mended: "The record is there.",
    },
    Fault {
        told: "THE REGISTRY'S FIREWALL closes: its network rules no longer allow the address that\n         \
               this node comes from. Names, TCP and TLS are as ever; every request is answered 403.",
        code: "RegistryFirewall",
        lay: |ground| {
            ground.close_firewall();
            Ok(())
        },
        mended: "The network rules allow this node's address again.",
    },
    Fault {
        told: "AN ADDRESS IS DEAD: the private endpoint was made anew elsewhere, and the record still\n         \
               has the old address, where nothing answers.",
        code: "PrivateEndpointTimeout",
        lay: Ground::lead_to_dead_address,
        mended: "The record has the new address.",
    },
];
