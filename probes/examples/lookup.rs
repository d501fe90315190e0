//! Asks one nameserver for one name and prints the whole answer:
//! `cargo run -p regprobe-probes --example lookup -- 127.0.0.53:53 mcr.microsoft.com`

use std::{env, error::Error, sync::Arc, time::Duration};

use regprobe_probes::{HowToAsk, Nameserver, Origin, Scope, lookup};

const LIMIT: Duration = Duration::from_secs(3);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (Some(address), Some(name)) = (arguments.next(), arguments.next()) else {
        return Err("usage: lookup IP:PORT NAME".into());
    };
    let nameserver = Arc::new(Nameserver {
        address: address.parse()?,
        name: None,
        origin: Origin::Node,
    });
    let seen = lookup(&nameserver, &name, HowToAsk::within(LIMIT)).await;
    for alias in seen.chain() {
        println!("{} (TTL {} s)", alias.name, alias.ttl);
    }
    for address in seen.addresses() {
        println!("{address} ({:?})", Scope::of(address));
    }
    if let Some(fault) = seen.fault() {
        println!("failed: {}", fault.reason());
    }
    println!("took {:.1} ms", seen.took().as_secs_f64() * 1000.0);
    Ok(())
}
