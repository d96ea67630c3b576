//! The overlay, as each node sees it: right after a while, and of its own side of a partition only.

use overlay::{Known, Peer, Share, State, Time, View};
use replica::Member;
use ring::{Id, Range};

use crate::world::{MS, World};

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
        let mut ring = self.ring();
        ring.retain(|other| self.reaches(node, *other));
        self.in_line(ring, id)
    }

    fn in_line(&self, ring: Vec<usize>, id: Id) -> Vec<usize> {
        let first = ring.iter().position(|node| self.nodes[*node].id >= id).unwrap_or(0);
        ring.iter().cycle().skip(first).take(ring.len()).copied().collect()
    }

    pub(crate) fn peer(&self, node: usize) -> Peer {
        let node = &self.nodes[node];
        Peer { id: node.id, addr: node.addr.clone(), incarnation: node.incarnation }
    }

    pub(crate) fn member(&self, node: usize) -> Member {
        Member { peer: self.peer(node), store: self.nodes[node].store }
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
                known.push(Known { peer: self.peer(other), alive, stopped, rtt: None });
            }
        }
        let me = &self.nodes[node];
        let state = match (me.in_ring, me.leaving) {
            (true, true) => State::Leaving,
            (true, false) => State::Ready,
            _ => State::Joining,
        };
        let mut shares = Vec::new();
        if self.visible(node) {
            let holders: Vec<usize> = self.owners_seen_by(node, me.id);
            let before = *holders.last().unwrap();
            let range = Range::new(self.nodes[before].id, me.id);
            let most = self.config.replicas + 2;
            shares.push(Share { range, holders: holders.iter().take(most).map(|holder| self.peer(*holder)).collect() });
        }
        let view = View { me: self.peer(node), state, ring: None, shares, known };
        let (now, wall_ms) = (self.time(), self.wall_ms());
        self.nodes[node].control.on_view(now, &view, wall_ms);
        self.effects(node);
    }
}
