//! Comparing two sorted listings of the same stretch: what the other has newer, what is newer here. Knows
//! nothing about keys and versions but their order.

use std::cmp::Ordering;
use std::iter::Peekable;

/// One line of a listing, which is sorted by place and key.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Entry<I, K, V> {
    /// Where the key lies on the circle; counted from the start of the listed range, so that it never wraps.
    pub place: I,
    /// The key.
    pub key: K,
    /// Its version: greater is newer.
    pub version: V,
}

/// What two listings differ in, each in their order.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Difference<I, K, V> {
    /// Newer there, or only there: to be fetched. The version is theirs.
    pub fetch: Vec<Entry<I, K, V>>,
    /// Newer here, or only here: to be offered. The version is mine.
    pub offer: Vec<Entry<I, K, V>>,
}

/// Compares what is listed here with what is listed there. Both must be whole between the same two
/// cursors, and sorted by place and key without repetition.
pub fn reconcile<I: Ord, K: Ord, V: Ord>(
    mine: impl IntoIterator<Item = Entry<I, K, V>>,
    theirs: impl IntoIterator<Item = Entry<I, K, V>>,
) -> Difference<I, K, V> {
    let (mut fetch, mut offer) = (Vec::new(), Vec::new());
    let (mut mine, mut theirs) = (mine.into_iter().peekable(), theirs.into_iter().peekable());
    while let Some(side) = next_side(&mut mine, &mut theirs) {
        match side {
            Ordering::Less => offer.extend(mine.next()),
            Ordering::Greater => fetch.extend(theirs.next()),
            Ordering::Equal => {
                if let (Some(mine), Some(theirs)) = (mine.next(), theirs.next()) {
                    match mine.version.cmp(&theirs.version) {
                        Ordering::Less => fetch.push(theirs),
                        Ordering::Greater => offer.push(mine),
                        Ordering::Equal => {}
                    }
                }
            }
        }
    }
    Difference { fetch, offer }
}

/// Which listing's next key comes first; `None` at the end of both.
fn next_side<I: Ord, K: Ord, V>(
    mine: &mut Peekable<impl Iterator<Item = Entry<I, K, V>>>,
    theirs: &mut Peekable<impl Iterator<Item = Entry<I, K, V>>>,
) -> Option<Ordering> {
    match (mine.peek(), theirs.peek()) {
        (None, None) => None,
        (Some(_), None) => Some(Ordering::Less),
        (None, Some(_)) => Some(Ordering::Greater),
        (Some(mine), Some(theirs)) => Some((&mine.place, &mine.key).cmp(&(&theirs.place, &theirs.key))),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    type Listing = BTreeMap<(u8, u8), u8>;

    fn entries(listing: &Listing) -> Vec<Entry<u8, u8, u8>> {
        listing.iter().map(|((place, key), version)| Entry { place: *place, key: *key, version: *version }).collect()
    }

    fn listings() -> impl Strategy<Value = Listing> {
        proptest::collection::btree_map((0..4u8, 0..4u8), 0..4u8, 0..12)
    }

    proptest! {
        #[test]
        fn after_fetching_and_offering_both_hold_the_newest_of_everything(mine in listings(), theirs in listings()) {
            let found = reconcile(entries(&mine), entries(&theirs));
            let (mut here, mut there) = (mine.clone(), theirs.clone());
            for entry in &found.fetch {
                // Nothing is fetched in vain: it is theirs, and newer.
                prop_assert_eq!(theirs.get(&(entry.place, entry.key)), Some(&entry.version));
                prop_assert!(mine.get(&(entry.place, entry.key)) < Some(&entry.version));
                here.insert((entry.place, entry.key), entry.version);
            }
            for entry in &found.offer {
                prop_assert_eq!(mine.get(&(entry.place, entry.key)), Some(&entry.version));
                prop_assert!(theirs.get(&(entry.place, entry.key)) < Some(&entry.version));
                there.insert((entry.place, entry.key), entry.version);
            }
            prop_assert_eq!(&here, &there);
            prop_assert_eq!(here.len(), mine.keys().chain(theirs.keys()).collect::<std::collections::BTreeSet<_>>().len());
        }
    }
}
