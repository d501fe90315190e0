//! A tokio runtime on its own thread, as long as its handle lives. Every in-process server
//! of the lab runs on one, so tests stay plain functions, and a server started inside a network
//! namespace stays in it: a new thread inherits the namespace of the thread that starts it.

use std::future::Future;
use std::net::{SocketAddr, TcpListener as StdTcpListener};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime;
use tokio::sync::oneshot;

pub(crate) struct Background {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    /// Listens at `at`, and runs what `serve` makes of each connection, until the handle is dropped.
    pub(crate) fn accepting<F, Fut>(name: &str, at: SocketAddr, serve: F) -> Result<Self>
    where
        F: Fn(TcpStream) -> Fut + Send + 'static,
        Fut: Future<Output: Send> + Send + 'static,
    {
        let listener =
            StdTcpListener::bind(at).with_context(|| format!("failed to listen on {at}"))?;
        listener.set_nonblocking(true)?;
        Self::run(name, move || async move {
            let Ok(listener) = TcpListener::from_std(listener) else {
                return;
            };
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream));
            }
        })
    }

    /// Runs the future that `serve` makes, and whatever tasks it spawns, until the handle is
    /// dropped.
    pub(crate) fn run<F, Fut>(name: &str, serve: F) -> Result<Self>
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = ()>,
    {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("failed to build a runtime")?;
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        () = serve() => {}
                        _ = stopped => {}
                    }
                });
            })
            .context("failed to start a thread")?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
