use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use overlay::testing::step;
use overlay::{Addr, Ctx, Departure, Failure, Located, Overlay, Peer, Refusal, Step, Time, Via};
use pastry::{Config, Pastry, Request, Response, Timer};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg32;
use ring::{Id, Range, Space};

/// Seeds a run is repeated with: three, or as many as `SAFE_JOIN_SEEDS` says.
pub(crate) fn seeds() -> u64 {
    std::env::var("SAFE_JOIN_SEEDS").ok().and_then(|count| count.parse().ok()).unwrap_or(3)
}

/// Bare Pastry nodes, a network that delays, and failure detection that is never wrong.
pub(crate) struct World {
    pub(crate) rng: Pcg32,
    config: Config,
    seed: u64,
    now: Time,
    nodes: BTreeMap<Id, Node>,
    queue: BTreeMap<(Time, u64), Event>,
    events: u64,
    history: VecDeque<(Time, String, Option<Event>)>,
}

struct Node {
    me: Peer,
    pastry: Pastry,
    alive: bool,
    /// What it answers for, as of its last input.
    owns: Vec<Range>,
    timers: BTreeMap<Timer, u64>,
}

#[derive(Clone, Debug)]
enum Event {
    Request { from: Peer, to: Peer, request: Request },
    Reply { to: Peer, from: Peer, request: Request, result: Result<Response, Failure> },
    Timer { at: Id, timer: Timer, set: u64 },
    Located { at: Peer, target: Id },
    Departure { at: Id, who: Peer },
    JoinAgain { at: Id },
}

impl World {
    /// A ring of one.
    pub(crate) fn new(seed: u64, leaf_set: usize) -> Self {
        let mut world = Self {
            rng: Pcg32::seed_from_u64(seed),
            config: Config { leaf_set, ..Config::default() },
            seed,
            now: Time(0),
            nodes: BTreeMap::new(),
            queue: BTreeMap::new(),
            events: 0,
            history: VecDeque::new(),
        };
        let first = world.new_node(0x8000);
        world.input(first, |pastry, ctx| pastry.create(ctx));
        world
    }

    pub(crate) fn fail(&self, why: impl std::fmt::Display) -> ! {
        let history: Vec<String> = self.history.iter().map(|entry| format!("{entry:?}")).collect();
        panic!("{}\n{why}\n  (|L| = {}, seed {}, {:?})", history.join("\n"), self.config.leaf_set, self.seed, self.now)
    }

    fn note(&mut self, what: String, event: Option<Event>) {
        if self.history.len() >= 60 {
            self.history.pop_front();
        }
        self.history.push_back((self.now, what, event));
    }

    pub(crate) fn live(&self) -> BTreeSet<Id> {
        self.nodes.values().filter(|node| node.alive).map(|node| node.me.id).collect()
    }

    /// Live active nodes and what they answer for.
    pub(crate) fn active(&self) -> BTreeMap<Id, &[Range]> {
        let active = self.nodes.values().filter(|node| node.alive && node.pastry.is_ready());
        active.map(|node| (node.me.id, &node.owns[..])).collect()
    }

    pub(crate) fn closest_active(&self, key: Id) -> Option<Id> {
        let active = self.nodes.values().filter(|node| node.alive && node.pastry.is_ready());
        active.map(|node| node.me.id).min_by_key(|id| (id.gap(key), *id))
    }

    /// A newcomer anywhere, or right beside somebody.
    pub(crate) fn join_somebody(&mut self) {
        let anywhere = self.rng.random_range(0..1u64 << 16);
        let live: Vec<Id> = self.live().into_iter().collect();
        let beside = live[self.rng.random_range(0..live.len())];
        let beside = u64::from_str_radix(&beside.to_string(), 16).unwrap() + self.rng.random_range(0..40u64);
        let at = if self.rng.random_bool(0.5) { anywhere } else { beside % (1 << 16) };
        self.join_at(at);
    }

