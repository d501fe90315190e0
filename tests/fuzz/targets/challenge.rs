//! A `WWW-Authenticate` header: parsed, written out and parsed again, it gives the same challenges.
#![no_main]

use libfuzzer_sys::fuzz_target;
use regprobe_probes::fuzz_support::challenges;

fuzz_target!(|line: &str| {
    let read = challenges(line);
    let mut written = Vec::new();
    let mut letters = 0;
    for (scheme, parameters) in &read {
        written.push(scheme.clone());
        letters += scheme.len();
        for (number, (name, value)) in parameters.iter().enumerate() {
            let escaped = value.replace('\\', r"\\").replace('"', r#"\""#);
            let parameter = format!("{name}=\"{escaped}\"");
            match (number, written.last_mut()) {
                (0, Some(scheme)) => *scheme += &format!(" {parameter}"),
                _ => written.push(parameter),
            }
            letters += name.len() + value.len();
        }
    }
    assert!(letters <= line.len(), "more came out than went in");
    let written = written.join(", ");
    assert_eq!(challenges(&written), read, "{line:?} became {written:?}");
});
