//! Waiting with a deadline, for threads that have no runtime. Everything in the lab that must wait
//! for a server or a condition does it here, so that no test can hang.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

const PAUSE: Duration = Duration::from_millis(20);

/// Asks `ready` again and again until it gives a value; fails after `limit` with the last error.
///
/// # Errors
/// When `limit` has passed; the message names `what` was awaited.
pub fn until<T>(what: &str, limit: Duration, mut ready: impl FnMut() -> Result<T>) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        match ready() {
            Ok(value) => return Ok(value),
            Err(error) if Instant::now() >= deadline => {
                bail!("{what}: not within {limit:?}: {error:#}")
            }
            Err(_) => pause(PAUSE),
        }
    }
}

/// Lets time pass on a thread that has no runtime.
#[expect(
    clippy::disallowed_methods,
    reason = "the lab's callers are plain threads, there is no runtime to block"
)]
pub fn pause(time: Duration) {
    thread::sleep(time);
}
