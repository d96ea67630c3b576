//! A toy overlay for the tests of [`crate::Node`]: every member knows every member, the owner of an
//! identifier is the first member at or after it. Members tell each other whom they know.

use std::collections::BTreeMap;
use std::time::Duration;

use rand_pcg::rand_core::Rng;
use ring::{Id, Range};

use crate::{Ctx, Departure, Distance, Failure, Hop, Located, Overlay, Peer, Refusal, Route, Share, Time, Via};

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Ask {
    Find { target: Id, avoid: Vec<Id> },
    Admit,
    Sync(Vec<Peer>),
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Answer {
    Route(Route),
    Members(Vec<Peer>),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) enum Timer {
    Gossip,
    Retry,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ToyConfig {
    /// Alone after having had company, it asks for another way in.
    pub(crate) alone_is_lost: bool,
    pub(crate) gossip_period: Duration,
    /// Routing sees only so many members after itself, so that lookups take several hops.
    pub(crate) reach: usize,
}

impl Default for ToyConfig {
    fn default() -> Self {
        Self { alone_is_lost: false, gossip_period: Duration::from_millis(200), reach: usize::MAX }
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Toy {
    pub(crate) me: Peer,
    config: ToyConfig,
    pub(crate) ready: bool,
    pub(crate) members: BTreeMap<Id, Peer>,
    /// Incarnations that are over; hearsay does not bring them back.
    dead: BTreeMap<Id, u64>,
    via: Option<Peer>,
    tries: u32,
    /// Every call that ended for this protocol, for the tests.
    pub(crate) ended: Vec<(Time, Id, Option<Failure>)>,
    pub(crate) resumptions: u32,
}

impl Toy {
    fn learn(&mut self, peer: &Peer) {
        let over = self.dead.get(&peer.id).is_some_and(|&dead| peer.incarnation <= dead);
        if peer.id == self.me.id || over {
            return;
        }
        let known = self.members.entry(peer.id).or_insert_with(|| peer.clone());
        if known.incarnation < peer.incarnation {
            *known = peer.clone();
        }
    }

    fn forget(&mut self, peer: &Peer, ctx: &mut Ctx<'_, Self>) {
        self.dead.insert(peer.id, peer.incarnation);
        if self.members.get(&peer.id).is_some_and(|known| known.incarnation <= peer.incarnation) {
            self.members.remove(&peer.id);
            if self.config.alone_is_lost && self.members.len() == 1 {
                ctx.lost("everybody is gone");
            }
        }
    }

    fn list(&self) -> Vec<Peer> {
        self.members.values().cloned().collect()
    }

    fn owners(&self, target: Id) -> Vec<Peer> {
        let mut peers = self.list();
        peers.sort_by_key(|peer| target.distance_to(peer.id));
        peers
    }

    /// Only the next members are in reach, and the owner is not: as far as one can see, the farthest first.
    fn closer(&self, target: Id, avoid: &[Id]) -> Option<Route> {
        let mut peers = self.neighbours();
        peers.sort_by_key(|peer| self.me.id.distance_to(peer.id));
        peers.truncate(self.config.reach);
        let owner = self.owners(target).into_iter().next()?;
        if peers.contains(&owner) {
            return None;
        }
        peers.retain(|peer| !avoid.contains(&peer.id));
        let hops: Vec<Hop> = peers.into_iter().rev().map(|peer| Hop { peer, via: Via::Finger }).collect();
        (!hops.is_empty()).then_some(Route::Closer(hops))
    }

    fn arc(&self) -> Range {
        let predecessor = self.members.keys().max_by_key(|id| self.me.id.distance_to(**id));
        Range::new(*predecessor.unwrap_or(&self.me.id), self.me.id)
    }

    fn come_in(&mut self, ctx: &mut Ctx<'_, Self>) {
        self.ready = true;
        self.members.insert(self.me.id, self.me.clone());
        ctx.arm(Timer::Gossip, self.config.gossip_period);
    }
}

impl Overlay for Toy {
    type Request = Ask;
    type Response = Answer;
    type Timer = Timer;
    type Config = ToyConfig;
    type Table = Vec<Peer>;

    const NAME: &'static str = "toy";

    fn new(me: Peer, config: ToyConfig) -> Self {
        Self {
            me,
            config,
            ready: false,
            members: BTreeMap::new(),
            dead: BTreeMap::new(),
            via: None,
            tries: 0,
            ended: Vec::new(),
            resumptions: 0,
        }
    }

    fn create(&mut self, ctx: &mut Ctx<'_, Self>) {
        self.come_in(ctx);
    }

    fn join(&mut self, via: Peer, ctx: &mut Ctx<'_, Self>) {
        self.via = Some(via.clone());
        ctx.locate(self.me.id, Some(via));
    }

    fn reset(&mut self, me: Peer) {
        *self = Self::new(me, self.config.clone());
    }

    fn is_ready(&self) -> bool {
        self.ready
    }

    fn resumed(&mut self, ctx: &mut Ctx<'_, Self>) {
        self.resumptions += 1;
        self.ready = self.members.len() == 1;
        ctx.arm(Timer::Gossip, Duration::ZERO);
    }

    fn on_departure(&mut self, peer: &Peer, _: Departure, ctx: &mut Ctx<'_, Self>) {
        self.forget(peer, ctx);
    }

    fn neighbours(&self) -> Vec<Peer> {
        self.members.values().filter(|peer| peer.id != self.me.id).cloned().collect()
    }

    fn route(&self, target: Id, avoid: &[Id]) -> Route {
        let mut peers = self.owners(target);
        let arc = self.arc();
        if self.ready && peers.first() == Some(&self.me) {
            let hops = peers.into_iter().map(|peer| Hop { peer, via: Via::Owner }).collect();
            return Route::Owners { hops, arc: Some(arc) };
        }
        if let Some(closer) = self.closer(target, avoid) {
            return closer;
        }
        peers.sort_by_key(|peer| (avoid.contains(&peer.id), target.distance_to(peer.id)));
        peers.retain(|peer| *peer != self.me);
        let hops = peers.into_iter().map(|peer| Hop { peer, via: Via::Successor }).collect();
        Route::Owners { hops, arc: None }
    }

    fn distance(&self, from: Id, target: Id) -> Distance {
        Distance::plain(from.distance_to(target))
    }

    fn lookup_request(&self, target: Id, avoid: Vec<Id>) -> Ask {
        Ask::Find { target, avoid }
    }

    fn lookup_answer(&self, response: &Answer) -> Option<Route> {
        match response {
            Answer::Route(route) => Some(route.clone()),
            Answer::Members(_) => None,
        }
    }

    fn serve(&mut self, from: &Peer, request: Ask, _: &mut Ctx<'_, Self>) -> Result<Answer, Refusal> {
        match request {
            Ask::Find { target, avoid } if self.ready => Ok(Answer::Route(self.route(target, &avoid))),
            Ask::Find { .. } => Err(Refusal::NotReady),
            Ask::Admit | Ask::Sync(_) => {
                if self.dead.get(&from.id) == Some(&from.incarnation) {
                    self.dead.remove(&from.id);
                }
                self.learn(from);
                if let Ask::Sync(peers) = request {
                    peers.iter().for_each(|peer| self.learn(peer));
                }
                Ok(Answer::Members(self.list()))
            }
        }
    }

    fn on_reply(&mut self, to: &Peer, request: Ask, result: Result<Answer, Failure>, ctx: &mut Ctx<'_, Self>) {
        self.ended.push((ctx.now, to.id, result.as_ref().err().cloned()));
        match (request, result) {
            (_, Ok(Answer::Members(peers))) => {
                peers.iter().for_each(|peer| self.learn(peer));
                self.learn(to);
                if !self.ready {
                    self.come_in(ctx);
                }
            }
            (Ask::Admit, _) => ctx.lost("not admitted"),
            (_, Err(Failure::Refused(Refusal::NotReady | Refusal::Busy))) | (_, Ok(_)) => {}
            (_, Err(_)) => self.forget(to, ctx),
        }
    }

    fn on_timer(&mut self, timer: Timer, ctx: &mut Ctx<'_, Self>) {
        match timer {
            Timer::Gossip => {
                ctx.arm(Timer::Gossip, self.config.gossip_period);
                let others = self.neighbours();
                self.ready |= others.is_empty();
                if !others.is_empty() {
                    let one = others[ctx.rng.next_u32() as usize % others.len()].clone();
                    ctx.call(one, Ask::Sync(self.list()));
                }
            }
            Timer::Retry => {
                if let Some(via) = self.via.clone() {
                    ctx.locate(self.me.id, Some(via));
                }
            }
        }
    }

    fn on_located(&mut self, _: Id, found: Result<Located, Failure>, ctx: &mut Ctx<'_, Self>) {
        self.tries += 1;
        match found {
            Ok(located) => ctx.call(located.owners[0].clone(), Ask::Admit),
            Err(_) if self.tries < 3 => ctx.arm(Timer::Retry, Duration::from_millis(100)),
            Err(_) => ctx.lost("nobody can be found"),
        }
    }

    fn shares(&self) -> Vec<Share> {
        if !self.ready {
            return Vec::new();
        }
        vec![Share { range: self.arc(), holders: self.owners(self.me.id).into_iter().take(3).collect() }]
    }

    fn table(&self) -> Vec<Peer> {
        self.list()
    }
}
