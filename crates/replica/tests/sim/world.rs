//! A small world for `Control`: virtual time, a network that loses, delays, repeats and reorders, processes
//! that crash, pause and come back, an overlay that everybody sees with a delay, and a model of the data
//! path (a version per key, and whether it is a deletion) that decides by the same functions as the daemon's.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use overlay::{Addr, Time};
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg32;
use replica::{Config, Control, Doubts, Holdings, JobId, Piece};
use ring::{Id, Space};
use store::{Clock, Version};

use crate::checks::Replaced;
use crate::overlay_view::Layout;
use crate::records::{KEYS, Record, Records};
use crate::scenarios::PLACES;

/// Wall clock at the start of the world.
pub(crate) const WALL_START_MS: u64 = 1_800_000_000_000;
/// How long deletions are remembered at least, and how far clocks may be off, where a story says nothing else.
const GRACE: Duration = Duration::from_secs(8);
const DRIFT: Duration = Duration::from_millis(250);
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
    /// Of a thousand batches of effects so many end in a crash half-way, and of a thousand requests a tenth of that each
    /// ends in one when it has been sent, and when it has been carried out and not answered.
    pub(crate) crash_within: u32,
    /// Of a thousand times that a node has voted for a next set, so many are followed by a partition, a pause or a crash
    /// before that set has begun.
    pub(crate) upset: u32,
    /// Of a thousand operations, so many go to a node that served the client once, right or wrong.
    pub(crate) remembered: u32,
}

pub(crate) const CALM: Weather =
    Weather { lost: 0, repeated: 0, latency_max: 5 * MS, crash_within: 0, upset: 0, remembered: 300 };
pub(crate) const ROUGH: Weather =
    Weather { lost: 50, repeated: 50, latency_max: 120 * MS, crash_within: 0, upset: 0, remembered: 300 };

type Action = Box<dyn FnOnce(&mut World)>;
/// What to do with what something came to.
pub(crate) type Done<T> = Box<dyn FnOnce(&mut World, T)>;

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
    pub(crate) holdings: Rc<Holdings>,
    pub(crate) disk: Vec<Piece>,
    pub(crate) records: Records,
    /// What newcomers may be without.
    pub(crate) doubts: Doubts<Id, Version>,
    /// How far its wall clock is off.
    pub(crate) skew_ms: i64,
    /// What gives versions to what it orders.
    pub(crate) clock: Clock,
    pub(crate) jobs: BTreeSet<JobId>,
    /// Nodes that it has seen alive in this life.
    pub(crate) met: BTreeSet<usize>,
    pub(crate) wake: u64,
}

pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) now: u64,
    pub(crate) space: Space,
    /// All identifiers, in order.
    pub(crate) ids: Vec<Id>,
    pub(crate) config: Config,
    /// Where nodes start, one after another, and how many keys clients use.
    pub(crate) places: &'static [u64],
    pub(crate) keys: u64,
    /// How long deletions are remembered at least.
    pub(crate) grace: Duration,
    /// How far clocks may be off either way.
    pub(crate) drift: Duration,
    pub(crate) layout: Layout,
    pub(crate) weather: Weather,
    pub(crate) nodes: Vec<Node>,
    pub(crate) rng: Pcg32,
    /// Which members a set of that number had, by identifier: must be one answer.
    pub(crate) history: BTreeMap<(Id, u64), Vec<(Id, u64)>>,
    /// What was acknowledged or read, by key: nothing older may be read afterwards.
    pub(crate) floor: BTreeMap<u64, Record>,
    /// Deletions and values for a while that were tried, by key, and when.
    pub(crate) deletions: BTreeMap<u64, Vec<(Record, u64)>>,
    /// What the primary had of a key as it ordered a write.
    pub(crate) replaced: BTreeMap<(u64, Version), Replaced>,
    /// What clients were told of, by key.
    pub(crate) told: BTreeMap<u64, BTreeMap<Version, Record>>,
    /// The latest set that anybody knew when it was first told.
    pub(crate) told_under: BTreeMap<(u64, Version), u64>,
    /// Writes whose own client was told that they took effect.
    pub(crate) acknowledged_writes: BTreeSet<(u64, Version)>,
    pub(crate) writes_done: u64,
    pub(crate) deletes_done: u64,
    /// Copies of deletions that were forgotten, and records that were set aside.
    pub(crate) forgotten: u64,
    pub(crate) set_aside: u64,
    pub(crate) reads_done: u64,
    pub(crate) forced: u64,
    pub(crate) begun_empty: u64,
    /// Survivors may have gone on without some records.
    pub(crate) excused: bool,
    pub(crate) trace: bool,
    /// The key whose copies are followed, and what was last seen of them.
    watched: Option<(u64, Vec<Option<Record>>)>,
    /// Calls of the machines so far.
    pub(crate) calls: u64,
    events: BTreeMap<(u64, u64), Scheduled>,
    sequence: u64,
    pub(crate) stores: u64,
}

impl World {
    pub(crate) fn new(seed: u64, bits: u32, config: Config, weather: Weather) -> Self {
        let space = Space::new(bits).unwrap();
        Self {
            seed,
            now: SECOND,
            space,
            ids: (0..1u64 << bits).map(|place| space.id(place).unwrap()).collect(),
            config,
            places: &PLACES,
            keys: KEYS,
            grace: GRACE,
            drift: DRIFT,
            layout: Layout::of(seed),
            weather,
            nodes: Vec::new(),
            rng: Pcg32::seed_from_u64(seed),
            history: BTreeMap::new(),
            floor: BTreeMap::new(),
            deletions: BTreeMap::new(),
            replaced: BTreeMap::new(),
            told: BTreeMap::new(),
            told_under: BTreeMap::new(),
            acknowledged_writes: BTreeSet::new(),
            writes_done: 0,
            deletes_done: 0,
            forgotten: 0,
            set_aside: 0,
            reads_done: 0,
            forced: 0,
            begun_empty: 0,
            excused: false,
            trace: std::env::var("TRACE").is_ok(),
            watched: std::env::var("KEY").ok().and_then(|key| Some((key.parse().ok()?, Vec::new()))),
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

    /// What a clock that is right says.
    pub(crate) fn true_ms(&self) -> u64 {
        WALL_START_MS + self.now / 1_000
    }

    pub(crate) fn drift_ms(&self) -> u64 {
        u64::try_from(self.drift.as_millis()).unwrap()
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
            self.watch();
        }
        self.now = end;
    }

    fn watch(&mut self) {
        let Some((key, seen)) = self.watched.take() else { return };
        let held: Vec<Option<Record>> = self.nodes.iter().map(|node| node.records.get(key)).collect();
        for (node, held) in held.iter().enumerate().filter(|(node, held)| seen.get(*node) != Some(*held)) {
            self.log(|| format!("  {node} has {held:?} of key {key}"));
        }
        self.watched = Some((key, held));
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
}
