//! Walks one registry once, as this machine's containerd would, and prints stages and findings:
//! `cargo run -p regprobe-probes --example check -- mcr.microsoft.com`

use std::{env, error::Error, fs, sync::Arc, time::Duration};

use jiff::Timestamp;
use regprobe_probes::{
    Depth, Endpoint, Expectation, Expectations, HeldCredential, HostSettings, Hosts, Nameserver,
    Node, ProxyRules, ResolvConf, Role, Root, Scheme, StageEnd, Target, TlsClients, diagnose,
    run_holding,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let host = env::args().nth(1).ok_or("usage: check HOST")?;
    let target = Target {
        named: host.clone(),
        login: Endpoint {
            host: host.into(),
            port: 443,
            role: Role::Login,
            scheme: Scheme::Https,
        },
        data: Vec::new(),
        token: None,
        images: Vec::new(),
        anonymous_pull: false,
        docker_config: None,
        managed_identity: None,
        throughput: None,
        layers: usize::MAX,
    };
    let tls = TlsClients::load(Root::default(), None)?;
    let outcome = run_holding(
        &target,
        &this_machine(),
        &tls,
        Depth::Token,
        &mut HeldCredential::default(),
        &print,
    )
    .await;
    let diagnosis = diagnose(
        &outcome,
        &Expectations {
            private: Expectation::Any,
            anonymous_pull: false,
            expiry_warning: Duration::from_secs(14 * 24 * 60 * 60),
            floor: None,
            now: Timestamp::now(),
        },
    );
    for finding in &diagnosis.findings {
        println!(
            "{}: {}\n  {}",
            finding.code, finding.message, finding.remedy
        );
    }
    println!("{}", diagnosis.verdict().as_str());
    Ok(())
}

fn print(ended: StageEnd<'_>) {
    let result = ended.failed.map_or("ok", |reason| reason.as_str());
    println!(
        "{} {}: {result} after {:?}",
        ended.endpoint, ended.stage, ended.took
    );
}

/// A file that is not there counts as empty, as it does for the clients.
fn this_machine() -> Node {
    let text = |path| fs::read_to_string(path).unwrap_or_default();
    let resolv_conf = ResolvConf::parse(&text("/etc/resolv.conf"), |_| None);
    let own = resolv_conf.asked().iter().map(|address| Nameserver {
        address: *address,
        name: None,
        origin: resolv_conf.origin(),
    });
    Node {
        nameservers: own.map(Arc::new).collect(),
        hosts: Hosts::parse(&text("/etc/hosts")),
        localdns_hosts: Hosts::default(),
        files: 0,
        root: Root::default(),
        host_settings: HostSettings::CertsD("/etc/containerd/certs.d".into()),
        containerd: None,
        proxies: ProxyRules::from_env(|name| env::var(name).ok()),
        question_limit: Duration::from_secs(3),
        stage_limit: Duration::from_secs(10),
        resolv_conf,
    }
}
