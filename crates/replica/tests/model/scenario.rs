//! Who is there, what each believes, what may go wrong and how often; and rules that may be broken.

use std::fmt;

use crate::process::{Belief, Rules};

/// Where a check begins, and its bounds.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// Members of the first set, the primary first.
    pub(crate) first: Vec<usize>,
    pub(crate) rules: Rules,
    /// Writes at most.
    pub(crate) writes: usize,
    /// Crashes at most, of anybody at any moment. Whoever crashed may come back with its disk, or never.
    pub(crate) crashes: usize,
    /// Calls, copies and jobs at most that end in silence without a crash.
    pub(crate) losses: usize,
    /// Times at most that a clock goes on, so that everything begun is given up and may be tried again; and whose.
    pub(crate) waits: usize,
    pub(crate) waiters: Vec<usize>,
    /// Members are brought up to date after a change of the set.
    pub(crate) spreads: bool,
    /// No set beyond this number is proposed.
    pub(crate) last: u64,
    pub(crate) mutant: Option<Mutant>,
}

/// A rule that is not kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mutant {
    /// A holder that has accepted a proposal goes on taking writes.
    NoFence,
    /// A holder takes writes under a set that it knows to be over.
    OldNumbersTaken,
    /// What was promised and accepted does not survive a restart.
    ForgetsPromises,
    /// A ballot is promised to once more.
    BallotTwice,
    /// A vote is counted that was never cast.
    UncastVotes,
    /// A change of members goes to everybody at once, not to the primary first.
    PrimaryNotFirst,
    /// A newcomer says that it is synced and has fetched nothing.
    SyncedTooEarly,
    /// A write is acknowledged before every newcomer has it.
    LearnersNotAwaited,
    /// A newcomer that missed a write is not dropped.
    MissedLearnerStays,
    /// A new primary serves without having asked a majority.
    BlindTakeover,
    /// A primary takes its members to have everything.
    SettledTooEarly,
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, rules, writes, crashes, losses, waits, last, mutant, .. } = self;
        write!(f, "{name} ({} processes, writes {writes}, crashes {crashes}", rules.processes)?;
        write!(f, ", losses {losses}, waits {waits}, sets {last})")?;
        mutant.map_or(Ok(()), |mutant| write!(f, " with {mutant:?}"))
    }
}

impl Rules {
    /// Everybody who takes itself for the owner of the range.
    pub(crate) fn owners(&self) -> impl Iterator<Item = usize> {
        (0..self.processes).filter(|process| self.beliefs[*process][0].wants.is_some())
    }

    pub(crate) fn wanted_by(&self, process: usize) -> Vec<usize> {
        let wanted = self.beliefs[process][0].wants.clone().unwrap_or_default();
        wanted.into_iter().take(self.replicas).collect()
    }
}

const A: usize = 0;
const B: usize = 1;
const C: usize = 2;
const D: usize = 3;
const E: usize = 4;

fn wants(holders: &[usize]) -> Belief {
    Belief { wants: Some(holders.to_vec()), dead: Vec::new() }
}

fn wants_without(holders: &[usize], dead: &[usize]) -> Belief {
    Belief { wants: Some(holders.to_vec()), dead: dead.to_vec() }
}

impl Scenario {
    fn of(name: &'static str, first: &[usize], beliefs: Vec<Vec<Belief>>) -> Self {
        let rules = Rules { processes: beliefs.len(), replicas: first.len(), beliefs };
        let (writes, crashes, losses, waits) = (1, 1, 0, 0);
        let (first, waiters) = (first.to_vec(), Vec::new());
        Self { name, first, rules, writes, crashes, losses, waits, waiters, spreads: false, last: 3, mutant: None }
    }

    pub(crate) fn with(self, writes: usize, crashes: usize, losses: usize) -> Self {
        Self { writes, crashes, losses, ..self }
    }

    pub(crate) fn waiting(self, waits: usize, waiters: &[usize]) -> Self {
        Self { waits, waiters: waiters.to_vec(), ..self }
    }

    pub(crate) fn until(self, last: u64) -> Self {
        Self { last, ..self }
    }

    pub(crate) fn breaking(self, mutant: Mutant) -> Self {
        Self { mutant: Some(mutant), ..self }
    }

    /// A, B and C hold the range. D comes in, as its new owner.
    pub(crate) fn newcomer() -> Self {
        let none = || vec![Belief::default()];
        Self::of("a newcomer", &[A, B, C], vec![none(), none(), none(), vec![wants(&[D, A, B])]])
    }

    /// A, B and C hold the range. D comes in, as its new owner; B takes A for dead and takes over.
    pub(crate) fn newcomer_against_takeover() -> Self {
        let none = || vec![Belief::default()];
        let beliefs = vec![none(), vec![wants_without(&[B, C, A], &[A])], none(), vec![wants(&[D, A, B])]];
        Self::of("a newcomer against a take-over", &[A, B, C], beliefs)
    }

    /// A and B hold the range. C and D both come in, each as its new owner.
    pub(crate) fn two_newcomers() -> Self {
        let none = || vec![Belief::default()];
        let beliefs = vec![none(), none(), vec![wants(&[C, A])], vec![wants(&[D, B])]];
        Self::of("two newcomers", &[A, B], beliefs)
    }

    /// A, B and C hold the range. D and E both come in, each as its new owner.
    pub(crate) fn two_newcomers_to_three() -> Self {
        let none = || vec![Belief::default()];
        let beliefs = vec![none(), none(), none(), vec![wants(&[D, A, B])], vec![wants(&[E, B, A])]];
        Self::of("two newcomers to three", &[A, B, C], beliefs)
    }

    /// A, B and C hold the range. D and E own it without holding it, take A for dead, and want B and C in its place; in
    /// a later life each wants the other one.
    pub(crate) fn two_takeovers() -> Self {
        let none = || vec![Belief::default()];
        let to = |first, second| wants_without(&[first, second, A], &[A]);
        let beliefs = vec![none(), none(), none(), vec![to(B, C), to(C, B)], vec![to(C, B), to(B, C)]];
        Self::of("two take-overs", &[A, B, C], beliefs)
    }

    /// A, B and C hold the range. D owns it without holding it, and wants C alone to.
    pub(crate) fn shrinking() -> Self {
        let none = || vec![Belief::default()];
        let mut scenario = Self::of("a shrinking set", &[A, B, C], vec![none(), none(), none(), vec![wants(&[C])]]);
        (scenario.rules.replicas, scenario.spreads) = (1, true);
        scenario
    }
}
