//! Who is in the affinity group, who is a contact, and whose life is over (§2.1, soft state).

use std::collections::BTreeMap;

use overlay::{Ctx, Peer};
use ring::Id;

use crate::kelips::Stage;
use crate::{Entry, Kelips, Presence, Request};

/// Members of the own group that are kept at most.
const MEMBERS_MAX: usize = 4_096;
/// Lives remembered as over.
pub(crate) const GONE_MAX: usize = 512;
/// Pings under way at most.
const PINGS_MAX: usize = 64;

/// Members by identifier.
pub(crate) type View = BTreeMap<Id, Known>;

/// A member and what this node knows of it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Known {
    pub(crate) entry: Entry,
    /// Smoothed, once measured.
    pub(crate) rtt_us: Option<u64>,
    /// Round in which its heartbeat moved last.
    pub(crate) moved: u64,
    /// How often it was gossiped since it came: fresh while that is few.
    pub(crate) sent: u32,
}

/// A life that is over, as far as this node found out or was told.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Over {
    pub(crate) incarnation: u64,
    /// The last heartbeat that was heard of: hearsay of a greater one is worth a ping.
    pub(crate) heartbeat: u64,
    /// It said so itself.
    pub(crate) departed: bool,
    pub(crate) since: u64,
    /// How often the rumour was passed on.
    pub(crate) sent: u32,
}

/// How a life ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// It does not answer.
    Silent,
    /// Another process, or another life of it, answered in its place.
    Replaced,
    /// It said that it goes.
    Departed,
}

/// Where an entry comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Source {
    /// Its subject said so: it lives.
    Itself,
    /// Somebody else.
    Hearsay,
}

impl Kelips {
    /// Takes in a member of any group. News of an older life never overrides, and one that was found dead
    /// comes back by its own word only.
    pub(crate) fn take_in(&mut self, entry: &Entry, source: Source, ctx: &mut Ctx<'_, Self>) {
        let peer = &entry.peer;
        if peer.id == self.me.id || peer.addr == self.me.addr || !self.may_be_alive(entry, source, ctx) {
            return;
        }
        let newer = self.known(peer.id).is_some_and(|known| known.entry.peer.incarnation < peer.incarnation);
        if newer && source == Source::Hearsay {
            return self.ping(peer, ctx);
        }
        self.company = true;
        let group = self.places.group_of(peer.id);
        if group != self.group {
            return self.take_contact(group, entry, source, ctx);
        }
        let full = self.members.len() >= MEMBERS_MAX;
        match self.members.get_mut(&peer.id) {
            Some(known) => {
                if known.update(entry, source, self.round) {
                    self.note_change();
                }
            }
            None if full => {}
            None => {
                let known = Known::new(entry, self.round, ctx.rtt(peer).map(micros));
                self.members.insert(peer.id, known);
                self.note_change();
            }
        }
    }

    /// Somebody came to the group or went.
    fn note_change(&mut self) {
        self.changed = self.round;
        self.dirty = true;
    }

    fn may_be_alive(&mut self, entry: &Entry, source: Source, ctx: &mut Ctx<'_, Self>) -> bool {
        let (peer, heartbeat) = (&entry.peer, entry.presence.heartbeat);
        match (self.gone.get_mut(&peer.id), source) {
            (Some(over), Source::Itself) if over.incarnation >= peer.incarnation && over.departed => false,
            // Whatever others said of it.
            (Some(_), Source::Itself) => {
                self.gone.remove(&peer.id);
                true
            }
            (Some(over), Source::Hearsay) if over.incarnation > peer.incarnation => false,
            (Some(over), Source::Hearsay) if over.incarnation == peer.incarnation => {
                let worth_asking = heartbeat > over.heartbeat && !over.departed;
                over.heartbeat = over.heartbeat.max(heartbeat);
                if worth_asking {
                    self.ping(peer, ctx);
                }
                false
            }
            (Some(_), _) => {
                self.gone.remove(&peer.id);
                true
            }
            (None, Source::Hearsay) if ctx.is_dead(peer) => {
                self.remember_gone(peer, heartbeat, false, u32::MAX);
                self.ping(peer, ctx);
                false
            }
            (None, _) => true,
        }
    }

    /// This life of a peer, or a later one, is over as far as is known.
    pub(crate) fn has_ended(&self, peer: &Peer) -> bool {
        self.gone.get(&peer.id).is_some_and(|over| over.incarnation >= peer.incarnation)
    }

    /// The member of this identifier, in whatever role it is known.
    pub(crate) fn known(&self, id: Id) -> Option<&Known> {
        let contact = || self.contacts.get(&self.places.group_of(id))?.get(&id);
        self.members.get(&id).or_else(contact)
    }

    /// Everybody in the group and all contacts.
    pub(crate) fn everybody(&self) -> impl Iterator<Item = &Known> {
        self.members.values().chain(self.contacts.values().flat_map(BTreeMap::values))
    }

    /// A call was answered: the round trip is known now.
    pub(crate) fn measure(&mut self, peer: &Peer, ctx: &Ctx<'_, Self>) {
        let group = self.places.group_of(peer.id);
        let view = if group == self.group { Some(&mut self.members) } else { self.contacts.get_mut(&group) };
        if let (Some(known), Some(rtt)) = (view.and_then(|view| view.get_mut(&peer.id)), ctx.rtt(peer)) {
            known.rtt_us = Some(micros(rtt));
        }
    }

