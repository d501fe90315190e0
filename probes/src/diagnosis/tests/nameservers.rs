//! Stories about who says what names lead to: nameservers and pins.

use super::{
    Story,
    build::{
        AZURE, FIRST, ON_THE_NODE, PRIVATE_LOGIN, PUBLIC, SECOND, data, dial, expecting_any, found,
        login, no_such_name, nothing, private, record_missing, servfail, silence,
        without_nameserver,
    },
    critical, story, warning,
};
use crate::{
    diagnosis::Code::{
        HostsFileOverride, NameNotFound, NameserverDown, NameserverFailing, NameserversDisagree,
        NoNameserver, PrivateEndpointTimeout, PrivateLinkRecordMissing,
    },
    net::io_fault::IoFault,
    stages::resolve::ResolveFault,
    words::reason::Stage,
};

pub(super) fn stories() -> Vec<Story> {
    [nameservers(), pins()].concat()
}

fn nameservers() -> Vec<Story> {
    vec![
        story(
            "the only nameserver is silent",
            [
                login().answered(&FIRST, silence()),
                data().answered(&FIRST, silence()),
            ],
        )
        .fails_by([critical(NameserverDown)
            .by(&FIRST)
            .saying("i/o timeout")
            .showing("also contoso.westeurope.data.azurecr.io:443")]),
        story(
            "the first of two is silent",
            [login()
                .answered(&FIRST, silence())
                .answered(&SECOND, private(PRIVATE_LOGIN))],
        )
        .degraded_by([warning(NameserverDown).by(&FIRST)]),
        story(
            "the second of two is silent",
            [login().answered(&SECOND, silence())],
        )
        .degraded_by([warning(NameserverDown).by(&SECOND)]),
        story(
            "it answers for IPv4 and not for IPv6",
            [login().answered(&FIRST, private(PRIVATE_LOGIN).without_ipv6_answer())],
        )
        .degraded_by([warning(NameserverDown)
            .by(&FIRST)
            .on(PRIVATE_LOGIN)
            .showing("AAAA (IPv6) question")]),
        story(
            "its port is closed",
            [login().answered(&FIRST, nothing(ResolveFault::Io(IoFault::Refused)))],
        )
        .fails_by([critical(NameserverDown)
            .by(&FIRST)
            .saying("connection refused")]),
        story(
            "the only nameserver fails",
            [login().answered(&FIRST, servfail())],
        )
        .fails_by([critical(NameserverFailing)
            .by(&FIRST)
            .saying("server misbehaving")]),
        story(
            "a nameserver that only the configuration names is silent",
            [login().answered(&AZURE, silence())],
        )
        .degraded_by([warning(NameserverDown).by(&AZURE)]),
        story(
            "one fails and one is silent",
            [login()
                .answered(&FIRST, servfail())
                .answered(&SECOND, silence())],
        )
        .fails_by([
            critical(NameserverFailing).by(&FIRST).saying("i/o timeout"),
            warning(NameserverDown).by(&SECOND),
        ]),
        story("there is none", [login(), data()].map(without_nameserver))
            .fails_by([critical(NoNameserver).saying("connection refused")]),
        story(
            "there is none but a cache on the node",
            [login()
                .unanswered()
                .answered(&ON_THE_NODE, private(PRIVATE_LOGIN))],
        )
        .ok_with([]),
        story(
            "there is none but one on the node, and that fails",
            [login().unanswered().answered(&ON_THE_NODE, servfail())],
        )
        .fails_by([critical(NameserverFailing)
            .by(&ON_THE_NODE)
            .saying("server misbehaving")]),
        story("the name is none to ask for", [login().unanswered()])
            .fails_by([critical(NameNotFound).saying("no such host")]),
        story(
            "there is none but one that only the configuration names",
            [without_nameserver(login()).answered(&AZURE, private(PRIVATE_LOGIN))],
        )
        .fails_by([critical(NoNameserver).saying("connection refused")]),
        story(
            "two give different private addresses",
            [login().answered(&SECOND, private("10.240.1.14"))],
        )
        .degraded_by([warning(NameserversDisagree).by(&SECOND).on("10.240.1.14")]),
        story(
            "one of which is dead",
            [login().answered(&SECOND, private("10.240.1.14")).fails_at(
                PRIVATE_LOGIN,
                Stage::Connect,
                dial(IoFault::Timeout),
            )],
        )
        .fails_by([critical(PrivateEndpointTimeout)
            .on(PRIVATE_LOGIN)
            .saying("i/o timeout")
            .showing("nameserver 198.18.0.54:53 says 10.240.1.14")]),
        story(
            "two give different public addresses without an alias",
            [login()
                .answered(&FIRST, found([], [PUBLIC]))
                .answered(&SECOND, found([], ["203.0.113.12"]))],
        )
        .under(expecting_any())
        .degraded_by([warning(NameserversDisagree).by(&SECOND).on("203.0.113.12")]),
    ]
}

fn pins() -> Vec<Story> {
    vec![
        story(
            "the hosts file agrees with DNS",
            [login().pinned_to(PRIVATE_LOGIN)],
        ),
        story(
            "the hosts file does not",
            [login().pinned_to("10.240.1.14")],
        )
        .degraded_by([warning(HostsFileOverride).on("10.240.1.14")]),
        story(
            "the hosts file pins a dead address",
            [login().pinned_to("10.240.1.99").fails_at(
                "10.240.1.99",
                Stage::Connect,
                dial(IoFault::Timeout),
            )],
        )
        .fails_by([critical(HostsFileOverride)
            .on("10.240.1.99")
            .saying("i/o timeout")
            .showing("the hosts file says 10.240.1.99")
            .showing("nothing answers at 10.240.1.99")]),
        story(
            "the hosts file hides that the record is missing",
            [login()
                .pinned_to(PRIVATE_LOGIN)
                .answered(&FIRST, record_missing())],
        )
        .degraded_by([warning(PrivateLinkRecordMissing).by(&FIRST)]),
        story(
            "the node's cache pins another address",
            [login()
                .answered(&FIRST, private("10.240.1.14"))
                .answered(&AZURE, private(PRIVATE_LOGIN))
                .pinned_in_cache_to("10.240.1.14")],
        )
        .degraded_by([warning(HostsFileOverride)
            .on("10.240.1.14")
            .showing("LocalDNS's hosts file says 10.240.1.14")]),
        story(
            "a pin in the node's cache explains nothing if another nameserver is used",
            [login()
                .answered(&FIRST, no_such_name([], "azurecr.io"))
                .answered(&SECOND, private("10.240.1.14"))
                .answered(&AZURE, private(PRIVATE_LOGIN))
                .pinned_in_cache_to("10.240.1.14")],
        )
        .fails_by([critical(NameNotFound).by(&FIRST).saying("no such host")]),
    ]
}
