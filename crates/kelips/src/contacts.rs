//! Contacts in foreign groups: the nearest of those heard of (§2.1).

use overlay::{Ctx, Peer};
use rand::RngExt;
use ring::Id;

use crate::view::{Known, Source, micros};
use crate::{Entry, Kelips};

/// Known members of a foreign group beside its contacts, to fall back on.
const SPARES_MAX: usize = 4;

impl Kelips {
    /// Keeps up to c contacts of a group; a nearer one replaces the farthest (§2.1).
    pub(crate) fn take_contact(&mut self, group: u32, entry: &Entry, source: Source, ctx: &mut Ctx<'_, Self>) {
        let (round, limit) = (self.round, self.config.contacts.max(1));
        let rtt_us = ctx.rtt(&entry.peer).map(micros);
        let contacts = self.contacts.entry(group).or_default();
        if let Some(known) = contacts.get_mut(&entry.peer.id) {
            self.dirty |= known.update(entry, source, round);
            return;
        }
        let newcomer = Known::new(entry, round, rtt_us);
        if contacts.len() < limit {
            contacts.insert(entry.peer.id, newcomer);
            self.forget_spare(group, entry.peer.id);
            self.vacancies.remove(&group);
            self.dirty = true;
            return;
        }
        let farthest = contacts.values().max_by_key(|known| known.rtt_us.unwrap_or(u64::MAX));
        let farthest = farthest.map(|known| (known.entry.peer.clone(), known.rtt_us.unwrap_or(u64::MAX)));
        if let (Source::Itself, Some(rtt_us), Some((victim, its_us))) = (source, rtt_us, farthest)
            && rtt_us.saturating_add(rtt_us / 4) < its_us
        {
            contacts.remove(&victim.id);
            contacts.insert(entry.peer.id, newcomer);
            self.forget_spare(group, entry.peer.id);
            self.keep_spare(group, victim, ctx);
            self.dirty = true;
        } else {
            self.keep_spare(group, entry.peer.clone(), ctx);
        }
    }

    fn keep_spare(&mut self, group: u32, peer: Peer, ctx: &mut Ctx<'_, Self>) {
        let spares = self.spares.entry(group).or_default();
        spares.retain(|spare| spare.id != peer.id);
        if spares.len() >= SPARES_MAX {
            spares.remove(ctx.rng.random_range(0..spares.len()));
        }
        spares.push(peer);
    }

    pub(crate) fn forget_spare(&mut self, group: u32, id: Id) {
        if let Some(spares) = self.spares.get_mut(&group) {
            spares.retain(|spare| spare.id != id);
        }
    }
}
