//! Hinted hand-off (Dynamo, SOSP 2007, §4.6): a copy that a member did not take is left with a stand-in, who gives it to the
//! member once that is back. So a write is on as many nodes as it should be even while one of its holders is away. A hint never
//! counts towards a quorum.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use overlay::{Known, Peer};
use parking_lot::Mutex;
use replica::{Member, Set};
use ring::Id;
use store::Record;
use tokio::time::Instant;
use wire::records::StoreReply;

use crate::primary::COPY_TIMEOUT;
use crate::shared::Shared;
use crate::time::wall_ms;

/// Bytes of hints that a node keeps, in memory; more are refused.
const BYTES_MAX: usize = 32 << 20;
/// What a hint takes beside its record.
const HINT_BYTES: usize = 400;
/// How often a stand-in looks whether a member is back.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A hint is kept so long at most: by then the member was replaced, or repaired. Never as long as half of the grace period,
/// so that no hint outlives the deletion of what it holds.
const KEPT_FOR: Duration = Duration::from_secs(600);

/// The hints that this node keeps for others.
#[derive(Debug, Default)]
pub(crate) struct Hints {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    hints: BTreeMap<(Id, u64, Bytes), Hint>,
    bytes: usize,
}

/// A copy for somebody else.
#[derive(Clone, Debug)]
struct Hint {
    member: Member,
    /// The set that its primary acted for.
    number: u64,
    record: Record,
    since: Instant,
    since_ms: u64,
}

impl Hint {
    fn key(&self) -> (Id, u64, Bytes) {
        (self.member.peer.id, self.member.store, self.record.key.clone())
    }

    /// By either clock: one of them stands still while a machine sleeps.
    fn is_older_than(&self, age: Duration) -> bool {
        let by_wall = Duration::from_millis(wall_ms().saturating_sub(self.since_ms));
        self.since.elapsed().max(by_wall) >= age
    }

    fn bytes(&self) -> usize {
        HINT_BYTES + self.record.byte_len()
    }
}

impl Hints {
    /// Keeps a copy for `member`, or a newer one that is kept already; whether it does.
    pub(crate) fn keep(&self, member: Member, number: u64, record: Record) -> bool {
        // As they came they would keep alive all of the buffers that they were received in.
        let copied = |bytes: &Bytes| Bytes::copy_from_slice(bytes);
        let record = Record { key: copied(&record.key), value: record.value.as_ref().map(copied), ..record };
        let mut kept = self.kept.lock();
        let hint = Hint { member, number, record, since: Instant::now(), since_ms: wall_ms() };
        let key = hint.key();
        if kept.hints.get(&key).is_some_and(|kept| kept.record.version >= hint.record.version) {
            return true;
        }
        let bytes = hint.bytes();
        let freed = kept.hints.get(&key).map_or(0, Hint::bytes);
        if kept.bytes - freed + bytes > BYTES_MAX {
            return false;
        }
        kept.bytes = kept.bytes - freed + bytes;
        kept.hints.insert(key, hint);
        true
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.kept.lock().hints.len()
    }

    /// Those for members that `is_back` says are there, those older than `oldest` left out and forgotten.
    fn due(&self, oldest: Duration, is_back: impl Fn(&Member) -> bool) -> Vec<Hint> {
        let mut kept = self.kept.lock();
        kept.retain(|hint| hint.since.elapsed() < oldest);
        kept.hints.values().filter(|hint| is_back(&hint.member)).cloned().collect()
    }

    /// It was given, or is of no use any more; unless a newer one has come meanwhile.
    fn done(&self, done: &Hint) {
        let mut kept = self.kept.lock();
        let key = done.key();
        if kept.hints.get(&key).is_some_and(|hint| hint.record.version <= done.record.version) {
            let bytes = kept.hints.remove(&key).map_or(0, |hint| hint.bytes());
            kept.bytes -= bytes;
        }
    }
}

impl Kept {
    fn retain(&mut self, stays: impl Fn(&Hint) -> bool) {
        self.hints.retain(|_, hint| stays(hint));
        self.bytes = self.hints.values().map(Hint::bytes).sum();
    }
}

/// Leaves a copy that `member` of set `number` did not take with the next living node that is not in the set.
pub(crate) async fn leave_with_stand_in(shared: &Arc<Shared>, member: Member, number: u64, record: Record) {
    let place = shared.place_of(&record.key);
    let found = shared.holdings.read().await.find(place).map(|holding| holding.set.clone());
    let Some(set) = found.filter(|set| set.number == number) else { return };
    let Some(stand_in) = stand_in(&shared.view().known, &set, place) else { return };
    let hint = wire::records::Hint { member, number, record };
    if shared.peers.hint(&stand_in, shared.ring(), hint, COPY_TIMEOUT).await == Ok(true) {
        metrics::counter!("dhtd_hints_left_total").increment(1);
    }
}

