//! What to do about a finding. The remedies follow Microsoft's troubleshooting articles; the runbooks say more.

use std::net::IpAddr;

use super::finding::Code;
use crate::{
    node::misconfigured::SettingPlace,
    outcome::{EndpointOutcome, Fault},
    stages::{http::fault::HttpFault, resolve::Lookup, tls::TlsFault},
    words::{acr::AcrName, did_you_mean::did_you_mean, scope::Scope},
};

pub(super) const MEND_THE_MIRROR: &str =
    "Fix the mirror, or remove it from the node's certs.d; pulls continue without it.";

/// How to correct a setting of the node.
pub(super) fn of_setting(place: SettingPlace) -> &'static str {
    match place {
        SettingPlace::CertsD | SettingPlace::Host => {
            "Correct the file in the node's certs.d, or the path to it; containerd reads both again for the next \
             pull."
        }
        SettingPlace::Proxy => {
            "Correct the proxy's URL in the environment of the node's containerd, and restart containerd."
        }
    }
}

/// What to do.
pub(super) fn of(code: Code, seen: &EndpointOutcome, lookup: Option<&Lookup>) -> String {
    let host = &*seen.endpoint.host;
    let endpoint = &seen.endpoint;
    let acr = AcrName::parse(host);
    let zone = acr
        .as_ref()
        .map_or_else(|| "the private zone".to_owned(), AcrName::privatelink_zone);
    let record = acr
        .as_ref()
        .map_or_else(|| host.to_owned(), AcrName::privatelink_name);
    let nameserver = lookup
        .map(|lookup| lookup.nameserver.to_string())
        .unwrap_or_default();
    match code {
        Code::PrivateLinkZoneNotLinked => format!(
            "Link the private DNS zone {zone} to the virtual network of nameserver {nameserver} \
             (for a custom DNS server: its own network, and forward the public zone to \
             168.63.129.16). First make sure that the zone has a record for every registry with a \
             private endpoint that this network uses: names that it lacks stop resolving."
        ),
        Code::PrivateLinkRecordMissing => format!(
            "Restore the A record {record}: check the DNS zone group of the private endpoint, or \
             add the record to {zone}. A new zone group overwrites records of another endpoint."
        ),
        Code::PrivateLinkShadowZone => format!(
            "Add the record to {zone} as {record}, with all others of the extra private zone; then \
             unlink that zone."
        ),
        Code::PublicAddress => format!(
            "Make nameserver {nameserver} forward {host} to 168.63.129.16, and check that the \
             registry has a private endpoint. If the public address is right, set private: false."
        ),
        Code::UnexpectedAddress => format!(
            "Compare the A record {record} with the private endpoint's address; a second private \
             endpoint in a shared zone overwrites it. To correct it, add the right address before \
             you remove the wrong one. If the address is right, add its range to private:."
        ),
        Code::NameserversDisagree => format!(
            "Make the nameservers answer alike; {nameserver} differs from the first. A cache that \
             holds an old answer clears with its TTL or a restart."
        ),
        Code::NameserverDown => format!(
            "Check that nameserver {nameserver} runs and that port 53 (UDP and TCP) is open to it; \
             until then every lookup through it costs seconds."
        ),
        Code::NameserverFailing => format!(
            "Check the upstream servers of nameserver {nameserver}; if it is this node's LocalDNS, \
             restart that."
        ),
        Code::NoNameserver => {
            "Restore the node's resolv.conf: DHCP or systemd-resolved.".to_owned()
        }
        Code::NameNotFound => match did_you_mean(host) {
            Some(meant) => format!("Correct the registry's name to {meant}."),
            None => format!(
                "Check the login server's exact name, with its hash if it was created with a \
                 domain name label: az acr show --query loginServer. Nothing called {host} exists."
            ),
        },
        Code::NoAddress => format!("Add an A record for {host}; the name exists without one."),
        Code::AliasBroken => format!(
            "Find out why nameserver {nameserver} does not know the end of the chain: a forwarder or filter, or a \
             private zone for a parent of that name which lacks it."
        ),
        Code::AnswerFiltered => format!(
            "Allow private addresses for {host} at nameserver {nameserver}: rebind-domain-ok in dnsmasq, \
             private-domain in unbound, or the same setting of a router or filter."
        ),
        Code::SearchDomainAnswer => format!(
            "Remove the wildcard record of the search domain, or the domain from the node's resolv.conf; then check \
             why {host} itself has no answer."
        ),
        Code::NameserverSlow => format!(
            "Look at the load of nameserver {nameserver} and at its upstream servers; every connection of a pull \
             waits for it."
        ),
        Code::HostsFileOverride => {
            format!("Remove {host} from the node's hosts file, or make it agree with DNS.")
        }
        Code::PrivateEndpointTimeout => {
            "Check the peering between the node's network and the private endpoint's, network \
             security groups and firewall routes for TCP 443, and that the address is that of the \
             private endpoint."
                .to_owned()
        }
        Code::EndpointTimeout => format!(
            "Allow TCP {} to {host} in the firewall or network security group of the node's \
             outbound path.",
            endpoint.port
        ),
        Code::ConnectionRefused => format!(
            "Check that {endpoint} is the right target and listens; a firewall may also reject."
        ),
        Code::NoRoute => "Check the node's own routes and rules; a route table of Azure drops silently \
                          and is not the cause."
            .to_owned(),
        Code::NodePolicyBlocked => {
            "Check this node's own rules: nft list ruleset, iptables-save, ip route get. Remove the one that \
             refuses the packet; if it holds for this agent alone, allow the agent, and pulls are not affected."
                .to_owned()
        }
        Code::AddressDown => {
            "Fix the dead address, or remove it from DNS if another one stays; each pull that tries \
             it first waits half of 30 s."
                .to_owned()
        }
        Code::ProxyUnreachable | Code::ProxyBroken => {
            format!("Fix the proxy, or add {host} to noProxy of the node's proxy settings.")
        }
        Code::ProxyDenied => {
            format!("Allow CONNECT to {endpoint} at the proxy, or add {host} to noProxy.")
        }
        Code::ProxyAuthRequired => {
            format!(
                "Exempt the nodes' addresses from authentication at the proxy (AKS supports no \
                 credentials there), or add {host} to noProxy."
            )
        }
        Code::TlsIntercepted => format!(
            "Exempt {host} from TLS inspection, or install the inspecting authority's certificate \
             on the nodes."
        ),
        Code::TrustOutdated => format!(
            "Update the node's CA bundle (ca-certificates, or the node image), and check that {host} sends its \
             intermediate certificates: openssl s_client -showcerts."
        ),
        Code::CertificateExpired => {
            format!("Renew the certificate of {host}; first check this node's clock.")
        }
        Code::CertificateNotYetValid => "Set this node's clock: check NTP.".to_owned(),
        Code::CertificateExpiringSoon => {
            format!("Renew the certificate of {host} before it expires.")
        }
        Code::CertificateNameMismatch => match did_you_mean(host) {
            Some(meant) => format!("Use the login server's own name, {meant}."),
            None => format!("Use the name that the certificate is for, or renew it for {host}."),
        },
        Code::CertificateInvalid => format!(
            "Have the certificate of {host} issued again without what the error names; if it is an authority's, \
             that authority's."
        ),
        Code::TlsStalled | Code::TlsDropped => {
            "Check firewalls and inspection devices on the path to port 443, and the path's MTU."
                .to_owned()
        }
        Code::PathMtuBlackHole => {
            "Find the tunnel or link with the smaller MTU on the path, and let ICMP \"fragmentation needed\" pass \
             there or have it clamp the MSS; until then, a route with a smaller mtu for this destination alone."
                .to_owned()
        }
        Code::LargeClientHelloDropped => {
            "A device on the path drops TLS hellos larger than one packet, as containerd 2.2 and \
             later send them: update or bypass it, or check the path's MTU."
                .to_owned()
        }
        Code::NotTls => format!(
            "{endpoint} does not speak TLS: check port and proxy; if it is meant to use plain HTTP, \
             write http:// in front of it here, and in containerd's hosts.toml."
        ),
        Code::TlsVersion => "Enable TLS 1.2 or 1.3 with common parameters at the peer.".to_owned(),
        Code::RegistryFirewall => {
            "Allow all egress addresses of the nodes in the registry's network rules (az acr \
             network-rule add), or use a private endpoint. A private address here comes from a \
             service endpoint of the subnet, which rules cannot allow."
                .to_owned()
        }
        Code::Forbidden => {
            "Check whether the registry's public access is disabled, its customer-managed key or the \
             identity for it is lost, or a proxy answers in its place."
                .to_owned()
        }
        Code::NotARegistry => format!(
            "Check that {endpoint} is the registry and that no portal or proxy answers instead."
        ),
        Code::Throttled => {
            "Wait as Retry-After says and send fewer requests; use a higher SKU of the registry, or \
             ask for a higher limit."
                .to_owned()
        }
        Code::RegistryError => {
            "Open a support ticket with the correlation id; check the registry's status.".to_owned()
        }
        Code::NoResponse | Code::ConnectionDropped | Code::MalformedResponse => {
            "Check proxies and inspection devices on the path, then the registry itself.".to_owned()
        }
        Code::CredentialsRequired => {
            "Nothing, if pods or kubelet have credentials; else grant AcrPull or, on a registry with \
             ABAC, Container Registry Repository Reader. Anonymous pull would open every repository."
                .to_owned()
        }
        Code::PullSecretInvalid => {
            "Create the secret again with kubectl create secret docker-registry; its auth is the base64 of \
             user:password."
                .to_owned()
        }
        Code::PullSecretNoMatch => format!(
            "Add an entry for {host} with user and password to the secret, or name another secret in the pod's \
             imagePullSecrets."
        ),
        Code::IdentityNotOnNode => {
            "Assign the kubelet's identity to the scale set again (az aks update -g GROUP -n CLUSTER reconciles it; az \
             vmss identity assign for nodes of another kind), or correct the client id in this configuration."
                .to_owned()
        }
        Code::IdentityAmbiguous => {
            "Name the kubelet's identity: its client id is az aks show --query \
             identityProfile.kubeletidentity.clientId, on the node userAssignedIdentityID of /etc/kubernetes/azure.json."
                .to_owned()
        }
        Code::MetadataUnreachable => {
            "Let the node itself reach 169.254.169.254 port 80: check its firewall rules and routes (nft list ruleset, \
             ip route get 169.254.169.254), then restart the node if it still gives no token."
                .to_owned()
        }
        Code::MetadataProxied => {
            "Add 169.254.169.254 to noProxy of the node's proxy settings: az aks update --http-proxy-config FILE."
                .to_owned()
        }
        Code::MetadataThrottled => {
            "Find what asks the metadata service so often (a pod on the host network, an agent on the node), and have \
             it keep its tokens; the limit is 20 questions a second for the machine."
                .to_owned()
        }
        Code::PullRoleMissing => {
            "Grant the kubelet's identity the role AcrPull or, on a registry with ABAC, Container Registry Repository \
             Reader: az role assignment create --assignee CLIENT_ID --role AcrPull --scope REGISTRY_ID. The identity has \
             to be of the registry's tenant."
                .to_owned()
        }
        Code::ExchangeRefused => format!(
            "Check whether {host} lets this node's address in (az acr network-rule list), and whether it takes tokens of \
             Entra ID at all; a proxy or gateway may answer in its place."
        ),
        Code::ClientSecretRejected => {
            "Issue a new password (az ad app credential reset, az acr token credential generate), and put it into the \
             pull secret; the old one has expired or was replaced."
                .to_owned()
        }
        Code::PrincipalUnknown => {
            "Use the application (client) id of a service principal in the registry's tenant, or the name of a token \
             of the registry, as the user; check that it has not been deleted."
                .to_owned()
        }
        Code::RepositoryNotPermitted => {
            "Grant AcrPull or, on a registry with ABAC, Container Registry Repository Reader for this repository; for \
             a token of the registry, add the repository to its scope map."
                .to_owned()
        }
        Code::ImageNotFound => "Correct the repository or tag; if it was deleted, push the same image \
                                again."
            .to_owned(),
        Code::ImageLocked => {
            "Unlock it, if that is right: az acr repository update --image REPOSITORY:TAG --read-enabled true, or \
             --repository for all of it. First find out who locked it, and why."
                .to_owned()
        }
        Code::PlatformMismatch => {
            "Build the image for this node's platform, or keep its pods off such nodes \
             (nodeSelector)."
                .to_owned()
        }
        Code::BlobUnavailable => {
            "For 403, exempt the data endpoint or storage host from proxies and filters; for 404, push \
             the same image again."
                .to_owned()
        }
        Code::BlobCorrupt => format!(
            "Compare with the content that {host} has for other nodes. If it differs, exempt {host} from the proxy, \
             cache or filter on the path; else push the same image again."
        ),
        Code::ClientCertificateRequired => format!(
            "Name a certificate and its key for {host} in the node's hosts.toml, as \
             client = [[\"node.crt\", \"node.key\"]], by an authority that {host} accepts."
        ),
        Code::MirrorFailing => MEND_THE_MIRROR.to_owned(),
        Code::NodeConfigInvalid => of_setting(SettingPlace::CertsD).to_owned(),
        Code::SlowDownload => format!(
            "Download a layer from {host} by hand, from this node and from another one, to see whether this node, its \
             way out or the registry is slow."
        ),
        Code::ClockSkew => "Set this node's clock: check NTP (chronyd).".to_owned(),
    }
}

