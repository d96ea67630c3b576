use std::collections::BTreeMap;
use std::time::Duration;

use overlay::Peer;
use ring::{Id, Range};

use crate::{Entry, Row};

/// The routing table: in row *l* nodes that share the first *l* digits with this one, one for each other
/// digit that may come next (Rowstron and Druschel 2001, §2.1).
///
/// Of several nodes that fit a place the one with the shortest round trip is kept (§2.5).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct RoutingTable {
    me: Id,
    digit_bits: u32,
    entries: BTreeMap<Slot, Peer>,
}

/// A place in the table.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) struct Slot {
    pub(crate) row: u32,
    pub(crate) digit: u32,
}

impl RoutingTable {
    pub(crate) fn new(me: Id, digit_bits: u32) -> Self {
        Self { me, digit_bits, entries: BTreeMap::new() }
    }

    /// Where a node, or a key, belongs; none for this node itself.
    pub(crate) fn slot(&self, id: Id) -> Option<Slot> {
        let row = self.me.shared_digits(id, self.digit_bits);
        (id != self.me).then(|| Slot { row, digit: id.digit(row, self.digit_bits) })
    }

    pub(crate) fn get(&self, slot: Slot) -> Option<&Peer> {
        self.entries.get(&slot)
    }

    /// The entry in the place of this identifier.
    pub(crate) fn toward(&self, id: Id) -> Option<&Peer> {
        self.slot(id).and_then(|slot| self.get(slot))
    }

    /// This life of the node, or a newer one, is in the table.
    pub(crate) fn contains(&self, peer: &Peer) -> bool {
        self.toward(peer.id).is_some_and(|entry| entry.id == peer.id && entry.incarnation >= peer.incarnation)
    }

    /// Offers a live node its place. It gets it if the place is empty, if it is there in an older life, or if its round trip
    /// is shorter; one that was never measured counts as the longest.
    pub(crate) fn offer(&mut self, peer: &Peer, rtt: impl Fn(&Peer) -> Option<Duration>) -> bool {
        let Some(slot) = self.slot(peer.id) else {
            return false;
        };
        let far = |peer: &Peer| rtt(peer).unwrap_or(Duration::MAX);
        let takes = match self.entries.get(&slot) {
            None => true,
            Some(entry) if entry.id == peer.id => entry.incarnation < peer.incarnation,
            Some(entry) => far(peer) < far(entry),
        };
        if takes {
            self.entries.insert(slot, peer.clone());
        }
        takes
    }

    /// Drops this life of a node; the place where it was.
    pub(crate) fn remove(&mut self, peer: &Peer) -> Option<Slot> {
        let slot = self.slot(peer.id)?;
        let same = |entry: &Peer| (entry.id, entry.incarnation) == (peer.id, peer.incarnation);
        self.entries.get(&slot).is_some_and(same).then(|| self.entries.remove(&slot))?;
        Some(slot)
    }

    /// All entries, row by row.
    pub(crate) fn peers(&self) -> impl Iterator<Item = &Peer> {
        self.entries.values()
    }

    pub(crate) fn row(&self, row: u32) -> impl Iterator<Item = &Peer> {
        let (from, to) = (Slot { row, digit: 0 }, Slot { row, digit: u32::MAX });
        self.entries.range(from..=to).map(|(_, peer)| peer)
    }

    /// The next entry after a place, round and round.
    pub(crate) fn next_entry(&self, after: Option<Slot>) -> Option<(Slot, &Peer)> {
        let later = self.entries.iter().find(|(slot, _)| after.is_none_or(|after| **slot > after));
        later.or_else(|| self.entries.first_key_value()).map(|(slot, peer)| (*slot, peer))
    }

    /// The first empty place after `after` whose identifiers do not all lie in `known`: none once all were gone through.
    /// A row whose whole prefix lies there is the last, since all below lie in it as well.
    pub(crate) fn next_empty(&self, after: Option<Slot>, known: Range) -> Option<Slot> {
        let rows = self.me.space().bits().div_ceil(self.digit_bits);
        for row in after.map_or(0, |slot| slot.row)..rows {
            if known.contains_range(self.prefix(row)) {
                return None;
            }
            for digit in 0..1 << self.digit_bits {
                let slot = Slot { row, digit };
                let own = digit == self.me.digit(row, self.digit_bits);
                let passed = after.is_some_and(|after| slot <= after) || own || self.entries.contains_key(&slot);
                if !passed && self.places(slot).is_some_and(|places| !known.contains_range(places)) {
                    return Some(slot);
                }
            }
        }
        None
    }

    /// The identifiers that share this many digits with this node.
    fn prefix(&self, row: u32) -> Range {
        let free = self.me.space().bits().saturating_sub(row * self.digit_bits);
        self.block(self.me, free)
    }

    /// The identifiers that belong in a place. None where the last digit is cut short by the width of
    /// identifiers and can't have that value.
    pub(crate) fn places(&self, slot: Slot) -> Option<Range> {
        let bits = self.me.space().bits();
        let free = bits.saturating_sub((slot.row + 1) * self.digit_bits);
        let missing = ((slot.row + 1) * self.digit_bits).saturating_sub(bits);
        let digit = slot.digit >> missing;
        if digit << missing != slot.digit {
            return None;
        }
        let own = self.me.digit(slot.row, self.digit_bits) >> missing;
        let unit = match free {
            free if free < bits => self.me.space().zero().plus_power(free),
            _ => return None,
        };
        let inside = self.me.minus(unit.times(own)).plus(unit.times(digit));
        Some(self.block(inside, free))
    }

