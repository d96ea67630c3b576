//! What goes wrong, and when: chosen by a generator with a seed, never for more than a minority of the nodes at a time.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::{Duration, Instant};

use rand::RngExt;
use rand::seq::SliceRandom;
use rand_pcg::Pcg64;

use super::network::Network;
use crate::cluster::{Cluster, JOIN};
use crate::daemon::Signal;
use crate::wait::POLL;

/// Which faults there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Faults {
    /// Daemons are killed and come back on their disks.
    pub crashes: bool,
    /// Daemons are stopped and go on later.
    pub pauses: bool,
    /// Daemons are cut off from the others.
    pub partitions: bool,
    /// Calls between daemons get lost, and are slow.
    pub loss: bool,
    /// Daemons' clocks are wrong.
    pub skew: bool,
}

/// From one fault of a kind to the next, in the mean.
const CRASH_EVERY: Duration = Duration::from_secs(5);
const PAUSE_EVERY: Duration = Duration::from_secs(5);
const PARTITION_EVERY: Duration = Duration::from_secs(10);
const WEATHER_EVERY: Duration = Duration::from_secs(10);
const SKEW_EVERY: Duration = Duration::from_secs(3);

const DOWN_FOR: Duration = Duration::from_secs(3);
const PAUSED_MS: std::ops::RangeInclusive<u64> = 500..=4_000;
const CUT_MS: std::ops::RangeInclusive<u64> = 1_000..=8_000;
const WEATHER_MS: std::ops::RangeInclusive<u64> = 2_000..=8_000;
const LOSE_MAX: f64 = 0.05;
const DELAY_MS_MAX: u64 = 30;
const SKEW_MS: std::ops::RangeInclusive<i64> = -400..=400;
/// At most so many nodes are cut off together.
const CUT_MAX: usize = 3;

const TICK: Duration = Duration::from_millis(20);
/// Lines of the log of a daemon that ended by itself.
const LAST_WORDS: usize = 30;

/// What is the matter with a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Trouble {
    DownUntil(Instant),
    Starting,
    PausedUntil(Instant),
    CutUntil(Instant),
}

/// When the next fault of each kind is due; never, if there are none of it.
#[derive(Debug)]
struct Due {
    crash: Option<Instant>,
    pause: Option<Instant>,
    partition: Option<Instant>,
    weather: Option<Instant>,
    skew: Option<Instant>,
}

/// Does all that, and undoes it.
#[derive(Debug)]
pub(super) struct Nemesis {
    rng: Pcg64,
    network: Network,
    begun: Instant,
    due: Due,
    troubles: Vec<Option<Trouble>>,
    sides: u32,
    weather_until: Option<Instant>,
    /// How many faults of each kind there were.
    pub(super) counts: BTreeMap<&'static str, usize>,
    /// Daemons that ended by themselves, with their last words.
    pub(super) ended: Vec<String>,
    /// What was done when.
    pub(super) diary: String,
}

/// Somewhere between nothing and twice the mean from now.
fn soon(rng: &mut Pcg64, mean: Duration) -> Instant {
    Instant::now() + mean.mul_f64(rng.random_range(0.0..2.0))
}

fn for_ms(rng: &mut Pcg64, ms: std::ops::RangeInclusive<u64>) -> Instant {
    Instant::now() + Duration::from_millis(rng.random_range(ms))
}

fn has_come(due: Option<Instant>) -> bool {
    due.is_some_and(|due| due <= Instant::now())
}

impl Nemesis {
    pub(super) fn new(mut rng: Pcg64, network: Network, nodes: usize, faults: Faults) -> Self {
        let mut first = |wanted: bool, mean| wanted.then(|| soon(&mut rng, mean));
        let due = Due {
            crash: first(faults.crashes, CRASH_EVERY),
            pause: first(faults.pauses, PAUSE_EVERY),
            partition: first(faults.partitions, PARTITION_EVERY),
            weather: first(faults.loss, WEATHER_EVERY),
            skew: first(faults.skew, SKEW_EVERY),
        };
        Self {
            rng,
            network,
            begun: Instant::now(),
            due,
            troubles: vec![None; nodes],
            sides: 0,
            weather_until: None,
            counts: BTreeMap::new(),
            ended: Vec::new(),
            diary: String::new(),
        }
    }

