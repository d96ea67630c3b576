use overlay::Peer;
use ring::{Id, Range};

/// The nodes next to this one on the circle: |L|/2 with the next smaller identifiers and |L|/2 with the next larger
/// ones, each side nearest first (Rowstron and Druschel 2001, §2.1).
///
/// Identifiers wrap round, so "smaller" means counter-clockwise. In a ring of |L| nodes or fewer a node may
/// appear on both sides, once on each: then the sides meet, and the set names the whole ring.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct LeafSet {
    me: Id,
    half: usize,
    smaller: Vec<Peer>,
    larger: Vec<Peer>,
}

/// Which way round.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Side {
    Smaller,
    Larger,
}

impl LeafSet {
    pub(crate) fn new(me: Id, half: usize) -> Self {
        Self { me, half: half.max(1), smaller: Vec::new(), larger: Vec::new() }
    }

    /// Nearest first.
    pub(crate) fn side(&self, side: Side) -> &[Peer] {
        match side {
            Side::Smaller => &self.smaller,
            Side::Larger => &self.larger,
        }
    }

    /// Takes a node in on either side where it is among the nearest |L|/2. True if that changed anything.
    /// A newer life of a leaf replaces it; an older one is passed over.
    ///
    /// A side that lost leaves has room, but not for what lies among those of the other side: who is next there is just not
    /// known yet. See [`LeafSet::rebalance`] for when the ring has become that small.
    pub(crate) fn insert(&mut self, peer: &Peer) -> bool {
        if peer.id == self.me {
            return false;
        }
        let [smaller, larger] = [Side::Smaller, Side::Larger].map(|side| self.may_be_on(side, peer.id));
        let on_smaller = smaller && self.insert_on(Side::Smaller, peer);
        larger && self.insert_on(Side::Larger, peer) || on_smaller
    }

    /// Whether a node can be a leaf on this side: everybody can while the sides meet, else nobody who lies among the other
    /// side's leaves.
    fn may_be_on(&self, side: Side, id: Id) -> bool {
        let other = match side {
            Side::Smaller => Side::Larger,
            Side::Larger => Side::Smaller,
        };
        let beyond = |last: &Peer| offset(self.me, other, last.id) < offset(self.me, other, id);
        self.side(side).iter().any(|leaf| leaf.id == id) || self.meets() || self.farthest(other).is_none_or(beyond)
    }

    fn insert_on(&mut self, side: Side, peer: &Peer) -> bool {
        let (me, half) = (self.me, self.half);
        let leaves = match side {
            Side::Smaller => &mut self.smaller,
            Side::Larger => &mut self.larger,
        };
        if let Some(known) = leaves.iter_mut().find(|leaf| leaf.id == peer.id) {
            let newer = known.incarnation < peer.incarnation;
            if newer {
                *known = peer.clone();
            }
            return newer;
        }
        let at = leaves.partition_point(|leaf| offset(me, side, leaf.id) < offset(me, side, peer.id));
        if at >= half {
            return false;
        }
        leaves.insert(at, peer.clone());
        leaves.truncate(half);
        true
    }

    /// Every leaf is offered to both sides again: the set names the whole ring, so that a side which has lost a leaf is
    /// filled from the other.
    pub(crate) fn rebalance(&mut self) {
        for peer in self.peers() {
            self.insert_on(Side::Smaller, &peer);
            self.insert_on(Side::Larger, &peer);
        }
    }

    /// A short side's last leaf has shown its own leaf set: if nobody in it lies beyond both sides, they meet.
    pub(crate) fn is_closed_by(&self, last: &Peer, shown: &[Peer]) -> bool {
        let beyond = |peer: &Peer| !self.span().contains(peer.id);
        let asked = |side: &Side| self.is_short(*side) && self.farthest(*side).is_some_and(|leaf| leaf.id == last.id);
        !self.is_one_sided() && [Side::Smaller, Side::Larger].iter().any(asked) && !shown.iter().any(beyond)
    }

    /// Drops this life of a node; true if it was there.
    pub(crate) fn remove(&mut self, peer: &Peer) -> bool {
        let before = self.smaller.len() + self.larger.len();
        let other = |leaf: &Peer| (leaf.id, leaf.incarnation) != (peer.id, peer.incarnation);
        self.smaller.retain(other);
        self.larger.retain(other);
        self.smaller.len() + self.larger.len() < before
    }

