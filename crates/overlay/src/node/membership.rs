//! Finding a ring and losing it, and answering peers.

use super::calls::{Pending, Purpose};
use super::{Node, Phase};
use crate::meeting::{Outcome, compare};
use crate::starting::{Decision, Search, stranger};
use crate::{
    Addr, Departure, Envelope, Event, Hello, HelloReply, HelloState, Overlay, Peer, Refusal, Request, Response, RingId,
    State,
};

/// Other members named in an answer to Hello.
const MEMBERS_MAX: usize = 16;

impl<P: Overlay> Node<P> {
    pub(super) fn answer(&mut self, envelope: &Envelope, request: Request<P>) -> Result<Response<P>, Refusal> {
        if matches!(self.phase, Phase::New | Phase::Refused | Phase::Left) {
            return Err(Refusal::Gone);
        }
        let meant = |to: &Peer| (to.id, to.incarnation) == (self.me.id, self.me.incarnation);
        if envelope.to.as_ref().is_some_and(|to| !meant(to)) {
            return Err(Refusal::Gone);
        }
        let request = match request {
            Request::Hello(hello) => return Ok(Response::Hello(self.greet(envelope, &hello))),
            other => other,
        };
        if envelope.to.is_none() {
            return Err(Refusal::Malformed("envelope.to".to_owned()));
        }
        let Some(ring) = self.ring else {
            return Err(Refusal::NotReady);
        };
        if envelope.ring != Some(ring) {
            self.meeting.alarm(&envelope.from.addr, self.now);
            return Err(Refusal::OtherRing(Some(ring)));
        }
        if self.liveness.is_outdated(&envelope.from) {
            // An echo: its sender has begun a newer life, so nobody waits for the answer.
            return Err(Refusal::Malformed("envelope.from.incarnation".to_owned()));
        }
        if self.liveness.has_departed(&envelope.from) {
            // Sent before its goodbye, which overtook it: to take it in again would be a mistake.
            return Err(Refusal::Malformed("envelope.from".to_owned()));
        }
        match request {
            Request::Depart(departure) => {
                self.on_peer_departing(&envelope.from, departure);
                Ok(Response::Departed)
            }
            Request::Protocol(request) => {
                self.hear(&envelope.from);
                let answer = self.with_protocol(|protocol, ctx| protocol.serve(&envelope.from, request, ctx))?;
                Ok(Response::Protocol(answer))
            }
            Request::Forward(forward) => {
                self.hear(&envelope.from);
                self.pass_on(forward)
            }
            Request::Found(found) => {
                self.hear(&envelope.from);
                self.on_found(found)
            }
            Request::Hello(_) => Err(Refusal::Malformed("request".to_owned())),
        }
    }

    /// What this node says of itself before anything else.
    pub(super) fn hello(&self) -> Hello {
        Hello { settings: self.settings.clone(), state: self.hello_state(), disk_ring: self.disk_ring() }
    }

    pub(super) fn known_addrs(&self) -> Vec<Addr> {
        let (dead, others) = self.liveness.addresses();
        let given = self.start.seeds.iter().chain(&self.start.remembered).cloned();
        given.chain(others).chain(dead).collect()
    }

    /// Goes on with the search, if there is one and its next round has come.
    pub(super) fn search_on(&mut self) {
        let Some(search) = self.search.as_ref().filter(|search| search.next_round() <= self.now) else {
            return;
        };
        let known = self.known_addrs();
        let decision = search.decide(self.now, &self.me, known.clone(), &self.config);
        if decision != Decision::Wait {
            return self.decide(decision);
        }
        let next_round = self.now.plus(self.jittered(self.config.search_period));
        let round = self.search.as_mut().map(|search| search.round(next_round, &self.me, known));
        for addr in round.unwrap_or_default() {
            self.send(Pending::to_addr(addr, Purpose::Search));
        }
    }

    pub(super) fn on_search_answer(&mut self, addr: &Addr, reply: HelloReply) {
        if let Some(search) = &mut self.search {
            let decision = search.on_reply(self.now, addr, reply, &self.me, &self.settings);
            self.decide(decision);
        }
    }

    pub(super) fn on_search_silence(&mut self, addr: &Addr) {
        if let Some(search) = &mut self.search {
            search.on_silence(addr);
        }
    }

    /// Somebody lives there who can't even read this node's Hello: another cluster, another width of identifiers.
    pub(super) fn on_search_refusal(&mut self, addr: &Addr, why: &str) {
        if let Some(search) = &mut self.search {
            search.on_refusal(addr, why);
        }
    }

    /// A suspect answered a Hello that named it.
    pub(super) fn on_probe_answer(&mut self, peer: &Peer, reply: &HelloReply) {
        let same = (reply.me.id, reply.me.incarnation) == (peer.id, peer.incarnation);
        if same && reply.ring == self.ring {
            self.hear(&reply.me);
        } else {
            self.declare_dead(peer, &crate::Failure::Refused(Refusal::Gone));
        }
    }

