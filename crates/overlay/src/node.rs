//! One node of an overlay, whole and without IO: the protocol and everything every protocol shares.
//!
//! Inputs are methods that take the current time; what is to be done comes out of
//! [`Node::poll_effect`], in order; [`Node::next_wake`] says when [`Node::tick`] is wanted. The parts:
//! `calls` sends and judges requests, `queries` runs lookups, `relaying` passes on those of others,
//! `membership` finds a ring and answers Hello, `rings` watches for other rings, `departure` goes away.

mod calls;
mod departure;
mod membership;
mod queries;
mod relaying;
mod rings;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use rand_pcg::Pcg32;
use rand_pcg::rand_core::Rng;
use ring::Id;

use self::calls::Pending;
use self::queries::{Asker, Query};
use crate::ctx::ProtocolEffect;
use crate::liveness::Liveness;
use crate::lookup::{Origin, Sought};
use crate::meeting::Meeting;
use crate::relay::Relays;
use crate::starting::Search;
use crate::{
    Addr, Announcement, CallId, Ctx, Departure, Effect, Envelope, Event, Failure, NodeConfig, Overlay, Peer, QueryId,
    Refusal, Request, Response, RingId, Settings, Share, Start, State, Time, View,
};

/// One node of an overlay: the protocol `P`, and everything every protocol shares.
#[derive(Clone, Debug)]
pub struct Node<P: Overlay> {
    me: Peer,
    settings: Settings,
    config: NodeConfig,
    protocol: P,
    rng: Pcg32,
    /// The latest input's time.
    now: Time,
    phase: Phase,
    start: Start,
    started: Time,
    search: Option<Search>,
    ring: Option<RingId>,
    /// The member that this node last joined through.
    joined_via: Option<Addr>,
    /// The last ring in which it was ready.
    member_of: Option<RingId>,
    /// It started its ring itself, from nothing, and has not said so yet.
    founded: bool,
    liveness: Liveness,
    meeting: Meeting,
    calls: BTreeMap<CallId, Pending<P>>,
    /// Calls that are sent again at a time, in order.
    retries: BTreeMap<(Time, u64), Pending<P>>,
    queries: BTreeMap<QueryId, Query>,
    /// When each query has something to do without an answer.
    query_wakes: BTreeSet<(Time, QueryId)>,
    /// Queries on their way through this node, its own among them.
    relays: Relays,
    timers: BTreeMap<P::Timer, Time>,
    next_number: u64,
    /// What the protocol asked for during this input.
    wishes: VecDeque<ProtocolEffect<P>>,
    effects: VecDeque<Effect<P>>,
    /// What the layers above were last told.
    told: Told,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// Not started.
    New,
    /// Searching, joining or a member.
    Up,
    /// Can't ever join.
    Refused,
    /// Told to leave.
    Leaving,
    /// The neighbours are being told.
    Departing {
        /// No longer than this.
        until: Time,
    },
    Left,
}

#[derive(Clone, Debug)]
struct Told {
    state: State,
    ring: Option<(RingId, u64)>,
    shares: Vec<Share>,
    /// What was said of the last node of another cluster that was met.
    stranger: String,
}

impl<P: Overlay> Node<P> {
    /// A node that has not started. `seed` decides all its randomness.
    pub fn new(me: Peer, settings: Settings, config: NodeConfig, protocol: P::Config, seed: u64) -> Self {
        let start = Start { seeds: Vec::new(), remembered: Vec::new(), disk_ring: None, wall_ms: 0 };
        Self {
            protocol: P::new(me.clone(), protocol),
            liveness: Liveness::new(me.id, &config),
            meeting: Meeting::new(Time::default()),
            rng: Pcg32::new(seed, u64::from_be_bytes(*b"dht-node")),
            me,
            settings,
            config,
            now: Time::default(),
            phase: Phase::New,
            start,
            started: Time::default(),
            search: None,
            ring: None,
            joined_via: None,
            member_of: None,
            founded: false,
            calls: BTreeMap::new(),
            retries: BTreeMap::new(),
            queries: BTreeMap::new(),
            query_wakes: BTreeSet::new(),
            relays: Relays::default(),
            timers: BTreeMap::new(),
            next_number: 0,
            wishes: VecDeque::new(),
            effects: VecDeque::new(),
            told: Told { state: State::Searching, ring: None, shares: Vec::new(), stranger: String::new() },
        }
    }

