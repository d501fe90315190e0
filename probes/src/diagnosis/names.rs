//! Findings about names: failing nameservers, answers that drift from what is expected, missing
//! records, pins. Each nameserver's answer is judged on its own; how bad it is depends on whether a
//! pull uses it.

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use super::{
    advice::{self, critical, warning},
    expectations::Expectations,
    finding::{Code, Finding, Severity},
    remedy,
};
use crate::{
    net::io_fault::IoFault,
    outcome::{EndpointOutcome, PullPath},
    stages::resolve::{Lookup, ResolveFault},
    words::{
        privatelink::{SoaZone, leaves_privatelink, passes_privatelink},
        reason::{Reason, Stage},
        scope::{Expectation, Scope},
    },
};

/// An answer that takes longer is slow: a pull waits for it before every connection.
const SLOW: Duration = Duration::from_secs(2);

/// Everything that is wrong with the name of one endpoint.
pub(super) fn findings(seen: &EndpointOutcome, expectations: &Expectations) -> Vec<Finding> {
    let is_blocked = matches!(seen.path, PullPath::Blocked { .. });
    if is_blocked || seen.dialled.parse::<IpAddr>().is_ok() {
        return Vec::new();
    }
    let expected = seen.expectation(&expectations.private);
    let mut judged: Vec<_> = seen
        .answers()
        .map(|lookup| Judged::new(lookup, seen, expected))
        .collect();
    // The order of the node's own nameservers matters, that of the others does not.
    judged.sort_by_key(|judged| (!judged.is_nodes_own()).then(|| judged.lookup.nameserver.address));
    mark_filters(&mut judged);
    let deciding = deciding(seen, &judged);
    if !seen.pinned.is_empty() {
        // A pin that works may hide that DNS does not. A name that DNS never had hides nothing.
        let hidden = deciding.filter(|_| seen.path.address().is_some());
        let hidden = hidden.and_then(|judged| Some((judged, judged.code?)));
        let never_known = [Code::NameNotFound, Code::NoAddress];
        return match hidden.filter(|(_, code)| !never_known.contains(code)) {
            Some((hidden, code)) => vec![about(seen, hidden, code, Severity::Warning, &judged)],
            None => pinned(seen, &seen.pinned, "the hosts file", &judged),
        };
    }
    let others = judged.iter().filter(|judged| !judged.is_nodes_own());
    let beyond_cache: Vec<_> = others.collect();
    let from_cache = deciding.is_some_and(|deciding| {
        let mut addresses = deciding.lookup.addresses();
        addresses.any(|address| seen.pinned_in_cache.contains(&address))
    });
    if from_cache && !beyond_cache.is_empty() {
        let (pins, file) = (&seen.pinned_in_cache, "LocalDNS's hosts file");
        let pins = pinned(seen, pins, file, &beyond_cache);
        if !pins.is_empty() {
            return pins;
        }
    }
    let no_nameserver = |judged: &Judged<'_>| judged.code == Some(Code::NoNameserver);
    if seen.proxy.is_some() && seen.path.address().is_none() && !deciding.is_some_and(no_nameserver)
    {
        return Vec::new();
    }
    if seen.no_lookup().is_some() {
        return vec![not_asked(seen)];
    }
    let mut findings: Vec<Finding> = Vec::new();
    if let Some(deciding) = deciding
        && let Some(code) = deciding.code
    {
        let weight = match is_prevented(seen) {
            true => Severity::Warning,
            false => deciding.weight(seen),
        };
        findings.push(about(seen, deciding, code, weight, &judged));
    }
    for other in judged
        .iter()
        .filter(|judged| !deciding.is_some_and(|d| std::ptr::eq(d, *judged)))
    {
        // Nobody named a nameserver of Go's default, so it need not be there.
        let Some(code) = other.code.filter(|code| *code != Code::NoNameserver) else {
            continue;
        };
        // Servers that give the same wrong answer share its cause. If every server fails, the first
        // failure of a kind stands for all of that kind.
        let reported = findings.iter().any(|finding| finding.code == code);
        let hopeless = findings
            .first()
            .is_some_and(|first| first.severity == Severity::Critical);
        let own_cause = code.is_of_nameserver() && !(hopeless && other.is_nodes_own());
        if !reported || own_cause {
            findings.push(about(seen, other, code, Severity::Warning, &judged));
        }
    }
    if judged.iter().all(|judged| judged.code.is_none()) {
        findings.extend(disagreement(seen, &judged));
    }
    findings.extend(deciding.and_then(|deciding| slow(seen, deciding)));
    findings
}

