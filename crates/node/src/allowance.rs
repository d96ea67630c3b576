//! How fast a node may move records: one token bucket for all of its transfers, who take turns at it.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Mutex as Queue, Notify};
use tokio::time::Instant;

/// Unused allowance is saved up for so long, for the whole node.
const SAVED_FOR: Duration = Duration::from_secs(1);

/// The common allowance of all transfers of a node.
#[derive(Debug)]
pub(crate) struct Allowance {
    /// None: no limit.
    bucket: Option<Mutex<Bucket>>,
    /// Whoever waits for the bucket, first come first served: so each range gets on by a page in turn.
    queue: Queue<()>,
    /// Something was given back.
    given_back: Notify,
}

/// Bytes taken in advance, for something of which the size is not known yet. What is not spent of them is given back.
#[derive(Debug)]
pub(crate) struct Advance<'a> {
    allowance: &'a Allowance,
    bytes: u64,
}

impl Allowance {
    /// So many bytes a second; none: no limit.
    pub(crate) fn new(bandwidth: Option<u64>) -> Self {
        let bucket = bandwidth.map(|bandwidth| Mutex::new(Bucket::full(bandwidth, Instant::now())));
        Self { bucket, queue: Queue::new(()), given_back: Notify::new() }
    }

    /// Waits for its turn, and until all that was taken before is paid for; then takes `bytes`. So nothing is too large to
    /// be moved, and no more than one such piece at a time is moved ahead of the allowance.
    pub(crate) async fn take(&self, bytes: u64) {
        let Some(bucket) = &self.bucket else { return };
        let _turn = self.queue.lock().await;
        loop {
            let given_back = self.given_back.notified();
            let Err(wait) = bucket.lock().take(Instant::now(), bytes) else { return };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = given_back => {}
            }
        }
    }

    /// The same for something that will be `bytes` at most.
    pub(crate) async fn advance(&self, bytes: u64) -> Advance<'_> {
        self.take(bytes).await;
        Advance { allowance: self, bytes }
    }

    fn give_back(&self, bytes: u64) {
        if let Some(bucket) = &self.bucket {
            bucket.lock().give_back(bytes);
            self.given_back.notify_one();
        }
    }
}

impl Advance<'_> {
    /// So much of it was used.
    pub(crate) fn spend(mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

impl Drop for Advance<'_> {
    fn drop(&mut self) {
        self.allowance.give_back(self.bytes);
    }
}

/// A token bucket that may be overdrawn once: whoever comes next waits until that is paid for.
#[derive(Debug)]
struct Bucket {
    /// Bytes a second.
    rate: f64,
    /// Bytes to be taken; negative: owed.
    level: f64,
    /// When the level was that.
    at: Instant,
}

impl Bucket {
    fn full(rate: u64, now: Instant) -> Self {
        let rate = rate.max(1) as f64;
        Self { rate, level: rate * SAVED_FOR.as_secs_f64(), at: now }
    }

    /// Takes `bytes`, unless something is owed: then how long until it is not.
    fn take(&mut self, now: Instant, bytes: u64) -> Result<(), Duration> {
        let full = self.rate * SAVED_FOR.as_secs_f64();
        let gained = self.rate * now.saturating_duration_since(self.at).as_secs_f64();
        self.level = (self.level + gained).min(full);
        self.at = now;
        if self.level < 0.0 {
            // A nanosecond more than the division says: it rounds.
            return Err(Duration::from_secs_f64(-self.level / self.rate) + Duration::from_nanos(1));
        }
        self.level -= bytes as f64;
        Ok(())
    }

    fn give_back(&mut self, bytes: u64) {
        self.level += bytes as f64;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_bucket_saves_for_a_second_and_makes_whoever_comes_next_pay_what_is_owed() {
        let begun = Instant::now();
        let mut bucket = Bucket::full(1_000, begun);
        assert_eq!(bucket.take(begun, 400), Ok(()));
        assert_eq!(bucket.take(begun, 2_600), Ok(()), "larger than all that there ever is at a time");
        let wait = bucket.take(begun, 1).unwrap_err();
        assert!(wait >= 2 * SECOND && wait < 2 * SECOND + Duration::from_millis(1), "{wait:?}");
        assert!(bucket.take(begun + SECOND, 1).unwrap_err() <= wait - SECOND);
        assert_eq!(bucket.take(begun + wait, 0), Ok(()), "the wait that was named is enough");
        let rested = begun + 3_600 * SECOND;
        assert_eq!(bucket.take(rested, 1_001), Ok(()), "an hour at rest saves up no more than a second");
        assert!(bucket.take(rested, 1).is_err());
    }

    #[test]
    fn what_was_not_needed_of_an_advance_is_there_for_others() {
        let now = Instant::now();
        let mut bucket = Bucket::full(1_000, now);
        assert_eq!(bucket.take(now, 1_000_000), Ok(()));
        assert!(bucket.take(now, 1).is_err());
        bucket.give_back(999_500);
        assert_eq!(bucket.take(now, 501), Ok(()));
        assert!(bucket.take(now, 1).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn many_at_once_have_one_burst_between_them_and_get_on_in_turn() {
        let allowance = Arc::new(Allowance::new(Some(1_000)));
        let begun = Instant::now();
        let order = Arc::new(Mutex::new(Vec::new()));
        let ranges: Vec<_> = (0..4)
            .map(|range| {
                let (allowance, order) = (Arc::clone(&allowance), Arc::clone(&order));
                tokio::spawn(async move {
                    for _ in 0..3 {
                        allowance.advance(5_000).await.spend(1_000);
                        order.lock().push((range, begun.elapsed().as_secs()));
                        tokio::task::yield_now().await;
                    }
                })
            })
            .collect();
        for range in ranges {
            range.await.expect("it ends");
        }
        let order = order.lock().clone();
        // One second's worth is saved, and one more piece is ahead of its time; after that one a second.
        let at: Vec<u64> = order.iter().map(|(_, at)| *at).collect();
        assert_eq!(at, [0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        for round in order.chunks(4) {
            let ranges: std::collections::BTreeSet<u64> = round.iter().map(|(range, _)| *range).collect();
            assert_eq!(ranges.len(), 4, "each has one turn in four: {order:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_failed_costs_nothing_and_lets_the_next_go_at_once() {
        let allowance = Allowance::new(Some(1_000));
        let begun = Instant::now();
        let failed = allowance.advance(1_000_000).await;
        let next = allowance.take(10);
        tokio::pin!(next);
        assert!(futures::poll!(&mut next).is_pending());
        drop(failed);
        next.await;
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }
}
