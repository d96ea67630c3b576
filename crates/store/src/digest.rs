use parking_lot::Mutex;
use ring::{Id, Range, Space};
use xxhash_rust::xxh3::Xxh3;

use crate::head::Head;
use crate::place::Place;
use crate::span::Span;
use crate::{StoreError, Version};

/// What the records of a range come to: how many there are, and the sum of their hashes.
///
/// Two stores that come to the same hold the same versions of the same keys there, but for one chance in 2^64 and more.
/// Whether a version is a deletion takes no part in it: a record that has expired here and not yet there is the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Digest {
    /// Keys, those that were deleted among them.
    pub count: u64,
    /// Of the hashes of key and version, modulo 2^128.
    pub sum: u128,
}

impl Digest {
    /// What one record comes to.
    pub fn of(key: &[u8], version: Version) -> Self {
        let mut hash = Xxh3::new();
        hash.update(&version.term.to_be_bytes());
        hash.update(&version.clock.to_be_bytes());
        hash.update(&version.store.to_be_bytes());
        hash.update(key);
        Self { count: 1, sum: hash.digest128() }
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { count: self.count.wrapping_add(other.count), sum: self.sum.wrapping_add(other.sum) }
    }

    /// What is left without `other`.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self { count: self.count.wrapping_sub(other.count), sum: self.sum.wrapping_sub(other.sum) }
    }
}

/// 2^12 slices of the circle: with a million records a slice has some 250, which is what one digest reads at either end.
const SLICE_BITS_MAX: u32 = 12;

/// Digests of equal slices of the circle, kept up to date by every write, so that the digest of any range takes two short scans.
#[derive(Debug)]
pub(crate) struct Slices {
    space: Space,
    slices: Vec<Mutex<Digest>>,
}

impl Slices {
    pub(crate) fn new(space: Space) -> Self {
        let count = 1usize << space.bits().min(SLICE_BITS_MAX);
        Self { space, slices: (0..count).map(|_| Mutex::default()).collect() }
    }

    /// A place changed from `before` to `after`; none is no record at all.
    pub(crate) fn changed(&self, place: &Place, before: Option<&Head>, after: Option<&Head>) {
        let of = |head: Option<&Head>| head.map_or(Digest::default(), |head| Digest::of(&place.key, head.version));
        let (before, after) = (of(before), of(after));
        // An identifier's leading bits number one of the slices.
        let mut slice = self.slices[place.id.leading_bits(SLICE_BITS_MAX)].lock();
        *slice = slice.minus(before).plus(after);
    }

    /// The digest of a range. `scan` shows the heads of a span in order.
    pub(crate) fn of_range(
        &self,
        range: Range,
        mut scan: impl FnMut(&Span, &mut dyn FnMut(Place, Head) -> bool) -> Result<(), StoreError>,
    ) -> Result<Digest, StoreError> {
        let mut digest = Digest::default();
        let mut read = |span: Span| {
            scan(&span, &mut |place, head| {
                digest = digest.plus(Digest::of(&place.key, head.version));
                true
            })
        };
        let mut whole = Vec::new();
        for span in Span::of(range, None) {
            let (first, last) = (span.first.leading_bits(SLICE_BITS_MAX), span.last.leading_bits(SLICE_BITS_MAX));
            let begins_whole = span.first == self.start(first);
            let ends_whole = span.last == self.end(last);
            if first == last && !(begins_whole && ends_whole) {
                read(span)?;
                continue;
            }
            if !begins_whole {
                read(Span::new(span.first, self.end(first)))?;
            }
            if !ends_whole {
                read(Span::new(self.start(last), span.last))?;
            }
            whole.push(first + usize::from(!begins_whole)..last + usize::from(ends_whole));
        }
        let slices = whole.into_iter().flatten().map(|slice| *self.slices[slice].lock());
        Ok(slices.fold(digest, Digest::plus))
    }

    fn start(&self, slice: usize) -> Id {
        let exponent = self.space.bits() - self.space.bits().min(SLICE_BITS_MAX);
        // Below 2^12.
        self.space.zero().plus_power(exponent).times(u32::try_from(slice).unwrap_or(0))
    }

    fn end(&self, slice: usize) -> Id {
        match slice + 1 == self.slices.len() {
            true => self.space.max(),
            false => self.start(slice + 1).plus(self.space.max()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    fn head(clock: u64) -> Head {
        Head { version: Version { term: 0, clock, store: 1 }, expires_at_ms: None, value_len: Some(1) }
    }

    proptest! {
        #[test]
        fn the_digest_of_any_range_is_that_of_its_records(
            bits in prop_oneof![3u32..15, Just(160)],
            keys in proptest::collection::btree_map(any::<u16>(), 1u64..4, 0..200),
            ends in (any::<u16>(), any::<u16>()),
        ) {
            let space = Space::new(bits).expect("a width");
            let slices = Slices::new(space);
            let mut records = BTreeMap::new();
            for (key, clock) in &keys {
                let place = Place::of(space.into(), Bytes::copy_from_slice(&key.to_be_bytes()));
                slices.changed(&place, None, Some(&head(*clock)));
                if key % 5 == 0 {
                    slices.changed(&place, Some(&head(*clock)), None);
                } else {
                    records.insert(place, head(*clock));
                }
            }
            let id = |end: u16| space.hash(&end.to_be_bytes());
            let mut ends = vec![id(ends.0), id(ends.1), space.zero(), space.max()];
            ends.push(slices.start(slices.slices.len() / 2));
            ends.push(slices.end(slices.slices.len() / 3));
            for (after, upto) in ends.iter().flat_map(|after| ends.iter().map(move |upto| (*after, *upto))) {
                let range = Range::new(after, upto);
                let found = slices.of_range(range, |span, each| {
                    for (place, head) in records.iter().filter(|(place, _)| span.first <= place.id && place.id <= span.last) {
                        each(place.clone(), *head);
                    }
                    Ok(())
                });
                let inside = records.iter().filter(|(place, _)| range.contains(place.id));
                let expected = inside.fold(Digest::default(), |sum, (place, head)| sum.plus(Digest::of(&place.key, head.version)));
                prop_assert_eq!(found, Ok(expected), "{}", range);
            }
        }
    }

    #[test]
    fn a_key_and_a_version_are_told_from_others() {
        let of = |key: &str, term, clock, store| Digest::of(key.as_bytes(), Version { term, clock, store });
        assert_ne!(of("a", 1, 1, 1), of("b", 1, 1, 1));
        assert_ne!(of("a", 1, 1, 1), of("a", 2, 1, 1));
        assert_ne!(of("a", 1, 1, 1), of("a", 1, 2, 1));
        assert_ne!(of("a", 1, 1, 1), of("a", 1, 1, 2));
    }
}
