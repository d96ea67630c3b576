//! Requests to peers: sent, judged, and sent again while a peer is only suspect.
//!
//! To a protocol a failed call means that the peer is dead, as Zave's proof has it of a time-out
//! (TSE 43(12), 2017): its call is repeated here until it is answered or liveness gives the peer up.

use std::time::Duration;

use super::{Node, Phase};
use crate::liveness::{Miss, Verdict};
use crate::relay::RelayId;
use crate::{
    Addr, CallId, Departure, Effect, Envelope, Event, Failure, Forward, Found, Overlay, Peer, QueryId, Refusal,
    Request, Response, Time,
};

/// A refused connection is tried again after this.
const REFUSED_RETRY: Duration = Duration::from_millis(30);

/// A call that has not ended yet.
#[derive(Clone, Debug)]
pub(super) struct Pending<P: Overlay> {
    /// Whom it is for; none when only an address is known.
    pub(super) to: Option<Peer>,
    pub(super) addr: Addr,
    pub(super) purpose: Purpose<P>,
    attempt: u32,
    sent: Time,
    /// This process was paused meanwhile, so a failure says nothing about the peer.
    pub(super) spans_pause: bool,
}

/// What a call is made for.
#[derive(Clone, Debug)]
pub(super) enum Purpose<P: Overlay> {
    /// The protocol's own.
    Protocol(P::Request),
    /// A step of a lookup.
    Lookup(QueryId),
    /// Passing a query on.
    Forward(RelayId, Box<Forward>),
    /// Telling the answer to a query of somebody else's.
    Found(Box<Found>),
    /// Settling a suspicion.
    Probe,
    /// Looking for a ring.
    Search,
    /// Looking for another ring.
    Greeting,
    /// Saying goodbye.
    Depart(Departure),
}

impl<P: Overlay> Pending<P> {
    pub(super) fn to_peer(peer: Peer, purpose: Purpose<P>) -> Self {
        let addr = peer.addr.clone();
        Self { to: Some(peer), addr, purpose, attempt: 0, sent: Time::default(), spans_pause: false }
    }

    pub(super) fn to_addr(addr: Addr, purpose: Purpose<P>) -> Self {
        Self { to: None, addr, purpose, attempt: 0, sent: Time::default(), spans_pause: false }
    }

    fn is_for(&self, peer: &Peer) -> bool {
        self.to.as_ref().is_some_and(|to| (to.id, to.incarnation) == (peer.id, peer.incarnation))
    }

    /// Whether this is an answer to what was asked.
    fn fits(&self, response: &Response<P>) -> bool {
        match &self.purpose {
            Purpose::Protocol(_) | Purpose::Lookup(_) => matches!(response, Response::Protocol(_)),
            Purpose::Probe | Purpose::Search | Purpose::Greeting => {
                matches!(response, Response::Hello(_))
            }
            Purpose::Depart(_) => matches!(response, Response::Departed),
            Purpose::Forward(..) => matches!(response, Response::Forwarded),
            Purpose::Found(_) => matches!(response, Response::Noted),
        }
    }

    /// Whether it goes on until the peer answers or is dead.
    fn insists(&self) -> bool {
        matches!(self.purpose, Purpose::Protocol(_) | Purpose::Probe)
    }
}

impl<P: Overlay> Node<P> {
    pub(super) fn call_for_protocol(&mut self, to: Peer, request: P::Request) {
        self.send(Pending::to_peer(to, Purpose::Protocol(request)));
    }

    pub(super) fn send(&mut self, mut pending: Pending<P>) {
        let request = match &pending.purpose {
            Purpose::Protocol(request) => Request::Protocol(request.clone()),
            Purpose::Lookup(query) => match self.lookup_request(*query) {
                Some(request) => Request::Protocol(request),
                None => return,
            },
            Purpose::Probe | Purpose::Search | Purpose::Greeting => Request::Hello(self.hello()),
            Purpose::Depart(departure) => Request::Depart(*departure),
            Purpose::Forward(_, forward) => Request::Forward(forward.as_ref().clone()),
            Purpose::Found(found) => Request::Found(found.as_ref().clone()),
        };
        let timeout = match &pending.to {
            Some(peer) => self.liveness.deadline(peer, pending.attempt),
            None => self.config.call_timeout_max,
        };
        let call = CallId(self.number());
        let envelope = Envelope { from: self.me.clone(), to: pending.to.clone(), ring: self.ring };
        let addr = pending.addr.clone();
        pending.sent = self.now;
        pending.spans_pause = false;
        self.calls.insert(call, pending);
        self.effects.push_back(Effect::Call { call, addr, envelope, request, timeout });
    }

