//! Stories about what names lead to: drift, missing records, and what is no fault.

use std::time::Duration;

use super::{
    Story,
    build::{
        AZURE, FIRST, NameserverSays, OTHER, PRIVATE_DATA, PRIVATE_LOGIN, PUBLIC, SECOND, data,
        dial, expecting_any, found, login, mirror, no_address, no_such_name, not_linked, nothing,
        private, record_missing, refused, turned_away,
    },
    critical, story, warning,
};
use crate::{
    diagnosis::Code::{
        AliasBroken, AnswerFiltered, NameNotFound, NameserverSlow, NoAddress,
        PrivateLinkRecordMissing, PrivateLinkShadowZone, PrivateLinkZoneNotLinked, PublicAddress,
        SearchDomainAnswer, UnexpectedAddress,
    },
    net::io_fault::IoFault,
    stages::resolve::{Negative, ResolveFault},
    words::{
        endpoint::{Role, Turn},
        reason::Stage,
    },
};

pub(super) fn stories() -> Vec<Story> {
    [drift(), missing(), fine()].concat()
}

/// An answer without addresses, which no zone has said.
fn filtered() -> NameserverSays {
    let nothing_left = Negative {
        chain: Vec::new(),
        soa: None,
    };
    nothing(ResolveFault::NoData(nothing_left))
}

