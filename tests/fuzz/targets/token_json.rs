//! The response of a token service: a token occurs in the response and fits in a header line, and no text
//! from the response can inject anything into a message.
#![no_main]

use libfuzzer_sys::fuzz_target;
use regprobe_probes::fuzz_support::authorization;
use serde_json::Value;

fuzz_target!(|body: &[u8]| {
    match authorization(body) {
        Ok(line) => {
            let token = line.strip_prefix(b"Bearer ").expect("the scheme");
            let is_sound = |byte: &u8| *byte == b'\t' || !byte.is_ascii_control();
            assert!(!token.is_empty() && token.iter().all(is_sound));
            // Skipped bytes may not be valid text; of a name that is there twice, only the last is seen here.
            let mut values = serde_json::Deserializer::from_slice(body).into_iter::<Value>();
            let Some(Ok(Value::Object(fields))) = values.next() else {
                return;
            };
            let names = ["token", "access_token"];
            let is_known = |name: &str| names.iter().any(|known| known.eq_ignore_ascii_case(name));
            let known: Vec<_> = fields.iter().filter(|(name, _)| is_known(name)).collect();
            let is_token = |value: &Value| value.as_str().map(str::as_bytes) == Some(token);
            let held = known.iter().any(|(_, value)| is_token(value));
            let twice = body
                .windows(5)
                .filter(|window| window.eq_ignore_ascii_case(b"token"))
                .count()
                > known.len();
            assert!(held || twice, "a token that the answer does not hold");
        }
        Err(fault) => {
            let message = fault.to_string();
            assert!(!message.contains(char::is_control), "{message:?}");
            assert!(message.chars().count() < 1000, "{message:?}");
        }
    }
});
