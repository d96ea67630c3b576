use ring::{Id, Places, Range};

use crate::Slot;

/// Parts of a group's arc: enough that arbiters are spread evenly over a few members, few enough to be said in gossip.
const SLOTS: u32 = 32;

/// A group's arc cut into equal slots: 32, or as many as it has places if those are fewer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slots {
    group: u32,
    /// The end of the arc that is not part of it.
    after: Id,
    /// The end that is.
    upto: Id,
    count: u32,
    /// Places of a slot; the first `over` slots have one more.
    size: Id,
    over: u32,
}

impl Slots {
    pub(crate) fn new(places: Places, group: u32) -> Self {
        let arc = places.arc(group);
        let (count, size, over) = match arc.is_full() {
            // The whole circle, 2^m places, in 2^5 parts, or in 2^m.
            true => {
                let bits = places.space().bits();
                let count = SLOTS.min(1u32.checked_shl(bits).unwrap_or(SLOTS));
                (count, places.space().zero().plus_power(bits - count.ilog2()), 0)
            }
            false => {
                let length = arc.after.distance_to(arc.upto);
                let count = if length.log2() < SLOTS.checked_ilog2() { small(length) } else { SLOTS };
                let (size, over) = length.div_rem(count.max(1));
                (count.max(1), size, over)
            }
        };
        Self { group, after: arc.after, upto: arc.upto, count, size, over }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = Slot> {
        (0..self.count).map(move |index| Slot { group: self.group, index })
    }

    /// The arc of the slot of this number, which is below [`Slots::count`].
    pub(crate) fn range(&self, index: u32) -> Range {
        Range::new(self.start(index), if index + 1 >= self.count { self.upto } else { self.start(index + 1) })
    }

    /// The slot of a place on the arc.
    pub(crate) fn at(&self, place: Id) -> Slot {
        // Of the place before it, so that offsets begin with 0 and the whole circle needs no case of its own.
        let offset = self.after.plus_power(0).distance_to(place);
        let (mut low, mut high) = (0, self.count);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.offset(middle) <= offset { low = middle } else { high = middle }
        }
        Slot { group: self.group, index: low }
    }

    fn start(&self, index: u32) -> Id {
        self.after.plus(self.offset(index))
    }

    /// Places of all slots before this one; the index is below the count.
    fn offset(&self, index: u32) -> Id {
        let zero = self.after.space().zero();
        let extra = self.after.space().id(u64::from(index.min(self.over))).unwrap_or(zero);
        self.size.times(index).plus(extra)
    }
}

/// A number below 2^32.
fn small(number: Id) -> u32 {
    let bytes = number.to_array();
    bytes.iter().skip(16).fold(0, |value, byte| value << 8 | u32::from(*byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ring::Space;

    use super::*;

    #[test]
    fn slots_cover_the_circle_exactly_and_a_place_is_in_the_slot_that_is_named() {
        for bits in [3, 5, 8, 10] {
            let space = Space::new(bits).unwrap();
            for groups in (1..=(1 << bits).min(40)).step_by(3) {
                let places = Places::grouped(space, groups).unwrap();
                for number in 0..1u64 << bits {
                    let place = space.id(number).unwrap();
                    let mut holding = Vec::new();
                    for group in 0..groups {
                        let slots = Slots::new(places, group);
                        holding.extend(slots.iter().filter(|slot| slots.range(slot.index).contains(place)));
                    }
                    let named = Slots::new(places, places.group_at(place)).at(place);
                    assert_eq!(holding, [named], "{bits} bits, {groups} groups, place {number}");
                }
            }
        }
    }

    #[test]
    fn slots_are_as_equal_as_can_be() {
        let space = Space::new(10).unwrap();
        let slots = Slots::new(Places::grouped(space, 3).unwrap(), 0);
        assert_eq!(slots.count(), 32);
        let sizes: Vec<u32> =
            (0..32).map(|index| slots.range(index)).map(|range| small(range.after.distance_to(range.upto))).collect();
        assert_eq!(sizes.iter().sum::<u32>(), 342);
        assert!(sizes.iter().all(|size| (10..=11).contains(size)));
        assert_eq!(Slots::new(Places::grouped(Space::new(4).unwrap(), 2).unwrap(), 1).count(), 8);
    }

    proptest! {
        #[test]
        fn in_wide_spaces_too(bytes: [u8; 20], groups in 1u32..2_000, bits in 33u32..=160) {
            let space = Space::new(bits).unwrap();
            let places = Places::grouped(space, groups).unwrap();
            let place = space.truncate(bytes);
            let slots = Slots::new(places, places.group_at(place));
            let slot = slots.at(place);
            prop_assert!(slots.range(slot.index).contains(place));
            let beside = (slot.index + 1) % slots.count();
            prop_assert!(!slots.range(beside).contains(place));
            prop_assert_eq!(slots.range(slots.count() - 1).upto, places.arc(slot.group).upto);
            prop_assert_eq!(slots.range(0).after, places.arc(slot.group).after);
        }
    }
}