/// The finding about a nameserver that a pull waits for.
fn slow(seen: &EndpointOutcome, deciding: &Judged<'_>) -> Option<Finding> {
    let lookup = deciding.lookup;
    let answers = lookup.addresses().next().is_some();
    let is_whole = lookup
        .fault()
        .is_none_or(|fault| fault.negative().is_some());
    (answers && is_whole && lookup.took() >= SLOW).then(|| Finding {
        nameserver: Some(lookup.nameserver.to_string()),
        evidence: vec![deciding.says()],
        ..warning(
            Code::NameserverSlow,
            seen,
            Stage::Resolve,
            format!(
                "nameserver {} answers after {:.1} s",
                lookup.nameserver,
                lookup.took().as_secs_f64()
            ),
        )
    })
}

/// A nameserver that has the name without addresses, and without a zone that says so, where another has private
/// addresses, takes those out of the answer.
fn mark_filters(judged: &mut [Judged<'_>]) {
    let has_private = |judged: &Judged<'_>| {
        let mut addresses = judged.lookup.addresses();
        addresses.any(|address| Scope::of(address).is_endpoint())
    };
    if !judged.iter().any(has_private) {
        return;
    }
    for one in judged {
        let is_bare = |fault: &ResolveFault| matches!(fault, ResolveFault::NoData(negative) if negative.soa.is_none());
        let is_empty = one.lookup.addresses().next().is_none();
        if is_empty && one.lookup.fault().is_some_and(is_bare) {
            one.code = Some(Code::AnswerFiltered);
        }
    }
}

/// Whether the node itself keeps an answer from the agent. Its client may be allowed to get it.
fn is_prevented(seen: &EndpointOutcome) -> bool {
    matches!(seen.failure(), Some((Stage::Resolve, fault)) if fault.reason() == Reason::Local)
}

/// Whether a finding about the name explains the failure of the path after it: the name led to a wrong
/// place, where nothing answers or the node is refused.
pub(super) fn explains(finding: &Finding, failure: &Finding, seen: &EndpointOutcome) -> bool {
    let decides = seen.path.nameserver().is_none_or(|used| {
        let mut asked = seen.lookups.iter().map(|lookup| &lookup.nameserver);
        let of_finding = asked.find(|asked| Some(asked.to_string()) == finding.nameserver);
        of_finding.is_none_or(|nameserver| nameserver.address == used)
    });
    let wrong_place = matches!(failure.stage, Stage::Connect | Stage::Tls)
        || matches!(failure.reason, Some(Reason::Forbidden | Reason::Firewall));
    let led_there = matches!(
        finding.code,
        Code::PrivateLinkZoneNotLinked
            | Code::PublicAddress
            | Code::UnexpectedAddress
            | Code::SearchDomainAnswer
            | Code::HostsFileOverride
    );
    led_there && wrong_place && decides
}

/// Whether the only finding is that nameservers disagree.
pub(super) fn disagree(findings: &[Finding]) -> bool {
    matches!(findings, [only] if only.code == Code::NameserversDisagree)
}

/// One nameserver's answer, and what is wrong with it.
struct Judged<'a> {
    lookup: &'a Lookup,
    code: Option<Code>,
}

impl<'a> Judged<'a> {
    fn new(lookup: &'a Lookup, seen: &EndpointOutcome, expected: &Expectation) -> Self {
        let code = match lookup.fault() {
            // With addresses of one family and no answer for the other, the addresses are judged as
            // well.
            Some(fault) => fault_code(lookup, fault, &seen.endpoint.host)
                .filter(|_| lookup.addresses().next().is_none())
                .or_else(|| drift(lookup, expected, &seen.dialled))
                .or_else(|| fault_code(lookup, fault, &seen.endpoint.host)),
            None => drift(lookup, expected, &seen.dialled),
        };
        Self { lookup, code }
    }

    fn is_nodes_own(&self) -> bool {
        self.lookup.nameserver.origin.is_of_node()
    }

