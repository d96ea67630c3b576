//! What goes into one gossip message (§2.1).
//!
//! Each kind of entry has its ration of the bytes, of which half is for *fresh* entries, sent few times so far, and half
//! for older ones at random, so that news travels fast and nothing stays untold. What a kind does not use goes to the others.

use overlay::{Ctx, KeyHash, Peer};
use rand::seq::SliceRandom;
use rand::{Rng, RngExt};

use crate::view::Known;
use crate::{Entry, Gone, Gossip, Holders, Kelips, Slot, cost, rumours};

/// Digests in one message.
const DIGESTS_MAX: usize = 6;
/// Groups asked for in one message.
const WANTED_MAX: usize = 4;
/// Rations in percent, within a group: members, contacts, holders; the rest is for filetuples.
const RATIONS: [usize; 3] = [30, 15, 15];
/// And to a contact: members of its group, everybody else.
const RATIONS_ABROAD: [usize; 3] = [50, 50, 0];

/// What may go into a message beside filetuples.
enum Item {
    Entry(Entry),
    Holders(Holders),
}

/// One kind's candidates, the next one last.
#[derive(Default)]
struct Candidates {
    fresh: Vec<Item>,
    old: Vec<Item>,
}

/// A message being written.
struct Draft {
    gossip: Gossip,
    room: usize,
}

impl Kelips {
    /// A message for `to`, which has no contact in the groups `wanted`.
    pub(crate) fn compose(&mut self, to: &Peer, wanted: &[u32], ctx: &mut Ctx<'_, Self>) -> Gossip {
        let mates = self.places.group_of(to.id) == self.group;
        let mut draft = Draft::new(self.config.gossip_bytes, self.presence());
        self.add_rumours(&mut draft);
        self.add_wanted(&mut draft, ctx);
        if mates {
            self.add_digests(&mut draft, ctx);
        }
        let mut kinds = self.candidates(to, mates, wanted, ctx);
        let rations = if mates { RATIONS } else { RATIONS_ABROAD };
        let room = draft.room;
        for (kind, percent) in kinds.iter_mut().zip(rations) {
            let ration = room * percent / 100;
            let left = draft.fill(&mut kind.fresh, ration / 2);
            draft.fill(&mut kind.old, ration / 2 + left);
        }
        if mates {
            self.add_filetuples(&mut draft, ctx);
        }
        // What was not used: news of any kind first, then the rest.
        for kind in &mut kinds {
            draft.fill(&mut kind.fresh, usize::MAX);
        }
        for kind in &mut kinds {
            draft.fill(&mut kind.old, usize::MAX);
        }
        self.count_as_sent(&draft.gossip);
        draft.gossip
    }

    /// Entries stay fresh while they were sent fewer than so many times.
    fn fresh_below(&self) -> u32 {
        let members = self.members.len() as u64 + 1;
        3 + members.ilog2()
    }

    fn add_rumours(&mut self, draft: &mut Draft) {
        let limit = self.fresh_below();
        for (id, over) in &mut self.gone {
            let gone = Gone { id: *id, incarnation: over.incarnation };
            if over.sent < limit && draft.gossip.gone.len() < rumours::TOLD_MAX && draft.pay(cost::gone(&gone)) {
                over.sent += 1;
                draft.gossip.gone.push(gone);
            }
        }
    }

    fn add_wanted(&self, draft: &mut Draft, ctx: &mut Ctx<'_, Self>) {
        let mut wanted: Vec<u32> = self.groups_without_contacts().collect();
        wanted.shuffle(ctx.rng);
        // Those that are not known to be empty first.
        wanted.sort_by_key(|group| self.is_vacant(*group));
        wanted.truncate(WANTED_MAX);
        wanted.retain(|_| draft.pay(cost::WANTED));
        draft.gossip.wanted = wanted;
    }

    fn add_digests(&self, draft: &mut Draft, ctx: &mut Ctx<'_, Self>) {
        let groups = self.served_groups();
        for _ in 0..DIGESTS_MAX.min(draft.room / (6 * cost::DIGEST)) {
            let Some(group) = groups.get(ctx.rng.random_range(0..groups.len().max(1))) else {
                return;
            };
            let slot = Slot { group: *group, index: ctx.rng.random_range(0..self.slots(*group).count()) };
            let told = draft.gossip.digests.iter().any(|digest| digest.slot == slot);
            if !told && draft.pay(cost::DIGEST) {
                draft.gossip.digests.push(self.filetuples.digest(slot));
            }
        }
    }

