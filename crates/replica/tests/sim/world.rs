//! A small world for `Control`: virtual time, a network that loses, delays, repeats and reorders, processes
//! that crash, pause and come back, an overlay that everybody sees with a delay, and a model of the data
//! path (one number per key) that follows the same rules as the daemon's.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use overlay::{Addr, Failure, Known, Peer, Refusal, RingId, Share, State, Time, View};
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg32;
use replica::{Config, Control, Effect, Event, Holdings, JobId, Member, Piece, Request, Response};
use ring::{Id, Range, Space};

use crate::records::Records;

/// Wall clock at the start of the world.
const WALL_START_MS: u64 = 1_800_000_000_000;
pub(crate) const MS: u64 = 1_000;
pub(crate) const SECOND: u64 = 1_000_000;

/// How rough the world is.
#[derive(Clone, Debug)]
pub(crate) struct Weather {
    /// Of a thousand messages, so many are lost.
    pub(crate) lost: u32,
    /// Of a thousand requests, so many are carried out twice.
    pub(crate) repeated: u32,
    /// Longest way of a message, in µs.
    pub(crate) latency_max: u64,
    /// Of a thousand batches of effects, so many end in a crash half-way, if crashes are on.
    pub(crate) crash_within: u32,
}

pub(crate) const CALM: Weather = Weather { lost: 0, repeated: 0, latency_max: 5 * MS, crash_within: 0 };
pub(crate) const ROUGH: Weather = Weather { lost: 50, repeated: 50, latency_max: 120 * MS, crash_within: 0 };

type Action = Box<dyn FnOnce(&mut World)>;

pub(crate) struct Scheduled {
    /// Only while this node is in this life; put off while it is paused.
    node: Option<(usize, u64)>,
    action: Action,
}

pub(crate) struct Node {
    pub(crate) id: Id,
    pub(crate) addr: Addr,
    pub(crate) incarnation: u64,
    pub(crate) store: u64,
    pub(crate) life: u64,
    pub(crate) up: bool,
    pub(crate) paused: bool,
    /// Nodes on different sides of a partition do not reach each other.
    pub(crate) side: u8,
    /// Others can see it in the ring.
    pub(crate) in_ring: bool,
    pub(crate) leaving: bool,
    pub(crate) left: bool,
    pub(crate) stopped: Option<u64>,
    pub(crate) control: Control,
    pub(crate) holdings: Holdings,
    pub(crate) disk: Vec<Piece>,
    pub(crate) records: Records,
    pub(crate) jobs: BTreeSet<JobId>,
    met: BTreeSet<usize>,
    wake: u64,
}

pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) now: u64,
    pub(crate) space: Space,
    pub(crate) config: Config,
    pub(crate) weather: Weather,
    pub(crate) nodes: Vec<Node>,
    pub(crate) rng: Pcg32,
    /// Which members a set of that number had, by identifier: must be one answer.
    pub(crate) history: BTreeMap<(Id, u64), Vec<(Id, u64)>>,
    /// What was acknowledged or read, by key: nothing older may be read afterwards.
    pub(crate) floor: BTreeMap<u64, u64>,
    pub(crate) versions: u64,
    pub(crate) writes_done: u64,
    pub(crate) reads_done: u64,
    pub(crate) forced: u64,
    pub(crate) begun_empty: u64,
    /// Survivors may have gone on without some records.
    pub(crate) excused: bool,
    pub(crate) trace: bool,
    /// Calls of the machines so far.
    pub(crate) calls: u64,
    events: BTreeMap<(u64, u64), Scheduled>,
    sequence: u64,
    stores: u64,
}

impl World {
    pub(crate) fn new(seed: u64, bits: u32, config: Config, weather: Weather) -> Self {
        Self {
            seed,
            now: SECOND,
            space: Space::new(bits).unwrap(),
            config,
            weather,
            nodes: Vec::new(),
            rng: Pcg32::seed_from_u64(seed),
            history: BTreeMap::new(),
            floor: BTreeMap::new(),
            versions: 0,
            writes_done: 0,
            reads_done: 0,
            forced: 0,
            begun_empty: 0,
            excused: false,
            trace: std::env::var("TRACE").is_ok(),
            calls: 0,
            events: BTreeMap::new(),
            sequence: 0,
            stores: 0,
        }
    }

