//! The files that pages load, and the policy that lets a browser load nothing else.

/// What a page may do in a browser: load the two files and the icon below, and fetch itself again.
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
        content: include_str!("page.css"),
    },
    Asset {
        path: "/static/page.js",
        media_type: "text/javascript; charset=utf-8",
        content: include_str!("page.js"),
    },
    Asset {
        path: "/static/icon.svg",
        media_type: "image/svg+xml",
        content: include_str!("icon.svg"),
    },
];