    pub(crate) fn join_next_to_each_other(&mut self, count: u64) {
        (0..count).for_each(|place| self.join_at(0x1234 + place));
    }

    fn join_at(&mut self, number: u64) {
        let Some(via) = self.ready_member() else { return };
        let newcomer = self.new_node(number);
        self.note(format!("{newcomer} joins through {}", via.id), None);
        self.input(newcomer, |pastry, ctx| pastry.join(via, ctx));
    }

    fn ready_member(&mut self) -> Option<Peer> {
        let ready = self.nodes.values().filter(|node| node.alive && node.pastry.is_ready());
        let ready: Vec<Peer> = ready.map(|node| node.me.clone()).collect();
        (!ready.is_empty()).then(|| ready[self.rng.random_range(0..ready.len())].clone())
    }

    /// Ends a random node, `announced` or by a crash, unless leaf sets still have to be mended after the last one: half of a
    /// leaf set failing before that is what Pastry does not survive.
    pub(crate) fn end_somebody(&mut self, announced: bool) -> bool {
        let live: Vec<Id> = self.live().into_iter().collect();
        let counts_on_the_dead = |id: &Id| self.nodes[id].pastry.neighbours().iter().any(|peer| !self.lives(peer));
        let few = self.active().len() < self.config.leaf_set + 2;
        if few || !self.each_knows_the_next_two() || live.iter().any(counts_on_the_dead) {
            return false;
        }
        let victim = live[self.rng.random_range(0..live.len())];
        self.note(format!("{victim} {}", if announced { "departs" } else { "crashes" }), None);
        let who = self.nodes[&victim].me.clone();
        if announced {
            for peer in self.nodes[&victim].pastry.neighbours() {
                self.schedule_soon(Event::Departure { at: peer.id, who: who.clone() });
            }
        }
        if let Some(node) = self.nodes.get_mut(&victim) {
            node.alive = false;
        }
        true
    }

    /// Every active node has the next two active ones on either side in its leaf set.
    fn each_knows_the_next_two(&self) -> bool {
        let active: Vec<Id> = self.active().into_keys().collect();
        let count = active.len();
        active.iter().enumerate().all(|(at, id)| {
            let leaves: BTreeSet<Id> = self.nodes[id].pastry.neighbours().iter().map(|peer| peer.id).collect();
            [1, 2, count - 1, count - 2].iter().all(|next| leaves.contains(&active[(at + next) % count]))
        })
    }

    fn lives(&self, peer: &Peer) -> bool {
        self.nodes.get(&peer.id).is_some_and(|node| node.alive && node.me.incarnation == peer.incarnation)
    }

    /// Runs until nothing but routine happens, checking between events, and expects the perfect ring.
    pub(crate) fn settle(&mut self, check: impl Fn(&Self)) {
        let end = self.now.plus(Duration::from_secs(30));
        while self.now < end {
            self.advance();
            check(self);
        }
        let live: Vec<Id> = self.live().into_iter().collect();
        let half = (self.config.leaf_set / 2).min(live.len() - 1);
        for (at, id) in live.iter().enumerate() {
            let table = self.nodes[id].pastry.table();
            let ids = |peers: &[Peer]| peers.iter().map(|peer| peer.id).collect::<Vec<_>>();
            let larger: Vec<Id> = (1..=half).map(|next| live[(at + next) % live.len()]).collect();
            let smaller: Vec<Id> = (1..=half).map(|next| live[(at + live.len() - next) % live.len()]).collect();
            let found = (ids(&table.smaller), ids(&table.larger));
            if !self.nodes[id].pastry.is_ready() || found != (smaller, larger) {
                self.fail(format!("{id} ends with {found:?}; nodes {live:?}"));
            }
        }
    }

