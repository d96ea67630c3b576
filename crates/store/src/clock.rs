use std::sync::atomic::{AtomicU64, Ordering};

use crate::Version;

/// Gives versions to writes: a hybrid logical clock (Kulkarni et al., OPODIS 2014).
///
/// Every version it gives is greater than all it gave or observed before, and follows the wall clock
/// whenever that is ahead. A wall clock that stands still or runs backwards only makes the counter grow,
/// and the counter runs over into the milliseconds. Lock-free; share it among all handlers.
#[derive(Debug)]
pub struct Clock {
    store: u64,
    last: AtomicU64,
}

impl Clock {
    /// A clock that signs its versions with the number of this node's store.
    pub fn new(store: u64) -> Self {
        Self { store, last: AtomicU64::new(0) }
    }

    /// The next version: above everything given or observed so far, above `above` (the version that
    /// it replaces), and not before `wall_ms`, milliseconds since 1970.
    ///
    /// At the very end of time (a clock of `u64::MAX`, which no wall clock reaches) it stands still: refuse such versions where they come in.
    pub fn next(&self, wall_ms: u64, above: Option<Version>) -> Version {
        let floor = above.map_or(0, |version| version.clock.saturating_add(1));
        let wanted = Version::at(wall_ms, 0, self.store).clock.max(floor);
        let step = |last: u64| wanted.max(last.saturating_add(1));
        let before = self.last.update(Ordering::AcqRel, Ordering::Acquire, step);
        Version { clock: step(before), store: self.store }
    }

    /// Takes note of a version that another node gave: the next one from here is above it.
    pub fn observe(&self, version: Version) {
        self.last.fetch_max(version.clock, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    const WALL_MS: u64 = 1_700_000_000_000;

    #[test]
    fn versions_follow_the_wall_clock_and_pass_it_when_it_stands_still() {
        let clock = Clock::new(7);
        assert_eq!(clock.next(WALL_MS, None), Version::at(WALL_MS, 0, 7));
        assert_eq!(clock.next(WALL_MS, None), Version::at(WALL_MS, 1, 7));
        assert_eq!(clock.next(WALL_MS - 5_000, None), Version::at(WALL_MS, 2, 7), "the wall clock went back");
        assert_eq!(clock.next(WALL_MS + 1, None), Version::at(WALL_MS + 1, 0, 7));
    }

    #[test]
    fn a_full_counter_runs_over_into_the_milliseconds() {
        let clock = Clock::new(7);
        clock.observe(Version::at(WALL_MS, u16::MAX, 1));
        assert_eq!(clock.next(WALL_MS, None), Version::at(WALL_MS + 1, 0, 7));
    }

    #[test]
    fn a_version_passes_the_fast_peer_that_it_replaces() {
        let (fast, slow) = (Clock::new(u64::MAX), Clock::new(1));
        let stored = fast.next(WALL_MS + 3_600_000, None);
        let written = slow.next(WALL_MS, Some(stored));
        assert!(written > stored);
        assert!(slow.next(WALL_MS, None) > written, "and stays past it");
    }

    #[test]
    fn an_observed_version_is_passed_and_an_older_one_changes_nothing() {
        let (clock, ahead) = (Clock::new(1), Version::at(WALL_MS + 60_000, 9, 5));
        clock.observe(ahead);
        clock.observe(Version::at(WALL_MS, 0, 6));
        assert!(clock.next(WALL_MS, None) > ahead);
    }

    #[test]
    fn the_end_of_time_is_no_panic() {
        let end = Version { clock: u64::MAX, store: 2 };
        let clock = Clock::new(1);
        clock.observe(end);
        assert_eq!(clock.next(u64::MAX, Some(end)).clock, u64::MAX);
    }

    #[test]
    fn versions_given_to_many_threads_are_distinct_and_rise_in_each() {
        let clock = Clock::new(1);
        let per_thread: Vec<Vec<Version>> = thread::scope(|scope| {
            let give = || {
                let given = |step: u64| {
                    if step.is_multiple_of(100) {
                        clock.observe(Version::at(WALL_MS + step, 500, 9));
                    }
                    clock.next(WALL_MS, None)
                };
                (0..20_000).map(given).collect()
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(give)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        for given in &per_thread {
            assert!(given.windows(2).all(|pair| pair[0] < pair[1]));
        }
        let mut all: Vec<Version> = per_thread.concat();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 8 * 20_000);
    }
}
