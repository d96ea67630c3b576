use crate::{Id, IdError, Range, Space};

/// Where keys lie on the circle that responsibility is divided on.
///
/// On a ring a key lies at its identifier. In an overlay of affinity groups (Kelips: identifier mod *k*) the keys of a
/// group must be one arc, so that an arc can be handed over: there a key of identifier *i* lies in arc *i mod k* of
/// *k* arcs as equal as can be, ⌊*i* / *k*⌋ from its start. That is a bijection, so nothing collides that did not before.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Places {
    space: Space,
    groups: u32,
    /// Identifiers in a group, and how many groups have one more: 2^m divided by *k*.
    size: Id,
    over: u32,
}

impl From<Space> for Places {
    fn from(space: Space) -> Self {
        Self::plain(space)
    }
}

impl Places {
    /// Each key at its identifier.
    pub fn plain(space: Space) -> Self {
        Self::of_groups(space, 1)
    }

    /// In `groups` arcs: at least 1, and no more than there are identifiers.
    pub fn grouped(space: Space, groups: u32) -> Result<Self, IdError> {
        let fits = groups >= 1 && (space.bits() >= 32 || u64::from(groups) <= 1 << space.bits());
        if fits { Ok(Self::of_groups(space, groups)) } else { Err(IdError::Groups { groups, bits: space.bits() }) }
    }

    fn of_groups(space: Space, groups: u32) -> Self {
        // 2^m itself is no identifier.
        let (mut size, mut over) = space.max().div_rem(groups);
        over += 1;
        if over == groups {
            (size, over) = (size.plus(space.zero().plus_power(0)), 0);
        }
        Self { space, groups, size, over }
    }

    /// The identifiers' space.
    pub fn space(self) -> Space {
        self.space
    }

    /// How many groups there are; 1 on a ring.
    pub fn groups(self) -> u32 {
        self.groups
    }

    /// Where a key of this identifier lies.
    pub fn of(self, id: Id) -> Id {
        let (offset, group) = id.div_rem(self.groups);
        self.start(group).plus(offset)
    }

    /// Where a key lies.
    pub fn of_key(self, key: &[u8]) -> Id {
        self.of(self.space.hash(key))
    }

    /// Where the key of this SHA-1 lies.
    pub fn of_hash(self, hash: [u8; 20]) -> Id {
        self.of(self.space.truncate(hash))
    }

    /// The affinity group of a node, or of a key by its identifier: identifier mod *k*.
    pub fn group_of(self, id: Id) -> u32 {
        id.div_rem(self.groups).1
    }

    /// The group whose arc a place lies in.
    pub fn group_at(self, place: Id) -> u32 {
        let (mut low, mut high) = (0, self.groups);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.start(middle) <= place { low = middle } else { high = middle }
        }
        low
    }

    /// The identifier whose key lies here: the inverse of [`Places::of`].
    pub fn identifier(self, place: Id) -> Id {
        let group = self.group_at(place);
        place.minus(self.start(group)).times(self.groups).plus(self.small(group))
    }

    /// A group's arc.
    pub fn arc(self, group: u32) -> Range {
        let one = self.small(1);
        let end = if group + 1 == self.groups { self.space.zero() } else { self.start(group + 1) };
        Range::new(self.start(group).minus(one), end.minus(one))
    }

    /// The first place of a group's arc. The first 2^m mod *k* groups have one more than the others.
    fn start(self, group: u32) -> Id {
        if self.groups == 1 {
            return self.space.zero();
        }
        self.size.times(group).plus(self.small(group.min(self.over)))
    }

    fn small(self, number: u32) -> Id {
        // Below the number of groups, which fits.
        self.space.id(u64::from(number)).unwrap_or_else(|_| self.space.zero())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_place_of_a_small_space_is_taken_once_and_its_group_is_one_arc() {
        for bits in [3, 5, 8] {
            let space = Space::new(bits).unwrap();
            for groups in 1..=(1 << bits).min(40) {
                let places = Places::grouped(space, groups).unwrap();
                let mut taken = vec![false; 1 << bits];
                for number in 0..1u64 << bits {
                    let id = space.id(number).unwrap();
                    let place = places.of(id);
                    let at = usize::from_str_radix(&place.to_string(), 16).unwrap();
                    assert!(!std::mem::replace(&mut taken[at], true), "{groups} groups: {place} twice");
                    assert_eq!(places.group_of(id), (number % u64::from(groups)) as u32);
                    assert_eq!(places.group_at(place), places.group_of(id));
                    assert!(places.arc(places.group_of(id)).contains(place));
                    assert_eq!(places.identifier(place), id);
                }
            }
        }
    }

    #[test]
    fn one_group_is_the_plain_circle() {
        let id = Space::SHA1.hash(b"key");
        assert_eq!(Places::plain(Space::SHA1).of(id), id);
        assert!(Places::plain(Space::SHA1).arc(0).is_full());
    }

    #[test]
    fn no_groups_and_too_many_are_refused() {
        let space = Space::new(3).unwrap();
        assert!(Places::grouped(space, 0).is_err());
        assert!(Places::grouped(space, 9).is_err());
        assert!(Places::grouped(Space::SHA1, u32::MAX).is_ok());
    }

    proptest! {
        #[test]
        fn wide_identifiers_come_back(bytes: [u8; 20], groups in 1u32..100_000, bits in 33u32..=160) {
            let space = Space::new(bits).unwrap();
            let (places, id) = (Places::grouped(space, groups).unwrap(), space.truncate(bytes));
            let place = places.of(id);
            prop_assert_eq!(places.identifier(place), id);
            prop_assert_eq!(places.group_at(place), places.group_of(id));
            prop_assert!(places.arc(places.group_of(id)).contains(place));
        }
    }
}
