//! Records that are here and should not be: this node was replaced, came back late, or changed rings.
//!
//! Each is offered to the primary of its range, version unchanged, and erased once that one confirms that it is safe there.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use overlay::{Failure, Peer, State};
use replica::Holdings;
use ring::Id;
use store::{Cursor, Record, StoreError, Version};
use wire::records::{Listed, Offer, OfferReply};

use crate::shared::Shared;
use crate::time::wall_ms;
use crate::{held, quarantine, trouble};

/// How often a node looks for strays.
const SWEEP_EVERY: Duration = Duration::from_secs(2);
/// One whose disk takes no writes can erase none of them: it offers them for what only it may have.
const SWEEP_READ_ONLY_EVERY: Duration = Duration::from_secs(60);
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
        let erases = shared.is_read_only().is_none();
        tokio::time::sleep(if erases { SWEEP_EVERY } else { SWEEP_READ_ONLY_EVERY }).await;
        let begun = shared.versions.now(wall_ms());
        let holdings = Arc::clone(&*shared.holdings.read().await);
        match sweep_by(&shared, &holdings).await {
            Ok(Some(0)) => held::all_in_place(&shared, &holdings, begun).await,
            Ok(_) => {}
            Err(error) => trouble::of_store(&error.to_string()),
        }
    }
}

/// Offers whole records to their owner.
pub(crate) async fn offer_records(
    shared: &Shared,
    owner: &Peer,
    records: &[Record],
    within: Duration,
) -> Result<OfferReply, Failure> {
    offer(shared, owner, Vec::new(), records.to_vec(), within).await
}

async fn offer(
    shared: &Shared,
    owner: &Peer,
    entries: Vec<Listed>,
    records: Vec<Record>,
    within: Duration,
) -> Result<OfferReply, Failure> {
    let request = Offer { entries, records, held_at: shared.held.at() };
    shared.peers.offer(owner, shared.ring(), request, within).await
}

/// Offers every stray once. How many are left here; `None` where nobody looked, as long as the node is in no ring.
pub(crate) async fn sweep(shared: &Arc<Shared>) -> Result<Option<u64>, StoreError> {
    let holdings = Arc::clone(&*shared.holdings.read().await);
    sweep_by(shared, &holdings).await
}

async fn sweep_by(shared: &Arc<Shared>, holdings: &Holdings) -> Result<Option<u64>, StoreError> {
    let mut left = 0;
    if !matches!(shared.view().state, State::Ready | State::Leaving) {
        return Ok(None);
    }
    for range in holdings.foreign(shared.config.space) {
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
    Ok(Some(left))
}

struct Stray {
    id: Id,
    key: Bytes,
    version: Version,
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
        let Ok(reply) = offer(shared, &owner, listed.clone(), Vec::new(), OFFER_TIMEOUT).await else { break };
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
        let set_aside = set_aside(shared, &owner, &named(&reply.quarantined)).await?;
        safe.extend(send(shared, &owner, wanted).await?);
        return Ok(set_aside + erase(shared, safe).await?);
    }
    Ok(0)
}

/// Erases what is safe elsewhere and still none of this node's business. The holdings stay as they are meanwhile: a
/// node that becomes a newcomer fetches after that, so no copy goes that has begun to count.
async fn erase(shared: &Shared, mut safe: Vec<(Bytes, Version)>) -> Result<u64, StoreError> {
    if shared.is_read_only().is_some() {
        return Ok(0);
    }
    let holdings = shared.holdings.read().await;
    let foreign = holdings.foreign(shared.config.space);
    safe.retain(|(key, _)| {
        let place = shared.place_of(key);
        foreign.iter().any(|range| range.contains(place))
    });
    shared.store.erase(safe).await
}

/// Sets aside what the owner would not take; how many records that was. What was written here since is none of them.
async fn set_aside(shared: &Arc<Shared>, owner: &Peer, refused: &[&Stray]) -> Result<u64, StoreError> {
    if shared.is_read_only().is_some() {
        return Ok(0);
    }
    let keys: Vec<Bytes> = refused.iter().map(|stray| stray.key.clone()).collect();
    let is_refused =
        |record: &Record| refused.iter().any(|stray| stray.key == record.key && stray.version == record.version);
    let (mut count, mut keys) = (0, keys.as_slice());
    while !keys.is_empty() {
        let (mut records, taken) = shared.store.fetch(keys, BATCH_BYTES)?;
        keys = &keys[taken.clamp(1, keys.len())..];
        records.retain(is_refused);
        let all: Vec<u32> = (0u32..).take(records.len()).collect();
        count += quarantine::set_aside(shared, owner, &records, &all).await?;
    }
    Ok(count)
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
        let Ok(reply) = offer_records(shared, owner, &records, OFFER_TIMEOUT).await else { break };
        quarantine::set_aside(shared, owner, &records, &reply.quarantined).await?;
        safe.extend(reply.confirmed.iter().filter_map(|index| sent.get(*index as usize).cloned()));
    }
    Ok(safe)
}
