//! What a node owns: the keys that are numerically closer to it than to any other node.
//!
//! Half way between two nodes the lower identifier has the key. Copies go to the next closest nodes, so who
//! they are changes inside one node's arc: it falls into shares, each with one set of holders.

use overlay::{Peer, Share};
use ring::{Id, Range};

use crate::leaf_set::{LeafSet, Side};

/// Of the places from `a` clockwise to `b`, the last that is `a`'s: half way, and there the lower identifier's.
pub(crate) fn boundary(a: Id, b: Id) -> Id {
    let apart = a.distance_to(b);
    let half = apart.half();
    let tie = half.plus(half) == apart;
    let last = a.plus(half);
    if tie && b < a { last.minus(a.space().zero().plus_power(0)) } else { last }
}

/// How `peers` are ranked for a key: numerically closest first, of two that are equally close the lower identifier.
pub(crate) fn closeness(id: Id, key: Id) -> (Id, Id) {
    (id.gap(key), id)
}

impl LeafSet {
    /// The keys that `me`, whose set this is, is the closest node to.
    pub(crate) fn arc(&self, me: Id) -> Range {
        match (self.nearest(Side::Smaller), self.nearest(Side::Larger)) {
            (Some(smaller), Some(larger)) => Range::new(boundary(smaller.id, me), boundary(me, larger.id)),
            _ => Range::full(me),
        }
    }

    /// The arc of `me`, cut where the `replicas` closest nodes, as a set, change. Holders, `holders_max` at most, are
    /// in order of their closeness to the middle of the share.
    pub(crate) fn shares(&self, me: &Peer, replicas: usize, holders_max: usize) -> Vec<Share> {
        let mut shares: Vec<Share> = Vec::new();
        for range in self.cut(me, replicas) {
            let holders = self.closest(me, middle(range), holders_max);
            match shares.last_mut() {
                Some(last) if same_set(&last.holders, &holders, replicas) => {
                    last.range = Range::new(last.range.after, range.upto);
                    last.holders = self.closest(me, middle(last.range), holders_max);
                }
                _ => shares.push(Share { range, holders }),
            }
        }
        shares
    }

    /// The *k* closest nodes to a key are *k* neighbours on the circle. As the key moves clockwise the last
    /// of them gives way to the next one ahead half way between the two: so it takes only these midpoints.
    fn cut(&self, me: &Peer, replicas: usize) -> Vec<Range> {
        let arc = self.arc(me.id);
        if self.peers().len() < replicas {
            return vec![arc];
        }
        let mut cuts: Vec<Id> = Vec::new();
        for behind in 1..replicas {
            let smaller = self.side(Side::Smaller).get(behind - 1);
            let larger = self.side(Side::Larger).get(replicas - behind - 1);
            if let (Some(smaller), Some(larger)) = (smaller, larger) {
                cuts.push(boundary(smaller.id, larger.id));
            }
        }
        cuts.retain(|&cut| arc.contains(cut));
        cuts.sort_by_key(|&cut| arc.after.distance_to(cut));
        let mut ranges = Vec::new();
        let mut rest = arc;
        for cut in cuts {
            if let [head, tail] = rest.split_at(cut)[..] {
                ranges.push(head);
                rest = tail;
            }
        }
        ranges.push(rest);
        ranges
    }

    /// This node and its leaves by their closeness to a key: distinct processes, `limit` at most.
    pub(crate) fn closest(&self, me: &Peer, key: Id, limit: usize) -> Vec<Peer> {
        let mut nodes: Vec<((Id, Id), &Peer)> = vec![(closeness(me.id, key), me)];
        for side in [Side::Smaller, Side::Larger] {
            // A key of this node's arc, or near it, has its closest among the nearest of either side.
            nodes.extend(self.side(side).iter().map(|leaf| (closeness(leaf.id, key), leaf)));
        }
        nodes.sort();
        let mut closest: Vec<Peer> = Vec::with_capacity(limit);
        for (_, node) in nodes {
            if closest.len() >= limit {
                break;
            }
            if !closest.iter().any(|seen| seen.id == node.id || seen.addr == node.addr) {
                closest.push(node.clone());
            }
        }
        closest
    }
}

/// A place in the middle of an arc; of the whole circle its opening.
fn middle(range: Range) -> Id {
    if range.is_full() {
        return range.upto;
    }
    let one = range.upto.space().zero().plus_power(0);
    range.upto.minus(range.after.distance_to(range.upto).minus(one).half())
}

