//! What this node believes about others: who lives, where, with which store, who is on the way out.
//!
//! The overlay's view is the first source; the ends of this machine's own calls add to it, because a
//! set may name nodes that the overlay has no entry for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use overlay::{Failure, Known, Peer, Refusal, Time, View};
use ring::Id;

use crate::{Member, Response};

/// A peer that the overlay calls alive but whose every call failed for so long counts as dead here.
const SILENT_FOR: Duration = Duration::from_secs(3);

/// How often a peer is asked just to see whether it answers.
const PROBE_PERIOD: Duration = Duration::from_millis(500);
/// Whoever has been dead for so long, while most of those that counted answered, counts no more.
const LONG_DEAD: Duration = Duration::from_secs(60);
/// A member that has said nothing for so long is asked how it is: it may have become read-only.
const UNHEARD_FOR: Duration = Duration::from_secs(3);

/// Beliefs about other nodes.
#[derive(Clone, Debug)]
pub(crate) struct Peers {
    me: Member,
    /// This node's own disk takes no more writes.
    read_only: bool,
    view: BTreeMap<Id, Known>,
    /// Since when those of the view that are dead have been so.
    died: BTreeMap<Id, Time>,
    /// Those of the dead that do not count any more. While most are out of reach nobody is added: it may be this node that
    /// is cut off, and time makes no minority a majority.
    written_off: BTreeSet<Id>,
    /// The newest address and incarnation, and the store that was met there.
    met: BTreeMap<Id, Met>,
    /// Ids that were alive at some time since this process began.
    seen: BTreeSet<Id>,
}

#[derive(Clone, Debug)]
struct Met {
    peer: Peer,
    store: Option<u64>,
    /// In this incarnation: on the way out.
    leaving: bool,
    /// In this incarnation: does not live there any more, or in another ring.
    gone: bool,
    /// In this incarnation: its disk takes no more writes. It answers, but promises nothing and keeps nothing new.
    read_only: bool,
    /// When it last answered, or was first thought of.
    heard: Option<Time>,
    /// Since when every call has failed.
    silent: Option<Time>,
    /// When it was last asked just to see whether it answers.
    probed: Option<Time>,
}

impl Met {
    fn new(peer: &Peer) -> Self {
        Self {
            peer: peer.clone(),
            store: None,
            leaving: false,
            gone: false,
            read_only: false,
            heard: None,
            silent: None,
            probed: None,
        }
    }
}

impl Peers {
    pub(crate) fn new(me: Member) -> Self {
        let (view, died, written_off, met, seen) = Default::default();
        Self { me, read_only: false, view, died, written_off, met, seen }
    }

    /// This node's own disk takes no more writes.
    pub(crate) fn set_read_only(&mut self) {
        self.read_only = true;
    }

    pub(crate) fn on_view(&mut self, now: Time, me: &Member, view: &View) {
        self.me = me.clone();
        self.view = view.known.iter().map(|known| (known.peer.id, known.clone())).collect();
        self.view.remove(&self.me.peer.id);
        let dead: BTreeSet<Id> = self.view.values().filter(|known| !known.alive).map(|known| known.peer.id).collect();
        self.died.retain(|id, _| dead.contains(id));
        for id in dead {
            self.died.entry(id).or_insert(now);
        }
        let died = &self.died;
        self.written_off.retain(|id| died.contains_key(id));
        let counted = 1 + self.counted().count();
        let alive = 1 + self.view.values().filter(|known| known.alive).count();
        if 2 * alive > counted {
            let long_dead = self.died.iter().filter(|(_, at)| now.since(**at) >= LONG_DEAD);
            self.written_off.extend(long_dead.map(|(id, _)| *id));
        }
        for known in self.view.values() {
            if known.alive {
                self.seen.insert(known.peer.id);
            }
            let met = self.met.entry(known.peer.id).or_insert_with(|| Met::new(&known.peer));
            if known.peer.incarnation > met.peer.incarnation {
                *met = Met::new(&known.peer);
            }
        }
    }

