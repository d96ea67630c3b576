//! What the machines ask for, and calls between processes.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use overlay::{Failure, Peer, Refusal};
use replica::{Effect, Event, Member, Request, Response};

use crate::world::{MS, SECOND, World};

impl World {
    pub(crate) fn effects(&mut self, node: usize) {
        let crash = self.weather.crash_within > 0 && self.chance(self.weather.crash_within);
        while let Some(effect) = self.nodes[node].control.poll_effect() {
            if crash && self.chance(300) {
                self.crash(node);
                self.at(SECOND + 500 * MS, None, move |world| {
                    if !world.nodes[node].up && !world.nodes[node].left {
                        world.restart(node, true);
                    }
                });
                return;
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
            let (now, wall_ms) = (world.time(), world.wall_ms());
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
            Effect::Publish(holdings) => self.nodes[node].holdings = holdings,
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

    /// Asks another process; `done` is called exactly once unless the asker's life ends first.
    pub(crate) fn ask<R: 'static>(
        &mut self,
        from: usize,
        to: &Peer,
        timeout: Duration,
        done: impl FnOnce(&mut World, Result<R, Failure>) + 'static,
        serve: impl Fn(&mut World, usize) -> Option<R> + 'static,
    ) {
        let there = self.node_of(to);
        let incarnation = to.incarnation;
        let ended = Rc::new(Cell::new(false));
        let done = Rc::new(RefCell::new(Some(done)));
        let serve = Rc::new(serve);
        let finish = move |world: &mut World, result| {
            if !ended.replace(true)
                && let Some(done) = done.borrow_mut().take()
            {
                done(world, result);
            }
        };
        let late = finish.clone();
        let timeout = u64::try_from(timeout.as_micros()).unwrap();
        self.at(timeout, Some(from), move |world| late(world, Err(Failure::TimedOut)));
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
                world.at(0, Some(there), move |world| {
                    let result = if world.nodes[there].incarnation == incarnation {
                        let served = serve(world, there);
                        if !world.nodes[there].up {
                            return;
                        }
                        served.ok_or(Failure::Refused(Refusal::Busy))
                    } else {
                        Err(Failure::Refused(Refusal::Gone))
                    };
                    if !world.chance(world.weather.lost) && world.reaches(from, there) {
                        let back = 200 + world.below(world.weather.latency_max);
                        world.at(back, Some(from), move |world| finish(world, result));
                    }
                });
            });
        }
    }
}
