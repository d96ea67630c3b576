//! Moving records between stores: what a newcomer fetches, what a new primary learns, what a primary repairs.
//!
//! All three compare two stores over a range by digests, list only the parts that differ, and then send only the
//! records that do. So one that was cut short is gone on with where it was: what has been moved is the same on both sides.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use overlay::{Failure, Peer, RingId};
use replica::{Descent, Difference, Job, Look, Member, Set};
use ring::{Id, Range};
use store::{Cursor, Record, StoreError, Version};
use wire::records::{Fetch, FetchReply, NewerSet, StoreReply};

use crate::inbox::Input;
use crate::primary::COPY_TIMEOUT;
use crate::shared::Shared;
use crate::time::wall_ms;
use crate::transfers::UnderWay;
use crate::{doubts, quarantine, strays};

/// Keys compared at a time.
const PAGE: usize = 2_048;
/// A page or a batch of records may take so long.
const BATCH_TIMEOUT: Duration = Duration::from_secs(5);
/// So often it is asked for before the other side counts as silent: one answer that got lost must not end a long transfer.
const ATTEMPTS: u32 = 2;
/// Records asked for in one call, and what they come to in bytes, about: the other side sends no more at a time.
const FETCH_KEYS: usize = 512;
const FETCH_BYTES: u64 = crate::holder::FETCH_BYTES as u64;
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
    #[error("{} at {} has forgotten what it listed", .0.id, .0.addr)]
    Forgotten(Peer),
    #[error("{} at {} refused records that may have been deleted", .0.id, .0.addr)]
    Refused(Peer),
    #[error("this node's store: {0}")]
    Store(#[from] StoreError),
    #[error("{answered} of {needed} that are needed answered")]
    TooFew { answered: usize, needed: usize },
}

/// What becomes of a record that is newer here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Newer {
    /// Nothing: the other side sees to it itself.
    Stays,
    /// The other side is the primary: it has to want it, and bring it to a majority.
    IsOffered,
    /// The other side is a member that this primary brings up.
    IsSent,
}

/// Carries out a job of the sets' control; when it was begun, by the hybrid clock.
pub(crate) async fn run(shared: &Arc<Shared>, job: Job) -> Result<u64, String> {
    // Whatever was given a version before this is in this node's store once no handler acts by what was published then.
    let begun = shared.versions.now(wall_ms()).saturating_sub(1);
    drop(shared.holdings.write().await);
    let result = match job {
        Job::Sync { range, set } => sync(shared, range, &set).await,
        Job::Takeover { range, set, before } => takeover(shared, range, &set, &before).await,
        Job::Spread { range, set, to } => spread(shared, range, &set, &to).await,
    };
    result.map(|()| begun).map_err(|error| error.to_string())
}