    fn decide(&mut self, decision: Decision) {
        match decision {
            Decision::Wait => {}
            Decision::Join(via, ring) => self.join(via, ring),
            Decision::Found => {
                let elapsed_ms = self.now.since(self.started).as_millis();
                let started_ms = self.start.wall_ms.saturating_add(u64::try_from(elapsed_ms).unwrap_or(u64::MAX));
                self.found(RingId { started_ms, starter: self.me.id }, true);
            }
            Decision::TakeUp(ring) => self.found(ring, false),
            Decision::Refuse(why) => self.refuse(why),
        }
    }

    pub(super) fn join(&mut self, via: Peer, ring: RingId) {
        if self.member_of != Some(ring) {
            self.liveness.change_ring();
        }
        self.search = None;
        self.ring = Some(ring);
        self.founded = false;
        self.joined_via = Some(via.addr.clone());
        self.with_protocol(|protocol, ctx| protocol.join(via, ctx));
    }

    fn found(&mut self, ring: RingId, founded: bool) {
        self.search = None;
        self.ring = Some(ring);
        self.founded = founded;
        self.joined_via = None;
        self.with_protocol(|protocol, ctx| protocol.create(ctx));
    }

    /// The protocol can't go on in this ring: find another way in.
    pub(super) fn lose_ring(&mut self, why: &str) {
        if self.phase != Phase::Up || self.ring.is_none() {
            return;
        }
        self.note(format!("looking for a member again: {why}"));
        let was_member = self.told.state == State::Ready;
        self.leave_ring();
        let wait = if was_member { std::time::Duration::ZERO } else { self.jittered(self.config.search_period) };
        let search = Search::new(self.now, self.disk_ring(), self.member_of.is_some());
        self.search = Some(search.let_down_by(self.joined_via.take(), self.now.plus(wait)));
    }

    /// Back to the state of a node in no ring, in a new life: whatever the old one left behind at
    /// its peers is refused as gone.
    pub(super) fn leave_ring(&mut self) {
        self.abandon_queries();
        self.calls.clear();
        self.retries.clear();
        self.timers.clear();
        self.wishes.clear();
        self.meeting.end();
        self.ring = None;
        self.me.incarnation += 1;
        self.protocol.reset(self.me.clone());
    }

    /// This node can't join, now or ever.
    pub(super) fn refuse(&mut self, why: String) {
        if self.ring.is_some() {
            self.leave_ring();
        }
        self.search = None;
        self.phase = Phase::Refused;
        self.calls.clear();
        self.tell(Event::Refused(why));
    }

    /// The ring that this node would take up again.
    fn disk_ring(&self) -> Option<RingId> {
        self.member_of.or(self.start.disk_ring)
    }

    fn hello_state(&self) -> HelloState {
        match self.standing() {
            State::Searching => HelloState::Searching,
            State::Joining => HelloState::Joining,
            State::Ready => HelloState::Ready,
            State::Leaving | State::Left => HelloState::Leaving,
        }
    }

    /// Answers a Hello, and takes from it what concerns this node's own ring.
    fn greet(&mut self, envelope: &Envelope, hello: &Hello) -> HelloReply {
        let from = &envelope.from;
        if from.id != self.me.id && stranger(&from.addr, &self.settings, &hello.settings).is_none() {
            if let Some(search) = &mut self.search {
                search.learn(from.addr.clone());
            }
            self.compare_rings_with(from, hello.state, envelope.ring);
        }
        HelloReply {
            me: self.me.clone(),
            state: self.hello_state(),
            ring: self.ring,
            disk_ring: self.disk_ring(),
            settings: self.settings.clone(),
            members: self.some_members(),
        }
    }

    fn compare_rings_with(&mut self, from: &Peer, state: HelloState, ring: Option<RingId>) {
        let (Some(ours), Some(theirs)) = (self.ring, ring) else {
            return;
        };
        match compare(ours, theirs) {
            Outcome::Rejoin if state == HelloState::Ready => self.meeting.alarm(&from.addr, self.now),
            Outcome::Rejoin | Outcome::TheyRejoin => {}
            Outcome::Same => {
                // Dead to us, yet a member of this very ring: its part of it may be another one by now.
                if state == HelloState::Ready && self.liveness.is_dead(from) {
                    self.meeting.alarm(&from.addr, self.now);
                }
                self.hear(from);
            }
        }
    }

    fn some_members(&self) -> Vec<Peer> {
        if self.ring.is_none() {
            return Vec::new();
        }
        let mut members = self.protocol.neighbours();
        let known = self.liveness.known().into_iter().filter(|known| known.alive).map(|known| known.peer);
        members.extend(known);
        let mut seen = std::collections::BTreeSet::new();
        members.retain(|peer| seen.insert(peer.id));
        members.truncate(MEMBERS_MAX);
        members
    }

    fn on_peer_departing(&mut self, peer: &Peer, departure: Departure) {
        let news = self.liveness.departed(peer, departure, self.now);
        if departure == Departure::Stop {
            self.tell(Event::Stopping(peer.clone()));
        }
        if news {
            self.mourn(peer, &crate::Failure::Refused(Refusal::Gone));
        }
        self.with_protocol(|protocol, ctx| protocol.on_departure(peer, departure, ctx));
    }
}