    pub(crate) fn log(&self, text: impl FnOnce() -> String) {
        if self.trace {
            eprintln!("{:>10.3} {}", self.now as f64 / 1e6, text());
        }
    }

    pub(crate) fn time(&self) -> Time {
        Time(self.now)
    }

    pub(crate) fn wall_ms(&self) -> u64 {
        WALL_START_MS + self.now / 1_000
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.rng.next_u64() % limit.max(1)
    }

    pub(crate) fn chance(&mut self, of_a_thousand: u32) -> bool {
        self.below(1_000) < u64::from(of_a_thousand)
    }

    pub(crate) fn at(&mut self, delay: u64, node: Option<usize>, action: impl FnOnce(&mut World) + 'static) {
        self.sequence += 1;
        let node = node.map(|node| (node, self.nodes[node].life));
        self.events.insert((self.now + delay, self.sequence), Scheduled { node, action: Box::new(action) });
    }

    /// Runs for so long.
    pub(crate) fn run(&mut self, duration: u64) {
        let end = self.now + duration;
        while let Some((&(at, sequence), _)) = self.events.first_key_value() {
            if at > end {
                break;
            }
            let scheduled = self.events.remove(&(at, sequence)).unwrap();
            self.now = self.now.max(at);
            if let Some((node, life)) = scheduled.node {
                let target = &self.nodes[node];
                if !target.up || target.life != life {
                    continue;
                }
                if target.paused {
                    self.sequence += 1;
                    self.events.insert((self.now + 200 * MS, self.sequence), scheduled);
                    continue;
                }
            }
            (scheduled.action)(self);
        }
        self.now = end;
    }

    /// Runs until `done`, at most so long; whether it came to that.
    pub(crate) fn run_until(&mut self, limit: u64, mut done: impl FnMut(&World) -> bool) -> bool {
        let end = self.now + limit;
        while self.now < end {
            if done(self) {
                return true;
            }
            self.run(100 * MS);
        }
        done(self)
    }

    // Processes.

    fn new_store(&mut self) -> u64 {
        self.stores += 1;
        self.stores
    }

    /// A process with an empty store that others see in the ring a little later. The first one founds it.
    pub(crate) fn start(&mut self, place: u64) -> usize {
        let id = self.space.id(place).unwrap();
        let node = self.nodes.len();
        let addr = Addr::new(&format!("n{node}:1")).unwrap();
        let store = self.new_store();
        let peer = Peer { id, addr: addr.clone(), incarnation: 1 };
        let control = Control::new(Member { peer, store }, self.config.clone(), Vec::new(), self.seed ^ node as u64);
        self.nodes.push(Node {
            id,
            addr,
            incarnation: 1,
            store,
            life: 1,
            up: true,
            paused: false,
            side: 0,
            in_ring: false,
            leaving: false,
            left: false,
            stopped: None,
            control,
            holdings: Holdings::default(),
            disk: Vec::new(),
            records: Records::default(),
            jobs: BTreeSet::new(),
            met: BTreeSet::new(),
            wake: 0,
        });
        self.log(|| format!("start {node} at {id}"));
        if node == 0 {
            self.nodes[0].in_ring = true;
            let (now, ring) = (self.time(), RingId { started_ms: 1, starter: id });
            self.nodes[0].control.found(now, ring);
            self.effects(0);
            self.changed();
        } else {
            self.enter(node);
        }
        self.sweep_later(node);
        node
    }

    fn enter(&mut self, node: usize) {
        let delay = 100 * MS + self.below(500 * MS);
        self.at(delay, Some(node), move |world| {
            world.nodes[node].in_ring = true;
            world.changed();
        });
    }

    pub(crate) fn crash(&mut self, node: usize) {
        self.log(|| format!("crash {node}"));
        let process = &mut self.nodes[node];
        process.up = false;
        process.paused = false;
        process.in_ring = false;
        process.life += 1;
        process.holdings = Holdings::default();
        process.jobs.clear();
        self.changed();
    }