fn drift() -> Vec<Story> {
    let not_linked_at_login = || login().answered(&FIRST, not_linked());
    vec![
        story(
            "the name of a search domain answers in the name's place",
            [login()
                .resolves_by([], PUBLIC)
                .by_search_domain("corp.example")],
        )
        .degraded_by([warning(SearchDomainAnswer)
            .by(&FIRST)
            .on(PUBLIC)
            .showing("contoso.azurecr.io.corp.example, by a search domain")]),
        story(
            "a search domain that leads where it should is none of our business",
            [login().by_search_domain("corp.example")],
        ),
        story(
            "the alias ends nowhere",
            [login().answered(
                &FIRST,
                no_such_name(
                    ["eus1.fe.azcr.io", "gone.cloudapp.azure.com"],
                    "cloudapp.azure.com",
                ),
            )],
        )
        .fails_by([critical(AliasBroken)
            .by(&FIRST)
            .saying("no such host")
            .showing("gone.cloudapp.azure.com, where its aliases end")]),
        story(
            "the second nameserver takes private addresses out of its answers",
            [
                login().answered(&SECOND, filtered()),
                data().answered(&SECOND, filtered()),
            ],
        )
        .degraded_by([warning(AnswerFiltered).by(&SECOND)]),
        story(
            "the only nameserver takes private addresses out of its answers",
            [login()
                .answered(&FIRST, filtered())
                .answered(&AZURE, private(PRIVATE_LOGIN))],
        )
        .fails_by([critical(AnswerFiltered).by(&FIRST).saying("no such host")]),
        story(
            "the only nameserver is slow",
            [
                login().answered_after(Duration::from_secs(4)),
                data().answered_after(Duration::from_secs(4)),
            ],
        )
        .degraded_by([warning(NameserverSlow).by(&FIRST).showing("after 4.0 s")]),
        story(
            "the zone is not linked, and the public address works",
            [not_linked_at_login()],
        )
        .degraded_by([warning(PrivateLinkZoneNotLinked).by(&FIRST).on(PUBLIC)]),
        story(
            "drift and the 403 that follows from it are one finding with both facts",
            [not_linked_at_login().fails(Stage::Challenge, turned_away("198.51.100.7"))],
        )
        .fails_by([critical(PrivateLinkZoneNotLinked)
            .by(&FIRST)
            .on(PUBLIC)
            .saying("403 Forbidden")
            .showing("says 203.0.113.10 by way of contoso.privatelink.azurecr.io")
            .showing("turns away this node, which it sees as 198.51.100.7")]),
        story(
            "drift to an address that does not answer is one finding",
            [not_linked_at_login().fails(Stage::Connect, dial(IoFault::Timeout))],
        )
        .fails_by([critical(PrivateLinkZoneNotLinked)
            .by(&FIRST)
            .on(PUBLIC)
            .saying("i/o timeout")
            .showing("nothing answers at 203.0.113.10")]),
        story(
            "drift does not explain a registry that is broken",
            [not_linked_at_login().fails(Stage::Challenge, refused(503))],
        )
        .fails_by([
            warning(PrivateLinkZoneNotLinked).by(&FIRST).on(PUBLIC),
            critical(super::Code::RegistryError)
                .on(PUBLIC)
                .saying("503"),
        ]),
        story(
            "an unlinked zone shows at every endpoint and is reported once",
            [not_linked_at_login(), data().answered(&FIRST, not_linked())],
        )
        .degraded_by([warning(PrivateLinkZoneNotLinked)
            .by(&FIRST)
            .on(PUBLIC)
            .showing("also contoso.westeurope.data.azurecr.io:443")]),
        story(
            "two unlinked nameservers with the same answer share the cause",
            [not_linked_at_login().answered(&SECOND, not_linked())],
        )
        .degraded_by([warning(PrivateLinkZoneNotLinked)
            .by(&FIRST)
            .on(PUBLIC)
            .showing("nameserver 198.18.0.54:53 says 203.0.113.10")]),
        story(
            "the address is public, without private link in the chain",
            [login().resolves_by(["eus1.fe.azcr.io"], PUBLIC)],
        )
        .degraded_by([warning(PublicAddress).by(&FIRST).on(PUBLIC)]),
        story(
            "IPv6 is public beside a private IPv4 address",
            [login().answered(
                &FIRST,
                found(
                    ["contoso.privatelink.azurecr.io"],
                    [PRIVATE_LOGIN, "2001:db8::10"],
                ),
            )],
        )
        .degraded_by([warning(PrivateLinkZoneNotLinked)
            .by(&FIRST)
            .on(PRIVATE_LOGIN)]),
        story(
            "the address is private, but in another network",
            [login().answered(&FIRST, private("10.99.1.4"))],
        )
        .degraded_by([warning(UnexpectedAddress).by(&FIRST).on("10.99.1.4")]),
        story(
            "a nameserver that only the configuration names has drifted",
            [login().answered(&AZURE, not_linked())],
        )
        .degraded_by([warning(PrivateLinkZoneNotLinked).by(&AZURE).on(PUBLIC)]),
        story(
            "the second nameserver has drifted, and the right address has a fault of another kind",
            [login().answered(&SECOND, not_linked()).fails_at(
                PRIVATE_LOGIN,
                Stage::Challenge,
                turned_away("198.51.100.7"),
            )],
        )
        .fails_by([
            warning(PrivateLinkZoneNotLinked).by(&SECOND).on(PUBLIC),
            critical(super::Code::RegistryFirewall)
                .on(PRIVATE_LOGIN)
                .saying("403"),
        ]),
        story(
            "drift at a data endpoint is reported for that endpoint",
            [login(), data().resolves_by(["eus1.fe.azcr.io"], PUBLIC)],
        )
        .degraded_by([warning(PublicAddress).at(Role::Data).by(&FIRST).on(PUBLIC)]),
    ]
}

