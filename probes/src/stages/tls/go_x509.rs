//! Verifies a chain of certificates as Go's `crypto/x509` does for a TLS client: which chains it builds, which
//! of them it takes, and in which order it complains. Opens no socket and reads no clock.
//!
//! Source: Go 1.26, `crypto/x509/verify.go`. Certificate policies are not looked at.

use jiff::Timestamp;
use rustls::{
    crypto::{WebPkiSupportedAlgorithms, aws_lc_rs},
    pki_types::{CertificateDer, ServerName},
};

pub(super) use self::signature::verify_handshake;
use self::{parsed::Parsed, signature::SignatureProblem};
use super::chain::CertificateProblem;
use crate::node::trust::TrustStore;

mod constraints;
mod hostname;
mod parsed;
mod signature;
#[cfg(test)]
mod tests;

/// Signatures that Go checks before it gives up.
const MAX_SIGNATURE_CHECKS: usize = 100;

/// What a chain is verified against.
pub(super) struct Authorities<'a> {
    pub roots: &'a TrustStore,
    pub algorithms: &'a WebPkiSupportedAlgorithms,
    pub now: Timestamp,
}

impl Authorities<'_> {
    /// Verifies the certificates that a server presented, its own first. Returns the places of those that lead to
    /// a root; a server may present others as well.
    pub(super) fn verify(
        &self,
        presented: &[CertificateDer<'_>],
        name: &ServerName<'_>,
    ) -> Result<Vec<usize>, CertificateProblem> {
        let parsed = presented.iter().enumerate();
        let parsed: Vec<_> = parsed
            .map(|(place, der)| Parsed::read(place, der))
            .collect::<Result<_, _>>()?;
        let Some((leaf, intermediates)) = parsed.split_first() else {
            return Err(CertificateProblem::bad("no certificate presented"));
        };
        leaf.check_alone(self.now)?;
        hostname::verify(leaf, name)?;
        if self.roots.holds(&presented[leaf.place]) {
            check_chain(&[leaf]).map_err(Refusal::problem)?;
            return Ok(vec![leaf.place]);
        }
        let mut search = Search {
            authorities: self,
            intermediates,
            signatures_left: MAX_SIGNATURE_CHECKS,
            refused: None,
            uncheckable: None,
        };
        let found = search.extend(&[leaf]);
        found.map_err(|problem| {
            let refused = search.refused.map(Refusal::problem);
            refused.or(search.uncheckable).unwrap_or(problem)
        })
    }
}

/// Whether the certificate is for `name`.
pub(super) fn verify_name(
    leaf: &CertificateDer<'_>,
    name: &ServerName<'_>,
) -> Result<(), CertificateProblem> {
    hostname::verify(&Parsed::read(0, leaf)?, name)
}

/// Verifies a chain that no server sent.
pub(crate) fn verify_chain(
    presented: &[CertificateDer<'_>],
    roots: Vec<CertificateDer<'static>>,
    host: &str,
    now: Timestamp,
) -> Result<(), CertificateProblem> {
    let name =
        ServerName::try_from(host).map_err(|error| CertificateProblem::bad(&error.to_string()))?;
    let authorities = Authorities {
        roots: &TrustStore::of(roots),
        algorithms: &aws_lc_rs::default_provider().signature_verification_algorithms,
        now,
    };
    authorities.verify(presented, &name).map(drop)
}

/// The search for a chain to a root, depth first.
struct Search<'a> {
    authorities: &'a Authorities<'a>,
    intermediates: &'a [Parsed<'a>],
    signatures_left: usize,
    /// Why chains to a root were not taken.
    refused: Option<Refusal>,
    /// A signature that this agent cannot check.
    uncheckable: Option<CertificateProblem>,
}

impl Search<'_> {
    /// Looks for a chain to a root that begins with `chain`.
    fn extend(&mut self, chain: &[&Parsed<'_>]) -> Result<Vec<usize>, CertificateProblem> {
        let child = chain[chain.len() - 1];
        let mut hint = None;
        let mut problem = None;
        let authorities = self.authorities;
        let roots = authorities.roots.named(child.issuer());
        // What cannot be read is not in Go's pool.
        let roots: Vec<_> = roots
            .filter_map(|der| Parsed::read(usize::MAX, der).ok())
            .collect();
        for root in child.likely_parents(&roots) {
            if !self.may_sign(root, chain, &mut hint)? {
                continue;
            }
            problem = root.check_as_authority(chain.len(), authorities.now).err();
            if problem.is_some() {
                continue;
            }
            let whole: Vec<_> = chain.iter().copied().chain([root]).collect();
            match check_chain(&whole) {
                Ok(()) => return Ok(chain.iter().map(|one| one.place).collect()),
                Err(refusal) => self.refused = self.refused.max(Some(refusal)),
            }
        }
        for intermediate in child.likely_parents(self.intermediates) {
            if !self.may_sign(intermediate, chain, &mut hint)? {
                continue;
            }
            let valid = intermediate.check_as_intermediate(chain.len(), authorities.now);
            let whole: Vec<_> = chain.iter().copied().chain([intermediate]).collect();
            match valid.and_then(|()| self.extend(&whole)) {
                Ok(found) => return Ok(found),
                Err(why) => problem = Some(why),
            }
        }
        Err(problem
            .or(hint)
            .unwrap_or(CertificateProblem::UnknownIssuer))
    }

    /// Whether `parent` signed the last certificate of `chain`. The `hint` says why the first one did not.
    fn may_sign(
        &mut self,
        parent: &Parsed<'_>,
        chain: &[&Parsed<'_>],
        hint: &mut Option<CertificateProblem>,
    ) -> Result<bool, CertificateProblem> {
        let left = self.signatures_left.checked_sub(1);
        self.signatures_left = left.ok_or_else(|| {
            CertificateProblem::bad(
                "x509: signature check attempts limit reached while verifying certificate chain",
            )
        })?;
        if chain.iter().any(|one| one.is_same_holder(parent)) {
            return Ok(false);
        }
        let child = chain[chain.len() - 1];
        let signed = signature::check(child, parent, self.authorities.algorithms);
        let why = match signed {
            Ok(()) => return Ok(true),
            Err(SignatureProblem::Wrong) => CertificateProblem::UnknownIssuer,
            Err(SignatureProblem::Rule(rule)) => CertificateProblem::bad(&format!(
                "x509: certificate signed by unknown authority (possibly because of {rule:?} while trying to \
                 verify candidate authority certificate {:?})",
                parent.common_name()
            )),
            Err(SignatureProblem::Uncheckable(why)) => {
                self.uncheckable = Some(CertificateProblem::Uncheckable(why));
                return Ok(false);
            }
        };
        hint.get_or_insert(why);
        Ok(false)
    }
}

/// Why a chain to a root is not taken. Of several, Go reports the greatest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Refusal {
    Usage,
    Names,
}

impl Refusal {
    fn problem(self) -> CertificateProblem {
        CertificateProblem::bad(match self {
            Self::Usage => "x509: certificate specifies an incompatible key usage",
            Self::Names => {
                "x509: a root or intermediate certificate is not authorized to sign for this name"
            }
        })
    }
}

/// What Go asks of a chain that leads to a root.
fn check_chain(chain: &[&Parsed<'_>]) -> Result<(), Refusal> {
    if !chain.iter().all(|one| one.is_for_servers()) {
        return Err(Refusal::Usage);
    }
    match constraints::allow(chain) {
        true => Ok(()),
        false => Err(Refusal::Names),
    }
}
