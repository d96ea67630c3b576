//! The iterative lookup that every overlay shares, as one small machine.
//!
//! It asks whoever is nearest to the target, takes in whom they name, and ends when a node says of
//! itself that it is the owner. A peer that is slow costs only its own RTO: the next best is asked
//! as well, and a late answer still counts. When nobody is left to ask, it starts another round after
//! a short pause, since the ring mends itself within a second or two: better late than wrong or failed.
//!
//! The machine does no IO: [`Lookup::next`] says whom to ask, the `on_…` methods say what came of it.

mod candidate;
mod next;

use std::collections::BTreeMap;
use std::time::Duration;

use ring::{Id, Range};

use self::candidate::Candidate;
pub(crate) use self::next::Next;
use crate::{Distance, Hop, LocateError, Located, Peer, Route, Step, Time, Via};

/// Pause before the second round; doubles with each round.
const BACK_OFF: Duration = Duration::from_millis(30);
/// No pause between rounds is longer.
const BACK_OFF_MAX: Duration = Duration::from_millis(240);
/// Requests at most, whatever the peers answer.
const ASKS_MAX: usize = 128;
/// Peers asked in one round although they bring it no nearer.
const DETOURS_MAX: usize = 3;
/// Peers taken from one answer, and peers told to others as unreachable.
const HOPS_MAX: usize = 32;

/// What a lookup looks for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Sought {
    /// The owner of a key.
    Owner,
    /// The member of an identifier.
    Member,
}

/// Where a lookup begins: in this node's own tables, or at a peer while it has none.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Origin {
    /// This node is a member: its own routing is the first step, and it may turn out to be the owner.
    Tables,
    /// Through a peer.
    Via {
        /// The peer.
        peer: Peer,
        /// Whether this node is a member, and may turn out to be the owner.
        member: bool,
    },
}

/// One lookup.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Lookup {
    me: Peer,
    target: Id,
    sought: Sought,
    origin: Origin,
    parallelism: usize,
    deadline: Time,
    nodes: BTreeMap<Id, Candidate>,
    /// Claimed owners that are still to be asked, the likeliest first.
    claim: Vec<Id>,
    /// This node is to be asked, by its own tables.
    self_due: bool,
    /// Number of the round, from 1; each peer is asked once a round.
    round: u32,
    /// Who answered last, and so named whoever is asked now. None: this node itself.
    namer: Option<Id>,
    /// When the next round begins, once this one has run dry.
    retry_at: Option<Time>,
    /// Whom to tell others that they could not be reached.
    avoid: Vec<Id>,
    asks: usize,
    /// So many more peers that bring it no nearer are asked in this round.
    detours: usize,
    located: Option<Located>,
}

impl Lookup {
    pub(crate) fn new(
        me: Peer,
        (sought, target): (Sought, Id),
        origin: Origin,
        parallelism: usize,
        deadline: Time,
    ) -> Self {
        let mut lookup = Self {
            me,
            target,
            sought,
            origin,
            parallelism: parallelism.max(1),
            deadline,
            nodes: BTreeMap::new(),
            claim: Vec::new(),
            self_due: false,
            round: 0,
            namer: None,
            retry_at: None,
            avoid: Vec::new(),
            asks: 0,
            detours: DETOURS_MAX,
            located: None,
        };
        lookup.begin_round();
        lookup
    }

    /// What is asked for.
    pub(crate) fn target(&self) -> Id {
        self.target
    }

    /// What it looks for.
    pub(crate) fn sought(&self) -> Sought {
        self.sought
    }

    /// Peers to name to whoever is asked: they could not be reached just now.
    pub(crate) fn avoid(&self) -> &[Id] {
        &self.avoid
    }

    /// The same lookup from its beginning: time passed that this node did not live through.
    pub(crate) fn restarted(&self, deadline: Time) -> Self {
        let sought = (self.sought, self.target);
        Self::new(self.me.clone(), sought, self.origin.clone(), self.parallelism, deadline)
    }

