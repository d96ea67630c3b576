//! The two clocks: a monotonic one for the state machines, the wall clock for versions, TTL and ring identifiers.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use overlay::Time;
use tokio::time::Instant;

/// The machines' origin lies so far before the process's start, so that what a disk remembers has a place on their clock.
const BEFORE_START: Duration = Duration::from_secs(7 * 24 * 3600);

/// The process's monotonic clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Monotonic {
    start: Instant,
}

impl Monotonic {
    pub(crate) fn start() -> Self {
        Self { start: Instant::now() }
    }

    pub(crate) fn now(self) -> Time {
        Time::default().plus(BEFORE_START + self.start.elapsed())
    }

    /// When the machines' `time` is, on tokio's clock.
    pub(crate) fn instant(self, time: Time) -> Instant {
        let since_origin = time.since(Time::default());
        self.start + since_origin.saturating_sub(BEFORE_START)
    }

    pub(crate) fn uptime(self) -> Duration {
        self.start.elapsed()
    }

    /// A wall-clock moment of the past on the machines' clock.
    pub(crate) fn at_wall(self, past_ms: u64) -> Time {
        let ago_us = wall_ms().saturating_sub(past_ms).saturating_mul(1_000);
        Time(self.now().0.saturating_sub(ago_us))
    }

    /// The machines' `time`, which lies in the past, on the wall clock.
    pub(crate) fn wall_at(self, time: Time) -> u64 {
        let ago = self.now().since(time);
        wall_ms().saturating_sub(u64::try_from(ago.as_millis()).unwrap_or(u64::MAX))
    }
}

/// Wall-clock milliseconds since 1970.
pub(crate) fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