    /// The identifier in the middle of a place's: whoever is closest to it belongs there, if anybody does.
    pub(crate) fn middle(&self, slot: Slot) -> Option<Id> {
        let places = self.places(slot)?;
        Some(places.after.plus(places.after.distance_to(places.upto).half()))
            .filter(|&middle| middle != places.after)
            .or(Some(places.upto))
    }

    /// The identifiers that equal `inside` but for the last `free` bits.
    fn block(&self, inside: Id, free: u32) -> Range {
        let space = self.me.space();
        if free >= space.bits() {
            return Range::full(space.max());
        }
        let mut start = inside;
        for bit in 0..free {
            if start.digit(space.bits() - 1 - bit, 1) == 1 {
                start = start.minus(space.zero().plus_power(bit));
            }
        }
        let before = start.minus(space.zero().plus_power(0));
        Range::new(before, before.plus_power(free))
    }

    /// Rows that have entries, for showing.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let mut rows: Vec<Row> = Vec::new();
        for (slot, node) in &self.entries {
            let entry = Entry { digit: slot.digit, node: node.clone() };
            match rows.last_mut().filter(|row| row.row == slot.row) {
                Some(row) => row.entries.push(entry),
                None => rows.push(Row { row: slot.row, entries: vec![entry] }),
            }
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ring::Space;

    use super::*;
    use crate::testing::{id, peer};

    fn table(entries: &[u64]) -> RoutingTable {
        let mut table = RoutingTable::new(id(0x65_a1fc), 4);
        entries.iter().for_each(|&entry| {
            table.offer(&peer(entry), |_| None);
        });
        table
    }

    #[test]
    fn a_node_belongs_where_its_digits_part_from_ours() {
        let table = table(&[0xd1_3da3, 0x65_a212, 0x65_a1fd]);
        let at = |row, digit| table.get(Slot { row, digit }).cloned();
        assert_eq!(at(0, 0xd), Some(peer(0xd1_3da3)));
        assert_eq!(at(3, 0x2), Some(peer(0x65_a212)));
        assert_eq!(at(5, 0xd), Some(peer(0x65_a1fd)));
        assert_eq!(table.slot(id(0x65_a1fc)), None);
        assert_eq!(table.toward(id(0xd4_6a1c)), Some(&peer(0xd1_3da3)));
        assert_eq!(table.rows().iter().map(|row| row.row).collect::<Vec<_>>(), [0, 3, 5]);
    }

    #[test]
    fn the_nearest_by_round_trip_keeps_the_place_and_an_unmeasured_one_does_not_take_it() {
        let rtt = |peer: &Peer| match peer.id {
            one if one == id(0xd1_0000) => Some(Duration::from_millis(20)),
            one if one == id(0xd2_0000) => Some(Duration::from_millis(5)),
            _ => None,
        };
        let mut table = table(&[]);
        assert!(table.offer(&peer(0xd1_0000), rtt));
        assert!(!table.offer(&peer(0xd3_0000), rtt));
        assert!(table.offer(&peer(0xd2_0000), rtt));
        assert!(!table.offer(&peer(0xd1_0000), rtt));
        assert!(table.contains(&peer(0xd2_0000)) && !table.contains(&peer(0xd1_0000)));
    }

    #[test]
    fn only_the_life_that_ended_is_dropped() {
        let mut table = table(&[0xd1_0000]);
        let newer = Peer { incarnation: 2, ..peer(0xd1_0000) };
        assert!(table.offer(&newer, |_| None));
        assert_eq!(table.remove(&peer(0xd1_0000)), None);
        assert_eq!(table.remove(&peer(0xd1_0001)), None);
        assert_eq!(table.remove(&newer), Some(Slot { row: 0, digit: 0xd }));
    }

    #[test]
    fn empty_places_are_gone_through_except_where_the_leaf_set_knows_everybody() {
        let table = table(&[0x10_0000]);
        let known = Range::new(id(0x5f_ffff), id(0x6f_ffff));
        let mut places = Vec::new();
        let mut at = None;
        while let Some(slot) = table.next_empty(at, known) {
            places.push((slot.row, slot.digit));
            at = Some(slot);
        }
        let expected: Vec<(u32, u32)> =
            (0..16).filter(|digit| ![1, 6].contains(digit)).map(|digit| (0, digit)).collect();
        assert_eq!(places, expected);
        assert_eq!(table.next_empty(None, Range::full(id(0))), None);
    }

    proptest! {
        #[test]
        fn whoever_is_in_a_places_range_belongs_there(
            bits in 3u32..=160, digit_bits in 1u32..=8, me: [u8; 20], other: [u8; 20],
        ) {
            let space = Space::new(bits).unwrap();
            let (me, other) = (space.truncate(me), space.truncate(other));
            let table = RoutingTable::new(me, digit_bits);
            let Some(slot) = table.slot(other) else { return Ok(()) };
            let places = table.places(slot).expect("somebody is there");
            prop_assert!(places.contains(other) && !places.contains(me));
            let middle = table.middle(slot).expect("somebody is there");
            prop_assert_eq!(table.slot(middle), Some(slot));
            prop_assert_eq!(table.slot(places.upto), Some(slot));
            prop_assert_ne!(table.slot(places.after), Some(slot));
            prop_assert!(table.prefix(slot.row).contains_range(places));
        }
    }
}
