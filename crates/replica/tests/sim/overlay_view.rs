//! The overlay, as each node sees it: right after a while, and of its own side of a partition only.
//!
//! There are three kinds of it, as far as sets are concerned; each story is told in all of them, by its seed.

use overlay::{Known, Peer, Share, State, Time, View};
use replica::Member;
use ring::{Id, Range};

use crate::world::{MS, World};

/// How an overlay divides the circle.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Layout {
    /// The owner is the next node clockwise, and holds what it owns with those after it (Chord).
    Successor,
    /// The owner is the closest node on either side; with whom it holds an identifier depends on where that lies (Pastry).
    Closest,
    /// A slot of the circle has an owner that chooses its holders, and they stay when the owner changes (Kelips).
    Apart,
}

impl Layout {
    pub(crate) fn of(seed: u64) -> Self {
        [Self::Apart, Self::Successor, Self::Closest][(seed % 3) as usize]
    }
}

/// Identifiers in a slot, where there are slots.
const SLOT: u64 = 8;

fn number(id: Id) -> u64 {
    id.to_bytes().iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// The slot of an identifier: its number.
fn slot_of(id: Id) -> u64 {
    number(id) / SLOT
}

/// Some order of nodes for each slot and purpose.
fn weight(slot: u64, node: Id, purpose: u64) -> u64 {
    let mut mixed = slot << 32 | number(node) << 8 | purpose;
    for _ in 0..2 {
        mixed = (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    }
    mixed ^ mixed >> 32
}

impl World {
    /// Everybody learns of a change a little later.
    pub(crate) fn changed(&mut self) {
        for node in 0..self.nodes.len() {
            let delay = 50 * MS + self.below(1_500 * MS);
            self.at(delay, Some(node), move |world| world.show_view(node));
        }
    }

    fn visible(&self, node: usize) -> bool {
        let node = &self.nodes[node];
        node.up && node.in_ring && !node.paused
    }

    pub(crate) fn reaches(&self, one: usize, other: usize) -> bool {
        self.nodes[one].side == self.nodes[other].side
    }

    /// Nodes in the ring, by identifier.
    pub(crate) fn ring(&self) -> Vec<usize> {
        let mut ring: Vec<usize> = (0..self.nodes.len()).filter(|node| self.visible(*node)).collect();
        ring.sort_by_key(|node| self.nodes[*node].id);
        ring
    }

    /// The owner of an identifier, then the next ones.
    pub(crate) fn owners(&self, id: Id) -> Vec<usize> {
        self.in_line(self.ring(), id)
    }

    /// The same as far as this node can reach.
    pub(crate) fn owners_seen_by(&self, node: usize, id: Id) -> Vec<usize> {
        self.in_line(self.ring_seen_by(node), id)
    }

    fn ring_seen_by(&self, node: usize) -> Vec<usize> {
        let mut ring = self.ring();
        ring.retain(|other| self.reaches(node, *other));
        ring
    }

    /// The owner, then whoever comes next: as holders, or as owners once it is gone.
    fn in_line(&self, mut ring: Vec<usize>, id: Id) -> Vec<usize> {
        match self.layout {
            Layout::Successor => {}
            Layout::Closest => {
                ring.sort_by_key(|node| (self.nodes[*node].id.gap(id), self.nodes[*node].id));
                return ring;
            }
            Layout::Apart => {
                ring.sort_by_key(|node| weight(slot_of(id), self.nodes[*node].id, 0));
                return ring;
            }
        }
        let first = ring.iter().position(|node| self.nodes[*node].id >= id).unwrap_or(0);
        ring.iter().cycle().skip(first).take(ring.len()).copied().collect()
    }

    /// Who holds an identifier once all is well, in no particular order.
    pub(crate) fn holders(&self, id: Id) -> Vec<usize> {
        let owners: Vec<usize> = self.owners(id).into_iter().filter(|node| !self.nodes[*node].leaving).collect();
        let chosen = owners.first().and_then(|owner| self.nodes[*owner].holdings.find(id));
        match (self.layout, chosen) {
            (Layout::Apart, Some(holding)) => {
                holding.set.members.iter().map(|member| self.node_of(&member.peer)).collect()
            }
            _ => owners.into_iter().take(self.config.replicas).collect(),
        }
    }

    /// Whom a slot's owner wants as its holders: those it has, as long as they are not too far down in the slot's
    /// order, then the next in that order.
    fn chosen(&self, node: usize, id: Id) -> Vec<usize> {
        let mut candidates = self.owners_seen_by(node, id);
        candidates.sort_by_key(|other| weight(slot_of(id), self.nodes[*other].id, 1));
        let present = self.nodes[node].holdings.find(id).map(|holding| holding.set.clone());
        let stays = |rank: usize, other: usize| {
            let present = present.as_ref().is_some_and(|set| set.includes(&self.member(other)));
            present && rank < self.config.replicas + 2
        };
        let (mut stay, mut fill) = (Vec::new(), Vec::new());
        for (rank, other) in candidates.into_iter().enumerate() {
            if stays(rank, other) { stay.push(other) } else { fill.push(other) }
        }
        stay.extend(fill);
        stay
    }

    /// The arcs that a node owns, with whom it wants as their holders.
    fn shares(&self, node: usize) -> Vec<Share> {
        let most = self.config.replicas + 2;
        let share = |range: Range, holders: Vec<usize>| Share {
            range,
            holders: holders.into_iter().take(most).map(|holder| self.peer(holder)).collect(),
        };
        let id = |number: u64| self.space.id(number % (1 << self.space.bits())).unwrap();
        let circle = 1 << self.space.bits();
        let ring = self.ring_seen_by(node);
        let owners = |id: Id| self.in_line(ring.clone(), id);
        let mut shares: Vec<Share> = Vec::new();
        match self.layout {
            Layout::Successor => {
                let holders = owners(self.nodes[node].id);
                let before = *holders.last().unwrap();
                shares.push(share(Range::new(self.nodes[before].id, self.nodes[node].id), holders));
            }
            Layout::Apart => {
                for slot in 0..circle / SLOT {
                    let last = id(slot * SLOT + SLOT - 1);
                    if owners(last).first() == Some(&node) {
                        let range = Range::new(id(slot * SLOT + circle - 1), last);
                        shares.push(share(range, self.chosen(node, last)));
                    }
                }
            }
            Layout::Closest => {
                for place in 0..circle {
                    let holders = owners(id(place));
                    if holders.first() != Some(&node) {
                        continue;
                    }
                    let set = |holders: &[Peer]| {
                        let mut set: Vec<Id> = holders.iter().take(self.config.replicas).map(|peer| peer.id).collect();
                        set.sort_unstable();
                        set
                    };
                    let one = share(Range::new(id(place + circle - 1), id(place)), holders);
                    match shares.last_mut() {
                        Some(last) if last.range.upto == one.range.after && set(&last.holders) == set(&one.holders) => {
                            last.range = Range::new(last.range.after, one.range.upto);
                        }
                        _ => shares.push(one),
                    }
                }
            }
        }
        shares
    }

    pub(crate) fn peer(&self, node: usize) -> Peer {
        let node = &self.nodes[node];
        Peer { id: node.id, addr: node.addr.clone(), incarnation: node.incarnation }
    }

    pub(crate) fn member(&self, node: usize) -> Member {
        Member { peer: self.peer(node), store: self.nodes[node].store }
    }

    /// The same node as it is now.
    pub(crate) fn at_now(&self, peer: &Peer) -> Peer {
        self.peer(self.node_of(peer))
    }

    pub(crate) fn node_of(&self, peer: &Peer) -> usize {
        self.nodes.iter().position(|node| node.id == peer.id).unwrap()
    }

    fn show_view(&mut self, node: usize) {
        let mut known = Vec::new();
        for other in 0..self.nodes.len() {
            let alive = self.visible(other) && self.reaches(node, other);
            if other == node || self.nodes[other].left {
                continue;
            }
            if alive {
                self.nodes[node].met.insert(other);
            }
            if self.nodes[node].met.contains(&other) {
                let stopped = self.nodes[other].stopped.map(Time);
                known.push(Known { peer: self.peer(other), alive, stopped, left: false, rtt: None });
            }
        }
        let me = &self.nodes[node];
        let state = match (me.in_ring, me.leaving) {
            (true, true) => State::Leaving,
            (true, false) => State::Ready,
            _ => State::Joining,
        };
        let shares = if self.visible(node) { self.shares(node) } else { Vec::new() };
        let view = View { me: self.peer(node), state, ring: None, shares, known };
        let (now, wall_ms) = (self.time(), self.wall_ms(node));
        self.nodes[node].control.on_view(now, &view, wall_ms);
        self.effects(node);
    }
}
