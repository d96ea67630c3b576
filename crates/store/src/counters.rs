use std::sync::atomic::{AtomicU64, Ordering};

use ring::{Range, Space};

use crate::digest::Slices;
use crate::head::Head;
use crate::place::Place;
use crate::span::Span;
use crate::{Digest, StoreError};

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

/// [`Stats`] and digests, kept up to date by every write.
#[derive(Debug)]
pub(crate) struct Counters {
    keys: AtomicU64,
    bytes: AtomicU64,
    tombstones: AtomicU64,
    slices: Slices,
}

impl Counters {
    pub(crate) fn new(space: Space) -> Self {
        let (keys, bytes, tombstones) = Default::default();
        Self { keys, bytes, tombstones, slices: Slices::new(space) }
    }

    /// A record changed from `before` to `after`; none is no record at all.
    pub(crate) fn changed(&self, place: &Place, before: Option<&Head>, after: Option<&Head>) {
        let key_len = place.key.len();
        self.slices.changed(place, before, after);
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

    /// See [`Slices::of_range`].
    pub(crate) fn digest(
        &self,
        range: Range,
        scan: impl FnMut(&Span, &mut dyn FnMut(Place, Head) -> bool) -> Result<(), StoreError>,
    ) -> Result<Digest, StoreError> {
        self.slices.of_range(range, scan)
    }

    pub(crate) fn stats(&self) -> Stats {
        Stats {
            keys: self.keys.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            tombstones: self.tombstones.load(Ordering::Relaxed),
        }
    }
}
