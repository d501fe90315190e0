//! The words for how a server answers over HTTP.

use std::collections::BTreeMap;

use serde::Deserialize;

/// How an endpoint answers over HTTP.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answers {
    #[default]
    Well,
    Status(u16),
    Says(Said),
    /// 401 with this in `Www-Authenticate`.
    Challenge(String),
    /// Well, with these headers before its own.
    #[serde(rename = "with headers")]
    WithHeaders(BTreeMap<String, String>),
    /// 307 to the same path and query behind this, which may be a host or a path.
    #[serde(rename = "redirect to")]
    RedirectTo(String),
    /// To HEAD so, and well to everything else.
    #[serde(rename = "to HEAD")]
    ToHead(Box<Self>),
    #[serde(rename = "to GET")]
    ToGet(Box<Self>),
    /// To requests for a part of a blob so, and well to everything else.
    #[serde(rename = "to a range")]
    ToRange(Box<Self>),
    /// To requests without the header `X-Access` so, and well to everything else.
    #[serde(rename = "without X-Access")]
    ToStrangers(Box<Self>),
    /// To requests for the last layer so, and well to everything else.
    #[serde(rename = "to the last layer")]
    ToLastLayer(Box<Self>),
    /// 403, naming the client's address.
    #[serde(rename = "as the firewall")]
    Firewall,
    /// 429 with Retry-After.
    Throttled,
    #[serde(rename = "as MCR")]
    Mcr,
    #[serde(rename = "empty JSON")]
    EmptyJson,
    #[serde(rename = "half of a JSON")]
    NotJson,
    #[serde(rename = "a page to log in")]
    CaptivePortal,
    /// To `portal.contoso.example`, which serves such a page at the mirror's address.
    #[serde(rename = "a redirect away")]
    RedirectAway,
    #[serde(rename = "a redirect to itself")]
    RedirectLoop,
    /// Well, once these seconds have passed.
    #[serde(rename = "late by")]
    LateBy(u64),
    /// Well, so many KiB a second.
    #[serde(rename = "at KiB a second")]
    Slowly(usize),
    Hangs,
    #[serde(rename = "hangs in the body")]
    HangsInBody,
    #[serde(rename = "a body without end")]
    EndlessBody,
    #[serde(rename = "headers without end")]
    EndlessHeaders,
    #[serde(rename = "hangs up")]
    HangsUp,
    Resets,
    Garbage,
    /// Well, and the connection is closed before the last byte of the body.
    #[serde(rename = "ends early")]
    EndsEarly,
    /// Well, but for the last byte.
    Damaged,
    #[serde(rename = "in HTTP/1.0")]
    Http10,
    #[serde(rename = "in chunks")]
    Chunked,
    #[serde(rename = "once a connection")]
    Once,
}

/// An answer word for word. `TOKEN` stands for a token for `probe/hello`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Said {
    #[serde(default = "ok")]
    pub status: u16,
    #[serde(rename = "type", default = "json")]
    pub media_type: String,
    pub text: String,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
}

fn ok() -> u16 {
    200
}

fn json() -> String {
    "application/json".to_owned()
}
