//! What an overlay that keeps pointers apart from data (Kelips) is told: who holds a range, and which keys are in it.
//!
//! Nothing that reads or writes a record depends on it, since the sets are the truth. It is what the overlay's members
//! tell each other, so that any of them can say where a record is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use overlay::{Announcement, KeyHash, Time, View};
use replica::{Holdings, Role};
use ring::{Id, Range, Space};
use store::{Cursor, StoreError};
use tokio::time::Instant;

use crate::inbox::Input;
use crate::shared::Shared;

/// What stands is said again so often: a holder refreshes its pointers.
const REFRESH_EVERY: Duration = Duration::from_secs(5);
/// How often a primary compares all its keys with the pointers to them, if that takes no time.
const SWEEP_EVERY: Duration = Duration::from_secs(2);
/// So many times as long as a sweep took it rests before the next one.
const REST: u32 = 20;
/// Keys read from the store at a time.
const PAGE: usize = 1_024;

/// What the overlay was told of holders.
#[derive(Debug, Default)]
pub(crate) struct Pointers {
    told: BTreeMap<(Id, Id), u64>,
    /// The life of the node that was told.
    incarnation: u64,
    refreshed: Time,
}

impl Pointers {
    /// What stands is to be said again.
    pub(crate) fn are_due(&self, now: Time) -> bool {
        now.since(self.refreshed) >= REFRESH_EVERY
    }

    /// What is new in the sets that this node is in, or that are in force where it is the owner.
    pub(crate) fn news(&mut self, now: Time, view: &View, holdings: &Holdings) -> Vec<Announcement> {
        if self.are_due(now) || self.incarnation != view.me.incarnation {
            self.told.clear();
            self.refreshed = now;
            self.incarnation = view.me.incarnation;
        }
        let mut news = Vec::new();
        let mut told = BTreeMap::new();
        for holding in &holdings.ranges {
            let place = (holding.range.after, holding.range.upto);
            let number = holding.set.number;
            let known = self.told.get(&place) == Some(&number);
            let owned = || view.shares.iter().any(|share| share.range.overlaps(holding.range));
            if !known && holding.role == Role::Outside && !owned() {
                continue;
            }
            told.insert(place, number);
            if !known {
                let holders = holding.set.members.iter().map(|member| member.peer.clone()).collect();
                news.push(Announcement::Holders { range: holding.range, number, holders });
            }
        }
        self.told = told;
        news
    }
}

/// As long as the process lives: tells the overlay all keys of the ranges that this node is the primary of, again and again.
pub(crate) async fn announce_keys(shared: Arc<Shared>) {
    loop {
        let begun = Instant::now();
        let holdings = Arc::clone(&*shared.holdings.read().await);
        let primary = holdings.ranges.iter().filter(|holding| matches!(holding.role, Role::Primary { .. }));
        for range in primary.map(|holding| holding.range) {
            match keys(&shared, range).await {
                Ok(keys) => shared.inbox.tell(Input::Announce(Announcement::Keys { range, keys })),
                Err(error) => tracing::warn!(%error, %range, "keys could not be listed"),
            }
        }
        tokio::time::sleep(SWEEP_EVERY.max(begun.elapsed() * REST)).await;
    }
}

/// The live keys of a range, in order of their hashes.
async fn keys(shared: &Shared, range: Range) -> Result<Vec<KeyHash>, StoreError> {
    let mut keys = Vec::new();
    let mut after: Option<Cursor> = None;
    loop {
        let page = shared.store.list(range, after.as_ref(), PAGE)?;
        keys.extend(page.entries.iter().filter(|entry| !entry.tombstone).map(|entry| hash(&entry.key)));
        after = page.next;
        if after.is_none() {
            break;
        }
        tokio::task::yield_now().await;
    }
    keys.sort_unstable();
    Ok(keys)
}

/// Tells the overlay at once that a key has come or gone.
pub(crate) fn announce_key(shared: &Shared, key: &[u8], there: bool) {
    if shared.pointers {
        shared.inbox.tell(Input::Announce(Announcement::Key { key: hash(key), there }));
    }
}

fn hash(key: &[u8]) -> KeyHash {
    KeyHash(Space::SHA1.hash(key).to_array())
}