    fn candidates(&self, to: &Peer, mates: bool, wanted: &[u32], ctx: &mut Ctx<'_, Self>) -> [Candidates; 3] {
        let its_group = self.places.group_of(to.id);
        let most = draft_entries(self.config.gossip_bytes);
        let contacts = self.contacts.iter().flat_map(|(group, view)| view.values().map(move |known| (*group, known)));
        let own = self.members.values().map(|known| (self.group, known));
        let everybody = own.chain(contacts).filter(|(_, known)| known.entry.peer.id != to.id);
        let (its, others): (Vec<_>, Vec<_>) = everybody.partition(|(group, _)| *group == its_group);
        let (asked, others): (Vec<_>, Vec<_>) = others.into_iter().partition(|(group, _)| wanted.contains(group));
        let mut beside = self.entries(others, most, ctx);
        // What the other side is missing goes first.
        beside.fresh.extend(asked.into_iter().take(most).map(|(_, known)| Item::Entry(known.entry.clone())));
        let holders = if mates { self.holder_candidates(ctx) } else { Candidates::default() };
        [self.entries(its, most, ctx), beside, holders]
    }

    fn entries(&self, known: Vec<(u32, &Known)>, most: usize, ctx: &mut Ctx<'_, Self>) -> Candidates {
        let limit = self.fresh_below();
        let (fresh, old): (Vec<&Known>, Vec<&Known>) =
            known.into_iter().map(|(_, known)| known).partition(|known| known.sent < limit);
        let mut items = |mut list: Vec<&Known>| -> Vec<Item> {
            let (picked, _) = list.partial_shuffle(ctx.rng, most);
            picked.iter().map(|known| Item::Entry(known.entry.clone())).collect()
        };
        Candidates { fresh: items(fresh), old: items(old) }
    }

    fn holder_candidates(&self, ctx: &mut Ctx<'_, Self>) -> Candidates {
        let limit = self.fresh_below();
        let mut held: Vec<_> = self.holders.values().filter(|held| self.serves(held.told.slot.group)).collect();
        held.shuffle(ctx.rng);
        held.truncate(128);
        let (fresh, old): (Vec<_>, Vec<_>) = held.into_iter().partition(|held| held.sent < limit);
        let item = |held: &&crate::kelips::Held| Item::Holders(held.told.clone());
        Candidates { fresh: fresh.iter().take(8).map(item).collect(), old: old.iter().take(8).map(item).collect() }
    }

    /// Filetuples take what is left: half of it fresh ones, half some at random. Neither takes the other's half.
    fn add_filetuples(&mut self, draft: &mut Draft, ctx: &mut Ctx<'_, Self>) {
        let times = 1 + self.fresh_below() / 2;
        let places = draft.room / cost::FILETUPLE;
        for _ in 0..places - places / 2 {
            match self.filetuples.next_fresh(times) {
                Some(tuple) if draft.pay(cost::FILETUPLE) => draft.gossip.filetuples.push(tuple),
                _ => break,
            }
        }
        for _ in 0..places / 2 {
            let mut from = [0; 20];
            ctx.rng.fill_bytes(&mut from);
            let draw = ctx.rng.random_range(0..1 << 16);
            let Some(tuple) = self.filetuples.some(draw, KeyHash(from)) else {
                return;
            };
            if !draft.gossip.filetuples.contains(&tuple) && draft.pay(cost::FILETUPLE) {
                draft.gossip.filetuples.push(tuple);
            }
        }
    }

    fn count_as_sent(&mut self, gossip: &Gossip) {
        for entry in &gossip.entries {
            let group = self.places.group_of(entry.peer.id);
            let view = if group == self.group { Some(&mut self.members) } else { self.contacts.get_mut(&group) };
            if let Some(known) = view.and_then(|view| view.get_mut(&entry.peer.id)) {
                known.sent = known.sent.saturating_add(1);
            }
        }
        for holders in &gossip.holders {
            if let Some(held) = self.holders.get_mut(&holders.slot) {
                held.sent = held.sent.saturating_add(1);
            }
        }
    }
}

impl Draft {
    fn new(bytes: usize, presence: crate::Presence) -> Self {
        let room = bytes.saturating_sub(cost::presence(presence) + cost::PACKED);
        Self { gossip: Gossip { presence, ..Gossip::default() }, room }
    }

