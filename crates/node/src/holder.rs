//! A holder's side: keep this copy, what do you hold, list a range, give these records, take these strays.
//! And, for showing alone, what a node has of a key and is to its range.

use std::sync::Arc;

use futures::StreamExt;
use overlay::{Refusal, RingId};
use replica::{Holding, Member, Offered, Request, Role, Service, Set, Terms, Verdict, has_deletion};
use ring::Range;
use store::{Put, Record, StoreError, Version};
use wire::records::{
    Digest, DigestReply, Fetch, FetchReply, Forget, ForgetReply, Held, List, ListReply, Listed, LookReply, NewerSet,
    Offer, OfferReply, Outcome, Part, ReadReply, Sight, StoreReply,
};

use crate::part::Primary;
use crate::shared::Shared;
use crate::time::wall_ms;
use crate::{primary, trouble};

/// Entries in one page of a listing at most.
pub(crate) const PAGE_MAX: usize = 4_096;
/// Bytes of records in one answer, about: the transport's own limit is the value limit and a bit.
pub(crate) const FETCH_BYTES: usize = 1 << 20;
/// Strays that one offer brings to a majority at a time.
const OFFERS_AT_ONCE: usize = 64;

/// Keeps a copy that a primary sends.
pub(crate) async fn store(shared: &Shared, number: u64, record: Record) -> Result<StoreReply, Refusal> {
    let id = shared.place_of(&record.key);
    shared.versions.observe(record.version, wall_ms());
    let holdings = shared.holdings.read().await;
    if let Some(newer) = instead(holdings.takes_copy(id, number))? {
        return Ok(StoreReply::NewerSet(newer));
    }
    match shared.store.put(record).await {
        Ok(Put::Stored { durable }) => Ok(StoreReply::Stored { durable }),
        Ok(Put::Superseded(newer)) => Ok(StoreReply::Superseded(newer)),
        Err(error) => Err(failed(&error)),
    }
}

/// Says what this member holds of a key, where that counts.
pub(crate) async fn read(
    shared: &Shared,
    number: u64,
    key: &[u8],
    have: Option<Version>,
) -> Result<ReadReply, Refusal> {
    let holdings = shared.holdings.read().await;
    if let Some(newer) = instead(holdings.answers_read(shared.place_of(key), number))? {
        return Ok(ReadReply::NewerSet(newer));
    }
    match shared.store.get(key) {
        Ok(None) => Ok(ReadReply::Absent),
        Ok(Some(record)) if Some(record.version) > have => Ok(ReadReply::Record(record)),
        Ok(Some(record)) => Ok(ReadReply::Version(record.version)),
        Err(error) => Err(failed(&error)),
    }
}

/// Shows what this node has of a key, and what it is to its range.
pub(crate) async fn look(shared: &Shared, key: &[u8]) -> Result<LookReply, Refusal> {
    let sight = shared.holdings.read().await.find(shared.place_of(key)).map(sight);
    let held = shared.store.get(key).map_err(|error| failed(&error))?.map(|record| held(&record));
    let read_only = shared.is_read_only().is_some();
    Ok(LookReply { sight, held, durable: shared.store.is_durable(), store: shared.store.number(), read_only })
}

/// What this node knows of a range, and is to it, as it is shown.
pub(crate) fn sight(holding: &Holding) -> Sight {
    let (part, settled, learners) = match &holding.role {
        Role::Primary { learners, settled } => (Part::Primary, *settled, learners.as_slice()),
        Role::TakingOver => (Part::TakingOver, false, [].as_slice()),
        Role::Member => (Part::Member, false, [].as_slice()),
        Role::Newcomer => (Part::Newcomer, false, [].as_slice()),
        Role::Outside => (Part::Outside, false, [].as_slice()),
    };
    Sight {
        range: holding.range,
        set: holding.set.clone(),
        part,
        settled,
        fenced: holding.fenced,
        learners: learners.iter().map(|learner| learner.member.clone()).collect(),
        missing: holding.missing.iter().chain(&holding.read_only).cloned().collect(),
    }
}

fn held(record: &Record) -> Held {
    Held { version: record.version, tombstone: record.is_tombstone(), expires_at_ms: record.expires_at_ms }
}

/// Lists a range, a page at a time, under `set`: whoever knows only older sets there takes this one over
/// first, and so takes part in nothing older any more.
pub(crate) async fn list(
    shared: &Shared,
    ring: Option<RingId>,
    from: &Member,
    asked: List,
) -> Result<ListReply, Refusal> {
    let List { range, set, after, limit, .. } = asked;
    if let Some(newer) = take_over_set(shared, ring, from, range, &set).await? {
        return Ok(ListReply { entries: Vec::new(), next: None, newer: Some(newer) });
    }
    let page = shared
        .store
        .list(range, after.as_ref(), (limit as usize).clamp(1, PAGE_MAX))
        .map_err(|error| failed(&error))?;
    let entries = page.entries.into_iter().map(|entry| Listed { key: entry.key, version: entry.version }).collect();
    Ok(ListReply { entries, next: page.next, newer: None })
}

