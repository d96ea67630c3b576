//! Who is alive, as far as this node can tell.
//!
//! A peer is *alive* until a call to it is missed, then *suspect*, then *dead* after so many misses
//! in a row, each call with twice the deadline of the one before: a busy machine delays answers, and
//! sixty processes on two cores must not bury each other for it. A refused connection says more than
//! silence, so two in a row are enough. Whatever the peer itself says revives it, unless it said that
//! it goes away. News counts for one incarnation: what is heard of an older life never overrides
//! what is known of a newer one.

use std::collections::BTreeMap;
use std::time::Duration;

use ring::Id;

use crate::rtt::Rtt;
use crate::{Addr, Departure, Known, NodeConfig, Peer, Time};

/// Refused connections in a row that make a peer dead: a suspicion and one retry.
const REFUSALS_UNTIL_DEAD: u32 = 2;
/// Before anything at all is known of round trips, a lookup waits this long before it goes round a peer.
const PATIENCE_INITIAL: Duration = Duration::from_millis(150);

/// A recursive lookup is given so long at least, and so long at most, before this node looks for itself: a message that
/// gets lost costs that much, and the rest of the lookup's deadline has to suffice for looking iteratively.
const JOURNEY_MIN: Duration = Duration::from_millis(250);
const JOURNEY_MAX: Duration = Duration::from_secs(1);
/// In usual round trips: eight hops, each half of one.
const JOURNEY_RTOS: u32 = 4;

/// The peers this node knows of, bounded.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Liveness {
    me: Id,
    entries: BTreeMap<Id, Entry>,
    /// All peers' round trips together: the guess for a peer that was never measured.
    overall: Rtt,
    timing: Timing,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Timing {
    initial: Duration,
    min: Duration,
    max: Duration,
    misses_until_dead: u32,
    known_max: usize,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Entry {
    peer: Peer,
    health: Health,
    /// It spoke to us in this ring, so the layers above were told of it.
    announced: bool,
    rtt: Rtt,
    /// Last sign of life, or of interest: what eviction goes by.
    heard: Time,
    stopped: Option<Time>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Health {
    Alive,
    Suspect { misses: u32, refusals: u32, last: Time },
    Dead { since: Time, for_good: bool },
}

/// How a call was missed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Miss {
    /// No answer in time.
    Silent,
    /// Connection refused or broken.
    Unreachable,
}

/// What a miss comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// Not dead yet: try again.
    Suspect,
    /// Dead; `news` if it was not before.
    Dead {
        /// It was declared dead by this very miss.
        news: bool,
    },
}

impl Liveness {
    pub(crate) fn new(me: Id, config: &NodeConfig) -> Self {
        let timing = Timing {
            initial: config.call_timeout_initial,
            min: config.call_timeout_min,
            max: config.call_timeout_max,
            misses_until_dead: config.misses_until_dead.max(1),
            known_max: config.known_max.max(2),
        };
        Self { me, entries: BTreeMap::new(), overall: Rtt::default(), timing }
    }

    /// `peer` spoke to us. True when that is news: it was unknown, dead, or another life of it was known.
    pub(crate) fn heard(&mut self, peer: &Peer, now: Time) -> bool {
        if peer.id == self.me {
            return false;
        }
        let Some(entry) = self.entry(peer, now) else {
            return false;
        };
        if let Health::Dead { for_good: true, .. } = entry.health {
            return false;
        }
        let news = !entry.announced || matches!(entry.health, Health::Dead { .. });
        entry.peer.addr = peer.addr.clone();
        entry.health = Health::Alive;
        entry.announced = true;
        entry.heard = now;
        entry.stopped = None;
        if news {
            self.evict();
        }
        news
    }

    /// A call to `peer`, sent at `sent`, was missed. Calls that were under way together count once:
    /// only one sent after the last miss was counted adds to the suspicion.
    ///
    /// A newer life that only others have told of, and that does not answer, says nothing about the one that was heard.
    pub(crate) fn missed(&mut self, peer: &Peer, miss: Miss, sent: Time, now: Time) -> Verdict {
        let until_dead = self.timing.misses_until_dead;
        if self.is_hearsay(peer) {
            return Verdict::Suspect;
        }
        let Some(entry) = self.entry(peer, now) else {
            return Verdict::Dead { news: false };
        };
        let refused = u32::from(miss == Miss::Unreachable);
        let (misses, refusals) = match entry.health {
            Health::Dead { .. } => return Verdict::Dead { news: false },
            Health::Suspect { last, .. } if sent < last => return Verdict::Suspect,
            // "In a row": silence in between starts the count of refused connections again.
            Health::Suspect { misses, refusals, .. } => (misses + 1, refused * (refusals + 1)),
            Health::Alive => (1, refused),
        };
        if misses >= until_dead || refusals >= REFUSALS_UNTIL_DEAD {
            return Verdict::Dead { news: self.bury(peer, now) };
        }
        entry.health = Health::Suspect { misses, refusals, last: now };
        self.evict();
        Verdict::Suspect
    }

