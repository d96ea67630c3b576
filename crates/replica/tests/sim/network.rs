//! What the machines ask for, and calls between processes.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use overlay::{Failure, Peer, Refusal};
use replica::{Effect, Event, Holdings, Member, Request, Response};

use crate::world::{MS, SECOND, World};

/// What a process that was asked says in the end; none is a refusal.
pub(crate) type Reply<R> = Box<dyn FnOnce(&mut World, Option<R>)>;

impl World {
    pub(crate) fn effects(&mut self, node: usize) {
        let crash = self.weather.crash_within > 0 && self.chance(self.weather.crash_within);
        while let Some(effect) = self.nodes[node].control.poll_effect() {
            if crash && self.chance(300) {
                return self.crash_for(node, SECOND + 500 * MS);
            }
            self.effect(node, effect);
        }
        self.schedule_wake(node);
    }

    fn schedule_wake(&mut self, node: usize) {
        let Some(wake) = self.nodes[node].control.next_wake() else { return };
        assert!(
            wake.0 + MS >= self.now || self.nodes[node].paused,
            "seed {}: node {node} wants to have been called at {wake:?}, it is {}",
            self.seed,
            self.now
        );
        let wake = wake.0.max(self.now + 1);
        if self.nodes[node].wake > self.now && self.nodes[node].wake <= wake {
            return;
        }
        self.nodes[node].wake = wake;
        self.at(wake - self.now, Some(node), move |world| {
            let (now, wall_ms) = (world.time(), world.wall_ms(node));
            if world.nodes[node].control.next_wake().is_some_and(|wake| wake <= now) {
                world.nodes[node].wake = 0;
                world.nodes[node].control.tick(now, wall_ms);
                world.effects(node);
            } else {
                world.schedule_wake(node);
            }
        });
    }

    fn effect(&mut self, node: usize, effect: Effect) {
        match effect {
            Effect::Call { call, to, requests, timeout } => {
                let from = self.member(node);
                self.calls += 1;
                self.log(|| format!("  {node} -> {}: {requests:?}", self.node_of(&to)));
                let done = move |world: &mut World, result: Result<Response, Failure>| {
                    let now = world.time();
                    world.log(|| format!("  {node} <- {result:?}"));
                    world.nodes[node].control.on_reply(now, call, result);
                    world.effects(node);
                };
                self.ask(node, &to, timeout, done, move |world, there| {
                    Some(world.serve(there, &from, requests.clone()))
                });
            }
            Effect::Persist(pieces) => {
                self.check_history(&pieces);
                self.nodes[node].disk = pieces;
            }
            Effect::Publish(holdings) => {
                let fenced = |holdings: &Holdings| holdings.ranges.iter().any(|holding| holding.fenced);
                let upset = fenced(&holdings) && !fenced(&self.nodes[node].holdings);
                if holdings.ranges.iter().all(|holding| holding.learners().is_empty()) {
                    self.nodes[node].doubts.clear();
                }
                self.nodes[node].holdings = Rc::new(holdings);
                if upset && self.weather.upset > 0 && self.chance(self.weather.upset) {
                    self.upset(node);
                }
            }
            Effect::Start(id, job) => {
                self.log(|| format!("  {node} starts {id:?} {job:?}"));
                self.nodes[node].jobs.insert(id);
                self.start_job(node, id, job);
            }
            Effect::Cancel(id) => {
                self.log(|| format!("  {node} cancels {id:?}"));
                self.nodes[node].jobs.remove(&id);
            }
            Effect::Locate(target) => {
                self.log(|| format!("  {node} locates {target}"));
                let delay = 5 * MS + self.below(200 * MS);
                self.at(delay, Some(node), move |world| {
                    let owner = world.owners_seen_by(node, target).first().map(|owner| world.peer(*owner));
                    let owner = owner.filter(|_| !world.chance(world.weather.lost));
                    let now = world.time();
                    world.nodes[node].control.on_located(now, target, owner);
                    world.effects(node);
                });
            }
            Effect::Event(event) => {
                self.log(|| format!("  {node} !! {event:?}"));
                match event {
                    Event::LostMajority(..) => self.forced += 1,
                    Event::BegunEmpty(..) => self.begun_empty += 1,
                    _ => {}
                }
            }
        }
    }

