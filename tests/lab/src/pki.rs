//! A certificate authority of the test's own, and every way in which a server's certificate can be
//! wrong. A [`Pki`] issues leaves through a small builder that reads as the story does:
//! `pki.leaf(["contoso.azurecr.io"]).expired().issue()`.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, CustomExtension, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::CertificateDer;

mod identity;

pub use identity::{Identity, IdentityFiles};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

type Ca = CertifiedIssuer<'static, KeyPair>;

/// A root authority with an intermediate below it.
pub struct Pki {
    name: String,
    root: Ca,
    intermediate: Ca,
}

impl Pki {
    /// A new authority. No two share a distinguished name: verifiers that look an issuer up by name
    /// would report a bad signature where the truth is an unknown issuer.
    pub fn new() -> Result<Self> {
        static SERIAL: AtomicU32 = AtomicU32::new(1);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        Self::named(&format!("Lab Root {serial}"))
    }

    /// An authority whose root goes by this name.
    pub fn named(name: &str) -> Result<Self> {
        Self::rooted_in(ca_params(name), name)
    }

    /// An authority of an organisation, as public ones are.
    pub fn of(organisation: &str, name: &str) -> Result<Self> {
        let mut root = ca_params(name);
        root.distinguished_name
            .push(DnType::OrganizationName, organisation);
        Self::rooted_in(root, name)
    }

    fn rooted_in(root: CertificateParams, name: &str) -> Result<Self> {
        let root = Ca::self_signed(root, KeyPair::generate()?)?;
        let intermediate = Ca::signed_by(
            ca_params(&format!("Intermediate of {name}")),
            KeyPair::generate()?,
            &root,
        )?;
        let name = name.to_owned();
        Ok(Self {
            name,
            root,
            intermediate,
        })
    }

    /// The root, as a client must trust it.
    #[must_use]
    pub fn ca_pem(&self) -> String {
        self.root.pem()
    }

    #[must_use]
    pub fn ca_der(&self) -> &CertificateDer<'static> {
        self.root.der()
    }

    pub fn write_ca(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        fs::write(path, self.ca_pem())
            .with_context(|| format!("failed to write {}", path.display()))
    }

    /// The root once more, signed by an authority that nobody trusts; it ended an hour ago.
    fn crossed(&self) -> Result<Certificate> {
        let older = Self::new()?;
        let mut params = ca_params(&self.name);
        params.not_after = (SystemTime::now() - DAY / 24).into();
        Ok(params.signed_by(self.root.key(), &older.root)?)
    }

    /// An intermediate that is not meant to sign certificates.
    fn barred(&self) -> Result<Ca> {
        let mut params = ca_params(&format!("Intermediate of {}", self.name));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        Ok(Ca::signed_by(params, KeyPair::generate()?, &self.root)?)
    }

    /// A server certificate for DNS names and IP addresses, valid from yesterday for ninety days
    /// by default.
    pub fn leaf<N: Into<String>>(&self, names: impl IntoIterator<Item = N>) -> Leaf<'_> {
        Leaf::new(names, Signer::Root(self))
    }
}

/// A certificate that signs itself, as a private registry without an authority has.
pub fn self_signed<N: Into<String>>(names: impl IntoIterator<Item = N>) -> Leaf<'static> {
    Leaf::new(names, Signer::Itself)
}

/// A server certificate about to be issued.
#[must_use]
pub struct Leaf<'pki> {
    names: Vec<String>,
    signer: Signer<'pki>,
    not_before: SystemTime,
    not_after: SystemTime,
    subject_alt_names: bool,
    is_ca: bool,
    usages: Vec<ExtendedKeyUsagePurpose>,
    critical: Option<CustomExtension>,
    has_rsa_key: bool,
}

