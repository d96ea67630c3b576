//! What this node knows and does about one arc of the circle: a [`Piece`] and the state that is not kept on disk.

use overlay::Time;

use crate::arcs::Join;
use crate::{Ballot, Learner, Member, Piece, Set, Wait};
use ring::Range;

/// The state of one arc.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Local {
    /// The newest set known to be accepted.
    pub(crate) set: Set,
    /// See [`Piece::promised`].
    pub(crate) promised: Option<Ballot>,
    /// See [`Piece::accepted`].
    pub(crate) accepted: Option<(Ballot, Set)>,
    /// What this node does as the set's primary.
    pub(crate) duty: Duty,
    /// How far this node is as a newcomer to the set.
    pub(crate) newcomer: Option<Newcomer>,
    /// The set before, as far as it is known here.
    pub(crate) before: Option<Set>,
    /// Whether the sets after the last one that this node was in still need its copy (asked for while leaving).
    pub(crate) release: Release,
    /// As a member: up to when this node has everything, by the hybrid clock, as its primary last said.
    pub(crate) whole: u64,
    /// As the primary: the same of each other member.
    pub(crate) whole_of: Vec<(Member, u64)>,
    /// When each newcomer last registered with this primary, or said that it has everything. Older counts when arcs are joined.
    pub(crate) heard_of: Vec<(Member, Time)>,
    /// This primary was away: somebody may know a newer set.
    pub(crate) unconfirmed: bool,
    /// Somebody has accepted a proposal that nobody finished: the owner must.
    pub(crate) unfinished: bool,
    /// When this node came to know the set. Younger counts when arcs are joined.
    pub(crate) since: Time,
    /// When the set was last confirmed by its primary or the owner. Older counts when arcs are joined.
    pub(crate) heard: Time,
    /// When anybody last had to do with the arc. Younger counts when arcs are joined.
    pub(crate) used: Time,
    /// Members that do not answer.
    pub(crate) missing: Vec<Member>,
    /// Members that answer, and take no more writes.
    pub(crate) read_only: Vec<Member>,
    /// What was last said of a majority that is gone.
    pub(crate) told: Option<Wait>,
    /// Since when this node has been fenced.
    pub(crate) fenced_at: Option<Time>,
    /// Since when a majority of the set has been out of reach. Younger counts when arcs are joined.
    pub(crate) lost_since: Option<Time>,
    /// Since when a change waits for newcomers.
    pub(crate) waiting_since: Option<Time>,
}

/// A primary's part. The set's members other than the primary do nothing on their own.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Duty {
    /// Not the primary.
    None,
    /// Learns what the set before holds.
    TakingOver,
    /// Serves.
    Primary(Primary),
}

/// How far a former member is on its way out of a set.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) enum Release {
    /// Its copy may be all there is of something.
    Needed,
    /// The primary knows of its set.
    Told,
    /// The newer set has everything on a majority.
    Free,
}

/// A serving primary's state.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Primary {
    /// Newcomers that get every write.
    pub(crate) learners: Vec<Learner>,
    /// Dropped learners, and when: they may not register again before every call of theirs has ended.
    pub(crate) dropped: Vec<(Member, Time)>,
    /// Members that may lack something.
    pub(crate) behind: Vec<Member>,
    /// Everything from before this set is on a majority of it.
    pub(crate) settled: bool,
}

/// How far a newcomer is.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Newcomer {
    /// What is done.
    pub(crate) step: Step,
    /// When it was last asked to learn. Younger counts when arcs are joined.
    pub(crate) asked: Time,
    /// When the primary last confirmed that it counts on this newcomer.
    pub(crate) confirmed: Time,
    /// Since when it wants out again: this node is leaving, and the primary must let it go first.
    pub(crate) parting: Option<Time>,
}

/// A newcomer's progress, in order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) enum Step {
    /// Nothing yet.
    Asked,
    /// The primary sends every write.
    Registered,
    /// Everything from before is here too.
    Fetched,
    /// The primary counts no write without this newcomer.
    Synced,
}

