//! The user's own `kubectl`, and so the user's own rights. No shell; each call has a deadline and a cap.

use std::{process::Stdio, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{Child, Command},
};

use crate::out::fetch::within;

/// The program, as the user's PATH has it.
const KUBECTL: &str = "kubectl";
/// The end of what it says about an error.
const MAX_ERROR: usize = 4 << 10;

/// How much a call may print, and how long it may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct CallLimits {
    pub bytes: usize,
    pub time: Duration,
}

/// A call that ended.
pub(super) struct Ended {
    pub output: Vec<u8>,
    /// The last line of what went wrong, if it did not end with success.
    pub failure: Option<String>,
    pub code: Option<i32>,
}

/// The program, for one cluster.
pub(super) struct Kubectl {
    /// `None` for its current one.
    context: Option<String>,
}

impl Kubectl {
    /// For the cluster of this context.
    pub(super) fn new(context: Option<&str>) -> Self {
        Self {
            context: context.map(|name| format!("--context={name}")),
        }
    }

    /// A call about to be started, which reads nothing.
    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(KUBECTL);
        command.args(&self.context).args(arguments);
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// What it prints, or the last line of why not.
    pub(super) async fn print(
        &self,
        arguments: &[&str],
        limits: CallLimits,
    ) -> Result<Vec<u8>, String> {
        let ended = self.run(arguments, limits).await?;
        ended.failure.map_or(Ok(ended.output), Err)
    }

    /// Runs it to its end; an error where that did not come.
    pub(super) async fn run(
        &self,
        arguments: &[&str],
        limits: CallLimits,
    ) -> Result<Ended, String> {
        let mut command = self.command(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn();
        let child = child.map_err(|error| format!("{KUBECTL} does not start: {error}"))?;
        finish(child, limits).await
    }
}

async fn finish(mut child: Child, limits: CallLimits) -> Result<Ended, String> {
    let (output, errors) = (child.stdout.take(), child.stderr.take());
    let work = async {
        let output = read(output, limits.bytes);
        // An answer that is too large ends the call, although kubectl may want to go on.
        let (output, errors) = tokio::try_join!(output, async { Ok(end_of(errors).await) })?;
        let status = child.wait().await.map_err(|error| error.to_string())?;
        let failure = || {
            (!status.success()).then(|| last_line(&errors).unwrap_or_else(|| status.to_string()))
        };
        Ok(Ended {
            failure: failure(),
            code: status.code(),
            output,
        })
    };
    within(limits.time, work).await
}

/// All of it; an error if it is more than `max` bytes.
async fn read(from: Option<impl AsyncRead + Unpin>, max: usize) -> Result<Vec<u8>, String> {
    let mut text = Vec::new();
    if let Some(from) = from {
        // What was read before an error counts.
        let _ = from.take(max as u64 + 1).read_to_end(&mut text).await;
    }
    match text.len() > max {
        true => Err("its answer is too large".to_owned()),
        false => Ok(text),
    }
}

/// Reads all of it, so that the writer does not wait, and keeps the end.
async fn end_of(from: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let (mut text, mut piece) = (Vec::new(), [0; MAX_ERROR]);
    let Some(mut from) = from else { return text };
    while let Ok(read @ 1..) = from.read(&mut piece).await {
        text.extend_from_slice(&piece[..read]);
        let too_much = text.len().saturating_sub(MAX_ERROR);
        text.drain(..too_much);
    }
    text
}

fn last_line(text: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(text);
    let line = text.lines().rfind(|line| !line.trim().is_empty());
    line.map(|line| line.trim().to_owned())
}

/// An error unless this can be the name of `what`, which goes with its article.
pub(super) fn expect_name(text: &str, what: &str) -> anyhow::Result<()> {
    anyhow::ensure!(is_name(text), "this is not the name of {what}");
    Ok(())
}

/// Whether Kubernetes takes this for the name of a pod, a node or a namespace (RFC 1123).
pub(super) fn is_name(text: &str) -> bool {
    let is_inside = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.');
    let ends = [text.bytes().next(), text.bytes().next_back()];
    let ends = ends
        .into_iter()
        .all(|end| end.is_some_and(|byte| byte.is_ascii_alphanumeric()));
    text.len() <= 253 && ends && text.bytes().all(is_inside)
}

#[cfg(test)]
mod tests {
    use super::{end_of, is_name, read};

    #[test]
    fn only_names_of_kubernetes_become_part_of_a_path() {
        for name in ["regprobe-x7k2p", "a", "kube-system", "a.b"] {
            assert!(is_name(name), "{name}");
        }
        for name in [
            "",
            "-a",
            "--all",
            "../secrets",
            "a/b",
            "A",
            "a-",
            "a?b",
            "é",
        ] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[tokio::test]
    async fn output_has_a_cap_and_of_errors_the_end_counts() {
        assert_eq!(read(Some(&b"abc"[..]), 3).await, Ok(b"abc".to_vec()));
        assert!(read(Some(&b"abcd"[..]), 3).await.is_err());
        let long = [b"x".repeat(9000), b"\nthe cause".to_vec()].concat();
        let end = end_of(Some(&*long)).await;
        assert!(end.len() == super::MAX_ERROR && end.ends_with(b"\nthe cause"));
    }
}
