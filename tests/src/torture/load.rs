//! Many clients at once, each of which asks one thing after the other and writes down what it was told.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::ask::{Asker, Question};
use crate::history::{Asked, Call, Condition, Told, Version, WriteId};
use crate::stub;

/// A call's own deadline, and how long a read may take in all.
pub(super) const WITHIN: Duration = Duration::from_secs(5);
/// A read that one node does not answer in this time is asked of another one.
const READ_ATTEMPT: Duration = Duration::from_millis(1_500);
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(20);
/// A client thinks so long at most before it asks again: the daemons share the machine with all clients.
const THINK_MS: u64 = 20;
/// One put in so many is of a large value.
const LARGE_ONE_IN: u32 = 50;
const LARGE: usize = 64 << 10;

/// What clients do.
#[derive(Debug)]
pub(super) struct Load {
    pub(super) asker: Asker,
    pub(super) clients: u32,
    pub(super) keys: u32,
    pub(super) seed: u64,
    /// Set when they are to stop.
    pub(super) over: AtomicBool,
    /// The newest version of each key that any client was told, for conditions.
    versions: Mutex<Vec<Option<Version>>>,
}

/// What clients have written down.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub(super) calls: Vec<Call>,
    pub(super) reads: Vec<Reading>,
}

/// A read, however many nodes it took.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    pub(super) took: Duration,
    pub(super) answered: bool,
}

impl Load {
    pub(super) fn new(asker: Asker, clients: u32, keys: u32, seed: u64) -> Arc<Self> {
        let versions = Mutex::new(vec![None; keys as usize]);
        Arc::new(Self { asker, clients, keys, seed, over: AtomicBool::new(false), versions })
    }

    /// Starts all clients. They go on until it is over.
    pub(super) fn start(self: &Arc<Self>) -> JoinSet<Notes> {
        let mut clients = JoinSet::new();
        for number in 0..self.clients {
            clients.spawn_on(client(Arc::clone(self), number), stub::runtime().handle());
        }
        clients
    }

    /// Has all clients stop, and collects what they wrote down.
    pub(super) fn stop(&self, clients: JoinSet<Notes>) -> Notes {
        self.over.store(true, Ordering::Relaxed);
        let mut all = Notes::default();
        for notes in stub::wait(clients.join_all()) {
            all.calls.extend(notes.calls);
            all.reads.extend(notes.reads);
        }
        all
    }

    fn version(&self, key: u32) -> Option<Version> {
        self.versions.lock().expect("nobody panics with it")[key as usize]
    }

    fn learn(&self, call: &Call) {
        let newest = match (call.asked, &call.told) {
            (Asked::Put(..), Told::Done(version)) | (_, Told::Value(version, _)) => Some(*version),
            (_, Told::ConditionFailed(Some(version))) => Some(*version),
            (Asked::Delete(_), Told::Done(_)) | (_, Told::Absent | Told::ConditionFailed(None)) => None,
            _ => return,
        };
        self.versions.lock().expect("nobody panics with it")[call.key as usize] = newest;
    }
}

async fn client(load: Arc<Load>, number: u32) -> Notes {
    let mut rng = Pcg64::seed_from_u64(load.seed.wrapping_mul(1_000_003).wrapping_add(number.into()));
    let mut notes = Notes::default();
    let mut puts = 0;
    while !load.over.load(Ordering::Relaxed) {
        let key = rng.random_range(0..load.keys);
        let asked = choose(&mut rng, number, &mut puts, load.version(key));
        let length = if rng.random_ratio(1, LARGE_ONE_IN) { LARGE } else { rng.random_range(100..400) };
        let through = rng.random_range(0..load.asker.nodes());
        let question = Question { key, client: number, through, asked, length, last: false };
        let before = notes.calls.len();
        match asked {
            Asked::Get => read(&load.asker, question, &mut rng, &mut notes).await,
            _ => notes.calls.push(load.asker.ask(question, WITHIN).await),
        }
        notes.calls[before..].iter().for_each(|call| load.learn(call));
        sleep(Duration::from_millis(rng.random_range(0..=THINK_MS))).await;
    }
    notes
}

/// Mostly reads and plain writes; conditions that mostly hold unless somebody else is quicker.
fn choose(rng: &mut Pcg64, client: u32, puts: &mut u32, version: Option<Version>) -> Asked {
    let mut put = |condition| {
        *puts += 1;
        Asked::Put(WriteId { client, number: *puts }, condition)
    };
    match (rng.random_range(0..100), version) {
        (0..45, _) => Asked::Get,
        (45..75, _) => put(None),
        (75..84, _) => Asked::Delete(None),
        (84..94, Some(version)) => put(Some(Condition::IfVersion(version))),
        (94..97, Some(version)) => Asked::Delete(Some(Condition::IfVersion(version))),
        _ => put(Some(Condition::IfAbsent)),
    }
}

/// Reads as clients do that know several nodes: when one does not answer, the next one.
async fn read(asker: &Asker, mut question: Question, rng: &mut Pcg64, notes: &mut Notes) {
    let begun = Instant::now();
    loop {
        let left = WITHIN.saturating_sub(begun.elapsed());
        let call = asker.ask(question, left.min(READ_ATTEMPT)).await;
        let answered = matches!(call.told, Told::Value(..) | Told::Absent);
        notes.calls.push(call);
        let took = begun.elapsed();
        if answered || took + BETWEEN_ATTEMPTS >= WITHIN {
            notes.reads.push(Reading { took, answered: answered && took <= WITHIN });
            return;
        }
        sleep(BETWEEN_ATTEMPTS).await;
        question.through = (question.through + rng.random_range(1..asker.nodes().max(2))) % asker.nodes();
    }
}
