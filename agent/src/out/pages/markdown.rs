//! Markdown as elements of a page. The text may hold what a registry said, so HTML in it stays text.

use std::fmt::Display;

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use super::html::Html;

/// Writes `text`. Links lead where `link` says; those for which it says nothing stay words.
pub(super) fn markdown(html: &mut Html, text: &str, link: impl Fn(&str) -> Option<String>) {
    let mut linked = Vec::new();
    let mut in_head = false;
    for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
        match event {
            Event::Text(text) | Event::Html(text) | Event::InlineHtml(text) => {
                lines(html, &text);
            }
            Event::Code(code) => html.leaf("code", &[], code),
            Event::SoftBreak => html.text(" "),
            Event::HardBreak => html.void("br", &[]),
            Event::Start(Tag::Link { dest_url, .. }) => {
                let href = link(&dest_url);
                if let Some(href) = &href {
                    html.open("a", &[("href", href)]);
                }
                linked.push(href.is_some());
            }
            Event::End(TagEnd::Link) if linked.pop() == Some(true) => html.close("a"),
            Event::Start(tag) => {
                in_head |= tag == Tag::TableHead;
                let what: &[(&'static str, &dyn Display)] = match tag {
                    // A block that is wider than the screen is scrolled by the keyboard too.
                    Tag::CodeBlock(CodeBlockKind::Fenced(_)) => &[("tabindex", &"0")],
                    _ => &[],
                };
                if let Some(name) = element(&tag.to_end(), in_head) {
                    html.open(name, what);
                }
            }
            Event::End(tag) => {
                if let Some(name) = element(&tag, in_head) {
                    html.close(name);
                }
                in_head &= tag != TagEnd::TableHead;
            }
            _ => {}
        }
    }
}

fn element(tag: &TagEnd, in_head: bool) -> Option<&'static str> {
    Some(match tag {
        TagEnd::Paragraph => "p",
        TagEnd::Heading(HeadingLevel::H1 | HeadingLevel::H2) => "h2",
        TagEnd::Heading(_) => "h3",
        TagEnd::BlockQuote(_) => "blockquote",
        TagEnd::CodeBlock => "pre",
        TagEnd::List(true) => "ol",
        TagEnd::List(false) => "ul",
        TagEnd::Item => "li",
        TagEnd::Table => "table",
        TagEnd::TableHead | TagEnd::TableRow => "tr",
        TagEnd::TableCell if in_head => "th",
        TagEnd::TableCell => "td",
        TagEnd::Emphasis => "em",
        TagEnd::Strong => "strong",
        _ => return None,
    })
}

/// Text with its line breaks, as a block of code has them.
fn lines(html: &mut Html, text: &str) {
    let mut lines = text.split('\n');
    html.text(lines.next().unwrap_or_default());
    for line in lines {
        html.end_line();
        html.text(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::runbooks::Runbook;

    fn written(text: &str) -> String {
        let mut html = Html::default();
        markdown(&mut html, text, |to| {
            to.strip_suffix(".md").map(str::to_owned)
        });
        html.into_text()
    }

    #[test]
    fn every_element_that_runbooks_use() {
        for (text, expected) in [
            (
                "## A\n\nb `c` **d**\ne",
                "<h2>A</h2><p>b <code>c</code> <strong>d</strong> e</p>",
            ),
            (
                "```sh\na\n\nb <c>\n```",
                "<pre tabindex=\"0\">a\n\nb &lt;c&gt;\n</pre>",
            ),
            (
                "- a\n- b\n  - c",
                "<ul><li>a</li><li>b<ul><li>c</li></ul></li></ul>",
            ),
            (
                "> **Changes:** it.\n> more",
                "<blockquote><p><strong>Changes:</strong> it. more</p></blockquote>",
            ),
            (
                "| a | b |\n|---|---|\n| 1 | 2 |",
                "<table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr></table>",
            ),
            ("[x](a.md) [y](b)", "<p><a href=\"a\">x</a> y</p>"),
            (
                "a <script>alert(1)</script>",
                "<p>a &lt;script&gt;alert(1)&lt;/script&gt;</p>",
            ),
        ] {
            assert_eq!(written(text), expected);
        }
    }

    #[test]
    fn no_mark_of_markdown_is_left_in_a_runbook() {
        for runbook in Runbook::all().into_iter().flat_map(|(_, group)| group) {
            let page = written(runbook.text());
            let blocks = page.split("<pre").skip(1);
            let code: usize = blocks.map(|block| block.matches("```").count()).sum();
            assert_eq!(code, 0, "{}", runbook.name);
            for mark in ["**", "](", "\n## "] {
                assert!(!page.contains(mark), "{}: {mark}", runbook.name);
            }
        }
    }
}
