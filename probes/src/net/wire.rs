//! When packets left and arrived. On a busy node a task may get its turn tens of milliseconds after the
//! packet that ended its stage. The kernel has stamped that packet, and stages are timed by these
//! stamps.

use std::{
    io::{self, IoSliceMut},
    net::{Ipv4Addr, UdpSocket},
    os::fd::{AsFd, AsRawFd},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    task::{Context, Poll, ready},
    time::{Duration, SystemTime},
};

use nix::{
    cmsg_space,
    sys::{
        socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt::ReceiveTimestampns},
        time::TimeSpec,
    },
};
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::TcpStream,
    time::Instant,
};

use crate::net::allowance::Allowance;

/// Makes the kernel stamp what `socket` receives.
pub(crate) fn want_stamps(socket: &impl AsFd) {
    // The kernel stamps packets only while some socket wants it, and patches its own code when the
    // first one does. A socket that stays open saves that work for every probe.
    static KEPT_OPEN: OnceLock<Option<UdpSocket>> = OnceLock::new();
    KEPT_OPEN.get_or_init(|| {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
        setsockopt(&socket, ReceiveTimestampns, &true).ok()?;
        Some(socket)
    });
    // Without stamps, the time of reading counts.
    let _ = setsockopt(socket, ReceiveTimestampns, &true);
}

/// Reads what `socket` has received, and when it arrived.
pub(crate) fn receive(
    socket: &impl AsRawFd,
    buffer: &mut [u8],
    control: &mut Control,
) -> io::Result<(usize, Instant)> {
    let mut parts = [IoSliceMut::new(buffer)];
    let fd = socket.as_raw_fd();
    let message = recvmsg::<()>(fd, &mut parts, Some(&mut control.0), MsgFlags::empty())?;
    let mut control = message.cmsgs()?;
    let stamp = control.find_map(|message| match message {
        ControlMessageOwned::ScmTimestampns(stamp) => Some(stamp),
        _ => None,
    });
    Ok((message.bytes, stamp.map_or_else(Instant::now, instant_of)))
}

/// Room for the control messages beside the bytes.
#[derive(Debug)]
pub(crate) struct Control(Vec<u8>);

impl Control {
    pub(crate) fn new() -> Self {
        Self(cmsg_space!(TimeSpec))
    }
}

/// Converts a wall-clock stamp to an [`Instant`]. It is never in the future and never older than any
/// stage could be, because the clock may have been set in between.
fn instant_of(stamp: TimeSpec) -> Instant {
    const OLDEST: Duration = Duration::from_secs(60);
    let stamp = SystemTime::UNIX_EPOCH + Duration::from(stamp);
    let now = Instant::now();
    match SystemTime::now().duration_since(stamp) {
        Ok(age) if age < OLDEST => now.checked_sub(age).unwrap_or(now),
        _ => now,
    }
}

/// Times what passes over one connection since a stage began.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stopwatch(Arc<Mutex<Lap>>);

#[derive(Debug, Default)]
struct Lap {
    /// When the first byte was sent.
    sent: Option<Instant>,
    /// When the last byte arrived.
    received: Option<Instant>,
}

impl Stopwatch {
    /// Starts timing another stage.
    pub(crate) fn restart(&self) {
        *self.lap() = Lap::default();
    }

    /// From the first byte sent to the last one received.
    pub(crate) fn read(&self) -> Option<Duration> {
        let lap = self.lap();
        Some(lap.received?.saturating_duration_since(lap.sent?))
    }

    fn lap(&self) -> MutexGuard<'_, Lap> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A TCP connection with its stopwatch and allowance.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    watch: Stopwatch,
    allowance: Allowance,
    control: Control,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream) -> Self {
        want_stamps(&stream);
        Self {
            stream,
            watch: Stopwatch::default(),
            allowance: Allowance::default(),
            control: Control::new(),
        }
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    pub(crate) fn allowance(&self) -> &Allowance {
        &self.allowance
    }

    pub(crate) fn stopwatch(&self) -> &Stopwatch {
        &self.watch
    }

    /// The first byte counts as sent when it is given to the kernel.
    fn send(
        &mut self,
        write: impl FnOnce(Pin<&mut TcpStream>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let at = Instant::now();
        let written = ready!(write(Pin::new(&mut self.stream)));
        if written.is_ok() {
            self.watch.lap().sent.get_or_insert(at);
        }
        Poll::Ready(written)
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let wire = &mut *self;
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            ready!(wire.stream.poll_read_ready(context))?;
            let mut received = None;
            let tried = wire.stream.try_io(Interest::READABLE, || {
                let room = buffer.initialize_unfilled();
                let (length, at) = receive(&wire.stream, room, &mut wire.control)?;
                received = Some((length, at));
                // A read that leaves room has taken everything: the next one has to wait, and need not
                // ask the kernel to find out. The end of the stream does not go away.
                match (1..room.len()).contains(&length) {
                    true => Err(io::ErrorKind::WouldBlock.into()),
                    false => Ok(()),
                }
            });
            match (received, tried) {
                (Some((length, at)), _) => {
                    wire.allowance.spend(length)?;
                    if length > 0 {
                        wire.watch.lap().received = Some(at);
                    }
                    buffer.advance(length);
                    return Poll::Ready(Ok(()));
                }
                (None, Err(error)) if error.kind() == io::ErrorKind::WouldBlock => {}
                (None, tried) => return Poll::Ready(tried),
            }
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.send(|stream| stream.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.send(|stream| stream.poll_write_vectored(context, parts))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpSocket},
        time::sleep,
    };

    use super::*;

    const LATE: Duration = Duration::from_millis(400);

    async fn connection() -> (Wire, TcpStream) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let near = TcpSocket::new_v4().unwrap().connect(address);
        let (near, far) = tokio::join!(near, listener.accept());
        let (near, far) = (Wire::new(near.unwrap()), far.unwrap().0);
        // The kernel takes a moment to start stamping.
        sleep(Duration::from_millis(100)).await;
        (near, far)
    }

    #[tokio::test]
    async fn a_late_read_still_reports_when_the_packet_arrived() {
        let (mut near, mut far) = connection().await;
        let watch = near.stopwatch().clone();
        near.write_all(b"request").await.unwrap();
        assert_eq!(watch.read(), None);
        far.write_all(b"answer").await.unwrap();
        sleep(LATE).await;
        let mut answer = [0; 6];
        near.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"answer");
        assert!(watch.read().unwrap() < LATE / 2);

        watch.restart();
        near.write_all(b"request").await.unwrap();
        sleep(LATE).await;
        far.write_all(b"answer").await.unwrap();
        near.read_exact(&mut answer).await.unwrap();
        assert!(watch.read().unwrap() >= LATE);
    }

    #[tokio::test]
    async fn no_byte_is_lost_however_it_arrives() {
        let (mut near, mut far) = connection().await;
        let sent: Vec<u8> = (0..100_000).map(|n: u32| n as u8).collect();
        let to_send = sent.clone();
        tokio::spawn(async move {
            for part in to_send.chunks(999) {
                far.write_all(part).await.unwrap();
                tokio::task::yield_now().await;
            }
        });
        let mut received = Vec::new();
        near.read_to_end(&mut received).await.unwrap();
        assert_eq!(received, sent);
    }
}