impl Local {
    /// A newcomer was heard of.
    pub(crate) fn hear_of(&mut self, newcomer: &Member, now: Time) {
        self.heard_of.retain(|(one, _)| !one.is(newcomer));
        self.heard_of.push((newcomer.clone(), now));
    }

    /// What the set before held is on a majority of this one once its primary says so: from then on what a former holder
    /// still has may have been deleted since, and nobody is to learn from it any more.
    pub(crate) fn part_with_before(&mut self) {
        if self.primary().is_some_and(|primary| primary.settled) {
            self.before = None;
        }
    }

    /// About `set`, with nothing promised.
    pub(crate) fn new(now: Time, set: Set) -> Self {
        Self {
            set,
            promised: None,
            accepted: None,
            duty: Duty::None,
            newcomer: None,
            before: None,
            release: Release::Free,
            whole: 0,
            whole_of: Vec::new(),
            heard_of: Vec::new(),
            unconfirmed: false,
            unfinished: false,
            since: now,
            heard: now,
            used: now,
            missing: Vec::new(),
            read_only: Vec::new(),
            told: None,
            fenced_at: None,
            lost_since: None,
            waiting_since: None,
        }
    }

    pub(crate) fn from_piece(now: Time, piece: &Piece) -> Self {
        let mut local = Self::new(now, piece.set.clone());
        local.promised = piece.promised;
        local.accepted.clone_from(&piece.accepted);
        local.fenced_at = piece.accepted.as_ref().map(|_| now);
        local
    }

    pub(crate) fn piece(&self, range: Range, me: &Member) -> Piece {
        Piece {
            range,
            set: self.set.clone(),
            promised: self.promised,
            accepted: self.accepted.clone(),
            synced: self.set.includes(me),
        }
    }

    /// Whether [`Local::piece`] would be this.
    pub(crate) fn is_piece(&self, range: Range, me: &Member, piece: &Piece) -> bool {
        piece.range == range
            && piece.set == self.set
            && piece.promised == self.promised
            && piece.accepted == self.accepted
            && piece.synced == self.set.includes(me)
    }

    /// Up to when all members have everything, as far as this node can say; see [`Holding::whole`](crate::Holding::whole).
    pub(crate) fn whole_everywhere(&self) -> u64 {
        match &self.duty {
            Duty::Primary(_) => {
                let others = self.set.members.iter().skip(1);
                others.map(|member| self.compared_at(member)).min().unwrap_or(u64::MAX)
            }
            Duty::TakingOver => 0,
            Duty::None => self.whole,
        }
    }

    fn compared_at(&self, member: &Member) -> u64 {
        self.whole_of.iter().find(|(one, _)| one.is(member)).map_or(0, |(_, at)| *at)
    }

    /// Up to when `member` has everything that there is: all that this primary had, for as long as it certainly was the
    /// primary. It was while a majority of the set went by it, which it did when it was last compared.
    pub(crate) fn whole_at(&self, member: &Member) -> u64 {
        let mut led: Vec<u64> = self.set.members.iter().skip(1).map(|other| self.compared_at(other)).collect();
        led.sort_unstable_by(|one, other| other.cmp(one));
        // The primary itself is one of the majority.
        let led_until = self.set.majority().checked_sub(2).and_then(|others| led.get(others).copied());
        self.compared_at(member).min(led_until.unwrap_or(u64::MAX))
    }

    /// A member has all that this primary had at `at`.
    pub(crate) fn note_whole(&mut self, member: &Member, at: u64) {
        self.whole_of.retain(|(one, _)| !one.is(member));
        self.whole_of.push((member.clone(), at));
    }

    /// The serving primary's state, if this node is one.
    pub(crate) fn primary(&self) -> Option<&Primary> {
        match &self.duty {
            Duty::Primary(primary) => Some(primary),
            _ => None,
        }
    }

    pub(crate) fn primary_mut(&mut self) -> Option<&mut Primary> {
        match &mut self.duty {
            Duty::Primary(primary) => Some(primary),
            _ => None,
        }
    }
}

