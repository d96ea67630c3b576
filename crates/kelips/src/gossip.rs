//! The gossip round and what comes of a message (§2.1).

use overlay::{Ctx, Peer};
use rand::RngExt;

use crate::kelips::{Stage, Timer};
use crate::view::{End, Known, Source};
use crate::{Entry, Gossip, Kelips, Request, Slot};

/// Of each list in a message.
pub(crate) const LIST_MAX: usize = 4_096;
/// No entry is doubted before so many rounds without a heartbeat, whatever the size of the group.
const TIME_OUT_ROUNDS_MIN: u64 = 8;
/// Lives are remembered as over for so many rounds, tombstones likewise.
const REMEMBERED_ROUNDS: u64 = 480;
/// A rumour is passed on at once no more often than this.
const RUMOUR_ROUNDS: u64 = 20;
/// An arbiter vouches for its slots' holders every so many rounds.
const VOUCH_ROUNDS: u64 = 8;
/// Holders that nobody has vouched for in so many rounds are forgotten, with the slot's filetuples.
const HOLDERS_ROUNDS: u64 = 480;

impl Kelips {
    pub(crate) fn gossip_round(&mut self, ctx: &mut Ctx<'_, Self>) {
        if !self.is_member() {
            return;
        }
        self.round += 1;
        self.heartbeat += 1;
        ctx.arm_about(Timer::Gossip, self.config.gossip_period);
        if self.stage != Stage::Ready {
            return self.check_confirmation(ctx);
        }
        self.drop_the_dead(ctx);
        if self.stage != Stage::Ready {
            return;
        }
        self.doubt_the_quiet(ctx);
        self.measure_spares(ctx);
        self.watch_vacancies();
        self.measure_load();
        self.vouch(ctx);
        self.forget_the_old();
        self.dirty = true;
        for target in self.targets(ctx) {
            let message = self.compose(&target, &[], ctx);
            ctx.call(target, Request::Gossip(message));
        }
        self.flush_outbox(ctx);
        self.pull_next(ctx);
    }

    /// A message has come: it is taken in, and answered by one of the same kind.
    pub(crate) fn on_gossip(&mut self, from: &Peer, gossip: Gossip, ctx: &mut Ctx<'_, Self>) -> Gossip {
        self.merge(from, &gossip, ctx);
        self.compose(from, gossip.wanted.get(..16).unwrap_or(&gossip.wanted), ctx)
    }

    pub(crate) fn on_gossip_answer(&mut self, from: &Peer, gossip: &Gossip, ctx: &mut Ctx<'_, Self>) {
        if !self.is_member() {
            return;
        }
        self.take_in(&Entry { peer: from.clone(), presence: gossip.presence }, Source::Itself, ctx);
        self.merge(from, gossip, ctx);
        self.note_denials(&gossip.wanted);
    }

    fn merge(&mut self, from: &Peer, gossip: &Gossip, ctx: &mut Ctx<'_, Self>) {
        gossip.entries.iter().take(LIST_MAX).for_each(|entry| self.take_in(entry, Source::Hearsay, ctx));
        self.on_rumours(&gossip.gone, ctx);
        if self.places.group_of(from.id) != self.group {
            return;
        }
        for holders in gossip.holders.iter().take(LIST_MAX) {
            if self.is_slot(holders.slot) && self.serves(holders.slot.group) {
                self.take_holders(holders);
            }
        }
        let round = self.round;
        for tuple in gossip.filetuples.iter().take(LIST_MAX) {
            let slot = self.slot_at(self.places.of_hash(tuple.key.0));
            if self.serves(slot.group) && !self.is_forgotten(slot) {
                self.filetuples.merge(slot, tuple, round);
            }
        }
        self.on_digests(from, &gossip.digests, ctx);
    }

    /// Half of the round's targets are in the group, the others contacts. In the group they are picked by distance in
    /// one round (probability ∝ 1/rtt², spatial gossip) and evenly in the next.
    fn targets(&self, ctx: &mut Ctx<'_, Self>) -> Vec<Peer> {
        let members: Vec<&Known> = self.members.values().collect();
        let contacts: Vec<&Known> = self.contacts.values().flat_map(|contacts| contacts.values()).collect();
        let abroad = if self.places.groups() == 1 { 0 } else { self.config.gossip_targets / 2 };
        let spatial = self.round.is_multiple_of(2);
        let mut targets = picked(members, self.config.gossip_targets - abroad, spatial, ctx);
        targets.extend(picked(contacts, abroad, false, ctx));
        targets
    }

    /// Whom the shared watch over calls has found dead meanwhile.
    fn drop_the_dead(&mut self, ctx: &mut Ctx<'_, Self>) {
        let peers = self.everybody().map(|known| known.entry.peer.clone());
        let dead: Vec<Peer> = peers.filter(|peer| ctx.is_dead(peer)).collect();
        dead.iter().for_each(|peer| self.drop_peer(peer, End::Silent, ctx));
    }

    /// Members whose heartbeat did not move for long are asked themselves before they are dropped.
    fn doubt_the_quiet(&mut self, ctx: &mut Ctx<'_, Self>) {
        let (group, abroad) = time_outs(self.members.len() as u64 + 1);
        let quiet = |known: &&Known, rounds: u64| self.round.saturating_sub(known.moved) > rounds;
        let contacts = self.contacts.values().flat_map(|contacts| contacts.values());
        let members = self.members.values().filter(|known| quiet(known, group));
        let quiet: Vec<Peer> = members
            .chain(contacts.filter(|known| quiet(known, abroad)))
            .map(|known| known.entry.peer.clone())
            .collect();
        quiet.iter().for_each(|peer| self.ping(peer, ctx));
    }

