use std::time::Duration;

use overlay::{Peer, Time};

/// A failure stands so long: the node is not asked again just because somebody still names it.
const REMEMBERED: Duration = Duration::from_secs(10);
/// A failure is told to others so long.
const TOLD: Duration = Duration::from_secs(5);
/// Nodes remembered at most, the oldest forgotten first.
const CAPACITY: usize = 64;
/// Nodes told of at most.
pub(crate) const TOLD_MAX: usize = 16;

/// Who failed lately, and who said that it goes.
///
/// Leaf sets travel from node to node, so a dead node is still named for a while after it was dropped. What stands here keeps
/// it from coming back. A node that was given up wrongly is forgiven as soon as it speaks, and asked again after a while.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Failures {
    failed: Vec<(Peer, Time)>,
    departed: Vec<Peer>,
}

impl Failures {
    /// `peer` did not answer.
    pub(crate) fn note(&mut self, peer: &Peer, now: Time) {
        self.failed.retain(|(failed, _)| failed != peer);
        if self.failed.len() >= CAPACITY {
            self.failed.remove(0);
        }
        self.failed.push((peer.clone(), now));
    }

    /// `peer` said that it goes away: dead from here on, in this incarnation.
    pub(crate) fn note_departure(&mut self, peer: &Peer) {
        if self.has_departed(peer) {
            return;
        }
        if self.departed.len() >= CAPACITY {
            self.departed.remove(0);
        }
        self.departed.push(peer.clone());
    }

    /// `peer` spoke. A departure stands; a return is another incarnation.
    pub(crate) fn heard(&mut self, peer: &Peer) {
        self.failed.retain(|(failed, _)| failed.id != peer.id);
    }

    pub(crate) fn has_departed(&self, peer: &Peer) -> bool {
        self.departed.iter().any(|departed| is_life_of(departed, peer))
    }

    /// Whether to pass over `peer` when somebody names it. So is an older life than the one that failed.
    pub(crate) fn stands(&self, peer: &Peer) -> bool {
        self.has_departed(peer) || self.failed.iter().any(|(failed, _)| is_life_of(failed, peer))
    }

    /// Those that others are told of, the latest first.
    pub(crate) fn told(&self, now: Time) -> Vec<Peer> {
        let fresh = self.failed.iter().rev().filter(|(_, since)| now.since(*since) < TOLD);
        fresh.take(TOLD_MAX).map(|(peer, _)| peer.clone()).collect()
    }

    /// Forgets what is long past.
    pub(crate) fn expire(&mut self, now: Time) {
        self.failed.retain(|(_, since)| now.since(*since) < REMEMBERED);
    }

    /// A pause lies between: what was measured across it says nothing.
    pub(crate) fn forgive(&mut self) {
        self.failed.clear();
    }
}

/// `peer` is the life that ended, or one before it.
fn is_life_of(ended: &Peer, peer: &Peer) -> bool {
    ended.id == peer.id && peer.incarnation <= ended.incarnation
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::peer;

    #[test]
    fn a_failure_stands_for_a_while_unless_the_node_speaks_or_begins_a_new_life() {
        let mut failures = Failures::default();
        failures.note(&peer(1), Time(0));
        failures.note(&peer(2), Time(0));
        assert!(failures.stands(&peer(1)) && !failures.stands(&Peer { incarnation: 2, ..peer(1) }));
        assert!(failures.stands(&Peer { incarnation: 0, ..peer(1) }));
        failures.heard(&peer(2));
        assert!(!failures.stands(&peer(2)));
        assert_eq!(failures.told(Time(4_999_999)), [peer(1)]);
        assert!(failures.told(Time(5_000_000)).is_empty());
        failures.expire(Time(10_000_000));
        assert!(!failures.stands(&peer(1)));
    }

    #[test]
    fn a_departure_stands_whatever_is_heard() {
        let mut failures = Failures::default();
        failures.note_departure(&peer(1));
        failures.heard(&peer(1));
        failures.forgive();
        assert!(failures.stands(&peer(1)) && failures.told(Time(0)).is_empty());
    }

    #[test]
    fn memory_is_bounded() {
        let mut failures = Failures::default();
        for number in 0..200 {
            failures.note(&peer(number), Time(0));
            failures.note_departure(&peer(number));
        }
        assert!(failures.failed.len() == CAPACITY && failures.departed.len() == CAPACITY);
        assert_eq!(failures.told(Time(0)).len(), TOLD_MAX);
    }
}
