//! Base64 as Go decodes it: line ends are passed over, and an error says where the text breaks.
//!
//! Source: Go `encoding/base64` (`decodeQuantum`).

use zeroize::Zeroizing;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// `CorruptInputError`: the place of the byte that is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CorruptInput(pub usize);

/// Decodes `text`; padding belongs to it where `padded`, and is wrong elsewhere.
pub(super) fn decode(text: &[u8], padded: bool) -> Result<Zeroizing<Vec<u8>>, CorruptInput> {
    let is_line_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
    let next = |at: usize| (at..text.len()).find(|at| !is_line_end(&text[*at]));
    let mut decoded = Zeroizing::new(Vec::with_capacity(text.len() / 4 * 3 + 2));
    let mut at = 0;
    loop {
        let (mut bits, mut digits) = (0_u32, 0_usize);
        while digits < 4 {
            let Some(place) = next(at) else { break };
            at = place + 1;
            if let Some(value) = ALPHABET.iter().position(|digit| *digit == text[place]) {
                bits = bits << 6 | value as u32;
                digits += 1;
                continue;
            }
            if text[place] != b'=' || !padded || digits < 2 {
                return Err(CorruptInput(place));
            }
            if digits == 2 {
                match next(at) {
                    None => return Err(CorruptInput(text.len())),
                    Some(second) if text[second] != b'=' => return Err(CorruptInput(second - 1)),
                    Some(second) => at = second + 1,
                }
            }
            if let Some(more) = next(at) {
                return Err(CorruptInput(more));
            }
            push(&mut decoded, bits, digits);
            return Ok(decoded);
        }
        match digits {
            4 => push(&mut decoded, bits, digits),
            0 => return Ok(decoded),
            _ if digits == 1 || padded => return Err(CorruptInput(text.len() - digits)),
            _ => {
                push(&mut decoded, bits, digits);
                return Ok(decoded);
            }
        }
    }
}

/// The whole bytes in this many digits.
fn push(decoded: &mut Vec<u8>, bits: u32, digits: usize) {
    let bytes = (bits << (6 * (4 - digits))).to_be_bytes();
    decoded.extend_from_slice(&bytes[1..digits]);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Go 1.26 gives these.
    #[test]
    fn as_go() {
        for (text, padded, result) in [
            ("", false, Ok("")),
            ("cmVhZGVyOnNlY3JldA==", true, Ok("reader:secret")),
            ("cmVhZGVyOnNl\nY3JldA=\r\n=", true, Ok("reader:secret")),
            ("cmVhZGVyOnNlY3JldA", false, Ok("reader:secret")),
            ("YWI=", true, Ok("ab")),
            ("YWJj", false, Ok("abc")),
            ("!", false, Err(0)),
            ("YW!j", false, Err(2)),
            ("YWJjZ", false, Err(4)),
            ("YQ=", true, Err(3)),
            ("Y=", true, Err(1)),
            ("YQ=x", true, Err(2)),
            ("YWJ\nj\nZ", false, Err(6)),
            ("YWJjYQ\n", true, Err(5)),
            ("=", true, Err(0)),
            ("YWJjYW", true, Err(4)),
            ("YWI=YWI=", true, Err(4)),
            ("YWI =", true, Err(3)),
        ] {
            let decoded = decode(text.as_bytes(), padded);
            let decoded = decoded.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
            let expected = result.map(str::to_owned).map_err(CorruptInput);
            assert_eq!(decoded, expected, "{text:?}");
        }
    }
}
