//! Makes a peer's text safe to show in a message, however hostile it is. Every stage that quotes a peer
//! uses it.

use crate::net::redact::without_secrets;

/// Longest excerpt, in characters.
const MAX_CHARS: usize = 300;

/// What a peer sent, as one line of at most [`MAX_CHARS`] characters: no control characters, no secrets.
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let line = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let line: String = line.collect();
    let mut excerpt = without_secrets(&line);
    if let Some((end, _)) = excerpt.char_indices().nth(MAX_CHARS) {
        excerpt.truncate(end);
    }
    excerpt
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_one_line_and_capped() {
        assert_eq!(excerpt(b"a\r\nb\x1b[31mc\xff"), "a  b [31mc\u{fffd}");
        assert_eq!(excerpt(&[b'x'; 1000]).len(), MAX_CHARS);
    }
}
