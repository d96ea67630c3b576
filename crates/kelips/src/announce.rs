//! News of records: from the layer above, and on to the group that has to know (§2.2, insertion).
//!
//! A home that is not in the group of a record's key sends it to a contact there; one request at a time to each group,
//! with all that has come together meanwhile, and what is not taken is sent again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use overlay::{Announcement, Ctx, KeyHash, Peer, Refusal};
use ring::Range;

use crate::kelips::Timer;
use crate::{Holders, Insertion, Kelips, Listing, Request, Response, Slot};

/// What waits to be sent, at most, of each kind.
const WAITING_MAX: usize = 8_192;
/// Pages that wait: the layer above says it all again now and then.
const LISTINGS_MAX: usize = 256;
/// Of each kind in one request.
const HOLDERS: usize = 16;
pub(crate) const KEYS: usize = 64;
const LISTINGS: usize = 16;
/// Keys in one page of a listing, and in all that are sent together.
pub(crate) const LISTED: usize = 256;
/// Requests to a group are so far apart: news comes in bursts.
const APART: Duration = Duration::from_millis(20);
/// Holders that arrived are not told again for so many rounds, however often the layer above repeats them.
const TOLD_ROUNDS: u64 = 8;

/// News for other groups that has not arrived there yet.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Outbox {
    holders: BTreeMap<Slot, (u64, Vec<Peer>)>,
    keys: BTreeMap<KeyHash, bool>,
    listings: Vec<Listing>,
    /// The group that a request is under way for, and to whom.
    sending: BTreeMap<u32, Peer>,
    /// What has arrived of holders, and in which round.
    told: BTreeMap<Slot, (u64, Vec<Peer>, u64)>,
    /// The timer for the next requests runs.
    armed: bool,
}

impl Kelips {
    pub(crate) fn on_announcement(&mut self, news: Announcement) {
        match news {
            Announcement::Holders { range, number, holders } => self.on_holders(range, number, holders),
            Announcement::Keys { range, keys } => self.on_keys(range, &keys),
            Announcement::Key { key, there } => self.on_key(key, there),
        }
    }

    fn on_holders(&mut self, range: Range, number: u64, mut homes: Vec<Peer>) {
        homes.truncate(2 * self.config.replicas);
        for group in 0..self.places.groups() {
            if !range.overlaps(self.places.arc(group)) {
                continue;
            }
            let slots = self.slots(group);
            // A range may be cut within a slot: whoever has the slot's end speaks for it.
            for slot in slots.iter().filter(|slot| range.contains(slots.range(slot.index).upto)) {
                if self.serves(group) {
                    self.put_holders(slot, number, homes.clone());
                } else if self.outbox.holders.len() < WAITING_MAX && !self.outbox.knows(slot, number, &homes) {
                    let waiting = self.outbox.holders.entry(slot).or_default();
                    if waiting.0 <= number {
                        *waiting = (number, homes.clone());
                    }
                }
            }
        }
    }

    fn put_holders(&mut self, slot: Slot, number: u64, homes: Vec<Peer>) {
        let heartbeat = self.holders.get(&slot).map_or(0, |held| held.told.heartbeat);
        self.take_holders(&Holders { slot, number, heartbeat, homes });
    }

    fn on_key(&mut self, key: KeyHash, there: bool) {
        let slot = self.slot_at(self.places.of_hash(key.0));
        if self.serves(slot.group) {
            self.filetuples.announce(slot, key, there, self.round);
        } else if self.outbox.keys.len() < WAITING_MAX {
            self.outbox.keys.insert(key, there);
        }
    }

    /// All keys of a range: cut into what concerns each group.
    fn on_keys(&mut self, range: Range, keys: &[KeyHash]) {
        let mut by_group: BTreeMap<u32, Vec<KeyHash>> = BTreeMap::new();
        for key in keys {
            by_group.entry(self.places.group_at(self.places.of_hash(key.0))).or_default().push(*key);
        }
        for group in 0..self.places.groups() {
            for piece in range.intersect(self.places.arc(group)) {
                let of_group = by_group.get(&group).into_iter().flatten().copied();
                let mut keys: Vec<KeyHash> =
                    of_group.filter(|key| piece.contains(self.places.of_hash(key.0))).collect();
                keys.sort();
                if self.serves(group) {
                    self.apply(&Listing { range: piece, after: None, upto: None, keys });
                } else {
                    self.outbox.list(piece, &keys);
                }
            }
        }
    }

