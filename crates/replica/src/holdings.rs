//! The immutable view that request handlers act by, and what follows from it: who orders writes, what a holder takes
//! part in, which records a node has by right.

use ring::{Id, Range, Space};

use crate::{Member, Set};

/// A node's part in a range.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Role {
    /// Orders the range's writes and answers its reads.
    Primary {
        /// Newcomers: every write is sent to them.
        learners: Vec<Learner>,
        /// Everything that this primary held when the set was accepted is on a majority of it.
        settled: bool,
    },
    /// Is the primary, and still learns what the set before it holds: answers nobody yet.
    TakingOver,
    /// Holds a copy that counts.
    Member,
    /// On its way into the set: keeps what it is sent, and nothing that it answers counts yet.
    Newcomer,
    /// Has no part in it (any more): what it still holds is to be offered to the primary.
    Outside,
}

/// A newcomer that a primary sends every write to.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Learner {
    /// The newcomer.
    pub member: Member,
    /// It has everything: no write is done without it, or else it is dropped first ([`crate::Control::drop_learner`]).
    pub synced: bool,
}

/// One range of [`Holdings`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Holding {
    /// The range.
    pub range: Range,
    /// The newest accepted set that is known here.
    pub set: Set,
    /// This node's part.
    pub role: Role,
    /// Members that do not answer.
    pub missing: Vec<Member>,
    /// Members that answer, and take no more writes: their disks failed.
    pub read_only: Vec<Member>,
    /// This node has accepted a proposal for a later set: it takes no write under `set` any more.
    pub fenced: bool,
    /// At the primary: every member has all that was written up to this moment of the hybrid clock. At another member:
    /// this node has, as the primary last said. 0 where that is not known.
    pub whole: u64,
}

/// The immutable view that request handlers act by. Ranges do not overlap; in order of `range.upto`.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Holdings {
    /// The ranges this node knows a set of.
    pub ranges: Vec<Holding>,
}

/// What a node can do for whoever takes it for a range's primary.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Service<'a> {
    /// It orders writes, each of which goes to these newcomers too, and answers reads.
    Serves(&'a [Learner]),
    /// Nothing just now: it has accepted a proposal for a later set.
    Fenced,
    /// Nothing yet: it learns what the set before holds.
    TakingOver,
    /// Nobody can serve the range: too many of its holders are missing.
    Missing,
    /// It is not the primary.
    Elsewhere,
}

/// Whether a holder does what it is asked under a set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict<'a> {
    /// It does.
    Does,
    /// It knows this newer set: whoever asks acts by an old one.
    Newer(&'a Holding),
    /// It has accepted a proposal for the set after that one.
    Fenced,
    /// It has no part in the set, or none that counts for this.
    NoPart,
}

impl Holding {
    /// What this node can do as the range's primary.
    pub fn service(&self) -> Service<'_> {
        match &self.role {
            Role::Primary { .. } if self.fenced => Service::Fenced,
            _ if self.set.members.len() - self.missing.len() < self.set.majority() => Service::Missing,
            Role::Primary { learners, .. } => Service::Serves(learners),
            Role::TakingOver => Service::TakingOver,
            Role::Member | Role::Newcomer | Role::Outside => Service::Elsewhere,
        }
    }

    /// This node takes itself for the primary, and has not voted for another.
    fn orders_writes(&self) -> bool {
        !self.fenced && matches!(self.role, Role::Primary { .. } | Role::TakingOver)
    }

    /// Newcomers that are sent the range's writes.
    pub fn learners(&self) -> &[Learner] {
        match &self.role {
            Role::Primary { learners, .. } => learners,
            Role::TakingOver | Role::Member | Role::Newcomer | Role::Outside => &[],
        }
    }

    /// Whether that node's copy counts, or could at any moment: it is a member, which it may have yet to learn, or a
    /// newcomer, which may have given up and be let in all the same. What it offers it must not erase.
    pub fn counts_on(&self, member: &Member) -> bool {
        self.set.includes(member) || self.learners().iter().any(|learner| learner.member.is(member))
    }

    /// Whether this node may forget deletions of the range together with its members: it is the primary, and nobody is
    /// coming or going. A newcomer could miss that they were forgotten, and bring back what they hid.
    pub fn is_quiet(&self) -> bool {
        let settled = matches!(&self.role, Role::Primary { learners, settled } if learners.is_empty() && *settled);
        settled && !self.fenced && self.missing.is_empty() && self.read_only.is_empty()
    }
}