    /// A missing record makes a pull fail by itself; a drifted answer only if the pull fails there. With half an
    /// answer, the time for the other half may be all that a pull has.
    fn weight(&self, seen: &EndpointOutcome) -> Severity {
        let is_half =
            self.lookup.fault().is_some() && self.code.is_some_and(Code::is_of_nameserver);
        let stops_here = || matches!(seen.failure(), Some((Stage::Resolve, _)));
        match self.lookup.addresses().next() {
            Some(_) if !(is_half && stops_here()) => Severity::Warning,
            _ => Severity::Critical,
        }
    }

    fn says(&self) -> String {
        let nameserver = &self.lookup.nameserver;
        let addresses = self.lookup.addresses().map(|address| address.to_string());
        let addresses = addresses.collect::<Vec<_>>().join(", ");
        let said = match self.lookup.fault() {
            Some(fault) if addresses.is_empty() => fault.to_string(),
            Some(fault) => format!("{addresses}, and for one address family: {fault}"),
            None => addresses,
        };
        match &*chain(self.lookup) {
            [] => format!("nameserver {nameserver} says {said}"),
            chain => {
                let chain = chain.join(" -> ");
                format!("nameserver {nameserver} says {said} by way of {chain}")
            }
        }
    }
}

fn fault_code(lookup: &Lookup, fault: &ResolveFault, host: &str) -> Option<Code> {
    let through_privatelink = || passes_privatelink(&chain(lookup));
    match fault {
        ResolveFault::Io(IoFault::Denied(_)) => Some(Code::NodePolicyBlocked),
        ResolveFault::Io(IoFault::Local(_) | IoFault::Unknown) => None,
        ResolveFault::Io(_) => Some(Code::NameserverDown),
        ResolveFault::ServFail
        | ResolveFault::Rejected(_)
        | ResolveFault::LameReferral
        | ResolveFault::Malformed(_)
        | ResolveFault::Strays(_) => Some(Code::NameserverFailing),
        ResolveFault::AliasLoop => Some(Code::NoAddress),
        ResolveFault::NoNameserver(_) => Some(Code::NoNameserver),
        ResolveFault::NxDomain(negative) | ResolveFault::NoData(negative) => {
            let zone = negative.soa.as_deref().map(|soa| SoaZone::of(soa, host));
            Some(match (zone, fault) {
                (Some(SoaZone::ShadowZone), _) => Code::PrivateLinkShadowZone,
                (Some(SoaZone::PrivatelinkZone), _) => Code::PrivateLinkRecordMissing,
                _ if through_privatelink() => Code::PrivateLinkRecordMissing,
                (_, ResolveFault::NxDomain(_)) if !negative.chain.is_empty() => Code::AliasBroken,
                (_, ResolveFault::NxDomain(_)) => Code::NameNotFound,
                _ => Code::NoAddress,
            })
        }
    }
}

/// What is wrong if not all addresses are where they are expected.
fn drift(lookup: &Lookup, expected: &Expectation, host: &str) -> Option<Code> {
    let mut astray = lookup
        .addresses()
        .filter(|address| !expected.allows(*address))
        .peekable();
    astray.peek()?;
    let public = astray.any(|address| Scope::of(address).is_public());
    let chain = chain(lookup);
    if *lookup.name != *host {
        return Some(Code::SearchDomainAnswer);
    }
    Some(match (leaves_privatelink(&chain), public) {
        (true, _) => Code::PrivateLinkZoneNotLinked,
        (false, true) if passes_privatelink(&chain) => Code::PrivateLinkZoneNotLinked,
        (false, true) => Code::PublicAddress,
        (false, false) => Code::UnexpectedAddress,
    })
}

fn chain(lookup: &Lookup) -> Vec<&str> {
    let chain = lookup.chain().iter();
    chain.map(|alias| alias.name.as_str()).collect()
}

/// The answer that a pull depends on: that of the first of the node's nameservers that gives one, or,
/// if none does, the first failure.
fn deciding<'a, 'b>(seen: &EndpointOutcome, judged: &'b [Judged<'a>]) -> Option<&'b Judged<'a>> {
    let own = || judged.iter().filter(|judged| judged.is_nodes_own());
    let used =
        own().find(|judged| Some(judged.lookup.nameserver.address) == seen.path.nameserver());
    // Go treats each family separately: the answer for one is final, whatever becomes of the other.
    let is_final =
        |fault: &ResolveFault| fault.negative().is_some() || *fault == ResolveFault::AliasLoop;
    let answers = |judged: &&Judged<'_>| {
        let mut families = [&judged.lookup.a, &judged.lookup.aaaa].into_iter();
        families.any(|family| family.as_ref().err().is_none_or(is_final))
    };
    used.or_else(|| own().find(answers))
        .or_else(|| own().next())
}

