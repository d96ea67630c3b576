//! A few nodes on a network in virtual time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ring::{Id, Space};

use crate::toy::{Toy, ToyConfig};
use crate::{
    Addr, CallId, Effect, Envelope, Event, Failure, LocateError, Located, Node, NodeConfig, Peer, QueryId, Request,
    Response, RingId, Settings, Start, State, Time,
};

/// Wall clock at time zero.
pub(super) const WALL_MS: u64 = 1_000_000;

pub(super) fn id(number: u64) -> Id {
    Space::new(16).unwrap().id(number).unwrap()
}

pub(super) fn addr(number: u64) -> Addr {
    Addr::new(&format!("10.0.0.{number}:7160")).unwrap()
}

pub(super) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(super) fn settings(replicas: &str) -> Settings {
    let pairs = [("cluster", "default"), ("replicas", replicas)];
    Settings(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec())
}

/// How the process at an address is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Process {
    Runs,
    /// SIGSTOP: connections open, nothing answers, its own clock stands still.
    Stopped,
    /// kill -9: connections are refused.
    Dead,
    /// The cable is out: silence.
    Unplugged,
}

enum Packet {
    Request { from: Addr, call: CallId, to: Addr, envelope: Envelope, request: Request<Toy> },
    Reply { to: Addr, call: CallId, result: Result<Response<Toy>, Failure> },
    Deadline { to: Addr, call: CallId },
}

