//! A set of daemons that a test drives, usually one ring.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::builder::Builder;
use crate::daemon::{self, Daemon, Signal};
use crate::finished::{Finished, run};
use crate::gate::Gate;
use crate::ids;
use crate::ports::free_port;
use crate::records::{self, Record, Stored};
use crate::ring_view::{Member, parse_members};
use crate::wait::eventually;

/// A cluster of up to so many daemons is a small one.
pub(crate) const SMALL: usize = 6;

/// How long any one command of `dht` may take.
const COMMAND: Duration = Duration::from_secs(60);

/// How long daemons may take to join. They get as long by `--join-timeout`: how fast they are is not what most tests
/// are about, and the machine may be small and busy.
pub(crate) const JOIN: Duration = Duration::from_secs(90);

/// Daemons with their files in one directory. Dropped, it kills them; dropped by a panic, it keeps their logs.
#[derive(Debug)]
pub struct Cluster {
    /// The daemons, in the order in which they were declared.
    pub nodes: Vec<Daemon>,
    ports: Vec<u16>,
    pub(crate) settings: Builder,
    dir: Option<TempDir>,
    started: Instant,
    gate: Arc<Gate>,
}

impl Cluster {
    pub(crate) fn new(settings: Builder, gate: Arc<Gate>) -> Self {
        let dir = tempfile::Builder::new()
            .prefix(&format!("dht-{}-", settings.name))
            .tempdir()
            .expect("a temporary directory");
        Self { nodes: Vec::new(), ports: Vec::new(), settings, dir: Some(dir), started: Instant::now(), gate }
    }

    pub(crate) fn gate(&self) -> Arc<Gate> {
        Arc::clone(&self.gate)
    }

    /// A cluster to be. The name appears in its directory's, and is its daemons' `--cluster`.
    #[must_use]
    pub fn named(name: &str) -> Builder {
        Builder::new(name)
    }

