//! The response of a token service: a token occurs in the response and fits in a header line, and no text
//! from the response can inject anything into a message.
#![no_main]

use libfuzzer_sys::fuzz_target;
use regprobe_probes::fuzz_support::authorization;

fuzz_target!(|body: &[u8]| {
    match authorization(body) {
        Ok(line) => {
            let token = line.strip_prefix(b"Bearer ").expect("the scheme");
            assert!(!token.is_empty() && token.iter().all(u8::is_ascii_graphic));
            // Skipped bytes may not be valid text.
            let Ok(answer) = serde_json::from_slice::<serde_json::Value>(body) else {
                return;
            };
            // serde accepts a list in place of a struct as well.
            let is_token =
                |value: &serde_json::Value| value.as_str().map(str::as_bytes) == Some(token);
            let held = match &answer {
                serde_json::Value::Array(values) => values.iter().any(is_token),
                object => ["token", "access_token"]
                    .iter()
                    .any(|key| is_token(&object[key])),
            };
            assert!(held, "a token that the answer does not hold");
        }
        Err(fault) => {
            let message = fault.to_string();
            assert!(!message.contains(char::is_control), "{message:?}");
            assert!(message.chars().count() < 1000, "{message:?}");
        }
    }
});
