//! The pages for people, made here and nowhere else: they are whole without JavaScript, and with it
//! the status page fetches itself anew and puts in place what changed. Made from the status document
//! and the history; nothing outside the agent is ever loaded.

mod findings;
mod html;
mod lane;
mod overview;
mod round;
mod rounds;
mod runbook;
mod strip;
mod words;

use self::html::Html;
pub(crate) use self::{
    overview::overview,
    round::round,
    rounds::rounds,
    runbook::{runbook, runbooks},
};

/// What a browser may do with a page: load the two files and the picture below, fetch the page again.
pub(crate) const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; \
     img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'";

/// A file that pages refer to.
pub(crate) struct Asset {
    /// Its address.
    pub path: &'static str,
    /// Its media type.
    pub media_type: &'static str,
    /// Its content.
    pub content: &'static str,
}

/// Every file that pages refer to.
pub(crate) const ASSETS: [Asset; 3] = [
    Asset {
        path: "/static/page.css",
        media_type: "text/css; charset=utf-8",
        content: include_str!("page/page.css"),
    },
    Asset {
        path: "/static/page.js",
        media_type: "text/javascript; charset=utf-8",
        content: include_str!("page/page.js"),
    },
    Asset {
        path: "/static/icon.svg",
        media_type: "image/svg+xml",
        content: include_str!("page/icon.svg"),
    },
];

/// From the status page and what lies beside it to the status page.
const HERE: &str = "./";
/// From a page that is named by an id.
const ABOVE: &str = "../";

/// A page with what all pages have.
fn frame(title: &str, root: &'static str, inside: impl FnOnce(&mut Html)) -> String {
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

/// A part of a URL's query.
fn in_query(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