    /// Has things go wrong for so long.
    pub(super) fn rage(&mut self, cluster: &mut Cluster, duration: Duration) {
        let over = Instant::now() + duration;
        while Instant::now() < over {
            self.end_what_is_over(cluster);
            self.look_for_the_dead(cluster);
            self.begin_what_is_due(cluster);
            std::thread::sleep(TICK);
        }
    }

    /// Undoes everything, and waits until every daemon serves and the cluster is whole.
    ///
    /// # Errors
    /// With what is not whole after `within`.
    pub(super) fn heal(&mut self, cluster: &mut Cluster, within: Duration) -> Result<Duration, String> {
        self.note("all is healed");
        self.network.heal();
        for index in 0..self.troubles.len() {
            match self.troubles[index] {
                Some(Trouble::PausedUntil(_)) => self.resume(cluster, index),
                Some(Trouble::DownUntil(_)) => self.launch(cluster, index),
                Some(Trouble::CutUntil(_)) => self.troubles[index] = None,
                Some(Trouble::Starting) | None => {}
            }
        }
        self.await_whole(cluster, within)
    }

    /// Kills every daemon at the same moment and starts all again.
    ///
    /// # Errors
    /// As [`Nemesis::heal`].
    pub(super) fn restart_all(&mut self, cluster: &mut Cluster, within: Duration) -> Result<Duration, String> {
        self.note("all are killed and started again");
        let all: Vec<usize> = (0..self.troubles.len()).collect();
        let running: Vec<usize> = all.iter().copied().filter(|index| cluster.nodes[*index].is_running()).collect();
        cluster.kill_all(&running);
        all.into_iter().for_each(|index| self.launch(cluster, index));
        self.await_whole(cluster, within)
    }

    fn await_whole(&mut self, cluster: &mut Cluster, within: Duration) -> Result<Duration, String> {
        let begun = Instant::now();
        loop {
            self.look_for_the_dead(cluster);
            self.end_what_is_over(cluster);
            let reason = match self.troubles.iter().position(Option::is_some) {
                Some(index) => Err(format!("node{index} has not joined yet")),
                None => cluster.is_one_ring().and_then(|()| cluster.has_whole_sets()),
            };
            match reason {
                Ok(()) => return Ok(begun.elapsed()),
                Err(reason) if begun.elapsed() > within => return Err(format!("after {within:?}: {reason}")),
                Err(_) => std::thread::sleep(POLL),
            }
        }
    }

    fn note(&mut self, what: &str) {
        let at = self.begun.elapsed();
        writeln!(self.diary, "{:9.3} {what}", at.as_secs_f64()).expect("text takes text");
    }

    fn count(&mut self, kind: &'static str, what: &str) {
        *self.counts.entry(kind).or_default() += 1;
        self.note(what);
    }

    fn end_what_is_over(&mut self, cluster: &mut Cluster) {
        let now = Instant::now();
        for index in 0..self.troubles.len() {
            match self.troubles[index] {
                Some(Trouble::DownUntil(until)) if until <= now => self.launch(cluster, index),
                Some(Trouble::PausedUntil(until)) if until <= now => self.resume(cluster, index),
                Some(Trouble::CutUntil(until)) if until <= now => {
                    self.network.set_side(&[index], 0);
                    self.troubles[index] = None;
                    self.note(&format!("node{index} is reached again"));
                }
                Some(Trouble::Starting) if cluster.nodes[index].poll_ready().is_some() => {
                    self.troubles[index] = None;
                    self.note(&format!("node{index} serves again"));
                }
                _ => {}
            }
        }
        if has_come(self.weather_until) {
            self.weather_until = None;
            self.network.set_weather(0.0, Duration::ZERO);
            self.note("nothing gets lost any more");
        }
    }

    fn resume(&mut self, cluster: &mut Cluster, index: usize) {
        if cluster.nodes[index].is_running() {
            cluster.nodes[index].signal(Signal::CONT);
        }
        self.troubles[index] = None;
        self.note(&format!("node{index} goes on"));
    }

    fn launch(&mut self, cluster: &mut Cluster, index: usize) {
        cluster.nodes[index].launch();
        self.troubles[index] = Some(Trouble::Starting);
        self.note(&format!("node{index} is started"));
    }