    /// "Nodes ping a few others for RTT": one a round that may turn out to be a nearer contact.
    fn measure_spares(&mut self, ctx: &mut Ctx<'_, Self>) {
        let spares: Vec<&Peer> = self.spares.values().flatten().collect();
        if !spares.is_empty() {
            let spare = spares.get(ctx.rng.random_range(0..spares.len())).copied().cloned();
            spare.iter().for_each(|spare| self.ping(spare, ctx));
        }
    }

    /// The arbiter of a slot counts its holders' heartbeat up as long as one of them lives; without that they are
    /// forgotten in the end, and the filetuples of the slot with them (§2.1).
    fn vouch(&mut self, ctx: &Ctx<'_, Self>) {
        let round = self.round;
        let mine = |slot: &Slot| self.serves(slot.group) && self.arbiter(*slot).id == self.me.id;
        let slots: Vec<Slot> = self.holders.keys().copied().filter(mine).collect();
        for slot in &slots {
            // Of the group's own members this one knows who lives; of others, as long as nothing else was heard.
            let mate = |home: &Peer| self.places.group_of(home.id) == self.group;
            let lives = |home: &Peer| match mate(home) {
                true => home.id == self.me.id || self.members.contains_key(&home.id),
                false => !ctx.is_dead(home) && !self.has_ended(home),
            };
            let vouched = self.holders.get(slot).is_some_and(|held| held.told.homes.iter().any(lives));
            if let (Some(held), true) = (self.holders.get_mut(slot), vouched)
                && round.saturating_sub(held.moved) >= VOUCH_ROUNDS
            {
                held.told.heartbeat = held.told.heartbeat.saturating_add(1);
                held.moved = round;
            }
        }
    }

    fn forget_the_old(&mut self) {
        let before = self.round.saturating_sub(REMEMBERED_ROUNDS);
        self.gone.retain(|_, over| over.since >= before);
        let round = self.round;
        self.rumours.retain(|(_, _, told)| round.saturating_sub(*told) < RUMOUR_ROUNDS);
        if self.round.is_multiple_of(64) {
            self.filetuples.bury(before);
        }
        let oldest = self.round.saturating_sub(HOLDERS_ROUNDS);
        let over: Vec<_> = self.holders.iter().filter(|(_, held)| held.moved < oldest).map(|(slot, _)| *slot).collect();
        for slot in over {
            if let Some(held) = self.holders.remove(&slot) {
                self.forgotten.insert(slot, (held.told.number, held.told.heartbeat, self.round));
            }
            self.filetuples.forget(slot);
        }
        self.forgotten.retain(|_, (_, _, since)| *since >= oldest);
        self.forget_what_others_serve();
    }

    /// Keys of a group that was empty and has members again are theirs to know, once they had time to pull them.
    fn forget_what_others_serve(&mut self) {
        if !self.round.is_multiple_of(64) {
            return;
        }
        let mut slots = self.filetuples.slots();
        slots.extend(self.holders.keys().copied());
        for slot in slots {
            let contacts = self.contacts.get(&slot.group).into_iter().flat_map(|contacts| contacts.values());
            let theirs = contacts.map(|known| known.entry.presence.heartbeat).any(|heartbeat| heartbeat > 64);
            if theirs && !self.serves(slot.group) {
                self.filetuples.forget(slot);
                self.holders.remove(&slot);
            }
        }
    }
}

/// Rounds without a heartbeat after which a member, and a contact, is doubted: they grow as √n·log² n and
/// √n·log³ n (§2.1).
fn time_outs(members: u64) -> (u64, u64) {
    let log = u64::from(members.max(2).ilog2());
    let group = (members.isqrt() * log * log / 8).max(TIME_OUT_ROUNDS_MIN);
    (group, (members.isqrt() * log * log * log / 16).max(TIME_OUT_ROUNDS_MIN + 4))
}

/// So many different ones, by distance or evenly. One that was never measured counts as far as the average.
pub(crate) fn picked(mut from: Vec<&Known>, count: usize, spatial: bool, ctx: &mut Ctx<'_, Kelips>) -> Vec<Peer> {
    let measured: Vec<u64> = from.iter().filter_map(|known| known.rtt_us).collect();
    let average = measured.iter().sum::<u64>().checked_div(measured.len() as u64).unwrap_or(1_000);
    let weight = |known: &Known| match spatial {
        true => spatial_weight(known.rtt_us.unwrap_or(average)),
        false => 1,
    };
    let mut picked = Vec::new();
    while picked.len() < count && !from.is_empty() {
        let total: u64 = from.iter().map(|known| weight(known)).sum();
        let mut draw = ctx.rng.random_range(0..total.max(1));
        let at = from.iter().position(|known| {
            let hit = draw < weight(known);
            draw = draw.saturating_sub(weight(known));
            hit
        });
        picked.push(from.swap_remove(at.unwrap_or(0)).entry.peer.clone());
    }
    picked
}

/// ∝ 1/rtt². At least 1; below 100 µs nobody is nearer than another, so the sum over 4,096 members fits.
fn spatial_weight(rtt_us: u64) -> u64 {
    let rtt_us = rtt_us.clamp(100, 1 << 24);
    ((1 << 48) / (rtt_us * rtt_us)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_outs_grow_with_the_group_as_the_paper_says() {
        assert_eq!(time_outs(1), (8, 12));
        assert_eq!(time_outs(16), (8, 16));
        assert_eq!(time_outs(64), (36, 108));
        assert_eq!(time_outs(1_024), (400, 2_000));
    }

    #[test]
    fn a_node_twice_as_far_is_picked_a_quarter_as_often() {
        assert_eq!(spatial_weight(1_000) / spatial_weight(2_000), 4);
        assert!(spatial_weight(u64::MAX) >= 1);
        assert_eq!(spatial_weight(0), spatial_weight(100));
    }
}
