//! Group commit. All writes go through one thread: it takes whatever has queued up while the last
//! fsync ran, compares versions, writes one batch, waits for one fsync and answers them all. So versions of a key are
//! compared by one hand, and the more write at once, the more share each fsync.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use fjall::PersistMode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::changes::Changes;
use super::trees::Trees;
use crate::counters::Counters;
use crate::place::Place;
use crate::{Put, Record, StoreError, Version};

/// Bytes of writes that may wait or be under way; beyond that callers wait to queue. A larger write takes all of it.
const BUDGET_BYTES: usize = 16 << 20;
/// What a write takes of the budget besides its bytes: bounds how many there are.
const WRITE_BYTES: usize = 1 << 10;

/// Where writes are handed in, from any thread.
pub(super) struct Writer {
    queue: Option<mpsc::UnboundedSender<Job>>,
    budget: Arc<Semaphore>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What the writing thread and everybody else see.
pub(super) struct Shared {
    pub(super) trees: Trees,
    pub(super) counters: Counters,
    pub(super) commits: AtomicU64,
    /// Nothing expires before this; `u64::MAX` when nothing does.
    pub(super) next_due_ms: AtomicU64,
    /// Deletions up to this moment of the clock may have been forgotten.
    pub(super) horizon: AtomicU64,
}

/// A write, and what it takes of the budget until it has been answered.
struct Job {
    write: Write,
    _share: OwnedSemaphorePermit,
}

/// Keys are hashed before they queue: that much the callers can do side by side.
enum Write {
    Put(Vec<(Place, Record)>, Reply<Vec<Put>>),
    Erase(Vec<(Place, Version)>, Reply<u64>),
    Forget { entries: Vec<(Place, Version)>, upto: u64, reply: Reply<u64> },
    Expire { now_ms: u64, limit: usize, reply: Reply<u64> },
    Flush(Reply<()>),
}

type Reply<T> = oneshot::Sender<Result<T, StoreError>>;
/// Sends an answer that depends on how the commit went.
type Send = Box<dyn FnOnce(&Result<(), StoreError>)>;

impl Writer {
    pub(super) fn start(shared: Shared) -> std::io::Result<Self> {
        let shared = Arc::new(shared);
        let (queue, jobs) = mpsc::unbounded_channel();
        let thread = thread::Builder::new().name("store-writer".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || run(&shared, jobs)
        })?;
        let budget = Arc::new(Semaphore::new(BUDGET_BYTES));
        Ok(Self { queue: Some(queue), budget, shared, thread: Some(thread) })
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(super) async fn put(&self, records: Vec<Record>) -> Result<Vec<Put>, StoreError> {
        let bytes = records.iter().map(|record| WRITE_BYTES + record.byte_len()).sum();
        let placed = records.into_iter().map(|record| (self.place(&record.key), record)).collect();
        self.submit(bytes, |reply| Write::Put(placed, reply)).await
    }

    pub(super) async fn erase(&self, entries: Vec<(Bytes, Version)>) -> Result<u64, StoreError> {
        let bytes = entries.iter().map(|(key, _)| WRITE_BYTES + key.len()).sum();
        let placed = entries.into_iter().map(|(key, upto)| (self.place(&key), upto)).collect();
        self.submit(bytes, |reply| Write::Erase(placed, reply)).await
    }

    pub(super) async fn forget(&self, entries: Vec<(Bytes, Version)>, upto: u64) -> Result<u64, StoreError> {
        let bytes = entries.iter().map(|(key, _)| WRITE_BYTES + key.len()).sum::<usize>().max(WRITE_BYTES);
        let entries = entries.into_iter().map(|(key, version)| (self.place(&key), version)).collect();
        self.submit(bytes, |reply| Write::Forget { entries, upto, reply }).await
    }

    pub(super) async fn expire(&self, now_ms: u64, limit: usize) -> Result<u64, StoreError> {
        if limit == 0 || now_ms < self.shared.next_due_ms.load(Ordering::Acquire) {
            return Ok(0);
        }
        self.submit(WRITE_BYTES, |reply| Write::Expire { now_ms, limit, reply }).await
    }

    pub(super) async fn flush(&self) -> Result<(), StoreError> {
        self.submit(WRITE_BYTES, Write::Flush).await
    }

    /// The engine has failed, or the thread is gone, which nothing but a bug in the engine does.
    pub(super) fn health(&self) -> Result<(), StoreError> {
        self.shared.trees.health()?;
        match self.queue.as_ref().is_some_and(|queue| !queue.is_closed()) {
            true => Ok(()),
            false => Err(self.gone()),
        }
    }

