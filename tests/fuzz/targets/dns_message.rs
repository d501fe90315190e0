//! A datagram in reply to a DNS query: whatever its content, the answer is bounded and its names are
//! printable text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use regprobe_probes::fuzz_support::dns_answer;

/// A name of 255 bytes, each of them escaped as `\DDD`.
const LONGEST_NAME: usize = 4 * 255;

fuzz_target!(|packet: &[u8]| {
    let read = dns_answer(packet);
    let chain = match &read {
        Ok(answer) => {
            assert!(!answer.addresses.is_empty());
            // A record has ten bytes in addition to its name and its data.
            assert!(answer.addresses.len() <= packet.len() / 14);
            &answer.chain[..]
        }
        Err(fault) => {
            assert!(!fault.to_string().contains(char::is_control), "{fault}");
            fault.negative().map_or(&[][..], |negative| &negative.chain)
        }
    };
    assert!(chain.len() <= 64);
    for alias in chain {
        assert!(alias.name.len() <= LONGEST_NAME, "{alias:?}");
        assert!(!alias.name.contains(char::is_control), "{alias:?}");
    }
});
