//! The model as `stateright` explores it, and what must hold in every state of it.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use stateright::{Checker, HasDiscoveries, Model, Property};

use crate::memory::{Duty, Memory, Part, Says};
use crate::process::{member, name, set};
use crate::scenario::Scenario;
use crate::turn::Turn;
use crate::world::{Action, Bits, Stage, World, bit, bits};

const ONE_SET: &str = "no two sets of one number are accepted";
const MAJORITY: &str = "every majority of the newest set has every acknowledged write";
const PRIMARY: &str = "the newest set's primary has every acknowledged write once it serves";
const READ: &str = "whatever majority a read goes by has every acknowledged write";
const CHANGES: &str = "a set is changed and served";
const WRITES_ON: &str = "a write is acknowledged under a later set";
const COMES_BACK: &str = "a process that crashed serves";

/// A scenario to be explored.
pub(crate) struct Exploration {
    scenario: Scenario,
    memory: Mutex<Memory>,
}

impl Model for Exploration {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let world = self.turn(World::default(), |turn| {
            let members = &self.scenario.first;
            turn.begin(&set(1, members), &set(0, &members[..1]));
        });
        vec![world]
    }

    fn actions(&self, state: &World, actions: &mut Vec<Action>) {
        self.turn(state.clone(), |turn| turn.actions(actions));
    }

    fn next_state(&self, last: &World, action: Action) -> Option<World> {
        Some(self.turn(last.clone(), |turn| turn.act(action)))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(ONE_SET, |_, world: &World| !world.parted),
            Property::always(MAJORITY, |model: &Self, world| model.every_majority_has_all(world)),
            Property::always(PRIMARY, |model: &Self, world| model.the_newest_primary_has_all(world)),
            Property::always(READ, |model: &Self, world| model.every_read_sees_all(world)),
            Property::sometimes(CHANGES, |model: &Self, world| model.serves(world, |_, part| part.number > 1)),
            Property::sometimes(WRITES_ON, |_, world: &World| world.acknowledged_later),
            Property::sometimes(COMES_BACK, |model: &Self, world| {
                model.serves(world, |process, _| world.lives[process] > 0)
            }),
        ]
    }
}

