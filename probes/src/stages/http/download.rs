//! The download of a part of a layer, to see how fast it comes. Its bytes are counted and thrown away.

use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};

use super::fault::HttpFault;
use crate::{
    net::allowance::Allowance,
    words::throughput::{Download, Throughput},
};

/// Fewer bytes come out of one buffer on the way, and say nothing of the way.
const LEAST_MEASURED: u64 = 64 * 1024;

/// A body whose start has come.
pub(crate) struct Begun {
    pub(super) came: u64,
    pub(super) body: Incoming,
    pub(super) allowance: Allowance,
}

impl Begun {
    /// Reads on for as long as [`Throughput::limit`], and no longer than `left`. `None` where that does not suffice to
    /// tell how fast it comes.
    pub(crate) async fn measure(
        mut self,
        throughput: Throughput,
        left: Duration,
    ) -> Result<Option<Download>, HttpFault> {
        let limit = throughput.limit();
        let start = Instant::now();
        let end = start + limit.min(left);
        let wanted = throughput.bytes.saturating_sub(self.came);
        self.allowance
            .renew(usize::try_from(wanted).unwrap_or(usize::MAX / 4));
        let mut bytes = 0;
        let mut in_time = true;
        while bytes < wanted {
            match timeout_at(end, self.body.frame()).await {
                Ok(Some(frame)) => {
                    bytes += frame?.data_ref().map_or(0, |data| data.len() as u64);
                }
                Ok(None) => break,
                Err(_) => {
                    in_time = false;
                    break;
                }
            }
        }
        let took = start.elapsed();
        let suffices = match in_time {
            true => bytes >= LEAST_MEASURED && !took.is_zero(),
            false => limit <= left,
        };
        Ok(suffices.then_some(Download { bytes, took }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::{
        fake::{Fake, answer},
        http::connection::Request,
    };

    const LONG: Duration = Duration::from_secs(60);

    async fn measure(
        fake: &Fake,
        bytes: u64,
        limit: Duration,
        left: Duration,
    ) -> Result<Option<Download>, HttpFault> {
        let mut http = fake.http().await;
        let deadline = Instant::now() + LONG;
        let mut response = http.send(Request::of("/"), deadline).await.unwrap();
        let begun = response.start(1, deadline).await.1.unwrap().unwrap();
        let floor = (bytes as f64 / limit.as_secs_f64()) as u64;
        begun.measure(Throughput { bytes, floor }, left).await
    }

    #[tokio::test]
    async fn what_comes_is_counted_up_to_what_is_wanted_however_long_it_is() {
        let whole = Fake::answering([answer("200 OK", &[], &"x".repeat(512 * 1024))]).await;
        let endless = Fake::endless("HTTP/1.1 200 OK\r\n\r\n", &"x".repeat(4096)).await;
        for fake in [whole, endless] {
            let download = measure(&fake, 256 * 1024, LONG, LONG)
                .await
                .unwrap()
                .unwrap();
            // Without the first buffer, with all of the last one, and never more than the connection may bring.
            assert!(
                (LEAST_MEASURED..=768 * 1024).contains(&download.bytes),
                "{download:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_body_that_stops_is_slow_once_the_time_at_the_floor_is_over() {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nx";
        let limit = Duration::from_millis(50);
        let stops = Fake::hanging_after(head).await;
        let download = measure(&stops, 256 * 1024, limit, LONG)
            .await
            .unwrap()
            .unwrap();
        assert!(
            download.bytes == 0 && download.took >= limit,
            "{download:?}"
        );

        let stops = Fake::hanging_after(head).await;
        let untold = measure(&stops, 256 * 1024, LONG, limit).await.unwrap();
        assert_eq!(untold, None, "the round was over before");
    }

    #[tokio::test]
    async fn a_body_that_is_cut_off_fails_and_one_that_is_short_says_nothing() {
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nxx".to_owned();
        let cut = Fake::answering([text]).await;
        assert!(measure(&cut, 256 * 1024, LONG, LONG).await.is_err());

        let short = Fake::answering([answer("200 OK", &[], &"x".repeat(60_000))]).await;
        assert_eq!(measure(&short, 256 * 1024, LONG, LONG).await, Ok(None));
    }
}