impl Holdings {
    /// What is known about the range that `id` falls in.
    pub fn find(&self, id: Id) -> Option<&Holding> {
        self.ranges.iter().find(|holding| holding.range.contains(id))
    }

    /// What is known about parts of `range`.
    pub fn over(&self, range: Range) -> impl Iterator<Item = &Holding> {
        self.ranges.iter().filter(move |holding| holding.range.overlaps(range))
    }

    /// Whether that is still so all along `range`, under set `number`; see [`Holding::is_quiet`].
    pub fn are_quiet(&self, range: Range, number: u64) -> bool {
        self.over(range).all(|holding| holding.is_quiet() && holding.set.number == number)
    }

    /// Whether this node keeps a copy at `id` that the primary of set `number` sends.
    pub fn takes_copy(&self, id: Id, number: u64) -> Verdict<'_> {
        match self.find(id) {
            Some(holding) if holding.set.number > number => Verdict::Newer(holding),
            // A write under this set could be missed by whoever takes over.
            Some(holding) if holding.set.number == number && holding.fenced => Verdict::Fenced,
            // It has given up coming in, or never began to: a primary that counts on it has to learn that.
            Some(holding) if holding.set.number == number && holding.role == Role::Outside => Verdict::NoPart,
            // It was replaced, and does not know so yet: what it took from its successor it would order writes above.
            Some(holding) if holding.set.number < number && holding.orders_writes() => Verdict::NoPart,
            None => Verdict::NoPart,
            Some(_) => Verdict::Does,
        }
    }

    /// Whether what this node holds at `id` counts as a member's answer under set `number`. Nothing that a newcomer
    /// says would.
    pub fn answers_read(&self, id: Id, number: u64) -> Verdict<'_> {
        match self.find(id) {
            Some(holding) if holding.set.number > number => Verdict::Newer(holding),
            // What it holds may be overwritten by the next set's primary already.
            Some(holding) if holding.set.number == number && holding.fenced => Verdict::Fenced,
            None => Verdict::NoPart,
            Some(holding) if matches!(holding.role, Role::Newcomer | Role::Outside) => Verdict::NoPart,
            Some(_) => Verdict::Does,
        }
    }

    /// Whether what this node lists of `range`, and gives of what it listed, is to be gone by under set `number`. Its part
    /// does not matter: what it holds of the set before may be asked for.
    pub fn lists(&self, range: Range, number: u64) -> Verdict<'_> {
        if let Some(newer) = self.over(range).find(|holding| holding.set.number > number) {
            return Verdict::Newer(newer);
        }
        // It may take its successor's writes at any moment, which whoever asks must not order anything above.
        match self.over(range).any(|holding| holding.set.number == number && holding.fenced) {
            true => Verdict::Fenced,
            false => Verdict::Does,
        }
    }

    /// Whether this node has a say in forgetting a deletion at `id`: as a member of that very set, and of none that may
    /// follow it.
    pub fn votes_to_forget(&self, id: Id, number: u64) -> Verdict<'_> {
        match self.find(id) {
            Some(holding) if holding.set.number > number => Verdict::Newer(holding),
            Some(holding) if holding.set.number == number && !holding.fenced && holding.role == Role::Member => {
                Verdict::Does
            }
            _ => Verdict::NoPart,
        }
    }

    /// Up to when this node has everything that it holds by right, where nothing is here that by these holdings should
    /// not be: it was the primary, or a member that its primary called whole, until then. `begun` is when that was looked
    /// for. None while it can't be said of all of it.
    ///
    /// A primary that was cut off, or stood still, does not know yet that it was replaced: it was the primary for as long
    /// as its members went by its set, and they did when they were last compared with it. One alone is replaced by
    /// nobody without its own consent.
    pub fn by_right_until(&self, begun: u64) -> Option<u64> {
        self.ranges.iter().try_fold(begun, |until, holding| match holding.role {
            Role::Outside => Some(until),
            // Made by survivors: the others may have gone on as well, and have deleted what is here.
            _ if holding.set.forced => None,
            Role::Primary { .. } if !holding.fenced && holding.whole > 0 => Some(until.min(holding.whole)),
            Role::Member if holding.whole > 0 => Some(until.min(holding.whole)),
            Role::Primary { .. } | Role::Member | Role::Newcomer | Role::TakingOver => None,
        })
    }

    /// The parts of the circle that this node has no business in: what is here of them is to be offered to their owners.
    pub fn foreign(&self, space: Space) -> Vec<Range> {
        let own = self.ranges.iter().filter(|holding| holding.role != Role::Outside);
        Range::full(space.max()).without(own.map(|holding| holding.range))
    }
}

