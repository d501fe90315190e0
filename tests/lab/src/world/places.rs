//! Who lives where in the world of the fault lab. Private endpoints have addresses of 10.240.0.0/16,
//! the public Internet is the documentation range 203.0.113.0/24, and everything that belongs to the
//! lab alone is in the benchmarking range 198.18.0.0/15.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An endpoint of the world.
#[derive(Debug)]
pub struct Place {
    pub host: &'static str,
    /// The first is the one that a healthy nameserver gives.
    pub addresses: &'static [IpAddr],
}

pub const NODE: &str = "198.18.0.10/24";
pub const ROUTER: &str = "198.18.0.1/24";
pub const NODE_V6: &str = "fd00:198::10/64";
pub const ROUTER_V6: &str = "fd00:198::1/64";

/// Where nameservers can be: three of the network's own, Azure's, and that of a node-local cache.
pub const NAMESERVERS: [IpAddr; 5] = [
    v4(198, 18, 0, 53),
    v4(198, 18, 0, 54),
    v4(198, 18, 0, 55),
    v4(168, 63, 129, 16),
    v4(169, 254, 10, 10),
];

/// The proxy's own nameserver, of which the node knows nothing.
pub const PROXY_NAMESERVER: IpAddr = v4(198, 18, 2, 53);

/// A host that is up and listens to nothing.
const CLOSED: IpAddr = v4(10, 240, 1, 2);

pub const PROXY_PORT: u16 = 3128;
pub const SOCKS_PORT: u16 = 1080;

pub const LOGIN: Place = Place {
    host: "myregistry.azurecr.io",
    // The second for scenarios with two, the third for one that is outside what is expected.
    addresses: &[v4(10, 240, 1, 4), v4(10, 240, 1, 14), v4(10, 99, 1, 4)],
};

pub const DATA: Place = Place {
    host: "myregistry.westeurope.data.azurecr.io",
    addresses: &[v4(10, 240, 1, 5)],
};

pub const NORTH_DATA: Place = Place {
    host: "myregistry.northeurope.data.azurecr.io",
    addresses: &[v4(10, 240, 1, 6)],
};

pub const PUBLIC_LOGIN: Place = Place {
    host: LOGIN.host,
    addresses: &[
        v4(203, 0, 113, 10),
        IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x10)),
    ],
};

pub const PUBLIC_DATA: Place = Place {
    host: DATA.host,
    addresses: &[v4(203, 0, 113, 11)],
};

pub const STORAGE: Place = Place {
    host: "myaccount.blob.core.windows.net",
    addresses: &[v4(203, 0, 113, 30)],
};

/// Nobody is there; a cluster without Internet gets its images elsewhere.
pub const MCR: Place = Place {
    host: "mcr.microsoft.com",
    addresses: &[v4(203, 0, 113, 40)],
};

pub const MIRROR: Place = Place {
    host: "mirror.contoso.example",
    addresses: &[v4(198, 18, 2, 10)],
};

pub const TOKEN_SERVER: Place = Place {
    host: "auth.contoso.example",
    addresses: &[v4(203, 0, 113, 20)],
};

pub const PROXY: Place = Place {
    host: "proxy.contoso.example",
    addresses: &[v4(198, 18, 2, 30)],
};

/// Whom images of `docker.io` come from.
pub const DOCKER_HUB: Place = Place {
    host: "registry-1.docker.io",
    addresses: &[v4(203, 0, 113, 50)],
};

/// A registry on the node itself.
pub const ON_THE_NODE: Place = Place {
    host: "localhost",
    addresses: &[v4(127, 0, 0, 1), IpAddr::V6(Ipv6Addr::LOCALHOST)],
};

/// Where clients are sent that shall log in first.
pub const PORTAL: Place = Place {
    host: "portal.contoso.example",
    addresses: &[v4(198, 18, 2, 40)],
};

/// Every place where somebody is, by the word that scenarios have for it.
const ALL: [(&str, &Place); 11] = [
    ("login", &LOGIN),
    ("data", &DATA),
    ("north_data", &NORTH_DATA),
    ("public_login", &PUBLIC_LOGIN),
    ("public_data", &PUBLIC_DATA),
    ("storage", &STORAGE),
    ("mirror", &MIRROR),
    ("token_server", &TOKEN_SERVER),
    ("proxy", &PROXY),
    ("portal", &PORTAL),
    ("docker_hub", &DOCKER_HUB),
];

/// Every address that answers in some way; all others are silent.
pub(crate) fn addresses() -> impl Iterator<Item = IpAddr> {
    let places = ALL.into_iter().flat_map(|(_, place)| place.addresses);
    let others = NAMESERVERS.into_iter().chain([PROXY_NAMESERVER, CLOSED]);
    places.copied().chain(others)
}

/// The address of a host, as a healthy nameserver gives it.
pub(crate) fn address_of(host: &str) -> Option<IpAddr> {
    let mut places = ALL.into_iter().map(|(_, place)| place);
    places.find(|place| place.host == host).map(Place::address)
}

pub(crate) fn named(word: &str) -> Option<&'static Place> {
    ALL.into_iter()
        .find(|(known, _)| *known == word)
        .map(|(_, place)| place)
}

impl Place {
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.addresses[0]
    }
}

const fn v4(a: u8, b: u8, c: u8, d: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}
