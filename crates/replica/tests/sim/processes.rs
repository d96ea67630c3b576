//! Processes: they start, crash, come back, pause, leave.

use std::collections::BTreeSet;

use overlay::{Addr, Peer, RingId};
use replica::{Control, Holdings, Member};

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
        let seed = self.below(u64::MAX);
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
}