    /// What is listed is there, and nothing else in the same place and between the same hashes.
    fn apply(&mut self, listing: &Listing) {
        let Listing { range, after, upto, keys } = listing;
        let group = self.places.group_at(range.upto);
        let slots = self.slots(group);
        let covered = |key: &KeyHash| {
            let place = self.places.of_hash(key.0);
            range.contains(place)
                && self.places.group_at(place) == group
                && after.is_none_or(|after| *key > after)
                && upto.is_none_or(|upto| *key <= upto)
        };
        let listed: BTreeSet<KeyHash> = keys.iter().copied().filter(covered).collect();
        let touched = slots.iter().filter(|slot| range.overlaps(slots.range(slot.index)));
        let missing = |key: &KeyHash| covered(key) && !listed.contains(key);
        let gone: Vec<(Slot, KeyHash)> = touched
            .flat_map(|slot| self.filetuples.there(slot).into_iter().map(move |key| (slot, key)))
            .filter(|(_, key)| missing(key))
            .collect();
        let there: Vec<(Slot, KeyHash)> =
            listed.into_iter().map(|key| (slots.at(self.places.of_hash(key.0)), key)).collect();
        let round = self.round;
        gone.into_iter().for_each(|(slot, key)| self.filetuples.announce(slot, key, false, round));
        there.into_iter().for_each(|(slot, key)| self.filetuples.announce(slot, key, true, round));
    }

    /// A home outside of the group has news of the group's records.
    pub(crate) fn on_insertion(&mut self, insertion: Insertion) -> Result<Response, Refusal> {
        let of_keys = insertion.keys.iter().map(|(key, _)| self.places.group_at(self.places.of_hash(key.0)));
        let of_listings = insertion.listings.iter().map(|listing| self.places.group_at(listing.range.upto));
        let of_holders = insertion.holders.iter().map(|holders| holders.slot.group);
        let groups: BTreeSet<u32> = of_keys.chain(of_listings).chain(of_holders).collect();
        let slots = insertion.holders.iter().all(|holders| self.is_slot(holders.slot));
        if !slots || !groups.into_iter().all(|group| self.serves(group)) {
            return Err(Refusal::NotMine);
        }
        for Holders { slot, number, homes, .. } in insertion.holders.into_iter().take(HOLDERS) {
            self.put_holders(slot, number, homes);
        }
        insertion.listings.iter().take(LISTINGS).for_each(|listing| self.apply(listing));
        insertion.keys.iter().take(KEYS).for_each(|(key, there)| self.on_key(*key, *there));
        Ok(Response::Inserted)
    }

    /// Sees to it that what waits is sent in a moment.
    pub(crate) fn arm_outbox(&mut self, ctx: &mut Ctx<'_, Self>) {
        if !self.outbox.armed && !self.outbox.is_empty() {
            self.outbox.armed = true;
            ctx.arm(Timer::Insert, APART);
        }
    }

    /// The moment has come.
    pub(crate) fn send_news(&mut self, ctx: &mut Ctx<'_, Self>) {
        self.outbox.armed = false;
        self.flush_outbox(ctx);
    }

    /// Sends what waits, at most one request to a group.
    pub(crate) fn flush_outbox(&mut self, ctx: &mut Ctx<'_, Self>) {
        for group in self.outbox_groups() {
            match self.serving(group) {
                Some(serving) if serving == self.group => self.take_back(group),
                Some(serving) if !self.outbox.sending.contains_key(&group) => {
                    let Some(contact) = self.contacts_in(serving).first().copied().cloned() else {
                        continue;
                    };
                    let insertion = self.insertion(group);
                    self.outbox.sending.insert(group, contact.clone());
                    ctx.call(contact, Request::Insert(insertion));
                }
                _ => {}
            }
        }
    }

