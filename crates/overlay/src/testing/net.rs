mod traffic;

use std::collections::BTreeMap;
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg32;
use ring::Id;

use super::Subject;
use super::host::{Event, Host, Status};
use crate::{
    Addr, Announcement, Departure, Event as News, LocateError, Located, Node, Overlay, Peer, RingId, Start, State,
    Time, View,
};

/// The wall clock when the virtual network begins, in milliseconds.
const WALL_MS: u64 = 1_790_000_000_000;
/// More events than this at one moment, and somebody goes round in circles.
const AT_ONCE_MAX: u32 = 100_000;

/// Many nodes of one overlay, a network between them, and one clock that jumps from event to event.
///
/// Same seed, same run. Hosts are numbered from 0 in the order in which they are added.
#[derive(Clone, Debug)]
pub struct Net<P: Overlay> {
    subject: Subject<P>,
    seed: u64,
    rng: Pcg32,
    now: Time,
    hosts: Vec<Host<P>>,
    by_addr: BTreeMap<Addr, usize>,
    queue: BTreeMap<(Time, u64), Due<P>>,
    events: u64,
    /// Calls made since the beginning.
    calls: u64,
    /// Events handled since time moved last.
    at_once: u32,
    latency: (Duration, Duration),
    loss_permille: u32,
}

/// An event and the host that it happens at.
#[derive(Clone, Debug)]
struct Due<P: Overlay> {
    number: usize,
    event: Box<Event<P>>,
}

impl<P: Overlay> Net<P> {
    /// An empty network with one-way delays of 0.2 to 2 ms and no loss.
    pub fn new(subject: Subject<P>, seed: u64) -> Self {
        Self {
            subject,
            seed,
            rng: Pcg32::seed_from_u64(seed),
            now: Time(1_000_000),
            hosts: Vec::new(),
            by_addr: BTreeMap::new(),
            queue: BTreeMap::new(),
            events: 0,
            calls: 0,
            at_once: 0,
            latency: (Duration::from_micros(200), Duration::from_millis(2)),
            loss_permille: 0,
        }
    }

    /// Sets the bounds of a message's one-way delay.
    #[must_use]
    pub fn with_latency(mut self, least: Duration, most: Duration) -> Self {
        self.latency = (least, most);
        self
    }

    /// Loses so many messages of a thousand, requests and answers alike.
    #[must_use]
    pub fn with_loss(mut self, permille: u32) -> Self {
        self.loss_permille = permille;
        self
    }

    /// Changes the loss from now on.
    pub fn set_loss(&mut self, permille: u32) {
        self.loss_permille = permille;
    }

    /// The seed that decides this run.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Virtual time.
    pub fn now(&self) -> Time {
        self.now
    }

    /// Random numbers for the scenario itself.
    pub fn rng(&mut self) -> &mut Pcg32 {
        &mut self.rng
    }

    /// Adds a host at SHA-1 of its address and starts it now. Without `seeds` it starts a ring of its own.
    pub fn add(&mut self, seeds: &[usize]) -> usize {
        let id = self.subject.space.hash(address(self.hosts.len()).as_bytes());
        self.add_at(id, seeds)
    }

    /// Adds a host at `id` and starts it now.
    pub fn add_at(&mut self, id: Id, seeds: &[usize]) -> usize {
        let number = self.hosts.len();
        let addr = self.some_addr(number);
        let me = Peer { id, addr: addr.clone(), incarnation: self.wall_ms() };
        let node = self.new_node(me);
        self.by_addr.insert(addr, number);
        self.hosts.push(Host {
            node,
            status: Status::Up,
            life: 0,
            group: 0,
            held: Vec::new(),
            open: Default::default(),
            wake: None,
            found: BTreeMap::new(),
            ring: None,
            news: Vec::new(),
        });
        self.begin(number, seeds, None);
        number
    }

    /// Where host `number` is, or will be once added.
    pub fn some_addr(&self, number: usize) -> Addr {
        match Addr::new(&address(number)) {
            Some(addr) => addr,
            None => self.fail("an address is never empty"),
        }
    }

    fn new_node(&mut self, me: Peer) -> Node<P> {
        let seed = self.rng.random();
        let Subject { protocol, node, .. } = self.subject.clone();
        Node::new(me, self.subject.settings(), node, protocol, seed)
    }

    fn begin(&mut self, number: usize, seeds: &[usize], disk_ring: Option<RingId>) {
        let seeds = seeds.iter().map(|&seed| self.some_addr(seed)).collect();
        let start = Start { seeds, remembered: Vec::new(), disk_ring, wall_ms: self.wall_ms() };
        let now = self.now;
        self.hosts[number].node.start(now, start);
        self.carry_out(number);
    }

    fn wall_ms(&self) -> u64 {
        WALL_MS + self.now.0 / 1_000
    }

    /// Kills a host: `kill -9`. Connections to it are refused from now on.
    pub fn crash(&mut self, number: usize) {
        let host = &mut self.hosts[number];
        host.status = Status::Down;
        host.life += 1;
        host.held.clear();
        host.open.clear();
    }

    /// Starts a host that is down in a new incarnation of the same identifier, with nothing kept on a disk.
    pub fn restart(&mut self, number: usize, seeds: &[usize]) {
        self.start_again(number, seeds, None);
    }

    /// The same, with the ring that it was in last remembered on its disk.
    pub fn restart_with_disk(&mut self, number: usize, seeds: &[usize]) {
        self.start_again(number, seeds, self.hosts[number].ring);
    }

