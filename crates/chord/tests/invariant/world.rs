use std::collections::BTreeMap;
use std::time::Duration;

use chord::{Chord, Config, Entry, Request, Response, Timer};
use overlay::testing::step;
use overlay::{Addr, Ctx, Departure, Failure, Located, Overlay, Peer, Step, Time, Via};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg32;
use ring::{Id, Space, between};

/// Seeds a run is repeated with: five, or as many as `INVARIANT_SEEDS` says.
pub(crate) fn seeds() -> u64 {
    std::env::var("INVARIANT_SEEDS").ok().and_then(|count| count.parse().ok()).unwrap_or(5)
}

/// Bare Chord nodes, a network that delays, and failure detection that is never wrong.
pub(crate) struct World {
    pub(crate) r: usize,
    pub(crate) rng: Pcg32,
    seed: u64,
    now: Time,
    nodes: BTreeMap<Id, Node>,
    queue: BTreeMap<(Time, u64), Event>,
    events: u64,
    history: Vec<String>,
}

struct Node {
    me: Peer,
    chord: Chord,
    alive: bool,
    timers: BTreeMap<Timer, u64>,
}

#[derive(Clone, Debug)]
enum Event {
    Request { from: Peer, to: Peer, request: Request },
    Reply { to: Id, from: Peer, request: Request, result: Result<Response, Failure> },
    Timer { at: Id, timer: Timer, set: u64 },
    Located { at: Id, target: Id },
    Departure { at: Id, who: Peer },
    JoinAgain { at: Id },
}

impl World {
    pub(crate) fn new(seed: u64, r: usize) -> Self {
        let mut world = Self {
            r,
            rng: Pcg32::seed_from_u64(seed),
            seed,
            now: Time(0),
            nodes: BTreeMap::new(),
            queue: BTreeMap::new(),
            events: 0,
            history: Vec::new(),
        };
        let first = world.new_node();
        world.input(first, |chord, ctx| chord.create(ctx));
        world
    }

    /// Builds a ring of `count` members up, in which every list is right.
    pub(crate) fn grow(&mut self, count: usize) {
        for _ in 1..count {
            self.join_somebody();
        }
        self.settle(|_| {});
    }

    pub(crate) fn fail(&self, why: impl std::fmt::Display) -> ! {
        let history = self.history.iter().rev().take(40).rev().cloned().collect::<Vec<_>>().join("\n");
        panic!("{history}\n{why}\n  (r = {}, seed {}, {:?})", self.r, self.seed, self.now)
    }

    /// Live members and their lists.
    pub(crate) fn members(&self) -> BTreeMap<Id, Vec<Entry>> {
        let live = self.nodes.values().filter(|node| node.alive);
        live.filter_map(|node| Some((node.me.id, list(&node.chord)?))).collect()
    }

    pub(crate) fn is_live(&self, entry: &Entry) -> bool {
        matches!(entry, Entry::Peer(peer) if self.nodes[&peer.id].alive)
    }

    /// The members that no adjacent pair of any extended list skips.
    pub(crate) fn principals(&self) -> Vec<Id> {
        principals(&self.extended_lists())
    }

    fn extended_lists(&self) -> Vec<Vec<Id>> {
        self.members().iter().map(|(id, list)| extended(*id, list)).collect()
    }

    /// The extended lists of the live members, and those they may have once the answers that are on their way
    /// have arrived: in the proof a step takes no time.
    fn lists_to_come(&self) -> Vec<Vec<Id>> {
        let mut lists = self.extended_lists();
        for event in self.queue.values() {
            match event {
                Event::Reply { to, result: Ok(Response::Admitted(list)), .. } => lists.push(extended(*to, list)),
                Event::Reply { to, from, result: Ok(Response::Neighbours(neighbours)), .. } => {
                    let mut list = neighbours.successors.clone();
                    list.insert(0, Entry::Peer(from.clone()));
                    lists.push(extended(*to, &list[..self.r]));
                }
                _ => {}
            }
        }
        lists.retain(|list| self.nodes[&list[0]].alive);
        lists
    }

    pub(crate) fn join_somebody(&mut self) {
        let via = self.ready_member();
        let newcomer = self.new_node();
        self.history.push(format!("{newcomer} joins through {}", via.id));
        self.input(newcomer, |chord, ctx| chord.join(via, ctx));
    }