impl Primary {
    /// At the start of a set: every other member may lack something.
    pub(crate) fn of(set: &Set) -> Self {
        let behind: Vec<Member> = set.members.iter().skip(1).cloned().collect();
        Self { behind, settled: set.majority() <= 1, ..Self::default() }
    }

    /// Notes how many have everything now.
    pub(crate) fn settle(&mut self, set: &Set) {
        let whole = set.members.len() - self.behind.len();
        self.settled |= whole >= set.majority();
    }
}

impl Set {
    /// Whether this set comes after `other` in the history of whatever both are about.
    pub(crate) fn supersedes(&self, other: &Set) -> bool {
        // Numbers are unique except between sets that survivors made without a majority: any order will do there.
        (self.number, &self.members) > (other.number, &other.members)
    }

    /// Whether both have the same members, in whatever order.
    pub(crate) fn same_members(&self, other: &Set) -> bool {
        self.members.len() == other.members.len() && self.members.iter().all(|member| other.includes(member))
    }
}

impl Join for Local {
    fn join(&self, next: &Self) -> Option<Self> {
        let newcomer = match (&self.newcomer, &next.newcomer) {
            (None, None) => None,
            (Some(one), Some(two)) if one.step == two.step && one.parting == two.parting => Some(Newcomer {
                step: one.step,
                asked: one.asked.max(two.asked),
                confirmed: one.confirmed.min(two.confirmed),
                parting: one.parting,
            }),
            _ => return None,
        };
        let same = self.set == next.set
            && self.promised == next.promised
            && self.accepted == next.accepted
            && self.duty == next.duty
            && self.before == next.before
            && self.release == next.release
            && self.unconfirmed == next.unconfirmed
            && self.unfinished == next.unfinished
            && self.missing == next.missing
            && self.read_only == next.read_only
            && self.lost_since.is_some() == next.lost_since.is_some();
        let both = |(member, at): &(Member, u64)| {
            let (_, other) = next.whole_of.iter().find(|(one, _)| one.is(member))?;
            Some((member.clone(), *at.min(other)))
        };
        let either = |(member, at): &(Member, Time)| {
            let other = next.heard_of.iter().find(|(one, _)| one.is(member));
            (member.clone(), other.map_or(*at, |(_, other)| *at.min(other)))
        };
        same.then(|| Self {
            newcomer,
            heard_of: self.heard_of.iter().map(either).collect(),
            whole: self.whole.min(next.whole),
            whole_of: self.whole_of.iter().filter_map(both).collect(),
            since: self.since.max(next.since),
            heard: self.heard.min(next.heard),
            used: self.used.max(next.used),
            // Both are set or neither: they say when `accepted` was.
            fenced_at: self.fenced_at.min(next.fenced_at),
            lost_since: self.lost_since.max(next.lost_since),
            waiting_since: self.waiting_since.max(next.waiting_since),
            told: self.told.clone().or(next.told.clone()),
            ..self.clone()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{member, set};

    #[test]
    fn a_member_is_whole_up_to_what_a_majority_has_confirmed_of_its_primary() {
        let mut local = Local::new(Time::default(), set(1, &[10, 20, 30, 40, 50]));
        local.duty = Duty::Primary(Primary::of(&local.set));
        assert_eq!((local.whole_at(&member(20)), local.whole_everywhere()), (0, 0));
        local.note_whole(&member(20), 100);
        assert_eq!(local.whole_at(&member(20)), 0, "the two may be cut off from the other three");
        local.note_whole(&member(30), 60);
        assert_eq!((local.whole_at(&member(20)), local.whole_at(&member(30))), (60, 60));
        local.note_whole(&member(40), 80);
        local.note_whole(&member(50), 70);
        assert_eq!((local.whole_at(&member(20)), local.whole_at(&member(30))), (80, 60));
        assert_eq!(local.whole_everywhere(), 60);
        let mut two = Local::new(Time::default(), set(1, &[10, 20]));
        two.duty = Duty::Primary(Primary::of(&two.set));
        two.note_whole(&member(20), 9);
        assert_eq!((two.whole_at(&member(20)), two.whole_everywhere()), (9, 9));
    }
}
