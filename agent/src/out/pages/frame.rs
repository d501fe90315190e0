//! What every page has around its content.

use super::{assets::ASSETS, html::Html};

/// The relative address of the status page, from itself and from the pages beside it.
pub(super) const HERE: &str = "./";
/// The same, from a page whose address ends with an id.
pub(super) const ABOVE: &str = "../";

/// A page, with the parts that all pages have.
pub(super) fn frame(title: &str, root: &'static str, inside: impl FnOnce(&mut Html)) -> String {
    let mut html = Html::document(root);
    let [style, script, icon] = ASSETS.map(|asset| html.local(&asset.path[1..]));
    html.tag("html", &[("lang", &"en")], |html| {
        html.tag("head", &[], |html| {
            html.void("meta", &[("charset", &"utf-8")]);
            let width = "width=device-width, initial-scale=1";
            html.void("meta", &[("name", &"viewport"), ("content", &width)]);
            html.void(
                "meta",
                &[("name", &"color-scheme"), ("content", &"light dark")],
            );
            html.leaf("title", &[], title);
            html.void("link", &[("rel", &"icon"), ("href", &icon)]);
            html.void("link", &[("rel", &"stylesheet"), ("href", &style)]);
            html.leaf("script", &[("src", &script), ("defer", &"")], "");
        });
        html.tag("body", &[], inside);
    });
    html.into_text()
}

/// `text` as part of the query of a URL.
pub(super) fn in_query(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