    /// Calls whose pause is over go out again.
    pub(super) fn resend_due(&mut self) {
        while let Some(due) = self.retries.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let pending = due.remove();
            self.send(pending);
        }
    }

    pub(super) fn answered(&mut self, pending: Pending<P>, response: Response<P>, rtt: Option<Duration>) {
        let waited = self.now.since(pending.sent);
        if let (Some(peer), false) = (&pending.to, matches!(response, Response::Hello(_))) {
            self.hear(peer);
        }
        if let (Some(peer), Some(rtt), false) = (&pending.to, rtt, pending.spans_pause) {
            self.liveness.sample(peer, rtt);
        }
        if !pending.fits(&response) {
            // An answer to another question: it lives, but that is all.
            let malformed = Refusal::Malformed("response".to_owned());
            return self.end(pending, Failure::Refused(malformed));
        }
        match (response, pending) {
            (Response::Protocol(response), pending) => {
                self.answered_by_protocol(pending, response, rtt.unwrap_or(waited));
            }
            (Response::Hello(reply), Pending { to, addr, purpose, .. }) => match (purpose, to) {
                (Purpose::Probe, Some(to)) => self.on_probe_answer(&to, &reply),
                (Purpose::Search, _) => self.on_search_answer(&addr, reply),
                (Purpose::Greeting, _) => self.on_greeted(&addr, reply),
                _ => {}
            },
            (Response::Forwarded, Pending { purpose: Purpose::Forward(relay, _), .. }) => self.on_forwarded(relay),
            (Response::Departed | Response::Noted | Response::Forwarded, _) => {}
        }
    }

    fn answered_by_protocol(&mut self, pending: Pending<P>, answer: P::Response, rtt: Duration) {
        match (pending.purpose, pending.to) {
            (Purpose::Protocol(request), Some(to)) => {
                self.with_protocol(|protocol, ctx| protocol.on_reply(&to, request, Ok(answer), ctx));
            }
            (Purpose::Lookup(query), Some(to)) => self.on_lookup_answer(query, &to, &answer, rtt),
            _ => {}
        }
    }

    pub(super) fn failed(&mut self, pending: Pending<P>, failure: Failure) {
        if let Purpose::Found(_) = pending.purpose {
            return self.tell_again(pending, &failure);
        }
        let Some(peer) = pending.to.clone() else {
            return self.end(pending, failure);
        };
        let miss = match failure {
            Failure::Refused(Refusal::Gone | Refusal::OtherRing(_)) => {
                if let Failure::Refused(Refusal::OtherRing(_)) = failure {
                    self.meeting.alarm(&peer.addr, self.now);
                }
                self.declare_dead(&peer, &failure);
                return self.end(pending, failure);
            }
            Failure::Refused(_) => {
                self.hear(&peer);
                return self.end(pending, failure);
            }
            Failure::TimedOut => Miss::Silent,
            Failure::Unreachable => Miss::Unreachable,
        };
        if pending.spans_pause {
            return self.restart(pending, failure);
        }
        let verdict = self.liveness.missed(&peer, miss, pending.sent, self.now);
        // Something else of it may be heard for ever while it never answers this: enough is enough.
        let exhausted = pending.attempt >= 2 * self.config.misses_until_dead;
        match verdict {
            Verdict::Suspect if exhausted => {
                self.declare_dead(&peer, &failure);
                self.end(pending, failure);
            }
            Verdict::Suspect if pending.insists() => self.retry(pending, miss),
            Verdict::Suspect => {
                self.end(pending, failure);
                self.settle_suspicion(&peer, miss);
            }
            Verdict::Dead { news } => {
                if news {
                    self.mourn(&peer, &failure);
                }
                self.end(pending, failure);
            }
        }
    }

    /// Evidence from the layer above, whose calls are not ours to repeat.
    pub(super) fn weigh(&mut self, peer: &Peer, result: Result<(), Failure>) {
        let miss = match result {
            Ok(()) => return self.hear(peer),
            Err(failure @ Failure::Refused(Refusal::Gone | Refusal::OtherRing(_))) => {
                return self.declare_dead(peer, &failure);
            }
            Err(Failure::Refused(_)) => return self.hear(peer),
            Err(Failure::TimedOut) => Miss::Silent,
            Err(Failure::Unreachable) => Miss::Unreachable,
        };
        let sent = Time(self.now.0.saturating_sub(self.liveness.deadline(peer, 0).as_micros() as u64));
        match self.liveness.missed(peer, miss, sent, self.now) {
            Verdict::Suspect => self.settle_suspicion(peer, miss),
            Verdict::Dead { news: true } => self.mourn(peer, &Failure::TimedOut),
            Verdict::Dead { news: false } => {}
        }
    }

    /// `peer` spoke to us in this ring.
    pub(super) fn hear(&mut self, peer: &Peer) {
        if self.ring.is_none() {
            return;
        }
        if let Some(holder) = self.liveness.holder_elsewhere(peer) {
            return self.ask_holder(holder, peer);
        }
        if self.liveness.heard(peer, self.now) {
            self.tell(Event::Up(peer.clone()));
        }
    }

    /// Somebody speaks with the identifier of a node that is believed to live elsewhere. Either that one has moved, or two
    /// were given one identifier: the one that is known is asked, and stays what it was unless it is dead.
    fn ask_holder(&mut self, holder: Peer, claimant: &Peer) {
        if self.phase == Phase::Up && !self.finds_out_about(&holder) {
            self.note(format!(
                "{} speaks with the identifier {} of {}: unless that one is gone, two nodes were given one identifier",
                claimant.addr, holder.id, holder.addr
            ));
            self.send(Pending::to_peer(holder, Purpose::Probe));
        }
    }

    /// A call is under way whose end tells whether the peer lives.
    fn finds_out_about(&self, peer: &Peer) -> bool {
        let mut under_way = self.calls.values().chain(self.retries.values());
        under_way.any(|pending| pending.insists() && pending.is_for(peer))
    }

    pub(super) fn declare_dead(&mut self, peer: &Peer, failure: &Failure) {
        if self.liveness.bury(peer, self.now) {
            self.mourn(peer, failure);
        }
    }

    /// `peer` has just been declared dead: nobody waits for it any longer.
    pub(super) fn mourn(&mut self, peer: &Peer, failure: &Failure) {
        self.tell(Event::Down(peer.clone()));
        let calls = self.calls.extract_if(.., |_, pending| pending.is_for(peer)).map(|(_, pending)| pending);
        let retries = self.retries.extract_if(.., |_, pending| pending.is_for(peer)).map(|(_, pending)| pending);
        let ended: Vec<Pending<P>> = calls.chain(retries).collect();
        for pending in ended {
            self.end(pending, failure.clone());
        }
    }

    /// Somebody finds out whether a suspect lives: a call of the protocol's that is under way, or else a Hello.
    fn settle_suspicion(&mut self, peer: &Peer, miss: Miss) {
        if !self.finds_out_about(peer) && self.phase == Phase::Up {
            self.retry(Pending::to_peer(peer.clone(), Purpose::Probe), miss);
        }
    }

    fn retry(&mut self, mut pending: Pending<P>, miss: Miss) {
        pending.attempt += 1;
        match miss {
            Miss::Silent => self.send(pending),
            Miss::Unreachable => {
                let at = (self.now.plus(REFUSED_RETRY), self.number());
                self.retries.insert(at, pending);
            }
        }
    }

    /// An answer that did not get through is told once more. Its addressee is known from what others say only, so its
    /// silence counts for nothing: else anybody could have this node suspect whom they like.
    fn tell_again(&mut self, pending: Pending<P>, failure: &Failure) {
        let miss = match failure {
            Failure::TimedOut => Miss::Silent,
            Failure::Unreachable => Miss::Unreachable,
            Failure::Refused(_) => return,
        };
        if pending.attempt == 0 && !pending.spans_pause {
            self.retry(pending, miss);
        }
    }

    /// A failure measured across a pause does not count.
    fn restart(&mut self, mut pending: Pending<P>, failure: Failure) {
        if pending.insists() {
            pending.attempt = 0;
            self.send(pending);
        } else {
            self.end(pending, failure);
        }
    }

    /// The one place where a call that failed for good is given back to whoever made it.
    fn end(&mut self, pending: Pending<P>, failure: Failure) {
        let Pending { to, addr, purpose, spans_pause, .. } = pending;
        match (purpose, to) {
            (Purpose::Protocol(request), Some(to)) => {
                self.with_protocol(|protocol, ctx| protocol.on_reply(&to, request, Err(failure), ctx));
            }
            (Purpose::Lookup(query), Some(to)) => {
                let silent = match failure {
                    Failure::Refused(Refusal::Gone) => {
                        return self.on_lookup_gone(query, &to);
                    }
                    Failure::TimedOut | Failure::Unreachable => !spans_pause,
                    Failure::Refused(refusal) => matches!(refusal, Refusal::OtherRing(_)),
                };
                self.on_lookup_failure(query, &to, silent);
            }
            (Purpose::Forward(relay, _), Some(to)) => {
                let silent = matches!(failure, Failure::TimedOut | Failure::Unreachable) && !spans_pause;
                self.on_forward_failed(relay, &to, silent);
            }
            (Purpose::Search, _) => match failure {
                Failure::Refused(Refusal::Malformed(why)) => self.on_search_refusal(&addr, &why),
                _ => self.on_search_silence(&addr),
            },
            (Purpose::Greeting, _) => self.on_greeting_failed(&addr),
            _ => {}
        }
    }
}