    /// What to do now. `patience`: how long to wait for a peer before going on with the next one as
    /// well; `dead`: peers that are asked only when nobody else is left.
    pub(crate) fn next(
        &mut self,
        now: Time,
        patience: impl Fn(&Peer) -> Duration,
        dead: impl Fn(&Peer) -> bool,
    ) -> Next {
        if let Some(located) = &self.located {
            return Next::Done(located.clone());
        }
        if now >= self.deadline || self.asks >= ASKS_MAX {
            return Next::Failed(self.failure());
        }
        self.give_way_to_others(now);
        if self.self_due {
            self.self_due = false;
            return Next::AskSelf;
        }
        if let Some(next) = self.next_claimed(now, &patience) {
            return next;
        }
        let waiting = self.nodes.values().filter(|node| node.is_awaited(now)).count();
        if waiting >= self.parallelism {
            return Next::Wait;
        }
        if let Some(id) = self.nearest(&dead) {
            return self.ask(id, now, &patience);
        }
        if waiting > 0 {
            return Next::Wait;
        }
        self.next_round(now, patience, dead)
    }

    /// When [`Lookup::next`] has something new to say without an answer: a call becomes slow, a round begins, time is up.
    pub(crate) fn wake(&self, now: Time) -> Time {
        let slow = self.nodes.values().filter_map(|node| node.slow_at).filter(|&slow| slow > now);
        slow.chain(self.retry_at.filter(|&at| at > now)).chain([self.deadline]).min().unwrap_or(self.deadline)
    }

    /// `from` answered. `distance` is the protocol's, to the target; `rtt` that of this call.
    pub(crate) fn on_answer(&mut self, from: &Peer, route: Route, rtt: Duration, distance: impl Fn(Id) -> Distance) {
        let round = self.round;
        let Some(node) = self.candidate(from) else {
            return;
        };
        node.slow_at = None;
        node.silent = false;
        node.answered_in = round;
        node.rtt = Some(rtt);
        self.avoid.retain(|&id| id != from.id);
        self.namer = Some(from.id);
        match route {
            Route::Owners { hops, arc } if names_itself(&hops, from.id) => {
                let owners: Vec<Peer> = hops.into_iter().map(|hop| hop.peer).collect();
                self.found(Some(from.id), owners.clone(), owners, arc);
            }
            Route::Known { owner, holders, arc } => self.found(Some(from.id), vec![owner], holders, arc),
            route => self.take_in(Some(from.id), route, distance),
        }
    }

    /// This node's own tables answered.
    pub(crate) fn on_own_answer(&mut self, route: Route, distance: impl Fn(Id) -> Distance) {
        match route {
            Route::Owners { hops, arc } if names_itself(&hops, self.me.id) => {
                let owners: Vec<Peer> = hops.into_iter().map(|hop| hop.peer).collect();
                self.found(None, owners.clone(), owners, arc);
            }
            Route::Known { owner, holders, arc } => self.found(None, vec![owner], holders, arc),
            route => {
                self.namer = None;
                self.take_in(None, route, distance);
            }
        }
    }

    /// `from` did not answer at all, or is gone. Others are told.
    pub(crate) fn on_failure(&mut self, from: &Peer) {
        if let Some(node) = self.candidate(from) {
            node.slow_at = None;
            node.silent = true;
            self.shun(from.id);
        }
    }

    /// The life of `from` that was meant is over. Others are not told: it may have a new one by now, which
    /// they could not name if its identifier were one to avoid.
    pub(crate) fn on_gone(&mut self, from: &Peer) {
        if let Some(node) = self.candidate(from) {
            node.slow_at = None;
            node.silent = true;
        }
    }

    /// `from` lives but won't say: it is still joining, or busy. It is asked again in the next round.
    pub(crate) fn on_refusal(&mut self, from: &Peer) {
        if let Some(node) = self.candidate(from) {
            node.slow_at = None;
            node.silent = false;
        }
    }