    fn ready_member(&mut self) -> Peer {
        let ready = self.nodes.values().filter(|node| node.alive && node.chord.is_ready());
        let ready: Vec<Peer> = ready.map(|node| node.me.clone()).collect();
        ready[self.rng.random_range(0..ready.len())].clone()
    }

    /// Crashes a random member if the assumptions allow it; `announced` to all beforehand, as in a departure.
    pub(crate) fn crash_somebody(&mut self, announced: bool) -> bool {
        let members: Vec<Id> = self.members().into_keys().collect();
        let victim = members[self.rng.random_range(0..members.len())];
        let without =
            |lists: Vec<Vec<Id>>| -> Vec<Vec<Id>> { lists.into_iter().filter(|list| list[0] != victim).collect() };
        let (now, after) = (without(self.extended_lists()), without(self.lists_to_come()));
        let enough = principals(&now).len() > self.r && principals(&after).len() > self.r;
        let lives = |id: &Id| *id != victim && self.nodes.get(id).is_some_and(|node| node.alive);
        if !enough || !after.iter().all(|list| list[1..].iter().any(lives)) {
            return false;
        }
        self.history.push(format!("{victim} {}", if announced { "departs" } else { "crashes" }));
        let who = self.nodes[&victim].me.clone();
        if let Some(node) = self.nodes.get_mut(&victim) {
            node.alive = false;
        }
        if announced {
            for peer in self.nodes[&victim].chord.neighbours() {
                self.schedule_soon(Event::Departure { at: peer.id, who: who.clone() });
            }
        }
        true
    }

    /// Runs until nothing but routine happens, checking between events, and expects the perfect ring.
    pub(crate) fn settle(&mut self, check: impl Fn(&Self)) {
        let end = self.now.plus(Duration::from_secs(20));
        while self.now < end {
            self.advance();
            check(self);
        }
        let live: Vec<Id> = self.nodes.values().filter(|node| node.alive).map(|node| node.me.id).collect();
        for (at, id) in live.iter().enumerate() {
            let table = self.nodes[id].chord.table();
            let after = |steps: usize| live[(at + steps) % live.len()];
            let successors: Vec<Id> = table.successors.iter().map(|peer| peer.id).collect();
            let expected: Vec<Id> = (1..=self.r.min(live.len() - 1)).map(after).collect();
            let predecessor = table.predecessor.map(|peer| peer.id);
            if !self.nodes[id].chord.is_ready() || successors != expected || predecessor != Some(after(live.len() - 1))
            {
                self.fail(format!("{id} ends with {predecessor:?}, {successors:?}; members {live:?}"));
            }
        }
    }

    /// Handles the next event.
    pub(crate) fn advance(&mut self) {
        let Some(((at, _), event)) = self.queue.pop_first() else { self.fail("nothing happens any more") };
        self.now = at;
        self.history.push(format!("{at:?} {event:?}"));
        match event {
            Event::Request { from, to, request } => {
                let result = if self.nodes[&to.id].alive {
                    let serve = request.clone();
                    self.input(to.id, |chord, ctx| chord.serve(&from, serve, ctx)).map_err(Failure::Refused)
                } else {
                    Err(Failure::Unreachable)
                };
                self.schedule_soon(Event::Reply { to: from.id, from: to, request, result });
            }
            Event::Reply { to, from, request, result } => {
                self.input(to, |chord, ctx| chord.on_reply(&from, request, result, ctx));
            }
            Event::Timer { at, timer, set } => {
                if self.nodes[&at].timers.get(&timer) == Some(&set) {
                    self.input(at, |chord, ctx| chord.on_timer(timer, ctx));
                }
            }
            Event::Located { at, target } => {
                let located = self.locate(at, target);
                self.input(at, |chord, ctx| chord.on_located(target, located, ctx));
            }
            Event::JoinAgain { at } => {
                let via = self.ready_member();
                self.input(at, |chord, ctx| chord.join(via, ctx));
            }
            Event::Departure { at, who } => {
                self.input(at, |chord, ctx| chord.on_departure(&who, Departure::Leave, ctx));
            }
        }
    }

