use std::sync::atomic::{AtomicU64, Ordering};

use crate::head::Head;

/// How much a store holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// Records with a value. One that is past its time counts until it has been swept ([`Store::expire`](crate::Store::expire)).
    pub keys: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// Deletions that are remembered.
    pub tombstones: u64,
}

/// [`Stats`], kept up to date by every write.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    keys: AtomicU64,
    bytes: AtomicU64,
    tombstones: AtomicU64,
}

impl Counters {
    /// A record changed from `before` to `after`; none is no record at all.
    pub(crate) fn changed(&self, key_len: usize, before: Option<&Head>, after: Option<&Head>) {
        if let Some(head) = after {
            let (counter, bytes) = self.counter(key_len, head);
            counter.fetch_add(1, Ordering::Relaxed);
            self.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        if let Some(head) = before {
            let (counter, bytes) = self.counter(key_len, head);
            counter.fetch_sub(1, Ordering::Relaxed);
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
    }

    fn counter(&self, key_len: usize, head: &Head) -> (&AtomicU64, u64) {
        match head.value_len {
            Some(value_len) => (&self.keys, key_len as u64 + u64::from(value_len)),
            None => (&self.tombstones, 0),
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        Stats {
            keys: self.keys.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            tombstones: self.tombstones.load(Ordering::Relaxed),
        }
    }
}
