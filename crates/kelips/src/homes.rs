//! What this node arbitrates, and who should hold it.
//!
//! The arbiter of a slot chooses its homes. It keeps the present ones that live and stand near the top of the slot's
//! rendezvous order, and fills up by that order, passing over members much fuller than their group (the paper inserts
//! at a random member, so that load evens out, §2.2). So a join moves few records, and an arbiter's change none.

use overlay::{Ctx, Peer, Share};
use ring::Id;

use crate::kelips::{Held, Stage, Timer};
use crate::{Holders, Kelips, Slot, rendezvous};

/// Holders named beyond those wanted.
const SPARE_HOLDERS: usize = 3;
/// Present homes stay within the first so many more of the order than are wanted.
const KEPT_BEYOND: usize = 2;
/// Below this nobody counts as full.
const LOAD_SLACK: u64 = 32;

impl Kelips {
    /// Makes [`Overlay::shares`](overlay::Overlay::shares) anew if anything changed.
    pub(crate) fn refresh_shares(&mut self) {
        if !std::mem::take(&mut self.dirty) && (self.stage == Stage::Ready || self.shares.is_empty()) {
            return;
        }
        let mut shares = Vec::new();
        if self.stage == Stage::Ready {
            for group in self.served_groups() {
                let slots = self.slots(group);
                let mine = slots.iter().filter(|slot| self.arbiter(*slot).id == self.me.id && !self.waits(*slot));
                shares.extend(mine.map(|slot| Share { range: slots.range(slot.index), holders: self.homes(slot) }));
            }
        }
        self.shares = shares;
    }

    /// What a dead member was the arbiter of is taken over a moment later, when everybody of the group has heard of its end:
    /// until then some would still send to it.
    fn waits(&self, slot: Slot) -> bool {
        let before = |id: Id| rendezvous::rank(slot, id) < rendezvous::rank(slot, self.me.id);
        self.succession.iter().any(|(dead, _)| before(*dead) && !self.members.contains_key(dead))
    }

    /// The moment has passed for some.
    pub(crate) fn succeed(&mut self, ctx: &mut Ctx<'_, Self>) {
        let period = self.config.gossip_period;
        self.succession.retain(|(_, since)| ctx.now.since(*since) < period);
        self.dirty = true;
        if let Some((_, since)) = self.succession.first() {
            ctx.arm(Timer::Succeed, period.saturating_sub(ctx.now.since(*since)));
        }
    }

    /// Who should hold a slot, in order of preference.
    fn homes(&self, slot: Slot) -> Vec<Peer> {
        let ranked = self.ranked(slot);
        let wanted = self.config.replicas;
        let mut homes = Vec::new();
        let kept = wanted.saturating_add(KEPT_BEYOND);
        let few = self.members.len() + 1 < wanted;
        for home in self.holders.get(&slot).into_iter().flat_map(|held| &held.told.homes) {
            let ranked = ranked.iter().take(kept).find(|(peer, _)| peer.id == home.id).map(|(peer, _)| peer);
            // Of another group, where this one is too small: it need not be a contact to stay.
            let foreign = (few && self.places.group_of(home.id) != self.group && !self.has_ended(home)).then_some(home);
            if let (Some(peer), true) = (ranked.or(foreign), homes.len() < wanted) {
                add(&mut homes, peer);
            }
        }
        for full in [false, true] {
            ranked.iter().filter(|(_, is_full)| *is_full == full).for_each(|(peer, _)| add(&mut homes, peer));
        }
        homes.truncate(wanted.saturating_add(SPARE_HOLDERS));
        homes
    }

    /// The group's members by rendezvous, then, if they are too few, contacts in the next groups; and who is full.
    fn ranked(&self, slot: Slot) -> Vec<(Peer, bool)> {
        let own = std::iter::once((&self.me, self.load));
        let members = self.members.values().map(|known| (&known.entry.peer, known.entry.presence.load));
        let mut ranked: Vec<(Peer, u32)> = own.chain(members).map(|(peer, load)| (peer.clone(), load)).collect();
        ranked.sort_by_cached_key(|(peer, _)| rendezvous::rank(slot, peer.id));
        let total: u64 = ranked.iter().map(|(_, load)| u64::from(*load)).sum();
        let mean = total / ranked.len().max(1) as u64;
        let full = |load: u32| u64::from(load) > 2 * mean + LOAD_SLACK;
        let mut ranked: Vec<(Peer, bool)> = ranked.into_iter().map(|(peer, load)| (peer, full(load))).collect();
        let groups = self.places.groups();
        for group in (1..groups).map(|step| (self.group + step) % groups) {
            if ranked.len() >= self.config.replicas {
                break;
            }
            let mut contacts: Vec<Peer> = self.contacts_in(group).into_iter().cloned().collect();
            contacts.sort_by_cached_key(|peer| rendezvous::rank(slot, peer.id));
            ranked.extend(contacts.into_iter().map(|peer| (peer, false)));
        }
        ranked
    }

    /// Takes in who holds a slot; the greater number wins, and any two nodes choose alike between equal ones.
    pub(crate) fn take_holders(&mut self, told: &Holders) {
        let (round, over) = (self.round, self.is_over(told));
        match self.holders.get_mut(&told.slot) {
            Some(held) if (held.told.number, &held.told.homes) == (told.number, &told.homes) => {
                if told.heartbeat > held.told.heartbeat {
                    held.told.heartbeat = told.heartbeat;
                    held.moved = round;
                }
            }
            Some(held) if (held.told.number, &held.told.homes) > (told.number, &told.homes) => {}
            None if over => {}
            _ => {
                let mut told = told.clone();
                told.homes.truncate(2 * self.config.replicas);
                self.forgotten.remove(&told.slot);
                self.holders.insert(told.slot, Held { told, moved: round, sent: 0 });
                self.dirty = true;
            }
        }
    }

    /// These holders were forgotten, and nobody has vouched for them since.
    fn is_over(&self, told: &Holders) -> bool {
        let then = |(number, heartbeat, _): &(u64, u64, u64)| (told.number, told.heartbeat) <= (*number, *heartbeat);
        self.forgotten.get(&told.slot).is_some_and(then)
    }

    /// What is known of the slot was forgotten for want of anybody who holds it.
    pub(crate) fn is_forgotten(&self, slot: Slot) -> bool {
        self.forgotten.contains_key(&slot) && !self.holders.contains_key(&slot)
    }

    /// How many keys this node is home of, among those that its group serves.
    pub(crate) fn measure_load(&mut self) {
        let mine = self.holders.iter().filter(|(_, held)| held.told.homes.iter().any(|home| home.id == self.me.id));
        let keys = mine.map(|(slot, _)| u64::from(self.filetuples.digest(*slot).count)).sum::<u64>();
        self.load = u32::try_from(keys).unwrap_or(u32::MAX);
    }
}

/// Each node and each process once.
fn add(homes: &mut Vec<Peer>, peer: &Peer) {
    if !homes.iter().any(|home| home.id == peer.id || home.addr == peer.addr) {
        homes.push(peer.clone());
    }
}
