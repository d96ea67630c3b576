//! A small world for `Control`: virtual time, a network that loses, delays, repeats and reorders, processes
//! that crash, pause and come back, an overlay that everybody sees with a delay, and a model of the data
//! path (one number per key) that follows the same rules as the daemon's.

use std::collections::{BTreeMap, BTreeSet};

use overlay::{Addr, Time};
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg32;
use replica::{Config, Control, Holdings, JobId, Piece};
use ring::{Id, Space};

use crate::overlay_view::Layout;
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
    /// Of a thousand operations, so many go to a node that served the client once, right or wrong.
    pub(crate) remembered: u32,
}

pub(crate) const CALM: Weather =
    Weather { lost: 0, repeated: 0, latency_max: 5 * MS, crash_within: 0, remembered: 300 };
pub(crate) const ROUGH: Weather =
    Weather { lost: 50, repeated: 50, latency_max: 120 * MS, crash_within: 0, remembered: 300 };

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
    /// Nodes that it has seen alive in this life.
    pub(crate) met: BTreeSet<usize>,
    pub(crate) wake: u64,
}

pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) now: u64,
    pub(crate) space: Space,
    pub(crate) config: Config,
    pub(crate) layout: Layout,
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
    pub(crate) stores: u64,
}

impl World {
    pub(crate) fn new(seed: u64, bits: u32, config: Config, weather: Weather) -> Self {
        Self {
            seed,
            now: SECOND,
            space: Space::new(bits).unwrap(),
            config,
            layout: Layout::of(seed),
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
}
