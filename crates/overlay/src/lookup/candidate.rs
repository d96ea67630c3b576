use std::time::Duration;

use ring::Id;

use crate::{Distance, Peer, Step, Time, Via};

/// A peer that was named during a lookup, and what came of it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Candidate {
    pub(super) peer: Peer,
    /// To the target, in the protocol's metric.
    pub(super) distance: Distance,
    /// How many were named before it.
    pub(super) turn: usize,
    via: Via,
    /// Who named it first; none when it was this node. Never changes, so the links form a tree.
    pub(super) named_by: Option<Id>,
    /// Last round in which it was named as closer.
    pub(super) named_in: u32,
    /// Last round in which it was asked.
    pub(super) asked_in: u32,
    /// Last round in which it answered.
    pub(super) answered_in: u32,
    /// Set while a call is under way: when that call becomes slow.
    pub(super) slow_at: Option<Time>,
    /// Of the last call that it answered.
    pub(super) rtt: Option<Duration>,
    /// Its last call is slow or failed.
    pub(super) silent: bool,
}

impl Candidate {
    pub(super) fn new(peer: Peer, distance: Distance, turn: usize, via: Via, named_by: Option<Id>) -> Self {
        Self {
            peer,
            distance,
            turn,
            via,
            named_by,
            named_in: 0,
            asked_in: 0,
            answered_in: 0,
            slow_at: None,
            rtt: None,
            silent: false,
        }
    }

    /// It was named in a newer life: what the older one did does not count.
    pub(super) fn renew(&mut self, peer: Peer) {
        if self.peer.incarnation < peer.incarnation {
            let again = Self::new(peer, self.distance, self.turn, self.via, self.named_by);
            *self = Self { named_in: self.named_in, ..again };
        }
    }

    /// Named in this round as closer, and not asked yet.
    pub(super) fn is_open(&self, round: u32) -> bool {
        self.named_in == round && self.asked_in < round && self.slow_at.is_none()
    }

    /// A call is under way that is not slow yet.
    pub(super) fn is_awaited(&self, now: Time) -> bool {
        self.slow_at.is_some_and(|slow| slow > now)
    }

    /// A call is under way that has just become slow.
    pub(super) fn has_become_slow(&self, now: Time) -> bool {
        self.slow_at.is_some_and(|slow| slow <= now) && !self.silent
    }

    pub(super) fn step(&self) -> Step {
        Step { peer: self.peer.clone(), rtt: self.rtt, via: Some(self.via) }
    }
}