    pub(crate) fn get(&self, id: Id) -> Option<&Peer> {
        self.smaller.iter().chain(&self.larger).find(|leaf| leaf.id == id)
    }

    /// This life of the node, or a newer one, is a leaf.
    pub(crate) fn contains(&self, peer: &Peer) -> bool {
        self.get(peer.id).is_some_and(|leaf| leaf.incarnation >= peer.incarnation)
    }

    /// Whether [`LeafSet::insert`] would change anything.
    pub(crate) fn would_take(&self, peer: &Peer) -> bool {
        if peer.id == self.me {
            return false;
        }
        if let Some(leaf) = self.get(peer.id) {
            return leaf.incarnation < peer.incarnation;
        }
        [Side::Smaller, Side::Larger].into_iter().any(|side| {
            let leaves = self.side(side);
            let nearer = |leaf: &Peer| offset(self.me, side, peer.id) < offset(self.me, side, leaf.id);
            let room = leaves.len() < self.half || leaves.last().is_some_and(nearer);
            room && self.may_be_on(side, peer.id)
        })
    }

    pub(crate) fn nearest(&self, side: Side) -> Option<&Peer> {
        self.side(side).first()
    }

    pub(crate) fn farthest(&self, side: Side) -> Option<&Peer> {
        self.side(side).last()
    }

    /// Fewer than |L|/2 on a side, though the sides don't meet: leaves were lost there and not replaced yet.
    pub(crate) fn is_short(&self, side: Side) -> bool {
        self.side(side).len() < self.half && !self.meets()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.smaller.is_empty() && self.larger.is_empty()
    }

    /// A side ran empty while the other did not.
    pub(crate) fn is_one_sided(&self) -> bool {
        self.smaller.is_empty() != self.larger.is_empty()
    }

    /// Every leaf once: the smaller ones, nearest first, then the others.
    pub(crate) fn peers(&self) -> Vec<Peer> {
        let mut peers = self.smaller.clone();
        peers.extend(self.larger.iter().filter(|leaf| !self.smaller.iter().any(|seen| seen.id == leaf.id)).cloned());
        peers
    }

    /// The sides meet, so that the set names the whole ring; also when there is nobody else.
    pub(crate) fn meets(&self) -> bool {
        self.is_empty() || self.smaller.iter().any(|leaf| self.larger.iter().any(|other| other.id == leaf.id))
    }

    /// From the farthest smaller leaf to the farthest larger one, both included; the whole circle where the sides meet.
    pub(crate) fn span(&self) -> Range {
        let ends = (self.farthest(Side::Smaller), self.farthest(Side::Larger));
        match ends {
            _ if self.meets() => Range::full(self.me),
            (smaller, larger) => {
                let one = self.me.space().zero().plus_power(0);
                let from = smaller.map_or(self.me, |leaf| leaf.id);
                Range::new(from.minus(one), larger.map_or(self.me, |leaf| leaf.id))
            }
        }
    }
}

