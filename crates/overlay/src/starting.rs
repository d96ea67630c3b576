//! How a node finds a ring, or starts one (`docs/architecture.md`, "Starting, and coming back", 1, 2 and 5).
//!
//! A node in no ring is *searching*: it says Hello to every address it has, round after round. A
//! ready member takes it in. Searching nodes that reach one another agree on one of them, without a
//! message more: the lowest identifier with a disk of a ring, or else the lowest, begins, and the
//! others find it ready. A node with such a disk that reaches nobody takes its ring up alone.
//!
//! [`Search`] only decides; [`crate::Node`] sends what it asks for.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Addr, HelloReply, HelloState, NodeConfig, Peer, RingId, Settings, Time};

/// Hellos sent in one round.
const ROUND_MAX: usize = 24;
/// Addresses learnt from others while searching.
const LEARNT_MAX: usize = 64;

/// What to do after an answer or a round.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Decision {
    /// Go on searching.
    Wait,
    /// Join through this ready member of this ring.
    Join(Peer, RingId),
    /// Start a new ring.
    Found,
    /// Take up again the ring that the disk belongs to.
    TakeUp(RingId),
    /// Give up for good, and say why.
    Refuse(String),
}

/// One search for a ring.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Search {
    /// The ring this node's disk belongs to, or that it was a member of.
    disk_ring: Option<RingId>,
    /// It was a member before: a strange cluster at a remembered address is no reason to give up.
    was_member: bool,
    next_round: Time,
    cursor: usize,
    /// Last moment at which anybody of this cluster answered; the search's beginning before that.
    answered: Time,
    /// Somebody with our settings answered.
    friends: bool,
    /// Searching nodes that answer us, by address.
    reached: BTreeMap<Addr, Reached>,
    /// Why those with other settings can't be joined.
    strangers: BTreeMap<Addr, String>,
    /// Addresses at which this very node answered.
    own: BTreeSet<Addr>,
    learnt: BTreeSet<Addr>,
    /// Addresses whose answer is awaited.
    asking: BTreeSet<Addr>,
    /// Addresses that were waited for at least once.
    tried: BTreeSet<Addr>,
    /// The member that could not take us in: others are preferred, once.
    let_down_by: Option<Addr>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Reached {
    peer: Peer,
    disk_ring: Option<RingId>,
    since: Time,
}

impl Search {
    pub(crate) fn new(now: Time, disk_ring: Option<RingId>, was_member: bool) -> Self {
        Self {
            disk_ring,
            was_member,
            next_round: now,
            cursor: 0,
            answered: now,
            friends: false,
            reached: BTreeMap::new(),
            strangers: BTreeMap::new(),
            own: BTreeSet::new(),
            learnt: BTreeSet::new(),
            asking: BTreeSet::new(),
            tried: BTreeSet::new(),
            let_down_by: None,
        }
    }

    /// `via` could not take this node in: the next round comes after a period, and others go first.
    pub(crate) fn let_down_by(mut self, via: Option<Addr>, next_round: Time) -> Self {
        self.let_down_by = via;
        self.next_round = next_round;
        self
    }

    pub(crate) fn next_round(&self) -> Time {
        self.next_round
    }

    /// Begins a round: whom to say Hello to, none of them twice at a time.
    pub(crate) fn round(&mut self, next_round: Time, me: &Peer, known: Vec<Addr>) -> Vec<Addr> {
        self.next_round = next_round;
        let addrs = self.candidates(me, known);
        if addrs.is_empty() {
            return addrs;
        }
        let from = self.cursor % addrs.len();
        self.cursor = (from + ROUND_MAX) % addrs.len();
        let round = addrs.iter().cycle().skip(from).take(addrs.len().min(ROUND_MAX));
        let round: Vec<Addr> = round.filter(|addr| !self.asking.contains(*addr)).cloned().collect();
        self.asking.extend(round.iter().cloned());
        round
    }

    /// What the state of things comes to, between answers.
    pub(crate) fn decide(&self, now: Time, me: &Peer, known: Vec<Addr>, config: &NodeConfig) -> Decision {
        let candidates = self.candidates(me, known);
        if candidates.is_empty() {
            return self.begin_alone();
        }
        if let Some(why) = self.strangers.values().next()
            && candidates.iter().all(|addr| self.tried.contains(addr))
            && !self.friends
            && !self.was_member
        {
            return Decision::Refuse(why.clone());
        }
        if let Some(ring) = self.disk_ring
            && now.since(self.answered) >= config.search_alone
        {
            return Decision::TakeUp(ring);
        }
        let together = self.reached.values().any(|peer| now.since(peer.since) >= config.search_together);
        let rank = |disk_ring: Option<RingId>, peer: &Peer| (disk_ring.is_none(), peer.id);
        let mine = rank(self.disk_ring, me);
        let leading = self.reached.values().all(|other| mine < rank(other.disk_ring, &other.peer));
        if together && leading { self.begin_alone() } else { Decision::Wait }
    }

