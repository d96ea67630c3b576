//! Clients that write down everything, on a cluster to which everything happens; and whether it kept its promises.

mod ask;
mod forced;
mod last;
mod load;
mod nemesis;
mod network;
mod outcome;

use std::fs;
use std::time::Duration;

use rand::SeedableRng;
use rand_pcg::Pcg64;

use self::ask::Asker;
use self::load::Load;
use self::nemesis::{Nemesis, WHOLE_WITHIN};
use self::network::Network;
use crate::cluster::{Cluster, JOIN};
use crate::history::{self, History};
use crate::truth::Protocol;

pub use nemesis::Faults;
pub use outcome::{Outcome, Times};

/// What is done to what, and for how long.
#[derive(Clone, Debug)]
pub struct Torture {
    /// The overlay.
    pub protocol: Protocol,
    /// Of clients and faults alike. What the machine makes of it is new each time.
    pub seed: u64,
    /// How long faults go on.
    pub duration: Duration,
    /// How many daemons there are.
    pub nodes: usize,
    /// How many clients.
    pub clients: u32,
    /// How many keys they share.
    pub keys: u32,
    /// Daemons have disks, and all are killed at once in the end.
    pub durable: bool,
    /// What goes wrong.
    pub faults: Faults,
    /// The daemons' `--lost-majority-after`.
    pub lost_majority_after: String,
    /// How long after the end of its call a write of unknown outcome may still be carried out.
    pub unknown_for: Duration,
    /// Of all reads, this share has to be answered within 5 s.
    pub reads_answered: f64,
    /// Further arguments for every daemon.
    pub args: Vec<String>,
}

impl Torture {
    /// Sixteen durable nodes and as many clients, for a minute, with crashes and pauses.
    #[must_use]
    pub fn new(protocol: Protocol, seed: u64) -> Self {
        let faults = Faults { crashes: true, pauses: true, partitions: false, loss: false, skew: false };
        Self {
            protocol,
            seed,
            duration: Duration::from_secs(60),
            nodes: 16,
            clients: 16,
            keys: 2_000,
            durable: true,
            faults,
            lost_majority_after: "never".to_owned(),
            unknown_for: history::Options::default().unknown_for,
            reads_answered: 0.999,
            args: Vec::new(),
        }
    }

    /// Does it all, telling `say` how far it is.
    ///
    /// # Panics
    /// When the cluster does not even start.
    pub fn run(&self, say: impl Fn(&str)) -> Outcome {
        let mut cluster = self.start();
        let addrs: Vec<String> = (0..self.nodes).map(|index| cluster.address(index)).collect();
        let asker = Asker::new(&addrs);
        let network = Network::new(cluster.dir(), addrs);
        let mut nemesis = Nemesis::new(Pcg64::seed_from_u64(self.seed), network, self.nodes, self.faults);
        let load = Load::new(asker.clone(), self.clients, self.keys, self.seed);
        say(&format!("{} nodes run; faults for {:?}", self.nodes, self.duration));
        let clients = load.start();
        nemesis.rage(&mut cluster, self.duration);
        let notes = load.stop(clients);
        let mut history = History { calls: notes.calls };
        let mut unhealed = Vec::new();
        say(&format!("{} calls; healing", history.calls.len()));
        unhealed.extend(nemesis.heal(&mut cluster, WHOLE_WITHIN).err());
        history.calls.extend(last::read_all(&asker, self.keys, self.clients, self.seed));
        if self.durable {
            say("killing all at once");
            unhealed.extend(nemesis.restart_all(&mut cluster, WHOLE_WITHIN).err());
            history.calls.extend(last::read_all(&asker, self.keys, self.clients + 1, !self.seed));
        }
        say("judging");
        let forced = forced::keys(&cluster, self.keys);
        let options = history::Options { unknown_for: self.unknown_for, forced };
        let report = history::check(&history, &options);
        let mut outcome = Outcome::new(self, history, report, &notes.reads);
        outcome.faults = nemesis.counts;
        outcome.ended = nemesis.ended;
        outcome.unhealed = unhealed;
        if !outcome.passed() {
            outcome.kept = Some(keep(&mut cluster, &nemesis.diary));
        }
        outcome
    }

    /// A cluster in which each daemon has a file of faults, and other seeds than the first one, which may be down.
    fn start(&self) -> Cluster {
        let mut settings = Cluster::named("torture").nodes(self.nodes).protocol(self.protocol).alone();
        if self.durable {
            settings = settings.durable();
        }
        let mut cluster = settings.arg("--lost-majority-after", &self.lost_majority_after).empty();
        for index in 0..self.nodes {
            cluster.declare(if index == 0 { &[] } else { &[0] });
            let file = Network::file(cluster.dir(), index).display().to_string();
            let own = ["--dev-faults".to_owned(), file].into_iter().chain(self.args.iter().cloned());
            // Seeds are always the last arguments.
            cluster.nodes[index].args.splice(0..0, own);
        }
        cluster.launch_all([0]);
        cluster.launch_all(1..self.nodes);
        cluster.await_one_ring(JOIN);
        cluster.await_whole_sets(JOIN);
        for index in 0..self.nodes {
            let others: Vec<usize> = (1..self.nodes.min(4)).map(|step| (index + step) % self.nodes).collect();
            cluster.set_seeds(index, &others);
        }
        cluster
    }
}

/// Keeps the daemons' logs and disks, with what was done to them when.
fn keep(cluster: &mut Cluster, diary: &str) -> std::path::PathBuf {
    let dir = cluster.keep();
    // It is about what went wrong, which is told all the same.
    let _ = fs::write(dir.join("faults.log"), diary);
    dir
}
