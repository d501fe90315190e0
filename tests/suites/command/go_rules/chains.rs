//! Chains of certificates: `REGPROBE_CHAINS=N` compares N of them.

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, NameConstraints, date_time_ymd,
};
use regprobe_probes::fuzz_support;
use serde_json::json;

use super::{ask, number, seed};

const CHAINS: usize = 2000;
const HOST: &str = "contoso.azurecr.io";
/// 2026-01-01.
const NOW: i64 = 1_767_225_600;

/// A certificate, with what signs others in its name.
struct Holder {
    params: CertificateParams,
    key: usize,
    der: Vec<u8>,
}

struct Chain {
    presented: Vec<Vec<u8>>,
    roots: Vec<Vec<u8>>,
}

pub(super) fn chains() -> Result<()> {
    let count = number("REGPROBE_CHAINS")?.map_or(Ok(CHAINS), usize::try_from)?;
    let (seed, mut random) = seed()?;
    println!("seed {seed}, {count} chains");
    let keys = (0..5)
        .map(|_| KeyPair::generate())
        .collect::<Result<Vec<_>, _>>()?;
    let all = (0..count)
        .map(|_| chain(&mut random, &keys))
        .collect::<Result<Vec<_>>>()?;

    let verdicts = by_go(&all)?;
    ensure!(
        verdicts.lines().count() == count,
        "{} verdicts",
        verdicts.lines().count()
    );
    let now = Timestamp::from_second(NOW)?;
    let mut accepted = 0;
    for (place, (chain, by_go)) in all.iter().zip(verdicts.lines()).enumerate() {
        let ours = fuzz_support::verify_chain(&chain.presented, &chain.roots, HOST, now);
        let ours = ours.err().unwrap_or_else(|| "ok".to_owned());
        ensure!(
            agree(&ours, by_go),
            "chain {place} of seed {seed}: {ours:?}, and Go: {by_go:?}"
        );
        accepted += usize::from(ours == "ok");
    }
    println!("Go accepts {accepted} of them");
    // Both kinds occur.
    ensure!(
        accepted * 10 > count && accepted * 10 < 9 * count,
        "{accepted} of {count}"
    );
    Ok(())
}

/// Go's verdict on each, a line.
fn by_go(all: &[Chain]) -> Result<String> {
    let encoded = |certificates: &[Vec<u8>]| -> Vec<String> {
        let encode = |der: &Vec<u8>| base64::Engine::encode(&base64::prelude::BASE64_STANDARD, der);
        certificates.iter().map(encode).collect()
    };
    let inputs = all.iter().map(|Chain { presented, roots }| {
        json!({
            "Presented": encoded(presented), "Roots": encoded(roots), "Host": HOST, "Now": NOW,
        })
    });
    ask("x509", &[], inputs)
}

/// Whether our text means what Go says.
fn agree(ours: &str, by_go: &str) -> bool {
    let starts = |texts: &[&str]| texts.iter().any(|text| by_go.starts_with(text));
    match ours {
        "ok" => by_go == "ok",
        "certificate has expired" => by_go.contains(" is after "),
        "certificate is not valid yet" => by_go.contains(" is before "),
        "certificate signed by unknown authority" => {
            starts(&["x509: certificate signed by unknown authority"])
        }
        "certificate is not valid for this name" => starts(&[
            "x509: certificate is valid for ",
            "x509: certificate is not valid for any names",
            "x509: certificate relies on legacy Common Name field",
        ]),
        other => {
            let rule = other.strip_prefix("bad certificate: ");
            rule.is_some_and(|rule| by_go.starts_with(rule))
        }
    }
}

