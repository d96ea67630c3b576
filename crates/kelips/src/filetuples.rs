use std::collections::{BTreeMap, VecDeque};

use overlay::KeyHash;

use crate::rendezvous::fold;
use crate::{Digest, Filetuple, Slot};

/// Fresh tuples waiting to be gossiped at most; what does not fit spreads by digests.
const FRESH_MAX: usize = 65_536;
/// A version so far above all that are known is a mistake, or worse: taken in, it could never be outdone.
const LEAP_MAX: u64 = 1 << 40;
/// Tuples of one slot at most: an honest node comes nowhere near, a hostile one gets no further.
const SLOT_MAX: usize = 1 << 18;

/// Which keys there are, as far as this node's group has been told.
///
/// A tuple's version is drawn from one counter a node: greater than any version it has seen (Lamport's clock). So whoever
/// announces a key after having heard of an earlier announcement wins over it, whatever the clocks of machines say. Of
/// equal versions, from nodes that had not heard of each other, the one that says "there" wins: a pointer too many costs a
/// question, one too few a record.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Filetuples {
    slots: BTreeMap<Slot, Keys>,
    /// Keys to be told, and how often each was.
    fresh: VecDeque<(Slot, KeyHash, u32)>,
    clock: u64,
}

/// The tuples of one slot.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
struct Keys {
    known: BTreeMap<KeyHash, Tuple>,
    count: u32,
    sum: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Tuple {
    version: u64,
    there: bool,
    /// Round in which this node learnt it.
    since: u64,
}

impl Filetuples {
    /// Takes in what a peer says; true if it is news.
    pub(crate) fn merge(&mut self, slot: Slot, told: &Filetuple, round: u64) -> bool {
        if told.version > self.clock.saturating_add(LEAP_MAX) {
            return false;
        }
        self.clock = self.clock.max(told.version);
        let keys = self.slots.entry(slot).or_default();
        let newer = match keys.known.get(&told.key) {
            Some(known) => (told.version, told.there) > (known.version, known.there),
            None => keys.known.len() < SLOT_MAX,
        };
        if newer {
            keys.put(told.key, Tuple { version: told.version, there: told.there, since: round });
            if self.fresh.len() >= FRESH_MAX {
                self.fresh.pop_front();
            }
            self.fresh.push_back((slot, told.key, 0));
        }
        newer
    }

    /// The layer of records says how it is with a key. Nothing happens if that is known.
    pub(crate) fn announce(&mut self, slot: Slot, key: KeyHash, there: bool, round: u64) {
        let known = self.slots.get(&slot).and_then(|keys| keys.known.get(&key));
        // Of a key that was never heard of here others may have heard.
        if known.is_none_or(|known| known.there != there) {
            let version = self.clock.saturating_add(1);
            self.merge(slot, &Filetuple { key, version, there }, round);
        }
    }

    /// All tuples of a slot above `after`, at most so many, and whether there are more.
    pub(crate) fn page(&self, slot: Slot, after: Option<KeyHash>, limit: usize) -> (Vec<Filetuple>, bool) {
        let Some(keys) = self.slots.get(&slot) else {
            return (Vec::new(), false);
        };
        let mut tuples = keys.above(after);
        let page: Vec<Filetuple> = tuples.by_ref().take(limit).collect();
        let more = tuples.next().is_some();
        (page, more)
    }

    /// Keys of a slot that are there.
    pub(crate) fn there(&self, slot: Slot) -> Vec<KeyHash> {
        let known = self.slots.get(&slot).into_iter().flat_map(|keys| &keys.known);
        known.filter(|(_, tuple)| tuple.there).map(|(key, _)| *key).collect()
    }

    pub(crate) fn digest(&self, slot: Slot) -> Digest {
        let (count, sum) = self.slots.get(&slot).map_or((0, 0), |keys| (keys.count, keys.sum));
        Digest { slot, count, sum }
    }

    /// The next tuple to be told, which counts as told from here on; it is forgotten as fresh after `times`.
    pub(crate) fn next_fresh(&mut self, times: u32) -> Option<Filetuple> {
        while let Some((slot, key, told)) = self.fresh.pop_front() {
            let tuple = self.slots.get(&slot).and_then(|keys| keys.known.get(&key)).copied();
            if let Some(Tuple { version, there, .. }) = tuple {
                if told + 1 < times {
                    self.fresh.push_back((slot, key, told + 1));
                }
                return Some(Filetuple { key, version, there });
            }
        }
        None
    }

    /// Some tuple of the slot that `draw` picks, the first at or after `from` in it, round its end.
    pub(crate) fn some(&self, draw: usize, from: KeyHash) -> Option<Filetuple> {
        let keys = self.slots.values().nth(draw.checked_rem(self.slots.len())?)?;
        let after = keys.known.range(from..).next().or_else(|| keys.known.iter().next());
        after.map(|(key, tuple)| Filetuple { key: *key, version: tuple.version, there: tuple.there })
    }

