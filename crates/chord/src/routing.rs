//! "Who is the successor of this identifier?", from one node's own tables.
//!
//! A node answers for its own arc, answers *from its successor list* for what the list spans, and otherwise
//! names the closest nodes before the target that it knows, fingers and list together. The named owner has
//! the last word: what it does not own any more lies just behind it, and it redirects to its predecessor.

use overlay::{Hop, Peer, Route, Via};
use ring::{Id, Range, between};

use crate::Chord;

/// Nodes named at most when the answer is "closer": the first, and others to go around it.
const CLOSER_MAX: usize = 4;

impl Chord {
    /// The arc `(predecessor, me]`; the whole circle in a ring of one. None while it isn't known.
    pub(crate) fn arc(&self) -> Option<Range> {
        match &self.predecessor {
            Some(predecessor) => Some(Range::new(predecessor.id, self.me.id)),
            None if self.is_alone() => Some(Range::full(self.me.id)),
            None => None,
        }
    }

    pub(crate) fn owns(&self, target: Id) -> bool {
        self.arc().is_some_and(|arc| arc.contains(target))
    }

    pub(crate) fn route_from_tables(&self, target: Id, avoid: &[Id]) -> Route {
        if let Some(arc) = self.arc().filter(|arc| arc.contains(target)) {
            let me = Hop { peer: self.me.clone(), via: Via::Owner };
            let mut hops = distinct(std::iter::once(me).chain(self.successors.peers().map(successor)));
            self.prefer_reachable(&mut hops, avoid);
            return Route::Owners { hops, arc: Some(arc) };
        }
        let listed = self.owners_from_list(target, avoid);
        if !listed.is_empty() {
            return Route::Owners { hops: listed, arc: None };
        }
        let mut closer = Vec::new();
        if !self.was_named_for(target) {
            closer = self.closest_preceding(target, avoid);
        }
        if closer.is_empty() {
            let hops = self.predecessor.iter().map(successor).collect();
            return Route::Owners { hops, arc: None };
        }
        Route::Closer(closer)
    }

    /// The target lies in `(me, last of the list]`: the first entry at or after it, then those that follow.
    fn owners_from_list(&self, target: Id, avoid: &[Id]) -> Vec<Hop> {
        let distance = self.me.id.distance_to(target);
        let reached = |peer: &&Peer| self.me.id.distance_to(peer.id) >= distance;
        let Some(owner) = self.successors.in_order(self.me.id).find(reached) else {
            return Vec::new();
        };
        let from_owner = self.successors.peers().skip_while(|peer| *peer != owner);
        let all = distinct(from_owner.map(successor));
        let mut hops = all.clone();
        self.prefer_reachable(&mut hops, avoid);
        match hops.first() {
            // This node itself does not own it: the unreachable before it are all there is.
            Some(first) if first.peer.id == self.me.id => all,
            _ => hops,
        }
    }

    /// Somebody may have taken this node for the owner of `target`, which lies behind its predecessor:
    /// a node believed lately to be its predecessor and has the target before it, or this node's list spans the
    /// whole ring and leaves nobody else.
    fn was_named_for(&self, target: Id) -> bool {
        let Some(predecessor) = &self.predecessor else { return false };
        let behind = |start: Id| {
            between(start, predecessor.id, self.me.id) && Range::new(start, predecessor.id).contains(target)
        };
        self.successors.comes_round(self.me.id) || self.believers.ids().any(behind)
    }

    /// The closest nodes before the target, fingers and list together, best first.
    pub(crate) fn closest_preceding(&self, target: Id, avoid: &[Id]) -> Vec<Hop> {
        let me = self.me.id;
        let listed = self.successors.in_order(me).scan(me, |before, peer| {
            let via = if is_finger(me, *before, peer.id) { Via::Finger } else { Via::Successor };
            *before = peer.id;
            Some(Hop { peer: peer.clone(), via })
        });
        let fingers = self.fingers.peers().map(|peer| Hop { peer: peer.clone(), via: Via::Finger });
        let mut hops: Vec<Hop> = listed.chain(fingers).filter(|hop| between(me, hop.peer.id, target)).collect();
        // Stable: of a node that is in both, the list's entry comes first and is the fresher one.
        hops.sort_by_key(|hop| hop.peer.id.distance_to(target));
        hops.dedup_by(|next, hop| next.peer.id == hop.peer.id);
        self.prefer_reachable(&mut hops, avoid);
        hops.truncate(CLOSER_MAX);
        hops
    }

    /// Drops the unreachable, unless that leaves nobody.
    fn prefer_reachable(&self, hops: &mut Vec<Hop>, avoid: &[Id]) {
        let reachable = |hop: &Hop| {
            hop.peer.id == self.me.id || !avoid.contains(&hop.peer.id) && !self.silence.is_shunned(&hop.peer)
        };
        if hops.iter().any(reachable) {
            hops.retain(reachable);
        }
    }
}

/// Each node and each process once.
fn distinct(hops: impl Iterator<Item = Hop>) -> Vec<Hop> {
    let mut distinct: Vec<Hop> = Vec::new();
    for hop in hops {
        if !distinct.iter().any(|seen| seen.peer.id == hop.peer.id || seen.peer.addr == hop.peer.addr) {
            distinct.push(hop);
        }
    }
    distinct
}

fn successor(peer: &Peer) -> Hop {
    Hop { peer: peer.clone(), via: Via::Successor }
}

/// Whether `node`, the first node after `before`, is `successor(me + 2^i)` for some i.
pub(crate) fn is_finger(me: Id, before: Id, node: Id) -> bool {
    let (from, to) = (me.distance_to(before), me.distance_to(node));
    match (from.log2(), to.log2()) {
        (Some(from), Some(to)) => from < to,
        (None, Some(_)) => true,
        (_, None) => false,
    }
}