    fn place(&self, key: &Bytes) -> Place {
        Place::of(self.shared.trees.places, key.clone())
    }

    async fn submit<T>(&self, bytes: usize, write: impl FnOnce(Reply<T>) -> Write) -> Result<T, StoreError> {
        self.health()?;
        let bytes = u32::try_from(bytes.min(BUDGET_BYTES)).unwrap_or(u32::MAX);
        let share = Arc::clone(&self.budget).acquire_many_owned(bytes).await.map_err(|_| self.gone())?;
        let (reply, answer) = oneshot::channel();
        let job = Job { write: write(reply), _share: share };
        let queue = self.queue.as_ref().ok_or_else(|| self.gone())?;
        queue.send(job).map_err(|_| self.gone())?;
        answer.await.map_err(|_| self.gone())?
    }

    /// What is queued is still written before this returns. Whether all of it was.
    pub(super) fn stop(&mut self) -> bool {
        drop(self.queue.take());
        // A thread that panicked has nothing left to wait for.
        self.thread.take().is_some_and(|thread| thread.join().is_ok()) && self.shared.trees.health().is_ok()
    }

    fn gone(&self) -> StoreError {
        self.shared.trees.failed(|| "the writing thread has ended".to_owned())
    }
}

/// The directory is unlocked before this returns.
impl Drop for Writer {
    fn drop(&mut self) {
        self.stop();
    }
}

fn run(shared: &Shared, mut jobs: mpsc::UnboundedReceiver<Job>) {
    while let Some(first) = jobs.blocking_recv() {
        // Bounded by the budget: what has no share of it is not in the queue.
        let mut group = vec![first];
        while let Ok(job) = jobs.try_recv() {
            group.push(job);
        }
        commit(shared, group);
    }
}

/// Writes a group and answers it.
fn commit(shared: &Shared, group: Vec<Job>) {
    let mut changes = Changes::new(&shared.trees, shared.horizon.load(Ordering::Acquire));
    let (mut answers, mut shares) = (Vec::with_capacity(group.len()), Vec::with_capacity(group.len()));
    let mut expires = false;
    for Job { write, _share: share } in group {
        expires |= matches!(write, Write::Expire { .. });
        answers.push(perform(shared, &mut changes, write));
        shares.push(share);
    }
    let committed = finish(shared, changes, expires);
    for answer in answers {
        answer(&committed);
    }
}

fn perform(shared: &Shared, changes: &mut Changes<'_>, write: Write) -> Send {
    match write {
        Write::Put(records, reply) => answer(reply, changes.put(records)),
        Write::Erase(entries, reply) => answer(reply, changes.erase(entries)),
        Write::Forget { entries, upto, reply } => answer(reply, changes.forget(entries, upto)),
        Write::Expire { now_ms, limit, reply } => {
            let from_ms = shared.next_due_ms.load(Ordering::Acquire);
            answer(reply, changes.expire(from_ms, now_ms, limit))
        }
        Write::Flush(reply) => {
            let persisted = shared.trees.db.persist(PersistMode::SyncAll);
            answer(reply, persisted.map_err(|error| shared.trees.write_failed(&error)))
        }
    }
}

fn answer<T: 'static>(reply: Reply<T>, outcome: Result<T, StoreError>) -> Send {
    // Whoever asked may have gone; the write stands all the same.
    Box::new(move |committed| drop(reply.send(committed.clone().and(outcome))))
}

fn finish(shared: &Shared, changes: Changes<'_>, expires: bool) -> Result<(), StoreError> {
    shared.trees.health()?;
    if !changes.is_empty() {
        let next_due_ms = changes.next_due_ms().unwrap_or(u64::MAX);
        let horizon = changes.commit(&shared.counters).map_err(|error| shared.trees.write_failed(&error))?;
        shared.horizon.store(horizon, Ordering::Release);
        shared.commits.fetch_add(1, Ordering::Relaxed);
        shared.next_due_ms.fetch_min(next_due_ms, Ordering::AcqRel);
    }
    if expires {
        // From where it was, not from the start: what lies before is deletions that the engine has yet to drop.
        let from_ms = shared.next_due_ms.load(Ordering::Acquire);
        let first = shared.trees.due(from_ms, u64::MAX, 1)?;
        let next_due_ms = first.first().map_or(u64::MAX, |(at_ms, _)| *at_ms);
        shared.next_due_ms.store(next_due_ms, Ordering::Release);
    }
    Ok(())
}
