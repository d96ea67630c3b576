//! The two clocks: a monotonic one for the state machines, the wall clock for versions, TTL and ring identifiers.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use overlay::Time;
use tokio::time::Instant;

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
        Time::default().plus(self.start.elapsed())
    }

    /// When the machines' `time` is, on tokio's clock.
    pub(crate) fn instant(self, time: Time) -> Instant {
        self.start + time.since(Time::default())
    }

    pub(crate) fn uptime(self) -> Duration {
        self.start.elapsed()
    }
}

/// By how much the wall clock is made wrong, for development.
static WALL_AHEAD_MS: AtomicI64 = AtomicI64::new(0);

/// Sets this process's wall clock so far ahead; negative: behind.
pub(crate) fn set_wall_ahead_ms(ms: i64) {
    WALL_AHEAD_MS.store(ms, Ordering::Relaxed);
}

/// Wall-clock milliseconds since 1970.
pub(crate) fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX).saturating_add_signed(WALL_AHEAD_MS.load(Ordering::Relaxed))
}
