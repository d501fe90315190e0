//! Certificates of shapes on which Go and other verifiers differ. `tests/suites/command/go_rules.rs` compares with
//! Go itself.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, KeyPair, KeyUsagePurpose, NameConstraints,
    date_time_ymd,
};
use rustls::pki_types::CertificateDer;

use super::{CertificateProblem, verify_chain};

const HOST: &str = "contoso.azurecr.io";

type Authority = CertifiedIssuer<'static, KeyPair>;

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new([]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2025, 1, 1);
    params.not_after = date_time_ymd(2027, 1, 1);
    params
}

fn authority(name: &str) -> CertificateParams {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

fn leaf(names: &[&str]) -> CertificateParams {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = params(HOST);
    params.subject_alt_names = CertificateParams::new(names).unwrap().subject_alt_names;
    params
}

fn root(params: CertificateParams) -> Authority {
    Authority::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn below(authority: &Authority, params: &CertificateParams) -> CertificateDer<'static> {
    let key = KeyPair::generate().unwrap();
    params.signed_by(&key, authority).unwrap().der().clone()
}

fn verify(
    presented: &[CertificateDer<'static>],
    root: &Authority,
    host: &str,
) -> Result<(), CertificateProblem> {
    let now = "2026-01-01T00:00:00Z".parse().unwrap();
    verify_chain(presented, vec![root.der().clone()], host, now)
}

fn bad(text: &str) -> Result<(), CertificateProblem> {
    Err(CertificateProblem::Bad(text.to_owned()))
}

#[test]
fn a_leaf_may_be_more_than_a_leaf() {
    let root = root(authority("Authority"));
    let with = |change: fn(&mut CertificateParams)| {
        let mut leaf = leaf(&[HOST]);
        change(&mut leaf);
        verify(&[below(&root, &leaf)], &root, HOST)
    };
    assert_eq!(with(|_| {}), Ok(()));
    let for_any = with(|leaf| leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any]);
    assert_eq!(for_any, Ok(()));
    let an_authority = with(|leaf| leaf.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    assert_eq!(an_authority, Ok(()));
    // An empty list of policies, marked critical.
    let extension = |oid: &[u64]| {
        let mut extension = CustomExtension::from_oid_content(oid, vec![0x30, 0]);
        extension.set_criticality(true);
        extension
    };
    let mut policies = leaf(&[HOST]);
    policies.custom_extensions = vec![extension(&[2, 5, 29, 32])];
    assert_eq!(verify(&[below(&root, &policies)], &root, HOST), Ok(()));

    let mut unknown = leaf(&[HOST]);
    unknown.custom_extensions = vec![extension(&[1, 3, 6, 1, 4, 1, 57264, 1])];
    assert_eq!(
        verify(&[below(&root, &unknown)], &root, HOST),
        bad("x509: unhandled critical extension")
    );
    assert_eq!(
        with(|leaf| leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]),
        bad("x509: certificate specifies an incompatible key usage")
    );
}

#[test]
fn an_authority_must_be_allowed_to_sign() {
    let mut params = authority("Authority");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let silent = root(params);
    assert_eq!(
        verify(&[below(&silent, &leaf(&[HOST]))], &silent, HOST),
        bad(
            "x509: certificate signed by unknown authority (possibly because of \"x509: invalid signature: \
             parent certificate cannot sign this kind of certificate\" while trying to verify candidate \
             authority certificate \"Authority\")"
        )
    );
}

#[test]
fn intermediates_count_by_their_constraints() {
    let root = root(authority("Authority"));
    let between = |change: fn(&mut CertificateParams)| {
        let mut params = authority("Intermediate");
        change(&mut params);
        let between = Authority::signed_by(params, KeyPair::generate().unwrap(), &root).unwrap();
        verify(
            &[below(&between, &leaf(&[HOST])), between.der().clone()],
            &root,
            HOST,
        )
    };
    assert_eq!(between(|_| {}), Ok(()));
    assert_eq!(
        between(|ca| ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0))),
        Ok(())
    );
    assert_eq!(
        between(|ca| ca.not_after = date_time_ymd(2025, 6, 1)),
        Err(CertificateProblem::Expired)
    );
    let constrained = |permitted: &str, excluded: &str| {
        let subtrees = |name: &str| match name {
            "" => Vec::new(),
            name => vec![GeneralSubtree::DnsName(name.to_owned())],
        };
        let mut params = authority("Intermediate");
        params.name_constraints = Some(NameConstraints {
            permitted_subtrees: subtrees(permitted),
            excluded_subtrees: subtrees(excluded),
        });
        let between = Authority::signed_by(params, KeyPair::generate().unwrap(), &root).unwrap();
        verify(
            &[below(&between, &leaf(&[HOST])), between.der().clone()],
            &root,
            HOST,
        )
    };
    assert_eq!(constrained("azurecr.io", ""), Ok(()));
    assert_eq!(constrained("", "contoso.example"), Ok(()));
    let not_allowed =
        bad("x509: a root or intermediate certificate is not authorized to sign for this name");
    assert_eq!(constrained("contoso.example", ""), not_allowed);
    assert_eq!(constrained("", "azurecr.io"), not_allowed);
}

#[test]
fn of_several_chains_one_suffices() {
    let (old, new) = (
        root(authority("Authority")),
        root(authority("New authority")),
    );
    let key = KeyPair::generate().unwrap();
    let pem = key.serialize_pem();
    let cross = |by: &Authority, until: i32| {
        let mut params = authority("Intermediate");
        params.not_after = date_time_ymd(until, 1, 1);
        Authority::signed_by(params, KeyPair::from_pem(&pem).unwrap(), by).unwrap()
    };
    let (expired, valid) = (cross(&old, 2025), cross(&new, 2027));
    let leaf = below(&valid, &leaf(&[HOST]));
    let (expired, valid) = (expired.der().clone(), valid.der().clone());
    let presented = [leaf.clone(), expired.clone(), valid.clone()];
    assert_eq!(verify(&presented, &new, HOST), Ok(()));
    // Where none does, Go reports on the last one that it tried.
    let unknown = Err(CertificateProblem::UnknownIssuer);
    assert_eq!(verify(&presented, &old, HOST), unknown);
    let presented = [leaf, valid, expired];
    let expired = Err(CertificateProblem::Expired);
    assert_eq!(verify(&presented, &old, HOST), expired);
}

#[test]
fn names() {
    let root = root(authority("Authority"));
    for (names, host, fits) in [
        (&["contoso.azurecr.io"][..], "contoso.azurecr.io", true),
        (&["CONTOSO.azurecr.io"], "contoso.azurecr.io", true),
        (&["*.azurecr.io"], "contoso.azurecr.io", true),
        (&["*.azurecr.io"], "contoso.westeurope.azurecr.io", false),
        (&["*.azurecr.io"], "azurecr.io", false),
        (&["con*.azurecr.io"], "contoso.azurecr.io", false),
        (
            &["fabrikam.azurecr.io", "contoso.azurecr.io"],
            "contoso.azurecr.io",
            true,
        ),
        (&["10.240.1.4"], "10.240.1.4", true),
        (&["10.240.1.4"], "10.240.1.5", false),
        (&["2001:db8::1"], "2001:db8::1", true),
        (&[], "contoso.azurecr.io", false),
    ] {
        let verified = verify(&[below(&root, &leaf(names))], &root, host);
        let expected = if fits {
            Ok(())
        } else {
            Err(CertificateProblem::NameMismatch)
        };
        assert_eq!(verified, expected, "{names:?} {host}");
    }
}
