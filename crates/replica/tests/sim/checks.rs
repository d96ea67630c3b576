//! What must never happen, and what must hold once the world has been left alone for a while.

use std::collections::BTreeSet;

use replica::{Piece, Role};
use ring::Id;

use crate::overlay_view::Layout;
use crate::world::{SECOND, World};

impl World {
    /// No identifier ever has two different sets of the same number, unless survivors made them.
    pub(crate) fn check_history(&mut self, pieces: &[Piece]) {
        let ids: Vec<Id> = self.ids().collect();
        for piece in pieces {
            assert!(!piece.set.members.is_empty());
            let members: Vec<(Id, u64)> =
                piece.set.members.iter().map(|member| (member.peer.id, member.store)).collect();
            if piece.set.forced {
                self.excused |= self.config.replicas > 0;
                continue;
            }
            for id in ids.iter().filter(|id| piece.range.contains(**id)) {
                let before = self.history.entry((*id, piece.set.number)).or_insert_with(|| members.clone());
                assert_eq!(*before, members, "seed {}: two sets of number {} for {id}", self.seed, piece.set.number);
            }
        }
    }

    fn ids(&self) -> impl Iterator<Item = Id> + use<> {
        let space = self.space;
        (0..1u64 << space.bits()).map(move |place| space.id(place).unwrap())
    }

    /// Why the world is not as it should be, if so: every set is the wanted holders, settled.
    pub(crate) fn unhealed(&self) -> Option<String> {
        for id in self.ids() {
            let owners: Vec<usize> = self.owners(id).into_iter().filter(|node| !self.nodes[*node].leaving).collect();
            let holders = self.holders(id);
            let wanted: BTreeSet<Id> = holders.iter().map(|node| self.nodes[*node].id).collect();
            let staying = |node: &&usize| owners.contains(node);
            if holders.iter().filter(staying).count() != self.config.replicas.min(owners.len()) {
                return Some(format!("{id}: held by {holders:?} of {owners:?}"));
            }
            let owner = *owners.first()?;
            let Some(holding) = self.nodes[owner].holdings.find(id) else {
                return Some(format!("{id}: its owner {owner} knows no set"));
            };
            let members: BTreeSet<Id> = holding.set.members.iter().map(|member| member.peer.id).collect();
            if members != wanted {
                return Some(format!("{id}: members {members:?}, wanted {wanted:?} (owner {owner}, {:?})", holding));
            }
            // The owner itself, unless data lies apart from owners.
            let primary = self.node_of(&holding.set.primary().peer);
            if self.layout != Layout::Apart && primary != owner {
                return Some(format!("{id}: {primary} is the primary, not its owner {owner}"));
            }
            let part = self.nodes[primary].holdings.find(id);
            if !part.is_some_and(|part| matches!(part.role, Role::Primary { settled: true, .. }) && !part.fenced) {
                return Some(format!("{id}: its primary {primary} says {part:?}"));
            }
            for node in &holders {
                let me = self.member(*node);
                let found = self.nodes[*node].holdings.find(id);
                let same = found.is_some_and(|found| found.set == holding.set && found.set.includes(&me));
                if !same {
                    return Some(format!("{id}: {node} says {found:?}, not {:?}", holding.set));
                }
            }
        }
        None
    }

    /// Why the records are not where they should be, if so: the newest that anybody was told, at each wanted holder and nowhere else.
    pub(crate) fn misplaced(&self) -> Option<String> {
        for (key, floor) in &self.floor {
            let id = self.key_id(*key);
            let (owners, wanted) = (self.owners(id), self.holders(id));
            let newest = wanted.first().and_then(|node| self.nodes[*node].records.versions.get(key)).copied();
            if newest.unwrap_or(0) < *floor {
                return Some(format!("key {key}: {newest:?} at its owner, {floor} was acknowledged"));
            }
            for node in owners {
                let held = self.nodes[node].records.versions.get(key).copied();
                let expected = if wanted.contains(&node) { newest } else { None };
                if held != expected {
                    return Some(format!("key {key}: {held:?} at {node}, expected {expected:?}"));
                }
            }
        }
        None
    }

    /// Calms the weather and waits until all is well.
    pub(crate) fn heal(&mut self) {
        self.weather.lost = 0;
        self.weather.repeated = 0;
        self.weather.crash_within = 0;
        self.weather.remembered = 0;
        let seed = self.seed;
        self.heal_sets();
        let placed = self.run_until(60 * SECOND, |world| world.misplaced().is_none());
        assert!(placed, "seed {seed}: records after 60 s: {:?}", self.misplaced());
        // Everything can be read.
        let keys: Vec<u64> = self.floor.keys().copied().collect();
        let before = self.reads_done;
        for key in &keys {
            self.read(*key);
        }
        self.run(3 * SECOND);
        assert!(self.reads_done - before >= keys.len() as u64, "seed {seed}: some key can't be read");
        // And stays as it is.
        assert_eq!(self.unhealed(), None, "seed {seed}: it does not stay well");
    }
}

impl World {
    /// As [`World::heal`], where records may have been lost.
    pub(crate) fn heal_sets(&mut self) {
        let seed = self.seed;
        // News of what happened last may still be on its way.
        self.run(3 * SECOND);
        let healed = self.run_until(60 * SECOND, |world| world.unhealed().is_none());
        assert!(healed, "seed {seed}: not healed after 60 s: {:?}", self.unhealed());
    }

    pub(crate) fn wait_for_leavers(&mut self) {
        let seed = self.seed;
        let waiting = |world: &World| world.nodes.iter().position(|node| node.up && node.leaving);
        let gone = self.run_until(90 * SECOND, |world| waiting(world).is_none());
        let why: Vec<_> = (0..self.nodes.len())
            .filter(|node| self.nodes[*node].up && self.nodes[*node].leaving)
            .map(|node| (node, self.nodes[node].control.leave_progress(), &self.nodes[node].holdings))
            .collect();
        assert!(gone, "seed {seed}: still leaving: {why:?}");
    }
}
