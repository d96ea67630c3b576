//! Processes: they start, crash, come back, pause, leave.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use overlay::{Addr, Peer, RingId};
use replica::{Control, Doubts, Member};
use store::Clock;

use crate::clients::Change;
use crate::records::Records;
use crate::world::{MS, Node, SECOND, World};

impl World {
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
        let skew_ms = self.below(2 * self.drift_ms() + 1) as i64 - self.drift_ms() as i64;
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
            holdings: Rc::default(),
            disk: Vec::new(),
            records: Records::default(),
            doubts: Doubts::default(),
            skew_ms,
            clock: Clock::new(store, self.drift_ms()),
            jobs: BTreeSet::new(),
            met: BTreeSet::new(),
            wake: 0,
        });
        self.log(|| format!("start {node} at {id}"));
        self.nodes[node].records = Records::new(self.clock(node));
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
        self.forget_later(node);
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
        process.holdings = Rc::default();
        process.jobs.clear();
        self.changed();
    }

    /// Comes back, with its disk or with nothing.
    pub(crate) fn restart(&mut self, node: usize, disk: bool) {
        self.log(|| format!("restart {node} disk={disk}"));
        let store = if disk { self.nodes[node].store } else { self.new_store() };
        let config = self.config.clone();
        let (seed, clock) = (self.below(u64::MAX), Clock::new(store, self.drift_ms()));
        let process = &mut self.nodes[node];
        process.incarnation += 1;
        process.life += 1;
        process.up = true;
        process.stopped = None;
        process.leaving = false;
        process.store = store;
        process.met.clear();
        process.clock = clock;
        process.doubts = Doubts::default();
        process.wake = 0;
        let now = self.clock(node);
        let process = &mut self.nodes[node];
        if disk {
            process.records.restarted(now);
        } else {
            process.disk.clear();
            process.records = Records::new(now);
        }
        let peer = Peer { id: process.id, addr: process.addr.clone(), incarnation: process.incarnation };
        process.control = Control::new(Member { peer, store }, config, process.disk.clone(), seed);
        if disk {
            process.control.was_here_before();
        }
        self.effects(node);
        self.enter(node);
        self.sweep_later(node);
        self.forget_later(node);
    }

    /// Crashes, and comes back with its disk.
    pub(crate) fn crash_for(&mut self, node: usize, duration: u64) {
        self.crash(node);
        self.at(duration, None, move |world| {
            if !world.nodes[node].up && !world.nodes[node].left {
                world.restart(node, true);
            }
        });
    }

    /// Cuts the world in two.
    pub(crate) fn part(&mut self, other_side: &[usize]) {
        self.log(|| format!("cut off {other_side:?}"));
        for node in 0..self.nodes.len() {
            self.nodes[node].side = u8::from(other_side.contains(&node));
        }
        self.changed();
    }

    /// What clients sent it just before it carries out when it wakes, before anything else; unless they have given up since.
    /// Nobody waits for as long as a deletion is remembered: what it would have hidden it could not hide any more.
    pub(crate) fn pause(&mut self, node: usize, duration: u64) {
        self.log(|| format!("pause {node} for {} s", duration / SECOND));
        let queued: Vec<u64> = (0..self.below(4)).map(|_| self.below(self.keys)).collect();
        let queued = if Duration::from_micros(duration) < self.grace { queued } else { Vec::new() };
        let life = self.nodes[node].life;
        self.nodes[node].paused = true;
        self.changed();
        self.at(duration, None, move |world| {
            let process = &mut world.nodes[node];
            if process.life == life && process.paused {
                process.paused = false;
                let now = world.time();
                world.log(|| format!("wake {node}"));
                for key in queued {
                    let change = if world.chance(700) { Change::Put(None) } else { Change::Delete };
                    world.order(node, key, change);
                }
                world.nodes[node].control.on_pause(now);
                world.effects(node);
                world.changed();
            }
        });
    }

    /// Something happens to a node in a moment, or to its network.
    pub(crate) fn upset(&mut self, node: usize) {
        let delay = self.below(60 * MS);
        self.at(delay, None, move |world| match world.below(3) {
            0 => {
                let side: Vec<usize> =
                    (0..world.nodes.len()).filter(|other| *other == node || world.chance(400)).collect();
                world.part(&side);
                let duration = 500 * MS + world.below(4 * SECOND);
                world.at(duration, None, |world| world.part(&[]));
            }
            1 if world.nodes[node].up && !world.nodes[node].paused => {
                let duration = world.below(4 * SECOND);
                world.pause(node, duration);
            }
            2 if world.nodes[node].up && !world.nodes[node].leaving => {
                let duration = 500 * MS + world.below(4 * SECOND);
                world.crash_for(node, duration);
            }
            _ => {}
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
            match progress.remaining {
                _ if progress.alone => world.leave_with(node, true),
                // Until every stray has found its owner.
                0 => world.sweep(node, move |world, left| match left {
                    0 => world.leave_with(node, false),
                    _ => world.watch_leaver(node),
                }),
                _ => world.watch_leaver(node),
            }
        });
    }

    fn leave_with(&mut self, node: usize, records: bool) {
        self.log(|| format!("left {node} {records}"));
        let process = &mut self.nodes[node];
        process.left = true;
        process.up = false;
        process.in_ring = false;
        process.life += 1;
        if !records {
            process.records = Records::default();
        }
        process.holdings = Rc::default();
        self.changed();
    }
}
