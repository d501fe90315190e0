//! Untrusted text made safe for terminals and logs. What a registry, a certificate, a file or an argument
//! says can be seen there, but has no effect.

use std::borrow::Cow;

/// Whether `c` is visible and has no effect: no control, invisible or direction-changing character.
pub(crate) fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_graphic() || c == ' ';
    }
    // After a letter, a combining mark needs no escape.
    let mut after_a_letter = [b'a', 0, 0, 0, 0];
    let length = c.encode_utf8(&mut after_a_letter[1..]).len();
    str::from_utf8(&after_a_letter[..=length]).is_ok_and(|text| text.escape_debug().count() == 2)
}

/// A fast test that nearly every text passes.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\n'))
}

/// `text` with unprintable characters escaped.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_printable) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match is_printable(c) {
            true => shown.push(c),
            false => shown.extend(c.escape_debug()),
        }
    }
    Cow::Owned(shown)
}

/// The same for a text whose line breaks are ours.
pub(crate) fn printable_lines(text: &str) -> String {
    text.split('\n')
        .map(printable)
        .collect::<Vec<_>>()
        .join("\n")
}

/// JSON with unprintable characters escaped, which does not change its meaning.
pub(crate) fn printable_json(json: &str) -> Cow<'_, str> {
    if is_plain(json) || json.chars().all(|c| is_printable(c) || c == '\n') {
        return Cow::Borrowed(json);
    }
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if is_printable(c) || c == '\n' {
            text.push(c);
        } else {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                text += &format!("\\u{unit:04x}");
            }
        }
    }
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn untrusted_text_is_visible_and_has_no_effect() {
        for (text, shown) in [
            ("O=\"Corp\", C='X\\Y'", "O=\"Corp\", C='X\\Y'"),
            ("a\u{1b}[2Jb\nc\u{7}\u{7f}", "a\\u{1b}[2Jb\\nc\\u{7}\\u{7f}"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("\u{202e}moc.live\u{200b}", "\\u{202e}moc.live\\u{200b}"),
            ("\u{2066}\u{feff}\u{e0041}", "\\u{2066}\\u{feff}\\u{e0041}"),
            (
                "Zürich Zu\u{308}rich हिन्दी 東京",
                "Zürich Zu\u{308}rich हिन्दी 東京",
            ),
        ] {
            assert_eq!(printable(text), shown);
        }
        assert_eq!(printable_lines("a\u{7}\nb\r\n"), "a\\u{7}\nb\\r\n");
    }
}