    pub(crate) fn serve(&mut self, node: usize, from: &Member, requests: Vec<Request>) -> Response {
        let now = self.time();
        let response = self.nodes[node].control.serve(now, from, requests);
        self.effects(node);
        response
    }

    /// Asks another process's store, if it is still the one that is meant.
    pub(crate) fn ask_store<R: 'static>(
        &mut self,
        from: usize,
        to: &Member,
        timeout: Duration,
        done: impl FnOnce(&mut World, Result<R, Failure>) + 'static,
        serve: impl Fn(&mut World, usize) -> Option<R> + 'static,
    ) {
        let (store, to) = (to.store, self.at_now(&to.peer));
        self.ask(from, &to, timeout, done, move |world, there| {
            let meant = world.nodes[there].store == store;
            meant.then(|| serve(world, there)).flatten()
        });
    }

    /// Asks another process; `done` is called exactly once unless the asker's life ends first.
    pub(crate) fn ask<R: 'static>(
        &mut self,
        from: usize,
        to: &Peer,
        timeout: Duration,
        done: impl FnOnce(&mut World, Result<R, Failure>) + 'static,
        serve: impl Fn(&mut World, usize) -> Option<R> + 'static,
    ) {
        self.ask_later(from, to, timeout, done, move |world, there, reply| {
            let served = serve(world, there);
            reply(world, served);
        });
    }

    /// The same where the answer may take a while; none is a refusal.
    pub(crate) fn ask_later<R: 'static>(
        &mut self,
        from: usize,
        to: &Peer,
        timeout: Duration,
        done: impl FnOnce(&mut World, Result<R, Failure>) + 'static,
        serve: impl Fn(&mut World, usize, Reply<R>) + 'static,
    ) {
        let there = self.node_of(to);
        let incarnation = to.incarnation;
        let done = Rc::new(RefCell::new(Some(done)));
        let serve = Rc::new(serve);
        let finish = move |world: &mut World, result| {
            let done = done.borrow_mut().take();
            if let Some(done) = done {
                done(world, result);
            }
        };
        let late = finish.clone();
        let timeout = u64::try_from(timeout.as_micros()).unwrap();
        self.at(timeout, Some(from), move |world| late(world, Err(Failure::TimedOut)));
        if self.crashes_now() {
            self.at(0, Some(from), move |world| world.crash_for(from, SECOND + 500 * MS));
        }
        let copies = 1 + u64::from(self.chance(self.weather.repeated));
        for _ in 0..copies {
            if self.chance(self.weather.lost) {
                continue;
            }
            let way = 200 + self.below(self.weather.latency_max);
            let (serve, finish) = (Rc::clone(&serve), finish.clone());
            self.at(way, None, move |world| {
                if !world.reaches(from, there) {
                    return;
                }
                if !world.nodes[there].up {
                    if world.chance(700) {
                        world.at(way, Some(from), move |world| finish(world, Err(Failure::Unreachable)));
                    }
                    return;
                }
                // A paused process takes it up when it wakes.
                if world.nodes[there].paused {
                    world.at(0, Some(there), move |world| world.taken_up(from, there, incarnation, &*serve, finish));
                } else {
                    world.taken_up(from, there, incarnation, &*serve, finish);
                }
            });
        }
    }

    fn crashes_now(&mut self) -> bool {
        self.weather.crash_within > 0 && self.chance(self.weather.crash_within) && self.chance(100)
    }

    fn taken_up<R: 'static>(
        &mut self,
        from: usize,
        there: usize,
        incarnation: u64,
        serve: &impl Fn(&mut World, usize, Reply<R>),
        finish: impl FnOnce(&mut World, Result<R, Failure>) + 'static,
    ) {
        let life = self.nodes[there].life;
        let answer = move |world: &mut World, result: Result<R, Failure>| {
            let answers = world.nodes[there].up && world.nodes[there].life == life;
            if answers && !world.chance(world.weather.lost) && world.reaches(from, there) {
                if world.crashes_now() {
                    return world.crash_for(there, SECOND + 500 * MS);
                }
                let back = 200 + world.below(world.weather.latency_max);
                world.at(back, Some(from), move |world| finish(world, result));
            }
        };
        if self.nodes[there].incarnation != incarnation {
            return answer(self, Err(Failure::Refused(Refusal::Gone)));
        }
        let busy = Failure::Refused(Refusal::Busy);
        serve(self, there, Box::new(move |world, served| answer(world, served.ok_or(busy))));
    }
}