    /// Handles the next event.
    pub(crate) fn advance(&mut self) {
        let Some(((at, _), event)) = self.queue.pop_first() else { self.fail("nothing happens any more") };
        self.now = at;
        self.note(String::new(), Some(event.clone()));
        match event {
            Event::Request { from, to, request } => {
                let result = match &self.nodes[&to.id] {
                    node if !node.alive => Err(Failure::Unreachable),
                    node if node.me != to => Err(Failure::Refused(Refusal::Gone)),
                    _ => {
                        let serve = request.clone();
                        self.input(to.id, |pastry, ctx| pastry.serve(&from, serve, ctx)).map_err(Failure::Refused)
                    }
                };
                self.schedule_soon(Event::Reply { to: from, from: to, request, result });
            }
            Event::Reply { to, from, request, result } => {
                if self.lives(&to) {
                    self.input(to.id, |pastry, ctx| pastry.on_reply(&from, request, result, ctx));
                }
            }
            Event::Timer { at, timer, set } => {
                if self.nodes[&at].timers.get(&timer) == Some(&set) {
                    self.input(at, |pastry, ctx| pastry.on_timer(timer, ctx));
                }
            }
            Event::Located { at, target } => {
                if self.lives(&at) {
                    let located = self.locate(target);
                    self.input(at.id, |pastry, ctx| pastry.on_located(target, located, ctx));
                }
            }
            Event::JoinAgain { at } => match self.ready_member() {
                Some(via) => self.input(at, |pastry, ctx| pastry.join(via, ctx)),
                None => self.fail("nobody is active any more"),
            },
            Event::Departure { at, who } => {
                self.input(at, |pastry, ctx| pastry.on_departure(&who, Departure::Leave, ctx));
            }
        }
    }

    /// The lookup that `overlay` would run, with global knowledge: any member, then the closest active one.
    fn locate(&mut self, target: Id) -> Result<Located, Failure> {
        let via = self.ready_member().ok_or(Failure::TimedOut)?;
        let owner = self.closest_active(target).ok_or(Failure::TimedOut)?;
        let owner = self.nodes[&owner].me.clone();
        let hop = |peer: Peer| Step { peer, rtt: None, via: Some(Via::Prefix) };
        let path = vec![hop(via), hop(owner.clone())];
        Ok(Located { target, owners: vec![owner], holders: Vec::new(), path, arc: None })
    }

    /// A node at this number or the next one that is free.
    fn new_node(&mut self, number: u64) -> Id {
        let space = Space::new(16).unwrap();
        let mut id = space.id(number).unwrap();
        while self.nodes.contains_key(&id) {
            id = id.plus_power(0);
        }
        let me = Peer { id, addr: Addr::new(&format!("{id}:1")).unwrap(), incarnation: 1 };
        let pastry = Pastry::new(me.clone(), self.config.clone());
        self.nodes.insert(id, Node { me, pastry, alive: true, owns: Vec::new(), timers: BTreeMap::new() });
        id
    }

    fn input<R: OfTheDead>(&mut self, at: Id, input: impl FnOnce(&mut Pastry, &mut Ctx<'_, Pastry>) -> R) -> R {
        let Some(node) = self.nodes.get_mut(&at).filter(|node| node.alive) else {
            return R::of_the_dead();
        };
        let (answer, effects) = step(self.now, &mut self.rng, |ctx| input(&mut node.pastry, ctx));
        node.owns = node.pastry.shares().into_iter().map(|share| share.range).collect();
        let me = node.me.clone();
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
            self.schedule_soon(Event::Located { at: me.clone(), target });
        }
        if let (Some(_), Some(node)) = (effects.lost, self.nodes.get_mut(&at)) {
            // As `overlay::Node` does: another life, and another way in.
            node.me.incarnation += 1;
            node.pastry.reset(node.me.clone());
            node.owns.clear();
            self.schedule_soon(Event::JoinAgain { at });
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

/// What a dead node answers: nothing that anybody will see.
pub(crate) trait OfTheDead {
    fn of_the_dead() -> Self;
}

impl OfTheDead for () {
    fn of_the_dead() -> Self {}
}

impl OfTheDead for Result<Response, Refusal> {
    fn of_the_dead() -> Self {
        Err(Refusal::Gone)
    }
}