    /// `peer` is dead as far as this ring is concerned: it said so, or patience is over. True if that is news.
    pub(crate) fn bury(&mut self, peer: &Peer, now: Time) -> bool {
        if self.is_hearsay(peer) {
            return false;
        }
        let Some(entry) = self.entry(peer, now) else {
            return false;
        };
        if matches!(entry.health, Health::Dead { .. }) {
            return false;
        }
        entry.health = Health::Dead { since: now, for_good: false };
        entry.announced = true;
        self.evict();
        true
    }

    /// `peer` announced that it goes; nothing it still says in this life revives it. True if its death is news.
    pub(crate) fn departed(&mut self, peer: &Peer, departure: Departure, now: Time) -> bool {
        // It says so itself, so this life of it there is.
        let _ = self.entry(peer, now);
        let news = self.bury(peer, now);
        if let Some(entry) = self.entry(peer, now) {
            entry.health = Health::Dead { since: now, for_good: true };
            entry.stopped = (departure == Departure::Stop).then_some(now);
        }
        news
    }

    /// A round trip of a call that was neither retried nor opened its connection.
    pub(crate) fn sample(&mut self, peer: &Peer, rtt: Duration) {
        self.overall.sample(rtt);
        if let Some(entry) = self.entries.get_mut(&peer.id).filter(|entry| entry.peer.incarnation == peer.incarnation) {
            entry.rtt.sample(rtt);
        }
    }

    /// Deadline of the next call to `peer`: its RTO, at least four times the least deadline (an idle
    /// round trip says little about a busy machine), doubled for each miss in a row or, for a call
    /// that had more attempts than that, for each attempt.
    pub(crate) fn deadline(&self, peer: &Peer, attempt: u32) -> Duration {
        let base = match self.rtt(peer).timeout() {
            Some(rto) => rto.max(4 * self.timing.min),
            None => self.timing.initial,
        };
        let doublings = match self.current(peer).map(|entry| entry.health) {
            Some(Health::Suspect { misses, .. }) => misses.max(attempt),
            _ => attempt,
        };
        base.saturating_mul(1 << doublings.min(16)).clamp(self.timing.min, self.timing.max)
    }

    /// How long a lookup waits for `peer` before it goes on with somebody else as well: its RTO.
    pub(crate) fn patience(&self, peer: &Peer) -> Duration {
        let rto = self.rtt(peer).timeout().or(self.overall.timeout());
        rto.unwrap_or(PATIENCE_INITIAL).clamp(self.timing.min, self.timing.max)
    }

    /// How long a query that other nodes pass on may be under way before this node looks for itself.
    pub(crate) fn journey(&self) -> Duration {
        let rto = self.overall.timeout().unwrap_or(PATIENCE_INITIAL);
        rto.saturating_mul(JOURNEY_RTOS).clamp(JOURNEY_MIN, JOURNEY_MAX)
    }

    /// Dead, or an older life of a peer that is known in a newer one.
    pub(crate) fn is_dead(&self, peer: &Peer) -> bool {
        self.entries.get(&peer.id).is_some_and(|entry| {
            entry.peer.incarnation > peer.incarnation
                || entry.peer.incarnation == peer.incarnation && matches!(entry.health, Health::Dead { .. })
        })
    }

    /// A newer life of this peer is known.
    pub(crate) fn is_outdated(&self, peer: &Peer) -> bool {
        self.entries.get(&peer.id).is_some_and(|entry| entry.peer.incarnation > peer.incarnation)
    }

    /// The life of `peer`'s identifier that is believed to live at another address, where `peer` claims to be a newer one.
    pub(crate) fn holder_elsewhere(&self, peer: &Peer) -> Option<Peer> {
        let entry = self.entries.get(&peer.id)?;
        let lives = entry.announced && !matches!(entry.health, Health::Dead { .. });
        let elsewhere = entry.peer.addr != peer.addr && entry.peer.incarnation < peer.incarnation;
        (lives && elsewhere).then(|| entry.peer.clone())
    }