    fn start_again(&mut self, number: usize, seeds: &[usize], disk_ring: Option<RingId>) {
        let mut me = self.hosts[number].peer();
        me.incarnation = self.wall_ms().max(me.incarnation + 1);
        let node = self.new_node(me);
        let host = &mut self.hosts[number];
        (host.node, host.status, host.wake) = (node, Status::Up, None);
        host.life += 1;
        self.begin(number, seeds, disk_ring);
    }

    /// Stops a host as SIGSTOP does: what is sent to it waits, and it does not notice time.
    pub fn pause(&mut self, number: usize) {
        self.hosts[number].status = Status::Paused;
    }

    /// Lets a paused host go on; everything that waited reaches it at once.
    pub fn resume(&mut self, number: usize) {
        let host = &mut self.hosts[number];
        host.status = Status::Up;
        for event in std::mem::take(&mut host.held) {
            let after = Duration::from_micros(self.rng.random_range(0..500));
            self.schedule(after, number, event);
        }
    }

    /// Cuts the network: hosts of different `sides` don't hear each other. Hosts on no side are a side.
    pub fn partition(&mut self, sides: &[&[usize]]) {
        self.heal();
        for (side, members) in sides.iter().enumerate() {
            for &number in *members {
                self.hosts[number].group = side as u32 + 1;
            }
        }
    }

    /// Everybody hears everybody again.
    pub fn heal(&mut self) {
        for host in &mut self.hosts {
            host.group = 0;
        }
    }

    /// A graceful leave, for good.
    pub fn leave(&mut self, number: usize) {
        let now = self.now;
        self.hosts[number].node.begin_leaving(now);
        self.hosts[number].node.depart(now, Departure::Leave);
        self.carry_out(number);
    }

    /// An announced stop; [`Net::restart_with_disk`] brings the host back.
    pub fn stop(&mut self, number: usize) {
        let now = self.now;
        self.hosts[number].node.depart(now, Departure::Stop);
        self.carry_out(number);
    }

    /// `dht join`: lets one host look at the ring of another.
    pub fn meet(&mut self, number: usize, other: usize) {
        let (now, addr) = (self.now, self.some_addr(other));
        self.hosts[number].node.meet(now, addr);
        self.carry_out(number);
    }

    /// What the layer of records at a host tells its overlay.
    pub fn announce(&mut self, number: usize, news: Announcement) {
        let now = self.now;
        self.hosts[number].node.announce(now, news);
        self.carry_out(number);
    }

    /// How many hosts there are, whatever their state.
    pub fn len(&self) -> usize {
        self.hosts.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    /// Hosts that are running, ready or not.
    pub fn running(&self) -> Vec<usize> {
        (0..self.hosts.len()).filter(|&number| self.hosts[number].is_up()).collect()
    }

    /// The host of an identifier, if one is running there.
    pub fn at(&self, id: Id) -> Option<usize> {
        self.running().into_iter().find(|&number| self.hosts[number].peer().id == id)
    }

    /// A host's view.
    pub fn view(&self, number: usize) -> View {
        self.hosts[number].node.view()
    }

    /// A host's routing state.
    pub fn table(&self, number: usize) -> P::Table {
        self.hosts[number].node.table()
    }

    /// What a host has told since it was added, oldest first.
    pub fn news(&self, number: usize) -> &[News] {
        &self.hosts[number].news
    }

    /// Whether a host is running and ready.
    pub fn is_ready(&self, number: usize) -> bool {
        self.hosts[number].is_up() && self.hosts[number].node.view().state == State::Ready
    }

    /// Calls that all hosts together have made so far.
    pub fn calls(&self) -> u64 {
        self.calls
    }

    /// The overlay under test.
    pub fn subject(&self) -> &Subject<P> {
        &self.subject
    }

    /// Looks `target` up from a host, running the network until the lookup ends.
    pub fn lookup(&mut self, number: usize, target: Id) -> Result<Located, LocateError> {
        let now = self.now;
        let query = self.hosts[number].node.locate(now, target);
        self.carry_out(number);
        while !self.hosts[number].found.contains_key(&query) {
            if !self.advance(None) || self.now.since(now) > Duration::from_secs(60) {
                self.fail(format!("the lookup of {target} at host {number} never ended"));
            }
        }
        match self.hosts[number].found.remove(&query) {
            Some(result) => result,
            None => self.fail("a lookup that ended has a result"),
        }
    }

    /// Runs for so long.
    pub fn run_for(&mut self, duration: Duration) {
        let until = self.now.plus(duration);
        while self.advance(Some(until)) {}
        self.now = until;
    }

    /// Runs until `holds` does, looking every 10 ms of virtual time; false if `limit` passes before.
    pub fn run_until(&mut self, limit: Duration, mut holds: impl FnMut(&Self) -> bool) -> bool {
        let end = self.now.plus(limit);
        while !holds(self) {
            if self.now >= end {
                return false;
            }
            self.run_for(Duration::from_millis(10));
        }
        true
    }

    /// Ends the test, with the seed and the time.
    pub fn fail(&self, why: impl std::fmt::Display) -> ! {
        panic!("{why}\n  (seed {}, {:?} after the start)", self.seed, self.now.since(Time(1_000_000)))
    }
}

/// What host `number` listens on.
fn address(number: usize) -> String {
    format!("10.0.{}.{}:7160", number / 250, number % 250 + 1)
}