    /// A peer spoke to this node: it lives, there, with that store.
    pub(crate) fn on_word(&mut self, member: &Member) {
        if member.peer.id == self.me.peer.id {
            return;
        }
        self.seen.insert(member.peer.id);
        let met = self.met.entry(member.peer.id).or_insert_with(|| Met::new(&member.peer));
        if member.peer.incarnation < met.peer.incarnation {
            return;
        }
        if member.peer.incarnation > met.peer.incarnation {
            *met = Met::new(&member.peer);
        }
        met.peer = member.peer.clone();
        met.store = Some(member.store);
        met.gone = false;
        met.silent = None;
    }

    pub(crate) fn on_response(&mut self, now: Time, response: &Response) {
        self.on_word(&response.me);
        self.set_leaving(&response.me, response.leaving);
        if let Some(met) = self.met.get_mut(&response.me.peer.id)
            && met.peer.incarnation == response.me.peer.incarnation
        {
            met.heard = Some(now);
            // A disk that failed is not mended under a running node.
            met.read_only |= response.read_only;
        }
    }

    pub(crate) fn set_leaving(&mut self, member: &Member, leaving: bool) {
        if let Some(met) = self.met.get_mut(&member.peer.id)
            && met.peer.incarnation == member.peer.incarnation
        {
            met.leaving = leaving;
        }
    }

    pub(crate) fn on_failure(&mut self, now: Time, peer: &Peer, failure: &Failure) {
        let met = self.met.entry(peer.id).or_insert_with(|| Met::new(peer));
        if peer.incarnation < met.peer.incarnation {
            return;
        }
        match failure {
            Failure::Refused(Refusal::Gone | Refusal::OtherRing(_)) => met.gone = true,
            // Anything else that it says itself shows that it lives.
            Failure::Refused(Refusal::Busy | Refusal::NotMine | Refusal::Malformed(_)) => met.silent = None,
            Failure::Refused(Refusal::Leaving) => {
                met.silent = None;
                met.leaving = true;
            }
            Failure::TimedOut | Failure::Unreachable | Failure::Refused(Refusal::NotReady) => {
                met.silent.get_or_insert(now);
            }
        }
    }

    /// Nothing that was measured across a pause counts.
    pub(crate) fn on_pause(&mut self) {
        self.died.clear();
        for met in self.met.values_mut() {
            met.silent = None;
        }
    }

    /// Where to reach a member now.
    pub(crate) fn locate(&self, member: &Member) -> Peer {
        if member.peer.id == self.me.peer.id {
            return self.me.peer.clone();
        }
        match self.met.get(&member.peer.id) {
            Some(met) if met.peer.incarnation >= member.peer.incarnation => met.peer.clone(),
            _ => member.peer.clone(),
        }
    }

    /// The store that was last met at a peer in its present incarnation.
    pub(crate) fn member(&self, peer: &Peer) -> Option<Member> {
        if peer.id == self.me.peer.id {
            return Some(self.me.clone());
        }
        let met = self.met.get(&peer.id)?;
        Some(Member { peer: met.peer.clone(), store: met.store? })
    }

    /// Whether this member does its part as far as is known: it can be reached, keeps what it is sent and votes.
    pub(crate) fn alive(&self, now: Time, member: &Member) -> bool {
        !self.is_read_only(member.peer.id) && self.answers(now, member)
    }

    /// Whether it said that its disk takes no more writes (and did not come back since).
    pub(crate) fn is_read_only(&self, id: Id) -> bool {
        if id == self.me.peer.id { self.read_only } else { self.met.get(&id).is_some_and(|met| met.read_only) }
    }

    /// Whether a copy at this member can be read as far as is known.
    pub(crate) fn answers(&self, now: Time, member: &Member) -> bool {
        if member.peer.id == self.me.peer.id {
            return member.store == self.me.store;
        }
        let store_differs =
            self.met.get(&member.peer.id).is_some_and(|met| met.store.is_some_and(|store| store != member.store));
        !store_differs && self.peer_alive(now, &member.peer)
    }

    /// Whether a copy at this member can be read and no more.
    pub(crate) fn reads_only(&self, now: Time, member: &Member) -> bool {
        self.is_read_only(member.peer.id) && self.answers(now, member)
    }

