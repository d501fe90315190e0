//! One `kubectl proxy` for questions to many agents: a process for each would cost a second and 50 MB. It listens on a
//! socket in a folder that only this user can enter, lets nothing through but what reads from pods, and ends with
//! this process.

use std::{
    env, fs, io,
    os::unix::fs::DirBuilderExt,
    path::PathBuf,
    process::{self, Stdio},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Request, StatusCode,
    header::{CONNECTION, HOST, HeaderValue},
};
use jiff::Timestamp;
use serde::Deserialize;
use tokio::{
    net::UnixStream,
    process::Child,
    time::{Instant, sleep},
};

use super::kubectl::Kubectl;
use crate::out::fetch::fetch;

/// Until it listens.
const START: Duration = Duration::from_secs(10);
const PACE: Duration = Duration::from_millis(20);
/// All that is asked: pods of agents.
const PATHS: &str =
    "--accept-paths=^/api/v1/namespaces/[a-z0-9.-]+/pods/[a-z0-9.:-]+/proxy/api/v1/";
const METHODS: &str = "--reject-methods=^(POST|PUT|PATCH|DELETE)$";

/// A running one.
pub(super) struct Proxy {
    /// Ends when dropped.
    _child: Child,
    folder: PathBuf,
}

impl Proxy {
    /// Returns once it listens.
    pub(super) async fn start(kubectl: &Kubectl) -> io::Result<Self> {
        let name = format!(
            "regprobe-{}-{}",
            process::id(),
            Timestamp::now().as_nanosecond()
        );
        let folder = env::temp_dir().join(name);
        // An error if anything is there already.
        fs::DirBuilder::new().mode(0o700).create(&folder)?;
        let socket = format!("--unix-socket={}", folder.join("kubectl").display());
        let mut command = kubectl.command(&["proxy", &socket, PATHS, METHODS]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let proxy = Self {
            _child: child.inspect_err(|_| drop(fs::remove_dir(&folder)))?,
            folder,
        };
        let end = Instant::now() + START;
        loop {
            match proxy.connect().await {
                Ok(_) => return Ok(proxy),
                Err(error) if Instant::now() > end => return Err(error),
                Err(_) => sleep(PACE).await,
            }
        }
    }

    /// The answer for this path of the API server, of at most `max` bytes. The caller sets the deadline.
    pub(super) async fn get(&self, path: &str, max: usize) -> Result<Vec<u8>, String> {
        let request = Request::get(path)
            .header(HOST, HeaderValue::from_static("localhost"))
            .header(CONNECTION, HeaderValue::from_static("close"))
            .body(Full::new(Bytes::new()))
            .map_err(|error| error.to_string())?;
        let stream = self.connect().await.map_err(|error| error.to_string())?;
        let answer = fetch(stream, request, max).await;
        let (status, body) = answer.map_err(|error| error.to_string())?;
        match status {
            StatusCode::OK => Ok(body.into()),
            status => Err(refusal(&body)
                .unwrap_or_else(|| format!("it answers with status {}", status.as_u16()))),
        }
    }

    async fn connect(&self) -> io::Result<UnixStream> {
        UnixStream::connect(self.folder.join("kubectl")).await
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// What the API server says in a refusal.
#[derive(Deserialize)]
struct ApiStatus {
    message: String,
}

fn refusal(body: &[u8]) -> Option<String> {
    let status: ApiStatus = serde_json::from_slice(body).ok()?;
    Some(status.message)
}