    /// This life of the peer announced that it goes.
    pub(crate) fn has_departed(&self, peer: &Peer) -> bool {
        self.current(peer).is_some_and(|entry| matches!(entry.health, Health::Dead { for_good: true, .. }))
    }

    /// Identifiers that routing should go round if it can: suspects and dead ones.
    pub(crate) fn doubtful(&self) -> Vec<Id> {
        let doubtful = self.entries.values().filter(|entry| entry.health != Health::Alive);
        doubtful.map(|entry| entry.peer.id).collect()
    }

    /// Every suspicion is dropped: the misses were measured across a pause of this process.
    pub(crate) fn forgive(&mut self) {
        for entry in self.entries.values_mut() {
            if let Health::Suspect { .. } = entry.health {
                entry.health = Health::Alive;
            }
        }
    }

    /// This node changes rings: who was a member there is not one here until it speaks. Addresses stay.
    pub(crate) fn change_ring(&mut self) {
        for entry in self.entries.values_mut() {
            entry.announced = false;
            entry.health = Health::Alive;
        }
    }

    /// Every peer the layers above were told of.
    pub(crate) fn known(&self) -> Vec<Known> {
        let announced = self.entries.values().filter(|entry| entry.announced);
        announced
            .map(|entry| Known {
                peer: entry.peer.clone(),
                alive: !matches!(entry.health, Health::Dead { .. }),
                stopped: entry.stopped,
                left: entry.stopped.is_none() && matches!(entry.health, Health::Dead { for_good: true, .. }),
                rtt: entry.rtt.smoothed(),
            })
            .collect()
    }

    /// Addresses of the dead, who may be a ring of their own by now, and of everybody else.
    pub(crate) fn addresses(&self) -> (Vec<Addr>, Vec<Addr>) {
        let (dead, others): (Vec<&Entry>, Vec<&Entry>) =
            self.entries.values().partition(|entry| matches!(entry.health, Health::Dead { .. }));
        let addresses = |entries: Vec<&Entry>| entries.into_iter().map(|entry| entry.peer.addr.clone()).collect();
        (addresses(dead), addresses(others))
    }

    /// Smoothed round trip to this life of the peer.
    pub(crate) fn smoothed(&self, peer: &Peer) -> Option<Duration> {
        self.rtt(peer).smoothed()
    }

    fn rtt(&self, peer: &Peer) -> Rtt {
        self.current(peer).map(|entry| entry.rtt).unwrap_or_default()
    }

    /// An older life of the peer was heard, and this one never.
    fn is_hearsay(&self, peer: &Peer) -> bool {
        let older = |entry: &Entry| entry.announced && entry.peer.incarnation < peer.incarnation;
        self.entries.get(&peer.id).is_some_and(older)
    }

    /// What is known of this very life of the peer.
    fn current(&self, peer: &Peer) -> Option<&Entry> {
        self.entries.get(&peer.id).filter(|entry| entry.peer.incarnation == peer.incarnation)
    }

    /// The entry of this life of the peer, made if need be; none for an older life and for this node itself.
    fn entry(&mut self, peer: &Peer, now: Time) -> Option<&mut Entry> {
        if peer.id == self.me {
            return None;
        }
        let fresh = || Entry {
            peer: peer.clone(),
            health: Health::Alive,
            announced: false,
            rtt: Rtt::default(),
            heard: now,
            stopped: None,
        };
        let entry = self.entries.entry(peer.id).or_insert_with(fresh);
        if entry.peer.incarnation < peer.incarnation {
            *entry = fresh();
        }
        (entry.peer.incarnation == peer.incarnation).then_some(entry)
    }

    /// Keeps the table bounded. At most half of it is for the dead, of whom the longest dead goes first;
    /// of the others the one that has been quiet for the longest.
    fn evict(&mut self) {
        while self.entries.len() > self.timing.known_max {
            let since = |entry: &Entry| match entry.health {
                Health::Dead { since, .. } => Some(since),
                _ => None,
            };
            let dead = self.entries.values().filter(|entry| since(entry).is_some()).count();
            let of_the_dead = dead > self.timing.known_max / 2;
            let candidates = self.entries.values().filter(|entry| since(entry).is_some() == of_the_dead);
            let Some(victim) = candidates.min_by_key(|entry| since(entry).unwrap_or(entry.heard)) else {
                return;
            };
            let victim = victim.peer.id;
            self.entries.remove(&victim);
        }
    }
}

#[cfg(test)]
mod tests;
