//! Counting answers on the data path: when a write is done, when a read has asked enough. Pure, and small
//! enough to be one value per request.

use crate::{Member, Set};

/// Where a write or a read stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum QuorumState {
    /// More answers are needed, and may still come.
    Pending,
    /// Enough have answered.
    Done,
    /// Enough can't answer any more. A write may turn up later all the same.
    Failed,
}

/// How many of a set's members have to answer, its primary always among them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Need {
    /// More than half. Only with these, or more, does every read see every acknowledged write, and every change of a set
    /// carry it along.
    #[default]
    Majority,
    /// So many, or all if there are fewer.
    Copies(usize),
    /// Every one.
    All,
}

impl Need {
    /// Copies of this need in a set of so many members.
    pub fn of(self, members: usize) -> usize {
        match self {
            Need::Majority => members / 2 + 1,
            Need::Copies(copies) => copies.clamp(1, members),
            Need::All => members,
        }
    }
}

/// A write under way: done when as many of the set as are needed have it, the primary included, and every newcomer that
/// is sent the range's writes.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct WriteQuorum {
    votes: Votes,
    awaited: Vec<Member>,
    acks: Vec<(Member, bool)>,
}

impl WriteQuorum {
    /// A write under `set` that none of `learners` may miss; unless less than a majority is enough for it, when it
    /// promises nothing beyond the copies that it counts.
    pub fn new(set: &Set, learners: impl IntoIterator<Item = Member>, need: Need) -> Self {
        let votes = Votes::new(set, need);
        let lesser = votes.needed < set.majority();
        let awaited = learners.into_iter().filter(|learner| !lesser && !set.includes(learner)).collect();
        Self { votes, awaited, acks: Vec::new() }
    }

    /// `member` has it, on disk if `durable`. What strangers say changes nothing, nor does saying it again.
    pub fn on_ack(&mut self, member: &Member, durable: bool) -> QuorumState {
        let learner = self.awaited.iter().any(|one| one.is(member));
        if (self.votes.record(member, Vote::Yes) || learner) && !self.acks.iter().any(|(one, _)| one.is(member)) {
            self.acks.push((member.clone(), durable));
        }
        self.awaited.retain(|one| !one.is(member));
        self.state()
    }

    /// `member` did not take it, or did not answer in time. Of a newcomer this may be said only once the machine counts
    /// on it no more: [`crate::Control::drop_learner`] said yes. Where that said no, the write must not be acknowledged.
    pub fn on_failure(&mut self, member: &Member) -> QuorumState {
        self.votes.record(member, Vote::No);
        self.awaited.retain(|one| !one.is(member));
        self.state()
    }

    /// Where it stands.
    pub fn state(&self) -> QuorumState {
        match self.votes.state() {
            QuorumState::Done if !self.awaited.is_empty() => QuorumState::Pending,
            state => state,
        }
    }

    /// Who has it, and whether on disk; in order of their answers.
    pub fn acks(&self) -> &[(Member, bool)] {
        &self.acks
    }

    /// Members of the set that have it.
    pub fn answered(&self) -> usize {
        self.votes.yes()
    }

    /// Members of the set that must have it.
    pub fn needed(&self) -> usize {
        self.votes.needed
    }
}

/// A read under way: enough when as many of the set as are needed have answered, the primary included.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ReadQuorum {
    votes: Votes,
}

impl ReadQuorum {
    /// A read under `set`.
    pub fn new(set: &Set, need: Need) -> Self {
        Self { votes: Votes::new(set, need) }
    }

    /// `member` has answered.
    pub fn on_answer(&mut self, member: &Member) -> QuorumState {
        self.votes.record(member, Vote::Yes);
        self.state()
    }

    /// `member` did not answer in time, or refused.
    pub fn on_failure(&mut self, member: &Member) -> QuorumState {
        self.votes.record(member, Vote::No);
        self.state()
    }

    /// Where it stands.
    pub fn state(&self) -> QuorumState {
        self.votes.state()
    }

    /// Members that have answered.
    pub fn answered(&self) -> usize {
        self.votes.yes()
    }

    /// Members that must answer.
    pub fn needed(&self) -> usize {
        self.votes.needed
    }
}

/// What the members that answered a read hold, the primary among them.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Readings<V> {
    held: Vec<(Member, Option<V>)>,
}

/// What a read's answers come to.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Conclusion<V> {
    /// The newest version that any of them holds; none if nobody holds one.
    pub newest: Option<V>,
    /// Whoever reads next finds nothing older: a majority of the set has just that, the primary among them, and no
    /// newcomer on its way in could miss it.
    pub safe: bool,
    /// It must be made safe before the reader hears of it, or whoever reads next could read less (Attiya, Bar-Noy,
    /// Dolev 1995).
    pub write_back: bool,
    /// Those that hold less.
    pub behind: Vec<Member>,
}

