//! How far the records that this node is the primary of are from their full number of copies, for `dht verify`.
//!
//! Each range is compared with every other member of its set as for a transfer, but nothing is moved; then this node's
//! own records are gone through. Only what differs is held in memory.

mod ranges;
mod tally;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::future::join_all;
use futures::stream;
use overlay::Failure;
use replica::{Difference, Holding, Member, Role};
use store::StoreError;
use tokio::time::{Instant, timeout};
use transport::Verified;
use wire::{WireForm, v1};

use self::ranges::{as_now, serves, still_serves};
use self::tally::{Differing, How, Tally, wanted};
use crate::primary::COPY_TIMEOUT;
use crate::shared::Shared;
use crate::time::wall_ms;
use crate::transfer::{Comparison, TransferError};

/// Records gone through at a time.
const PAGE: usize = 2_048;
/// Keys named in one message at most: they have to fit in it.
const NAMED_MAX: usize = 1_000;
/// A write reaches its holders within this time, or missed them.
const ON_ITS_WAY_MS: u64 = 1_000;
/// Keys that one member is asked about at the same time.
const LOOKS_AT_ONCE: usize = 32;
/// Of the time that is left, a member that keeps silent is waited for this part: all others are still to be compared.
const PATIENCE: u32 = 3;

/// Compares one range after another; each is told as soon as it is done, and nothing goes on for a caller that has gone.
/// `budget` is how long the caller waits for all of them.
pub(crate) async fn verify(shared: &Arc<Shared>, named_max: u32, budget: Option<Duration>) -> Verified {
    let holdings = Arc::clone(&*shared.holdings.read().await);
    let is_own = |holding: &&Holding| matches!(holding.role, Role::Primary { .. } | Role::TakingOver);
    let verification = Verification {
        shared: Arc::clone(shared),
        open: holdings.ranges.iter().filter(is_own).cloned().collect(),
        done: 0,
        named_max: usize::try_from(named_max).unwrap_or(usize::MAX),
        silent: Vec::new(),
        deadline: budget.map(|budget| Instant::now() + budget),
    };
    let each = async |mut verification: Verification| {
        let holding = verification.next().await?;
        let range = verification.look_at(&holding).await;
        Some((Ok(range), verification))
    };
    stream::unfold(verification, each).boxed()
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// How far it is.
struct Verification {
    shared: Arc<Shared>,
    /// What is to be looked at.
    open: VecDeque<Holding>,
    done: u32,
    /// Keys that may still be named.
    named_max: usize,
    /// Members that did not answer: they are told once, and not waited for again.
    silent: Vec<Member>,
    /// When the caller stops waiting.
    deadline: Option<Instant>,
}

/// Why a range could not be verified.
#[derive(Debug, thiserror::Error)]
enum Unverified {
    #[error("it is changing hands; look again in a moment")]
    ChangingHands,
    #[error("the primary's store failed: {0}")]
    Store(#[from] StoreError),
}

impl Verification {
    /// The next range, by what is known of it now.
    async fn next(&mut self) -> Option<Holding> {
        let then = self.open.pop_front()?;
        let now = as_now(&*self.shared.holdings.read().await, &then);
        now.into_iter().rev().for_each(|part| self.open.push_front(part));
        self.open.pop_front()
    }

    async fn look_at(&mut self, holding: &Holding) -> v1::VerifyResponse {
        self.done += 1;
        let mut problems = Vec::new();
        let mut tally = self.tally(holding);
        let counted = self.count(holding, &mut tally, &mut problems).await;
        let mut range = v1::VerifyResponse {
            me: Some(self.shared.me().to_message()),
            ranges: self.done.saturating_add(count(self.open.len())),
            done: self.done,
            range: Some(holding.range.to_message()),
            problems,
            ..v1::VerifyResponse::default()
        };
        match counted {
            Ok(()) => {
                self.named_max -= tally.named.len();
                (range.records, range.below) = (tally.records, tally.below);
                (range.wanted, range.named) = (tally.wanted, tally.named);
            }
            Err(why) => range.unverified = why.to_string(),
        }
        range
    }

    fn tally(&self, holding: &Holding) -> Tally {
        let (view, config) = (self.shared.view(), &self.shared.config);
        Tally {
            wanted: wanted(config.replicas, view.me.id, &view.known, &holding.set.members),
            answered: 1,
            // The primary keeps its own copy first: what was written just before may still have been on its way.
            settled_before_ms: wall_ms().saturating_sub(ON_ITS_WAY_MS),
            named_max: self.named_max.min(NAMED_MAX),
            records: 0,
            below: 0,
            named: Vec::new(),
        }
    }

    /// Compares a range with all members of its set at the same time, then goes through its records.
    async fn count(
        &mut self,
        holding: &Holding,
        tally: &mut Tally,
        problems: &mut Vec<String>,
    ) -> Result<(), Unverified> {
        if !serves(holding) {
            return Err(Unverified::ChangingHands);
        }
        let me = self.shared.member();
        let others = holding.set.members.iter().filter(|member| !member.is(&me));
        let asked: Vec<&Member> = others.filter(|member| !self.silent.iter().any(|one| one.is(member))).collect();
        let compared = join_all(asked.iter().map(|member| self.compare(holding, member))).await;
        let mut differing: BTreeMap<Bytes, Differing> = BTreeMap::new();
        for (member, compared) in asked.into_iter().zip(compared) {
            match compared {
                Ok(differences) => {
                    tally.answered += 1;
                    differences.into_iter().for_each(|(key, how)| differing.entry(key).or_default().add(how));
                }
                Err(TransferError::Store(error)) => return Err(error.into()),
                Err(TransferError::Outdated(_)) => return Err(Unverified::ChangingHands),
                Err(error) => {
                    problems.push(silence(&error));
                    self.silent.push(member.clone());
                }
            }
        }
        self.go_through(holding, differing, tally).await?;
        let still_serves = still_serves(&*self.shared.holdings.read().await, holding);
        if still_serves { Ok(()) } else { Err(Unverified::ChangingHands) }
    }

    /// Where one member differs from this node.
    async fn compare(&self, holding: &Holding, member: &Member) -> Result<Vec<(Bytes, How)>, TransferError> {
        let mut comparison = Comparison::begin(&self.shared, "verifying", holding.range, &holding.set, member);
        let mut differences = Vec::new();
        while let Some(Difference { fetch, offer }) = self.patiently(member, comparison.next_difference()).await? {
            differences.extend(offer.into_iter().map(|entry| (entry.key, How::Behind)));
            differences.extend(self.ahead(member, fetch.into_iter().map(|entry| entry.key).collect()).await?);
        }
        Ok(differences)
    }

    /// A step of a comparison, as long as a member may keep silent.
    async fn patiently<T>(
        &self,
        member: &Member,
        step: impl Future<Output = Result<T, TransferError>>,
    ) -> Result<T, TransferError> {
        let Some(deadline) = self.deadline else { return step.await };
        let patience = deadline.saturating_duration_since(Instant::now()) / PATIENCE;
        let silent = || TransferError::Peer { peer: self.shared.as_now(member).peer, failure: Failure::TimedOut };
        timeout(patience, step).await.unwrap_or_else(|_| Err(silent()))
    }

    /// What a member has newer: a listing does not tell deletions from records.
    async fn ahead(&self, member: &Member, keys: Vec<Bytes>) -> Result<Vec<(Bytes, How)>, TransferError> {
        let to = self.shared.as_now(member).peer;
        let looks = keys.into_iter().map(async |key: Bytes| {
            (self.shared.peers.look(&to, self.shared.ring(), key.clone(), COPY_TIMEOUT).await, key)
        });
        let mut looks = stream::iter(looks).buffer_unordered(LOOKS_AT_ONCE);
        let mut ahead = Vec::new();
        while let Some((reply, key)) = looks.next().await {
            let reply = reply.map_err(|failure| TransferError::Peer { peer: to.clone(), failure })?;
            ahead.extend(reply.held.map(|held| (key, How::Ahead(held.version, held.tombstone))));
        }
        Ok(ahead)
    }

    /// Counts what is here, then what is elsewhere alone.
    async fn go_through(
        &self,
        holding: &Holding,
        mut differing: BTreeMap<Bytes, Differing>,
        tally: &mut Tally,
    ) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            let page = self.shared.store.list(holding.range, after.as_ref(), PAGE)?;
            for entry in page.entries {
                let differing = differing.remove(&entry.key).unwrap_or_default();
                tally.count(&entry.key, Some((entry.version, entry.tombstone)), &differing);
            }
            after = page.next;
            if after.is_none() {
                break;
            }
            tokio::task::yield_now().await;
        }
        for (key, differing) in differing {
            tally.count(&key, None, &differing);
        }
        Ok(())
    }
}

/// Why a member counts as holding nothing.
fn silence(error: &TransferError) -> String {
    match error {
        TransferError::Peer { peer, failure: Failure::Refused(why) } => {
            format!("{} at {} does not let itself be compared ({why})", peer.id, peer.addr)
        }
        TransferError::Peer { peer, failure } => format!("{} at {} does not answer ({failure})", peer.id, peer.addr),
        other => other.to_string(),
    }
}