    /// Begin to look for a ring, or start one. Only the first call counts.
    pub fn start(&mut self, now: Time, start: Start) {
        if self.phase != Phase::New {
            return;
        }
        self.now = now;
        self.phase = Phase::Up;
        self.started = now;
        self.search = Some(Search::new(now, start.disk_ring, false));
        self.start = start;
        self.meeting = Meeting::new(now.plus(self.jittered(self.config.self_check_period)));
        self.search_on();
        self.settle();
    }

    /// Replaces the seeds: their names were resolved again.
    pub fn set_seeds(&mut self, seeds: Vec<Addr>) {
        self.start.seeds = seeds;
    }

    /// Find the owner of `target`; ends in [`Effect::Located`].
    pub fn locate(&mut self, now: Time, target: Id) -> QueryId {
        self.arrive(now);
        let query = self.begin_query(Sought::Owner, target, Origin::Tables, Asker::User);
        self.settle();
        query
    }

    /// Forget a query: its caller went away. No [`Effect::Located`] follows, unless it is waiting to be polled already.
    pub fn cancel(&mut self, query: QueryId) {
        if self.queries.get(&query).is_some_and(|query| query.asker == Asker::User) {
            self.drop_query(query);
        }
    }

    /// Answer a peer. An `Err` is for the peer as well: a typed "no".
    pub fn serve(&mut self, now: Time, envelope: &Envelope, request: Request<P>) -> Result<Response<P>, Refusal> {
        self.arrive(now);
        let answer = self.answer(envelope, request);
        self.settle();
        answer
    }

    /// A call ended. `rtt` only of a call that was neither retried nor opened its connection.
    /// A call that this node has given up meanwhile is passed over.
    pub fn on_reply(&mut self, now: Time, call: CallId, result: Result<Response<P>, Failure>, rtt: Option<Duration>) {
        self.arrive(now);
        if let Some(pending) = self.calls.remove(&call) {
            match result {
                Ok(response) => self.answered(pending, response, rtt),
                Err(failure) => self.failed(pending, failure),
            }
        }
        self.settle();
    }

    /// The layer above could or could not reach a peer: evidence for liveness like any call's.
    pub fn on_evidence(&mut self, now: Time, peer: &Peer, result: Result<(), Failure>) {
        self.arrive(now);
        if self.ring.is_some() {
            self.weigh(peer, result);
        }
        self.settle();
    }

    /// Handle all timers that are due.
    pub fn tick(&mut self, now: Time) {
        self.arrive(now);
        self.resend_due();
        let mut due: Vec<(Time, P::Timer)> =
            self.timers.iter().filter(|&(_, &at)| at <= now).map(|(&timer, &at)| (at, timer)).collect();
        due.sort();
        for (at, timer) in due {
            // An earlier one may have disarmed it, or set it again.
            if self.timers.get(&timer) == Some(&at) {
                self.timers.remove(&timer);
                self.with_protocol(|protocol, ctx| protocol.on_timer(timer, ctx));
                self.grant_wishes();
            }
        }
        let due: Vec<QueryId> =
            self.query_wakes.range(..=(self.now, QueryId(u64::MAX))).map(|(_, query)| *query).collect();
        due.into_iter().for_each(|query| self.drive(query));
        self.relay_slow_ones();
        self.search_on();
        self.check_rings();
        self.settle();
    }