/// The network, its nodes by address, and all that they reported.
pub(super) struct World {
    pub(super) now: Time,
    pub(super) nodes: BTreeMap<Addr, Node<Toy>>,
    pub(super) processes: BTreeMap<Addr, Process>,
    /// Pairs of addresses that can't reach each other.
    cut: BTreeSet<(Addr, Addr)>,
    packets: BTreeMap<(Time, u64), Packet>,
    sent: BTreeMap<(Addr, CallId), Time>,
    next: u64,
    pub(super) events: Vec<(Time, Addr, Event)>,
    pub(super) located: BTreeMap<(Addr, QueryId), (Time, Result<Located, LocateError>)>,
    pub(super) asked: Vec<(Time, Addr, Addr, Request<Toy>)>,
    pub(super) replicas: String,
    pub(super) toy: ToyConfig,
    pub(super) config: NodeConfig,
    /// Requests that never arrive.
    pub(super) lost: fn(&Request<Toy>) -> bool,
    /// One way across the network.
    pub(super) latency: Duration,
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            now: Time(1_000_000),
            nodes: BTreeMap::new(),
            processes: BTreeMap::new(),
            cut: BTreeSet::new(),
            packets: BTreeMap::new(),
            sent: BTreeMap::new(),
            next: 0,
            events: Vec::new(),
            located: BTreeMap::new(),
            asked: Vec::new(),
            replicas: "3".to_owned(),
            toy: ToyConfig::default(),
            config: NodeConfig::default(),
            lost: |_| false,
            latency: Duration::from_micros(500),
        }
    }

    /// Starts node `number`, identifier 1000·number, with these seeds and the disk of a ring.
    pub(super) fn start(&mut self, number: u64, seeds: &[u64], disk_ring: Option<RingId>) {
        self.start_as(Peer { id: id(1_000 * number), addr: addr(number), incarnation: self.now.0 }, seeds, disk_ring);
    }

    pub(super) fn start_as(&mut self, me: Peer, seeds: &[u64], disk_ring: Option<RingId>) {
        let at = me.addr.clone();
        let seed = me.incarnation ^ u64::from(me.id.to_array()[18]) << 32;
        let mut node = Node::new(me, settings(&self.replicas), self.config.clone(), self.toy.clone(), seed);
        let seeds = seeds.iter().map(|&seed| addr(seed)).collect();
        let wall_ms = WALL_MS + self.now.0 / 1_000;
        node.start(self.now, Start { seeds, remembered: Vec::new(), disk_ring, wall_ms });
        self.nodes.insert(at.clone(), node);
        self.processes.insert(at.clone(), Process::Runs);
        self.collect(&at);
    }

    pub(super) fn set(&mut self, number: u64, process: Process) {
        self.processes.insert(addr(number), process);
    }

    pub(super) fn cut(&mut self, left: &[u64], right: &[u64]) {
        for (&a, &b) in left.iter().flat_map(|a| right.iter().map(move |b| (a, b))) {
            self.cut.insert((addr(a), addr(b)));
            self.cut.insert((addr(b), addr(a)));
        }
    }

    pub(super) fn heal(&mut self) {
        self.cut.clear();
    }

    pub(super) fn node(&self, number: u64) -> &Node<Toy> {
        &self.nodes[&addr(number)]
    }

    pub(super) fn state(&self, number: u64) -> State {
        self.node(number).view().state
    }

    pub(super) fn ring(&self, number: u64) -> Option<RingId> {
        self.node(number).view().ring
    }

    /// Lets `act` work on a node and carries out what it wants done.
    pub(super) fn with<R>(&mut self, number: u64, act: impl FnOnce(&mut Node<Toy>, Time) -> R) -> R {
        let at = addr(number);
        let result = act(self.nodes.get_mut(&at).unwrap(), self.now);
        self.collect(&at);
        result
    }

    pub(super) fn locate(&mut self, from: u64, target: u64) -> (Duration, Result<Located, LocateError>) {
        let began = self.now;
        let query = self.with(from, |node, now| node.locate(now, id(target)));
        let key = (addr(from), query);
        let give_up = self.now.plus(Duration::from_secs(10));
        while !self.located.contains_key(&key) {
            assert!(self.now < give_up, "no end to the lookup");
            self.run(ms(1));
        }
        let (at, result) = self.located[&key].clone();
        (at.since(began), result)
    }

    /// Until all of these are ready in one ring and know each other, and no longer than `limit`.
    pub(super) fn until_one_ring(&mut self, numbers: &[u64], limit: Duration) -> Duration {
        let began = self.now;
        while !self.is_one_ring(numbers) {
            assert!(self.now.since(began) < limit, "no single ring after {limit:?}: {:#?}", self.summary());
            self.run(ms(10));
        }
        self.now.since(began)
    }

    fn is_one_ring(&self, numbers: &[u64]) -> bool {
        let first = self.ring(numbers[0]);
        numbers.iter().all(|&number| {
            let known = self.node(number).table();
            let named = |other: &u64| known.contains(&self.node(*other).view().me);
            self.state(number) == State::Ready && self.ring(number) == first && numbers.iter().all(named)
        })
    }

    pub(super) fn summary(&self) -> Vec<String> {
        let row = |(addr, node): (&Addr, &Node<Toy>)| {
            let view = node.view();
            let table: Vec<Id> = node.table().into_iter().map(|peer| peer.id).collect();
            format!("{addr} {:?} {:?} {:?} {table:?}", self.processes[addr], view.state, view.ring)
        };
        self.nodes.iter().map(row).collect()
    }

    pub(super) fn events_of(&self, number: u64) -> Vec<Event> {
        let own = self.events.iter().filter(|(_, at, _)| *at == addr(number));
        own.map(|(_, _, event)| event.clone()).collect()
    }

    pub(super) fn time_of(&self, number: u64, is: impl Fn(&Event) -> bool) -> Option<Time> {
        let found = self.events.iter().find(|(_, at, event)| *at == addr(number) && is(event));
        found.map(|(at, _, _)| *at)
    }

    pub(super) fn run(&mut self, span: Duration) {
        let end = self.now.plus(span);
        let mut at_once = 0;
        loop {
            let packet = self.packets.keys().next().map(|(at, _)| *at);
            let running = self.nodes.iter().filter(|(at, _)| self.ticks(at));
            let wake = running.filter_map(|(at, node)| Some((node.next_wake()?, at.clone()))).min();
            let next = [packet, wake.as_ref().map(|(at, _)| *at)].into_iter().flatten().min();
            let Some(next) = next.filter(|&next| next <= end) else {
                break;
            };
            self.now = self.now.max(next);
            match wake {
                Some((at, node)) if packet.is_none_or(|packet| at < packet) => {
                    let ticked = self.nodes.get_mut(&node).unwrap();
                    ticked.tick(self.now);
                    at_once = if ticked.next_wake() <= Some(self.now) { at_once + 1 } else { 0 };
                    assert!(at_once < 3, "a node that never sleeps");
                    self.collect(&node);
                }
                _ => {
                    let (_, packet) = self.packets.pop_first().unwrap();
                    self.deliver(packet);
                }
            }
        }
        self.now = end;
    }

    fn ticks(&self, at: &Addr) -> bool {
        matches!(self.processes[at], Process::Runs | Process::Unplugged)
    }

    fn post(&mut self, after: Duration, packet: Packet) {
        self.next += 1;
        self.packets.insert((self.now.plus(after), self.next), packet);
    }

    fn reaches(&self, from: &Addr, to: &Addr) -> bool {
        self.processes.get(from) == Some(&Process::Runs) && !self.cut.contains(&(from.clone(), to.clone()))
    }

    fn deliver(&mut self, packet: Packet) {
        match packet {
            Packet::Request { from, call, to, envelope, request } => {
                if !self.reaches(&from, &to) || (self.lost)(&request) {
                    return;
                }
                self.asked.push((self.now, from.clone(), to.clone(), request.clone()));
                let result = match self.processes.get(&to) {
                    Some(Process::Runs) => {
                        let answer = self.nodes.get_mut(&to).unwrap().serve(self.now, &envelope, request);
                        self.collect(&to);
                        answer.map_err(Failure::Refused)
                    }
                    Some(Process::Stopped | Process::Unplugged) => return,
                    Some(Process::Dead) | None => Err(Failure::Unreachable),
                };
                self.post(self.latency, Packet::Reply { to: from, call, result });
            }
            Packet::Reply { to, call, result } => self.end(&to, call, result),
            Packet::Deadline { to, call } => self.end(&to, call, Err(Failure::TimedOut)),
        }
    }

    fn end(&mut self, to: &Addr, call: CallId, result: Result<Response<Toy>, Failure>) {
        match self.processes[to] {
            Process::Dead => return,
            // What reaches a stopped process waits for it.
            Process::Stopped => {
                return self.post(ms(10), Packet::Reply { to: to.clone(), call, result });
            }
            Process::Runs | Process::Unplugged => {}
        }
        let Some(sent) = self.sent.remove(&(to.clone(), call)) else {
            return;
        };
        let rtt = result.is_ok().then(|| self.now.since(sent));
        if let Some(node) = self.nodes.get_mut(to) {
            node.on_reply(self.now, call, result, rtt);
            self.collect(to);
        }
    }

    fn collect(&mut self, at: &Addr) {
        while let Some(effect) = self.nodes.get_mut(at).unwrap().poll_effect() {
            match effect {
                Effect::Call { call, addr, envelope, request, timeout } => {
                    self.sent.insert((at.clone(), call), self.now);
                    self.post(timeout, Packet::Deadline { to: at.clone(), call });
                    self.post(self.latency, Packet::Request { from: at.clone(), call, to: addr, envelope, request });
                }
                Effect::Located { query, result } => {
                    self.located.insert((at.clone(), query), (self.now, result));
                }
                Effect::Event(event) => self.events.push((self.now, at.clone(), event)),
            }
        }
    }
}