    /// This life of a peer is over: it leaves every list at once, and others are told to look.
    pub(crate) fn drop_peer(&mut self, peer: &Peer, end: End, ctx: &mut Ctx<'_, Self>) {
        let departed = end == End::Departed;
        self.pinging.remove(&peer.id);
        let group = self.places.group_of(peer.id);
        self.forget_spare(group, peer.id);
        let heartbeat = self.known(peer.id).map_or(0, |known| known.entry.presence.heartbeat);
        let view = if group == self.group { Some(&mut self.members) } else { self.contacts.get_mut(&group) };
        // What became of a life that only others told of says nothing about the one that is known.
        let held = view.as_ref().and_then(|view| view.get(&peer.id)).map(|known| known.entry.peer.incarnation);
        if held.is_some_and(|held| held > peer.incarnation || held < peer.incarnation && !departed) {
            return;
        }
        let was_known = view.is_some_and(|view| view.remove(&peer.id).is_some());
        let sent = if was_known { 0 } else { u32::MAX };
        self.remember_gone(peer, heartbeat, departed, sent);
        if was_known {
            if end == End::Silent && !self.failed_in_a_row.contains(&peer.id) && self.failed_in_a_row.len() < 8 {
                self.failed_in_a_row.push(peer.id);
            }
            if group == self.group {
                self.note_change();
            }
            if !departed && group == self.group {
                self.succession.push((peer.id, ctx.now));
                self.succeed(ctx);
            }
            self.on_dropped(peer, group, ctx);
            self.pass_on(std::slice::from_ref(peer), ctx);
        }
        if self.company && self.is_member() && self.is_alone() && self.pinging.is_empty() {
            self.on_nobody_left(ctx);
        }
    }

    fn on_dropped(&mut self, peer: &Peer, group: u32, ctx: &mut Ctx<'_, Self>) {
        self.dirty = true;
        self.newcomers.retain(|(newcomer, _)| newcomer.peer.id != peer.id);
        if self.contacts.get(&group).is_some_and(BTreeMap::is_empty) {
            self.contacts.remove(&group);
            let spares = self.spares.remove(&group).unwrap_or_default();
            spares.iter().for_each(|spare| self.ping(spare, ctx));
        }
    }

    pub(crate) fn remember_gone(&mut self, peer: &Peer, heartbeat: u64, departed: bool, sent: u32) {
        let since = self.round;
        let over = Over { incarnation: peer.incarnation, heartbeat, departed, since, sent };
        match self.gone.get_mut(&peer.id) {
            Some(known) if known.incarnation > peer.incarnation => {}
            Some(known) if known.incarnation == peer.incarnation => {
                known.departed |= departed;
                known.heartbeat = known.heartbeat.max(heartbeat);
                known.sent = known.sent.min(sent);
                known.since = since;
            }
            _ => {
                if self.gone.len() >= GONE_MAX {
                    let oldest = self.gone.iter().min_by_key(|(_, over)| over.since).map(|(id, _)| *id);
                    oldest.map(|id| self.gone.remove(&id));
                }
                self.gone.insert(peer.id, over);
            }
        }
    }

    /// Asks for a sign of life. A peer that does not answer is dropped.
    pub(crate) fn ping(&mut self, peer: &Peer, ctx: &mut Ctx<'_, Self>) {
        let asked = self.pinging.get(&peer.id).is_some_and(|asked| asked.incarnation >= peer.incarnation);
        if peer.id != self.me.id && self.pinging.len() < PINGS_MAX && !asked && self.is_member() {
            self.pinging.insert(peer.id, peer.clone());
            ctx.call(peer.clone(), Request::Ping(self.presence()));
        }
    }

    /// Nobody this node knew is left.
    ///
    /// If the last is the only one that fell silent since somebody answered, there were two members and is one now. If
    /// several did, this node is more likely to be cut off from a ring that goes on without it: it looks for a way
    /// back instead of claiming everything.
    fn on_nobody_left(&mut self, ctx: &mut Ctx<'_, Self>) {
        if self.stage != Stage::Ready || self.failed_in_a_row.len() > 1 {
            return self.give_up("every member known has fallen silent", ctx);
        }
        self.company = false;
        self.failed_in_a_row.clear();
        self.vacancies.clear();
        self.spares.clear();
        self.succession.clear();
    }

    /// Nobody else is known.
    pub(crate) fn is_alone(&self) -> bool {
        self.members.is_empty() && self.contacts.is_empty()
    }

    pub(crate) fn presence(&self) -> Presence {
        Presence { heartbeat: self.heartbeat, load: self.load }
    }

    pub(crate) fn own_entry(&self) -> Entry {
        Entry { peer: self.me.clone(), presence: self.presence() }
    }
}

impl Known {
    pub(crate) fn new(entry: &Entry, round: u64, rtt_us: Option<u64>) -> Self {
        Self { entry: entry.clone(), rtt_us, moved: round, sent: 0 }
    }

    /// True if it is another life than was known.
    pub(crate) fn update(&mut self, told: &Entry, source: Source, round: u64) -> bool {
        let (ours, theirs) = (self.entry.peer.incarnation, told.peer.incarnation);
        if theirs > ours {
            *self = Self::new(told, round, None);
            return true;
        }
        let newer = told.presence.heartbeat > self.entry.presence.heartbeat;
        if theirs == ours && (newer || source == Source::Itself) {
            let heartbeat = self.entry.presence.heartbeat.max(told.presence.heartbeat);
            self.entry.presence = Presence { heartbeat, load: told.presence.load };
            self.moved = round;
        }
        false
    }
}

pub(crate) fn micros(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