    /// When [`Node::tick`] is wanted next. Always some time soon while the node is up: a gap tells a pause.
    pub fn next_wake(&self) -> Option<Time> {
        if matches!(self.phase, Phase::New | Phase::Refused | Phase::Left) {
            return None;
        }
        let heartbeat = self.now.plus(self.config.pause_after / 2);
        let departing = match self.phase {
            Phase::Departing { until } => Some(until),
            _ => None,
        };
        let retry = self.retries.keys().next().map(|(at, _)| *at);
        let query = self.query_wakes.first().map(|(at, _)| *at);
        let relay = self.relays.wake();
        let search = self.search.as_ref().map(Search::next_round);
        let check = if self.standing() == State::Ready { self.meeting.wake() } else { None };
        let timer = self.timers.values().min().copied();
        [Some(heartbeat), departing, retry, query, relay, search, check, timer].into_iter().flatten().min()
    }

    /// News from the layer of records, for an overlay that keeps pointers ([`Overlay::POINTERS`]).
    pub fn announce(&mut self, now: Time, news: Announcement) {
        self.arrive(now);
        if self.ring.is_some() {
            self.with_protocol(|protocol, ctx| protocol.announce(news, ctx));
        }
        self.settle();
    }

    /// Look at the ring behind `addr` now, and merge with it by the usual rules (`dht join`).
    pub fn meet(&mut self, now: Time, addr: Addr) {
        self.arrive(now);
        self.meeting.ask_for(&addr, now);
        if let Some(search) = &mut self.search {
            search.learn(addr);
        }
        self.check_rings();
        self.settle();
    }

    /// This node is dialled at `addr` from now on: it enters its ring anew, in a new incarnation.
    pub fn move_to(&mut self, now: Time, addr: Addr) {
        self.arrive(now);
        if self.me.addr != addr && self.phase == Phase::Up {
            self.me.addr = addr;
            if self.ring.is_some() {
                self.lose_ring("this node's address has changed");
            } else {
                self.me.incarnation += 1;
                self.protocol.reset(self.me.clone());
            }
        }
        self.settle();
    }

    /// Told to leave: state [`State::Leaving`], everything else goes on while records are handed over.
    pub fn begin_leaving(&mut self, now: Time) {
        self.arrive(now);
        if matches!(self.phase, Phase::Up | Phase::Refused) {
            self.phase = Phase::Leaving;
            self.search = None;
        }
        self.settle();
    }

    /// Tell the neighbours and be gone: [`State::Left`] once they have answered or a second has passed.
    pub fn depart(&mut self, now: Time, departure: Departure) {
        self.arrive(now);
        self.say_goodbye(departure);
        self.settle();
    }

    /// The next thing to do, if any.
    pub fn poll_effect(&mut self) -> Option<Effect<P>> {
        self.effects.pop_front()
    }

    /// A snapshot for the layers above.
    pub fn view(&self) -> View {
        View {
            me: self.me.clone(),
            state: self.standing(),
            ring: self.ring,
            shares: self.shares(),
            known: self.liveness.known(),
        }
    }

    /// The protocol's own routing state.
    pub fn table(&self) -> P::Table {
        self.protocol.table()
    }

    /// The protocol itself, to look at.
    pub fn protocol(&self) -> &P {
        &self.protocol
    }

    fn standing(&self) -> State {
        match self.phase {
            Phase::Left => State::Left,
            Phase::Leaving | Phase::Departing { .. } => State::Leaving,
            Phase::New | Phase::Refused => State::Searching,
            Phase::Up if self.ring.is_none() => State::Searching,
            Phase::Up if self.protocol.is_ready() => State::Ready,
            Phase::Up => State::Joining,
        }
    }

    fn shares(&self) -> Vec<Share> {
        match self.standing() {
            State::Ready | State::Leaving if self.ring.is_some() => self.protocol.shares(),
            _ => Vec::new(),
        }
    }