impl Exploration {
    fn turn(&self, world: World, act: impl FnOnce(&mut Turn<'_>)) -> World {
        let mut memory = self.memory.lock().unwrap();
        let mut turn = Turn { world, memory: &mut memory, scenario: &self.scenario, rules: &self.scenario.rules };
        act(&mut turn);
        turn.world
    }

    fn every_majority_has_all(&self, world: &World) -> bool {
        let Some((_, newest)) = world.chosen.last() else { return true };
        let facts = self.memory.lock().unwrap().facts(*newest);
        facts.majorities.iter().all(|majority| union(world, *majority) & world.acknowledged == world.acknowledged)
    }

    fn the_newest_primary_has_all(&self, world: &World) -> bool {
        let memory = self.memory.lock().unwrap();
        let newest = world.chosen.last().map_or(0, |(number, _)| *number);
        (0..world.processes.len()).all(|process| {
            let part = memory.known(world, process).part;
            let serves = part.is_some_and(|part| part.number == newest && part.duty == Duty::Primary);
            !serves || world.held[process] & world.acknowledged == world.acknowledged
        })
    }

    /// `read` at a primary and at the holders that answer it now.
    fn every_read_sees_all(&self, world: &World) -> bool {
        let mut memory = self.memory.lock().unwrap();
        (0..world.processes.len()).all(|process| {
            let Some(part) = memory.known(world, process).part else { return true };
            if !part.serves {
                return true;
            }
            let facts = memory.facts(part.set);
            let answers = |there: Part| there.answers_read[part.number as usize] == Says::Does;
            let readable = facts
                .members
                .iter()
                .filter(|holder| **holder == process || memory.known(world, **holder).part.is_some_and(answers));
            let readable = readable.fold(0, |all, holder| all | bit(*holder));
            let mut readers = facts.readers.iter().filter(|readers| **readers & !readable == 0);
            readers.all(|readers| union(world, *readers) & world.acknowledged == world.acknowledged)
        })
    }

    fn serves(&self, world: &World, and: impl Fn(usize, Part) -> bool) -> bool {
        let memory = self.memory.lock().unwrap();
        (0..world.processes.len()).any(|process| {
            let part = memory.known(world, process).part;
            part.is_some_and(|part| part.duty == Duty::Primary && and(process, part))
        })
    }

    /// What happens, in words.
    fn tell(&self, world: &World, action: Action) -> String {
        let memory = self.memory.lock().unwrap();
        let call = |place: usize| {
            let call = world.calls[place];
            let requests = memory.said.requests.get(call.requests);
            (format!("{} -> {}", name(call.from), name(call.to)), format!("{requests:?}"), call.stage)
        };
        let copy = |write: usize| (bits(world.writes[write].record).next().unwrap(), name(world.writes[write].at));
        match action {
            Action::Deliver(place) => {
                let (way, requests, stage) = call(place);
                format!("{way} arrives ({stage:?}): {requests}")
            }
            Action::Answer(place) => {
                let (way, requests, stage) = call(place);
                let Stage::Answered(response) = stage else { return way };
                format!("{way} is answered: {requests}: {:?}", memory.said.responses.get(response).answers)
            }
            Action::Silence(place) => format!("{} hears nothing: {:?}", call(place).0, call(place).1),
            Action::Write(process) => format!("{} begins write {}", name(process), world.written),
            Action::Copy(write, to) => format!("write {:?}: the copy gets to {}", copy(write), name(to)),
            Action::CopySilence(write, to) => format!("write {:?}: no answer from {}", copy(write), name(to)),
            Action::List(process, job, from) => {
                let job = &memory.known(world, process).process.jobs[job].job;
                format!("{} lists {}: {job:?}", name(process), name(from))
            }
            Action::JobFails(process, job) => {
                format!("{} gives up {:?}", name(process), memory.known(world, process).process.jobs[job].job)
            }
            Action::Found(process, owner) => format!("{} finds the owner {}", name(process), name(owner)),
            Action::Wait(process) => format!("{} waits", name(process)),
            Action::Crash(process) => format!("{} crashes", name(process)),
            Action::Restart(process) => format!("{} comes back", name(process)),
        }
    }

    /// The same with the state of everybody after each step.
    fn story(&self, actions: Vec<Action>) -> String {
        let mut world = self.init_states().remove(0);
        let mut story = String::new();
        for action in actions {
            story += &format!("{}\n", self.tell(&world, action));
            world = self.next_state(&world, action).unwrap();
            let memory = self.memory.lock().unwrap();
            for process in 0..world.processes.len() {
                let known = memory.known(&world, process);
                let part = known.part.map_or("down".to_owned(), |part| {
                    let set = memory.said.sets.get(part.set);
                    let fenced = if part.fenced { ", fenced" } else { "" };
                    format!("{:?} of {set:?}{fenced}", part.duty)
                });
                let promised = known.process.disk.first().and_then(|piece| piece.promised);
                let promised = promised.map_or(String::new(), |ballot| format!(", promised {ballot:?}"));
                let held: Vec<usize> = bits(world.held[process]).collect();
                story += &format!("    {} {part}{promised}, has {held:?}\n", name(process));
            }
            let acknowledged: Vec<usize> = bits(world.acknowledged).collect();
            story += &format!("    acknowledged {acknowledged:?}\n");
        }
        // Members by their names alone.
        let processes = 0..self.scenario.rules.processes;
        processes
            .fold(story, |story, process| story.replace(&format!("{:?}", member(process)), &name(process).to_string()))
    }
}

fn union(world: &World, processes: Bits) -> Bits {
    bits(processes).map(|process| world.held[process]).fold(0, |all, held| all | held)
}

/// What an exploration came to.
pub(crate) struct Findings {
    /// What does not hold, and how it comes about.
    pub(crate) broken: Vec<(&'static str, String)>,
    /// What has happened somewhere.
    happened: Vec<&'static str>,
}

/// Explores a scenario, all of it unless something does not hold.
pub(crate) fn explore(scenario: &Scenario) -> Findings {
    let began = Instant::now();
    let model = Exploration { scenario: scenario.clone(), memory: Mutex::default() };
    let builder = model.checker().threads(1).finish_when(HasDiscoveries::AnyFailures);
    let builder = match std::env::var("STATES") {
        Ok(states) => builder.target_state_count(states.parse().unwrap()),
        Err(_) => builder,
    };
    // The shortest story is found breadth first, which takes more room.
    if scenario.mutant.is_some() || std::env::var("SHORTEST").is_ok() {
        found(&builder.spawn_bfs().join(), began.elapsed())
    } else {
        found(&builder.spawn_dfs().join(), began.elapsed())
    }
}

fn found(checker: &impl Checker<Exploration>, took: Duration) -> Findings {
    let model = checker.model();
    let (mut broken, mut happened) = (Vec::new(), Vec::new());
    for (property, path) in checker.discoveries() {
        if [CHANGES, WRITES_ON, COMES_BACK].contains(&property) {
            happened.push(property);
        } else {
            broken.push((property, model.story(path.into_actions())));
        }
    }
    let memory = model.memory.lock().unwrap();
    println!(
        "{}: {} states, {} steps between them, {} deep, in {took:.1?}; {} states of a process, {} steps of them",
        model.scenario,
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
        memory.processes.len(),
        memory.steps.len(),
    );
    Findings { broken, happened }
}

impl Findings {
    /// What has to happen somewhere, lest all the rest hold because nothing happens; and did not.
    pub(crate) fn never(&self, scenario: &Scenario) -> Vec<&'static str> {
        let expected = [(CHANGES, true), (WRITES_ON, scenario.writes > 0), (COMES_BACK, scenario.crashes > 0)];
        let never = expected.iter().filter(|(property, wanted)| *wanted && !self.happened.contains(property));
        never.map(|(property, _)| *property).collect()
    }
}
