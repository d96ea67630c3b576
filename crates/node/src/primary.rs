//! The owner's side of an operation: order the key's writes, bring each to a majority, read from a majority.
//!
//! "Copies" in `docs/architecture.md` is what this file does. Everything runs in the handler's own task (writes in a
//! tracked one, so that a caller that goes away never leaves half a write), beside the driver.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use overlay::{Failure, Refusal};
use replica::{Conclusion, Member, Need, QuorumState, ReadQuorum, Readings, WriteQuorum};
use ring::{Id, Range};
use store::{Put, Record, StoreError, Version};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use wire::records::{Ack, Condition, Consistency, NewerSet, Operation, Outcome, ReadReply, Reason, StoreReply};

use crate::inbox::Input;
use crate::part::{Primary, takes_no_write, unavailable};
use crate::pointers::announce_key;
use crate::shared::Shared;
use crate::time::wall_ms;
use crate::{doubts, hints, trouble};

/// How long a copy may take before its holder counts as silent for this operation.
pub(crate) const COPY_TIMEOUT: Duration = Duration::from_millis(1_000);
/// A record that came from elsewhere waits so long for the key's writes.
const SECURE_TIMEOUT: Duration = Duration::from_secs(4);
/// A write that keeps meeting newer versions gives up; each round moves this node's clock past them.
const ROUNDS_MAX: usize = 8;

/// Carries out a user's operation if this node is the primary for its key; says who is if not.
/// Nobody waits for the answer after `deadline`.
pub(crate) async fn execute(shared: &Arc<Shared>, operation: Operation, deadline: Instant) -> Outcome {
    match operation {
        Operation::Get { key, consistency } => {
            read(shared, key, need(consistency, shared.config.read_quorum), deadline).await
        }
        Operation::Put { key, value, ttl_ms, condition, consistency } => {
            let expires_at_ms = ttl_ms.map(|ttl_ms| wall_ms().saturating_add(ttl_ms));
            let need = need(consistency, shared.config.write_quorum);
            tracked(shared, Change { key, value: Some(value), expires_at_ms, condition, need, deadline }).await
        }
        Operation::Delete { key, condition, consistency } => {
            let need = need(consistency, shared.config.write_quorum);
            tracked(shared, Change { key, value: None, expires_at_ms: None, condition, need, deadline }).await
        }
    }
}

fn need(consistency: Consistency, configured: Need) -> Need {
    match consistency {
        Consistency::Default => configured,
        Consistency::One => Need::Copies(1),
        Consistency::Quorum => Need::Majority,
        Consistency::All => Need::All,
    }
}

/// What a write makes of a record.
struct Change {
    key: Bytes,
    /// `None`: delete.
    value: Option<Bytes>,
    expires_at_ms: Option<u64>,
    condition: Option<Condition>,
    need: Need,
    deadline: Instant,
}

impl Change {
    fn record(&self, version: Version) -> Record {
        Record { key: self.key.clone(), version, expires_at_ms: self.expires_at_ms, value: self.value.clone() }
    }

    /// The present version, if the condition does not hold.
    fn refused_by(&self, current: Option<&Record>) -> Option<Option<Version>> {
        let live = current.filter(|record| record.is_live(wall_ms())).map(|record| record.version);
        let holds = match &self.condition {
            None => true,
            Some(Condition::IfAbsent) => live.is_none(),
            Some(Condition::IfVersion(version)) => live == Some(*version),
        };
        (!holds).then_some(live)
    }
}

async fn tracked(shared: &Arc<Shared>, change: Change) -> Outcome {
    let owned = Arc::clone(shared);
    let task = shared.tasks.spawn(async move { write(&owned, change).await });
    task.await.unwrap_or_else(|error| broken(&error.to_string()))
}

