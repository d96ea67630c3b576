//! "Where does a message with this key go next?", from one node's own tables, in the paper's order
//! (Rowstron and Druschel 2001, §2.3): the leaf set, the routing table, and the rare case.
//!
//! The node that a leaf set names has the last word: if it knows a closer one, it names that one.

use overlay::{Ctx, Hop, Overlay, Peer, Route, Via};
use ring::Id;

use crate::Pastry;
use crate::shares::closeness;

/// Nodes named at most when the answer is "closer": the first, and others to go round it.
const CLOSER_MAX: usize = 4;

impl Pastry {
    pub(crate) fn owns(&self, target: Id) -> bool {
        self.is_member() && self.leaf_set.arc(self.me.id).contains(target)
    }

    pub(crate) fn route_from_tables(&self, target: Id, avoid: &[Id]) -> Route {
        if self.owns(target) {
            let mut hops = self.closest_leaves(target);
            hops.retain(|hop| hop.peer.id == self.me.id || !avoid.contains(&hop.peer.id));
            return Route::Owners { hops, arc: Some(self.leaf_set.arc(self.me.id)) };
        }
        if self.leaf_set.span().contains(target) {
            return Route::Owners { hops: self.owners_from_leaf_set(target, avoid), arc: None };
        }
        let hops = self.closer(target, avoid);
        match hops.is_empty() {
            false => Route::Closer(hops),
            // Nobody is closer, so nobody but leaves is known at all.
            true => Route::Owners { hops: self.owners_from_leaf_set(target, avoid), arc: None },
        }
    }

    /// This node and its leaves, closest first.
    fn closest_leaves(&self, target: Id) -> Vec<Hop> {
        let closest = self.leaf_set.closest(&self.me, target, self.config.holders_max());
        let via = |peer: &Peer| if peer.id == self.me.id { Via::Owner } else { Via::Leaf };
        closest.into_iter().map(|peer| Hop { via: via(&peer), peer }).collect()
    }

    /// The leaf closest to the target and those after it. This node itself is not the owner: where it comes first, those
    /// before it can't be reached, and there is nobody else to name.
    fn owners_from_leaf_set(&self, target: Id, avoid: &[Id]) -> Vec<Hop> {
        let mut closest = self.closest_leaves(target);
        closest.iter_mut().for_each(|hop| hop.via = Via::Leaf);
        let reachable: Vec<Hop> = closest.iter().filter(|hop| !avoid.contains(&hop.peer.id)).cloned().collect();
        match reachable.first() {
            Some(first) if first.peer.id != self.me.id => reachable,
            _ => closest,
        }
    }

    /// The entry with one digit more, then, to go round it, any node of L ∪ R ∪ M that shares as many digits as this one
    /// and is numerically closer, nearest first.
    pub(crate) fn closer(&self, target: Id, avoid: &[Id]) -> Vec<Hop> {
        let me = self.me.id;
        let shared = self.config.shared(me, target);
        let rare = |peer: &&Peer| self.config.shared(peer.id, target) >= shared && peer.id.gap(target) < me.gap(target);
        let leaves = self.leaf_set.peers();
        let known = self.table.peers().chain(&leaves).chain(self.neighbourhood.peers());
        let mut others: Vec<&Peer> = known.filter(rare).collect();
        others.sort_by_key(|peer| (std::cmp::Reverse(self.config.shared(peer.id, target)), closeness(peer.id, target)));
        let prefix = self.table.toward(target);
        if let Some(entry) = prefix.filter(|entry| !avoid.contains(&entry.id)) {
            // The entry is the nearest by round trip of those that fit: nobody else goes before it, only after.
            let entry = self.distance(entry.id, target);
            others.retain(|peer| self.distance(peer.id, target) >= entry);
        }
        let prefix = prefix.map(|peer| Hop { peer: peer.clone(), via: Via::Prefix });
        let others = others.into_iter().map(|peer| Hop { peer: peer.clone(), via: Via::Rare });
        let mut hops: Vec<Hop> = Vec::new();
        for hop in prefix.into_iter().chain(others) {
            if !hops.iter().any(|seen| seen.peer.id == hop.peer.id) {
                hops.push(hop);
            }
        }
        if hops.iter().any(|hop| !avoid.contains(&hop.peer.id)) {
            hops.retain(|hop| !avoid.contains(&hop.peer.id));
        }
        hops.truncate(CLOSER_MAX);
        hops
    }

    /// Somebody could not reach these: those that this node knows are looked at.
    pub(crate) fn check_avoided(&mut self, avoid: &[Id], ctx: &mut Ctx<'_, Self>) {
        for &id in avoid {
            if let Some(leaf) = self.leaf_set.get(id).cloned() {
                self.exchange(&leaf, ctx);
            } else if let Some(entry) = self.table.toward(id).filter(|entry| entry.id == id).cloned() {
                self.ping(&entry, ctx);
            }
        }
    }
}

#[cfg(test)]
mod tests;