    /// The lookup that `overlay` would run, with global knowledge: the owner, and the member before it.
    fn locate(&mut self, at: Id, target: Id) -> Result<Located, Failure> {
        let members: Vec<Id> = self.members().into_keys().filter(|&id| id != at).collect();
        let nearest =
            |key: &dyn Fn(Id) -> Id| members.iter().copied().min_by_key(|&id| key(id)).ok_or(Failure::TimedOut);
        let owner = nearest(&|id| target.distance_to(id))?;
        let before = nearest(&|id| id.distance_to(target.minus(target.space().zero().plus_power(0))))?;
        let peer = |id: Id| self.nodes[&id].me.clone();
        let hop = |id| Step { peer: peer(id), rtt: None, via: Some(Via::Finger) };
        Ok(Located {
            target,
            owners: vec![peer(owner)],
            holders: Vec::new(),
            path: vec![hop(before), hop(owner)],
            arc: None,
        })
    }

    fn new_node(&mut self) -> Id {
        let space = Space::new(16).expect("16 bits are allowed");
        loop {
            let id = space.id(self.rng.random_range(0..1 << 16)).expect("it fits");
            if !self.nodes.contains_key(&id) {
                let me = Peer { id, addr: Addr::new(&format!("{id}:1")).expect("it is not empty"), incarnation: 1 };
                let config = Config { successors: self.r, ..Config::default() };
                let chord = Chord::new(me.clone(), config);
                self.nodes.insert(id, Node { me, chord, alive: true, timers: BTreeMap::new() });
                return id;
            }
        }
    }

    fn input<R: OfTheDead>(&mut self, at: Id, input: impl FnOnce(&mut Chord, &mut Ctx<'_, Chord>) -> R) -> R {
        let Some(node) = self.nodes.get_mut(&at).filter(|node| node.alive) else {
            return R::of_the_dead();
        };
        let was_member = list(&node.chord).is_some();
        let (answer, effects) = step(self.now, &mut self.rng, |ctx| input(&mut node.chord, ctx));
        let me = node.me.clone();
        if let Some(why) = effects.lost {
            if was_member {
                self.fail(format!("{at} is lost: {why}"));
            }
            self.schedule_soon(Event::JoinAgain { at });
        }
        for (timer, after) in effects.timers {
            self.events += 1;
            let set = self.events;
            if let Some(node) = self.nodes.get_mut(&at) {
                node.timers.insert(timer, set);
            }
            if let Some(after) = after {
                self.schedule(after, Event::Timer { at, timer, set });
            }
        }
        for (to, request) in effects.calls {
            self.schedule_soon(Event::Request { from: me.clone(), to, request });
        }
        for (target, _) in effects.lookups {
            self.schedule_soon(Event::Located { at, target });
        }
        answer
    }

    /// Usually a few milliseconds, now and then long enough for others to run whole rounds meanwhile.
    fn schedule_soon(&mut self, event: Event) {
        let most = if self.rng.random_bool(0.05) { 2_000_000 } else { 5_000 };
        let after = Duration::from_micros(self.rng.random_range(100..most));
        self.schedule(after, event);
    }

    fn schedule(&mut self, after: Duration, event: Event) {
        self.events += 1;
        self.queue.insert((self.now.plus(after), self.events), event);
    }
}

/// A member and its list.
fn extended(id: Id, list: &[Entry]) -> Vec<Id> {
    std::iter::once(id).chain(list.iter().map(Entry::id)).collect()
}

/// Of those whose extended lists these are.
fn principals(lists: &[Vec<Id>]) -> Vec<Id> {
    let skips = |list: &[Id], member: Id| list.windows(2).any(|pair| between(pair[0], member, pair[1]));
    let mut members: Vec<Id> = lists.iter().map(|list| list[0]).collect();
    members.sort_unstable();
    members.dedup();
    members.retain(|&member| !lists.iter().any(|list| skips(list, member)));
    members
}

/// A member's whole list, padding and all.
fn list(chord: &Chord) -> Option<Vec<Entry>> {
    chord.successor_list()
}

/// What a dead node answers: nothing that anybody will see.
pub(crate) trait OfTheDead {
    fn of_the_dead() -> Self;
}

impl OfTheDead for () {
    fn of_the_dead() -> Self {}
}

impl OfTheDead for Result<Response, overlay::Refusal> {
    fn of_the_dead() -> Self {
        Err(overlay::Refusal::Gone)
    }
}