async fn write(shared: &Arc<Shared>, change: Change) -> Outcome {
    let place = shared.place_of(&change.key);
    // A write that waited until its caller gave up must not overwrite what was written since.
    let ordered = timeout_at(change.deadline, shared.locks.lock(place)).await;
    // Nor may one that slept with its process: what was written and deleted since may be forgotten by now.
    let (Ok(_ordered), true) = (ordered, Instant::now() < change.deadline) else {
        return unavailable("earlier writes of this key took too long");
    };
    let mut above = None;
    let mut sent = false;
    for _ in 0..ROUNDS_MAX {
        let (primary, record, durable) = match write_here(shared, &change, place, above).await {
            Ok(Here::Stored(primary, record, durable)) => (primary, record, durable),
            Ok(Here::Superseded(version)) => {
                above = Some(version);
                continue;
            }
            Ok(Here::Refused(primary, own)) => match refusal(shared, &change, place, &primary, own).await {
                Ok(None) => continue,
                Ok(Some(_)) | Err(_) if sent => return unknown("the write met a newer version"),
                Ok(Some(current)) => return Outcome::ConditionFailed { current },
                Err(outcome) => return outcome,
            },
            // A first round whose outcome nobody knows makes the whole write's outcome unknown.
            Ok(Here::Answer(_)) if sent => return unknown("the write met a newer version"),
            Ok(Here::Answer(outcome)) => return outcome,
            Err(error) => return broken(&error.to_string()),
        };
        let version = record.version;
        sent = true;
        match replicate(shared, &primary, record, durable, change.need).await {
            Replicated::Done(acks) if change.value.is_some() => {
                return Outcome::Put { version, acks, id: shared.id_of(&change.key) };
            }
            Replicated::Done(acks) => {
                return Outcome::Delete { version, acks, id: shared.id_of(&change.key) };
            }
            Replicated::Superseded(member, newer) => {
                above = Some(newer);
                adopt(shared, &primary, &member, &change.key, version).await;
            }
            Replicated::Deposed => return unknown("the range changed hands during the write"),
            Replicated::Failed { answered, needed } => {
                return unknown(&format!(
                    "{answered} of the {needed} copies that a write needs had answered when too few others could be reached"
                ));
            }
        }
    }
    unknown("the key's versions keep moving on")
}

enum Here {
    Stored(Primary, Record, bool),
    /// The condition does not hold of what this primary has itself.
    Refused(Primary, Own),
    Superseded(Version),
    Answer(Outcome),
}

/// The primary's own copy comes first, under its published part in the range.
async fn write_here(shared: &Shared, change: &Change, place: Id, above: Option<Version>) -> Result<Here, StoreError> {
    let holdings = shared.holdings.read().await;
    let primary = match Primary::of(shared, &holdings, place) {
        Ok(primary) => primary,
        Err(outcome) => return Ok(Here::Answer(outcome)),
    };
    if let Some(outcome) = takes_no_write(shared, &holdings, place, change.need) {
        return Ok(Here::Answer(outcome));
    }
    let own = Own::of(shared, &primary, &change.key)?;
    if change.refused_by(own.record.as_ref()).is_some() {
        return Ok(Here::Refused(primary, own));
    }
    let current = own.record;
    let was_live = current.as_ref().is_some_and(|record| record.is_live(wall_ms()));
    let version = shared.versions.next(primary.set.number, wall_ms(), above.max(current.map(|record| record.version)));
    let record = change.record(version);
    shared.doubts.raise(&holdings, place, &record.key, version);
    match shared.store.put(record.clone()).await? {
        Put::Stored { durable } => {
            if was_live != record.value.is_some() {
                announce_key(shared, &record.key, record.value.is_some());
            }
            Ok(Here::Stored(primary, record, durable))
        }
        Put::Superseded(newer) => Ok(Here::Superseded(newer)),
    }
}

