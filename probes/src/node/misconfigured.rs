//! Settings of the node that its client cannot use as they are meant.

/// A setting that the node's client cannot use as it is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misconfigured {
    /// Where it is set.
    pub place: SettingPlace,
    /// Which file or variable, and what is wrong with it.
    pub problem: String,
    /// Whether every pull fails because of it; otherwise the client ignores it, or makes something else of it.
    pub fatal: bool,
    /// What the client then prints, where that is known.
    pub client_error: Option<String>,
}

/// Where a setting of the node's client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingPlace {
    /// The registry's directory below `certs.d`, and the files that its `hosts.toml` names.
    CertsD,
    /// A host that `hosts.toml` names.
    Host,
    /// The environment variables that name proxies.
    Proxy,
}