    /// No more is taken in there.
    pub(crate) fn is_full(&self, slot: Slot) -> bool {
        self.slots.get(&slot).is_some_and(|keys| keys.known.len() >= SLOT_MAX)
    }

    /// Slots that anything is known of.
    pub(crate) fn slots(&self) -> Vec<Slot> {
        self.slots.keys().copied().collect()
    }

    /// Forgets a slot.
    pub(crate) fn forget(&mut self, slot: Slot) {
        self.slots.remove(&slot);
    }

    /// Forgets tombstones that were learnt before this round.
    pub(crate) fn bury(&mut self, before: u64) {
        for keys in self.slots.values_mut() {
            keys.known.retain(|_, tuple| tuple.there || tuple.since >= before);
        }
        self.slots.retain(|_, keys| !keys.known.is_empty());
    }
}

impl Keys {
    fn put(&mut self, key: KeyHash, tuple: Tuple) {
        let before = self.known.insert(key, tuple).is_some_and(|before| before.there);
        if before != tuple.there {
            self.sum ^= fold(0, key.0);
            self.count = if tuple.there { self.count.saturating_add(1) } else { self.count.saturating_sub(1) };
        }
    }

    fn above(&self, after: Option<KeyHash>) -> impl Iterator<Item = Filetuple> {
        use std::ops::Bound;
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let known = self.known.range((from, Bound::Unbounded));
        known.map(|(key, tuple)| Filetuple { key: *key, version: tuple.version, there: tuple.there })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SLOT: Slot = Slot { group: 0, index: 3 };

    fn key(number: u8) -> KeyHash {
        KeyHash([number; 20])
    }

    #[test]
    fn a_later_announcement_wins_over_what_was_seen_before() {
        let mut tuples = Filetuples::default();
        tuples.merge(SLOT, &Filetuple { key: key(1), version: 70, there: true }, 1);
        tuples.announce(SLOT, key(1), false, 2);
        assert_eq!(tuples.page(SLOT, None, 9).0, [Filetuple { key: key(1), version: 71, there: false }]);
        tuples.announce(SLOT, key(1), false, 3);
        assert_eq!(tuples.page(SLOT, None, 9).0, [Filetuple { key: key(1), version: 71, there: false }]);
        tuples.announce(SLOT, key(2), false, 3);
        assert_eq!(tuples.page(SLOT, None, 9).0.len(), 2, "others may have heard of it");
        tuples.announce(SLOT, key(2), true, 4);
        assert_eq!(tuples.there(SLOT), [key(2)]);
        assert_eq!(tuples.digest(SLOT).count, 1);
    }

    #[test]
    fn fresh_tuples_are_told_so_often_and_in_turn() {
        let mut tuples = Filetuples::default();
        tuples.announce(SLOT, key(1), true, 1);
        tuples.announce(SLOT, key(2), true, 1);
        let told: Vec<KeyHash> = std::iter::from_fn(|| tuples.next_fresh(2)).map(|tuple| tuple.key).collect();
        assert_eq!(told, [key(1), key(2), key(1), key(2)]);
    }

    #[test]
    fn pages_meet_and_tombstones_are_forgotten_in_the_end() {
        let mut tuples = Filetuples::default();
        (1..=5).for_each(|number| tuples.announce(SLOT, key(number), true, 1));
        let (first, more) = tuples.page(SLOT, None, 3);
        assert!(more);
        let (second, more) = tuples.page(SLOT, first.last().map(|tuple| tuple.key), 3);
        assert_eq!((first.len(), second.len(), more), (3, 2, false));
        tuples.announce(SLOT, key(2), false, 7);
        tuples.bury(7);
        assert_eq!(tuples.page(SLOT, None, 9).0.len(), 5);
        tuples.bury(8);
        assert_eq!(tuples.page(SLOT, None, 9).0.len(), 4);
    }

    proptest! {
        #[test]
        fn the_order_in_which_tuples_arrive_does_not_matter(
            told in proptest::collection::vec((0u8..6, 0u64..5, any::<bool>()), 0..40), turn in 0usize..40
        ) {
            let merged = |told: &[(u8, u64, bool)]| {
                let mut tuples = Filetuples::default();
                for &(number, version, there) in told {
                    tuples.merge(SLOT, &Filetuple { key: key(number), version, there }, 1);
                }
                (tuples.page(SLOT, None, 100).0, tuples.digest(SLOT))
            };
            let mut other = told.clone();
            other.rotate_left(turn.checked_rem(told.len()).unwrap_or(0));
            other.extend(told.iter().rev());
            prop_assert_eq!(merged(&told), merged(&other));
            let (page, digest) = merged(&told);
            prop_assert_eq!(page.iter().filter(|tuple| tuple.there).count() as u32, digest.count);
        }
    }
}