/// The first `count` of both lists are the same nodes in some order.
fn same_set(one: &[Peer], other: &[Peer], count: usize) -> bool {
    let (one, other) = (one.iter().take(count), other.get(..count).unwrap_or(other));
    one.len() == other.len() && one.into_iter().all(|peer| other.contains(peer))
}

#[cfg(test)]
mod tests {
    use overlay::Addr;
    use proptest::collection::btree_set;
    use proptest::prelude::*;
    use ring::Space;

    use super::*;
    use crate::testing::{id, peer};

    #[test]
    fn half_way_is_the_lower_identifiers() {
        assert_eq!(boundary(id(10), id(20)), id(15));
        assert_eq!(boundary(id(10), id(21)), id(15));
        // Over zero the one ahead is the lower: it has the place half way.
        assert_eq!(boundary(id(0x00ff_fffe), id(0x2)), id(0x00ff_ffff));
        assert_eq!(boundary(id(0x00ff_fffe), id(0x3)), id(0));
        assert_eq!(boundary(id(5), id(6)), id(5));
    }

    #[test]
    fn a_node_alone_owns_everything_and_one_of_two_a_half() {
        let mut set = LeafSet::new(id(0x10), 4);
        assert_eq!(set.shares(&peer(0x10), 3, 8), [Share { range: Range::full(id(0x10)), holders: vec![peer(0x10)] }]);
        set.insert(&peer(0x20));
        let shares = set.shares(&peer(0x10), 3, 8);
        assert_eq!(shares.len(), 1);
        assert_eq!(shares[0].range, Range::new(id(0x80_0017), id(0x18)));
        assert_eq!(shares[0].holders, [peer(0x10), peer(0x20)]);
    }

    #[test]
    fn two_identifiers_of_one_process_hold_one_copy() {
        let mut set = LeafSet::new(id(0x10), 4);
        set.insert(&Peer { addr: peer(0x10).addr, ..peer(0x11) });
        set.insert(&peer(0x20));
        let shares = set.shares(&peer(0x10), 2, 8);
        assert!(shares.iter().all(|share| share.holders == [peer(0x10), peer(0x20)]), "{shares:?}");
    }

    fn node(space: Space, number: u64) -> Peer {
        let addr = Addr::new(&format!("node{number}:1")).unwrap();
        Peer { id: space.id(number).unwrap(), addr, incarnation: 1 }
    }

    proptest! {
        #[test]
        fn every_place_is_its_closest_nodes_and_every_share_has_the_closest_holders(
            bits in 3u32..=9, numbers in btree_set(0u64..512, 1..24), replicas in 1usize..=5,
        ) {
            let space = Space::new(bits).unwrap();
            let members: std::collections::BTreeSet<u64> = numbers.into_iter().map(|number| number % (1 << bits)).collect();
            let members: Vec<Peer> = members.into_iter().map(|number| node(space, number)).collect();
            let shares: Vec<(Peer, Share)> = members.iter().flat_map(|me| {
                let mut set = LeafSet::new(me.id, 8);
                members.iter().for_each(|other| { set.insert(other); });
                set.shares(me, replicas, 2 * replicas + 2).into_iter().map(|share| (me.clone(), share)).collect::<Vec<_>>()
            }).collect();
            for place in 0..1u64 << bits {
                let place = space.id(place).unwrap();
                let mut closest = members.clone();
                closest.sort_by_key(|peer| closeness(peer.id, place));
                let mut claims = shares.iter().filter(|(_, share)| share.range.contains(place));
                let (owner, share) = claims.next().expect("every place has an owner");
                prop_assert!(claims.next().is_none(), "{place} is owned twice");
                prop_assert_eq!(owner, &closest[0]);
                prop_assert_eq!(&share.holders[0], owner);
                closest.truncate(replicas);
                prop_assert!(same_set(&share.holders, &closest, replicas), "{place}: {:?}, not {closest:?}", share.holders);
                prop_assert!(share.holders.len() >= members.len().min(replicas));
            }
            for (me, _) in &shares {
                let mut own = shares.iter().filter(|(owner, _)| owner == me).map(|(_, share)| share);
                let mut last = own.next().unwrap();
                for next in own {
                    prop_assert_eq!(last.range.upto, next.range.after);
                    prop_assert!(!same_set(&last.holders, &next.holders, replicas));
                    last = next;
                }
            }
        }
    }
}
