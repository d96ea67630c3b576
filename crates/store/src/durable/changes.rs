use std::collections::BTreeMap;

use bytes::Bytes;
use fjall::PersistMode;

use super::trees::Trees;
use super::{HORIZON, codec};
use crate::counters::Counters;
use crate::head::Head;
use crate::place::Place;
use crate::{Put, Record, StoreError, Version};

/// What one commit changes: writes meet here as if those before them had already been committed, and only
/// what is left in the end, one state for each place, goes to the engine (whose batches must not name a key twice).
pub(super) struct Changes<'a> {
    trees: &'a Trees,
    places: BTreeMap<Place, Change>,
    /// Entries of the index by expiry that belong to nothing.
    stray: Vec<Vec<u8>>,
    /// Deletions up to here are forgotten: before, and after.
    horizon: (u64, u64),
}

struct Change {
    before: Option<Head>,
    now: State,
}

enum State {
    /// As in `before`.
    Untouched,
    Written(Head, Option<Bytes>),
    Erased,
}

impl Change {
    fn head(&self) -> Option<&Head> {
        match &self.now {
            State::Untouched => self.before.as_ref(),
            State::Written(head, _) => Some(head),
            State::Erased => None,
        }
    }

    fn is_change(&self) -> bool {
        match self.now {
            State::Untouched => false,
            State::Written(..) => true,
            State::Erased => self.before.is_some(),
        }
    }
}

impl<'a> Changes<'a> {
    pub(super) fn new(trees: &'a Trees, horizon: u64) -> Self {
        Self { trees, places: BTreeMap::new(), stray: Vec::new(), horizon: (horizon, horizon) }
    }

    /// All or none: nothing is changed before everything has been read.
    pub(super) fn put(&mut self, records: Vec<(Place, Record)>) -> Result<Vec<Put>, StoreError> {
        records.iter().try_for_each(|(place, _)| self.load(place))?;
        let put = |(place, record): (Place, Record)| {
            let (outcome, write) = Head::judge(self.head(&place), record.version, true);
            if write {
                self.set(place, State::Written(record.head(), record.value));
            }
            outcome
        };
        Ok(records.into_iter().map(put).collect())
    }

    pub(super) fn erase(&mut self, entries: Vec<(Place, Version)>) -> Result<u64, StoreError> {
        entries.iter().try_for_each(|(place, _)| self.load(place))?;
        let mut erased = 0;
        for (place, upto) in entries {
            if self.head(&place).is_some_and(|head| head.version <= upto) {
                self.set(place, State::Erased);
                erased += 1;
            }
        }
        Ok(erased)
    }

    pub(super) fn forget(&mut self, entries: Vec<(Place, Version)>, upto: u64) -> Result<u64, StoreError> {
        entries.iter().try_for_each(|(place, _)| self.load(place))?;
        self.horizon.1 = self.horizon.1.max(upto);
        let mut forgotten = 0;
        for (place, version) in entries {
            if self.head(&place).is_some_and(|head| head.is_deletion_of(version)) {
                self.set(place, State::Erased);
                forgotten += 1;
            }
        }
        Ok(forgotten)
    }

    /// Expires up to `limit` records that the index has between the two moments, ends included.
    pub(super) fn expire(&mut self, from_ms: u64, now_ms: u64, limit: usize) -> Result<u64, StoreError> {
        let mut expired = 0;
        for (at_ms, place) in self.trees.due(from_ms, now_ms, limit)? {
            if let Err(error) = self.load(&place) {
                // Or it would stand in the way of all that are due after it. Reading it still tells.
                tracing::error!(%error, "a record that should expire cannot be read");
                self.stray.push(codec::due_key(at_ms, &place));
                continue;
            }
            let before = self.places.get(&place).and_then(|change| change.before);
            if before.and_then(|head| head.expires_at_ms) != Some(at_ms) {
                self.stray.push(codec::due_key(at_ms, &place));
            } else if let Some(head) = self.head(&place).copied()
                && head.expires_at_ms.is_some_and(|at_ms| at_ms <= now_ms)
            {
                self.set(place, State::Written(head.expired(), None));
                expired += 1;
            }
        }
        Ok(expired)
    }

    fn load(&mut self, place: &Place) -> Result<(), StoreError> {
        if !self.places.contains_key(place) {
            let before = self.trees.head(place)?;
            self.places.insert(place.clone(), Change { before, now: State::Untouched });
        }
        Ok(())
    }

    fn head(&self, place: &Place) -> Option<&Head> {
        self.places.get(place).and_then(Change::head)
    }

    fn set(&mut self, place: Place, now: State) {
        if let Some(change) = self.places.get_mut(&place) {
            change.now = now;
        }
    }

    /// The soonest expiry among what is written.
    pub(super) fn next_due_ms(&self) -> Option<u64> {
        self.places.values().filter_map(|change| change.head()?.expires_at_ms).min()
    }

    /// Whether there is anything to write. What was read only is on the disk already: the engine
    /// shows a write to readers after its fsync.
    pub(super) fn is_empty(&self) -> bool {
        self.horizon.0 == self.horizon.1 && self.stray.is_empty() && !self.places.values().any(Change::is_change)
    }

    /// Writes everything in one batch and waits for its fsync, then counts it.
    /// Up to where deletions are forgotten then is returned.
    pub(super) fn commit(mut self, counters: &Counters) -> Result<u64, fjall::Error> {
        let trees = self.trees;
        self.places.retain(|_, change| change.is_change());
        // Key → stays. The places' own word comes after the strays'.
        let mut index: BTreeMap<Vec<u8>, bool> = self.stray.drain(..).map(|key| (key, false)).collect();
        let mut batch = trees.db.batch().durability(Some(PersistMode::SyncData));
        for (place, change) in &self.places {
            let key = codec::place_key(place);
            match &change.now {
                State::Untouched => {}
                // The value first: whoever sees the head in a listing can fetch the value.
                State::Written(head, value) => {
                    let value = value.as_deref().unwrap_or_default();
                    batch.insert(&trees.records, key.as_slice(), codec::encode(&key, head, value));
                    let encoded = codec::encode(&key, head, &[]);
                    batch.insert(&trees.heads, key, encoded);
                }
                State::Erased => {
                    batch.remove(&trees.heads, key.as_slice());
                    batch.remove(&trees.records, key);
                }
            }
            let due = |head: &Head| head.expires_at_ms.map(|at_ms| codec::due_key(at_ms, place));
            index.extend(change.before.as_ref().and_then(due).map(|key| (key, false)));
            index.extend(change.head().and_then(due).map(|key| (key, true)));
        }
        for (key, stays) in index {
            match stays {
                true => batch.insert(&trees.due, key, []),
                false => batch.remove(&trees.due, key),
            }
        }
        let (horizon_before, horizon) = self.horizon;
        if horizon > horizon_before {
            batch.insert(&trees.meta, HORIZON, codec::encode_blob(HORIZON, &horizon.to_be_bytes()));
        }
        batch.commit()?;
        for (place, change) in &self.places {
            counters.changed(place, change.before.as_ref(), change.head());
        }
        Ok(horizon)
    }
}
