//! Proxies that answer a CONNECT with anything but a connection.

use super::attack::{Attack, proxy};
use super::speech::say;

pub(crate) fn attacks() -> Vec<Attack> {
    vec![
        proxy("headers that never end", "malformed", {
            say("HTTP/1.1 200 OK\r\n").endless("X-Filler: y\r\n")
        }),
        proxy("a header that never ends", "malformed", {
            say("HTTP/1.1 200 OK\r\nX-Filler: ").endless("y")
        }),
        proxy("a status line that never ends", "malformed", {
            say("HTTP/1.1 200 ").endless("very ")
        }),
        proxy("407 after 407", "auth_required", {
            let again = "HTTP/1.1 407 Again\r\nProxy-Authenticate: Basic realm=\"a\"\r\n\
                         Content-Length: 0\r\n\r\n";
            say(again).endless(again)
        }),
        proxy("garbage", "malformed", say([0xff, 0, 0x1b, b'[']).hang()),
        proxy("interim answers that never end", "malformed", {
            say([]).endless("HTTP/1.1 100 Continue\r\n\r\n")
        }),
        proxy("a redirect to a metadata service", "malformed", {
            say("HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\n\r\n")
        }),
        proxy("a connection with early data", "not_tls", {
            say("HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n").hang()
        })
        .at("tls"),
        proxy("a connection to nobody", "timeout", {
            say("HTTP/1.1 200 OK\r\n\r\n").hang()
        })
        .at("tls"),
        proxy("one byte at a time", "timeout", {
            say([]).drip(format!("HTTP/1.1 200 {}\r\n\r\n", "OK".repeat(500)))
        }),
        proxy("a status of letters", "malformed", {
            say("HTTP/1.1 OK 200\r\n\r\n")
        }),
        proxy("control characters in the status", "denied", {
            say("HTTP/1.1 403 \x1b[2J\x1b]0;owned\x07\x00\r\n\r\n")
        }),
        proxy("HTTP/2", "malformed", {
            say([0, 0, 0, 4, 0, 0, 0, 0, 0]).hang()
        }),
        proxy("an end before its answer", "closed", {
            say("HTTP/1.1 200")
        }),
    ]
}
