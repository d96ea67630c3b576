//! Going away on purpose.

use std::time::Duration;

use super::calls::{Pending, Purpose};
use super::{Node, Phase};
use crate::{Departure, Overlay};

/// The neighbours have so long to answer.
const GOODBYE: Duration = Duration::from_secs(1);

impl<P: Overlay> Node<P> {
    /// Tells the neighbours; the protocol does nothing more, or they would take it in again.
    pub(super) fn say_goodbye(&mut self, departure: Departure) {
        if matches!(self.phase, Phase::Departing { .. } | Phase::Left) {
            return;
        }
        let mut neighbours = if self.ring.is_some() { self.protocol.neighbours() } else { Vec::new() };
        let mut seen = std::collections::BTreeSet::from([self.me.id]);
        neighbours.retain(|peer| seen.insert(peer.id));
        self.phase = Phase::Departing { until: self.now.plus(GOODBYE) };
        self.search = None;
        self.calls.clear();
        self.retries.clear();
        self.timers.clear();
        self.abandon_queries();
        for peer in neighbours {
            self.send(Pending::to_peer(peer, Purpose::Depart(departure)));
        }
    }

    /// Once every goodbye was answered or given up, or time is up, this node is out.
    pub(super) fn leave_when_told(&mut self) {
        let Phase::Departing { until } = self.phase else {
            return;
        };
        if self.calls.is_empty() || self.now >= until {
            self.calls.clear();
            self.phase = Phase::Left;
        }
    }
}
