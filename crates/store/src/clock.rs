use std::sync::atomic::{AtomicU64, Ordering};

use crate::Version;

/// Gives versions to writes: a hybrid logical clock (Kulkarni et al., OPODIS 2014).
///
/// Every version it gives is greater than all it gave or observed before, and follows the wall clock
/// whenever that is ahead. A wall clock that stands still or runs backwards only makes the counter grow,
/// and the counter runs over into the milliseconds. A peer whose clock is far ahead does not pull it along: what is
/// observed counts only up to a bound past this node's own wall clock. Lock-free; share it among all handlers.
#[derive(Debug)]
pub struct Clock {
    store: u64,
    drift_max_ms: u64,
    last: AtomicU64,
}

impl Clock {
    /// A clock that signs its versions with the number of this node's store, and follows others' at most
    /// `drift_max_ms` past its own wall clock.
    pub fn new(store: u64, drift_max_ms: u64) -> Self {
        Self { store, drift_max_ms, last: AtomicU64::new(0) }
    }

    /// The moment that it is, as far as time is concerned: at or after everything given and observed so far, but for a
    /// version that had to pass one from a clock which was far ahead. Gives no version.
    pub fn now(&self, wall_ms: u64) -> u64 {
        let last = self.last.load(Ordering::Acquire).max(Version::at(wall_ms, 0, self.store).clock);
        last.min(self.bound(wall_ms))
    }

    /// The latest moment that counts as not far ahead.
    fn bound(&self, wall_ms: u64) -> u64 {
        Version::at(wall_ms.saturating_add(self.drift_max_ms), u16::MAX, self.store).clock
    }

    /// The next version, ordered under set number `term`: of a moment above everything given or observed so far and not
    /// before `wall_ms`, milliseconds since 1970; and in every way above `above`, the version that it replaces.
    ///
    /// At the very end of time (a clock of `u64::MAX`, which no wall clock reaches) it stands still: refuse such versions where they come in.
    pub fn next(&self, term: u64, wall_ms: u64, above: Option<Version>) -> Version {
        let term = above.map_or(term, |version| version.term.max(term));
        let floor = above.map_or(0, |version| version.clock.saturating_add(1));
        let wanted = Version::at(wall_ms, 0, self.store).clock.max(floor);
        let step = |last: u64| wanted.max(last.saturating_add(1));
        let before = self.last.update(Ordering::AcqRel, Ordering::Acquire, step);
        Version { term, clock: step(before), store: self.store }
    }

    /// Takes note of a version that another node gave: the next one from here is above it, unless it is further ahead
    /// of this node's wall clock than is allowed. (Then whoever replaces it still passes it, see [`Clock::next`].)
    pub fn observe(&self, version: Version, wall_ms: u64) {
        self.last.fetch_max(version.clock.min(self.bound(wall_ms)), Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    const WALL_MS: u64 = 1_700_000_000_000;
    const DRIFT_MAX_MS: u64 = 60_000;

    #[test]
    fn versions_follow_the_wall_clock_and_pass_it_when_it_stands_still() {
        let clock = Clock::new(7, DRIFT_MAX_MS);
        assert_eq!(clock.next(0, WALL_MS, None), Version::at(WALL_MS, 0, 7));
        assert_eq!(clock.next(0, WALL_MS, None), Version::at(WALL_MS, 1, 7));
        assert_eq!(clock.next(0, WALL_MS - 5_000, None), Version::at(WALL_MS, 2, 7), "the wall clock went back");
        assert_eq!(clock.next(0, WALL_MS + 1, None), Version::at(WALL_MS + 1, 0, 7));
    }

    #[test]
    fn a_full_counter_runs_over_into_the_milliseconds() {
        let clock = Clock::new(7, DRIFT_MAX_MS);
        clock.observe(Version::at(WALL_MS, u16::MAX, 1), WALL_MS);
        assert_eq!(clock.next(0, WALL_MS, None), Version::at(WALL_MS + 1, 0, 7));
    }

    #[test]
    fn a_version_passes_the_fast_peer_that_it_replaces() {
        let (fast, slow) = (Clock::new(u64::MAX, DRIFT_MAX_MS), Clock::new(1, DRIFT_MAX_MS));
        let stored = fast.next(0, WALL_MS + 3_600_000, None);
        let written = slow.next(0, WALL_MS, Some(stored));
        assert!(written > stored);
        assert!(slow.next(0, WALL_MS, None) > written, "and stays past it");
    }

    #[test]
    fn an_observed_version_is_passed_and_an_older_one_changes_nothing() {
        let (clock, ahead) = (Clock::new(1, DRIFT_MAX_MS), Version::at(WALL_MS + 60_000, 9, 5));
        clock.observe(ahead, WALL_MS);
        clock.observe(Version::at(WALL_MS, 0, 6), WALL_MS);
        assert!(clock.next(0, WALL_MS, None) > ahead);
    }

    #[test]
    fn a_clock_that_is_far_ahead_pulls_no_other_along() {
        let (clock, ahead) = (Clock::new(1, DRIFT_MAX_MS), Version::at(WALL_MS + 3_600_000, 0, 5));
        clock.observe(ahead, WALL_MS);
        let next = clock.next(0, WALL_MS, None);
        assert!(next < ahead && next.wall_ms() <= WALL_MS + DRIFT_MAX_MS + 1, "{next}");
        assert!(clock.next(0, WALL_MS, Some(ahead)) > ahead, "but whatever replaces it is above it");
        let now = Version { term: 0, clock: clock.now(WALL_MS), store: 1 };
        assert!(now.wall_ms() <= WALL_MS + DRIFT_MAX_MS, "and no time has passed by that");
    }

    #[test]
    fn a_version_is_of_the_set_it_was_ordered_under_and_above_what_it_replaces() {
        let clock = Clock::new(1, DRIFT_MAX_MS);
        let first = clock.next(5, WALL_MS, None);
        assert_eq!(first.term, 5);
        let stored = Version::at(WALL_MS, 0, 9).under(7);
        let second = clock.next(6, WALL_MS, Some(stored));
        assert!(second > stored && second.term == 7, "a record that came from a ring with other numbers: {second}");
    }

    #[test]
    fn the_end_of_time_is_no_panic() {
        let end = Version { term: 0, clock: u64::MAX, store: 2 };
        let clock = Clock::new(1, DRIFT_MAX_MS);
        clock.observe(end, u64::MAX);
        assert_eq!(clock.next(0, u64::MAX, Some(end)).clock, u64::MAX);
    }

    #[test]
    fn versions_given_to_many_threads_are_distinct_and_rise_in_each() {
        let clock = Clock::new(1, DRIFT_MAX_MS);
        let per_thread: Vec<Vec<Version>> = thread::scope(|scope| {
            let give = || {
                let given = |step: u64| {
                    if step.is_multiple_of(100) {
                        clock.observe(Version::at(WALL_MS + step, 500, 9), WALL_MS);
                    }
                    clock.next(0, WALL_MS, None)
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