/// The alert by which the peer ended the handshake, if it did.
pub(super) fn alert_of(fault: &Fault) -> Option<&str> {
    match fault {
        Fault::Tls(fault) => match &**fault {
            TlsFault::Alert(name) => Some(name),
            _ => None,
        },
        _ => None,
    }
}

/// What to do about a stage that failed, where the fault itself says more than its code.
pub(super) fn of_fault(fault: &Fault, seen: &EndpointOutcome) -> Option<String> {
    let endpoint = &seen.endpoint;
    if let Some(client) = refused_client(fault) {
        let dialled = seen.failed_address();
        let is_private = |address| Scope::of(address).is_private();
        return Some(match client {
            IpAddr::V6(_) if !is_private(client) => {
                "Have the nodes leave over IPv4: the registry's network rules know no IPv6. Or use a private \
                 endpoint."
                    .to_owned()
            }
            client if is_private(client) => format!(
                "{client} comes from a service endpoint of the nodes' subnet, which IP rules cannot allow: allow \
                 the subnet (az acr network-rule add --subnet), or remove the service endpoint \
                 Microsoft.ContainerRegistry and use a private endpoint."
            ),
            client if dialled.is_some_and(is_private) => format!(
                "The request to a private address reached the registry from {client}, by the public path: find the \
                 proxy or gateway that forwards it, and have it use the private endpoint."
            ),
            client => format!(
                "Allow all egress addresses of the nodes, {client} among them, in the registry's network rules (az \
                 acr network-rule add --ip-address), or use a private endpoint."
            ),
        });
    }
    Some(match alert_of(fault)? {
        "unrecognized_name" => format!(
            "What answers there does not serve {}: check that the name leads to the right server, and what gateways \
             on the path do with its name.",
            endpoint.host
        ),
        "access_denied" => format!(
            "A gateway or filter on the path refuses {}: allow the name there.",
            endpoint.host
        ),
        "internal_error" => {
            format!(
                "What answers at {endpoint} fails by itself: look at its log, or at the gateway in front of it."
            )
        }
        _ => return None,
    })
}

pub(super) fn refused_client(fault: &Fault) -> Option<IpAddr> {
    match fault {
        Fault::Http(HttpFault::Refused(refusal)) => refusal.client_ip,
        _ => None,
    }
}