    /// Comes back, with its disk or with nothing.
    pub(crate) fn restart(&mut self, node: usize, disk: bool) {
        self.log(|| format!("restart {node} disk={disk}"));
        let store = if disk { self.nodes[node].store } else { self.new_store() };
        let config = self.config.clone();
        let seed = self.rng.next_u64();
        let process = &mut self.nodes[node];
        process.incarnation += 1;
        process.life += 1;
        process.up = true;
        process.stopped = None;
        process.leaving = false;
        process.store = store;
        process.met.clear();
        if !disk {
            process.disk.clear();
            process.records = Records::default();
        }
        process.records.restarted();
        process.wake = 0;
        let peer = Peer { id: process.id, addr: process.addr.clone(), incarnation: process.incarnation };
        process.control = Control::new(Member { peer, store }, config, process.disk.clone(), seed);
        self.effects(node);
        self.enter(node);
        self.sweep_later(node);
    }

    /// Cuts the world in two.
    pub(crate) fn part(&mut self, other_side: &[usize]) {
        self.log(|| format!("cut off {other_side:?}"));
        for node in 0..self.nodes.len() {
            self.nodes[node].side = u8::from(other_side.contains(&node));
        }
        self.changed();
    }

    pub(crate) fn pause(&mut self, node: usize, duration: u64) {
        self.log(|| format!("pause {node} for {} s", duration / SECOND));
        let life = self.nodes[node].life;
        self.nodes[node].paused = true;
        self.changed();
        self.at(duration, None, move |world| {
            let process = &mut world.nodes[node];
            if process.life == life && process.paused {
                process.paused = false;
                let now = world.time();
                world.log(|| format!("wake {node}"));
                world.nodes[node].control.on_pause(now);
                world.effects(node);
                world.changed();
            }
        });
    }

    pub(crate) fn leave(&mut self, node: usize) {
        self.log(|| format!("leave {node}"));
        self.nodes[node].leaving = true;
        let now = self.time();
        self.nodes[node].control.leave(now);
        self.effects(node);
        self.watch_leaver(node);
    }

    fn watch_leaver(&mut self, node: usize) {
        self.at(100 * MS, Some(node), move |world| {
            let progress = world.nodes[node].control.leave_progress();
            if progress.remaining == 0 || progress.alone {
                world.log(|| format!("left {node} {progress:?}"));
                let process = &mut world.nodes[node];
                process.left = true;
                process.up = false;
                process.in_ring = false;
                process.life += 1;
                if !progress.alone {
                    process.records = Records::default();
                }
                process.holdings = Holdings::default();
                world.changed();
            } else {
                world.watch_leaver(node);
            }
        });
    }

    // The overlay, as each node sees it.

    /// Everybody learns of a change a little later.
    pub(crate) fn changed(&mut self) {
        for node in 0..self.nodes.len() {
            let delay = 50 * MS + self.below(1_500 * MS);
            self.at(delay, Some(node), move |world| world.show_view(node));
        }
    }

    fn visible(&self, node: usize) -> bool {
        let node = &self.nodes[node];
        node.up && node.in_ring && !node.paused
    }

    fn reaches(&self, one: usize, other: usize) -> bool {
        self.nodes[one].side == self.nodes[other].side
    }

    /// Nodes in the ring, by identifier.
    pub(crate) fn ring(&self) -> Vec<usize> {
        let mut ring: Vec<usize> = (0..self.nodes.len()).filter(|node| self.visible(*node)).collect();
        ring.sort_by_key(|node| self.nodes[*node].id);
        ring
    }

    /// The owner of an identifier, then the next ones.
    pub(crate) fn owners(&self, id: Id) -> Vec<usize> {
        self.in_line(self.ring(), id)
    }

    /// The same as far as this node can reach.
    pub(crate) fn owners_seen_by(&self, node: usize, id: Id) -> Vec<usize> {
        let mut ring = self.ring();
        ring.retain(|other| self.reaches(node, *other));
        self.in_line(ring, id)
    }

    fn in_line(&self, ring: Vec<usize>, id: Id) -> Vec<usize> {
        let first = ring.iter().position(|node| self.nodes[*node].id >= id).unwrap_or(0);
        ring.iter().cycle().skip(first).take(ring.len()).copied().collect()
    }

