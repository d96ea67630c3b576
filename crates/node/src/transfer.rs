//! Moving records between stores: what a newcomer fetches, what a new primary learns, what a primary spreads.
//!
//! All three compare two stores over a range, a page of keys and versions at a time, and then send only what differs.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use overlay::{Failure, Peer};
use replica::{Difference, Job, Member, Set};
use ring::{Id, Range};
use store::{Cursor, Record, StoreError, Version};
use wire::records::{FetchReply, NewerSet, StoreReply};

use crate::inbox::Input;
use crate::primary::COPY_TIMEOUT;
use crate::shared::Shared;

/// Keys compared at a time.
const PAGE: usize = 2_048;
/// A page or a batch of records may take so long.
const BATCH_TIMEOUT: Duration = Duration::from_secs(5);
/// Records asked for in one call.
const FETCH_KEYS: usize = 512;
/// Bytes of records in one offer, about.
const OFFER_BYTES: usize = 1 << 20;
/// Records sent at a time to one member.
const SENT_AT_ONCE: usize = 32;

/// Why a transfer ended early. Nothing is lost by it: it is begun again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TransferError {
    #[error("{} at {} did not do its part: {failure}", peer.id, peer.addr)]
    Peer { peer: Peer, failure: Failure },
    #[error("{} at {} knows a newer set", .0.id, .0.addr)]
    Outdated(Peer),
    #[error("this node's store: {0}")]
    Store(#[from] StoreError),
    #[error("{answered} of {needed} that are needed answered")]
    TooFew { answered: usize, needed: usize },
}

/// Carries out a job of the sets' control.
pub(crate) async fn run(shared: &Arc<Shared>, job: Job) -> Result<(), String> {
    let result = match job {
        Job::Sync { range, set } => sync(shared, range, &set).await,
        Job::Takeover { range, set, before } => takeover(shared, range, &set, &before).await,
        Job::Spread { range, set, to } => spread(shared, range, &set, &to).await,
    };
    result.map_err(|error| error.to_string())
}