    fn outbox_groups(&self) -> BTreeSet<u32> {
        let keys = self.outbox.keys.keys().map(|key| self.places.group_at(self.places.of_hash(key.0)));
        let listings = self.outbox.listings.iter().map(|listing| self.places.group_at(listing.range.upto));
        let holders = self.outbox.holders.keys().map(|slot| slot.group);
        keys.chain(listings).chain(holders).collect()
    }

    fn insertion(&self, group: u32) -> Insertion {
        let holders = self.outbox.holders.iter().filter(|(slot, _)| slot.group == group).take(HOLDERS);
        let keys = self.outbox.keys.iter().map(|(key, there)| (*key, *there));
        let keys = keys.filter(|(key, _)| self.places.group_at(self.places.of_hash(key.0)) == group);
        let listings = self.outbox.listings.iter().filter(|listing| self.places.group_at(listing.range.upto) == group);
        let holders = holders.map(|(slot, (number, homes))| Holders {
            slot: *slot,
            number: *number,
            heartbeat: 0,
            homes: homes.clone(),
        });
        let mut room = LISTED;
        let listings = listings.take(LISTINGS).take_while(|listing| {
            let fits = listing.keys.len() <= room;
            room = room.saturating_sub(listing.keys.len());
            fits
        });
        Insertion { holders: holders.collect(), keys: keys.take(KEYS).collect(), listings: listings.cloned().collect() }
    }

    /// This node's group serves those keys by now.
    fn take_back(&mut self, group: u32) {
        let insertion = self.insertion(group);
        self.outbox.arrived(&insertion, self.round);
        if self.on_insertion(insertion).is_ok() {
            self.outbox.sending.remove(&group);
        }
    }

    pub(crate) fn on_inserted(&mut self, by: &Peer, insertion: &Insertion, ctx: &mut Ctx<'_, Self>) {
        self.outbox.sending.retain(|_, asked| asked != by);
        self.outbox.arrived(insertion, self.round);
        self.arm_outbox(ctx);
    }

    /// It is sent again in a later round, to whoever is the contact then.
    pub(crate) fn on_not_inserted(&mut self, by: &Peer) {
        self.outbox.sending.retain(|_, asked| asked != by);
    }
}

impl Outbox {
    fn is_empty(&self) -> bool {
        self.holders.is_empty() && self.keys.is_empty() && self.listings.is_empty()
    }

    /// Whether this arrived a moment ago.
    fn knows(&self, slot: Slot, number: u64, homes: &[Peer]) -> bool {
        self.told.get(&slot).is_some_and(|(told, to, _)| *told == number && to == homes)
    }

    /// Puts a range's keys in line, page by page, in place of what waits for the same range.
    fn list(&mut self, range: Range, keys: &[KeyHash]) {
        self.listings.retain(|listing| listing.range != range);
        let pages = keys.len().div_ceil(LISTED).max(1);
        if self.listings.len() + pages > LISTINGS_MAX {
            return;
        }
        let mut after = None;
        for page in 0..pages {
            let keys = keys.iter().skip(page * LISTED).take(LISTED).copied().collect::<Vec<_>>();
            let upto = keys.last().copied().filter(|_| page + 1 < pages);
            self.listings.push(Listing { range, after, upto, keys });
            after = upto;
        }
    }

    /// These need not be sent again, unless there is later news of them.
    fn arrived(&mut self, insertion: &Insertion, round: u64) {
        self.told.retain(|_, (_, _, told)| round.saturating_sub(*told) < TOLD_ROUNDS);
        for holders in &insertion.holders {
            self.told.insert(holders.slot, (holders.number, holders.homes.clone(), round));
            if self.holders.get(&holders.slot).is_some_and(|(number, _)| *number <= holders.number) {
                self.holders.remove(&holders.slot);
            }
        }
        for (key, there) in &insertion.keys {
            if self.keys.get(key) == Some(there) {
                self.keys.remove(key);
            }
        }
        self.listings.retain(|listing| !insertion.listings.contains(listing));
    }
}