    /// Nobody but us ends a daemon.
    fn look_for_the_dead(&mut self, cluster: &mut Cluster) {
        for index in 0..self.troubles.len() {
            if matches!(self.troubles[index], Some(Trouble::DownUntil(_))) {
                continue;
            }
            let node = &mut cluster.nodes[index];
            if let Some(status) = node.ended() {
                let words = node.log_tail(LAST_WORDS);
                self.note(&format!("node{index} ENDED BY ITSELF with {status}"));
                self.ended.push(format!("node{index} ended by itself with {status}\n{words}"));
                self.network.set_side(&[index], 0);
                self.troubles[index] = Some(Trouble::DownUntil(Instant::now() + DOWN_FOR));
            }
        }
    }

    /// Nodes with which nothing is the matter, as many of them as may have something at a time beside the others.
    fn victims(&mut self, wanted: usize) -> Vec<usize> {
        let troubled = self.troubles.iter().flatten().count();
        let minority = (self.troubles.len() - 1) / 2;
        let mut well: Vec<usize> = (0..self.troubles.len()).filter(|index| self.troubles[*index].is_none()).collect();
        well.shuffle(&mut self.rng);
        well.truncate(wanted.min(minority.saturating_sub(troubled)));
        well
    }

    fn begin_what_is_due(&mut self, cluster: &mut Cluster) {
        if has_come(self.due.crash) && self.crash(cluster) {
            self.due.crash = Some(soon(&mut self.rng, CRASH_EVERY));
        }
        if has_come(self.due.pause) && self.pause(cluster) {
            self.due.pause = Some(soon(&mut self.rng, PAUSE_EVERY));
        }
        if has_come(self.due.partition) && self.cut() {
            self.due.partition = Some(soon(&mut self.rng, PARTITION_EVERY));
        }
        if has_come(self.due.weather) && self.weather_until.is_none() {
            self.storm();
            self.due.weather = Some(soon(&mut self.rng, WEATHER_EVERY));
        }
        if has_come(self.due.skew) {
            self.skew();
            self.due.skew = Some(soon(&mut self.rng, SKEW_EVERY));
        }
    }

    fn crash(&mut self, cluster: &mut Cluster) -> bool {
        let Some(index) = self.victims(1).pop() else { return false };
        cluster.nodes[index].kill();
        self.troubles[index] = Some(Trouble::DownUntil(Instant::now() + DOWN_FOR));
        self.count("crashes", &format!("node{index} is killed"));
        true
    }

    fn pause(&mut self, cluster: &mut Cluster) -> bool {
        let Some(index) = self.victims(1).pop() else { return false };
        cluster.nodes[index].signal(Signal::STOP);
        self.troubles[index] = Some(Trouble::PausedUntil(for_ms(&mut self.rng, PAUSED_MS)));
        self.count("pauses", &format!("node{index} is stopped"));
        true
    }

    fn cut(&mut self) -> bool {
        let wanted = self.rng.random_range(1..=CUT_MAX);
        let victims = self.victims(wanted);
        if victims.is_empty() {
            return false;
        }
        let until = for_ms(&mut self.rng, CUT_MS);
        self.sides += 1;
        self.network.set_side(&victims, self.sides);
        for index in &victims {
            self.troubles[*index] = Some(Trouble::CutUntil(until));
        }
        self.count("partitions", &format!("nodes {victims:?} are cut off"));
        true
    }

    fn storm(&mut self) {
        let lose = (self.rng.random_range(0.0..LOSE_MAX) * 1_000.0).ceil() / 1_000.0;
        let delay = Duration::from_millis(self.rng.random_range(0..=DELAY_MS_MAX));
        self.network.set_weather(lose, delay);
        self.weather_until = Some(for_ms(&mut self.rng, WEATHER_MS));
        self.count("losses", &format!("{lose} of all calls get lost, and are up to {delay:?} late"));
    }

    fn skew(&mut self) {
        let index = self.rng.random_range(0..self.troubles.len());
        let ms = self.rng.random_range(SKEW_MS);
        self.network.set_clock(index, ms);
        self.count("skews", &format!("node{index}'s clock is {ms:+} ms ahead"));
    }
}

/// How long a cluster may take to be whole again: a daemon may take that long to join, and then moves its records.
pub(super) const WHOLE_WITHIN: Duration = Duration::from_secs(JOIN.as_secs() + 60);