    /// The node at `addr` answered.
    pub(crate) fn on_reply(
        &mut self,
        now: Time,
        addr: &Addr,
        reply: HelloReply,
        me: &Peer,
        settings: &Settings,
    ) -> Decision {
        self.ended(addr);
        let its = reply.me.clone();
        if its.id == me.id && (its.addr == me.addr || its.incarnation == me.incarnation) {
            self.own.insert(addr.clone());
            return Decision::Wait;
        }
        if let Some(why) = stranger(addr, settings, &reply.settings) {
            self.strangers.insert(addr.clone(), why);
            return Decision::Wait;
        }
        self.friends = true;
        self.answered = now;
        if its.id == me.id {
            // Two that search at the same time: only one of them has to go.
            let yields = reply.state != HelloState::Searching || me.addr > its.addr;
            return if yields { Decision::Refuse(taken(&its)) } else { Decision::Wait };
        }
        let members = reply.members.iter().map(|peer| peer.addr.clone());
        members.chain([its.addr.clone()]).for_each(|addr| self.learn(addr));
        match (reply.state, reply.ring) {
            (HelloState::Ready, Some(ring)) => return self.join_unless_let_down(its, ring),
            (HelloState::Searching, _) => {
                let disk_ring = reply.disk_ring;
                let fresh = Reached { peer: its.clone(), disk_ring, since: now };
                let reached = self.reached.entry(its.addr.clone()).or_insert_with(|| fresh.clone());
                *reached = Reached { since: reached.since, ..fresh };
            }
            _ => {
                self.reached.remove(&its.addr);
            }
        }
        Decision::Wait
    }

    /// Nobody answered at `addr`.
    pub(crate) fn on_silence(&mut self, addr: &Addr) {
        self.ended(addr);
        self.reached.remove(addr);
        self.let_down_by = self.let_down_by.take().filter(|by| by != addr);
    }

    /// The node at `addr` does not take this node for one of its kind.
    pub(crate) fn on_refusal(&mut self, addr: &Addr, why: &str) {
        self.ended(addr);
        self.strangers.insert(
            addr.clone(),
            format!("{addr} refuses this node: {why}; mend what differs here, or name seeds of another cluster"),
        );
    }

    /// Somebody else who searches, or is a member, lives at `addr`.
    pub(crate) fn learn(&mut self, addr: Addr) {
        if self.learnt.len() < LEARNT_MAX {
            self.learnt.insert(addr);
        }
    }

    /// The process was paused: whatever was measured in time begins again.
    pub(crate) fn resumed(&mut self, now: Time) {
        self.answered = now;
        self.next_round = now;
        self.reached.clear();
    }

    fn ended(&mut self, addr: &Addr) {
        self.asking.remove(addr);
        self.tried.insert(addr.clone());
    }

    /// The member that let us down is passed over once, so that another one that answers is taken first.
    fn join_unless_let_down(&mut self, via: Peer, ring: RingId) -> Decision {
        if self.let_down_by.take_if(|by| *by == via.addr).is_some() {
            return Decision::Wait;
        }
        Decision::Join(via, ring)
    }

    fn begin_alone(&self) -> Decision {
        self.disk_ring.map_or(Decision::Found, Decision::TakeUp)
    }

    /// Every address to try but this node's own, in the order in which they became known, each once.
    fn candidates(&self, me: &Peer, known: Vec<Addr>) -> Vec<Addr> {
        let mut seen = self.own.clone();
        seen.insert(me.addr.clone());
        known.into_iter().chain(self.learnt.iter().cloned()).filter(|addr| seen.insert(addr.clone())).collect()
    }
}

/// Why a node with these settings can't be in one ring with this one, and what to do; none when all are equal.
pub(crate) fn stranger(addr: &Addr, ours: &Settings, theirs: &Settings) -> Option<String> {
    let (name, our, their) = ours.difference(theirs)?;
    Some(match name.as_str() {
        "cluster" => format!(
            "{addr} is of cluster `{their}`, this node of `{our}`: name seeds of `{our}`, or set cluster to `{their}` here"
        ),
        _ => format!(
            "{addr} has {name} = {their}, this node {our}: it has to be the same in the whole cluster; \
             set it to {their} here, or join a cluster that has {our}"
        ),
    })
}

/// Why an identifier can't be used.
pub(crate) fn taken(holder: &Peer) -> String {
    format!(
        "the identifier {} is held by a live node at {}: stop that one, or give this node another",
        holder.id, holder.addr
    )
}

#[cfg(test)]
mod tests;
