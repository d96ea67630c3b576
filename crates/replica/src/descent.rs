//! Where two stores differ in a range, found by digests: the cost goes with the difference, not with what they hold.
//!
//! Both sides digest the same parts of the range; a part that comes to the same is done with, one that does not is cut
//! into smaller ones, and what is small enough is listed entry by entry ([`reconcile`](crate::reconcile)). This
//! is one side's view of it, without the digests themselves.

use std::collections::VecDeque;

use ring::Range;

/// A part with so many entries or fewer is listed.
const LISTED_MAX: u64 = 24;
/// Parts that one is cut into.
const PARTS: u32 = 16;
/// Parts compared in one go.
const CUTS_MAX: usize = 256;

/// What to do next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Look {
    /// Digest each of these, cut into so many parts by [`Range::cut`], on both sides, and say how they compare.
    Compare {
        /// Parts of the range.
        cuts: Vec<Range>,
        /// Into how many each is cut.
        parts: u32,
    },
    /// Compare this part entry by entry.
    List(Range),
}

/// A range under comparison.
#[derive(Clone, Debug)]
pub struct Descent {
    /// The range as a whole has not been compared yet.
    whole: Option<Range>,
    /// Parts that differ and are too large to be listed.
    open: VecDeque<Range>,
    /// Parts to be listed.
    listed: VecDeque<Range>,
}

impl Descent {
    /// At its beginning.
    pub fn new(range: Range) -> Self {
        Self { whole: Some(range), open: VecDeque::new(), listed: VecDeque::new() }
    }

    /// The next thing to do; none at the end. Each look is given once.
    pub fn next_look(&mut self) -> Option<Look> {
        if let Some(range) = self.whole.take() {
            return Some(Look::Compare { cuts: vec![range], parts: 1 });
        }
        // What is found is sent before more is looked for: that way as little as can be is held in memory.
        if let Some(part) = self.listed.pop_front() {
            return Some(Look::List(part));
        }
        let cuts: Vec<Range> = self.open.drain(..self.open.len().min(CUTS_MAX)).collect();
        (!cuts.is_empty()).then_some(Look::Compare { cuts, parts: PARTS })
    }

    /// A part was compared: whether it comes to the same on both sides, and how many entries there are on either.
    pub fn compared(&mut self, part: Range, same: bool, here: u64, there: u64) {
        if same {
            return;
        }
        // Where one side has nothing, there is nothing to find out.
        let single = part.cut(2).len() < 2;
        if here.min(there) == 0 || here.max(there) <= LISTED_MAX || single {
            self.listed.push_back(part);
        } else {
            self.open.push_back(part);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;
    use ring::{Id, Space};

    use super::*;

    type Store = BTreeMap<Id, u32>;

    fn over(store: &Store, range: Range) -> Vec<(Id, u32)> {
        store.iter().filter(|(id, _)| range.contains(**id)).map(|(id, version)| (*id, *version)).collect()
    }

    /// The parts that come to be listed, and how many digests that took.
    fn descend(range: Range, mine: &Store, theirs: &Store) -> (Vec<Range>, usize) {
        let mut descent = Descent::new(range);
        let (mut listed, mut digests) = (Vec::new(), 0);
        while let Some(look) = descent.next_look() {
            match look {
                Look::List(part) => listed.push(part),
                Look::Compare { cuts, parts } => {
                    for part in cuts.into_iter().flat_map(|cut| cut.cut(parts)) {
                        digests += 1;
                        let (here, there) = (over(mine, part), over(theirs, part));
                        descent.compared(part, here == there, here.len() as u64, there.len() as u64);
                    }
                }
            }
        }
        (listed, digests)
    }

    proptest! {
        #[test]
        fn whatever_differs_is_listed_once(
            bits in prop_oneof![3u32..12, Just(160)],
            keys in proptest::collection::btree_map(any::<u16>(), 0u32..3, 0..400),
            changed in proptest::collection::btree_map(any::<u16>(), 0u32..5, 0..12),
            ends in (any::<u16>(), any::<u16>()),
        ) {
            let space = Space::new(bits).unwrap();
            let id = |key: &u16| space.hash(&key.to_be_bytes());
            let mine: Store = keys.iter().map(|(key, version)| (id(key), *version)).collect();
            let mut theirs = mine.clone();
            for (key, version) in &changed {
                match version {
                    0 => drop(theirs.remove(&id(key))),
                    version => drop(theirs.insert(id(key), *version)),
                }
            }
            let range = Range::new(id(&ends.0), id(&ends.1));
            let (listed, _) = descend(range, &mine, &theirs);
            let differing: BTreeSet<Id> = mine.keys().chain(theirs.keys())
                .filter(|id| range.contains(**id) && mine.get(id) != theirs.get(id)).copied().collect();
            for id in differing {
                prop_assert_eq!(listed.iter().filter(|part| part.contains(id)).count(), 1, "{} in {:?}", id, listed);
            }
            prop_assert!(listed.iter().all(|part| over(&mine, *part) != over(&theirs, *part)), "listed in vain");
        }
    }

    #[test]
    fn two_stores_that_are_the_same_take_one_digest_and_an_empty_one_none_more() {
        let space = Space::SHA1;
        let store: Store = (0..1_000u32).map(|key| (space.hash(&key.to_be_bytes()), 1)).collect();
        let range = Range::full(space.zero());
        assert_eq!(descend(range, &store, &store), (vec![], 1));
        assert_eq!(descend(range, &Store::new(), &store), (vec![range], 1));
    }

    #[test]
    fn the_cost_goes_with_the_difference() {
        let space = Space::SHA1;
        let store: Store = (0..50_000u32).map(|key| (space.hash(&key.to_be_bytes()), 1)).collect();
        let mut other = store.clone();
        for key in 0..20u32 {
            other.insert(space.hash(&key.to_be_bytes()), 2);
        }
        let (listed, digests) = descend(Range::full(space.zero()), &store, &other);
        let entries: usize = listed.iter().map(|part| over(&store, *part).len()).sum();
        assert!(digests <= 1 + 20 * 16 * 3, "{digests} digests");
        assert!(entries <= 20 * LISTED_MAX as usize, "{entries} entries");
    }
}