/// How far a leaver's hand-over is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct LeaveProgress {
    /// Pieces that still name this node.
    pub remaining: usize,
    /// Nobody is there to take them: the last member.
    pub alone: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{id, member, range, set};

    fn primary() -> Role {
        Role::Primary { learners: Vec::new(), settled: true }
    }

    fn holding(role: Role) -> Holding {
        Holding {
            range: range(0, 100),
            set: set(5, &[10, 20, 30]),
            role,
            missing: vec![],
            read_only: vec![],
            fenced: false,
            whole: 0,
        }
    }

    fn fenced(role: Role) -> Holding {
        Holding { fenced: true, ..holding(role) }
    }

    fn whole(role: Role, whole: u64) -> Holding {
        Holding { whole, ..holding(role) }
    }

    fn only(holding: Holding) -> Holdings {
        Holdings { ranges: vec![holding] }
    }

    #[test]
    fn only_a_primary_that_may_go_on_serves() {
        let missing = |role| Holding { missing: vec![member(20), member(30)], ..holding(role) };
        assert_eq!(holding(primary()).service(), Service::Serves(&[]));
        assert_eq!(fenced(primary()).service(), Service::Fenced);
        assert_eq!(missing(primary()).service(), Service::Missing);
        assert_eq!(holding(Role::TakingOver).service(), Service::TakingOver);
        assert_eq!(missing(Role::TakingOver).service(), Service::Missing);
        assert_eq!(holding(Role::Member).service(), Service::Elsewhere);
        assert_eq!(missing(Role::Outside).service(), Service::Missing, "whoever it would name can't either");
    }

    #[test]
    fn nothing_is_listed_for_a_set_that_is_over_or_about_to_be() {
        let lists = |holding: Holding, number| match only(holding).lists(range(50, 150), number) {
            Verdict::Newer(_) => None,
            verdict => Some(verdict == Verdict::Does),
        };
        for role in [primary(), Role::TakingOver, Role::Member, Role::Newcomer, Role::Outside] {
            assert_eq!(lists(holding(role.clone()), 5), Some(true));
            assert_eq!(lists(holding(role.clone()), 4), None);
            assert_eq!(lists(fenced(role.clone()), 5), Some(false));
            assert_eq!(lists(fenced(role), 6), Some(true), "it is the next set that asks");
        }
        assert_eq!(Holdings::default().lists(range(50, 150), 5), Verdict::Does, "it has nothing, and may say so");
    }

    #[test]
    fn a_copy_is_taken_by_whoever_counts_and_knows_nothing_newer() {
        let takes = |holding: Holding, number| match only(holding).takes_copy(id(7), number) {
            Verdict::Newer(_) => None,
            verdict => Some(verdict == Verdict::Does),
        };
        for role in [primary(), Role::TakingOver, Role::Member, Role::Newcomer] {
            assert_eq!(takes(holding(role), 5), Some(true));
        }
        assert_eq!(takes(holding(Role::Outside), 5), Some(false));
        assert_eq!(takes(holding(Role::Outside), 6), Some(true), "the sender knows a set that it may be in");
        assert_eq!(takes(fenced(Role::Member), 5), Some(false));
        assert_eq!(takes(fenced(Role::Member), 6), Some(true), "the next set has begun");
        assert_eq!(takes(holding(Role::Member), 4), None);
        assert_eq!(Holdings::default().takes_copy(id(7), 5), Verdict::NoPart);
    }

    #[test]
    fn a_read_is_answered_by_members_that_still_take_writes() {
        let answer = |holding: Holding, number| match only(holding).answers_read(id(7), number) {
            Verdict::Newer(_) => None,
            verdict => Some(verdict == Verdict::Does),
        };
        for role in [primary(), Role::TakingOver, Role::Member] {
            assert_eq!(answer(holding(role), 5), Some(true));
        }
        assert_eq!(answer(holding(Role::Newcomer), 5), Some(false));
        assert_eq!(answer(holding(Role::Outside), 5), Some(false));
        assert_eq!(answer(fenced(Role::Member), 5), Some(false));
        assert_eq!(answer(fenced(Role::Member), 6), Some(true));
        assert_eq!(answer(holding(Role::Member), 4), None);
        assert_eq!(Holdings::default().answers_read(id(7), 5), Verdict::NoPart);
    }

    #[test]
    fn a_deletion_is_forgotten_by_members_of_that_very_set() {
        let votes = |holding: Holding, number| only(holding).votes_to_forget(id(7), number) == Verdict::Does;
        assert!(votes(holding(Role::Member), 5));
        assert!(!votes(holding(Role::Member), 4), "it knows a newer set");
        assert!(!votes(holding(Role::Member), 6), "it may have missed the newer set's writes");
        assert!(!votes(fenced(Role::Member), 5));
        for role in [primary(), Role::TakingOver, Role::Newcomer, Role::Outside] {
            assert!(!votes(holding(role), 5));
        }
    }

    #[test]
    fn a_primary_forgets_while_nobody_comes_or_goes() {
        assert!(holding(primary()).is_quiet());
        let learners = vec![Learner { member: member(40), synced: true }];
        assert!(!holding(Role::Primary { learners, settled: true }).is_quiet());
        assert!(!holding(Role::Primary { learners: Vec::new(), settled: false }).is_quiet());
        assert!(!fenced(primary()).is_quiet());
        assert!(!Holding { missing: vec![member(20)], ..holding(primary()) }.is_quiet());
        assert!(!holding(Role::Member).is_quiet());
        let both =
            Holdings { ranges: vec![holding(primary()), Holding { range: range(100, 120), ..fenced(primary()) }] };
        assert!(both.are_quiet(range(10, 90), 5));
        assert!(!both.are_quiet(range(10, 90), 4) && !both.are_quiet(range(90, 110), 5));
    }

    #[test]
    fn whose_copy_may_come_to_count_is_counted_on() {
        let learners = vec![Learner { member: member(40), synced: false }];
        let holding = holding(Role::Primary { learners, settled: true });
        assert!(holding.set.members.iter().all(|member| holding.counts_on(member)));
        assert!(holding.counts_on(&member(40)) && !holding.counts_on(&member(50)));
    }

    #[test]
    fn a_store_is_as_good_as_its_worst_range() {
        let until = |ranges: Vec<Holding>| Holdings { ranges }.by_right_until(100);
        let alone = || whole(primary(), u64::MAX);
        assert_eq!(until(vec![]), Some(100));
        assert_eq!(until(vec![alone(), holding(Role::Outside)]), Some(100));
        assert_eq!(until(vec![alone(), whole(Role::Member, 40), whole(Role::Member, 70)]), Some(40));
        assert_eq!(until(vec![alone(), holding(Role::Member)]), None, "nobody has said so yet");
        assert_eq!(until(vec![alone(), whole(Role::Newcomer, 40)]), None);
        assert_eq!(until(vec![whole(Role::TakingOver, 40)]), None);
    }

    #[test]
    fn a_primary_is_one_for_as_long_as_its_members_are_known_to_have_gone_by_its_set() {
        let until = |holding| only(holding).by_right_until(100);
        assert_eq!(until(whole(primary(), 60)), Some(60));
        assert_eq!(until(whole(primary(), 0)), None, "not compared yet");
        assert_eq!(until(Holding { whole: u64::MAX, ..fenced(primary()) }), None, "somebody may have followed it");
        assert_eq!(until(Holding { whole: 40, ..fenced(Role::Member) }), Some(40), "that was said before");
    }

    #[test]
    fn whatever_lies_where_this_node_has_no_part_is_foreign() {
        let space = id(0).space();
        let part = |after, upto, role| Holding { range: range(after, upto), ..holding(role) };
        let ranges = vec![part(0, 50, Role::Member), part(50, 100, Role::Outside), part(100, 150, Role::Newcomer)];
        let foreign = Holdings { ranges }.foreign(space);
        let is_foreign = |place| foreign.iter().any(|part| part.contains(id(place)));
        assert!(!is_foreign(1) && !is_foreign(50) && is_foreign(51) && is_foreign(100) && !is_foreign(101));
        assert!(is_foreign(151) && is_foreign(0));
        assert_eq!(Holdings::default().foreign(space), vec![Range::full(space.max())]);
    }
}