impl<V> Default for Readings<V> {
    fn default() -> Self {
        Self { held: Vec::new() }
    }
}

impl<V: Ord + Clone> Readings<V> {
    /// `member` holds this; none is nothing. What counts is what it said last.
    pub fn on_answer(&mut self, member: &Member, version: Option<V>) {
        self.held.retain(|(one, _)| !one.is(member));
        self.held.push((member.clone(), version));
    }

    /// What it comes to for a read under `set` that needs so many. One that makes do with less than a majority promises
    /// nothing about the next one. `doubted`: when the primary looked for its own copy a newcomer might have been without
    /// it, see [`Doubts`](crate::Doubts).
    pub fn conclude(self, set: &Set, doubted: bool, need: Need) -> Conclusion<V> {
        let newest = self.held.iter().map(|(_, version)| version).max().cloned().flatten();
        let (same, behind): (Vec<_>, Vec<_>) = self.held.into_iter().partition(|(_, version)| *version == newest);
        let on_majority = same.len() >= set.majority() && same.iter().any(|(member, _)| member.is(set.primary()));
        let safe = on_majority && !doubted;
        let lesser = need.of(set.members.len()) < set.majority();
        Conclusion {
            safe,
            write_back: newest.is_some() && !safe && !lesser,
            newest,
            behind: behind.into_iter().map(|(member, _)| member).collect(),
        }
    }
}

/// One vote of each member of a set, the primary first. A late yes outdoes a no.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Votes {
    members: Vec<(Member, Option<Vote>)>,
    needed: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Vote {
    Yes,
    No,
}

impl Votes {
    fn new(set: &Set, need: Need) -> Self {
        let members = set.members.iter().map(|member| (member.clone(), None)).collect();
        Self { members, needed: need.of(set.members.len()) }
    }

    /// Whether it is a member's.
    fn record(&mut self, member: &Member, vote: Vote) -> bool {
        let Some((_, recorded)) = self.members.iter_mut().find(|(one, _)| one.is(member)) else { return false };
        if *recorded != Some(Vote::Yes) {
            *recorded = Some(vote);
        }
        true
    }

    fn count(&self, vote: Vote) -> usize {
        self.members.iter().filter(|(_, one)| *one == Some(vote)).count()
    }

    fn yes(&self) -> usize {
        self.count(Vote::Yes)
    }