fn stand_in(known: &[Known], set: &Set, place: Id) -> Option<Peer> {
    let in_set = |peer: &Peer| set.members.iter().any(|member| member.peer.id == peer.id);
    let outside = known.iter().filter(|known| known.alive && !in_set(&known.peer)).map(|known| &known.peer);
    outside.min_by_key(|peer| place.distance_to(peer.id)).cloned()
}

/// Gives hints to their members, once they are back, until the process ends.
pub(crate) async fn run(shared: Arc<Shared>) {
    let oldest = KEPT_FOR.min(shared.config.tombstone_grace / 2);
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if shared.hints.count() == 0 {
            continue;
        }
        let view = shared.view();
        let is_back = |member: &Member| view.peer(member.peer.id).is_none_or(|known| known.alive);
        let mut silent: BTreeSet<Id> = BTreeSet::new();
        for hint in shared.hints.due(oldest, is_back) {
            // Others' hints do not wait for one that does not answer, and none is given that has become too old meanwhile.
            if silent.contains(&hint.member.peer.id) || hint.is_older_than(oldest) {
                continue;
            }
            let to = shared.as_now(&hint.member);
            let given = shared.peers.store(&to, shared.ring(), hint.number, hint.record.clone(), COPY_TIMEOUT).await;
            match given {
                Ok(StoreReply::Stored { .. } | StoreReply::Superseded(_)) => {
                    metrics::counter!("dhtd_hints_given_total").increment(1);
                    shared.hints.done(&hint);
                }
                // Its primary sees to it under the newer set.
                Ok(StoreReply::NewerSet(_)) => shared.hints.done(&hint),
                // Another store answers there now.
                Err(overlay::Failure::Refused(overlay::Refusal::Gone)) => shared.hints.done(&hint),
                Err(_) => drop(silent.insert(hint.member.peer.id)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use overlay::Addr;
    use ring::Space;
    use store::Version;

    use super::*;

    fn member(name: &str) -> Member {
        let id = Space::SHA1.hash(name.as_bytes());
        Member { peer: Peer { id, addr: Addr::new(&format!("{name}:1")).unwrap(), incarnation: 1 }, store: 1 }
    }

    fn record(key: &str, clock: u64, bytes: usize) -> Record {
        Record::new(key.as_bytes().to_vec(), Version { term: 0, clock, store: 1 }, vec![7; bytes])
    }

    #[tokio::test(start_paused = true)]
    async fn a_hint_is_kept_until_its_member_is_back_or_it_is_too_old() {
        let hints = Hints::default();
        assert!(hints.keep(member("away"), 1, record("k", 1, 10)));
        assert!(hints.keep(member("away"), 1, record("k", 3, 10)), "the newer one takes its place");
        assert!(hints.keep(member("away"), 1, record("k", 2, 10)));
        assert!(hints.keep(member("other"), 1, record("k", 2, 10)));
        assert_eq!(hints.count(), 2);
        let due = hints.due(Duration::from_secs(10), |back| back.is(&member("away")));
        assert_eq!(due.iter().map(|hint| hint.record.version.clock).collect::<Vec<_>>(), [3]);
        hints.done(&due[0]);
        assert_eq!(hints.count(), 1);
        tokio::time::advance(Duration::from_secs(10)).await;
        assert!(hints.due(Duration::from_secs(10), |_| true).is_empty());
        assert_eq!((hints.count(), hints.kept.lock().bytes), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_newer_hint_that_came_while_an_older_one_was_given_stays() {
        let hints = Hints::default();
        hints.keep(member("away"), 1, record("k", 1, 10));
        let given = hints.due(Duration::from_secs(10), |_| true);
        hints.keep(member("away"), 1, record("k", 2, 10));
        hints.done(&given[0]);
        assert_eq!(hints.count(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn there_is_an_end_to_what_is_kept_for_others() {
        let hints = Hints::default();
        let fits =
            (0..100u64).filter(|key| hints.keep(member("away"), 1, record(&key.to_string(), 1, 1 << 20))).count();
        assert_eq!(fits, 31);
        assert!(hints.keep(member("away"), 1, record("0", 2, 1 << 10)), "a smaller one for a larger one");
    }

    #[test]
    fn the_stand_in_is_the_next_living_node_outside_of_the_set() {
        let known = |name: &str, alive| Known { peer: member(name).peer, alive, stopped: None, left: false, rtt: None };
        let all = [known("a", true), known("b", true), known("c", false), known("d", true)];
        let set = Set { number: 1, members: vec![member("a")], forced: false };
        let place = Space::SHA1.zero();
        let found = stand_in(&all, &set, place).unwrap();
        let mut expected = [member("b").peer, member("d").peer];
        expected.sort_by_key(|peer| peer.id);
        assert_eq!(found, expected[0]);
        assert_eq!(stand_in(&all[..1], &set, place), None);
    }
}
