//! Registries whose HTTP is invalid, never ends, or looks like two answers.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::attack::{Attack, http};
use super::site::{REALM, answer, bearer};
use super::speech::{Speech, say};

pub(crate) fn attacks() -> Vec<Attack> {
    let ping = |name, reason, says: Speech| http(name, "challenge", reason, "/v2/", says);
    vec![
        // Heads.
        ping("headers that never end", "too_large", {
            say("HTTP/1.1 401 No\r\n").endless("X-Filler: y\r\n")
        }),
        ping("a header that never ends", "too_large", {
            say("HTTP/1.1 401 No\r\nX-Filler: ").endless("y")
        }),
        ping("a status line that never ends", "too_large", {
            say("HTTP/1.1 401 ").endless("No ")
        }),
        ping("five thousand headers", "too_large", {
            let many: String = (0..5000).map(|n| format!("X-{n}: y\r\n")).collect();
            say(format!("HTTP/1.1 401 No\r\n{many}\r\n"))
        }),
        ping("a header of a megabyte", "too_large", {
            say(answer(
                "401 No",
                &[&format!("X-Filler: {}", "y".repeat(1 << 20))],
                "",
            ))
        }),
        ping("interim answers that never end", "too_large", {
            say([]).endless("HTTP/1.1 100 Continue\r\n\r\n")
        }),
        ping("early hints that never end", "too_large", {
            say([]).endless("HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n")
        }),
        ping("a few interim answers", "none", {
            let interim = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n".repeat(5);
            say(interim + &challenge()).listen()
        })
        .borne(),
        ping(
            "an unsolicited switch of protocols",
            "unexpected_status",
            say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n").hang(),
        ),
        ping("a head one byte at a time", "timeout", {
            say("HTTP/1.1 401 No\r\n").drip("X-Filler: y\r\n")
        }),
        ping("a header without a name", "malformed", {
            say("HTTP/1.1 401 No\r\n: nobody\r\n\r\n")
        }),
        ping("a header with a space in its name", "malformed", {
            say("HTTP/1.1 401 No\r\nContent Length: 5\r\n\r\n")
        }),
        ping("a folded header", "malformed", {
            say("HTTP/1.1 401 No\r\nX-A: b\r\n c\r\n\r\n")
        }),
        ping("a zero byte in a header", "malformed", {
            say("HTTP/1.1 401 No\r\nX-A: b\0c\r\n\r\n")
        }),
        ping("only line feeds", "too_large", say([]).endless("\n")),
        ping("a status of four digits", "malformed", {
            say("HTTP/1.1 4010 No\r\nContent-Length: 0\r\n\r\n")
        }),
        ping("a status that is negative", "malformed", {
            say("HTTP/1.1 -01 No\r\nContent-Length: 0\r\n\r\n")
        }),
        ping("an undefined status", "unexpected_status", {
            say("HTTP/1.1 999 No\r\nContent-Length: 0\r\n\r\n")
        }),
        // Other protocols.
        ping("HTTP/0.9", "malformed", say("<html>Hello</html>\n")),
        ping("unsolicited HTTP/2", "malformed", {
            say([0, 0, 0, 4, 0, 0, 0, 0, 0]).hang()
        }),
        ping("a request in place of an answer", "malformed", {
            say("GET / HTTP/1.1\r\nHost: contoso.example\r\n\r\n")
        }),
        ping("garbage", "malformed", say([0xff; 4096]).hang()),
        ping("control characters of a terminal", "malformed", {
            say("\x1b]0;owned\x07\x1b[2J").hang()
        }),
        // Lengths.
        ping("a length that is negative", "malformed", {
            say("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}")
        }),
        ping(
            "a length that overflows",
            "malformed",
            say("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n{}"),
        ),
        ping("two lengths", "malformed", {
            say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 40\r\n\r\n{}")
        }),
        ping("a length and chunks", "none", {
            // By RFC 9112, section 6.3, chunks take precedence; what follows is not an answer.
            let hidden = answer("200 OK", &[], "{\"a\":\"portal\"}");
            let head = challenge_head("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n");
            say(format!("{head}0\r\n\r\n{hidden}"))
        })
        .borne(),
        // Go knows no coding but chunks (`net/http`, `parseTransferEncoding`).
        ping("chunks that are not the last coding", "malformed", {
            say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n2\r\n{}\r\n0\r\n\r\n")
        }),
        ping(
            "one byte of the announced length, then nothing",
            "timeout",
            say("HTTP/1.1 200 OK\r\nContent-Length: 4096\r\n\r\n{").hang(),
        ),
        ping("an end before the length", "closed", {
            say("HTTP/1.1 200 OK\r\nContent-Length: 4096\r\n\r\n{")
        }),
        // Bodies.
        ping("a body that never ends", "too_large", {
            say("HTTP/1.1 200 OK\r\n\r\n").endless("{\"a\":1}")
        }),
        ping("a body one byte at a time", "timeout", {
            say("HTTP/1.1 200 OK\r\n\r\n").drip("{")
        }),
        ping("a chunk size that overflows", "malformed", {
            say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{}")
        }),
        ping("a chunk size that is no number", "malformed", {
            say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n")
        }),
        ping("a chunk extension that never ends", "malformed", {
            say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=").endless("b")
        }),
        ping("trailers that never end", "malformed", {
            say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n")
                .endless("X-Filler: y\r\n")
        }),
        ping("chunks of eight bytes that never end", "too_large", {
            say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                .endless("8\r\n{{{{{{{{\r\n")
        }),
        ping("a bomb of gzip", "no_challenge", {
            let bomb = bomb();
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
                bomb.len()
            );
            say([head.as_bytes(), &bomb].concat())
        }),
        // Two answers.
        ping("an unsolicited second answer", "none", {
            say(challenge() + &answer("200 OK", &[], "{\"token\":\"forged\"}"))
        })
        .borne(),
        ping("answers that never end", "none", {
            say(challenge()).endless(answer("200 OK", &[], "{\"token\":\"forged\"}"))
        })
        .borne(),
        ping("a header that splits the answer", "malformed", {
            say("HTTP/1.1 401 No\r\nX-A: b\rHTTP/1.1 200 OK\r\n\r\n{}")
        }),
    ]
}

/// Four megabytes of zeros in four kilobytes.
fn bomb() -> Vec<u8> {
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    let written = bomb.write_all(&vec![0; 4 << 20]);
    written.and_then(|()| bomb.finish()).unwrap_or_default()
}

fn challenge() -> String {
    challenge_head("Content-Length: 0\r\n")
}

fn challenge_head(more: &str) -> String {
    let bearer = bearer(REALM);
    format!("HTTP/1.1 401 Unauthorized\r\nWww-Authenticate: {bearer}\r\n{more}\r\n")
}
