//! Servers that mistreat the connection itself.

use std::future::pending;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

use super::attack::{Attack, tcp};
use super::speech;

pub(crate) fn attacks() -> Vec<Attack> {
    vec![
        tcp("accepted, then silent", "timeout", |stream| async move {
            let _stream = stream;
            pending().await
        }),
        tcp("reset without reading", "reset", |stream| async move {
            // Immediately, the reset might hit the dial.
            sleep(Duration::from_millis(50)).await;
            let _ = stream.set_zero_linger();
        }),
        tcp("reset after the hello", "reset", |mut stream| async move {
            let _ = speech::record(&mut stream).await;
            let _ = stream.set_zero_linger();
        }),
        tcp(
            "closed after the hello",
            "closed",
            |mut stream| async move {
                let _ = speech::record(&mut stream).await;
            },
        ),
        tcp("reset within a record", "reset", |mut stream| async move {
            let _ = speech::record(&mut stream).await;
            let _ = stream.write_all(&[22, 3, 3, 0x40, 0, 2]).await;
            sleep(Duration::from_millis(50)).await;
            let _ = stream.set_zero_linger();
        }),
        tcp(
            "closed within a record",
            "closed",
            |mut stream| async move {
                let _ = speech::record(&mut stream).await;
                let _ = stream.write_all(&[22, 3, 3, 0x40, 0, 2]).await;
            },
        ),
        tcp("a zero window", "timeout", |stream| async move {
            let _ = SockRef::from(&stream).set_recv_buffer_size(1);
            let _stream = stream;
            pending().await
        }),
        tcp("the hello sent back", "not_tls", |mut stream| async move {
            if let Some(hello) = speech::record(&mut stream).await {
                speech::say(hello).hang().deliver(stream).await;
            }
        }),
        tcp("one byte a second", "timeout", |mut stream| async move {
            for byte in [22, 3, 3, 0, 122, 2, 0, 0, 118, 3, 3] {
                if stream.write_all(&[byte]).await.is_err() {
                    return;
                }
                sleep(Duration::from_secs(1)).await;
            }
        }),
        tcp(
            "zeroes that never end",
            "not_tls",
            |mut stream| async move {
                let _ = stream.read(&mut [0; 1024]).await;
                speech::say([]).endless([0; 1024]).deliver(stream).await;
            },
        ),
        tcp(
            "the greeting of a mail server",
            "not_tls",
            |stream| async move {
                speech::say("220 mail.contoso.example ESMTP\r\n")
                    .hang()
                    .deliver(stream)
                    .await;
            },
        ),
    ]
}