    fn state(&self) -> QuorumState {
        let primary = self.members.first().and_then(|(_, vote)| *vote);
        if primary == Some(Vote::No) || self.members.len() - self.count(Vote::No) < self.needed {
            QuorumState::Failed
        } else if primary == Some(Vote::Yes) && self.yes() >= self.needed {
            QuorumState::Done
        } else {
            QuorumState::Pending
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{born, member, set};

    #[test]
    fn a_write_needs_a_majority() {
        let mut quorum = WriteQuorum::new(&set(1, &[10, 20, 30]), [], Need::Majority);
        assert_eq!(quorum.on_ack(&member(10), true), QuorumState::Pending);
        assert_eq!(quorum.on_ack(&member(10), true), QuorumState::Pending, "a vote counts once");
        assert_eq!(quorum.on_ack(&member(40), true), QuorumState::Pending, "strangers do not vote");
        assert_eq!(quorum.on_ack(&born(20, 2), true), QuorumState::Pending, "another store is another member");
        assert_eq!(quorum.on_ack(&member(30), false), QuorumState::Done);
        assert_eq!(quorum.acks(), [(member(10), true), (member(30), false)]);
        assert_eq!((quorum.answered(), quorum.needed()), (2, 2));
    }

    #[test]
    fn a_write_without_its_primary_never_counts() {
        let mut quorum = WriteQuorum::new(&set(1, &[10, 20, 30]), [], Need::Majority);
        quorum.on_ack(&member(20), true);
        assert_eq!(quorum.on_ack(&member(30), true), QuorumState::Pending);
        assert_eq!(quorum.on_failure(&member(10)), QuorumState::Failed);
    }

    #[test]
    fn a_write_waits_for_every_learner_until_it_is_dropped() {
        let mut quorum = WriteQuorum::new(&set(1, &[10, 20]), [member(30), member(40)], Need::Majority);
        quorum.on_ack(&member(10), true);
        assert_eq!(quorum.on_ack(&member(20), true), QuorumState::Pending);
        assert_eq!(quorum.on_ack(&member(30), true), QuorumState::Pending);
        assert_eq!(quorum.on_failure(&member(40)), QuorumState::Done);
        assert_eq!(quorum.acks().len(), 3);
        assert_eq!(quorum.answered(), 2, "a learner is no member");
    }

    #[test]
    fn a_write_fails_once_a_majority_is_out_of_reach() {
        let mut quorum = WriteQuorum::new(&set(1, &[10, 20, 30]), [], Need::Majority);
        quorum.on_ack(&member(10), true);
        assert_eq!(quorum.on_failure(&member(20)), QuorumState::Pending);
        assert_eq!(quorum.on_failure(&member(30)), QuorumState::Failed);
        assert_eq!(quorum.on_ack(&member(30), true), QuorumState::Done, "a late yes outdoes a no");
    }

    #[test]
    fn a_set_of_one_needs_nobody_else() {
        let alone = set(1, &[10]);
        assert_eq!(WriteQuorum::new(&alone, [], Need::Majority).on_ack(&member(10), false), QuorumState::Done);
        assert_eq!(ReadQuorum::new(&alone, Need::Majority).on_answer(&member(10)), QuorumState::Done);
    }

    #[test]
    fn a_read_asks_a_majority_with_the_primary() {
        let mut quorum = ReadQuorum::new(&set(1, &[10, 20, 30, 40]), Need::Majority);
        quorum.on_answer(&member(20));
        quorum.on_answer(&member(30));
        assert_eq!(quorum.on_answer(&member(40)), QuorumState::Pending);
        assert_eq!(quorum.on_answer(&member(10)), QuorumState::Done);
        let mut quorum = ReadQuorum::new(&set(1, &[10, 20, 30, 40]), Need::Majority);
        quorum.on_failure(&member(20));
        assert_eq!(quorum.on_failure(&member(30)), QuorumState::Failed);
    }

    #[test]
    fn a_call_may_need_more_or_fewer_copies_than_a_majority() {
        let three = set(1, &[10, 20, 30]);
        let need = |need: Need| [1, 2, 3, 4].map(|members| need.of(members));
        assert_eq!(need(Need::Majority), [1, 2, 2, 3]);
        assert_eq!(need(Need::Copies(2)), [1, 2, 2, 2]);
        assert_eq!(need(Need::All), [1, 2, 3, 4]);
        let mut one = WriteQuorum::new(&three, [member(40)], Need::Copies(1));
        assert_eq!(one.on_ack(&member(20), true), QuorumState::Pending, "the primary's is the one");
        assert_eq!(one.on_ack(&member(10), true), QuorumState::Done, "and no newcomer is waited for");
        let mut all = WriteQuorum::new(&three, [], Need::All);
        all.on_ack(&member(10), true);
        all.on_ack(&member(20), true);
        assert_eq!((all.state(), all.needed()), (QuorumState::Pending, 3));
        assert_eq!(all.on_failure(&member(30)), QuorumState::Failed);
        let mut all = ReadQuorum::new(&three, Need::All);
        all.on_answer(&member(10));
        assert_eq!(all.on_failure(&member(20)), QuorumState::Failed);
    }

    #[test]
    fn what_is_read_is_the_newest_and_safe_before_it_is_told() {
        let three = set(1, &[10, 20, 30]);
        let conclude = |held: &[(u64, Option<u32>)], need| {
            let mut readings = Readings::default();
            held.iter().for_each(|(place, version)| readings.on_answer(&member(*place), *version));
            readings.conclude(&three, false, need)
        };
        let found = conclude(&[(10, Some(2)), (20, Some(2))], Need::Majority);
        assert!(found.safe && !found.write_back && found.behind.is_empty());
        let found = conclude(&[(10, None), (20, Some(2)), (30, Some(1))], Need::Majority);
        assert_eq!((found.newest, found.safe, found.write_back), (Some(2), false, true));
        assert_eq!(found.behind, [member(10), member(30)]);
        let found = conclude(&[(10, Some(2)), (20, Some(2)), (30, None)], Need::All);
        assert_eq!((found.safe, found.behind), (true, vec![member(30)]));
        let found = conclude(&[(10, Some(2))], Need::Copies(1));
        assert_eq!((found.safe, found.write_back), (false, false), "it asked for no more");
        let found = conclude(&[(10, None), (20, None)], Need::Majority);
        assert_eq!((found.newest, found.write_back), (None, false));
        let found = conclude(&[(20, Some(1)), (10, Some(2)), (20, Some(2))], Need::Majority);
        assert!(found.safe && found.behind.is_empty(), "what it said last counts, once");
    }

    #[test]
    fn what_a_newcomer_may_have_missed_is_not_told_yet() {
        let conclude = |held: &[u64], doubted: bool| {
            let mut readings = Readings::default();
            for place in [10, 20, 30] {
                readings.on_answer(&member(place), held.contains(&place).then_some(2));
            }
            readings.conclude(&set(1, &[10, 20, 30]), doubted, Need::All)
        };
        assert!(!conclude(&[10, 20], false).write_back);
        assert!(conclude(&[10, 20], true).write_back);
        assert!(conclude(&[20, 30], false).write_back, "the primary lacks it, and so may whoever fetched from it");
        assert!(!conclude(&[], true).write_back, "nothing is missed by nobody");
    }
}
