//! The registries that worlds are about, each in good health.

/// A registry.
pub(super) struct Home {
    /// As images name it.
    pub(super) server: &'static str,
    /// Where its requests go.
    pub(super) url: &'static str,
    /// The endpoints that a pull needs, the registry first.
    pub(super) sites: &'static [Site],
    /// It has no private endpoint.
    pub(super) is_public: bool,
    /// The node finds it by a `hosts.toml` alone.
    pub(super) is_in_hosts_toml: bool,
    /// How its world differs from that of an ACR with a private endpoint.
    pub(super) world: &'static str,
}

/// An endpoint.
#[derive(Clone, Copy)]
pub(super) struct Site {
    /// The word that scenarios have for it.
    pub(super) key: &'static str,
    pub(super) host: &'static str,
    pub(super) addresses: &'static [&'static str],
}

impl Home {
    /// Its folder below `certs.d`.
    pub(super) fn folder(&self) -> &'static str {
        self.server
    }

    /// As pull secrets name it.
    pub(super) fn key(&self) -> &'static str {
        match self.server {
            "docker.io" => "https://index.docker.io/v1/",
            server => server,
        }
    }

    pub(super) fn is_azures(&self) -> bool {
        self.server == LOGIN.host
    }

    pub(super) fn is_on_the_node(&self) -> bool {
        self.sites[0].key == "on_the_node"
    }
}

const LOGIN: Site = site(
    "login",
    "myregistry.azurecr.io",
    &["10.240.1.4", "10.240.1.14"],
);
const DATA: Site = site(
    "data",
    "myregistry.westeurope.data.azurecr.io",
    &["10.240.1.5"],
);
const PUBLIC_LOGIN: Site = site(
    "public_login",
    LOGIN.host,
    &["203.0.113.10", "2001:db8::10"],
);
const PUBLIC_DATA: Site = site("public_data", DATA.host, &["203.0.113.11"]);
const DOCKER_HUB: Site = site("docker_hub", "registry-1.docker.io", &["203.0.113.50"]);
pub(super) const TOKEN_SERVER: Site =
    site("token_server", "auth.contoso.example", &["203.0.113.20"]);
pub(super) const MIRROR: Site = site("mirror", "mirror.contoso.example", &["198.18.2.10"]);
const ON_THE_NODE: Site = site("on_the_node", "localhost", &["127.0.0.1", "::1"]);

const fn site(key: &'static str, host: &'static str, addresses: &'static [&'static str]) -> Site {
    Site {
        key,
        host,
        addresses,
    }
}

/// An ACR with a private endpoint; the others are told as differences from it.
const ACR: Home = Home {
    server: "myregistry.azurecr.io",
    url: "https://myregistry.azurecr.io",
    sites: &[LOGIN, DATA],
    is_public: false,
    is_in_hosts_toml: false,
    world: "{}",
};

const ELSEWHERE: Home = Home {
    server: "mirror.contoso.example",
    url: "https://mirror.contoso.example",
    sites: &[MIRROR],
    is_public: true,
    world: r#"{"mirror": {}}"#,
    ..ACR
};

/// How often each is drawn.
pub(super) const HOMES: [(u32, Home); 15] = [
    (6, ACR),
    (
        2,
        Home {
            sites: &[LOGIN],
            world: r#"{"registry": {"blobs": "from the login server"}}"#,
            ..ACR
        },
    ),
    (
        2,
        Home {
            sites: &[PUBLIC_LOGIN, PUBLIC_DATA],
            is_public: true,
            ..ACR
        },
    ),
    (
        1,
        Home {
            sites: &[LOGIN, DATA, TOKEN_SERVER],
            world: r#"{"registry": {"challenge": "to the token server"}, "token_server": {}}"#,
            ..ACR
        },
    ),
    (
        2,
        Home {
            server: "docker.io",
            url: "https://registry-1.docker.io",
            sites: &[DOCKER_HUB],
            world: r#"{"docker_hub": {}}"#,
            ..ELSEWHERE
        },
    ),
    (
        2,
        Home {
            server: "docker.io",
            url: "https://registry-1.docker.io",
            sites: &[DOCKER_HUB, TOKEN_SERVER],
            world: r#"{"docker_hub": {}, "token_server": {}, "registry": {"challenge": "to the token server"}}"#,
            ..ELSEWHERE
        },
    ),
    (
        1,
        Home {
            server: "localhost:5000",
            url: "http://localhost:5000",
            sites: &[ON_THE_NODE],
            world: r#"{"on_the_node": {"port": 5000, "plain_http": true}}"#,
            ..ELSEWHERE
        },
    ),
    (
        1,
        Home {
            server: "localhost:5000",
            url: "https://localhost:5000",
            sites: &[ON_THE_NODE],
            world: r#"{"on_the_node": {"port": 5000}}"#,
            ..ELSEWHERE
        },
    ),
    (
        1,
        Home {
            server: "127.0.0.1:5000",
            url: "http://127.0.0.1:5000",
            sites: &[ON_THE_NODE],
            world: r#"{"registry": {"open": true}, "on_the_node": {"port": 5000, "plain_http": true}}"#,
            ..ELSEWHERE
        },
    ),
    (2, ELSEWHERE),
    (
        2,
        Home {
            server: "mirror.contoso.example:5000",
            url: "https://mirror.contoso.example:5000",
            world: r#"{"mirror": {"port": 5000}}"#,
            ..ELSEWHERE
        },
    ),
    (
        2,
        Home {
            server: "mirror.contoso.example:5000",
            url: "http://mirror.contoso.example:5000",
            is_in_hosts_toml: true,
            world: r#"{"mirror": {"port": 5000, "plain_http": true}}"#,
            ..ELSEWHERE
        },
    ),
    (
        1,
        Home {
            world: r#"{"mirror": {}, "registry": {"open": true}}"#,
            ..ELSEWHERE
        },
    ),
    // Blobs, or manifests, are elsewhere.
    (
        2,
        Home {
            sites: &[MIRROR, TOKEN_SERVER],
            world: r#"{"mirror": {"blob": {"redirect to": "https://auth.contoso.example"}},
                "token_server": {}, "registry": {"open": true}}"#,
            ..ELSEWHERE
        },
    ),
    (
        1,
        Home {
            sites: &[MIRROR, TOKEN_SERVER],
            world: r#"{"mirror": {"manifest": {"redirect to": "https://auth.contoso.example"}},
                "token_server": {}, "registry": {"open": true}}"#,
            ..ELSEWHERE
        },
    ),
];
