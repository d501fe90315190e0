//! HTML under construction. The types allow markup only from literals of this program. All other text goes
//! through one function that escapes it, so untrusted text cannot become markup.

use std::fmt::{self, Display, Write};

use crate::printable::is_printable;

/// Names and values of an element's attributes.
pub(super) type Attributes<'a> = &'a [(&'static str, &'a dyn Display)];

/// A document, or a part of one.
#[derive(Default)]
pub(super) struct Html {
    text: String,
    root: &'static str,
}

impl Html {
    /// A new document. `root` leads from its address to that of the status page.
    pub(super) fn document(root: &'static str) -> Self {
        Self {
            text: "<!DOCTYPE html>\n".to_owned(),
            root,
        }
    }

    /// The address of another page of this agent, relative to this one: the paths may have a prefix, as
    /// behind the proxy of a Kubernetes API server.
    pub(super) fn local(&self, path: impl Display) -> String {
        format!("{}{path}", self.root)
    }

    /// An element with the content that `inside` writes.
    pub(super) fn tag(
        &mut self,
        name: &'static str,
        attributes: Attributes<'_>,
        inside: impl FnOnce(&mut Self),
    ) {
        self.open(name, attributes);
        inside(self);
        self.close(name);
    }

    /// An element that contains only text.
    pub(super) fn leaf(
        &mut self,
        name: &'static str,
        attributes: Attributes<'_>,
        text: impl Display,
    ) {
        self.open(name, attributes);
        self.text(text);
        self.close(name);
    }

    /// An element without content and end tag.
    pub(super) fn void(&mut self, name: &'static str, attributes: Attributes<'_>) {
        self.open(name, attributes);
    }

    /// Text from any source, escaped.
    pub(super) fn text(&mut self, text: impl Display) {
        // Writing to a string cannot fail.
        let _ = write!(Escaping(&mut self.text), "{text}");
    }

    /// A line break, where line breaks are shown as they are.
    pub(super) fn end_line(&mut self) {
        self.text.push('\n');
    }

    /// What was written.
    pub(super) fn into_text(self) -> String {
        self.text
    }

    /// The start of an element that [`close`](Self::close) ends.
    pub(super) fn open(&mut self, name: &'static str, attributes: Attributes<'_>) {
        self.text.push('<');
        self.text.push_str(name);
        for (name, value) in attributes {
            self.text.push(' ');
            self.text.push_str(name);
            self.text.push_str("=\"");
            self.text(value);
            self.text.push('"');
        }
        self.text.push('>');
    }

    /// The end of an element that [`open`](Self::open) began.
    pub(super) fn close(&mut self, name: &'static str) {
        self.text.push_str("</");
        self.text.push_str(name);
        self.text.push('>');
    }
}

/// Escapes text so that it is inert both as content and in a quoted attribute.
struct Escaping<'a>(&'a mut String);

impl Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                c if is_printable(c) => self.0.push(c),
                c => self.0.extend(c.escape_debug()),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn untrusted_text_stays_text() {
        let mut html = Html::default();
        let untrusted =
            "</p><script>alert('1')</script>\" onload=\"x\" &amp; \u{202e}\u{1b}[2J\n\0";
        html.leaf("p", &[("title", &untrusted)], untrusted);
        let inert = "&lt;/p&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&quot; \
                     onload=&quot;x&quot; &amp;amp; \\u{202e}\\u{1b}[2J\\n\\0";
        assert_eq!(
            html.into_text(),
            format!("<p title=\"{inert}\">{inert}</p>")
        );
    }

    #[test]
    fn elements_are_closed_in_order() {
        let mut html = Html::document("./");
        html.tag("ul", &[("class", &"a")], |html| {
            html.leaf("li", &[], 1);
            html.void("br", &[]);
        });
        assert_eq!(
            html.into_text(),
            "<!DOCTYPE html>\n<ul class=\"a\"><li>1</li><br></ul>"
        );
    }
}