/// The present version, if the condition does not hold of what a majority has; as many are heard as the write needs. What
/// this primary has by itself tells too little: it may have been replaced without having heard of it yet, and the last
/// write that it took may have come to nothing.
async fn refusal(
    shared: &Arc<Shared>,
    change: &Change,
    place: Id,
    primary: &Primary,
    own: Own,
) -> Result<Option<Option<Version>>, Outcome> {
    let members = primary.set.members.len();
    if change.need.of(members) < Need::Majority.of(members) {
        return Ok(change.refused_by(own.record.as_ref()));
    }
    let (newest, conclusion) = gather(shared, primary, &change.key, own, Need::Majority).await?;
    let newest = match newest {
        Some(record) if conclusion.write_back => Some(bring_to_majority(shared, place, record).await?),
        Some(record) => {
            shared.versions.observe(record.version, wall_ms());
            // The next look at this store finds it.
            doubts::put(shared, record.clone()).await.map_err(|error| broken(&error.to_string()))?;
            repair(shared, primary, &record, conclusion.behind);
            Some(record)
        }
        None => None,
    };
    Ok(change.refused_by(newest.as_ref()))
}

/// What became of bringing a record to a majority.
pub(crate) enum Replicated {
    Done(Vec<Ack>),
    /// A holder has this newer version.
    Superseded(Member, Version),
    /// A holder knows a newer set.
    Deposed,
    Failed {
        answered: usize,
        needed: usize,
    },
}

/// Sends a record that is stored here to every other member and learner; done with as many as are needed and every
/// learner. What is still under way then goes on behind the answer.
pub(crate) async fn replicate(
    shared: &Arc<Shared>,
    primary: &Primary,
    record: Record,
    durable: bool,
    need: Need,
) -> Replicated {
    let me = shared.member();
    let (key, version) = (record.key.clone(), record.version);
    let learners = primary.learners.iter().map(|learner| learner.member.clone());
    let mut quorum = WriteQuorum::new(&primary.set, learners, need);
    let mut state = quorum.on_ack(&me, durable);
    let targets: Vec<(Member, bool)> = primary
        .set
        .members
        .iter()
        .map(|member| (member, false))
        .chain(primary.learners.iter().map(|learner| (&learner.member, true)))
        .filter(|(member, _)| !member.is(&me))
        .map(|(member, learner)| (member.clone(), learner))
        .collect();
    let (answers_in, mut answers) = mpsc::unbounded_channel();
    for (member, learner) in targets {
        let (shared, record, answers_in) = (Arc::clone(shared), record.clone(), answers_in.clone());
        let (range, number, ring) = (primary.range, primary.set.number, primary.ring);
        shared.clone().tasks.spawn(async move {
            let to = shared.as_now(&member);
            let result = shared.peers.store(&to, ring, number, record.clone(), COPY_TIMEOUT).await;
            let failure = match result {
                Ok(reply) => {
                    let _ = answers_in.send((member, CopyAnswer::Reply(reply)));
                    return;
                }
                Err(failure) => failure,
            };
            shared.inbox.tell(Input::Evidence { peer: to.peer, result: Err(failure) });
            let answer = missed(&shared, range, number, &member, learner).await;
            let _ = answers_in.send((member.clone(), answer));
            if !learner {
                hints::leave_with_stand_in(&shared, member, number, record).await;
            }
        });
    }
    drop(answers_in);
    loop {
        match state {
            QuorumState::Done => {
                if quorum.needed() >= primary.set.majority() {
                    shared.doubts.settle(&key, version);
                }
                return Replicated::Done(acks(&quorum));
            }
            QuorumState::Failed => {
                return Replicated::Failed { answered: quorum.answered(), needed: quorum.needed() };
            }
            QuorumState::Pending => {}
        }
        let Some((member, answer)) = answers.recv().await else {
            return Replicated::Failed { answered: quorum.answered(), needed: quorum.needed() };
        };
        state = match answer {
            CopyAnswer::Reply(StoreReply::Stored { durable }) => quorum.on_ack(&member, durable),
            CopyAnswer::Reply(StoreReply::Superseded(newer)) => {
                return Replicated::Superseded(member, newer);
            }
            CopyAnswer::Reply(StoreReply::NewerSet(NewerSet { range, set })) => {
                shared.inbox.tell(Input::Newer { ring: primary.ring, range, set });
                return Replicated::Deposed;
            }
            CopyAnswer::Missed => quorum.on_failure(&member),
            CopyAnswer::CountedOn => return Replicated::Deposed,
        };
    }
}

