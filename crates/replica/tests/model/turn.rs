//! What may happen in a world, and what becomes of it then.
//!
//! Votes go in two steps, there and back, so that anything may happen between; every other call goes in one, since what
//! its caller learns holds for good or is only a hint.

use std::sync::Arc;

use replica::{Job, Request, Set};

use crate::data_path::{asked_now, set_of};
use crate::memory::{Duty, Known, Memory};
use crate::process::{Input, Outcome, Process, Rules, is_probe, process_of, whole};
use crate::scenario::{Mutant, Scenario};
use crate::world::{Action, Call, Stage, World, Write, bit, bits};

/// One step of a world: the world itself, and what it needs to go on.
pub(crate) struct Turn<'a> {
    pub(crate) world: World,
    pub(crate) memory: &'a mut Memory,
    pub(crate) scenario: &'a Scenario,
    pub(crate) rules: &'a Rules,
}

impl Turn<'_> {
    /// Members of the first set serve under it, settled; then everybody believes what it is to believe.
    pub(crate) fn begin(&mut self, first: &Set, before: &Set) {
        let count = self.rules.processes;
        for process in 0..count {
            let number = self.memory.process(Process::new(process, self.rules));
            self.world.processes.push(number);
        }
        (self.world.lives, self.world.held) = (vec![0; count], vec![0; count]);
        let number = self.memory.said.sets.of(first.clone());
        self.world.chosen.push((first.number, number));
        for process in 0..count {
            let range = whole();
            let install = Request::Install { range, set: first.clone(), before: Some(before.clone()), whole: 0 };
            let requests = self.memory.said.requests.of(vec![install]);
            self.put(process, Input::Serve { from: process_of(&first.primary().peer), requests });
        }
        // In calm weather, until nothing more is to be done.
        loop {
            let mut actions = Vec::new();
            self.actions(&mut actions);
            let calm = |action: &&Action| matches!(action, Action::Deliver(_) | Action::Answer(_) | Action::List(..));
            let Some(action) = actions.iter().find(calm) else { break };
            self.act(*action);
        }
        for process in 0..count {
            self.put(process, Input::Believe);
        }
    }

    pub(crate) fn known(&self, process: usize) -> &Known {
        self.memory.known(&self.world, process)
    }

    fn is_up(&self, process: usize) -> bool {
        self.known(process).process.is_up()
    }

    pub(crate) fn mutant(&self, mutant: Mutant) -> bool {
        self.scenario.mutant == Some(mutant)
    }

    /// All that may happen.
    pub(crate) fn actions(&self, actions: &mut Vec<Action>) {
        let (world, scenario) = (&self.world, self.scenario);
        let losses = world.losses < scenario.losses;
        for (place, call) in world.calls.iter().enumerate() {
            match call.stage {
                Stage::Asked | Stage::Forgotten if self.is_up(call.to) => actions.push(Action::Deliver(place)),
                Stage::Asked | Stage::Forgotten => {}
                Stage::Answered(_) => actions.push(Action::Answer(place)),
                Stage::Lost => {}
            }
            let waits = call.stage != Stage::Forgotten;
            if waits && (call.stage == Stage::Lost || losses && self.matters(call)) {
                actions.push(Action::Silence(place));
            }
        }
        for (place, write) in world.writes.iter().enumerate() {
            for to in bits(write.open | write.forgotten).filter(|to| self.is_up(*to)) {
                actions.push(Action::Copy(place, to));
            }
            for to in bits(write.open).filter(|_| losses).chain(bits(write.lost)) {
                actions.push(Action::CopySilence(place, to));
            }
        }
        for process in 0..self.rules.processes {
            let known = self.known(process);
            if !known.process.is_up() {
                actions.push(Action::Restart(process));
                continue;
            }
            if world.written < scenario.writes && self.serves(process) {
                actions.push(Action::Write(process));
            }
            for (place, running) in known.process.jobs.iter().enumerate() {
                let first = set_of(&running.job).number == 1;
                if matches!(running.job, Job::Spread { .. }) && !scenario.spreads && !first {
                    continue;
                }
                let asked = asked_now(&running.job, &running.listed);
                let asked = asked.into_iter().filter(|other| self.is_up(*other) && *other != process);
                actions.extend(asked.map(|other| Action::List(process, place, other)));
                if losses {
                    actions.push(Action::JobFails(process, place));
                }
            }
            if known.process.seeks() {
                let owners = self.rules.owners().filter(|owner| *owner != process);
                actions.extend(owners.map(|owner| Action::Found(process, owner)));
            }
            if world.waits < scenario.waits && scenario.waiters.contains(&process) && !self.is_waited_for(process) {
                actions.push(Action::Wait(process));
            }
            if world.crashes < scenario.crashes {
                actions.push(Action::Crash(process));
            }
        }
    }

    /// Whether it makes a difference that the caller hears nothing, beside that it does not hear.
    fn matters(&self, call: &Call) -> bool {
        let requests = self.memory.said.requests.get(call.requests);
        !requests.iter().all(|request| matches!(request, Request::Install { .. } | Request::Sets { .. }))
    }

    /// A call whose answer may come late. That of a second phase matters only to members: others do nothing on hearing
    /// it but to tell somebody, which may come late itself.
    fn in_two_steps(&self, call: &Call) -> bool {
        let part = self.known(call.from).part;
        let outside = part.is_none_or(|part| matches!(part.duty, Duty::Newcomer | Duty::Outside));
        self.memory.said.requests.get(call.requests).iter().any(|request| match request {
            Request::Prepare { .. } => true,
            Request::Accept { .. } => !outside,
            _ => false,
        })
    }

    /// A newcomer's call is on its way to the process. It ends long before a wait does: a primary that dropped a
    /// newcomer counts on that when it lets it register again.
    fn is_waited_for(&self, process: usize) -> bool {
        let newcomers = |request: &Request| {
            matches!(request, Request::Register { .. } | Request::Fetching { .. } | Request::Synced { .. })
        };
        let to = self.world.calls.iter().filter(|call| call.to == process && call.stage != Stage::Lost);
        to.into_iter().any(|call| self.memory.said.requests.get(call.requests).iter().any(newcomers))
    }

    fn serves(&self, process: usize) -> bool {
        let no_fence = self.mutant(Mutant::NoFence);
        self.known(process).part.is_some_and(|part| part.serves || no_fence && part.serves_unfenced)
    }

    /// What would become of a process.
    fn step(&mut self, process: usize, input: Input) -> (u32, Arc<Outcome>) {
        let before = self.world.processes[process];
        if let Some((after, outcome)) = self.memory.steps.get(&(before, input)) {
            return (*after, Arc::clone(outcome));
        }
        let Memory { processes, said, .. } = self.memory;
        let (next, outcome) = processes.get(before).process.after(input, self.rules, said);
        let (after, outcome) = (self.memory.process(next), Arc::new(outcome));
        self.memory.steps.insert((before, input), (after, Arc::clone(&outcome)));
        (after, outcome)
    }

    /// Something happens to a process.
    pub(crate) fn put(&mut self, process: usize, input: Input) -> Arc<Outcome> {
        let (after, outcome) = self.step(process, input);
        self.world.processes[process] = after;
        self.note(process);
        for (to, requests) in &outcome.calls {
            let call = Call { from: process, to: *to, requests: *requests, stage: Stage::Asked };
            if self.is_news(&call) {
                self.world.calls.push(call);
            } else if self.is_old(&call) {
                let response = self.put(*to, Input::Serve { from: process, requests: *requests }).response.unwrap();
                self.reply(call, Some(response));
            }
        }
        outcome
    }

    /// A call that the world is interested in. Others are never answered: those that only probe whether somebody lives,
    /// and those that lead beyond the last set.
    fn is_news(&self, call: &Call) -> bool {
        let last = self.scenario.last;
        let leads_on = |request: &Request| match request {
            Request::Prepare { after, .. } | Request::Accept { after, .. } => *after < last,
            Request::Register { number, .. } | Request::Fetching { number, .. } | Request::Synced { number, .. } => {
                *number < last
            }
            Request::Learn { set, .. } => set.number < last,
            Request::Sets { .. } => !is_probe(request),
            Request::Install { .. } | Request::Leaving => true,
        };
        !self.is_old(call) && self.memory.said.requests.get(call.requests).iter().any(leads_on)
    }

    /// A call that tells a process only what it knows already: nothing else can come of it, so it is over at once.
    fn is_old(&self, call: &Call) -> bool {
        let there = self.known(call.to).part.map_or(0, |part| part.number);
        let old = |request: &Request| matches!(request, Request::Install { set, .. } if set.number <= there);
        self.memory.said.requests.get(call.requests).iter().all(old)
    }

    /// Keeps count of what was accepted and chosen.
    fn note(&mut self, process: usize) {
        let known = self.known(process);
        let adopted = known.part.map(|part| (part.number, part.set));
        if let Some(vote) = known.vote {
            match self.world.votes.iter_mut().find(|(one, _)| *one == vote) {
                Some((_, voters)) => *voters |= bit(process),
                None => {
                    self.world.votes.push((vote, bit(process)));
                    self.world.votes.sort_unstable();
                }
            }
            let (after, _, set) = *self.memory.votes.get(vote);
            let voters = self.world.votes.iter().find(|(one, _)| *one == vote).map_or(0, |(_, voters)| *voters);
            let old = self.world.chosen.iter().find(|(number, _)| *number == after).map(|(_, old)| *old);
            if let Some(old) = old
                && self.memory.facts(old).majorities.iter().any(|majority| majority & !voters == 0)
            {
                let number = self.memory.said.sets.get(set).number;
                self.choose(number, set);
            }
        }
        if let Some((number, set)) = adopted {
            self.choose(number, set);
        }
    }

    fn choose(&mut self, number: u64, set: u32) {
        match self.world.chosen.iter().find(|(one, _)| *one == number) {
            Some((_, one)) => self.world.parted |= *one != set,
            None => {
                self.world.chosen.push((number, set));
                self.world.chosen.sort_unstable();
            }
        }
    }

    /// Carries an action out.
    pub(crate) fn act(&mut self, action: Action) {
        match action {
            Action::Deliver(place) => self.deliver(place),
            Action::Answer(place) => {
                let call = self.world.calls.remove(place);
                let Stage::Answered(response) = call.stage else { unreachable!("{call:?}") };
                self.reply(call, Some(response));
            }
            Action::Silence(place) => self.silence(place),
            Action::Write(process) => self.write(process),
            Action::Copy(write, to) => self.copy(write, to),
            Action::CopySilence(write, to) => {
                self.world.losses += usize::from(self.world.writes[write].lost & bit(to) == 0);
                self.copy_silence(write, to);
            }
            Action::List(process, job, from) => self.list(process, job, from),
            Action::JobFails(process, job) => {
                self.world.losses += 1;
                self.put(process, Input::Ended { job, well: false });
            }
            Action::Found(process, owner) => {
                self.put(process, Input::Found { owner });
            }
            Action::Wait(process) => self.wait(process),
            Action::Crash(process) => self.crash(process),
            Action::Restart(process) => {
                let (life, forgets) = (self.world.lives[process], self.mutant(Mutant::ForgetsPromises));
                self.put(process, Input::Restart { life, forgets });
            }
        }
        while let Some(place) = (0..self.world.calls.len()).find(|place| self.comes_too_late(*place)) {
            let call = self.world.calls.remove(place);
            if let Stage::Answered(response) = call.stage {
                self.reply(call, Some(response));
            }
        }
        while let Some(place) = (0..self.world.calls.len()).find(|place| self.is_void(*place)) {
            self.world.calls.remove(place);
        }
        self.world.calls.sort_unstable();
        for write in 0..self.world.writes.len() {
            let Write { number, forgotten, .. } = self.world.writes[write];
            let taken = self.mutant(Mutant::OldNumbersTaken);
            let over = |to: &usize| !taken && self.known(*to).part.is_some_and(|part| part.number > number);
            let void = bits(forgotten).filter(over).fold(0, |all, to| all | bit(to));
            self.world.writes[write].forgotten &= !void;
        }
        self.world.writes.retain(|write| write.open | write.forgotten | write.lost != 0);
    }

    /// A call about a set that is over, whose answer nobody waits for: nothing can come of it any more.
    fn is_void(&mut self, place: usize) -> bool {
        let Call { from, to, requests, stage } = self.world.calls[place];
        let (Stage::Forgotten, Some(part)) = (stage, self.known(to).part) else { return false };
        let over = |request: &Request| match request {
            Request::Prepare { after, .. } | Request::Accept { after, .. } => *after < part.number,
            Request::Register { number, .. } | Request::Fetching { number, .. } | Request::Synced { number, .. } => {
                *number < part.number
            }
            Request::Install { set, .. } => set.number <= part.number,
            Request::Learn { set, .. } => set.number < part.number,
            Request::Sets { .. } | Request::Leaving => false,
        };
        if !self.memory.said.requests.get(requests).iter().all(over) {
            return false;
        }
        let before = self.known(to).core;
        let (after, outcome) = self.step(to, Input::Serve { from, requests });
        outcome.calls.is_empty() && self.memory.processes.get(after).core == before
    }

    /// An answer that changes nothing: what it is about is over, which it stays. So it is over at once.
    fn comes_too_late(&mut self, place: usize) -> bool {
        let Call { from, to, requests, stage: Stage::Answered(response) } = self.world.calls[place] else {
            return false;
        };
        let before = self.known(from).core;
        let (after, outcome) = self.step(from, Input::Reply { to, requests, response: Some(response) });
        outcome.calls.is_empty() && self.memory.processes.get(after).core == before
    }

    fn reply(&mut self, call: Call, response: Option<u32>) {
        self.put(call.from, Input::Reply { to: call.to, requests: call.requests, response });
    }

    fn deliver(&mut self, place: usize) {
        let call = self.world.calls.remove(place);
        let Call { from, to, requests, stage } = call;
        let response = match self.forged(&call) {
            Some(response) => response,
            None => self.put(to, Input::Serve { from, requests }).response.unwrap(),
        };
        let response = self.tampered(&call, response);
        if stage == Stage::Forgotten {
            return;
        }
        if self.in_two_steps(&call) {
            self.world.calls.push(Call { stage: Stage::Answered(response), ..call });
        } else {
            self.reply(call, Some(response));
        }
    }

    /// A call ends in silence; what was asked may still arrive.
    fn silence(&mut self, place: usize) {
        let call = self.world.calls.remove(place);
        self.world.losses += usize::from(call.stage != Stage::Lost);
        self.forget(call);
        self.reply(call, None);
    }

    fn forget(&mut self, call: Call) {
        if call.stage == Stage::Asked && self.matters(&call) {
            self.world.calls.push(Call { stage: Stage::Forgotten, ..call });
        }
    }

    /// Everything that the process waits for has ended long before.
    fn wait(&mut self, process: usize) {
        self.world.waits += 1;
        for write in 0..self.world.writes.len() {
            let Write { at, open, lost, .. } = self.world.writes[write];
            for to in bits(open | lost).filter(|_| at == process) {
                self.copy_silence(write, to);
            }
        }
        while let Some((to, requests)) = self.next_waited_for(process) {
            let is_it = |call: &Call| {
                (call.from, call.to, call.requests) == (process, to, requests) && call.stage != Stage::Forgotten
            };
            if let Some(place) = self.world.calls.iter().position(is_it) {
                let call = self.world.calls.remove(place);
                self.forget(call);
            }
            self.put(process, Input::Reply { to, requests, response: None });
        }
        self.put(process, Input::Wait);
    }

    fn next_waited_for(&self, process: usize) -> Option<(usize, u32)> {
        self.known(process).process.waits_for().next()
    }

    fn crash(&mut self, process: usize) {
        self.world.crashes += 1;
        self.world.lives[process] += 1;
        self.put(process, Input::Crash);
        let calls: Vec<Call> = self.world.calls.drain(..).collect();
        for call in calls {
            match call.stage {
                Stage::Asked if call.from == process => self.forget(call),
                Stage::Answered(_) | Stage::Lost if call.from == process => {}
                Stage::Asked if call.to == process => {
                    self.world.calls.push(Call { stage: Stage::Lost, ..call });
                }
                Stage::Forgotten if call.to == process => {}
                _ => self.world.calls.push(call),
            }
        }
        for write in &mut self.world.writes {
            if write.at == process {
                write.forgotten |= write.open;
                (write.open, write.lost, write.quorum) = (0, 0, None);
            }
            write.lost |= write.open & bit(process);
            write.open &= !bit(process);
            write.forgotten &= !bit(process);
        }
    }
}
