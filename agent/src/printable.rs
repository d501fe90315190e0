//! Text of strangers, as it may reach a terminal or a log: what a registry, a certificate, a file or
//! an argument says may show itself and do nothing else.

use std::borrow::Cow;

/// Whether `c` only shows itself: no control, nothing invisible, nothing that turns others around.
pub(crate) fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_graphic() || c == ' ';
    }
    // After a letter, a combining mark is no reason to escape it.
    let mut after_a_letter = [b'a', 0, 0, 0, 0];
    let length = c.encode_utf8(&mut after_a_letter[1..]).len();
    str::from_utf8(&after_a_letter[..=length]).is_ok_and(|text| text.escape_debug().count() == 2)
}

/// What nearly every text is, and soon seen to be.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\n'))
}

/// `text` with everything else written as escapes.
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

/// The same of a text whose lines are our own.
pub(crate) fn printable_lines(text: &str) -> String {
    text.split('\n')
        .map(printable)
        .collect::<Vec<_>>()
        .join("\n")
}

/// JSON in which everything else is escaped: it stays the same document, whoever looks at it.
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
    fn strangers_show_themselves_and_no_more() {
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