/// How one copy fared.
enum CopyAnswer {
    Reply(StoreReply),
    /// It was not made, and nobody counts on it.
    Missed,
    /// It was not made, and its holder may be in a later set already, as one that has everything.
    CountedOn,
}

async fn missed(shared: &Shared, range: Range, number: u64, member: &Member, learner: bool) -> CopyAnswer {
    if learner {
        return match shared.inbox.drop_learner(range, number, member.clone()).await {
            true => CopyAnswer::Missed,
            false => CopyAnswer::CountedOn,
        };
    }
    shared.inbox.tell(Input::Lagging { range, number, member: member.clone() });
    CopyAnswer::Missed
}

fn acks(quorum: &WriteQuorum) -> Vec<Ack> {
    quorum
        .acks()
        .iter()
        .map(|(member, durable)| Ack { id: member.peer.id, addr: member.peer.addr.clone(), durable: *durable })
        .collect()
}

/// Takes over a record that a member has newer than this primary.
async fn adopt(shared: &Shared, primary: &Primary, member: &Member, key: &Bytes, have: Version) {
    let to = shared.as_now(member);
    let reply = shared.peers.read(&to, primary.ring, primary.set.number, key.clone(), Some(have), COPY_TIMEOUT).await;
    if let Ok(ReadReply::Record(record)) = reply {
        shared.versions.observe(record.version, wall_ms());
        if let Err(error) = doubts::put(shared, record).await {
            trouble::of_store(&error.to_string());
        }
    }
}

async fn read(shared: &Arc<Shared>, key: Bytes, need: Need, deadline: Instant) -> Outcome {
    let place = shared.place_of(&key);
    let (primary, own) = {
        let holdings = shared.holdings.read().await;
        let primary = match Primary::of(shared, &holdings, place) {
            Ok(primary) => primary,
            Err(outcome) => return outcome,
        };
        match Own::of(shared, &primary, &key) {
            Ok(own) => (primary, own),
            Err(error) => return broken(&error.to_string()),
        }
    };
    let (newest, conclusion) = match gather(shared, &primary, &key, own, need).await {
        Ok(gathered) => gathered,
        Err(outcome) => return outcome,
    };
    match newest {
        Some(record) if conclusion.write_back => {
            let owned = Arc::clone(shared);
            let task = shared.tasks.spawn(async move { write_back(&owned, place, record, deadline).await });
            match task.await {
                Ok(Ok(record)) => found(shared, record),
                Ok(Err(outcome)) => outcome,
                Err(error) => broken(&error.to_string()),
            }
        }
        Some(record) => {
            repair(shared, &primary, &record, conclusion.behind);
            found(shared, record)
        }
        None => Outcome::Absent,
    }
}

/// Those that answered with less are sent what is newer, behind the answer to the reader.
fn repair(shared: &Arc<Shared>, primary: &Primary, record: &Record, behind: Vec<Member>) {
    for member in behind {
        let (shared, record) = (Arc::clone(shared), record.clone());
        let (number, ring) = (primary.set.number, primary.ring);
        metrics::counter!("dhtd_read_repairs_total").increment(1);
        shared.clone().tasks.spawn(async move {
            if member.is(&shared.member()) {
                shared.versions.observe(record.version, wall_ms());
                let _ = doubts::put(&shared, record).await;
            } else {
                let to = shared.as_now(&member);
                let _ = shared.peers.store(&to, ring, number, record, COPY_TIMEOUT).await;
            }
        });
    }
}

fn found(shared: &Shared, record: Record) -> Outcome {
    let id = shared.id_of(&record.key);
    if !record.is_live(wall_ms()) {
        return Outcome::Absent;
    }
    let Record { version, expires_at_ms, value, .. } = record;
    match value {
        None => Outcome::Absent,
        Some(value) => Outcome::Get { value, version, expires_at_ms, served_by: shared.me(), id },
    }
}

/// What the primary itself has of a key.
struct Own {
    record: Option<Record>,
    /// A newcomer may be without it.
    doubted: bool,
}