/// How far it is from `me` to `id` on that side.
fn offset(me: Id, side: Side, id: Id) -> Id {
    match side {
        Side::Smaller => id.distance_to(me),
        Side::Larger => me.distance_to(id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{id, peer};

    fn set(me: u64, half: usize, others: &[u64]) -> LeafSet {
        let mut set = LeafSet::new(id(me), half);
        others.iter().for_each(|&other| {
            set.insert(&peer(other));
        });
        set
    }

    fn sides(set: &LeafSet) -> (Vec<Id>, Vec<Id>) {
        let ids = |side| set.side(side).iter().map(|leaf| leaf.id).collect();
        (ids(Side::Smaller), ids(Side::Larger))
    }

    fn ids(numbers: &[u64]) -> Vec<Id> {
        numbers.iter().map(|&number| id(number)).collect()
    }

    #[test]
    fn each_side_keeps_the_nearest_in_whatever_order_they_come() {
        let set = set(0x80, 2, &[0x10, 0x90, 0x7f, 0xf0, 0x81, 0x70, 0xa0]);
        assert_eq!(sides(&set), (ids(&[0x7f, 0x70]), ids(&[0x81, 0x90])));
        assert!(!set.meets());
        assert_eq!(set.span(), Range::new(id(0x6f), id(0x90)));
        assert!(set.span().contains(id(0x70)) && !set.span().contains(id(0x6f)));
    }

    #[test]
    fn sides_wrap_round_zero() {
        let set = set(0x02, 2, &[0x00ff_fff0, 0x00ff_ffff, 0x10, 0x20, 0x0080_0000]);
        assert_eq!(sides(&set), (ids(&[0x00ff_ffff, 0x00ff_fff0]), ids(&[0x10, 0x20])));
    }

    #[test]
    fn in_a_small_ring_a_node_is_on_both_sides_and_the_set_names_the_whole_ring() {
        let set = set(0x80, 4, &[0x90, 0x70]);
        assert_eq!(sides(&set), (ids(&[0x70, 0x90]), ids(&[0x90, 0x70])));
        assert!(set.meets() && set.span().is_full());
        assert_eq!(set.peers().len(), 2);
    }

    #[test]
    fn a_lost_leaf_is_replaced_from_the_other_side_where_the_sides_meet() {
        let mut set = set(0x80, 2, &[0x70, 0x90, 0x60]);
        assert_eq!(sides(&set), (ids(&[0x70, 0x60]), ids(&[0x90, 0x60])));
        assert!(set.remove(&peer(0x70)));
        set.rebalance();
        assert_eq!(sides(&set), (ids(&[0x60, 0x90]), ids(&[0x90, 0x60])));
    }

    #[test]
    fn a_side_that_lost_leaves_is_short_and_says_what_it_would_take() {
        let mut set = set(0x80, 2, &[0x60, 0x70, 0x90, 0xa0]);
        assert!(!set.would_take(&peer(0x50)) && set.would_take(&peer(0x65)));
        assert!(!set.would_take(&peer(0x80)) && !set.would_take(&peer(0x70)));
        set.remove(&peer(0x70));
        assert!(set.is_short(Side::Smaller) && !set.is_short(Side::Larger));
        assert!(set.would_take(&peer(0x50)));
        set.remove(&peer(0x60));
        assert!(set.is_one_sided());
    }

    #[test]
    fn what_lies_among_the_leaves_of_one_side_does_not_fill_the_other() {
        let mut set = set(0x80, 2, &[0x60, 0x70, 0x90, 0xa0]);
        set.remove(&peer(0x60));
        for known in [0x90, 0xa0, 0x98] {
            set.insert(&peer(known));
            assert!(!set.meets() && set.side(Side::Smaller) == [peer(0x70)], "{known:x}");
        }
        // What 0x70 shows tells whether anybody is left beyond both sides.
        let shown = |numbers: &[u64]| numbers.iter().map(|&number| peer(number)).collect::<Vec<_>>();
        assert!(!set.is_closed_by(&peer(0x70), &shown(&[0x50, 0x80, 0x90])));
        assert!(!set.is_closed_by(&peer(0x98), &shown(&[0x80, 0x90])));
        assert!(set.is_closed_by(&peer(0x70), &shown(&[0x98, 0x80, 0x90])));
        set.rebalance();
        assert_eq!(sides(&set), (ids(&[0x70, 0x98]), ids(&[0x90, 0x98])));
        // And a node beyond both may be on either.
        let mut set = self::set(0x80, 2, &[0x60, 0x70, 0x90, 0xa0]);
        set.remove(&peer(0x60));
        assert!(set.insert(&peer(0xf0)));
        assert_eq!(sides(&set), (ids(&[0x70, 0xf0]), ids(&[0x90, 0xa0])));
    }

    #[test]
    fn a_failure_of_a_life_that_was_never_held_drops_no_other() {
        let mut set = set(0x80, 2, &[0x90]);
        assert!(!set.remove(&Peer { incarnation: 7, ..peer(0x90) }));
        assert!(set.remove(&peer(0x90)));
    }

    #[test]
    fn a_newer_life_replaces_a_leaf_and_an_older_one_changes_nothing() {
        let mut set = set(0x80, 2, &[0x90]);
        let newer = Peer { incarnation: 2, ..peer(0x90) };
        assert!(set.would_take(&newer) && set.insert(&newer));
        assert!(!set.insert(&peer(0x90)));
        assert!(!set.remove(&peer(0x90)), "the life that ended was another one");
        assert!(set.remove(&newer) && set.is_empty());
    }
}