    pub(crate) fn peer(&self, node: usize) -> Peer {
        let node = &self.nodes[node];
        Peer { id: node.id, addr: node.addr.clone(), incarnation: node.incarnation }
    }

    pub(crate) fn member(&self, node: usize) -> Member {
        Member { peer: self.peer(node), store: self.nodes[node].store }
    }

    pub(crate) fn node_of(&self, peer: &Peer) -> usize {
        self.nodes.iter().position(|node| node.id == peer.id).unwrap()
    }

    fn show_view(&mut self, node: usize) {
        let mut known = Vec::new();
        for other in 0..self.nodes.len() {
            let alive = self.visible(other) && self.reaches(node, other);
            if other == node || self.nodes[other].left {
                continue;
            }
            if alive {
                self.nodes[node].met.insert(other);
            }
            if self.nodes[node].met.contains(&other) {
                let stopped = self.nodes[other].stopped.map(Time);
                known.push(Known { peer: self.peer(other), alive, stopped, rtt: None });
            }
        }
        let me = &self.nodes[node];
        let state = match (me.in_ring, me.leaving) {
            (true, true) => State::Leaving,
            (true, false) => State::Ready,
            _ => State::Joining,
        };
        let mut shares = Vec::new();
        if self.visible(node) {
            let holders: Vec<usize> = self.owners_seen_by(node, me.id);
            let before = *holders.last().unwrap();
            let range = Range::new(self.nodes[before].id, me.id);
            let most = self.config.replicas + 2;
            shares.push(Share { range, holders: holders.iter().take(most).map(|holder| self.peer(*holder)).collect() });
        }
        let view = View { me: self.peer(node), state, ring: None, shares, known };
        let (now, wall_ms) = (self.time(), self.wall_ms());
        self.nodes[node].control.on_view(now, &view, wall_ms);
        self.effects(node);
    }

    // Effects and calls.

    pub(crate) fn effects(&mut self, node: usize) {
        let crash = self.weather.crash_within > 0 && self.chance(self.weather.crash_within);
        while let Some(effect) = self.nodes[node].control.poll_effect() {
            if crash && self.chance(300) {
                self.crash(node);
                self.at(SECOND + 500 * MS, None, move |world| {
                    if !world.nodes[node].up && !world.nodes[node].left {
                        world.restart(node, true);
                    }
                });
                return;
            }
            self.effect(node, effect);
        }
        self.schedule_wake(node);
    }

    fn schedule_wake(&mut self, node: usize) {
        let Some(wake) = self.nodes[node].control.next_wake() else { return };
        let wake = wake.0.max(self.now + 1);
        if self.nodes[node].wake > self.now && self.nodes[node].wake <= wake {
            return;
        }
        self.nodes[node].wake = wake;
        self.at(wake - self.now, Some(node), move |world| {
            let (now, wall_ms) = (world.time(), world.wall_ms());
            if world.nodes[node].control.next_wake().is_some_and(|wake| wake <= now) {
                world.nodes[node].wake = 0;
                world.nodes[node].control.tick(now, wall_ms);
                world.effects(node);
            } else {
                world.schedule_wake(node);
            }
        });
    }

    fn effect(&mut self, node: usize, effect: Effect) {
        match effect {
            Effect::Call { call, to, request, timeout } => {
                let from = self.member(node);
                self.calls += 1;
                self.log(|| format!("  {node} -> {}: {request:?}", self.node_of(&to)));
                let done = move |world: &mut World, result: Result<Response, Failure>| {
                    let now = world.time();
                    world.log(|| format!("  {node} <- {result:?}"));
                    world.nodes[node].control.on_reply(now, call, result);
                    world.effects(node);
                };
                self.ask(node, &to, timeout, done, move |world, there| {
                    Some(world.serve(there, &from, request.clone()))
                });
            }
            Effect::Persist(pieces) => {
                self.check_history(&pieces);
                self.nodes[node].disk = pieces;
            }
            Effect::Publish(holdings) => self.nodes[node].holdings = holdings,
            Effect::Start(id, job) => {
                self.log(|| format!("  {node} starts {id:?} {job:?}"));
                self.nodes[node].jobs.insert(id);
                self.start_job(node, id, job);
            }
            Effect::Cancel(id) => {
                self.log(|| format!("  {node} cancels {id:?}"));
                self.nodes[node].jobs.remove(&id);
            }
            Effect::Locate(target) => {
                self.log(|| format!("  {node} locates {target}"));
                let delay = 5 * MS + self.below(200 * MS);
                self.at(delay, Some(node), move |world| {
                    let owner = world.owners_seen_by(node, target).first().map(|owner| world.peer(*owner));
                    let owner = owner.filter(|_| !world.chance(world.weather.lost));
                    let now = world.time();
                    world.nodes[node].control.on_located(now, target, owner);
                    world.effects(node);
                });
            }
            Effect::Event(event) => {
                self.log(|| format!("  {node} !! {event:?}"));
                match event {
                    Event::LostMajority(..) => self.forced += 1,
                    Event::BegunEmpty(..) => self.begun_empty += 1,
                    _ => {}
                }
            }
        }
    }

