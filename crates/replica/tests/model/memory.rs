//! Everything that was ever met, by number, and what is read off it.

use std::collections::HashMap;
use std::sync::Arc;

use replica::{Ballot, Holding, Holdings, Need, QuorumState, ReadQuorum, Role, Service, Set, Verdict, WriteQuorum};

use crate::intern::Interned;
use crate::process::{Input, Outcome, Process, Said, id, member, process_of};
use crate::world::{Bits, World, bit, bits};

/// No set has a number as high as this.
const NUMBERS: usize = 5;

/// [`Role`] without what belongs to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Duty {
    Primary,
    TakingOver,
    Member,
    Newcomer,
    Outside,
}

/// A process's part in the range, in numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    pub(crate) number: u64,
    pub(crate) set: u32,
    pub(crate) duty: Duty,
    pub(crate) fenced: bool,
    /// Whether it serves, and whether it would if it were not fenced.
    pub(crate) serves: bool,
    pub(crate) serves_unfenced: bool,
    /// The newcomers that its writes go to.
    pub(crate) learners: Bits,
    /// By the number of the set that is meant.
    pub(crate) takes_copy: [Says; NUMBERS],
    pub(crate) answers_read: [Says; NUMBERS],
}

/// [`Verdict`] without what belongs to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Says {
    Does,
    Newer,
    Fenced,
    NoPart,
}

impl From<Verdict<'_>> for Says {
    fn from(verdict: Verdict<'_>) -> Self {
        match verdict {
            Verdict::Does => Self::Does,
            Verdict::Newer(_) => Self::Newer,
            Verdict::Fenced => Self::Fenced,
            Verdict::NoPart => Self::NoPart,
        }
    }
}

/// A process with what is read off it.
pub(crate) struct Known {
    pub(crate) process: Process,
    pub(crate) part: Option<Part>,
    /// What it has accepted for the next set.
    pub(crate) vote: Option<u32>,
    /// The same for all that differ only in what they wait for.
    pub(crate) core: u32,
}

/// A set with what is read off it.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) members: Vec<usize>,
    /// Every majority of it.
    pub(crate) majorities: Vec<Bits>,
    /// Every majority that a read may go by.
    pub(crate) readers: Vec<Bits>,
}

/// Everything that was ever met, and what became of it.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) said: Said,
    pub(crate) processes: Interned<String, Known>,
    pub(crate) steps: HashMap<(u32, Input), (u32, Arc<Outcome>)>,
    pub(crate) quorums: Interned<WriteQuorum, WriteQuorum>,
    pub(crate) votes: Interned<(u64, Ballot, u32), (u64, Ballot, u32)>,
    cores: Interned<String, ()>,
    facts: HashMap<u32, Arc<Facts>>,
}

impl Memory {
    pub(crate) fn process(&mut self, process: Process) -> u32 {
        let part = process.holding().map(|holding| self.part(holding));
        // On disk is what a crash leaves behind: so it counts whether the process is up or not.
        let piece = process.disk.first();
        let vote = piece.and_then(|piece| {
            let (ballot, set) = piece.accepted.clone()?;
            let set = self.said.sets.of(set);
            Some(self.votes.of((piece.set.number, ballot, set)))
        });
        let core = self.cores.number(process.key(false), || ());
        self.processes.number(process.key(true), || Known { process, part, vote, core })
    }

    fn part(&mut self, holding: &Holding) -> Part {
        let number = holding.set.number;
        assert!((number as usize) < NUMBERS);
        let duty = match &holding.role {
            Role::Primary { .. } => Duty::Primary,
            Role::TakingOver => Duty::TakingOver,
            Role::Member => Duty::Member,
            Role::Newcomer => Duty::Newcomer,
            Role::Outside => Duty::Outside,
        };
        let serves = |holding: &Holding| match holding.service() {
            Service::Serves(learners) => {
                Some(learners.iter().fold(0, |all, one| all | bit(process_of(&one.member.peer))))
            }
            _ => None,
        };
        let unfenced = serves(&Holding { fenced: false, ..holding.clone() });
        let holdings = Holdings { ranges: vec![holding.clone()] };
        let by_number = |says: &dyn Fn(u64) -> Says| std::array::from_fn(|number| says(number as u64));
        Part {
            number,
            set: self.said.sets.of(holding.set.clone()),
            duty,
            fenced: holding.fenced,
            serves: serves(holding).is_some(),
            serves_unfenced: unfenced.is_some(),
            learners: unfenced.unwrap_or(0),
            takes_copy: by_number(&|number| holdings.takes_copy(id(0), number).into()),
            answers_read: by_number(&|number| holdings.answers_read(id(0), number).into()),
        }
    }

    pub(crate) fn facts(&mut self, set: u32) -> Arc<Facts> {
        let sets = &self.said.sets;
        Arc::clone(self.facts.entry(set).or_insert_with(|| Arc::new(Facts::of(sets.get(set)))))
    }

    pub(crate) fn known(&self, world: &World, process: usize) -> &Known {
        self.processes.get(world.processes[process])
    }
}

impl Facts {
    fn of(set: &Set) -> Self {
        let members: Vec<usize> = set.members.iter().map(|member| process_of(&member.peer)).collect();
        let all = members.iter().fold(0, |all, one| all | bit(*one));
        let subsets: Vec<Bits> = (0..=all).filter(|some| some & !all == 0).collect();
        let majority = |some: &&Bits| some.count_ones() as usize >= set.majority();
        let enough = |some: &&Bits| {
            let mut quorum = ReadQuorum::new(set, Need::Majority);
            bits(**some).for_each(|process| {
                quorum.on_answer(&member(process));
            });
            quorum.state() == QuorumState::Done
        };
        let majorities = subsets.iter().filter(majority).copied().collect();
        let readers = subsets.iter().filter(enough).copied().collect();
        Self { members, majorities, readers }
    }
}