    /// Every input begins here: the clock moves on, and a pause is noticed.
    fn arrive(&mut self, now: Time) {
        // Against the last input too: a driver that is merely busy has not been paused.
        let late = self.next_wake().map(|wake| now.since(wake.max(self.now)));
        let gap = now.since(self.now);
        self.now = self.now.max(now);
        if late.is_some_and(|late| late > self.config.pause_after) {
            self.resume(gap);
        }
    }

    /// This process did not run for a while, though its peers may have. What was measured across the
    /// gap says nothing about them, and what they made of the silence is theirs to say: the protocol asks.
    fn resume(&mut self, gap: Duration) {
        self.note(format!("nothing ran here for {} ms: the process was paused", gap.as_millis()));
        self.liveness.forgive();
        self.calls.values_mut().for_each(|pending| pending.spans_pause = true);
        self.relays.clear();
        self.restart_queries();
        self.meeting.end();
        // The others may have gone on as a ring without this node.
        self.meeting.put_off(self.now.plus(self.config.self_check_period / 4));
        if let Some(search) = &mut self.search {
            search.resumed(self.now);
        }
        if self.ring.is_some() && matches!(self.phase, Phase::Up | Phase::Leaving) {
            self.with_protocol(|protocol, ctx| protocol.resumed(ctx));
        }
    }

    /// Every input ends here: the protocol's wishes become effects, and changes become events.
    fn settle(&mut self) {
        self.grant_wishes();
        self.leave_when_told();
        let state = self.standing();
        let here = self.ring.map(|ring| (ring, self.me.incarnation));
        if let (State::Ready, Some((ring, _))) = (state, here)
            && self.told.ring != here
        {
            self.told.ring = here;
            let period = self.jittered(self.config.self_check_period);
            self.meeting.put_off(self.now.plus(period));
            self.member_of = Some(ring);
            let founded = std::mem::take(&mut self.founded);
            self.tell(Event::Ring { ring, founded });
        }
        if self.told.state != state {
            self.told.state = state;
            self.tell(Event::State(state));
        }
        let shares = self.shares();
        if self.told.shares != shares {
            self.told.shares = shares;
            self.tell(Event::Shares);
        }
    }

    fn grant_wishes(&mut self) {
        while let Some(wish) = self.wishes.pop_front() {
            if !matches!(self.phase, Phase::Up | Phase::Leaving) {
                continue;
            }
            match wish {
                ProtocolEffect::Call { to, request } => self.call_for_protocol(to, request),
                ProtocolEffect::Arm { timer, after } => {
                    self.timers.insert(timer, self.now.plus(after));
                }
                ProtocolEffect::Disarm { timer } => {
                    self.timers.remove(&timer);
                }
                ProtocolEffect::Locate { target, sought, via } => {
                    let member = matches!(self.told.state, State::Ready | State::Leaving);
                    let origin = via.map_or(Origin::Tables, |peer| Origin::Via { peer, member });
                    self.begin_query(sought, target, origin, Asker::Protocol);
                }
                ProtocolEffect::Lost { why } => self.lose_ring(&why),
            }
        }
    }

    /// Hands the protocol an input and keeps what it wants done.
    fn with_protocol<R>(&mut self, input: impl FnOnce(&mut P, &mut Ctx<'_, P>) -> R) -> R {
        let mut wishes = Vec::new();
        let mut ctx = Ctx { now: self.now, rng: &mut self.rng, liveness: &self.liveness, effects: &mut wishes };
        let result = input(&mut self.protocol, &mut ctx);
        self.wishes.extend(wishes);
        result
    }

    fn tell(&mut self, event: Event) {
        self.effects.push_back(Effect::Event(event));
    }

    fn note(&mut self, text: String) {
        self.tell(Event::Note(text));
    }

    /// A number that was never given before.
    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    /// Three to five quarters of `period`, so that nodes started together do not act together for ever.
    fn jittered(&mut self, period: Duration) -> Duration {
        period * (75 + self.rng.next_u32() % 51) / 100
    }
}

#[cfg(test)]
mod tests;
