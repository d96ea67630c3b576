//! What the layers above see of a node: its arc with the desired holders, its neighbours, its tables.

use overlay::{Peer, Share};

use crate::fix_fingers::Finger as Leads;
use crate::{Chord, Finger, Table};

impl Chord {
    /// The one arc `(predecessor, me]`, and who should hold it: this node and the next distinct processes,
    /// `replicas` in all.
    ///
    /// The arc grows only when a live node further back has notified this one and the predecessor between
    /// them is dead (rectify); while a predecessor is merely silent its arc is not claimed. It shrinks as soon as
    /// a newcomer notifies, which is before the newcomer is ready to claim anything. In both directions
    /// there is rather nobody than two.
    pub(crate) fn owned_shares(&self) -> Vec<Share> {
        let Some(range) = self.arc().filter(|_| self.stage == crate::chord::Stage::Ready) else {
            return Vec::new();
        };
        let mut holders = vec![self.me.clone()];
        for peer in self.successors.peers() {
            if holders.len() >= self.config.replicas {
                break;
            }
            let known = holders.iter().any(|holder| holder.id == peer.id || holder.addr == peer.addr);
            if !known && !self.silence.is_shunned(peer) {
                holders.push(self.named(peer).peer);
            }
        }
        vec![Share { range, holders }]
    }

    /// The predecessor, then the list in order, each node once and without those that are known to be gone.
    pub(crate) fn distinct_neighbours(&self) -> Vec<Peer> {
        let mut neighbours: Vec<Peer> = Vec::new();
        for peer in self.predecessor.iter().chain(self.successors.peers()) {
            let known = peer.id == self.me.id || neighbours.iter().any(|known| known.id == peer.id);
            if !known && !self.silence.is_shunned(peer) {
                neighbours.push(peer.clone());
            }
        }
        neighbours
    }

    /// The tables with the node itself, repetitions and padding trimmed from the list, and all m fingers.
    pub(crate) fn shown_table(&self) -> Table {
        let member = self.is_member();
        let fingers = (0..self.me.id.space().bits()).map(|power| Finger {
            start: self.me.id.plus_power(power),
            node: match self.finger(power) {
                _ if !member => None,
                Leads::Own => Some(self.me.clone()),
                Leads::Listed(peer) => Some(peer.clone()),
                Leads::Far(peer) => peer.cloned(),
            },
        });
        Table {
            predecessor: self.predecessor.clone(),
            successors: self.successors.in_order(self.me.id).cloned().collect(),
            fingers: fingers.collect(),
        }
    }
}
