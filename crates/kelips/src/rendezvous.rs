//! Rendezvous hashing: every member has a weight for a slot, and the heaviest is its arbiter.
//!
//! A membership change moves only slots of the member that came or went, and all who know the same members agree.

use ring::{Id, Places};

use crate::Slot;
use crate::slots::Slots;

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014; Stafford's variant 13): a bijection whose output bits each depend
/// on every input bit. Identifiers are spread already; no cryptographic hash is needed to rank them.
pub(crate) fn mix(mut value: u64) -> u64 {
    value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

/// 20 bytes in 64 bits, starting from `seed`.
pub(crate) fn fold(seed: u64, bytes: [u8; 20]) -> u64 {
    bytes.chunks(8).fold(seed, |state, chunk| {
        let word = chunk.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
        mix(state.wrapping_add(0x9e37_79b9_7f4a_7c15) ^ word)
    })
}

/// The weight of a member for a slot.
pub(crate) fn weight(slot: Slot, member: Id) -> u64 {
    fold(mix(u64::from(slot.group) << 32 | u64::from(slot.index)), member.to_array())
}

/// The order of rendezvous: the heaviest first, at equal weights the lower identifier.
pub(crate) fn rank(slot: Slot, member: Id) -> impl Ord {
    (std::cmp::Reverse(weight(slot, member)), member)
}

/// Who of all `members` is the arbiter of a place: of the place's group or, if nobody is in it, of the next group that has
/// anybody. None without members.
///
/// The global truth, for tests and for checking; nodes decide by the same rule among those they know.
pub fn arbiter(places: Places, place: Id, members: &[Id]) -> Option<Id> {
    let group = places.group_at(place);
    let slot = Slots::new(places, group).at(place);
    let next = |member: &Id| (places.group_of(*member) + places.groups() - group) % places.groups();
    let serving = members.iter().map(next).min()?;
    members.iter().copied().filter(|member| next(member) == serving).min_by_key(|member| rank(slot, *member))
}

#[cfg(test)]
mod tests {
    use ring::Space;

    use super::*;

    #[test]
    fn the_weight_is_what_every_build_computes() {
        // SplitMix64 seeded with 0 gives these as its first outputs.
        assert_eq!(mix(0x9e37_79b9_7f4a_7c15), 0xe220_a839_7b1d_cdaf);
        assert_eq!(mix(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(2)), 0x6e78_9e6a_a1b9_65f4);
    }

    #[test]
    fn arbiters_are_spread_evenly_and_move_only_to_or_from_who_came_or_went() {
        let places = Places::grouped(Space::SHA1, 1).unwrap();
        let members: Vec<Id> = (0..17u32).map(|number| Space::SHA1.hash(&number.to_be_bytes())).collect();
        let mut wins = vec![0; members.len()];
        for number in 0..8_500u32 {
            let slot = Slot { group: number, index: 1 };
            let best = |among: &[Id]| (0..among.len()).min_by_key(|&at| rank(slot, among[at])).unwrap();
            let (all, without_last) = (best(&members), best(&members[..16]));
            wins[all] += 1;
            assert!(all == 16 || all == without_last);
        }
        assert!(wins.iter().all(|&won| (400..600).contains(&won)), "{wins:?}");
        assert_eq!(arbiter(places, members[3], &[]), None);
        assert_eq!(arbiter(places, members[3], &members[..1]), Some(members[0]));
    }

    #[test]
    fn an_empty_groups_keys_belong_to_the_next_group_with_members() {
        let space = Space::new(7).unwrap();
        let places = Places::grouped(space, 4).unwrap();
        let id = |number| space.id(number).unwrap();
        let members = [id(4), id(7), id(11)]; // groups 0, 3, 3
        let of_group = |group| arbiter(places, places.arc(group).upto, &members).unwrap();
        assert_eq!(of_group(0), id(4));
        assert!([id(7), id(11)].contains(&of_group(1)));
        assert!([id(7), id(11)].contains(&of_group(2)));
        assert!([id(7), id(11)].contains(&of_group(3)));
        assert_eq!(arbiter(places, places.arc(1).upto, &[id(4), id(5)]), Some(id(5)));
        assert_eq!(arbiter(places, places.arc(2).upto, &[id(4), id(5)]), Some(id(4)));
    }
}
