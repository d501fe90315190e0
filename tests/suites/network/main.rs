//! Whole networks in namespaces: the fault lab, the attacks, and tests of the lab. They need root.

mod attacks;
mod credentials;
mod daemon;
mod faultlab;
mod machine;
mod pasted;
mod pool;
mod worlds;

use std::process::ExitCode;

use regprobe_harness::suite;

fn main() -> ExitCode {
    if faultlab::confined::is_asked_to_trespass() {
        return faultlab::confined::trespass();
    }
    suite::main(
        &[
            ("attacks", attacks::suite),
            ("credentials", credentials::suite),
            ("daemon", daemon::suite),
            ("faultlab", faultlab::suite),
            ("machine", machine::suite),
            ("pasted", pasted::suite),
            ("worlds", worlds::suite),
        ],
        &[("smoke", faultlab::smoke)],
    )
}
