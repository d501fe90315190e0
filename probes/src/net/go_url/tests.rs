use super::*;

#[test]
fn references_lead_where_go_goes() {
    let from = Url::parse("https://r.example:8443/v2/a/manifests/v1?ns=b").unwrap();
    #[rustfmt::skip]
    let table = [
        ("v2", "https://r.example:8443/v2/a/manifests/v2"),
        ("", "https://r.example:8443/v2/a/manifests/v1?ns=b"),
        ("?", "https://r.example:8443/v2/a/manifests/v1?"),
        ("../../x/.", "https://r.example:8443/v2/x/"),
        ("/../../..", "https://r.example:8443/"),
        ("//s.example/a b", "https://s.example/a%20b"),
        ("http://s.example/%41|", "http://s.example/A%7C"),
        ("https://s.example/%41(", "https://s.example/%41("),
        (r"https:\\s.example\a", "NotSent"),
        ("/a\\b", "https://r.example:8443/a%5Cb"),
        ("https:s.example", "NotSent"),
        ("https://s.example:99999/", "NotSent"),
        ("https://s.example/%zz", "Refused"),
        ("a:b", "NotSent"),
        ("1a:b", "Refused"),
        ("https://2130706433/", "Differs"),
        ("https://@s.example/", "Differs"),
        ("https://[2001:db8:0::1]/", "Differs"),
        ("/%2e%2e/a", "Differs"),
        ("/a?b c", "Differs"),
    ];
    for (reference, expected) in table {
        let to = resolve(&from, reference);
        let to = to.map_or_else(|why| format!("{why:?}"), |url| url.to_string());
        assert_eq!(to, expected, "{reference:?}");
    }
    let bare = Url::parse("https://r.example/v2/?").unwrap();
    let to = resolve(&bare, "#a").map(String::from);
    assert_eq!(to.as_deref(), Ok("https://r.example/v2/"));
}

#[test]
fn urls_that_stand_alone() {
    #[rustfmt::skip]
    let table = [
        ("https://t.example/a/..?b c", "Differs"),
        ("https://t.example?b c", "https://t.example/?b%20c"),
        ("/token", "NotSent"),
        ("https://t.example/%", "Refused"),
    ];
    for (text, expected) in table {
        let url = absolute(text).map_or_else(|why| format!("{why:?}"), |url| url.to_string());
        assert_eq!(url, expected, "{text:?}");
    }
    let pair = |(a, b): (&str, &str)| (a.to_owned(), b.to_owned());
    let expected = [("a", "b c"), ("d", ""), ("", "e")].map(pair);
    assert_eq!(parameters("a=b+c&x;y=1&z=%zz&&d&=e"), expected);
}

/// `scheme host port user:password`, or nothing for an error; checked against Go 1.26.
#[test]
fn urls_as_go_reads_them() {
    #[rustfmt::skip]
    let table = [
        ("http://proxy:3128", "http proxy 3128"),
        ("HTTP://Proxy", "http Proxy "),
        ("http://user:p%40ss@proxy:3128/", "http proxy 3128 user:p@ss"),
        ("http://user:p%40ss%w%23rd@proxy:3128", ""),
        ("http://us er@proxy", ""),
        ("http://user@proxy", "http proxy  user:"),
        ("http://a@b:c@proxy", "http proxy  a@b:c"),
        ("http://proxy:port", ""),
        ("http://proxy:", "http proxy "),
        ("http://a:1:2", ""),
        ("socks://a:1:2", "socks a:1 2"),
        ("http://socks://proxy:1080", "http socks "),
        ("http://[fd00::9]:3128", "http fd00::9 3128"),
        ("http://[fd00::9%25eth0]", "http fd00::9%eth0 "),
        ("http://[10.0.0.1]:80", ""),
        ("http://[proxy]", ""),
        ("http://a[b]", ""),
        ("http://pro xy", ""),
        ("http://pro%41xy", ""),
        ("http://pro%c3%bcfer", "http proüfer "),
        ("http://proxy/%zz", ""),
        ("http://proxy?%zz", "http proxy "),
        ("http://proxy#%zz", ""),
        ("http://pro\nxy", ""),
        ("proxy:3128", "proxy  "),
        ("proxy.corp", "  "),
        ("10.0.0.9:3128", ""),
        ("user:pass@proxy:3128", "user  "),
        ("//proxy:3128", " proxy 3128"),
        ("///proxy", "  "),
        (":3128", ""),
        ("", "  "),
    ];
    for (text, expected) in table {
        let read = parse(text).map(|url| {
            let user = url
                .user
                .map(|user| format!(" {}:{}", user.name, user.password));
            let GoUrl {
                scheme, host, port, ..
            } = url;
            format!("{scheme} {host} {port}{}", user.unwrap_or_default())
        });
        assert_eq!(read.unwrap_or_default(), expected, "{text:?}");
    }
}
