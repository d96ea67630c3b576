//! Waiting for something to become true, and saying what was not when it did not.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// Between two looks at a condition.
pub(crate) const POLL: Duration = Duration::from_millis(100);

/// Asks `attempt` until it answers `Ok`, and returns that answer and the time it took. The last attempt begins before
/// `within` is over.
///
/// # Panics
/// When `within` has passed: with `what` was waited for and the last reason why it did not hold.
#[track_caller]
pub fn eventually<T>(what: &str, within: Duration, mut attempt: impl FnMut() -> Result<T, String>) -> (T, Duration) {
    let start = Instant::now();
    loop {
        let reason = match attempt() {
            Ok(value) => return (value, start.elapsed()),
            Err(reason) => reason,
        };
        if start.elapsed() > within {
            panic!("after {within:?}, still waiting for {what}: {reason}");
        }
        sleep(POLL);
    }
}

/// Asserts that a condition goes on holding for `duration`.
///
/// # Panics
/// As soon as `attempt` answers `Err`.
#[track_caller]
pub fn holds_for(what: &str, duration: Duration, mut attempt: impl FnMut() -> Result<(), String>) {
    let start = Instant::now();
    while start.elapsed() < duration {
        if let Err(reason) = attempt() {
            panic!("{what} stopped holding after {:?}: {reason}", start.elapsed());
        }
        sleep(POLL);
    }
}