impl Own {
    /// Looked for while nobody becomes a newcomer, or none any more.
    fn of(shared: &Shared, primary: &Primary, key: &Bytes) -> Result<Self, StoreError> {
        let record = shared.store.get(key)?;
        // Afterwards: a version is doubted before it is put.
        let doubted = !primary.learners.is_empty() && shared.doubts.any_about(key);
        Ok(Self { record, doubted })
    }
}

/// Asks the other members until as many have answered as are needed, this primary included: no more than that at first,
/// one more whenever one fails, or takes longer than is usual. The newest record, and what the answers come to.
async fn gather(
    shared: &Arc<Shared>,
    primary: &Primary,
    key: &Bytes,
    own: Own,
    need: Need,
) -> Result<(Option<Record>, Conclusion<Version>), Outcome> {
    let me = shared.member();
    let have = own.record.as_ref().map(|record| record.version);
    let mut quorum = ReadQuorum::new(&primary.set, need);
    let mut state = quorum.on_answer(&me);
    let (answers_in, mut answers) = mpsc::unbounded_channel();
    let ask = |member: Member| {
        let (shared, key, answers_in) = (Arc::clone(shared), key.clone(), answers_in.clone());
        let (number, ring) = (primary.set.number, primary.ring);
        tokio::spawn(async move {
            let (to, begun) = (shared.as_now(&member), Instant::now());
            let result = shared.peers.read(&to, ring, number, key, have, COPY_TIMEOUT).await;
            match &result {
                Ok(_) => shared.hedge.answered(begun.elapsed()),
                Err(failure) => shared.inbox.tell(Input::Evidence { peer: to.peer, result: Err(failure.clone()) }),
            }
            let _ = answers_in.send((member, result));
        });
    };
    let mut others = quickest_first(shared, primary, &me);
    let first = others.len().min(quorum.needed() - quorum.answered());
    others.drain(..first).for_each(&ask);
    let mut newest = own.record;
    let mut readings = Readings::default();
    readings.on_answer(&me, have);
    while state == QuorumState::Pending {
        let patience = tokio::time::sleep(shared.hedge.patience());
        let (member, result) = tokio::select! {
            biased;
            Some(answer) = answers.recv() => answer,
            () = patience, if !others.is_empty() => {
                metrics::counter!("dhtd_hedged_reads_total").increment(1);
                others.drain(..1).for_each(&ask);
                continue;
            }
        };
        state = match result {
            Ok(ReadReply::NewerSet(NewerSet { range, set })) => {
                shared.inbox.tell(Input::Newer { ring: primary.ring, range, set });
                return Err(unavailable("the range has changed hands"));
            }
            Ok(reply) => {
                let version = match reply {
                    ReadReply::Absent | ReadReply::NewerSet(_) => None,
                    ReadReply::Version(version) => Some(version),
                    ReadReply::Record(record) => {
                        let version = record.version;
                        if newest.as_ref().is_none_or(|newest| newest.version < version) {
                            newest = Some(record);
                        }
                        Some(version)
                    }
                };
                readings.on_answer(&member, version);
                quorum.on_answer(&member)
            }
            Err(_) => {
                others.drain(..others.len().min(1)).for_each(&ask);
                quorum.on_failure(&member)
            }
        };
    }
    if state != QuorumState::Done {
        let (answered, needed) = (quorum.answered(), quorum.needed());
        return Err(unavailable(&format!(
            "{answered} of the {needed} copies that a read needs had answered when too few others could be reached"
        )));
    }
    Ok((newest, readings.conclude(&primary.set, own.doubted, need)))
}

/// The other members, those that answer soonest first, those that are known to be down last.
fn quickest_first(shared: &Shared, primary: &Primary, me: &Member) -> Vec<Member> {
    let view = shared.view();
    let mut others: Vec<Member> = primary.set.members.iter().filter(|member| !member.is(me)).cloned().collect();
    others.sort_by_key(|member| match view.peer(member.peer.id) {
        Some(known) => (!known.alive, known.rtt),
        None => (false, None),
    });
    others
}

