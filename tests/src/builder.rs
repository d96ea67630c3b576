//! What kind of cluster a test wants.

use std::sync::Arc;

use crate::binaries::Binaries;
use crate::cluster::{Cluster, JOIN, SMALL};
use crate::gate::Gate;
use crate::ids;
use crate::truth::Protocol;

/// Settings of a [`Cluster`] that is yet to start.
#[derive(Clone, Debug)]
pub struct Builder {
    pub(crate) name: String,
    pub(crate) nodes: usize,
    pub(crate) replicas: usize,
    pub(crate) bits: u32,
    pub(crate) protocol: Protocol,
    pub(crate) ids: Vec<u64>,
    pub(crate) durable: bool,
    pub(crate) alone: bool,
    pub(crate) args: Vec<String>,
}

impl Builder {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            nodes: 1,
            replicas: 3,
            bits: ids::BITS_MAX,
            protocol: Protocol::Chord,
            ids: Vec::new(),
            durable: false,
            alone: false,
            args: Vec::new(),
        }
    }

    /// How many daemons [`Builder::start`] starts.
    #[must_use]
    pub fn nodes(mut self, nodes: usize) -> Self {
        self.nodes = nodes;
        self
    }

    /// Copies of each record; 3 unless set.
    #[must_use]
    pub fn replicas(mut self, replicas: usize) -> Self {
        self.replicas = replicas;
        self
    }

    /// The overlay; Chord unless set.
    #[must_use]
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }

    /// Identifiers of `bits` bits, the daemons' own given one by one.
    #[must_use]
    pub fn ids(mut self, bits: u32, ids: &[u64]) -> Self {
        self.bits = bits;
        self.ids = ids.to_vec();
        self.nodes = ids.len();
        self
    }

    /// Each daemon with a data directory, which it finds again when it is restarted.
    #[must_use]
    pub fn durable(mut self) -> Self {
        self.durable = true;
        self
    }

    /// No other cluster beside this one, small as it may be: its test measures time.
    #[must_use]
    pub fn alone(mut self) -> Self {
        self.alone = true;
        self
    }

    /// A further argument for every daemon.
    #[must_use]
    pub fn arg(mut self, flag: &str, value: &str) -> Self {
        self.args.extend([flag.to_owned(), value.to_owned()]);
        self
    }

    /// The cluster with nothing started: daemons are declared one by one.
    #[must_use]
    pub fn empty(self) -> Cluster {
        let target_dir = &Binaries::get().target_dir;
        let gate =
            if self.alone || self.nodes > SMALL { Gate::exclusive(target_dir) } else { Gate::shared(target_dir) };
        Cluster::new(self, Arc::new(gate))
    }

    /// [`Builder::empty`], in a test that runs another cluster already.
    #[must_use]
    pub fn empty_beside(self, other: &Cluster) -> Cluster {
        Cluster::new(self, other.gate())
    }

    /// Starts the first daemon, then all the others at once with the first as their seed, and waits until every one
    /// of them sees the same ring.
    #[must_use]
    #[track_caller]
    pub fn start(self) -> Cluster {
        let count = self.nodes;
        let mut cluster = self.empty();
        for index in 0..count {
            let seeds: &[usize] = if index == 0 { &[] } else { &[0] };
            cluster.declare(seeds);
        }
        cluster.nodes[0].launch();
        cluster.nodes[0].wait_ready(JOIN);
        cluster.launch_all(1..count);
        cluster.await_one_ring(JOIN);
        cluster
    }
}
