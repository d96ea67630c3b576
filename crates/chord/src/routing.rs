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
            let mut hops = distinct(std::iter::once(me).chain(self.successors.peers().map(|peer| self.named(peer))));
            self.drop_unreachable(&mut hops, avoid);
            return Route::Owners { hops, arc: Some(arc) };
        }
        let listed = self.owners_from_list(target);
        let mut owners = listed.clone();
        self.drop_unreachable(&mut owners, avoid);
        // This node itself is not the owner: if it is next, those before it are unreachable, and that is all.
        if owners.first().is_some_and(|owner| owner.peer.id != self.me.id) {
            return Route::Owners { hops: owners, arc: None };
        }
        let redirect: Vec<Hop> = self.predecessor.iter().map(|peer| self.named(peer)).collect();
        if redirect.iter().any(|hop| self.is_reachable(&hop.peer, avoid)) && self.was_named_for(target) {
            return Route::Owners { hops: redirect, arc: None };
        }
        let closer = self.closest_preceding(target, avoid);
        match (closer.is_empty(), listed.is_empty()) {
            (false, _) => Route::Closer(closer),
            (true, false) => Route::Owners { hops: listed, arc: None },
            (true, true) => Route::Owners { hops: redirect, arc: None },
        }
    }

    /// The target lies in `(me, last of the list]`: the first entry at or after it, then those that follow.
    fn owners_from_list(&self, target: Id) -> Vec<Hop> {
        let distance = self.me.id.distance_to(target);
        let reached = |peer: &&Peer| self.me.id.distance_to(peer.id) >= distance;
        match self.successors.in_order(self.me.id).find(reached) {
            Some(owner) => {
                distinct(self.successors.peers().skip_while(|peer| *peer != owner).map(|peer| self.named(peer)))
            }
            None => Vec::new(),
        }
    }

    /// Somebody may have taken this node for the owner of `target`, which lies behind its predecessor:
    /// a node believed lately to be its predecessor and has the target before it, or this node's list spans the
    /// whole ring and leaves nobody else.
    fn was_named_for(&self, target: Id) -> bool {
        let Some(predecessor) = &self.predecessor else {
            return false;
        };
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
            Some(Hop { via, ..self.named(peer) })
        });
        let fingers = self.fingers.peers().map(|peer| Hop { peer: peer.clone(), via: Via::Finger });
        let mut hops: Vec<Hop> = listed.chain(fingers).filter(|hop| between(me, hop.peer.id, target)).collect();
        // Stable: of a node that is in both, the list's entry comes first and is the fresher one.
        hops.sort_by_key(|hop| hop.peer.id.distance_to(target));
        hops.dedup_by(|next, hop| next.peer.id == hop.peer.id);
        if hops.iter().any(|hop| self.is_reachable(&hop.peer, avoid)) {
            self.drop_unreachable(&mut hops, avoid);
        }
        hops.truncate(CLOSER_MAX);
        hops
    }

    /// An entry as it is named to others: tails of lists may still have the former life of a node that this
    /// one has met again since as its predecessor.
    pub(crate) fn named(&self, entry: &Peer) -> Hop {
        let again = self.predecessor.as_ref().filter(|predecessor| predecessor.id == entry.id);
        let peer = again.filter(|again| again.incarnation > entry.incarnation).unwrap_or(entry);
        Hop { peer: peer.clone(), via: Via::Successor }
    }

    fn drop_unreachable(&self, hops: &mut Vec<Hop>, avoid: &[Id]) {
        hops.retain(|hop| hop.peer.id == self.me.id || self.is_reachable(&hop.peer, avoid));
    }

    fn is_reachable(&self, peer: &Peer, avoid: &[Id]) -> bool {
        !avoid.contains(&peer.id) && !self.silence.is_shunned(peer)
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

/// Whether `node`, the first node after `before`, is `successor(me + 2^i)` for some i.
pub(crate) fn is_finger(me: Id, before: Id, node: Id) -> bool {
    let (from, to) = (me.distance_to(before), me.distance_to(node));
    match (from.log2(), to.log2()) {
        (Some(from), Some(to)) => from < to,
        (None, Some(_)) => true,
        (_, None) => false,
    }
}
