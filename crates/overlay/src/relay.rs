//! Recursive routing at one node: a query that comes in goes on to the next hop.
//!
//! Pastry's own way (Rowstron and Druschel, Middleware 2001, §2), and for Chord the faster of two (Stoica et al., ToN
//! 11(1) 2003, §VI): a hop costs one way across the network instead of there and back. Each hop acknowledges at once
//! and goes round a silent next hop as soon as that is slower than usual, before anybody asks whether it is dead
//! (MSPastry: Castro et al., DSN 2004). The way is chosen by [`crate::Overlay::route`] alone, and never leads to a node
//! twice. What gets lost all the same is looked up iteratively by the node that wants to know, so this is about speed,
//! never about the answer: where a hop has nobody good to go to, it says so instead of trying hard.
//!
//! [`Relay`] is one query at one node, [`Relays`] all of them, bounded.

mod relays;

use std::time::Duration;

use ring::{Id, Range};

pub(crate) use self::relays::{Mark, RelayId, Relays};
use crate::lookup::names_itself;
use crate::{Distance, Forward, Found, Hop, Located, Peer, Route, Step, Time};

/// Hops of one query.
pub(crate) const HOPS_MAX: usize = 64;
/// Peers told to others as unreachable.
pub(crate) const AVOID_MAX: usize = 32;
/// Next hops tried by one node: each one more may be a copy of the query under way.
const TRIES_MAX: usize = 4;
/// Hops of one query that bring it no nearer, as when a node just past the target is asked because the owner seems
/// silent. Another one would be a walk round the ring.
const DETOURS_MAX: usize = 3;
/// Peers looked at in one answer of the tables.
const CANDIDATES_MAX: usize = 32;

/// A query at this node, until the next hop has acknowledged it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Relay {
    /// As it came in, and who could not be reached since.
    forward: Forward,
    tried: Vec<Id>,
    /// The next hop that was tried last, and when it becomes slow.
    awaited: Option<(Id, Time)>,
}

/// Where a query goes from here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Onward {
    /// It ends here: this node answers for the target.
    Here(Answer),
    /// To this next hop.
    To(Hop),
    /// There is nobody left to try.
    Nowhere,
}

/// What this node knows of the target it answers for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Answer {
    owners: Vec<Peer>,
    holders: Vec<Peer>,
    arc: Option<Range>,
}

impl Relay {
    pub(crate) fn new(forward: Forward) -> Self {
        Self { forward, tried: Vec::new(), awaited: None }
    }

    /// The query, with those who could not be reached since it came in.
    pub(crate) fn forward(&self) -> &Forward {
        &self.forward
    }

    /// Peers that this node's tables should not name.
    pub(crate) fn avoid(&self) -> impl Iterator<Item = Id> + '_ {
        self.forward.avoid.iter().chain(&self.tried).copied()
    }

    /// Where it goes, as `route` of the node `me` has it. Dead peers, those tried already and those it has been to are
    /// passed over, and so is who brings it no nearer once too often. `distance` is the protocol's, to the target.
    pub(crate) fn onward(
        &self,
        me: Id,
        route: Route,
        distance: impl Fn(Id) -> Distance,
        dead: impl Fn(&Peer) -> bool,
    ) -> Onward {
        match route {
            Route::Owners { hops, arc } if names_itself(&hops, me) => {
                let owners: Vec<Peer> = hops.into_iter().map(|hop| hop.peer).collect();
                Onward::Here(Answer { holders: owners.clone(), owners, arc })
            }
            Route::Known { owner, holders, arc } => Onward::Here(Answer { owners: vec![owner], holders, arc }),
            Route::Owners { hops, .. } | Route::Closer(hops) => {
                let may_go = self.tried.len() < TRIES_MAX && self.forward.path.len() < HOPS_MAX;
                let (reached, detours) = self.progress(&distance);
                let open = |hop: &Hop| {
                    let id = hop.peer.id;
                    let nearer = distance(id) < reached || detours < DETOURS_MAX;
                    id != me && nearer && !self.has_been_at(id) && !self.tried.contains(&id) && !dead(&hop.peer)
                };
                let mut hops = hops.into_iter().take(CANDIDATES_MAX).filter(|_| may_go);
                hops.find(open).map_or(Onward::Nowhere, Onward::To)
            }
        }
    }

    /// The query as it goes to `hop`, which is waited for until `slow_at`. `rtt`: what is known of the way there.
    pub(crate) fn go_to(&mut self, hop: Hop, rtt: Option<Duration>, slow_at: Time) -> Forward {
        self.tried.push(hop.peer.id);
        self.awaited = Some((hop.peer.id, slow_at));
        let mut forward = self.forward.clone();
        forward.path.push(Step { peer: hop.peer, rtt, via: Some(hop.via) });
        forward
    }

    /// When the next hop that is waited for becomes slow.
    pub(crate) fn slow_at(&self) -> Option<Time> {
        self.awaited.map(|(_, slow_at)| slow_at)
    }

    /// Whether the next hop is slow by now; if so it counts as out of reach.
    pub(crate) fn gives_up_waiting(&mut self, now: Time) -> bool {
        match self.awaited {
            Some((id, slow_at)) if slow_at <= now => {
                self.awaited = None;
                self.shun(id);
                true
            }
            _ => false,
        }
    }

    /// A call to a next hop failed; `silent` if nothing at all was heard of it. True if that one was still waited for.
    pub(crate) fn has_failed(&mut self, id: Id, silent: bool) -> bool {
        let awaited = self.awaited.is_some_and(|(awaited, _)| awaited == id);
        if awaited {
            self.awaited = None;
            if silent {
                self.shun(id);
            }
        }
        awaited
    }

    /// The end of the query, for its origin.
    pub(crate) fn found(self, answer: Answer) -> (Peer, Found) {
        let Forward { origin, query, target, path: steps, .. } = self.forward;
        let mut path = vec![Step { peer: origin.clone(), rtt: None, via: None }];
        path.extend(steps);
        let Answer { owners, holders, arc } = answer;
        (origin, Found { query, located: Located { target, owners, holders, path, arc } })
    }

    /// How near it has come, and after how many detours.
    fn progress(&self, distance: impl Fn(Id) -> Distance) -> (Distance, usize) {
        let begun = (distance(self.forward.origin.id), 0);
        self.forward
            .path
            .iter()
            .map(|step| distance(step.peer.id))
            .fold(begun, |(reached, detours), at| if at < reached { (at, detours) } else { (reached, detours + 1) })
    }

    fn has_been_at(&self, id: Id) -> bool {
        self.forward.origin.id == id || self.forward.path.iter().any(|step| step.peer.id == id)
    }

    fn shun(&mut self, id: Id) {
        let avoid = &mut self.forward.avoid;
        if avoid.len() < AVOID_MAX && !avoid.contains(&id) {
            avoid.push(id);
        }
    }
}

#[cfg(test)]
mod tests;
