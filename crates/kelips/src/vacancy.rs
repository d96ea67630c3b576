//! Which group serves which keys: the next one that has members.
//!
//! With few nodes a group may be empty; its keys then belong to the next group, cyclically, that is not. That a group is
//! empty is concluded only after neighbours were asked and it stood for some rounds: one's own contacts may just
//! have died together.

use std::collections::BTreeMap;

use overlay::Peer;
use ring::Id;

use crate::slots::Slots;
use crate::{Kelips, Slot};

/// Rounds that a group has to be without contacts.
const ROUNDS: u64 = 2;
/// So many neighbours have to know nobody there either, or all if they are fewer.
const DENIALS: u32 = 3;

/// A group that no contact is known in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Vacancy {
    since: u64,
    /// Answers that knew nobody either.
    denials: u32,
    /// It is empty.
    concluded: bool,
}

impl Kelips {
    /// Looks at all groups once a round.
    pub(crate) fn watch_vacancies(&mut self) {
        let neighbours = u32::try_from(self.everybody().take(DENIALS as usize).count()).unwrap_or(DENIALS);
        for group in 0..self.places.groups() {
            if group == self.group || self.contacts.contains_key(&group) {
                self.vacancies.remove(&group);
                continue;
            }
            let round = self.round;
            let asked = self.pinging.keys().any(|id| self.places.group_of(*id) == group);
            let vacancy = self.vacancies.entry(group).or_insert(Vacancy::since(round));
            let stood = round.saturating_sub(vacancy.since) >= ROUNDS && vacancy.denials >= neighbours && !asked;
            if stood && !vacancy.concluded {
                vacancy.concluded = true;
                self.dirty = true;
            }
        }
    }

    /// An answer to gossip was taken in, whose sender knows nobody in these groups.
    pub(crate) fn note_denials(&mut self, missing: &[u32]) {
        for (group, vacancy) in &mut self.vacancies {
            if missing.contains(group) && !self.contacts.contains_key(group) {
                vacancy.denials = vacancy.denials.saturating_add(1);
            }
        }
    }

    /// One who is in knows these groups to be empty.
    pub(crate) fn believe_vacant(&mut self, groups: &[u32]) {
        for &group in groups.iter().filter(|&&group| group < self.places.groups() && group != self.group) {
            let vacancy = self.vacancies.entry(group).or_insert(Vacancy::since(self.round));
            vacancy.concluded = true;
        }
    }

    pub(crate) fn is_vacant(&self, group: u32) -> bool {
        if group == self.group || self.contacts.contains_key(&group) {
            return false;
        }
        self.is_alone() || self.vacancies.get(&group).is_some_and(|vacancy| vacancy.concluded)
    }

    /// Groups known to be empty.
    pub(crate) fn vacant_groups(&self) -> Vec<u32> {
        (0..self.places.groups()).filter(|&group| self.is_vacant(group)).collect()
    }

    /// Groups that no contact is known in, whether they are empty or not.
    pub(crate) fn groups_without_contacts(&self) -> impl Iterator<Item = u32> {
        (0..self.places.groups()).filter(|group| *group != self.group && !self.contacts.contains_key(group))
    }

    /// The group that serves the keys of this one; none while it isn't known whether it is empty.
    pub(crate) fn serving(&self, group: u32) -> Option<u32> {
        let groups = self.places.groups();
        let in_order = (0..groups).map(|step| (group + step) % groups);
        let known = |group: &u32| *group == self.group || self.contacts.contains_key(group);
        let mut open = in_order.skip_while(|group| self.is_vacant(*group));
        open.next().filter(known)
    }

    /// The groups whose keys this node's group serves: its own, and the empty ones before it.
    pub(crate) fn served_groups(&self) -> Vec<u32> {
        let groups = self.places.groups();
        let before = (1..groups).map(|step| (self.group + groups - step) % groups);
        std::iter::once(self.group).chain(before.take_while(|group| self.is_vacant(*group))).collect()
    }

    pub(crate) fn serves(&self, group: u32) -> bool {
        self.serving(group) == Some(self.group)
    }

    pub(crate) fn slots(&self, group: u32) -> Slots {
        Slots::new(self.places, group)
    }

    /// The slot of a place.
    pub(crate) fn slot_at(&self, place: Id) -> Slot {
        self.slots(self.places.group_at(place)).at(place)
    }

    /// A slot as a peer names it is one.
    pub(crate) fn is_slot(&self, slot: Slot) -> bool {
        slot.group < self.places.groups() && slot.index < self.slots(slot.group).count()
    }

    /// The contacts in a group, nearest first; those not measured last.
    pub(crate) fn contacts_in(&self, group: u32) -> Vec<&Peer> {
        let mut contacts: Vec<_> = self.contacts.get(&group).into_iter().flat_map(BTreeMap::values).collect();
        contacts.sort_by_key(|known| known.rtt_us.unwrap_or(u64::MAX));
        contacts.into_iter().map(|known| &known.entry.peer).collect()
    }
}

impl Vacancy {
    fn since(round: u64) -> Self {
        Self { since: round, denials: 0, concluded: false }
    }
}