    /// The directory of this cluster's files.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.as_ref().expect("until it is dropped").path()
    }

    /// Where a daemon keeps its records, if the cluster is durable.
    #[must_use]
    pub fn data_dir(&self, index: usize) -> PathBuf {
        self.dir().join(format!("node{index}.data"))
    }

    /// The address that a daemon has or will have.
    #[must_use]
    pub fn address(&self, index: usize) -> String {
        format!("127.0.0.1:{}", self.ports[index])
    }

    /// One more daemon, not started, with these others as its seeds, started or not.
    pub fn declare(&mut self, seeds: &[usize]) -> usize {
        let index = self.nodes.len();
        while self.ports.len() <= index {
            self.ports.push(free_port());
        }
        let mut args = vec![
            "--listen".to_owned(),
            self.address(index),
            "--http".to_owned(),
            "127.0.0.1:0".to_owned(),
            "--cluster".to_owned(),
            self.settings.name.clone(),
            "--join-timeout".to_owned(),
            format!("{}s", JOIN.as_secs()),
            "--replicas".to_owned(),
            self.settings.replicas.to_string(),
        ];
        args.extend(self.settings.protocol.args());
        if self.settings.bits != ids::BITS_MAX {
            args.extend(["--id-bits".to_owned(), self.settings.bits.to_string()]);
        }
        if let Some(id) = self.settings.ids.get(index) {
            args.extend(["--id".to_owned(), ids::number(*id, self.settings.bits)]);
        }
        if self.settings.durable {
            let data_dir = self.data_dir(index).display().to_string();
            args.extend(["--data-dir".to_owned(), data_dir]);
        }
        args.extend(self.settings.args.iter().cloned());
        let daemon = Daemon::new(self.dir(), &format!("node{index}"), args);
        self.nodes.push(daemon);
        self.set_seeds(index, seeds);
        index
    }

    /// Gives a daemon other seeds, from its next start on. They may be declared later.
    pub fn set_seeds(&mut self, index: usize, seeds: &[usize]) {
        for seed in seeds {
            while self.ports.len() <= *seed {
                self.ports.push(free_port());
            }
        }
        let joins: Vec<String> = seeds.iter().flat_map(|seed| ["--join".to_owned(), self.address(*seed)]).collect();
        let args = &mut self.nodes[index].args;
        if let Some(first) = args.iter().position(|arg| arg == "--join") {
            // Seeds are always the last arguments.
            args.truncate(first);
        }
        args.extend(joins);
    }

    /// Declares a further identifier for the next daemon.
    pub fn next_id(&mut self, id: u64) {
        self.settings.ids.push(id);
    }

    /// One more daemon, started and ready.
    #[track_caller]
    pub fn add(&mut self, seeds: &[usize]) -> usize {
        let index = self.declare(seeds);
        self.nodes[index].launch();
        self.nodes[index].wait_ready(JOIN);
        index
    }

    /// Starts these daemons at the same moment and waits until they are ready.
    #[track_caller]
    pub fn launch_all(&mut self, indices: impl IntoIterator<Item = usize>) {
        let indices: Vec<usize> = indices.into_iter().collect();
        for index in &indices {
            self.nodes[*index].launch();
        }
        for index in indices {
            self.nodes[index].wait_ready(JOIN);
        }
    }

    /// Sends these daemons a signal as nearly at the same moment as can be.
    #[track_caller]
    pub fn signal_all(&mut self, indices: &[usize], signal: Signal) {
        for index in indices {
            self.nodes[*index].signal(signal);
        }
    }

    /// `kill -9` of these daemons at the same moment.
    #[track_caller]
    pub fn kill_all(&mut self, indices: &[usize]) {
        self.signal_all(indices, Signal::KILL);
        for index in indices {
            self.nodes[*index].kill_and_reap();
        }
    }

    /// Indices of the daemons that run and are not paused.
    #[must_use]
    pub fn up(&mut self) -> Vec<usize> {
        let all = self.nodes.iter_mut().enumerate();
        all.filter_map(|(index, node)| node.is_up().then_some(index)).collect()
    }

    /// Addresses of the daemons that run and are not paused.
    #[must_use]
    pub fn up_addrs(&mut self) -> Vec<String> {
        let up = self.up();
        up.into_iter().map(|index| self.nodes[index].addr()).collect()
    }

    /// Identifiers of the daemons that run and are not paused, in order.
    #[must_use]
    pub fn up_ids(&mut self) -> Vec<String> {
        let up = self.up();
        let mut ids: Vec<String> = up.into_iter().map(|index| self.nodes[index].id().to_owned()).collect();
        ids.sort();
        ids
    }

    /// Which daemon advertises this address.
    ///
    /// # Panics
    /// When none does.
    #[must_use]
    #[track_caller]
    pub fn index_of(&self, addr: &str) -> usize {
        let found = (0..self.nodes.len()).find(|index| self.address(*index) == addr);
        found.unwrap_or_else(|| panic!("no daemon of this cluster is at {addr}"))
    }

    /// Runs `dht -o json` against one daemon.
    #[track_caller]
    pub fn dht(&self, index: usize, args: &[&str]) -> Finished {
        let addr = self.address(index);
        let mut command = daemon::dht();
        command.args(["--endpoints", &addr, "-o", "json"]).args(args);
        run(&mut command, COMMAND)
    }

    /// Runs `dht` with exactly these arguments.
    #[track_caller]
    pub fn dht_plain(args: &[&str]) -> Finished {
        run(&mut Self::dht_command(args), COMMAND)
    }

    /// `dht` with exactly these arguments, yet to be run.
    #[must_use]
    pub fn dht_command(args: &[&str]) -> Command {
        let mut command = daemon::dht();
        command.args(args);
        command
    }

    /// `dhtd` with exactly these arguments, not started yet.
    pub fn dhtd_command(args: &[&str]) -> Command {
        let mut command = daemon::dhtd();
        command.args(args);
        command
    }

    /// Runs `dhtd` with exactly these arguments to its end.
    #[track_caller]
    pub fn dhtd_plain(args: &[&str], within: Duration) -> Finished {
        run(daemon::dhtd().args(args), within)
    }

    /// The ring as one daemon walks it.
    ///
    /// # Errors
    /// When it cannot.
    #[track_caller]
    pub fn members(&self, through: usize) -> Result<Vec<Member>, String> {
        let ring = self.dht(through, &["ring"]);
        let value = ring.parse().map_err(|error| format!("{error}: {} {}", ring.text(), ring.stderr))?;
        parse_members(&value)
    }

    /// Waits until every daemon that is up walks the same ring, of exactly those that are up, all ready, and `check`
    /// finds nothing. Returns how long that took.
    #[track_caller]
    pub fn await_one_ring(&mut self, within: Duration) -> Duration {
        let what = format!("one ring of {}", self.up().len());
        eventually(&what, within, || self.is_one_ring()).1
    }

    /// Whether every daemon that is up walks the same ring now, as [`Cluster::await_one_ring`] has it.
    ///
    /// # Errors
    /// With what is not so yet.
    #[track_caller]
    pub fn is_one_ring(&mut self) -> Result<(), String> {
        let up = self.up();
        let ids: BTreeSet<String> = self.up_ids().into_iter().collect();
        up.iter().try_for_each(|viewer| self.sees_exactly(*viewer, &ids))?;
        up.first().map_or(Ok(()), |first| self.check(*first))
    }

    fn sees_exactly(&self, viewer: usize, ids: &BTreeSet<String>) -> Result<(), String> {
        let members = self.members(viewer)?;
        let seen: BTreeSet<String> = members.iter().map(|member| member.id.clone()).collect();
        let absent: Vec<_> = ids.difference(&seen).collect();
        let beyond: Vec<_> = seen.difference(ids).collect();
        if !absent.is_empty() || !beyond.is_empty() || members.len() != ids.len() {
            return Err(format!("node{viewer} sees {} members; absent {absent:?}, beyond {beyond:?}", members.len()));
        }
        let unready = members.iter().find(|member| member.state != "ready");
        match unready {
            Some(member) => Err(format!("node{viewer} sees {} as {}", member.addr, member.state)),
            None => Ok(()),
        }
    }

    /// `dht check` through one daemon.
    ///
    /// # Errors
    /// With what it found.
    #[track_caller]
    pub fn check(&self, through: usize) -> Result<(), String> {
        let check = self.dht(through, &["check"]);
        if check.code == 0 {
            return Ok(());
        }
        Err(format!("dht check: exit {} {}{}", check.code, check.text(), check.stderr))
    }

    /// Puts every record, each through one of the daemons that are up.
    #[track_caller]
    pub fn put_all(&mut self, records: &[Record]) -> Vec<Stored> {
        records::put_all(&self.up_addrs(), records)
    }

    /// Waits until every record is read, each through one of the daemons that are up. Until then a record may be
    /// unavailable, and say so; one that is answered *not found*, or with another value, was lost.
    #[track_caller]
    pub fn await_readable(&mut self, records: &[Record], within: Duration) -> Duration {
        let addrs = self.up_addrs();
        let what = format!("all of {} records", records.len());
        let mut round = 0;
        let ((), took) = eventually(&what, within, || {
            round += 1;
            let readings = records::get_all(&addrs, records, round);
            assert!(
                readings.missing.is_empty() && readings.wrong.is_empty(),
                "acknowledged records are lost: {:?}",
                readings.whole()
            );
            readings.whole()
        });
        took
    }

    /// Asserts that every record is read at the first attempt.
    ///
    /// # Panics
    /// When one is not.
    #[track_caller]
    pub fn assert_readable(&mut self, records: &[Record]) {
        let readings = records::get_all(&self.up_addrs(), records, 0);
        if let Err(reason) = readings.whole() {
            panic!("of {} records: {reason}", records.len());
        }
    }

    /// Keeps logs and data when the cluster is gone, and says where they are.
    pub fn keep(&mut self) -> PathBuf {
        let dir = self.dir.as_mut().expect("until it is dropped");
        dir.disable_cleanup(true);
        dir.path().to_owned()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let panicking = thread::panicking();
        if !panicking {
            return;
        }
        let lines = if self.nodes.len() > SMALL { 4 } else { 15 };
        eprintln!("after {:?}, the daemons' last words:", self.started.elapsed());
        for node in &self.nodes {
            eprintln!("{}", node.log_tail(lines));
        }
        if let Some(dir) = self.dir.take() {
            eprintln!("logs and data are kept in {}", dir.keep().display());
        }
    }
}