/// What parts of a range come to, under `set` as for [`list`].
pub(crate) async fn digest(
    shared: &Shared,
    ring: Option<RingId>,
    from: &Member,
    asked: Digest,
) -> Result<DigestReply, Refusal> {
    let Digest { range, set, cuts, parts, .. } = asked;
    if let Some(newer) = take_over_set(shared, ring, from, range, &set).await? {
        return Ok(DigestReply { digests: Vec::new(), newer: Some(newer), horizon: 0 });
    }
    // Read first: what is forgotten between is a difference that is found, not one that is missed.
    let horizon = shared.store.horizon();
    let mut digests = Vec::new();
    for cut in cuts {
        for part in cut.cut(parts) {
            digests.push(shared.store.digest(part).map_err(|error| failed(&error))?);
        }
        tokio::task::yield_now().await;
    }
    Ok(DigestReply { digests, newer: None, horizon })
}

/// Takes `set`, of that ring, over where only older ones are known; the newer one that is known instead, if so. Once this returns
/// nothing that was begun under an older set goes on here.
async fn take_over_set(
    shared: &Shared,
    ring: Option<RingId>,
    from: &Member,
    range: Range,
    set: &Set,
) -> Result<Option<NewerSet>, Refusal> {
    if shared.holdings.read().await.over(range).any(|holding| holding.set.number < set.number) {
        let install = Request::Install { range, set: set.clone(), before: None, whole: 0 };
        shared.inbox.control(ring, from.clone(), vec![install]).await.map_err(|_| Refusal::Busy)?;
    }
    instead(shared.holdings.read().await.lists(range, set.number))
}

/// Says which deletions this member has, and forgets them when told to.
pub(crate) async fn forget(shared: &Shared, asked: Forget) -> Result<ForgetReply, Refusal> {
    let Forget { number, entries, horizon, .. } = asked;
    let holdings = shared.holdings.read().await;
    let (mut held, mut gone) = (Vec::new(), Vec::new());
    for (index, Listed { key, version }) in (0u32..).zip(entries) {
        if let Some(newer) = instead(holdings.votes_to_forget(shared.place_of(&key), number))? {
            return Ok(ForgetReply { held: Vec::new(), newer: Some(newer) });
        }
        let record = shared.store.get(&key).map_err(|error| failed(&error))?;
        if has_deletion(record.map(|record| (record.version, record.is_tombstone())), &version) {
            held.push(index);
            gone.push((key, version));
        }
    }
    if let Some(horizon) = horizon {
        // First, so that nobody finds them gone and the horizon below.
        shared.store.raise_horizon(horizon).await.map_err(|error| failed(&error))?;
        shared.store.forget(gone).await.map_err(|error| failed(&error))?;
    }
    Ok(ForgetReply { held, newer: None })
}

fn newer(holding: &Holding) -> NewerSet {
    NewerSet { range: holding.range, set: holding.set.clone() }
}

/// What to answer instead, where a holder does not do what it is asked: the newer set that it knows, or a refusal.
fn instead(verdict: Verdict<'_>) -> Result<Option<NewerSet>, Refusal> {
    match verdict {
        Verdict::Does => Ok(None),
        Verdict::Newer(holding) => Ok(Some(newer(holding))),
        Verdict::Fenced => Err(Refusal::Busy),
        Verdict::NoPart => Err(Refusal::NotReady),
    }
}

/// Gives as many of these records, in order, as fit in an answer; as they are under the set that they were listed under.
pub(crate) async fn fetch(shared: &Shared, asked: Fetch) -> Result<FetchReply, Refusal> {
    let holdings = shared.holdings.read().await;
    if let Some(newer) = instead(holdings.lists(asked.range, asked.number))? {
        return Ok(FetchReply { records: Vec::new(), taken: 0, newer: Some(newer) });
    }
    let (records, taken) = shared.store.fetch(&asked.keys, FETCH_BYTES).map_err(|error| failed(&error))?;
    Ok(FetchReply { records, taken: u32::try_from(taken).unwrap_or(u32::MAX), newer: None })
}

/// Takes strays, as the primary of their ranges: names those that it wants, confirms those that are safe here.
pub(crate) async fn offer(
    shared: &Arc<Shared>,
    from: &Member,
    Offer { entries, records, held_at }: Offer,
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
    let terms = || Terms { held_at, horizon: shared.store.horizon(), drift: shared.config.clock_drift_max };
    for (index, entry) in (0u32..).zip(entries) {
        let holding = holdings.find(shared.place_of(&entry.key));
        let serves = |holding: &Holding| matches!(holding.service(), Service::Serves(_)) && !holding.counts_on(from);
        if !holding.is_some_and(serves) {
            continue;
        }
        let known = shared.store.get(&entry.key).map_err(|error| failed(&error))?;
        let version = known.as_ref().map(|record| &record.version);
        match (terms().on_listed(&entry.version, entry.version.clock, version), known) {
            (Offered::Secured, Some(record)) => held.push((index, record)),
            (Offered::SetAside, _) => reply.quarantined.push(index),
            (Offered::Wanted | Offered::Secured, _) => reply.wanted.push(index),
        }
    }
    for (index, record) in (0u32..).skip(offset).zip(records) {
        let known = shared.store.get(&record.key).map_err(|error| failed(&error))?.is_some();
        match terms().on_sent(record.version.clock, known) {
            Offered::SetAside => reply.quarantined.push(index),
            Offered::Wanted | Offered::Secured => held.push((index, record)),
        }
    }
    // What is here may be here alone: only a majority makes it safe.
    let safe = futures::stream::iter(held)
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
    OfferReply { wanted: Vec::new(), confirmed: Vec::new(), not_primary: None, quarantined: Vec::new() }
}

fn failed(error: &StoreError) -> Refusal {
    trouble::of_store(&error.to_string());
    Refusal::NotReady
}