/// A newcomer fetches from a majority of the set, the primary first, and gives the primary what it has newer itself:
/// it may have been in another ring, or away with its disk.
async fn sync(shared: &Arc<Shared>, range: Range, set: &Set) -> Result<(), TransferError> {
    let mut answered = 0;
    for (index, member) in set.members.iter().enumerate() {
        if answered >= set.majority() {
            break;
        }
        let newer = if index == 0 { Newer::IsOffered } else { Newer::Stays };
        match compare(shared, "fetching", range, set, member, newer).await {
            Ok(_) => answered += 1,
            Err(error) if index == 0 => return Err(error),
            Err(TransferError::Peer { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    enough(answered, set.majority())
}

/// A new primary learns from the set before, itself counted if it is one of them: [`Set::needs_of`].
async fn takeover(shared: &Arc<Shared>, range: Range, set: &Set, before: &Set) -> Result<(), TransferError> {
    let me = shared.member();
    let mut answered = usize::from(before.includes(&me));
    let mut others: FuturesUnordered<_> = before
        .members
        .iter()
        .filter(|member| !member.is(&me))
        .map(|member| compare(shared, "taking over", range, set, member, Newer::Stays))
        .collect();
    let needed = set.needs_of(before);
    while answered < needed {
        match others.next().await {
            Some(Ok(_)) => answered += 1,
            Some(Err(TransferError::Peer { .. })) => {}
            Some(Err(error)) => return Err(error),
            None => break,
        }
    }
    enough(answered, needed)
}

fn enough(answered: usize, needed: usize) -> Result<(), TransferError> {
    if answered >= needed { Ok(()) } else { Err(TransferError::TooFew { answered, needed }) }
}

/// A primary brings one member up to what it holds, and learns what the member has newer.
async fn spread(shared: &Arc<Shared>, range: Range, set: &Set, to: &Member) -> Result<(), TransferError> {
    let learnt = compare(shared, "repairing", range, set, to, Newer::IsSent).await?;
    if learnt {
        // The others may lack it as well.
        let me = shared.member();
        for member in set.members.iter().filter(|member| !member.is(&me) && !member.is(to)) {
            shared.inbox.tell(Input::Lagging { range, number: set.number, member: member.clone() });
        }
    }
    Ok(())
}

/// Takes over what another member has newer, and does with what is newer here as it is told. Whether anything was newer there.
async fn compare(
    shared: &Arc<Shared>,
    kind: &'static str,
    range: Range,
    set: &Set,
    with: &Member,
    newer: Newer,
) -> Result<bool, TransferError> {
    let mut comparison = Comparison::begin(shared, kind, range, set, with);
    let (mut learnt, mut set_aside) = (false, false);
    while let Some(Difference { fetch, offer }) = comparison.next_difference().await? {
        learnt |= !fetch.is_empty();
        comparison.fetch(&keys(fetch)).await?;
        match newer {
            Newer::Stays => {}
            Newer::IsOffered => set_aside |= comparison.offer(offer).await?,
            Newer::IsSent => comparison.send(&keys(offer)).await?,
        }
    }
    // What the other has forgotten nobody must bring back here either.
    shared.store.raise_horizon(comparison.horizon).await?;
    // What was set aside may have come from somebody else meanwhile: all is compared anew.
    if set_aside { Err(TransferError::Refused(comparison.other().peer)) } else { Ok(learnt) }
}

/// A key, where it lies in the range's own order, and its version.
pub(crate) type Entry = replica::Entry<Id, Bytes, Version>;

/// Walks a range here and at another member side by side. By itself it moves nothing.
pub(crate) struct Comparison<'a> {
    shared: &'a Arc<Shared>,
    under_way: UnderWay<'a>,
    /// The ring that it was begun in.
    ring: Option<RingId>,
    range: Range,
    set: &'a Set,
    with: &'a Member,
    descent: Descent,
    /// The part that is being listed, and the entry before the next page of it.
    listed: Option<(Range, Option<Cursor>)>,
    horizon: u64,
}

impl<'a> Comparison<'a> {
    /// At its beginning; `kind` is what `dht status` calls it.
    pub(crate) fn begin(
        shared: &'a Arc<Shared>,
        kind: &'static str,
        range: Range,
        set: &'a Set,
        with: &'a Member,
    ) -> Self {
        let under_way = shared.transfers.begin(kind, range, with.peer.clone());
        Self {
            shared,
            under_way,
            ring: shared.ring(),
            range,
            set,
            with,
            descent: Descent::new(range),
            listed: None,
            horizon: 0,
        }
    }

    /// What the next page differs in; none at the end.
    pub(crate) async fn next_difference(&mut self) -> Result<Option<Difference<Id, Bytes, Version>>, TransferError> {
        loop {
            if let Some((part, after)) = self.listed.take() {
                let (difference, next) = self.page(part, after.as_ref()).await?;
                self.listed = next.map(|next| (part, Some(next)));
                return Ok(Some(difference));
            }
            match self.descent.next_look() {
                Some(Look::Compare { cuts, parts }) => self.digest(cuts, parts).await?,
                Some(Look::List(part)) => self.listed = Some((part, None)),
                None => return Ok(None),
            }
        }
    }

    /// Compares parts of the range by what they come to.
    async fn digest(&mut self, cuts: Vec<Range>, parts: u32) -> Result<(), TransferError> {
        let pieces: Vec<Range> = cuts.iter().flat_map(|cut| cut.cut(parts)).collect();
        let (shared, ring) = (self.shared, self.ring);
        let ask = |to: Member| {
            let (holder, range, set, cuts) = (to.store, self.range, self.set.clone(), cuts.clone());
            let question = wire::records::Digest { holder, range, set, cuts, parts };
            async move { shared.peers.digest(&to, ring, question, BATCH_TIMEOUT).await }
        };
        let reply = self.answer(ask).await?;
        self.not_outdated(reply.newer)?;
        if reply.digests.len() != pieces.len() {
            return Err(self.failed(Failure::Unreachable));
        }
        self.horizon = self.horizon.max(reply.horizon);
        let first = parts == 1;
        for (piece, theirs) in pieces.into_iter().zip(reply.digests) {
            let ours = self.shared.store.digest(piece)?;
            if first {
                self.under_way.is_of(ours.count.max(theirs.count));
            }
            if ours == theirs {
                self.under_way.compared(ours.count);
            }
            self.descent.compared(piece, ours == theirs, ours.count, theirs.count);
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// What a page differs in, and where the next one begins.
    async fn page(
        &self,
        part: Range,
        after: Option<&Cursor>,
    ) -> Result<(Difference<Id, Bytes, Version>, Option<Cursor>), TransferError> {
        let ask = |to: Member| {
            let (holder, set, after) = (to.store, self.set.clone(), after.cloned());
            let question = wire::records::List { holder, range: part, set, after, limit: PAGE as u32 };
            async move { self.shared.peers.list(&to, self.ring, question, BATCH_TIMEOUT).await }
        };
        let reply = self.answer(ask).await?;
        self.not_outdated(reply.newer)?;
        let page = self.shared.store.list(part, after, PAGE)?;
        // The two can be compared as far as both pages go.
        let place = |cursor: &Cursor| (place_in(part, cursor.id), cursor.key.clone());
        let next = page.next.into_iter().chain(reply.next).min_by_key(place);
        let end = next.as_ref().map(place);
        let is_covered =
            |entry: &Entry| end.as_ref().is_none_or(|(place, key)| (&entry.place, &entry.key) <= (place, key));
        let entry = |listed: store::Listed| self.entry(part, listed.key, listed.version);
        let ours: Vec<Entry> = page.entries.into_iter().map(entry).filter(is_covered).collect();
        let entry = |listed: wire::records::Listed| self.entry(part, listed.key, listed.version);
        let mut theirs: Vec<Entry> = reply.entries.into_iter().map(entry).filter(is_covered).collect();
        theirs.sort_unstable();
        self.under_way.compared(ours.len().max(theirs.len()) as u64);
        Ok((replica::reconcile(ours, theirs), next))
    }

    fn entry(&self, part: Range, key: Bytes, version: Version) -> Entry {
        Entry { place: place_in(part, self.shared.place_of(&key)), key, version }
    }

    /// Fetches these records from the other and keeps those that are newer.
    async fn fetch(&self, keys: &[Bytes]) -> Result<(), TransferError> {
        let mut keys = keys;
        while !keys.is_empty() {
            let asked = keys[..keys.len().min(FETCH_KEYS)].to_vec();
            let leave = self.under_way.fetch(FETCH_BYTES).await;
            let ask = |to: Member| {
                let (range, number, keys) = (self.range, self.set.number, asked.clone());
                let question = Fetch { holder: to.store, range, number, keys };
                async move { self.shared.peers.fetch(&to, self.ring, question, BATCH_TIMEOUT).await }
            };
            let FetchReply { records, taken, newer } = self.answer(ask).await?;
            self.not_outdated(newer)?;
            let taken = usize::try_from(taken).unwrap_or(usize::MAX);
            if taken == 0 || taken > keys.len() {
                return Err(self.failed(Failure::Unreachable));
            }
            for record in &records {
                self.shared.versions.observe(record.version, wall_ms());
            }
            let all_there = records.len() == taken;
            leave.fetched(records.len() as u64, bytes_of(&records));
            doubts::put_many(self.shared, records).await?;
            // A deletion that went meanwhile would leave here what it hid: whoever compares again finds that out.
            if !all_there {
                return Err(TransferError::Forgotten(self.other().peer));
            }
            keys = &keys[taken..];
        }
        Ok(())
    }

    /// Gives the primary records that are newer here; each is on a majority when this ends well, or was set aside.
    /// Whether any was set aside.
    async fn offer(&self, entries: Vec<Entry>) -> Result<bool, TransferError> {
        let keys = keys(entries);
        let mut set_aside = false;
        let mut rest = keys.as_slice();
        while !rest.is_empty() {
            let (records, taken) = self.shared.store.fetch(rest, OFFER_BYTES)?;
            rest = &rest[taken.clamp(1, rest.len())..];
            self.under_way.send(records.len() as u64, bytes_of(&records)).await;
            let records = &records;
            let ask =
                |to: Member| async move { strays::offer_records(self.shared, &to.peer, records, BATCH_TIMEOUT).await };
            let reply = self.answer(ask).await?;
            let to = self.other().peer;
            quarantine::set_aside(self.shared, &to, records, &reply.quarantined).await?;
            set_aside |= !reply.quarantined.is_empty();
            let dealt_with = reply.confirmed.len() + reply.quarantined.len();
            if dealt_with < records.len() {
                return Err(TransferError::TooFew { answered: dealt_with, needed: records.len() });
            }
        }
        Ok(set_aside)
    }

    /// Sends the other what it lacks.
    async fn send(&self, keys: &[Bytes]) -> Result<(), TransferError> {
        for batch in keys.chunks(SENT_AT_ONCE) {
            let mut rest = batch;
            while !rest.is_empty() {
                let (records, taken) = self.shared.store.fetch(rest, OFFER_BYTES)?;
                if taken == 0 {
                    break;
                }
                rest = &rest[taken..];
                self.under_way.send(records.len() as u64, bytes_of(&records)).await;
                self.send_records(records).await?;
            }
        }
        Ok(())
    }

    async fn send_records(&self, records: Vec<Record>) -> Result<(), TransferError> {
        let to = self.other();
        let mut sent = futures::stream::iter(records)
            .map(|record| self.shared.peers.store(&to, self.ring, self.set.number, record, COPY_TIMEOUT))
            .buffer_unordered(SENT_AT_ONCE);
        while let Some(reply) = sent.next().await {
            match reply.map_err(|failure| self.failed(failure))? {
                StoreReply::Stored { .. } | StoreReply::Superseded(_) => {}
                StoreReply::NewerSet(newer) => self.not_outdated(Some(newer))?,
            }
        }
        Ok(())
    }

    /// Asks the other side until it answers, or has not for too often.
    async fn answer<R, A>(&self, ask: impl Fn(Member) -> A) -> Result<R, TransferError>
    where
        A: Future<Output = Result<R, Failure>>,
    {
        let mut attempt = 1;
        loop {
            match ask(self.other()).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => {
                    let passing = failure == Failure::TimedOut;
                    let error = self.failed(failure);
                    if !passing || attempt == ATTEMPTS {
                        return Err(error);
                    }
                }
            }
            attempt += 1;
        }
    }

    fn other(&self) -> Member {
        self.shared.as_now(self.with)
    }

    fn not_outdated(&self, newer: Option<NewerSet>) -> Result<(), TransferError> {
        let Some(NewerSet { range, set }) = newer else { return Ok(()) };
        self.shared.inbox.tell(Input::Newer { ring: self.ring, range, set });
        Err(TransferError::Outdated(self.other().peer))
    }

    fn failed(&self, failure: Failure) -> TransferError {
        let peer = self.other().peer;
        self.shared.inbox.tell(Input::Evidence { peer: peer.clone(), result: Err(failure.clone()) });
        TransferError::Peer { peer, failure }
    }
}

fn keys(entries: Vec<Entry>) -> Vec<Bytes> {
    entries.into_iter().map(|entry| entry.key).collect()
}

fn bytes_of(records: &[Record]) -> u64 {
    records.iter().map(|record| record.byte_len() as u64).sum()
}

/// Where an entry comes in a range's own order; the range's start, when it is part of it, comes last.
fn place_in(range: Range, id: Id) -> Id {
    range.after.distance_to(id).plus(id.space().max())
}
