//! The memory engine: ordered maps behind locks of their own, one for each run of identifiers with the
//! same leading bits. SHA-1 spreads keys evenly over them, so writers seldom meet; and as the
//! shards follow one another in identifier order, an ordered scan visits one after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::{RwLock, RwLockWriteGuard};
use ring::{Id, Places, Range};

use crate::counters::Counters;
use crate::engine::{Answer, Engine};
use crate::head::Head;
use crate::place::Place;
use crate::span::Span;
use crate::{Digest, Put, Record, Stats, StoreError, Version};

/// 2^6 shards: enough that a few dozen threads seldom wait for one another.
const SHARD_BITS_MAX: u32 = 6;

/// Records in memory; see the [module](self).
pub(crate) struct Memory {
    places: Places,
    number: u64,
    shards: Vec<RwLock<Shard>>,
    counters: Counters,
    horizon: AtomicU64,
    meta: RwLock<BTreeMap<String, Vec<u8>>>,
}

#[derive(Default)]
struct Shard {
    entries: BTreeMap<Place, Entry>,
    /// The entries that expire, soonest first.
    due: BTreeSet<(u64, Place)>,
}

struct Entry {
    head: Head,
    value: Option<Bytes>,
}

impl Memory {
    pub(crate) fn new(places: Places) -> Self {
        let shards = 1usize << places.space().bits().min(SHARD_BITS_MAX);
        Self {
            places,
            number: rand::random::<u64>().max(1),
            shards: (0..shards).map(|_| RwLock::default()).collect(),
            counters: Counters::new(places.space()),
            horizon: AtomicU64::new(0),
            meta: RwLock::default(),
        }
    }

    fn shard(&self, id: Id) -> &RwLock<Shard> {
        // Cannot fail: an identifier's leading bits number one of the shards.
        &self.shards[id.leading_bits(SHARD_BITS_MAX)]
    }

    fn put_one(&self, record: Record) -> Put {
        let place = Place::copied(self.places, &record.key);
        let mut shard = self.shard(place.id).write();
        let present = shard.entries.get(&place).map(|entry| &entry.head);
        let (outcome, write) = Head::judge(present, record.version, false);
        if write {
            let head = record.head();
            let value = record.value.map(|value| Bytes::copy_from_slice(&value));
            self.replace(&mut shard, place, Some(Entry { head, value }));
        }
        outcome
    }

    fn erase_one(&self, key: &[u8], is_meant: impl Fn(&Head) -> bool) -> bool {
        let place = Place::copied(self.places, key);
        let mut shard = self.shard(place.id).write();
        let erased = shard.entries.get(&place).is_some_and(|entry| is_meant(&entry.head));
        if erased {
            self.replace(&mut shard, place, None);
        }
        erased
    }

    fn expire_in(&self, shard: &RwLock<Shard>, now_ms: u64, limit: usize) -> usize {
        let is_due = |shard: &Shard| shard.due.first().is_some_and(|(at_ms, _)| *at_ms <= now_ms);
        if !is_due(&shard.read()) {
            return 0;
        }
        let mut shard = shard.write();
        let mut expired = 0;
        while expired < limit && is_due(&shard) {
            let Some((_, place)) = shard.due.pop_first() else {
                break;
            };
            if let Some(head) = shard.entries.get(&place).map(|entry| entry.head.expired()) {
                self.replace(&mut shard, place, Some(Entry { head, value: None }));
                expired += 1;
            }
        }
        expired
    }

    /// Changes one entry, and what is kept about it elsewhere.
    fn replace(&self, shard: &mut RwLockWriteGuard<'_, Shard>, place: Place, entry: Option<Entry>) {
        let after = entry.as_ref().map(|entry| entry.head);
        if let Some(at_ms) = after.and_then(|head| head.expires_at_ms) {
            shard.due.insert((at_ms, place.clone()));
        }
        let before = match entry {
            Some(entry) => shard.entries.insert(place.clone(), entry),
            None => shard.entries.remove(&place),
        };
        let before = before.map(|entry| entry.head);
        if let Some(at_ms) = before.and_then(|head| head.expires_at_ms)
            && after.and_then(|head| head.expires_at_ms) != Some(at_ms)
        {
            shard.due.remove(&(at_ms, place.clone()));
        }
        self.counters.changed(&place, before.as_ref(), after.as_ref());
    }
}

impl Engine for Memory {
    fn number(&self) -> u64 {
        self.number
    }

    fn retire(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn is_durable(&self) -> bool {
        false
    }

    fn stats(&self) -> Stats {
        self.counters.stats()
    }

    fn health(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn commits(&self) -> u64 {
        0
    }

    fn get(&self, key: &[u8]) -> Result<Option<Record>, StoreError> {
        let place = Place::copied(self.places, key);
        let shard = self.shard(place.id).read();
        Ok(shard.entries.get_key_value(&place).map(|(place, entry)| Record {
            key: place.key.clone(),
            version: entry.head.version,
            expires_at_ms: entry.head.expires_at_ms,
            value: entry.value.clone(),
        }))
    }

    fn scan(&self, span: &Span, each: &mut dyn FnMut(Place, Head) -> bool) -> Result<(), StoreError> {
        let shards = &self.shards[span.first.leading_bits(SHARD_BITS_MAX)..=span.last.leading_bits(SHARD_BITS_MAX)];
        for shard in shards {
            let shard = shard.read();
            let from_start = shard.entries.range((span.start(), Bound::Unbounded));
            for (place, entry) in from_start.take_while(|(place, _)| place.id <= span.last) {
                if !each(place.clone(), entry.head) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn digest(&self, range: Range) -> Result<Digest, StoreError> {
        self.counters.digest(range, |span, each| self.scan(span, each))
    }

    fn put(&self, records: Vec<Record>) -> Answer<'_, Vec<Put>> {
        Box::pin(async move { Ok(records.into_iter().map(|record| self.put_one(record)).collect()) })
    }

    fn erase(&self, entries: Vec<(Bytes, Version)>) -> Answer<'_, u64> {
        Box::pin(async move {
            let erased = entries.iter().filter(|(key, upto)| self.erase_one(key, |head| head.version <= *upto));
            Ok(erased.count() as u64)
        })
    }

    fn forget(&self, entries: Vec<(Bytes, Version)>, upto: u64) -> Answer<'_, u64> {
        Box::pin(async move {
            // First, so that nobody finds the deletion gone and the horizon below it.
            self.horizon.fetch_max(upto, Ordering::AcqRel);
            let forgotten =
                entries.iter().filter(|(key, version)| self.erase_one(key, |head| head.is_deletion_of(*version)));
            Ok(forgotten.count() as u64)
        })
    }

    fn horizon(&self) -> u64 {
        self.horizon.load(Ordering::Acquire)
    }

    fn expire(&self, now_ms: u64, limit: usize) -> Answer<'_, u64> {
        Box::pin(async move {
            let mut expired = 0;
            for shard in &self.shards {
                expired += self.expire_in(shard, now_ms, limit - expired);
            }
            Ok(expired as u64)
        })
    }

    fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.meta.read().get(name).cloned())
    }

    fn set_meta(&self, name: &str, value: &[u8]) -> Result<(), StoreError> {
        self.meta.write().insert(name.to_owned(), value.to_vec());
        Ok(())
    }

    fn flush(&self) -> Answer<'_, ()> {
        Box::pin(async { Ok(()) })
    }
}
