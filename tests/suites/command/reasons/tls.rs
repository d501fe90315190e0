//! A handshake that fails.

use regprobe_harness::contoso::LOGIN;
use regprobe_harness::need::Need;
use regprobe_harness::openssl::OpensslServer;
use regprobe_lab::addresses::loopback;
use regprobe_lab::fakes::sockets::{self, ALERT_CERTIFICATE_REQUIRED, ALERT_UNRECOGNIZED_NAME};
use regprobe_lab::pki::{Leaf, Pki};
use regprobe_lab::servers::Nginx;

use super::{Case, at, dialling, fails, nginx, pinned_to};

pub(super) fn tls() -> Vec<Case> {
    vec![
        presents("tls expired: a certificate of last month", |leaf| {
            leaf.expired()
        }),
        presents("tls not_yet_valid: a certificate of next week", |leaf| {
            leaf.not_yet_valid()
        }),
        presents("tls name_mismatch: a name in the subject only", |leaf| {
            leaf.without_san()
        }),
        presents(
            "tls unknown_issuer: an intermediate not sent along",
            |leaf| leaf.via_unsent_intermediate(),
        ),
        fails("tls unknown_issuer: an authority nobody knows", || {
            let identity = Pki::new()?.leaf([LOGIN]).issue()?;
            let nginx = nginx(&identity)?;
            pinned_to(nginx.addr())?.check(&at(nginx.addr()))
        })
        .needs([Need::NGINX]),
        fails(
            "tls name_mismatch: the certificate of the private name",
            || {
                let pki = Pki::new()?;
                let identity = pki.leaf(["contoso.privatelink.azurecr.io"]).issue()?;
                let nginx = nginx(&identity)?;
                pinned_to(nginx.addr())?
                    .trusting(&pki.ca_pem())?
                    .check(&at(nginx.addr()))
            },
        )
        .needs([Need::NGINX]),
        fails("tls bad_certificate: a certificate for clients", || {
            OpensslServer::certified("-addext extendedKeyUsage=clientAuth", &[])?.check()
        })
        .needs([Need::OPENSSL]),
        fails("tls bad_certificate: a signature with SHA-1", || {
            OpensslServer::certified("-sha1", &["-cipher", "ALL:@SECLEVEL=0"])?.check()
        })
        .needs([Need::OPENSSL]),
        fails("tls version: TLS 1.1 at most", || {
            OpensslServer::start(&["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"])?.check()
        })
        .needs([Need::OPENSSL]),
        fails(
            "tls certificate_required: a front that sends the alert",
            || {
                let alert = sockets::tls_alerts((loopback(), 0), ALERT_CERTIFICATE_REQUIRED)?;
                dialling(alert.addr())
            },
        ),
        fails("tls alert: no cipher in common", || {
            OpensslServer::start(&["-tls1_2", "-cipher", "AES128-SHA"])?.check()
        })
        .needs([Need::OPENSSL]),
        fails("tls alert: a front that does not know the name", || {
            dialling(sockets::tls_alerts((loopback(), 0), ALERT_UNRECOGNIZED_NAME)?.addr())
        }),
        fails("tls not_tls: plain HTTP on the port", || {
            let nginx = Nginx::at((loopback(), 0)).start()?;
            dialling(nginx.addr())
        })
        .needs([Need::NGINX]),
        fails("tls timeout: silence after the dial", || {
            let server = sockets::stalls((loopback(), 0))?;
            dialling(server.addr())
        }),
        fails("tls reset: RST upon the ClientHello", || {
            let server = sockets::tls_resets((loopback(), 0))?;
            dialling(server.addr())
        }),
        fails("tls closed: FIN upon the ClientHello", || {
            let server = sockets::tls_closes((loopback(), 0))?;
            dialling(server.addr())
        }),
    ]
}

/// A certificate of a trusted authority with one flaw.
pub(super) fn presents(
    name: &str,
    flaw: impl for<'pki> FnOnce(Leaf<'pki>) -> Leaf<'pki> + Send + 'static,
) -> Case {
    fails(name, || {
        let pki = Pki::new()?;
        let nginx = nginx(&flaw(pki.leaf([LOGIN])).issue()?)?;
        let node = pinned_to(nginx.addr())?.trusting(&pki.ca_pem())?;
        node.check(&at(nginx.addr()))
    })
    .needs([Need::NGINX])
}
