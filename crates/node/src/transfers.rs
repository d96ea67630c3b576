//! Records that are being moved to where they belong: how far each transfer is, and how fast all may be together.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use overlay::Peer;
use parking_lot::Mutex;
use ring::Range;
use tokio::time::Instant;
use wire::{WireForm, v1};

use crate::allowance::{Advance, Allowance};

/// The transfers under way at this node, and their common allowance.
#[derive(Debug)]
pub(crate) struct Transfers {
    under_way: Mutex<Vec<Arc<Progress>>>,
    allowance: Allowance,
}

/// One transfer.
#[derive(Debug)]
pub(crate) struct Progress {
    kind: &'static str,
    range: Range,
    with: Peer,
    begun: Instant,
    compared: AtomicU64,
    total: AtomicU64,
    moved: AtomicU64,
    bytes: AtomicU64,
}

/// A transfer is shown as long as this lives.
#[derive(Debug)]
pub(crate) struct UnderWay<'a> {
    transfers: &'a Transfers,
    progress: Arc<Progress>,
}

impl Transfers {
    /// Bytes a second that all transfers may move together; none: no limit.
    pub(crate) fn new(bandwidth: Option<u64>) -> Self {
        Self { under_way: Mutex::default(), allowance: Allowance::new(bandwidth) }
    }

    pub(crate) fn begin(&self, kind: &'static str, range: Range, with: Peer) -> UnderWay<'_> {
        let [compared, total, moved, bytes] = Default::default();
        let progress = Progress { kind, range, with, begun: Instant::now(), compared, total, moved, bytes };
        let progress = Arc::new(progress);
        self.under_way.lock().push(Arc::clone(&progress));
        UnderWay { transfers: self, progress }
    }

    /// As `dht status` shows them.
    pub(crate) fn shown(&self) -> Vec<v1::Transfer> {
        self.under_way.lock().iter().map(|progress| progress.shown()).collect()
    }
}

/// Leave to fetch records, of which the size is not known before they are here.
#[derive(Debug)]
pub(crate) struct Leave<'a> {
    progress: &'a Progress,
    advance: Advance<'a>,
}

impl UnderWay<'_> {
    /// So many records there are on the side that has more.
    pub(crate) fn is_of(&self, total: u64) {
        self.progress.total.store(total, Ordering::Relaxed);
    }

    pub(crate) fn compared(&self, entries: u64) {
        self.progress.compared.fetch_add(entries, Ordering::Relaxed);
    }

    /// Waits until so much more is within the node's allowance; it is sent then.
    pub(crate) async fn send(&self, records: u64, bytes: u64) {
        self.transfers.allowance.take(bytes).await;
        self.progress.moved(records, bytes);
    }

    /// Waits until something more may be fetched: `bytes_max` at most.
    pub(crate) async fn fetch(&self, bytes_max: u64) -> Leave<'_> {
        Leave { progress: &self.progress, advance: self.transfers.allowance.advance(bytes_max).await }
    }
}

impl Leave<'_> {
    /// So much came.
    pub(crate) fn fetched(self, records: u64, bytes: u64) {
        self.progress.moved(records, bytes);
        self.advance.spend(bytes);
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.transfers.under_way.lock().retain(|one| !Arc::ptr_eq(one, &self.progress));
    }
}

impl Progress {
    fn moved(&self, records: u64, bytes: u64) {
        self.moved.fetch_add(records, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        metrics::counter!("dhtd_transferred_records_total", "kind" => self.kind).increment(records);
        metrics::counter!("dhtd_transferred_bytes_total", "kind" => self.kind).increment(bytes);
    }

    fn shown(&self) -> v1::Transfer {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        v1::Transfer {
            kind: self.kind.to_owned(),
            range: Some(self.range.to_message()),
            with: Some(self.with.to_message()),
            compared: load(&self.compared).min(load(&self.total)),
            total: load(&self.total),
            moved: load(&self.moved),
            bytes: load(&self.bytes),
            elapsed_ms: u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use overlay::Addr;
    use ring::Space;

    use super::*;

    fn peer() -> Peer {
        let id = Space::SHA1.hash(b"peer");
        Peer { id, addr: Addr::new("a:1").unwrap(), incarnation: 1 }
    }

    #[tokio::test(start_paused = true)]
    async fn all_transfers_together_keep_to_the_bandwidth() {
        let transfers = Transfers::new(Some(1_000));
        let range = Range::full(peer().id);
        let begun = Instant::now();
        let (one, two) = (transfers.begin("fetching", range, peer()), transfers.begin("repairing", range, peer()));
        for _ in 0..5 {
            one.fetch(1 << 20).await.fetched(1, 1_000);
            two.send(1, 1_000).await;
        }
        // Of ten pieces, of a second each, one was saved up for, and one is owed still.
        assert_eq!(begun.elapsed().as_secs(), 8);
        let shown = transfers.shown();
        assert_eq!((shown[0].bytes, shown[1].bytes), (5_000, 5_000));
        // What has moved all that it had to is over, paid for or not.
        drop((one, two));
        assert!(transfers.shown().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_nobody_waits_and_what_has_ended_is_not_shown() {
        let transfers = Transfers::new(None);
        let begun = Instant::now();
        let one = transfers.begin("fetching", Range::full(peer().id), peer());
        one.is_of(10);
        one.compared(4);
        one.send(3, u64::MAX / 2).await;
        assert_eq!(begun.elapsed(), Duration::ZERO);
        let shown = transfers.shown();
        assert_eq!((shown[0].compared, shown[0].total, shown[0].moved), (4, 10, 3));
        drop(one);
        assert!(transfers.shown().is_empty());
    }
}
