//! A node's records in the model, with what its disk keeps beside them: what the daemon's store is, as small as can
//! be. Versions, and the clock that gives them, are the daemon's own.

use std::collections::BTreeMap;
use std::fmt;

use ring::{Id, Range};
pub(crate) use store::Version;

use crate::world::{SECOND, WALL_START_MS, World};

/// Keys that clients use; each has a place of its own.
pub(crate) const KEYS: u64 = 48;
/// Bits of the hybrid clock below its milliseconds.
pub(crate) const COUNTER_BITS: u32 = 16;
/// Up to when everything is here goes to disk at most so often.
const KEEP_HELD_AT: u64 = 4 * SECOND;

/// What is known of a key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) version: Version,
    /// It has a value; if not, it is the note that the key was deleted.
    pub(crate) live: bool,
    /// When its value ceases to be, by whatever wall clock is looked at.
    pub(crate) expires_at_ms: Option<u64>,
}

impl Record {
    /// Whether a reader at `now_ms` gets nothing.
    pub(crate) fn is_over(&self, now_ms: u64) -> bool {
        !self.live || self.expires_at_ms.is_some_and(|at_ms| at_ms <= now_ms)
    }

    /// It is a deletion, or becomes one.
    pub(crate) fn ends(&self) -> bool {
        !self.live || self.expires_at_ms.is_some()
    }
}

/// With moments in milliseconds since the world began.
impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Version { term, clock, store } = self.version;
        let ms = (clock >> COUNTER_BITS).saturating_sub(WALL_START_MS);
        write!(f, "{term}-{ms}.{}-{store}", clock & 0xffff)?;
        match (self.live, self.expires_at_ms) {
            (false, _) => write!(f, " (deleted)"),
            (true, Some(at_ms)) => write!(f, " (until {})", at_ms.saturating_sub(WALL_START_MS)),
            (true, None) => Ok(()),
        }
    }
}

/// What became of a put.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Put {
    Stored,
    Superseded(Version),
}

/// What a stretch of the circle comes to.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Digest {
    pub(crate) count: u64,
    sum: u64,
}

/// One node's records.
#[derive(Clone, Default, Debug)]
pub(crate) struct Records {
    held: BTreeMap<u64, Record>,
    /// Deletions up to this moment may have been forgotten.
    pub(crate) horizon: u64,
    /// Up to when it had everything by right.
    pub(crate) held_at: u64,
    held_at_kept: u64,
    kept: u64,
    /// What others would not take back.
    pub(crate) quarantine: Vec<(u64, Record)>,
}

impl Records {
    /// With nothing in it at `now`, so that nothing is here which should not be.
    pub(crate) fn new(now: u64) -> Self {
        Self { held_at: now, held_at_kept: now, ..Self::default() }
    }

    /// What the disk gives back.
    pub(crate) fn restarted(&mut self, now: u64) {
        self.held_at = if self.held.is_empty() { now } else { self.held_at_kept };
    }

    pub(crate) fn get(&self, key: u64) -> Option<Record> {
        self.held.get(&key).copied()
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (u64, Record)> {
        self.held.iter().map(|(key, record)| (*key, *record))
    }

    pub(crate) fn put(&mut self, key: u64, record: Record) -> Put {
        match self.held.get(&key) {
            Some(held) if held.version > record.version => Put::Superseded(held.version),
            Some(held) if held.version == record.version => Put::Stored,
            _ => {
                self.held.insert(key, record);
                Put::Stored
            }
        }
    }

    /// What is here of the key, unless it is newer than `upto`, goes; whether there was anything.
    pub(crate) fn erase(&mut self, key: u64, upto: Version) -> bool {
        let meant = self.get(key).is_some_and(|held| held.version <= upto);
        meant && self.held.remove(&key).is_some()
    }

    /// Something happens to the disk.
    pub(crate) fn lose(&mut self, key: u64) {
        self.held.remove(&key);
    }

    /// Forgets those of these deletions that are here.
    pub(crate) fn forget(&mut self, deletions: &[(u64, Version)]) {
        for (key, version) in deletions {
            if self.get(*key).is_some_and(|held| !held.live && held.version == *version) {
                self.held.remove(key);
            }
        }
    }

    /// What is past its time becomes a deletion.
    pub(crate) fn expire(&mut self, now_ms: u64) {
        for held in self.held.values_mut().filter(|held| held.is_over(now_ms)) {
            *held = Record { version: held.version, live: false, expires_at_ms: None };
        }
    }

    /// Everything here is by right up to `at`, which goes to disk now and then.
    pub(crate) fn is_by_right(&mut self, at: u64, now: u64) {
        self.held_at = self.held_at.max(at);
        if now - self.kept >= KEEP_HELD_AT {
            self.kept = now;
            self.held_at_kept = self.held_at;
        }
    }
}

fn mixed(key: u64, version: Version) -> u64 {
    let mut mixed = key;
    for next in [version.term, version.clock, version.store] {
        mixed = (mixed ^ next).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^= mixed >> 29;
    }
    mixed
}

impl World {
    pub(crate) fn key_id(&self, key: u64) -> Id {
        self.ids[(key * 29 % self.ids.len() as u64) as usize]
    }

    /// What is here in a range, in the range's own order.
    pub(crate) fn listing(&self, node: usize, range: Range) -> Vec<replica::Entry<Id, u64, Version>> {
        let inside = self.nodes[node].records.held.iter().filter(|(key, _)| range.contains(self.key_id(**key)));
        let mut listing: Vec<_> = inside
            .map(|(key, record)| replica::Entry {
                place: range.after.distance_to(self.key_id(*key)).plus(self.space.max()),
                key: *key,
                version: record.version,
            })
            .collect();
        listing.sort_unstable();
        listing
    }

    pub(crate) fn digest(&self, node: usize, range: Range) -> Digest {
        let inside = self.nodes[node].records.held.iter().filter(|(key, _)| range.contains(self.key_id(**key)));
        inside.fold(Digest::default(), |digest, (key, record)| Digest {
            count: digest.count + 1,
            sum: digest.sum.wrapping_add(mixed(*key, record.version)),
        })
    }

    /// A primary takes a record in, or whoever may be one.
    pub(crate) fn put(&mut self, node: usize, key: u64, record: Record) -> Put {
        let place = self.key_id(key);
        let node = &mut self.nodes[node];
        // A newcomer that is on its way in may be without it.
        if node.holdings.find(place).is_some_and(|holding| !holding.learners().is_empty()) {
            node.doubts.raise(place, record.version);
        }
        node.records.put(key, record)
    }

    /// A node's wall clock.
    pub(crate) fn wall_ms(&self, node: usize) -> u64 {
        self.true_ms().saturating_add_signed(self.nodes[node].skew_ms)
    }

    /// A node's hybrid clock. It gives no version.
    pub(crate) fn clock(&self, node: usize) -> u64 {
        self.nodes[node].clock.now(self.wall_ms(node))
    }

    /// Another node gave this version: what comes from here is above it, within what clocks may differ.
    pub(crate) fn observe(&mut self, node: usize, version: Version) {
        self.nodes[node].clock.observe(version, self.wall_ms(node));
    }
}