    /// Takes from the room; false if there is not enough.
    fn pay(&mut self, bytes: usize) -> bool {
        let enough = self.room >= bytes;
        if enough {
            self.room -= bytes;
        }
        enough
    }

    /// Takes candidates until they have used so many bytes, the last one perhaps some more, so that none is too long to be
    /// told at all; returns how many bytes were left.
    fn fill(&mut self, candidates: &mut Vec<Item>, bytes: usize) -> usize {
        let mut left = bytes;
        while let Some(item) = candidates.last().filter(|_| left > 0) {
            let cost = item.cost();
            if !self.pay(cost) {
                break;
            }
            left = left.saturating_sub(cost);
            match candidates.pop() {
                Some(Item::Entry(entry)) => self.gossip.entries.push(entry),
                Some(Item::Holders(holders)) => self.gossip.holders.push(holders),
                None => break,
            }
        }
        left
    }
}

impl Item {
    fn cost(&self) -> usize {
        match self {
            Item::Entry(entry) => cost::entry(entry),
            Item::Holders(holders) => cost::holders(holders),
        }
    }
}

/// Entries that could go into a message.
fn draft_entries(bytes: usize) -> usize {
    bytes / 30
}

#[cfg(test)]
mod tests {
    use overlay::testing::step;
    use overlay::{Addr, Overlay, Time};
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_pcg::Pcg32;
    use ring::Space;

    use super::*;
    use crate::{Config, Filetuple, Presence, Request, Response};

    fn peer(number: u32, name: &str) -> Peer {
        let addr = Addr::new(&format!("{name}{number}.example:7160")).unwrap();
        Peer { id: Space::SHA1.hash(&number.to_be_bytes()), addr, incarnation: 1_790_000_000_000 }
    }

    fn told(members: u32, tuples: u32, name: &str) -> Gossip {
        let presence = Presence { heartbeat: 1 << 40, load: 7 };
        let slot = |index| Slot { group: index % 4, index: index / 4 % 32 };
        Gossip {
            presence,
            entries: (10..10 + members).map(|number| Entry { peer: peer(number, name), presence }).collect(),
            gone: (2_000..2_030).map(|number| Gone { id: peer(number, "").id, incarnation: 1 }).collect(),
            holders: (0..members)
                .map(|number| {
                    let homes = vec![peer(number, name), peer(number + 1, name), peer(number + 2, name)];
                    Holders { slot: slot(number), number: 1 << 50, heartbeat: 3, homes }
                })
                .collect(),
            filetuples: (0..tuples)
                .map(|number| {
                    let key = KeyHash(Space::SHA1.hash(&number.to_be_bytes()).to_array());
                    Filetuple { key, version: u64::MAX - 1, there: number % 2 == 0 }
                })
                .collect(),
            ..Gossip::default()
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn no_message_is_longer_than_its_bound(
            members in 0u32..300, tuples in 0u32..500, groups in 1u32..40, bytes in 200usize..2_000,
            name in "[a-z]{1,40}", seed: u64,
        ) {
            let config = Config { groups, gossip_bytes: bytes, ..Config::default() };
            let (mut node, mut rng) = (Kelips::new(peer(1, "me"), config), Pcg32::seed_from_u64(seed));
            step(Time(1), &mut rng, |ctx| node.create(ctx));
            // Two messages, from a mate and from abroad; both are answered within the bound, and so is the round.
            for from in [peer(2, &name), peer(3, &name), peer(4, &name)] {
                let request = Request::Gossip(told(members, tuples, &name));
                match step(Time(2), &mut rng, |ctx| node.serve(&from, request, ctx)).0 {
                    Ok(Response::Gossip(answer)) => prop_assert!(cost::gossip(&answer) <= bytes),
                    other => prop_assert!(false, "{:?}", other),
                }
            }
            for round in 3..9 {
                let ((), effects) = step(Time(round), &mut rng, |ctx| node.on_timer(crate::Timer::Gossip, ctx));
                for (_, request) in effects.calls {
                    if let Request::Gossip(message) = request {
                        prop_assert!(cost::gossip(&message) <= bytes);
                        prop_assert!(members < 4 || bytes < 1_000 || cost::gossip(&message) > 200, "it has something to say");
                    }
                }
            }
        }
    }
}
