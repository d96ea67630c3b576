//! Up to when this store had everything that it holds by right: as a primary, as a member that its primary calls whole,
//! or because it came here later. Said with every record that is offered to its owner, see [`replica::may_have_been_deleted`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use replica::Holdings;
use store::Store;
use tokio::time::Instant;

use crate::identity;
use crate::shared::Shared;
use crate::time::wall_ms;
use crate::trouble;

/// Written to disk at most so often.
const KEEP_EVERY: Duration = Duration::from_secs(10);

/// A moment of the hybrid clock.
#[derive(Debug)]
pub(crate) struct Held {
    at: AtomicU64,
    kept: Mutex<Option<Instant>>,
}

impl Held {
    /// What the disk says; an empty store has nothing that it does not have by right.
    pub(crate) fn of(store: &Store) -> Self {
        let stats = store.stats();
        let empty = stats.keys == 0 && stats.tombstones == 0;
        let now = store::Version::at(wall_ms(), 0, 0).clock;
        let kept = identity::recall_held_at(store).unwrap_or(0);
        Self { at: AtomicU64::new(if empty { now } else { kept }), kept: Mutex::default() }
    }

    pub(crate) fn at(&self) -> u64 {
        self.at.load(Ordering::Acquire)
    }
}

/// Nothing was here that by `holdings` should not be, looked for since `begun`: moves the moment on, and now and then to
/// the disk. By any later holdings what was not looked for may be a stray.
pub(crate) async fn all_in_place(shared: &Arc<Shared>, holdings: &Holdings, begun: u64) {
    let Some(at) = holdings.by_right_until(begun) else { return };
    shared.held.at.fetch_max(at, Ordering::AcqRel);
    {
        let mut kept = shared.held.kept.lock();
        if !shared.store.is_durable() || kept.is_some_and(|kept| kept.elapsed() < KEEP_EVERY) {
            return;
        }
        *kept = Some(Instant::now());
    }
    let (store, at) = (shared.store.clone(), shared.held.at());
    let kept = tokio::task::spawn_blocking(move || identity::keep_held_at(&store, at)).await;
    if let Ok(Err(error)) = kept {
        trouble::of_store(&error.message);
    }
}
