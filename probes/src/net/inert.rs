//! Makes a peer's text safe to show in a message, however hostile it is. Every stage that quotes a peer
//! uses it.

use crate::net::redact::without_secrets;

/// Longest excerpt, in characters.
const MAX_CHARS: usize = 300;

/// Longest message of a client, which quotes a URL or two.
const MAX_MESSAGE_CHARS: usize = 1500;

/// What a peer sent, as one line of at most [`MAX_CHARS`] characters: no control characters, no secrets.
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    let line = line(&String::from_utf8_lossy(bytes));
    start(without_secrets(&line), MAX_CHARS)
}

/// A client's message as one line of at most [`MAX_MESSAGE_CHARS`] characters. What it quotes has no secrets.
pub(crate) fn message(text: &str) -> String {
    start(line(text), MAX_MESSAGE_CHARS)
}

fn line(text: &str) -> String {
    let line = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    line.collect()
}

fn start(mut text: String, chars: usize) -> String {
    if let Some((end, _)) = text.char_indices().nth(chars) {
        text.truncate(end);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_one_line_and_capped() {
        assert_eq!(excerpt(b"a\r\nb\x1b[31mc\xff"), "a  b [31mc\u{fffd}");
        assert_eq!(excerpt(&[b'x'; 1000]).len(), MAX_CHARS);
        assert_eq!(message("a\nb\x1b[31mc"), "a b [31mc");
        assert_eq!(message(&"x".repeat(9000)).len(), MAX_MESSAGE_CHARS);
    }
}