    /// Whoever is slow by now counts as out of reach until it answers.
    fn give_way_to_others(&mut self, now: Time) {
        let slow = |node: &&Candidate| node.has_become_slow(now);
        let slow: Vec<Id> = self.nodes.values().filter(slow).map(|node| node.peer.id).collect();
        for id in slow {
            if let Some(node) = self.nodes.get_mut(&id) {
                node.silent = true;
            }
            self.shun(id);
        }
    }

    /// A claimed owner goes before everybody else; the next of the list when it is silent.
    fn next_claimed(&mut self, now: Time, patience: &impl Fn(&Peer) -> Duration) -> Option<Next> {
        while let Some(&id) = self.claim.first() {
            let node = self.nodes.get(&id)?;
            match node.slow_at {
                Some(slow) if slow > now => return Some(Next::Wait),
                None if node.asked_in < self.round => return Some(self.ask(id, now, patience)),
                // Silent, slow, or it would not say.
                _ => self.claim.remove(0),
            };
        }
        None
    }

    /// The nearest peer named in this round that was not asked in it; dead ones last. One that is no
    /// nearer than somebody who answered already is a detour, and few of these are followed: a
    /// node just past the target names the whole circle as closer than itself.
    fn nearest(&mut self, dead: &impl Fn(&Peer) -> bool) -> Option<Id> {
        let round = self.round;
        let answered = self.nodes.values().filter(|node| node.answered_in == round);
        let reached = answered.map(|node| node.distance).min();
        let detour = |node: &Candidate| reached.is_some_and(|reached| node.distance >= reached);
        let open = self.nodes.values().filter(|node| node.is_open(round));
        let rank = |node: &&Candidate| (detour(node), dead(&node.peer), node.distance, node.turn);
        let nearest = open.min_by_key(rank)?;
        let id = nearest.peer.id;
        if detour(nearest) {
            self.detours = self.detours.checked_sub(1)?;
        }
        Some(id)
    }

    fn ask(&mut self, id: Id, now: Time, patience: &impl Fn(&Peer) -> Duration) -> Next {
        let Some(node) = self.nodes.get_mut(&id) else {
            return Next::Wait;
        };
        node.asked_in = self.round;
        node.slow_at = Some(now.plus(patience(&node.peer)));
        self.asks += 1;
        Next::Ask(node.peer.clone())
    }

    /// Nobody is left to ask in this round: wait a little, then go back to whoever led here.
    fn next_round(&mut self, now: Time, patience: impl Fn(&Peer) -> Duration, dead: impl Fn(&Peer) -> bool) -> Next {
        match self.retry_at {
            None => {
                let pause = BACK_OFF.saturating_mul(1 << (self.round - 1).min(8)).min(BACK_OFF_MAX);
                self.retry_at = Some(now.plus(pause));
                Next::Wait
            }
            Some(at) if now < at => Next::Wait,
            Some(_) => {
                self.begin_round();
                self.next(now, patience, dead)
            }
        }
    }

    /// Every third round, and when the node that led here is silent itself, starts from the beginning.
    fn begin_round(&mut self) {
        self.retry_at = None;
        self.round += 1;
        self.detours = DETOURS_MAX;
        self.claim.clear();
        let round = self.round;
        let namer = self.namer.filter(|_| !round.is_multiple_of(3));
        if namer.is_none() {
            // Who was out of reach may be back by now, perhaps in a new life that nobody would name otherwise.
            self.avoid.clear();
        }
        if let Some(node) = namer.and_then(|id| self.nodes.get_mut(&id)).filter(|node| !node.silent) {
            node.named_in = round;
            return;
        }
        match self.origin.clone() {
            Origin::Tables => self.self_due = true,
            Origin::Via { peer, .. } => {
                let id = peer.id;
                // How far it is does not matter: it comes first, and whoever it names is nearer.
                let farthest = Distance { class: u32::MAX, span: self.target.space().max() };
                self.name(Hop { peer, via: Via::Cache }, None, farthest);
                self.nodes.entry(id).and_modify(|node| node.named_in = round);
            }
        }
    }