fn about(
    seen: &EndpointOutcome,
    judged: &Judged<'_>,
    code: Code,
    severity: Severity,
    all: &[Judged<'_>],
) -> Finding {
    let lookup = judged.lookup;
    let others = all
        .iter()
        .filter(|other| !std::ptr::eq(*other, judged))
        .map(Judged::says);
    let reason = lookup.fault().map(ResolveFault::reason);
    let critical = severity == Severity::Critical;
    Finding {
        reason,
        nameserver: (code != Code::NoNameserver).then(|| lookup.nameserver.to_string()),
        address: lookup.addresses().next(),
        evidence: std::iter::once(judged.says()).chain(others).collect(),
        client_error: seen.path.error().filter(|_| critical).map(str::to_owned),
        ..Finding::new(
            code,
            severity,
            &seen.endpoint,
            Stage::Resolve,
            advice::of_name(code, seen, lookup),
            remedy::of(code, seen, Some(lookup)),
        )
    }
}

fn not_asked(seen: &EndpointOutcome) -> Finding {
    let host = &seen.dialled;
    Finding {
        reason: Some(Reason::NxDomain),
        evidence: vec![format!("Go asks no nameserver for a name like {host}")],
        client_error: seen.path.error().map(str::to_owned),
        ..critical(
            Code::NameNotFound,
            seen,
            Stage::Resolve,
            format!("{host} does not exist"),
        )
    }
}

/// The hosts file wins if it lists the name; what DNS says matters only for comparison.
fn pinned<'a>(
    seen: &EndpointOutcome,
    pins: &[IpAddr],
    file: &str,
    judged: &[impl std::borrow::Borrow<Judged<'a>>],
) -> Vec<Finding> {
    let judged = || judged.iter().map(std::borrow::Borrow::borrow);
    let by_dns: BTreeSet<_> = judged()
        .flat_map(|judged| judged.lookup.addresses())
        .collect();
    if by_dns.is_empty() || pins.iter().all(|address| by_dns.contains(address)) {
        return Vec::new();
    }
    let addresses: Vec<_> = pins.iter().map(ToString::to_string).collect();
    let says = format!("{file} says {}", addresses.join(", "));
    let host = &seen.endpoint.host;
    let message = format!("{file} pins {host} to an address that DNS does not give");
    vec![Finding {
        address: pins.first().copied(),
        evidence: [says]
            .into_iter()
            .chain(judged().map(Judged::says))
            .collect(),
        ..warning(Code::HostsFileOverride, seen, Stage::Resolve, message)
    }]
}

/// Different answers that no other finding explains. Traffic-managed public names differ by design:
/// such answers count as the same if they are all public and behind an alias, or share an address.
fn disagreement(seen: &EndpointOutcome, judged: &[Judged<'_>]) -> Option<Finding> {
    let answers = judged.iter().map(|judged| {
        let addresses: BTreeSet<IpAddr> = judged.lookup.addresses().collect();
        (judged, addresses)
    });
    let answers: Vec<_> = answers
        .filter(|(_, addresses)| !addresses.is_empty())
        .collect();
    let (first, expected) = answers.first()?;
    let differs = |(judged, addresses): &&(&Judged<'_>, BTreeSet<IpAddr>)| {
        let mut both = addresses.iter().chain(expected);
        let all_public = both.all(|address| Scope::of(*address).is_public());
        let managed = !judged.lookup.chain().is_empty() || !first.lookup.chain().is_empty();
        let tolerable = all_public && (managed || !addresses.is_disjoint(expected));
        addresses != expected && !tolerable
    };
    let (other, _) = answers.iter().find(differs)?;
    let message = format!(
        "nameservers give different addresses for {}",
        seen.endpoint.host
    );
    Some(Finding {
        remedy: remedy::of(Code::NameserversDisagree, seen, Some(other.lookup)),
        nameserver: Some(other.lookup.nameserver.to_string()),
        address: other.lookup.addresses().next(),
        evidence: judged.iter().map(Judged::says).collect(),
        ..warning(Code::NameserversDisagree, seen, Stage::Resolve, message)
    })
}