fn missing() -> Vec<Story> {
    let privatelink = "contoso.privatelink.azurecr.io";
    let zone = "privatelink.azurecr.io";
    let below = "data.privatelink.azurecr.io";
    let typo = "contoso.azureacr.io";
    vec![
        story(
            "the record is gone from the private zone",
            [login().answered(&FIRST, record_missing())],
        )
        .fails_by([critical(PrivateLinkRecordMissing)
            .by(&FIRST)
            .saying("no such host")]),
        story(
            "so is the data endpoint's",
            [login(), data().answered(&FIRST, record_missing())],
        )
        .fails_by([critical(PrivateLinkRecordMissing)
            .at(Role::Data)
            .by(&FIRST)
            .saying("no such host")]),
        story(
            "the record is there without an address",
            [login().answered(&FIRST, no_address([privatelink], zone))],
        )
        .fails_by([critical(PrivateLinkRecordMissing)
            .by(&FIRST)
            .saying("no such host")]),
        story(
            "a zone below the private zone hides the record",
            [
                login(),
                data().answered(&FIRST, no_such_name([privatelink], below)),
            ],
        )
        .fails_by([critical(PrivateLinkShadowZone)
            .at(Role::Data)
            .by(&FIRST)
            .saying("no such host")]),
        story(
            "the second nameserver alone has no record",
            [login().answered(&SECOND, record_missing())],
        )
        .degraded_by([warning(PrivateLinkRecordMissing).by(&SECOND)]),
        story(
            "a dead name does not also report its TCP",
            [login()
                .answered(&FIRST, record_missing())
                .fails(Stage::Connect, dial(IoFault::Timeout))],
        )
        .fails_by([critical(PrivateLinkRecordMissing)
            .by(&FIRST)
            .saying("no such host")]),
        story(
            "nor that of an address that only another nameserver gives",
            [login()
                .answered(&FIRST, record_missing())
                .answered(&AZURE, private("10.240.1.99"))
                .fails(Stage::Connect, dial(IoFault::Timeout))],
        )
        .fails_by([critical(PrivateLinkRecordMissing)
            .by(&FIRST)
            .saying("no such host")
            .showing("nameserver azure says 10.240.1.99")]),
        story(
            "the name is misspelt",
            [login().named(typo).answered(&FIRST, no_such_name([], "io"))],
        )
        .fails_by([critical(NameNotFound)
            .by(&FIRST)
            .saying("no such host")
            .showing("did you mean contoso.azurecr.io?")]),
        story(
            "the name has no address",
            [login().answered(&FIRST, no_address([], "azurecr.io"))],
        )
        .fails_by([critical(NoAddress).by(&FIRST).saying("no such host")]),
        story(
            "its aliases form a loop",
            [login().answered(&FIRST, nothing(ResolveFault::AliasLoop))],
        )
        .fails_by([critical(NoAddress).by(&FIRST).saying("no such host")]),
    ]
}

fn fine() -> Vec<Story> {
    let both = |first, second| {
        let alias = "contoso.privatelink.azurecr.io";
        found([alias], [first, second])
    };
    let managed = |address| found(["contoso.trafficmanager.example"], [address]);
    vec![
        story("everything works", [login(), data()]),
        story("nothing is known about the registry", []),
        story(
            "a set of addresses in another order is the same set",
            [login()
                .answered(&FIRST, both(PRIVATE_LOGIN, "10.240.1.14"))
                .answered(&SECOND, both("10.240.1.14", PRIVATE_LOGIN))],
        ),
        story(
            "a traffic manager answers each nameserver differently",
            [login()
                .answered(&FIRST, managed(PUBLIC))
                .answered(&SECOND, managed("203.0.113.12"))],
        )
        .under(expecting_any()),
        story(
            "public addresses that overlap",
            [login()
                .answered(&FIRST, found([], [PUBLIC, "203.0.113.11"]))
                .answered(&SECOND, found([], [PUBLIC, "203.0.113.12"]))],
        )
        .under(expecting_any()),
        story(
            "nothing is expected, so nothing drifts",
            [
                login().answered(&FIRST, not_linked()),
                data().resolves_by([], PUBLIC),
            ],
        )
        .under(expecting_any()),
        story(
            "an added nameserver gives the same answer",
            [
                login().answered(&OTHER, private(PRIVATE_LOGIN)),
                data().answered(&OTHER, private(PRIVATE_DATA)),
            ],
        ),
        story(
            "a mirror need not be private",
            [
                mirror().resolves_by([], PUBLIC),
                login().in_turn(Turn::After(1)),
            ],
        )
        .ok_with([]),
        story(
            "a literal address needs no nameserver",
            [login().named(PRIVATE_LOGIN).unanswered()],
        ),
    ]
}