/// Sees to it that a record, or a newer one of its key, is on a majority of the set that this node is the primary of.
pub(crate) async fn secure(shared: &Arc<Shared>, record: Record) -> Result<(), Outcome> {
    let place = shared.place_of(&record.key);
    let (own, primary) = {
        let holdings = shared.holdings.read().await;
        let primary = Primary::of(shared, &holdings, place)?;
        (Own::of(shared, &primary, &record.key).map_err(|error| broken(&error.to_string()))?, primary)
    };
    let known = own.record.as_ref().is_some_and(|held| held.version >= record.version);
    let record = if known {
        match gather(shared, &primary, &record.key, own, Need::Majority).await? {
            (_, conclusion) if conclusion.safe => return Ok(()),
            (newest, _) => newest.unwrap_or(record),
        }
    } else {
        record
    };
    write_back(shared, place, record, Instant::now() + SECURE_TIMEOUT).await.map(|_| ())
}

/// Brings a record, version unchanged, to a majority of the set that this node is the primary of. Nobody waits for it
/// after `deadline`.
async fn write_back(shared: &Arc<Shared>, place: Id, record: Record, deadline: Instant) -> Result<Record, Outcome> {
    let Ok(_ordered) = timeout_at(deadline, shared.locks.lock(place)).await else {
        return Err(unavailable("earlier writes of this key took too long"));
    };
    bring_to_majority(shared, place, record).await
}

/// The same for whoever holds the key's lock.
async fn bring_to_majority(shared: &Arc<Shared>, place: Id, record: Record) -> Result<Record, Outcome> {
    shared.versions.observe(record.version, wall_ms());
    let (primary, record, durable) = {
        let holdings = shared.holdings.read().await;
        let primary = Primary::of(shared, &holdings, place)?;
        shared.doubts.raise(&holdings, place, &record.key, record.version);
        let held = || shared.store.get(&record.key);
        match shared.store.put(record.clone()).await {
            Ok(Put::Stored { durable }) => (primary, record, durable),
            // A later write overtook it: that one is the newest now, and has brought itself to a majority or will be.
            Ok(Put::Superseded(_)) => match held() {
                Ok(Some(newer)) => (primary, newer, shared.store.is_durable()),
                Ok(None) => return Err(unavailable("the record is being erased")),
                Err(error) => return Err(broken(&error.to_string())),
            },
            // A disk that takes no more writes may have it already.
            Err(error) => match held() {
                Ok(Some(newest)) if newest.version >= record.version => (primary, newest, shared.store.is_durable()),
                _ => return Err(broken(&error.to_string())),
            },
        }
    };
    match replicate(shared, &primary, record.clone(), durable, Need::Majority).await {
        Replicated::Done(_) => Ok(record),
        Replicated::Superseded(member, _) => {
            adopt(shared, &primary, &member, &record.key, record.version).await;
            Err(unavailable("a newer version is being taken over"))
        }
        Replicated::Deposed => Err(unavailable("the range has changed hands")),
        Replicated::Failed { answered, needed } => {
            Err(unavailable(&format!("{answered} of the {needed} copies that are needed answered")))
        }
    }
}

fn unknown(why: &str) -> Outcome {
    Outcome::Unavailable {
        reason: Reason::Quorum,
        message: format!("{why}; whether the write took effect is unknown"),
        outcome_unknown: true,
    }
}

/// This node's own store does not do its part.
pub(crate) fn broken(why: &str) -> Outcome {
    trouble::of_store(why);
    Outcome::Unavailable {
        reason: Reason::Unreachable,
        message: format!("the owner's store failed: {why}"),
        outcome_unknown: true,
    }
}

/// Whether a failed call may nevertheless have been carried out there.
pub(crate) fn may_have_happened(failure: &Failure) -> bool {
    // What can't be read may be the answer to a call that was carried out.
    !matches!(failure, Failure::Refused(refusal) if !matches!(refusal, Refusal::Malformed(_)))
}
