//! The names of an Azure Container Registry as DNS shows them, with private link in place or
//! broken in each of the ways it breaks in. A scenario says
//! `dns.acr("contoso").data("westeurope").record_missing()` and nothing of chains or zones.
//!
//! The chains are those of Microsoft's "container-registry-private-endpoints"; the names of the
//! public front ends are made unique to an endpoint, so that each may have its own addresses.

use std::net::IpAddr;

use crate::fakes::dns::Dns;

const ALIAS_TTL: u32 = 3600;
const PRIVATE_TTL: u32 = 10;
const PUBLIC_TTL: u32 = 10;
const TRAFFIC_MANAGER_TTL: u32 = 300;

const PRIVATE_ZONE: &str = "privatelink.azurecr.io";

impl Dns {
    /// The names of one registry, held by this nameserver.
    #[must_use]
    pub fn acr(&self, registry: &str) -> Names<'_> {
        for zone in [
            "azurecr.io",
            "azcr.io",
            "trafficmanager.net",
            "cloudapp.azure.com",
        ] {
            self.zone(zone);
        }
        Names {
            dns: self,
            registry: registry.to_owned(),
        }
    }
}

/// A registry's names.
pub struct Names<'dns> {
    dns: &'dns Dns,
    registry: String,
}

impl<'dns> Names<'dns> {
    /// `<registry>.azurecr.io`
    #[must_use]
    pub fn login(&self) -> Endpoint<'dns> {
        self.endpoint("")
    }

    /// `<registry>.<region>.data.azurecr.io`
    #[must_use]
    pub fn data(&self, region: &str) -> Endpoint<'dns> {
        self.endpoint(&format!("{region}.data."))
    }

    /// `<registry>.<region>.geo.azurecr.io`
    #[must_use]
    pub fn geo(&self, region: &str) -> Endpoint<'dns> {
        self.endpoint(&format!("{region}.geo."))
    }

    /// `below` is what stands between the registry and the suffix, with its last dot.
    fn endpoint(&self, below: &str) -> Endpoint<'dns> {
        let registry = &self.registry;
        Endpoint {
            dns: self.dns,
            host: format!("{registry}.{below}azurecr.io"),
            private_name: format!("{registry}.{below}{PRIVATE_ZONE}"),
            shadow_zone: format!("{below}{PRIVATE_ZONE}"),
            front_end: format!("{registry}.{below}")
                .trim_end_matches('.')
                .replace('.', "-"),
        }
    }
}

/// One of a registry's names. Each method puts it into one state, whatever it was before.
pub struct Endpoint<'dns> {
    dns: &'dns Dns,
    host: String,
    private_name: String,
    /// The private zone itself for a login server.
    shadow_zone: String,
    /// The label of the public front end.
    front_end: String,
}

