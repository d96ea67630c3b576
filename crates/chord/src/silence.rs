use std::time::Duration;

use overlay::{Peer, Time};
use ring::Id;

/// How long a failure stays fresh enough to stand for another attempt on the same node.
const FRESH: Duration = Duration::from_secs(3);
/// How long a silent node is routed around unless it is heard of.
const REMEMBERED: Duration = Duration::from_secs(10);
/// Nodes remembered at most, the oldest forgotten first.
const CAPACITY: usize = 32;

/// Who did not answer lately, and who said that it goes.
///
/// Nothing is ever struck from a successor list because of what stands here: a node is dropped when its
/// turn comes to be asked, as Zave's steps say. It saves asking the dead again at once, and routes around them.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Silence {
    silent: Vec<(Peer, Time)>,
    departed: Vec<Peer>,
}

impl Silence {
    /// `peer` did not answer.
    pub(crate) fn note(&mut self, peer: &Peer, now: Time) {
        self.silent.retain(|(silent, _)| silent != peer);
        if self.silent.len() >= CAPACITY {
            self.silent.remove(0);
        }
        self.silent.push((peer.clone(), now));
    }

    /// `peer` said that it goes away. It counts as dead from here on, in this incarnation.
    pub(crate) fn note_departure(&mut self, peer: &Peer) {
        if self.has_departed(peer) {
            return;
        }
        if self.departed.len() >= CAPACITY {
            self.departed.remove(0);
        }
        self.departed.push(peer.clone());
    }

    /// `peer` was heard of: it is not silent. A departure stands; a return is another incarnation.
    pub(crate) fn heard(&mut self, peer: &Peer) {
        self.silent.retain(|(silent, _)| silent.id != peer.id);
    }

    pub(crate) fn has_departed(&self, peer: &Peer) -> bool {
        self.departed.contains(peer)
    }

    /// Whether asking `peer` now would only repeat an attempt that failed a moment ago.
    pub(crate) fn is_dead(&self, peer: &Peer, now: Time) -> bool {
        self.has_departed(peer) || self.silent.iter().any(|(silent, since)| silent == peer && now.since(*since) < FRESH)
    }

    /// Whether to route around `peer` while there is anybody else.
    pub(crate) fn is_shunned(&self, peer: &Peer) -> bool {
        self.has_departed(peer) || self.silent.iter().any(|(silent, _)| silent == peer)
    }

    /// Forgets what is long past.
    pub(crate) fn expire(&mut self, now: Time) {
        self.silent.retain(|(_, since)| now.since(*since) < REMEMBERED);
    }
}

/// Who believed lately that it is this node's predecessor, and so may have named it as the owner of
/// what lies behind the true predecessor. Such a key is redirected there instead of once round the ring.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Believers {
    round: u32,
    seen: Vec<(Id, u32)>,
}

impl Believers {
    /// `id` notified this node, or was its predecessor so far.
    pub(crate) fn note(&mut self, id: Id) {
        self.seen.retain(|(seen, _)| *seen != id);
        if self.seen.len() >= CAPACITY / 2 {
            self.seen.remove(0);
        }
        self.seen.push((id, self.round));
    }

    /// One more stabilize round has passed; a belief is forgotten after `rounds` of them.
    pub(crate) fn next_round(&mut self, rounds: u32) {
        self.round = self.round.wrapping_add(1);
        let round = self.round;
        self.seen.retain(|(_, seen)| round.wrapping_sub(*seen) <= rounds);
    }

    /// Stabilize rounds so far.
    pub(crate) fn round(&self) -> u32 {
        self.round
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = Id> {
        self.seen.iter().map(|(id, _)| *id)
    }
}