    /// Whether the node can be reached as far as is known, whatever store it has.
    pub(crate) fn peer_alive(&self, now: Time, peer: &Peer) -> bool {
        let met = self.met.get(&peer.id);
        if met.is_some_and(|met| met.gone) {
            return false;
        }
        let silent = met.and_then(|met| met.silent);
        match self.view.get(&peer.id) {
            Some(known) => known.alive && silent.is_none_or(|since| now.since(since) < SILENT_FOR),
            None => silent.is_none(),
        }
    }

    /// Whether it said that it is about to go (and did not come back since).
    pub(crate) fn leaving(&self, id: Id) -> bool {
        self.met.get(&id).is_some_and(|met| met.leaving)
    }

    /// Whether it announced a *stop* within the last `window`.
    pub(crate) fn stopped(&self, now: Time, id: Id, window: Duration) -> bool {
        self.view.get(&id).and_then(|known| known.stopped).is_some_and(|at| now.since(at) < window)
    }

    /// Whether it was alive at some time since this process began.
    pub(crate) fn seen(&self, id: Id) -> bool {
        self.seen.contains(&id)
    }

    /// Whether anybody was.
    pub(crate) fn seen_anybody(&self) -> bool {
        !self.seen.is_empty()
    }

    /// Whether a member's store in its present incarnation is still to be asked for.
    pub(crate) fn unverified(&self, member: &Member) -> bool {
        member.peer.id != self.me.peer.id && self.met.get(&member.peer.id).is_none_or(|met| met.store.is_none())
    }

    /// Whom to ask for a sign of life now: those whose last call failed, and those of `members` whose store is not
    /// known in their present incarnation, or who have said nothing for a while. Not the dead, and nobody too often.
    pub(crate) fn doubtful(&mut self, now: Time, members: &[Member]) -> Vec<Peer> {
        for member in members.iter().filter(|member| member.peer.id != self.me.peer.id) {
            self.met.entry(member.peer.id).or_insert_with(|| Met::new(&member.peer));
        }
        let named = |id: &Id| members.iter().any(|member| member.peer.id == *id);
        let mut doubtful = Vec::new();
        for (id, met) in &mut self.met {
            let dead = met.gone || self.view.get(id).is_some_and(|known| !known.alive);
            let unheard = now.since(*met.heard.get_or_insert(now)) >= UNHEARD_FOR;
            let doubt = met.silent.is_some() || (met.store.is_none() || unheard) && named(id);
            let due = met.probed.is_none_or(|at| now.since(at) >= PROBE_PERIOD);
            if !dead && doubt && due {
                met.probed = Some(now);
                doubtful.push(met.peer.clone());
            }
        }
        doubtful
    }

    /// Live peers of the view, by identifier.
    pub(crate) fn living(&self, now: Time) -> Vec<Peer> {
        let alive = self.view.values().filter(|known| self.peer_alive(now, &known.peer));
        alive.map(|known| self.met.get(&known.peer.id).map_or(&known.peer, |met| &met.peer).clone()).collect()
    }

    /// How many there are.
    pub(crate) fn living_count(&self, now: Time) -> usize {
        self.view.values().filter(|known| self.peer_alive(now, &known.peer)).count()
    }

    /// How many of the view are out of reach and did not say that they would leave.
    pub(crate) fn deserted(&self, now: Time) -> usize {
        let lost = |known: &&Known| !self.peer_alive(now, &known.peer) && !self.leaving(known.peer.id);
        self.view.values().filter(lost).count()
    }

    /// Those of the view that may be on the other side of a cut: all but this node that have not left, and were not long
    /// dead while most others were there.
    pub(crate) fn counted(&self) -> impl Iterator<Item = Id> {
        let there = self.view.values().filter(|known| !known.left).map(|known| known.peer.id);
        there.filter(|id| !self.written_off.contains(id))
    }

    /// Every identifier of the view, dead or alive.
    pub(crate) fn remembered(&self) -> impl Iterator<Item = Id> {
        self.view.keys().copied()
    }

    /// Forgets whoever is neither in the view nor in `named`.
    pub(crate) fn keep(&mut self, named: &BTreeSet<Id>) {
        let view = &self.view;
        self.met.retain(|id, _| view.contains_key(id) || named.contains(id));
        self.seen.retain(|id| view.contains_key(id) || named.contains(id));
    }
}