    fn take_in(&mut self, from: Option<Id>, route: Route, distance: impl Fn(Id) -> Distance) {
        match route {
            Route::Known { .. } => {}
            Route::Owners { hops, .. } => {
                // This node as one of the next holders is no claim that it should look into.
                let me = self.me.id;
                let told = |(place, hop): &(usize, Hop)| *place == 0 || hop.peer.id != me;
                let hops = hops.into_iter().take(HOPS_MAX).enumerate().filter(told);
                let hops: Vec<Hop> = hops.map(|(_, hop)| hop).collect();
                let named: Vec<Id> = hops.iter().map(|hop| hop.peer.id).collect();
                for hop in hops {
                    let at = distance(hop.peer.id);
                    self.name(hop, from, at);
                }
                // Whoever answered in this round has had its say; behind it in the list nobody can own the target.
                let answered = |id: &Id| self.nodes.get(id).is_some_and(|node| node.answered_in == self.round);
                let claim = named.into_iter().take_while(|id| !answered(id));
                self.claim = claim.filter(|id| self.nodes.contains_key(id)).collect();
            }
            Route::Closer(hops) => {
                self.claim.clear();
                for hop in hops.into_iter().take(HOPS_MAX) {
                    let (id, at) = (hop.peer.id, distance(hop.peer.id));
                    self.name(hop, from, at);
                    if let Some(node) = self.nodes.get_mut(&id) {
                        node.named_in = self.round;
                    }
                }
            }
        }
    }

    /// Remembers a peer that was named. A newer life of a known one replaces it.
    fn name(&mut self, hop: Hop, named_by: Option<Id>, distance: Distance) {
        let Hop { peer, via } = hop;
        if peer.id == self.me.id && (peer.incarnation == self.me.incarnation || peer.addr == self.me.addr) {
            // By its own tables this node is not the owner: there it says nothing of itself.
            if named_by.is_some() {
                self.name_self(&peer);
            }
            return;
        }
        let turn = self.nodes.len();
        let new = || Candidate::new(peer.clone(), distance, turn, via, named_by);
        let node = self.nodes.entry(peer.id).or_insert_with(new);
        node.renew(peer);
    }

    /// Somebody named this node: in this life its own tables decide, a former life is dead.
    fn name_self(&mut self, peer: &Peer) {
        let member = !matches!(self.origin, Origin::Via { member: false, .. });
        if member && peer.incarnation == self.me.incarnation {
            self.self_due = true;
        } else {
            self.shun(self.me.id);
        }
    }

    /// What is known of this very life of a peer.
    fn candidate(&mut self, peer: &Peer) -> Option<&mut Candidate> {
        let known = self.nodes.get_mut(&peer.id);
        known.filter(|node| node.peer.incarnation == peer.incarnation)
    }

    fn shun(&mut self, id: Id) {
        if !self.avoid.contains(&id) && self.avoid.len() < HOPS_MAX {
            self.avoid.push(id);
        }
    }

    /// `by` has answered for the target; none: this node itself.
    fn found(&mut self, by: Option<Id>, owners: Vec<Peer>, holders: Vec<Peer>, arc: Option<Range>) {
        let mut path = Vec::new();
        let mut at = by;
        while let Some(node) = at.and_then(|id| self.nodes.get(&id)) {
            path.push(node.step());
            at = node.named_by;
        }
        path.push(self.first_step());
        path.reverse();
        self.located = Some(Located { target: self.target, owners, holders, path, arc });
    }

    fn first_step(&self) -> Step {
        Step { peer: self.me.clone(), rtt: None, via: None }
    }

    fn failure(&self) -> LocateError {
        let asked = self.nodes.values().filter(|node| node.asked_in > 0);
        let silent = asked.clone().filter(|node| node.silent).count();
        LocateError::TimedOut { asked: asked.count(), silent }
    }
}

/// The answerer says of itself that it is the owner.
pub(crate) fn names_itself(hops: &[Hop], answerer: Id) -> bool {
    hops.first().is_some_and(|hop| hop.peer.id == answerer && hop.via == Via::Owner)
}

#[cfg(test)]
mod tests;
