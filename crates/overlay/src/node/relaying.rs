//! Recursive routing: setting out, passing on, and telling the origin.

use ring::Id;

use super::calls::{Pending, Purpose};
use super::{Node, Phase};
use crate::relay::{AVOID_MAX, HOPS_MAX, Mark, Onward, Relay, RelayId};
use crate::{Forward, Found, Overlay, Peer, QueryId, Refusal, Response};

impl<P: Overlay> Node<P> {
    /// Sends a query of this node's own on its way, or ends it if this node is the owner.
    pub(super) fn set_out(&mut self, query: QueryId, target: Id) {
        if self.relays.is_full() {
            return self.fall_back(query);
        }
        let forward = Forward { origin: self.me.clone(), query, target, path: Vec::new(), avoid: Vec::new() };
        self.relay(Relay::new(forward));
    }

    /// Answers [`crate::Request::Forward`]. A refusal sends the caller to somebody else; what is acknowledged goes on from
    /// here.
    pub(super) fn pass_on(&mut self, forward: Forward) -> Result<Response<P>, Refusal> {
        if matches!(self.phase, Phase::Departing { .. }) {
            return Err(Refusal::Leaving);
        }
        if !self.protocol.is_ready() {
            return Err(Refusal::NotReady);
        }
        let for_me = forward.path.last().is_some_and(|step| step.peer.id == self.me.id);
        if !for_me || forward.path.len() > HOPS_MAX {
            return Err(Refusal::Malformed("path".to_owned()));
        }
        if forward.avoid.len() > AVOID_MAX {
            return Err(Refusal::Malformed("avoid".to_owned()));
        }
        let mark = Mark::of(&forward);
        if self.relays.has_passed(mark) {
            return Ok(Response::Forwarded);
        }
        if self.relays.is_full() {
            return Err(Refusal::Busy);
        }
        if !self.relay(Relay::new(forward)) {
            return Err(Refusal::NotMine);
        }
        self.relays.remember(mark);
        Ok(Response::Forwarded)
    }

    /// The next hop has it now.
    pub(super) fn on_forwarded(&mut self, id: RelayId) {
        self.relays.remove(id);
    }

    /// A next hop did not take it: to the next but one, if it was still waited for.
    pub(super) fn on_forward_failed(&mut self, id: RelayId, to: &Peer, silent: bool) {
        if self.relays.get_mut(id).is_some_and(|relay| relay.has_failed(to.id, silent)) {
            self.advance(id);
        }
    }

    /// Goes round every next hop that is slow by now. The calls to them go on, and tell whether they are dead.
    pub(super) fn relay_slow_ones(&mut self) {
        for id in self.relays.take_due(self.now) {
            if self.relays.get_mut(id).is_some_and(|relay| relay.gives_up_waiting(self.now)) {
                self.advance(id);
            }
        }
    }

    /// Takes a query in. False if it goes nowhere from here.
    fn relay(&mut self, relay: Relay) -> bool {
        let id = RelayId(self.number());
        self.relays.insert(id, relay);
        self.advance(id)
    }

    /// One hop further, or to the end. False if there is nobody left to try.
    fn advance(&mut self, id: RelayId) -> bool {
        match self.onward(id) {
            Onward::To(hop) => {
                let (rtt, slow_at) =
                    (self.liveness.smoothed(&hop.peer), self.now.plus(self.liveness.patience(&hop.peer)));
                let to = hop.peer.clone();
                if let Some(forward) = self.relays.get_mut(id).map(|relay| relay.go_to(hop, rtt, slow_at)) {
                    self.relays.wake_at(id, slow_at);
                    self.send(Pending::to_peer(to, Purpose::Forward(id, Box::new(forward))));
                }
                true
            }
            Onward::Here(answer) => {
                if let Some(relay) = self.relays.remove(id) {
                    let (origin, found) = relay.found(answer);
                    self.tell_origin(origin, found);
                }
                true
            }
            Onward::Nowhere => {
                let relay = self.relays.remove(id);
                if let Some(own) = relay.as_ref().map(Relay::forward).filter(|forward| forward.path.is_empty()) {
                    self.fall_back(own.query);
                }
                false
            }
        }
    }

    fn onward(&self, id: RelayId) -> Onward {
        let Some(relay) = self.relays.get(id) else {
            return Onward::Nowhere;
        };
        let mut avoid = self.liveness.doubtful();
        avoid.extend(relay.avoid());
        let target = relay.forward().target;
        let route = self.protocol.route(target, &avoid);
        let distance = |from| self.protocol.distance(from, target);
        relay.onward(self.me.id, route, distance, |peer| self.liveness.is_dead(peer))
    }

    fn tell_origin(&mut self, origin: Peer, found: Found) {
        if origin.id == self.me.id {
            // Its own tables answered. A query that somebody else made up in its name is not open, and passed over.
            let _ = self.on_found(found);
        } else {
            self.send(Pending::to_peer(origin, Purpose::Found(Box::new(found))));
        }
    }
}