/// A newcomer fetches from a majority of the set, the primary first, and gives the primary what it has newer itself:
/// it may have been in another ring, or away with its disk.
async fn sync(shared: &Arc<Shared>, range: Range, set: &Set) -> Result<(), TransferError> {
    let mut answered = 0;
    for (index, member) in set.members.iter().enumerate() {
        if answered >= set.majority() {
            break;
        }
        let exchanged = match index {
            0 => exchange(shared, range, set, member).await,
            _ => fetch_newer(shared, range, set, member).await,
        };
        match exchanged {
            Ok(()) => answered += 1,
            Err(error) if index == 0 => return Err(error),
            Err(TransferError::Peer { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    enough(answered, set.majority())
}

/// A new primary learns from a majority of the set before, itself counted if it is one of them.
async fn takeover(shared: &Arc<Shared>, range: Range, set: &Set, before: &Set) -> Result<(), TransferError> {
    let me = shared.member();
    let mut answered = usize::from(before.includes(&me));
    let mut others: FuturesUnordered<_> = before
        .members
        .iter()
        .filter(|member| !member.is(&me))
        .map(|member| fetch_newer(shared, range, set, member))
        .collect();
    while answered < before.majority() {
        match others.next().await {
            Some(Ok(())) => answered += 1,
            Some(Err(TransferError::Peer { .. })) => {}
            Some(Err(error)) => return Err(error),
            None => break,
        }
    }
    enough(answered, before.majority())
}

fn enough(answered: usize, needed: usize) -> Result<(), TransferError> {
    if answered >= needed { Ok(()) } else { Err(TransferError::TooFew { answered, needed }) }
}

/// A primary brings one member up to what it holds, and learns what the member has newer.
async fn spread(shared: &Arc<Shared>, range: Range, set: &Set, to: &Member) -> Result<(), TransferError> {
    let mut comparison = Comparison::new(shared, range, set, to);
    let mut learnt = false;
    while let Some(difference) = comparison.next().await? {
        learnt |= !difference.fetch.is_empty();
        comparison.fetch(&keys(difference.fetch)).await?;
        comparison.send(&keys(difference.offer)).await?;
    }
    if learnt {
        // The others may lack it as well.
        let me = shared.member();
        for member in set.members.iter().filter(|member| !member.is(&me) && !member.is(to)) {
            shared.inbox.tell(Input::Lagging { range, number: set.number, member: member.clone() });
        }
    }
    Ok(())
}

async fn exchange(shared: &Arc<Shared>, range: Range, set: &Set, primary: &Member) -> Result<(), TransferError> {
    let mut comparison = Comparison::new(shared, range, set, primary);
    while let Some(difference) = comparison.next().await? {
        comparison.fetch(&keys(difference.fetch)).await?;
        comparison.offer(&keys(difference.offer)).await?;
    }
    Ok(())
}

async fn fetch_newer(shared: &Arc<Shared>, range: Range, set: &Set, from: &Member) -> Result<(), TransferError> {
    let mut comparison = Comparison::new(shared, range, set, from);
    while let Some(difference) = comparison.next().await? {
        comparison.fetch(&keys(difference.fetch)).await?;
    }
    Ok(())
}

fn keys(entries: Vec<Entry>) -> Vec<Bytes> {
    entries.into_iter().map(|entry| entry.key).collect()
}

/// A key, where it lies in the range's own order, and its version.
type Entry = replica::Entry<Id, Bytes, Version>;

/// Walks a range here and at another member side by side.
struct Comparison<'a> {
    shared: &'a Arc<Shared>,
    range: Range,
    set: &'a Set,
    with: &'a Member,
    after: Option<Cursor>,
    done: bool,
}

impl<'a> Comparison<'a> {
    fn new(shared: &'a Arc<Shared>, range: Range, set: &'a Set, with: &'a Member) -> Self {
        Self { shared, range, set, with, after: None, done: false }
    }

    /// The next page's differences; `None` at the end.
    async fn next(&mut self) -> Result<Option<Difference<Id, Bytes, Version>>, TransferError> {
        if self.done {
            return Ok(None);
        }
        let to = self.other();
        let reply = self
            .shared
            .peers
            .list(&to, self.shared.ring(), self.range, self.set.clone(), self.after.clone(), PAGE as u32, BATCH_TIMEOUT)
            .await
            .map_err(|failure| self.failed(failure))?;
        if let Some(NewerSet { range, set }) = reply.newer {
            self.shared.inbox.tell(Input::Newer { range, set });
            return Err(TransferError::Outdated(to.peer));
        }
        let ours = self.ours_until(reply.next.as_ref())?;
        let mut theirs: Vec<Entry> =
            reply.entries.into_iter().map(|entry| self.entry(entry.key, entry.version)).collect();
        theirs.sort_unstable();
        self.done = reply.next.is_none();
        self.after = reply.next;
        Ok(Some(replica::reconcile(ours, theirs)))
    }

    /// What this store has in the same stretch that the other's page covers.
    fn ours_until(&self, end: Option<&Cursor>) -> Result<Vec<Entry>, TransferError> {
        let end = end.map(|cursor| (self.place(cursor.id), cursor.key.clone()));
        let mut ours = Vec::new();
        let mut after = self.after.clone();
        loop {
            let page = self.shared.store.list(self.range, after.as_ref(), PAGE)?;
            for listed in page.entries {
                let entry = self.entry(listed.key, listed.version);
                if end.as_ref().is_some_and(|(place, key)| (&entry.place, &entry.key) > (place, key)) {
                    return Ok(ours);
                }
                ours.push(entry);
            }
            after = page.next;
            if after.is_none() {
                return Ok(ours);
            }
        }
    }

    fn entry(&self, key: Bytes, version: Version) -> Entry {
        Entry { place: self.place(self.shared.place_of(&key)), key, version }
    }

    /// Where an entry comes in the range's own order; the range's start, when it is part of it, comes last.
    fn place(&self, id: Id) -> Id {
        self.range.after.distance_to(id).plus(id.space().max())
    }

    /// Fetches these records from the other and keeps those that are newer.
    async fn fetch(&self, keys: &[Bytes]) -> Result<(), TransferError> {
        let mut keys = keys;
        while !keys.is_empty() {
            let asked = keys[..keys.len().min(FETCH_KEYS)].to_vec();
            let reply = self.shared.peers.fetch(&self.other(), self.shared.ring(), asked, BATCH_TIMEOUT).await;
            let FetchReply { records, taken } = reply.map_err(|failure| self.failed(failure))?;
            let taken = usize::try_from(taken).unwrap_or(usize::MAX);
            if taken == 0 || taken > keys.len() {
                return Err(self.failed(Failure::Unreachable));
            }
            for record in &records {
                self.shared.versions.observe(record.version);
            }
            metrics::counter!("dhtd_records_fetched_total").increment(records.len() as u64);
            self.shared.store.put_many(records).await?;
            keys = &keys[taken..];
        }
        Ok(())
    }

    /// Gives the primary records that are newer here; each is on a majority when this ends well.
    async fn offer(&self, keys: &[Bytes]) -> Result<(), TransferError> {
        let mut rest = keys;
        while !rest.is_empty() {
            let (records, taken) = self.shared.store.fetch(rest, OFFER_BYTES)?;
            rest = &rest[taken.clamp(1, rest.len())..];
            let offered = records.len();
            let to = self.other().peer;
            let reply = self.shared.peers.offer(&to, self.shared.ring(), Vec::new(), records, BATCH_TIMEOUT).await;
            let reply = reply.map_err(|failure| self.failed(failure))?;
            if reply.confirmed.len() < offered {
                return Err(TransferError::TooFew { answered: reply.confirmed.len(), needed: offered });
            }
        }
        Ok(())
    }

    /// Sends the other what it lacks.
    async fn send(&self, keys: &[Bytes]) -> Result<(), TransferError> {
        for batch in keys.chunks(FETCH_KEYS) {
            let mut rest = batch;
            while !rest.is_empty() {
                let (records, taken) = self.shared.store.fetch(rest, usize::MAX)?;
                if taken == 0 {
                    break;
                }
                rest = &rest[taken..];
                self.send_records(records).await?;
            }
        }
        Ok(())
    }

    async fn send_records(&self, records: Vec<Record>) -> Result<(), TransferError> {
        let to = self.other();
        let mut sent = futures::stream::iter(records)
            .map(|record| self.shared.peers.store(&to, self.shared.ring(), self.set.number, record, COPY_TIMEOUT))
            .buffer_unordered(SENT_AT_ONCE);
        while let Some(reply) = sent.next().await {
            match reply.map_err(|failure| self.failed(failure))? {
                StoreReply::Stored { .. } | StoreReply::Superseded(_) => {
                    metrics::counter!("dhtd_records_sent_total").increment(1);
                }
                StoreReply::NewerSet(NewerSet { range, set }) => {
                    self.shared.inbox.tell(Input::Newer { range, set });
                    return Err(TransferError::Outdated(to.peer.clone()));
                }
            }
        }
        Ok(())
    }

    fn other(&self) -> Member {
        self.shared.as_now(self.with)
    }

    fn failed(&self, failure: Failure) -> TransferError {
        let peer = self.other().peer;
        self.shared.inbox.tell(Input::Evidence { peer: peer.clone(), result: Err(failure.clone()) });
        TransferError::Peer { peer, failure }
    }
}
