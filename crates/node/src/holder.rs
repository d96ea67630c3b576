//! A holder's side: keep this copy, what do you hold, list a range, give these records, take these strays.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use overlay::Refusal;
use replica::{Holdings, Member, Request, Role};
use ring::Range;
use store::{Put, Record, StoreError, Version};
use wire::records::{FetchReply, List, ListReply, Listed, NewerSet, OfferReply, Outcome, ReadReply, StoreReply};

use crate::part::Primary;
use crate::primary;
use crate::shared::Shared;

/// Entries in one page of a listing at most.
pub(crate) const PAGE_MAX: usize = 4_096;
/// Bytes of records in one answer, about: the transport's own limit is the value limit and a bit.
const FETCH_BYTES: usize = 1 << 20;
/// Strays that one offer brings to a majority at a time.
const OFFERS_AT_ONCE: usize = 64;

/// Keeps a copy that a primary sends.
pub(crate) async fn store(shared: &Shared, number: u64, record: Record) -> Result<StoreReply, Refusal> {
    let id = shared.place_of(&record.key);
    shared.versions.observe(record.version);
    let holdings = shared.holdings.read().await;
    match holdings.find(id) {
        Some(holding) if holding.set.number > number => {
            return Ok(StoreReply::NewerSet(newer(holding)));
        }
        // It has accepted a proposal for the next set: a write under this one could be missed by whoever takes over.
        Some(holding) if holding.set.number == number && holding.fenced => {
            return Err(Refusal::Busy);
        }
        // It has given up coming in, or never began to: a primary that counts on it has to learn that.
        Some(holding) if holding.set.number == number && holding.role == Role::Outside => {
            return Err(Refusal::NotReady);
        }
        None => return Err(Refusal::NotReady),
        Some(_) => {}
    }
    match shared.store.put(record).await {
        Ok(Put::Stored { durable }) => Ok(StoreReply::Stored { durable }),
        Ok(Put::Superseded(newer)) => Ok(StoreReply::Superseded(newer)),
        Err(error) => Err(failed(&error)),
    }
}

/// Says what this member holds of a key. Nothing that a newcomer answers would count, so it doesn't.
pub(crate) async fn read(
    shared: &Shared,
    number: u64,
    key: &[u8],
    have: Option<Version>,
) -> Result<ReadReply, Refusal> {
    let holdings = shared.holdings.read().await;
    let Some(holding) = holdings.find(shared.place_of(key)) else {
        return Err(Refusal::NotReady);
    };
    if holding.set.number > number {
        return Ok(ReadReply::NewerSet(newer(holding)));
    }
    if holding.set.number == number && holding.fenced {
        return Err(Refusal::Busy);
    }
    if matches!(holding.role, Role::Newcomer | Role::Outside) {
        return Err(Refusal::NotReady);
    }
    match shared.store.get(key) {
        Ok(None) => Ok(ReadReply::Absent),
        Ok(Some(record)) if Some(record.version) > have => Ok(ReadReply::Record(record)),
        Ok(Some(record)) => Ok(ReadReply::Version(record.version)),
        Err(error) => Err(failed(&error)),
    }
}

/// Lists a range, a page at a time, under `set`: whoever knows only older sets there takes this one over
/// first, and so takes part in nothing older any more.
pub(crate) async fn list(shared: &Shared, from: &Member, asked: List) -> Result<ListReply, Refusal> {
    let List { range, set, after, limit, .. } = asked;
    if older_than(&*shared.holdings.read().await, range, set.number) {
        let install = Request::Install { range, set: set.clone(), before: None };
        shared.inbox.control(from.clone(), vec![install]).await.map_err(|_| Refusal::Busy)?;
    }
    let holdings = shared.holdings.read().await;
    if let Some(found) = overlapping(&holdings, range).find(|holding| holding.set.number > set.number) {
        return Ok(ListReply { entries: Vec::new(), next: None, newer: Some(newer(found)) });
    }
    let page = shared
        .store
        .list(range, after.as_ref(), (limit as usize).clamp(1, PAGE_MAX))
        .map_err(|error| failed(&error))?;
    let entries = page.entries.into_iter().map(|entry| Listed { key: entry.key, version: entry.version }).collect();
    Ok(ListReply { entries, next: page.next, newer: None })
}

fn newer(holding: &replica::Holding) -> NewerSet {
    NewerSet { range: holding.range, set: holding.set.clone() }
}

fn overlapping(holdings: &Holdings, range: Range) -> impl Iterator<Item = &replica::Holding> {
    holdings.ranges.iter().filter(move |holding| !holding.range.intersect(range).is_empty())
}

fn older_than(holdings: &Holdings, range: Range, number: u64) -> bool {
    overlapping(holdings, range).any(|holding| holding.set.number < number)
}

/// Gives as many of these records, in order, as fit in an answer.
pub(crate) fn fetch(shared: &Shared, keys: &[Bytes]) -> Result<FetchReply, Refusal> {
    let (records, taken) = shared.store.fetch(keys, FETCH_BYTES).map_err(|error| failed(&error))?;
    Ok(FetchReply { records, taken: u32::try_from(taken).unwrap_or(u32::MAX) })
}

/// Takes strays, as the primary of their ranges: names those that it wants, confirms those that are safe here.
pub(crate) async fn offer(
    shared: &Arc<Shared>,
    entries: Vec<Listed>,
    records: Vec<Record>,
) -> Result<OfferReply, Refusal> {
    let first = entries.first().map(|entry| &entry.key).or(records.first().map(|record| &record.key));
    let Some(first) = first.cloned() else {
        return Ok(nothing());
    };
    let holdings = Arc::clone(&*shared.holdings.read().await);
    if let Err(outcome) = Primary::of(shared, &holdings, shared.place_of(&first)) {
        return match outcome {
            Outcome::NotPrimary(not_primary) => Ok(OfferReply { not_primary: Some(not_primary), ..nothing() }),
            _ => Err(Refusal::Busy),
        };
    }
    let mut reply = nothing();
    let offset = entries.len();
    let mut held = Vec::new();
    for (index, entry) in (0u32..).zip(entries) {
        if Primary::of(shared, &holdings, shared.place_of(&entry.key)).is_err() {
            continue;
        }
        match shared.store.get(&entry.key).map_err(|error| failed(&error))? {
            Some(record) if record.version >= entry.version => held.push((index, record)),
            _ => reply.wanted.push(index),
        }
    }
    // What is here may be here alone: only a majority makes it safe.
    let all = held.into_iter().chain((0u32..).skip(offset).zip(records));
    let safe = futures::stream::iter(all)
        .map(|(index, record)| {
            let owned = Arc::clone(shared);
            // A caller that goes away must not leave a copy here that nobody else has and everybody thinks safe.
            let task = shared.tasks.spawn(async move { primary::secure(&owned, record).await });
            async move { task.await.is_ok_and(|safe| safe.is_ok()).then_some(index) }
        })
        .buffer_unordered(OFFERS_AT_ONCE)
        .collect::<Vec<Option<u32>>>()
        .await;
    reply.confirmed.extend(safe.into_iter().flatten());
    Ok(reply)
}

fn nothing() -> OfferReply {
    OfferReply { wanted: Vec::new(), confirmed: Vec::new(), not_primary: None }
}

fn failed(error: &StoreError) -> Refusal {
    tracing::error!(%error, "this node's store failed");
    Refusal::NotReady
}
