//! When a read that was not answered asks one more holder: when it takes longer than 95 of 100 did lately ("hedged
//! requests", Dean and Barroso, "The Tail at Scale", CACM 56(2), 2013). So one slow holder costs few reads much, and few
//! reads ask more holders than they need.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

/// Answers that the estimate is made of.
const SAMPLES: usize = 128;
/// It is made anew each time so many have come.
const REFRESHED_AFTER: usize = 16;
/// Before there are any, and at least.
const AT_FIRST: Duration = Duration::from_millis(20);
const AT_LEAST: Duration = Duration::from_millis(1);

/// How long holders take to answer.
#[derive(Debug)]
pub(crate) struct Hedge {
    taken_us: Mutex<Taken>,
    p95_us: AtomicU64,
}

#[derive(Debug, Default)]
struct Taken {
    last: Vec<u64>,
    next: usize,
}

impl Default for Hedge {
    fn default() -> Self {
        Self { taken_us: Mutex::default(), p95_us: AtomicU64::new(micros(AT_FIRST)) }
    }
}

impl Hedge {
    /// How long to wait before one more is asked.
    pub(crate) fn patience(&self) -> Duration {
        Duration::from_micros(self.p95_us.load(Ordering::Relaxed)).max(AT_LEAST)
    }

    /// A holder took so long.
    pub(crate) fn answered(&self, took: Duration) {
        let mut taken = self.taken_us.lock();
        let place = taken.next % SAMPLES;
        match taken.last.get_mut(place) {
            Some(sample) => *sample = micros(took),
            None => taken.last.push(micros(took)),
        }
        taken.next += 1;
        if taken.next.is_multiple_of(REFRESHED_AFTER) {
            let mut sorted = taken.last.clone();
            sorted.sort_unstable();
            let p95 = sorted[(sorted.len() - 1) * 95 / 100];
            self.p95_us.store(p95, Ordering::Relaxed);
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_follows_what_was_usual_lately() {
        let hedge = Hedge::default();
        assert_eq!(hedge.patience(), AT_FIRST);
        for turn in 0..992u64 {
            hedge.answered(Duration::from_millis(if turn % 50 == 0 { 400 } else { 3 }));
        }
        assert_eq!(hedge.patience(), Duration::from_millis(3), "one of fifty is no reason to wait");
        for _ in 0..SAMPLES {
            hedge.answered(Duration::from_millis(9));
        }
        assert_eq!(hedge.patience(), Duration::from_millis(9));
        for _ in 0..SAMPLES {
            hedge.answered(Duration::from_micros(5));
        }
        assert_eq!(hedge.patience(), AT_LEAST);
    }
}