/// One or two roots, up to three intermediates that may sign each other, and a leaf; each with something unusual
/// now and then.
fn chain(random: &mut StdRng, keys: &[KeyPair]) -> Result<Chain> {
    let mut roots = Vec::new();
    for place in 0..random.random_range(1..=2) {
        let params = authority(random, &format!("Root {place}"));
        let key = random.random_range(0..keys.len());
        let der = params.self_signed(&keys[key])?.der().to_vec();
        roots.push(Holder { params, key, der });
    }
    let mut intermediates: Vec<Holder> = Vec::new();
    for _ in 0..random.random_range(0..=3) {
        // Of the same name and key, they are cross-signed.
        let name = format!("Intermediate {}", random.random_range(0..2));
        let params = authority(random, &name);
        let key = random.random_range(0..keys.len());
        let signers: Vec<_> = roots.iter().chain(&intermediates).collect();
        let signer = signers.choose(random).context("there is a root")?;
        let der = signed(&params, &keys[key], signer, keys)?;
        intermediates.push(Holder { params, key, der });
    }
    let signers: Vec<_> = match intermediates.is_empty() {
        true => roots.iter().collect(),
        false => intermediates.iter().collect(),
    };
    let signer = signers.choose(random).context("there is a root")?;
    let leaf = signed(&leaf(random)?, &keys[0], signer, keys)?;
    intermediates.shuffle(random);
    let mut presented = vec![leaf];
    for intermediate in intermediates {
        if random.random_bool(0.95) {
            presented.push(intermediate.der);
        }
    }
    let mut trusted: Vec<_> = roots.into_iter().map(|root| root.der).collect();
    if trusted.len() > 1 && random.random_bool(0.2) {
        trusted.pop();
    }
    if random.random_bool(0.02) {
        trusted.push(presented[0].clone());
    }
    Ok(Chain {
        presented,
        roots: trusted,
    })
}

fn signed(
    params: &CertificateParams,
    key: &KeyPair,
    signer: &Holder,
    keys: &[KeyPair],
) -> Result<Vec<u8>> {
    let issuer = Issuer::from_params(&signer.params, &keys[signer.key]);
    Ok(params.signed_by(key, &issuer)?.der().to_vec())
}

fn usual(random: &mut StdRng, name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    let (from, until) = match random.random_range(0..40) {
        0 => (2027, 2028),
        1 => (2024, 2025),
        _ => (2025, 2027),
    };
    params.not_before = date_time_ymd(from, 1, 1);
    params.not_after = date_time_ymd(until, 1, 1);
    params.use_authority_key_identifier_extension = random.random_bool(0.5);
    if random.random_bool(0.2) {
        use ExtendedKeyUsagePurpose::{Any, ClientAuth, EmailProtection, ServerAuth};
        let usages = [Any, ServerAuth, ServerAuth, ClientAuth, EmailProtection];
        let count = random.random_range(1..=2);
        params.extended_key_usages = usages.choose_multiple(random, count).cloned().collect();
    }
    params
}

fn authority(random: &mut StdRng, name: &str) -> CertificateParams {
    let mut params = usual(random, name);
    params.is_ca = match random.random_range(0..20) {
        0 => IsCa::NoCa,
        1 => IsCa::ExplicitNoCa,
        2..5 => IsCa::Ca(BasicConstraints::Constrained(random.random_range(0..=1))),
        _ => IsCa::Ca(BasicConstraints::Unconstrained),
    };
    if random.random_bool(0.3) {
        use KeyUsagePurpose::{CrlSign, DigitalSignature, KeyCertSign};
        let usages = [
            KeyCertSign,
            KeyCertSign,
            KeyCertSign,
            CrlSign,
            DigitalSignature,
        ];
        let count = random.random_range(1..=3);
        params.key_usages = usages.choose_multiple(random, count).copied().collect();
    }
    if random.random_bool(0.15) {
        let names = [
            "azurecr.io",
            ".azurecr.io",
            HOST,
            "CONTOSO.azurecr.io",
            "io",
            "contoso.example",
        ];
        let mut subtrees = |chance| {
            let some = random.random_bool(chance);
            let count = if some { random.random_range(1..=2) } else { 0 };
            let chosen = names.choose_multiple(random, count);
            chosen
                .map(|name| GeneralSubtree::DnsName((*name).to_owned()))
                .collect::<Vec<_>>()
        };
        let (permitted_subtrees, excluded_subtrees) = (subtrees(0.8), subtrees(0.3));
        if !(permitted_subtrees.is_empty() && excluded_subtrees.is_empty()) {
            params.name_constraints = Some(NameConstraints {
                permitted_subtrees,
                excluded_subtrees,
            });
        }
    }
    params
}

fn leaf(random: &mut StdRng) -> Result<CertificateParams> {
    let names: &[&str] = match random.random_range(0..12) {
        0 => &["fabrikam.azurecr.io"],
        1 => &[],
        2 => &["con*.azurecr.io"],
        3 => &["*.io", "192.0.2.1"],
        4 => &["*.azurecr.io"],
        5 => &["CONTOSO.azurecr.io"],
        6 => &["fabrikam.azurecr.io", HOST],
        _ => &[HOST],
    };
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = usual(random, HOST);
    params.subject_alt_names = CertificateParams::new(names)?.subject_alt_names;
    if random.random_bool(0.1) {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    Ok(params)
}
