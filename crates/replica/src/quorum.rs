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

/// A write under way: done when a majority of the set has it, the primary included, and every newcomer that
/// is sent the range's writes.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct WriteQuorum {
    votes: Votes,
    awaited: Vec<Member>,
    acks: Vec<(Member, bool)>,
}

impl WriteQuorum {
    /// A write under `set` that none of `learners` may miss.
    pub fn new(set: &Set, learners: impl IntoIterator<Item = Member>) -> Self {
        let awaited = learners.into_iter().filter(|learner| !set.includes(learner)).collect();
        Self { votes: Votes::new(set), awaited, acks: Vec::new() }
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
        self.votes.majority()
    }
}

/// A read under way: enough when a majority of the set has answered, the primary included.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ReadQuorum {
    votes: Votes,
}

impl ReadQuorum {
    /// A read under `set`.
    pub fn new(set: &Set) -> Self {
        Self { votes: Votes::new(set) }
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
        self.votes.majority()
    }
}

/// One vote of each member of a set, the primary first. A late yes outdoes a no.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Votes {
    members: Vec<(Member, Option<Vote>)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Vote {
    Yes,
    No,
}

impl Votes {
    fn new(set: &Set) -> Self {
        Self { members: set.members.iter().map(|member| (member.clone(), None)).collect() }
    }

    /// Whether it is a member's.
    fn record(&mut self, member: &Member, vote: Vote) -> bool {
        let Some((_, recorded)) = self.members.iter_mut().find(|(one, _)| one.is(member)) else { return false };
        if *recorded != Some(Vote::Yes) {
            *recorded = Some(vote);
        }
        true
    }

    fn majority(&self) -> usize {
        self.members.len() / 2 + 1
    }

    fn count(&self, vote: Vote) -> usize {
        self.members.iter().filter(|(_, one)| *one == Some(vote)).count()
    }

    fn yes(&self) -> usize {
        self.count(Vote::Yes)
    }

    fn state(&self) -> QuorumState {
        let primary = self.members.first().and_then(|(_, vote)| *vote);
        if primary == Some(Vote::No) || self.members.len() - self.count(Vote::No) < self.majority() {
            QuorumState::Failed
        } else if primary == Some(Vote::Yes) && self.yes() >= self.majority() {
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
        let mut quorum = WriteQuorum::new(&set(1, &[10, 20, 30]), []);
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
        let mut quorum = WriteQuorum::new(&set(1, &[10, 20, 30]), []);
        quorum.on_ack(&member(20), true);
        assert_eq!(quorum.on_ack(&member(30), true), QuorumState::Pending);
        assert_eq!(quorum.on_failure(&member(10)), QuorumState::Failed);
    }

    #[test]
    fn a_write_waits_for_every_learner_until_it_is_dropped() {
        let mut quorum = WriteQuorum::new(&set(1, &[10, 20]), [member(30), member(40)]);
        quorum.on_ack(&member(10), true);
        assert_eq!(quorum.on_ack(&member(20), true), QuorumState::Pending);
        assert_eq!(quorum.on_ack(&member(30), true), QuorumState::Pending);
        assert_eq!(quorum.on_failure(&member(40)), QuorumState::Done);
        assert_eq!(quorum.acks().len(), 3);
        assert_eq!(quorum.answered(), 2, "a learner is no member");
    }

    #[test]
    fn a_write_fails_once_a_majority_is_out_of_reach() {
        let mut quorum = WriteQuorum::new(&set(1, &[10, 20, 30]), []);
        quorum.on_ack(&member(10), true);
        assert_eq!(quorum.on_failure(&member(20)), QuorumState::Pending);
        assert_eq!(quorum.on_failure(&member(30)), QuorumState::Failed);
        assert_eq!(quorum.on_ack(&member(30), true), QuorumState::Done, "a late yes outdoes a no");
    }

    #[test]
    fn a_set_of_one_needs_nobody_else() {
        let alone = set(1, &[10]);
        assert_eq!(WriteQuorum::new(&alone, []).on_ack(&member(10), false), QuorumState::Done);
        assert_eq!(ReadQuorum::new(&alone).on_answer(&member(10)), QuorumState::Done);
    }

    #[test]
    fn a_read_asks_a_majority_with_the_primary() {
        let mut quorum = ReadQuorum::new(&set(1, &[10, 20, 30, 40]));
        quorum.on_answer(&member(20));
        quorum.on_answer(&member(30));
        assert_eq!(quorum.on_answer(&member(40)), QuorumState::Pending);
        assert_eq!(quorum.on_answer(&member(10)), QuorumState::Done);
        let mut quorum = ReadQuorum::new(&set(1, &[10, 20, 30, 40]));
        quorum.on_failure(&member(20));
        assert_eq!(quorum.on_failure(&member(30)), QuorumState::Failed);
    }
}
