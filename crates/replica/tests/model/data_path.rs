//! Writes and the moving of records, as the daemon does them: `write_here` and `replicate` in `node/src/primary.rs`,
//! `store` and `list` in `holder.rs`, `sync`, `takeover` and `spread` in `transfer.rs`. Who serves and who takes a copy
//! is said by [`replica::Holdings`], when a write is done by [`WriteQuorum`].
//!
//! A copy is kept and acknowledged in one step, since nothing hangs on when the primary hears of it: that a caller
//! hears nothing of a copy that is made comes as silence first. A listing is one step too, with all that it brings.

use replica::{Job, Need, QuorumState, Request, Set, WriteQuorum};

use crate::memory::Says;
use crate::process::{Input, member, process_of, whole};
use crate::scenario::Mutant;
use crate::turn::Turn;
use crate::world::{Write, bit, bits};

/// What a holder says to a copy.
enum Copied {
    Yes,
    No,
    Newer(u32),
}

impl Turn<'_> {
    /// `write_here`, and the copies that `replicate` sends.
    pub(crate) fn write(&mut self, process: usize) {
        let part = self.known(process).part.unwrap();
        let record = bit(self.world.written);
        self.world.written += 1;
        self.world.held[process] |= record;
        let set = self.memory.said.sets.get(part.set).clone();
        let awaited = if self.mutant(Mutant::LearnersNotAwaited) { 0 } else { part.learners };
        let mut quorum = WriteQuorum::new(&set, bits(awaited).map(member), Need::Majority);
        let state = quorum.on_ack(&member(process), true);
        let members = set.members.iter().fold(0, |all, member| all | bit(process_of(&member.peer)));
        let (learners, open) = (part.learners, (members | part.learners) & !bit(process));
        let number = part.number;
        let quorum = Some(self.memory.quorums.of(quorum));
        let (forgotten, lost) = (0, 0);
        self.world.writes.push(Write { record, at: process, number, learners, open, forgotten, lost, quorum });
        self.counted(self.world.writes.len() - 1, state);
    }

    fn counted(&mut self, write: usize, state: QuorumState) {
        let Write { record, number, quorum, .. } = &mut self.world.writes[write];
        if state == QuorumState::Done {
            self.world.acknowledged |= *record;
            self.world.acknowledged_later |= *number > 1;
        }
        if state != QuorumState::Pending {
            *quorum = None;
        }
    }

    fn count(&mut self, write: usize, count: impl FnOnce(&mut WriteQuorum) -> QuorumState) {
        let Some(quorum) = self.world.writes[write].quorum else { return };
        let mut quorum = self.memory.quorums.get(quorum).clone();
        let state = count(&mut quorum);
        self.world.writes[write].quorum = Some(self.memory.quorums.of(quorum));
        self.counted(write, state);
    }

    /// `store` at a holder, and what its answer does to the write.
    pub(crate) fn copy(&mut self, write: usize, to: usize) {
        let Write { record, number, at, .. } = self.world.writes[write];
        let waits = self.world.writes[write].open & bit(to) != 0;
        let verdict = self.verdict(to, number);
        if let Copied::Yes = verdict {
            self.world.held[to] |= record;
        }
        self.world.writes[write].forgotten &= !bit(to);
        if !waits {
            return;
        }
        match verdict {
            Copied::Yes => {
                self.world.writes[write].open &= !bit(to);
                self.count(write, |quorum| quorum.on_ack(&member(to), true));
            }
            Copied::No => {
                self.copy_silence(write, to);
                self.world.writes[write].forgotten &= !bit(to);
            }
            Copied::Newer(set) => {
                self.world.writes[write].open &= !bit(to);
                self.world.writes[write].quorum = None;
                self.put(at, Input::Newer { set });
            }
        }
    }

    fn verdict(&self, process: usize, number: u64) -> Copied {
        let Some(part) = self.known(process).part else { return Copied::No };
        match part.takes_copy[number as usize] {
            Says::Does => Copied::Yes,
            Says::Newer if self.mutant(Mutant::OldNumbersTaken) => Copied::Yes,
            Says::Newer => Copied::Newer(part.set),
            Says::Fenced if self.mutant(Mutant::NoFence) => Copied::Yes,
            Says::Fenced | Says::NoPart => Copied::No,
        }
    }

    /// A copy was not made, as far as the primary knows: `missed`.
    pub(crate) fn copy_silence(&mut self, write: usize, to: usize) {
        let Write { at, number, learners, .. } = self.world.writes[write];
        let found = &mut self.world.writes[write];
        if found.open & bit(to) != 0 {
            found.forgotten |= bit(to);
        }
        found.open &= !bit(to);
        found.lost &= !bit(to);
        if learners & bit(to) == 0 {
            self.put(at, Input::Lagging { number, member: to });
            self.count(write, |quorum| quorum.on_failure(&member(to)));
        } else if self.mutant(Mutant::MissedLearnerStays) || self.put(at, Input::Drop { number, learner: to }).dropped {
            self.count(write, |quorum| quorum.on_failure(&member(to)));
        } else {
            self.world.writes[write].quorum = None;
        }
    }

    /// `list` at `from`, and what the job makes of it.
    pub(crate) fn list(&mut self, process: usize, place: usize, from: usize) {
        let running = &self.known(process).process.jobs[place];
        let (job, blind) = (running.job.clone(), self.is_blind(&running.job));
        let set = set_of(&job).clone();
        if blind {
            self.put(process, Input::Ended { job: place, well: true });
            return;
        }
        let number = set.number;
        if self.known(from).part.is_some_and(|part| part.number < number) {
            let install = Request::Install { range: whole(), set, before: None, whole: 0 };
            let requests = self.memory.said.requests.of(vec![install]);
            self.put(from, Input::Serve { from: process, requests });
        }
        let newer = self.known(from).part.filter(|part| part.number > number).map(|part| part.set);
        if let Some(set) = newer {
            self.put(process, Input::Ended { job: place, well: false });
            self.put(process, Input::Newer { set });
            return;
        }
        let learnt = self.world.held[from] & !self.world.held[process];
        self.world.held[process] |= learnt;
        if let Job::Spread { set, .. } = &job {
            return self.spread(process, place, from, set, learnt != 0);
        }
        self.put(process, Input::Listed { job: place, from });
    }

    fn spread(&mut self, process: usize, place: usize, to: usize, set: &Set, learnt: bool) {
        let lacks = self.world.held[process] & !self.world.held[to];
        let well = lacks == 0 || matches!(self.verdict(to, set.number), Copied::Yes);
        if well {
            self.world.held[to] |= lacks;
        }
        self.put(process, Input::Ended { job: place, well });
        let others: Vec<usize> = set.members.iter().map(|member| process_of(&member.peer)).collect();
        for member in others.into_iter().filter(|other| learnt && *other != process && *other != to) {
            self.put(process, Input::Lagging { number: set.number, member });
        }
    }
}

pub(crate) fn set_of(job: &Job) -> &Set {
    match job {
        Job::Sync { set, .. } | Job::Takeover { set, .. } | Job::Spread { set, .. } => set,
    }
}

/// Whom a job asks now: a newcomer the primary first, a new primary everybody at once.
pub(crate) fn asked_now(job: &Job, listed: &[usize]) -> Vec<usize> {
    let processes = |set: &Set| set.members.iter().map(|member| process_of(&member.peer)).collect::<Vec<usize>>();
    let asked = match job {
        Job::Sync { set, .. } if listed.is_empty() => vec![process_of(&set.primary().peer)],
        Job::Sync { set, .. } => processes(set),
        Job::Takeover { before, .. } => processes(before),
        Job::Spread { to, .. } => vec![process_of(&to.peer)],
    };
    asked.into_iter().filter(|process| !listed.contains(process)).collect()
}