enum Signer<'pki> {
    Root(&'pki Pki),
    Intermediate {
        pki: &'pki Pki,
        sent: bool,
    },
    /// Which sends along what nobody needs.
    Crossed(&'pki Pki),
    /// An intermediate that may not.
    Barred(&'pki Pki),
    Itself,
}

impl<'pki> Leaf<'pki> {
    fn new<N: Into<String>>(names: impl IntoIterator<Item = N>, signer: Signer<'pki>) -> Self {
        let now = SystemTime::now();
        Self {
            names: names.into_iter().map(Into::into).collect(),
            signer,
            not_before: now - DAY,
            not_after: now + 90 * DAY,
            subject_alt_names: true,
            is_ca: false,
            usages: vec![
                ExtendedKeyUsagePurpose::ServerAuth,
                ExtendedKeyUsagePurpose::ClientAuth,
            ],
            critical: None,
            has_rsa_key: false,
        }
    }

    pub fn valid(mut self, not_before: SystemTime, not_after: SystemTime) -> Self {
        self.not_before = not_before;
        self.not_after = not_after;
        self
    }

    /// It ended an hour ago.
    pub fn expired(self) -> Self {
        let now = SystemTime::now();
        self.valid(now - 30 * DAY, now - DAY / 24)
    }

    /// It is good from tomorrow.
    pub fn not_yet_valid(self) -> Self {
        let now = SystemTime::now();
        self.valid(now + DAY, now + 30 * DAY)
    }

    /// It is good now, and for no longer than `time`.
    pub fn expires_in(self, time: Duration) -> Self {
        let now = SystemTime::now();
        self.valid(now - DAY, now + time)
    }

    /// The names stand in the subject only, as certificates of the last century had them.
    pub fn without_san(mut self) -> Self {
        self.subject_alt_names = false;
        self
    }

    /// Signed by the intermediate, which the server sends along.
    pub fn via_intermediate(self) -> Self {
        self.signed_by_authority(|pki| Signer::Intermediate { pki, sent: true })
    }

    /// Signed by the intermediate, which the server forgets to send.
    pub fn via_unsent_intermediate(self) -> Self {
        self.signed_by_authority(|pki| Signer::Intermediate { pki, sent: false })
    }

    /// Signed by the intermediate. The server sends that, and an expired cross-certificate of the root.
    pub fn with_expired_cross_certificate(self) -> Self {
        self.signed_by_authority(Signer::Crossed)
    }

    /// Signed by an intermediate whose key usage is not that of an authority.
    pub fn via_barred_intermediate(self) -> Self {
        self.signed_by_authority(Signer::Barred)
    }

    fn signed_by_authority(mut self, signer: fn(&'pki Pki) -> Signer<'pki>) -> Self {
        if let Signer::Root(pki) = self.signer {
            self.signer = signer(pki);
        }
        self
    }

    /// With `CA:TRUE`, as `openssl req -x509` makes them: good to Go when it is itself trusted.
    pub fn with_ca_true(mut self) -> Self {
        self.is_ca = true;
        self
    }

    /// For this alone.
    pub fn for_usage(mut self, usage: ExtendedKeyUsagePurpose) -> Self {
        self.usages = vec![usage];
        self
    }

    /// With an empty extension that is marked critical.
    pub fn with_critical(mut self, oid: &[u64]) -> Self {
        const EMPTY_SEQUENCE: [u8; 2] = [0x30, 0];
        let mut extension = CustomExtension::from_oid_content(oid, EMPTY_SEQUENCE.to_vec());
        extension.set_criticality(true);
        self.critical = Some(extension);
        self
    }

    /// An RSA key of 2048 bits.
    pub fn with_rsa_key(mut self) -> Self {
        self.has_rsa_key = true;
        self
    }

    pub fn issue(self) -> Result<Identity> {
        let key = match self.has_rsa_key {
            true => KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048)?,
            false => KeyPair::generate()?,
        };
        let params = self.params()?;
        let known = |ca: &Ca| AsRef::<Certificate>::as_ref(ca).clone();
        let (leaf, sent) = match self.signer {
            Signer::Root(pki) => (params.signed_by(&key, &pki.root)?, Vec::new()),
            Signer::Intermediate { pki, sent } => {
                let leaf = params.signed_by(&key, &pki.intermediate)?;
                let sent = sent.then(|| known(&pki.intermediate));
                (leaf, sent.into_iter().collect())
            }
            Signer::Crossed(pki) => {
                let leaf = params.signed_by(&key, &pki.intermediate)?;
                (leaf, vec![known(&pki.intermediate), pki.crossed()?])
            }
            Signer::Barred(pki) => {
                let barred = pki.barred()?;
                (params.signed_by(&key, &barred)?, vec![known(&barred)])
            }
            Signer::Itself => (params.self_signed(&key)?, Vec::new()),
        };
        let mut identity = Identity {
            chain_pem: leaf.pem(),
            chain: vec![leaf.der().clone()],
            key_pem: key.serialize_pem(),
            key_der: key.serialize_der(),
        };
        for intermediate in sent {
            identity.chain_pem.push_str(&intermediate.pem());
            identity.chain.push(intermediate.der().clone());
        }
        Ok(identity)
    }

    fn params(&self) -> Result<CertificateParams> {
        let sans = if self.subject_alt_names {
            self.names.clone()
        } else {
            Vec::new()
        };
        let mut params = CertificateParams::new(sans)?;
        params.distinguished_name.remove(DnType::CommonName);
        if let Some(name) = self.names.first() {
            params
                .distinguished_name
                .push(DnType::CommonName, name.as_str());
        }
        params.not_before = self.not_before.into();
        params.not_after = self.not_after.into();
        params.extended_key_usages.clone_from(&self.usages);
        params.custom_extensions.extend(self.critical.clone());
        if self.is_ca {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        Ok(params)
    }
}

fn ca_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let now = SystemTime::now();
    params.not_before = (now - 365 * DAY).into();
    params.not_after = (now + 3650 * DAY).into();
    params
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// What `openssl verify` says of a leaf, with the root trusted and a host name to match.
    fn openssl_verify(pki: &Pki, identity: &Identity, host: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        let ca = dir.path().join("ca.crt");
        pki.write_ca(&ca).unwrap();
        let files = identity.write(dir.path()).unwrap();
        let out = Command::new("openssl")
            .args(["verify", "-verify_hostname", host, "-CAfile"])
            .arg(&ca)
            .arg("-untrusted")
            .arg(&files.chain)
            .arg(&files.chain)
            .output()
            .unwrap();
        String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr)
    }

    #[test]
    fn each_leaf_is_wrong_in_its_own_way() {
        let pki = Pki::new().unwrap();
        let other = Pki::new().unwrap();
        let host = "contoso.azurecr.io";
        let leaf = || pki.leaf([host]);
        let cases = [
            (leaf().issue(), ": OK"),
            (leaf().expired().issue(), "certificate has expired"),
            (
                leaf().not_yet_valid().issue(),
                "certificate is not yet valid",
            ),
            (leaf().without_san().issue(), ": OK"), // openssl still falls back to the subject
            (leaf().via_intermediate().issue(), ": OK"),
            (
                leaf().via_unsent_intermediate().issue(),
                "unable to get local issuer",
            ),
            (
                pki.leaf(["fabrikam.azurecr.io"]).issue(),
                "hostname mismatch",
            ),
            (other.leaf([host]).issue(), "unable to get local issuer"),
            (self_signed([host]).issue(), "self-signed certificate"),
            (
                self_signed([host]).with_ca_true().issue(),
                "self-signed certificate",
            ),
        ];
        for (identity, expected) in cases {
            let said = openssl_verify(&pki, &identity.unwrap(), host);
            assert!(said.contains(expected), "expected {expected:?} in {said:?}");
        }
    }
}
