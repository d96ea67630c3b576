//! Records that are here and should not be: this node was replaced, came back late, or changed rings.
//!
//! Each is offered to the primary of its range, version unchanged, and erased once that one confirms that it is safe there.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use overlay::{Peer, State};
use replica::{Holdings, Role};
use ring::{Id, Range, Space};
use store::{Cursor, Record, StoreError, Version};
use wire::records::Listed;

use crate::shared::Shared;

/// How often a node looks for strays.
const SWEEP_EVERY: Duration = Duration::from_secs(2);
/// Strays offered in one call.
const BATCH: usize = 256;
/// Records sent in one call, in bytes, about.
const BATCH_BYTES: usize = 1 << 20;
const OFFER_TIMEOUT: Duration = Duration::from_secs(5);
/// A primary that names another is followed so many times.
const REDIRECTS_MAX: usize = 4;

/// Sweeps until the process ends.
pub(crate) async fn run(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        if let Err(error) = sweep(&shared).await {
            tracing::warn!(%error, "strays could not be read");
        }
    }
}

/// Offers every stray once. How many are left here.
pub(crate) async fn sweep(shared: &Arc<Shared>) -> Result<u64, StoreError> {
    let mut left = 0;
    if !matches!(shared.view().state, State::Ready | State::Leaving) {
        return Ok(left);
    }
    let holdings = Arc::clone(&*shared.holdings.read().await);
    for range in foreign(shared.config.space, &holdings) {
        let mut after: Option<Cursor> = None;
        loop {
            let page = shared.store.list(range, after.as_ref(), BATCH)?;
            let strays: Vec<Stray> = page
                .entries
                .into_iter()
                .map(|entry| Stray { id: entry.id, key: entry.key, version: entry.version })
                .collect();
            let count = strays.len() as u64;
            left += count - give(shared, strays).await?;
            after = page.next;
            if after.is_none() {
                break;
            }
        }
    }
    Ok(left)
}

struct Stray {
    id: Id,
    key: Bytes,
    version: Version,
}

/// The parts of the circle that this node has no business in.
fn foreign(space: Space, holdings: &Holdings) -> Vec<Range> {
    let mut foreign = vec![Range::full(space.max())];
    for holding in holdings.ranges.iter().filter(|holding| holding.role != Role::Outside) {
        foreign = foreign.into_iter().flat_map(|part| part.minus(holding.range)).collect();
    }
    foreign
}

/// Offers strays to their owners, erases what is confirmed, and says how many that was.
async fn give(shared: &Arc<Shared>, mut strays: Vec<Stray>) -> Result<u64, StoreError> {
    let mut erased = 0;
    while let Some(first) = strays.first() {
        let Ok(located) = shared.inbox.locate(first.id).await else {
            break;
        };
        let Some(owner) = located.owners.first().cloned() else {
            break;
        };
        let mine = |stray: &Stray| located.arc.is_none_or(|arc| arc.contains(stray.id));
        let (batch, rest): (Vec<Stray>, Vec<Stray>) = strays.into_iter().partition(mine);
        strays = if batch.is_empty() { Vec::new() } else { rest };
        erased += give_to(shared, owner, &batch).await?;
    }
    Ok(erased)
}

async fn give_to(shared: &Arc<Shared>, mut owner: Peer, strays: &[Stray]) -> Result<u64, StoreError> {
    let listed: Vec<Listed> =
        strays.iter().map(|stray| Listed { key: stray.key.clone(), version: stray.version }).collect();
    for _ in 0..REDIRECTS_MAX {
        let ring = shared.ring();
        let Ok(reply) = shared.peers.offer(&owner, ring, listed.clone(), Vec::new(), OFFER_TIMEOUT).await else {
            break;
        };
        if let Some(not_primary) = &reply.not_primary {
            match &not_primary.primary {
                Some(primary) => owner = shared.now_at(primary),
                None => break,
            }
            continue;
        }
        let named = |indexes: &[u32]| -> Vec<&Stray> {
            indexes.iter().filter_map(|index| strays.get(*index as usize)).collect()
        };
        let mut safe: Vec<(Bytes, Version)> =
            named(&reply.confirmed).into_iter().map(|stray| (stray.key.clone(), stray.version)).collect();
        let wanted: Vec<Bytes> = named(&reply.wanted).into_iter().map(|stray| stray.key.clone()).collect();
        safe.extend(send(shared, &owner, wanted).await?);
        return erase(shared, safe).await;
    }
    Ok(0)
}

/// Erases what is safe elsewhere and still none of this node's business. The holdings stay as they are meanwhile: a
/// node that becomes a newcomer fetches after that, so no copy goes that has begun to count.
async fn erase(shared: &Shared, mut safe: Vec<(Bytes, Version)>) -> Result<u64, StoreError> {
    let holdings = shared.holdings.read().await;
    let foreign = foreign(shared.config.space, &holdings);
    safe.retain(|(key, _)| {
        let place = shared.place_of(key);
        foreign.iter().any(|range| range.contains(place))
    });
    shared.store.erase(safe).await
}

/// Sends the records that the owner wants; those that it confirmed.
async fn send(shared: &Arc<Shared>, owner: &Peer, wanted: Vec<Bytes>) -> Result<Vec<(Bytes, Version)>, StoreError> {
    let mut safe = Vec::new();
    let mut wanted = wanted.as_slice();
    while !wanted.is_empty() {
        let (records, taken) = shared.store.fetch(wanted, BATCH_BYTES)?;
        if taken == 0 {
            break;
        }
        wanted = &wanted[taken..];
        let sent: Vec<(Bytes, Version)> =
            records.iter().map(|record: &Record| (record.key.clone(), record.version)).collect();
        let Ok(reply) = shared.peers.offer(owner, shared.ring(), Vec::new(), records, OFFER_TIMEOUT).await else {
            break;
        };
        safe.extend(reply.confirmed.iter().filter_map(|index| sent.get(*index as usize).cloned()));
    }
    Ok(safe)
}