impl Endpoint<'_> {
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The private zone is linked and has the record: the healthy state.
    pub fn linked<I: Into<IpAddr>>(&self, addresses: impl IntoIterator<Item = I>) {
        self.start_over();
        self.dns
            .zone(PRIVATE_ZONE)
            .alias(&self.host, &self.private_name, ALIAS_TTL)
            .address(&self.private_name, addresses, PRIVATE_TTL);
    }

    /// There is a private endpoint, but this nameserver's network is not linked to its zone: the
    /// chain passes `privatelink.` and ends at a public address.
    pub fn unlinked<I: Into<IpAddr>>(&self, addresses: impl IntoIterator<Item = I>) {
        self.start_over();
        self.dns.alias(&self.host, &self.private_name, ALIAS_TTL);
        self.public_chain(&self.private_name, addresses);
    }

    /// There is no private endpoint: no `privatelink.` in the chain, public addresses.
    pub fn public<I: Into<IpAddr>>(&self, addresses: impl IntoIterator<Item = I>) {
        self.start_over();
        self.public_chain(&self.host, addresses);
    }

    /// The public chain, whose last name does not exist.
    pub fn alias_broken(&self) {
        self.start_over();
        let front_end = format!("{}.fe.azcr.io", self.front_end);
        let cloud_app = format!("{}-az.gone.cloudapp.azure.com", self.front_end);
        self.dns
            .alias(&self.host, &front_end, ALIAS_TTL)
            .alias(&front_end, &cloud_app, ALIAS_TTL);
    }

    /// The private zone is linked and lacks the record: NXDOMAIN with the private zone's SOA.
    pub fn record_missing(&self) {
        self.start_over();
        self.dns
            .zone(PRIVATE_ZONE)
            .alias(&self.host, &self.private_name, ALIAS_TTL);
    }

    /// A zone below the private one hides the record: NXDOMAIN with that zone's SOA.
    ///
    /// # Panics
    /// For the login server: nothing lies between its record and the private zone.
    pub fn shadowed(&self) {
        assert_ne!(
            self.shadow_zone, PRIVATE_ZONE,
            "no zone can shadow a login server"
        );
        self.record_missing();
        self.dns.zone(&self.shadow_zone);
    }

    /// No such registry: NXDOMAIN with the public zone's SOA.
    pub fn unknown(&self) {
        self.start_over();
    }

    fn start_over(&self) {
        if self.shadow_zone != PRIVATE_ZONE {
            self.dns.remove_zone(&self.shadow_zone);
        }
        self.dns.remove(&self.host).remove(&self.private_name);
    }

    fn public_chain<I: Into<IpAddr>>(&self, from: &str, addresses: impl IntoIterator<Item = I>) {
        let label = &self.front_end;
        let front_end = format!("{label}.fe.azcr.io");
        let traffic_manager = format!("{label}-acr-reg.trafficmanager.net");
        let cloud_app = format!("{label}-az.eastus.cloudapp.azure.com");
        self.dns
            .alias(from, &front_end, ALIAS_TTL)
            .alias(&front_end, &traffic_manager, ALIAS_TTL)
            .alias(&traffic_manager, &cloud_app, TRAFFIC_MANAGER_TTL)
            .address(&cloud_app, addresses, PUBLIC_TTL);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::{addresses, fakes::dns::tests};

    const PRIVATE: Ipv4Addr = Ipv4Addr::new(10, 240, 1, 4);
    const PUBLIC: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 4);

    fn dig(dns: &Dns, name: &str) -> String {
        let extra = ["+noall", "+comments", "+answer", "+authority"];
        tests::dig(dns, name, &extra)
    }

    #[test]
    fn the_chains_are_those_of_azure() {
        let dns = Dns::start((addresses::loopback(), 0)).unwrap();
        let contoso = dns.acr("contoso");

        let login = contoso.login();
        login.linked([PRIVATE]);
        let said = dig(&dns, login.host());
        assert!(
            said.contains("CNAME\tcontoso.privatelink.azurecr.io."),
            "{said}"
        );
        assert!(said.contains("A\t10.240.1.4"), "{said}");

        login.unlinked([PUBLIC]);
        let said = dig(&dns, login.host());
        assert!(
            said.contains("contoso.privatelink.azurecr.io.") && said.contains("A\t203.0.113.4"),
            "{said}"
        );

        login.public([PUBLIC]);
        let said = dig(&dns, login.host());
        assert!(
            !said.contains("privatelink") && said.contains("A\t203.0.113.4"),
            "{said}"
        );

        login.unknown();
        let said = dig(&dns, login.host());
        assert!(
            said.contains("NXDOMAIN") && said.contains("\nazurecr.io."),
            "{said}"
        );

        let data = contoso.data("westeurope");
        data.record_missing();
        let said = dig(&dns, data.host());
        assert!(
            said.contains("NXDOMAIN") && said.contains("\nprivatelink.azurecr.io."),
            "{said}"
        );

        data.shadowed();
        let said = dig(&dns, data.host());
        assert!(
            said.contains("NXDOMAIN") && said.contains("\nwesteurope.data.privatelink.azurecr.io."),
            "{said}"
        );

        data.linked([PRIVATE]);
        assert!(dig(&dns, data.host()).contains("A\t10.240.1.4"));
    }
}
