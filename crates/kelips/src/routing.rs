//! Lookups (§2.2): to a contact in the key's group, whose every member knows who holds what.
//!
//! A member of the group that serves a key names its arbiter and its homes, and that answer is final. Everybody
//! else names contacts there, nearest first; and behind them a few of its own group, who have other contacts.

use overlay::{Ctx, Distance, Hop, Peer, Route, Via};
use ring::Id;

use crate::{Kelips, Slot, rendezvous};

/// Nodes of the own group that are named beside contacts.
const NEIGHBOURS_MAX: usize = 4;
/// A view that has not changed for so many rounds is taken to be the whole group.
const SETTLING_ROUNDS: u64 = 6;
/// Peers looked at because somebody could not reach them.
const CHECKED_MAX: usize = 4;
/// Who is told of a departure: members of the group, and contacts.
const TOLD_MAX: usize = 32;

impl Kelips {
    pub(crate) fn route_to_place(&self, place: Id, avoid: &[Id]) -> Route {
        let group = self.places.group_at(place);
        let serving = self.serving(group);
        if serving == Some(self.group) {
            let slot = self.slot_at(place);
            if let Some(claimed) = self.doubtful_arbiters(slot, avoid) {
                return Route::Owners { hops: claimed, arc: None };
            }
            let holders = self.holders.get(&slot).map(|held| held.told.homes.clone()).unwrap_or_default();
            let arc = Some(self.slots(group).range(slot.index));
            return Route::Known { owner: self.arbiter(slot).clone(), holders, arc };
        }
        let hops = serving.map(|serving| self.towards(serving, avoid)).unwrap_or_else(|| self.neighbour_hops(avoid));
        if hops.is_empty() { self.itself() } else { Route::Closer(hops) }
    }

    /// While this node's view of its group has just changed it may be behind, and so the arbiter has to confirm itself; so
    /// it has to where it may be dead, and then whoever would be next.
    fn doubtful_arbiters(&self, slot: Slot, avoid: &[Id]) -> Option<Vec<Hop>> {
        let arbiter = self.arbiter(slot);
        let unreachable = avoid.contains(&arbiter.id);
        let doubtful = unreachable || self.pinging.contains_key(&arbiter.id) || self.is_unsettled();
        if arbiter.id == self.me.id || !doubtful {
            return None;
        }
        let mut others: Vec<&Peer> = self.members.values().map(|known| &known.entry.peer).collect();
        others.retain(|peer| peer.id != arbiter.id && !avoid.contains(&peer.id));
        let next = others.into_iter().min_by_key(|peer| rendezvous::rank(slot, peer.id));
        let mut claimed = vec![arbiter];
        claimed.extend(next.filter(|next| rendezvous::rank(slot, next.id) < rendezvous::rank(slot, self.me.id)));
        if unreachable {
            claimed.reverse();
        }
        Some(claimed.into_iter().map(|peer| hop(peer, Via::Group)).collect())
    }

    /// Somebody came or went within the rounds that news take to get round.
    fn is_unsettled(&self) -> bool {
        self.round.saturating_sub(self.changed) < SETTLING_ROUNDS
    }

    /// Where the member of an identifier is, as told to `from`.
    pub(crate) fn route_to_member_for(&self, from: &Peer, id: Id, avoid: &[Id]) -> Route {
        let group = self.places.group_of(id);
        let known = self.known(id).map(|known| &known.entry.peer).filter(|peer| !avoid.contains(&peer.id));
        match known {
            // Whoever asks for its own identifier and lives elsewhere has to be told by its holder itself.
            Some(peer) if from.id == id && from.addr != peer.addr => {
                Route::Owners { hops: vec![Hop { peer: peer.clone(), via: Via::Group }], arc: None }
            }
            Some(peer) => Route::Known { owner: peer.clone(), holders: Vec::new(), arc: None },
            None if group == self.group || !self.contacts.contains_key(&group) => self.itself(),
            None => {
                let hops = self.towards(group, avoid);
                if hops.is_empty() { self.itself() } else { Route::Closer(hops) }
            }
        }
    }

    fn itself(&self) -> Route {
        Route::Known { owner: self.me.clone(), holders: Vec::new(), arc: None }
    }

    /// Contacts in a group, then some of the own group; those that could not be reached only if there is nobody else.
    fn towards(&self, group: u32, avoid: &[Id]) -> Vec<Hop> {
        let contacts: Vec<Hop> = self.contacts_in(group).into_iter().map(|peer| hop(peer, Via::Contact)).collect();
        let reachable = |hop: &&Hop| !avoid.contains(&hop.peer.id);
        let mut hops: Vec<Hop> = contacts.iter().filter(reachable).cloned().collect();
        hops.extend(self.neighbour_hops(avoid));
        if hops.is_empty() { contacts } else { hops }
    }

    /// Some of the own group, or, in a group of one, whoever is known.
    fn neighbour_hops(&self, avoid: &[Id]) -> Vec<Hop> {
        let mut members: Vec<_> = self.members.values().collect();
        if members.is_empty() {
            members.extend(self.contacts.values().flat_map(|contacts| contacts.values()));
        }
        members.sort_by_key(|known| (avoid.contains(&known.entry.peer.id), known.rtt_us.unwrap_or(u64::MAX)));
        let nearest = members.into_iter().take(NEIGHBOURS_MAX);
        nearest.map(|known| hop(&known.entry.peer, Via::Group)).collect()
    }

    /// The member of this node's group that owns a slot the group serves.
    pub(crate) fn arbiter(&self, slot: Slot) -> &Peer {
        let members = self.members.values().map(|known| &known.entry.peer);
        let best = members.min_by_key(|peer| rendezvous::rank(slot, peer.id));
        match best {
            Some(best) if rendezvous::rank(slot, best.id) < rendezvous::rank(slot, self.me.id) => best,
            _ => &self.me,
        }
    }

    /// In the group or not: nearer than that nobody can be.
    pub(crate) fn group_distance(&self, from: Id, group: u32) -> Distance {
        let class = u32::from(self.places.group_of(from) != group);
        Distance { class, span: from.space().zero() }
    }

    /// Somebody could not reach these: members among them are looked at now.
    pub(crate) fn check_avoided(&mut self, avoid: &[Id], ctx: &mut Ctx<'_, Self>) {
        let known = avoid.iter().filter_map(|id| self.known(*id)).map(|known| known.entry.peer.clone());
        let doubtful: Vec<Peer> = known.take(CHECKED_MAX).collect();
        doubtful.iter().for_each(|peer| self.ping(peer, ctx));
    }

    /// Who must be told that this node goes away.
    pub(crate) fn some_neighbours(&self) -> Vec<Peer> {
        let contacts = self.contacts.values().flat_map(|contacts| contacts.values());
        let told = self.members.values().take(TOLD_MAX).chain(contacts.take(TOLD_MAX));
        told.map(|known| known.entry.peer.clone()).collect()
    }
}

fn hop(peer: &Peer, via: Via) -> Hop {
    Hop { peer: peer.clone(), via }
}
