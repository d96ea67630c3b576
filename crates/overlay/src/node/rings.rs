//! Watching for other rings, and changing over to an older one.

use super::calls::{Pending, Purpose};
use super::queries::Asker;
use super::{Node, Phase};
use crate::lookup::{Origin, Sought};
use crate::meeting::{Outcome, Side, Stage, compare};
use crate::starting::stranger;
use crate::{Addr, Event, HelloReply, HelloState, LocateError, Located, Overlay, Peer, RingId, State};

use rand_pcg::rand_core::Rng;

/// What a lookup of the watch is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Check {
    /// Who holds this node's place, as seen from there?
    Myself,
    /// Who holds identifier 0, as seen from either side?
    Zero(Side),
}

impl<P: Overlay> Node<P> {
    /// Begins a check if one is due.
    pub(super) fn check_rings(&mut self) {
        if self.standing() != State::Ready || self.meeting.wake().is_none_or(|at| at > self.now) {
            return;
        }
        let next_check = self.now.plus(self.jittered(self.config.self_check_period));
        let (rotation, draw) = (self.strangers_to_greet(), self.rng.next_u32());
        if let Some(addr) = self.meeting.begin(self.now, next_check, rotation, draw) {
            self.send(Pending::to_addr(addr, Purpose::Greeting));
        }
    }

    /// Addresses of nodes that are no neighbours: the dead, those this node was given, the rest. If
    /// there are none, the neighbours have to do.
    fn strangers_to_greet(&self) -> [Vec<Addr>; 3] {
        let (dead, others) = self.liveness.addresses();
        let given: Vec<Addr> = self.start.seeds.iter().chain(&self.start.remembered).cloned().collect();
        let neighbours: Vec<Addr> = self.protocol.neighbours().into_iter().map(|peer| peer.addr).collect();
        let rotation = [dead, given, others].map(|mut kind| {
            kind.retain(|addr| *addr != self.me.addr && !neighbours.contains(addr));
            kind
        });
        if rotation.iter().all(Vec::is_empty) { [neighbours, Vec::new(), Vec::new()] } else { rotation }
    }

    pub(super) fn on_greeting_failed(&mut self, addr: &Addr) {
        self.meeting.end();
        if self.meeting.is_asked_for(addr) {
            let why = format!("nobody answers at {addr}: no ring to meet there");
            self.tell(Event::Met(addr.clone(), Err(why)));
        }
    }

    /// The node that was greeted answered.
    pub(super) fn on_greeted(&mut self, addr: &Addr, reply: HelloReply) {
        self.meeting.end();
        let asked_for = self.meeting.is_asked_for(addr);
        let met = |node: &mut Self, met: Result<&str, String>| {
            if asked_for {
                node.tell(Event::Met(addr.clone(), met.map(str::to_owned)));
            }
        };
        if reply.me.id == self.me.id || self.standing() != State::Ready {
            return met(self, Err(format!("{addr} is this node itself, or it is in no ring any more")));
        }
        if let Some(why) = stranger(addr, &self.settings, &reply.settings) {
            if !asked_for && self.told.stranger != why {
                self.note(why.clone());
            }
            self.told.stranger.clone_from(&why);
            return met(self, Err(why));
        }
        let (Some(ours), Some(theirs), HelloState::Ready) = (self.ring, reply.ring, reply.state) else {
            return met(self, Err(format!("{addr} is no ready member of a ring: try again later")));
        };
        match compare(ours, theirs) {
            Outcome::Rejoin => {
                met(self, Ok("its ring is the older one: this one joins it"));
                self.rejoin(reply.me, theirs);
            }
            Outcome::TheyRejoin => met(self, Ok("its ring is the younger one: it joins this one")),
            Outcome::Same => {
                met(self, Ok("it is in the same ring; should that have fallen in two, its parts join within seconds"));
                self.hear(&reply.me);
                self.meeting.look_from(reply.me.clone());
                self.look_up(Check::Myself, Some(reply.me));
            }
        }
    }

    /// A lookup of the watch ended.
    pub(super) fn on_check_located(&mut self, check: Check, result: Result<Located, LocateError>) {
        let owner = result.ok().and_then(|located| located.owners.into_iter().next());
        let Some(owner) = owner.filter(|_| self.standing() == State::Ready) else {
            return self.meeting.end();
        };
        match (check, self.meeting.stage().clone()) {
            (Check::Myself, Stage::Myself(_)) if owner.id == self.me.id => self.meeting.all_well(),
            (Check::Myself, Stage::Myself(via)) => {
                self.meeting.compare_from(via.clone());
                self.look_up(Check::Zero(Side::Theirs), Some(via));
                self.look_up(Check::Zero(Side::Ours), None);
            }
            (Check::Zero(side), Stage::Zero { .. }) => {
                if let (Some(via), Some(ring)) = (self.meeting.on_zero(side, owner.id, self.now), self.ring) {
                    self.rejoin(via, ring);
                }
            }
            _ => {}
        }
    }

    fn look_up(&mut self, check: Check, via: Option<Peer>) {
        let (sought, target) = match check {
            Check::Myself => (Sought::Member, self.me.id),
            Check::Zero(_) => (Sought::Owner, self.me.id.space().zero()),
        };
        let origin = via.map_or(Origin::Tables, |peer| Origin::Via { peer, member: true });
        self.begin_query(sought, target, origin, Asker::Rings(check));
    }

    /// Leaves this ring for an older one, or for the other part of it, in a new life.
    fn rejoin(&mut self, via: Peer, to: RingId) {
        let Some(from) = self.ring.filter(|_| self.phase == Phase::Up) else {
            return;
        };
        self.tell(Event::Rejoining { from, to });
        self.leave_ring();
        self.liveness.change_ring();
        self.join(via, to);
    }
}