    pub(crate) fn serve(&mut self, node: usize, from: &Member, request: Request) -> Response {
        let now = self.time();
        let response = self.nodes[node].control.serve(now, from, request);
        self.effects(node);
        response
    }

    /// Asks another process; `done` is called exactly once unless the asker's life ends first.
    pub(crate) fn ask<R: 'static>(
        &mut self,
        from: usize,
        to: &Peer,
        timeout: Duration,
        done: impl FnOnce(&mut World, Result<R, Failure>) + 'static,
        serve: impl Fn(&mut World, usize) -> Option<R> + 'static,
    ) {
        let there = self.node_of(to);
        let incarnation = to.incarnation;
        let ended = Rc::new(Cell::new(false));
        let done = Rc::new(RefCell::new(Some(done)));
        let serve = Rc::new(serve);
        let finish = move |world: &mut World, result| {
            if !ended.replace(true)
                && let Some(done) = done.borrow_mut().take()
            {
                done(world, result);
            }
        };
        let late = finish.clone();
        let timeout = u64::try_from(timeout.as_micros()).unwrap();
        self.at(timeout, Some(from), move |world| late(world, Err(Failure::TimedOut)));
        let copies = 1 + u64::from(self.chance(self.weather.repeated));
        for _ in 0..copies {
            if self.chance(self.weather.lost) {
                continue;
            }
            let way = 200 + self.below(self.weather.latency_max);
            let (serve, finish) = (Rc::clone(&serve), finish.clone());
            self.at(way, None, move |world| {
                if !world.reaches(from, there) {
                    return;
                }
                if !world.nodes[there].up {
                    if world.chance(700) {
                        world.at(way, Some(from), move |world| finish(world, Err(Failure::Unreachable)));
                    }
                    return;
                }
                // A paused process takes it up when it wakes.
                world.at(0, Some(there), move |world| {
                    let result = if world.nodes[there].incarnation == incarnation {
                        let served = serve(world, there);
                        if !world.nodes[there].up {
                            return;
                        }
                        served.ok_or(Failure::Refused(Refusal::Busy))
                    } else {
                        Err(Failure::Refused(Refusal::Gone))
                    };
                    if !world.chance(world.weather.lost) && world.reaches(from, there) {
                        let back = 200 + world.below(world.weather.latency_max);
                        world.at(back, Some(from), move |world| finish(world, result));
                    }
                });
            });
        }
    }

    // What must never happen.

    fn check_history(&mut self, pieces: &[Piece]) {
        let ids: Vec<Id> = (0..1u64 << self.space.bits()).map(|place| self.space.id(place).unwrap()).collect();
        for piece in pieces {
            assert!(!piece.set.members.is_empty());
            let members: Vec<(Id, u64)> =
                piece.set.members.iter().map(|member| (member.peer.id, member.store)).collect();
            if piece.set.forced {
                self.excused |= self.config.replicas > 0;
                continue;
            }
            for id in ids.iter().filter(|id| piece.range.contains(**id)) {
                let before = self.history.entry((*id, piece.set.number)).or_insert_with(|| members.clone());
                assert_eq!(
                    *before, members,
                    "seed {}: two sets of number {} for {id}",
                    self.seed, piece.set.number
                );
            }
        }
    }
}
