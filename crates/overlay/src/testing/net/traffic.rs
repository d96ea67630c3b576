//! What happens between hosts: events in order of time, calls and their ends, delays and losses.

use std::time::Duration;

use rand::RngExt;

use super::{AT_ONCE_MAX, Due, Net};
use crate::testing::host::{Event, Status};
use crate::{Addr, CallId, Effect, Envelope, Event as News, Failure, Overlay, Request, Response, State, Time};

impl<P: Overlay> Net<P> {
    /// Handles the next event that is due by `until`; false if there is none.
    pub(super) fn advance(&mut self, until: Option<Time>) -> bool {
        let Some(entry) = self.queue.first_entry() else {
            return false;
        };
        if until.is_some_and(|until| entry.key().0 > until) {
            return false;
        }
        let ((at, _), Due { number, event }) = entry.remove_entry();
        self.at_once = if at > self.now { 0 } else { self.at_once + 1 };
        if self.at_once > AT_ONCE_MAX {
            self.fail(format!("time stands still at {event:?} of host {number}"));
        }
        self.now = self.now.max(at);
        match self.hosts[number].status {
            Status::Paused => self.hosts[number].held.push(*event),
            Status::Up | Status::Down => self.handle(number, *event),
        }
        true
    }

    pub(super) fn handle(&mut self, number: usize, event: Event<P>) {
        let (now, life, up) = (self.now, self.hosts[number].life, self.hosts[number].is_up());
        match event {
            Event::Wake { life: meant } => {
                if up && meant == life && self.hosts[number].wake.is_some_and(|wake| wake <= now) {
                    self.hosts[number].wake = None;
                    self.hosts[number].node.tick(now);
                    self.carry_out(number);
                }
            }
            Event::Reply { from, life: meant, call, result, rtt } => {
                let heard = from.is_none_or(|from| self.hosts[from].group == self.hosts[number].group);
                if up && meant == life && heard && self.hosts[number].open.remove(&call) {
                    self.hosts[number].node.on_reply(now, call, result, rtt);
                    self.carry_out(number);
                }
            }
            Event::Request { from, from_life, call, envelope, request } => {
                if self.hosts[from].group != self.hosts[number].group {
                    return;
                }
                let result = match up {
                    true => self.hosts[number].node.serve(now, &envelope, request).map_err(Failure::Refused),
                    false => Err(Failure::Unreachable),
                };
                self.reply(number, from, from_life, call, result);
                self.carry_out(number);
            }
        }
    }

    pub(super) fn reply(
        &mut self,
        number: usize,
        to: usize,
        life: u32,
        call: CallId,
        result: Result<Response<P>, Failure>,
    ) {
        if !self.is_lost() {
            let (back, there) = (self.delay(), self.delay());
            let rtt = result.is_ok().then_some(back + there);
            self.schedule(back, to, Event::Reply { from: Some(number), life, call, result, rtt });
        }
    }

    /// Does what a host's node wants done, and notes when it wants to be woken.
    pub(super) fn carry_out(&mut self, number: usize) {
        while self.hosts[number].is_up()
            && let Some(effect) = self.hosts[number].node.poll_effect()
        {
            match effect {
                Effect::Call { call, addr, envelope, request, timeout } => {
                    self.send(number, call, &addr, envelope, request, timeout);
                }
                Effect::Located { query, result } => {
                    self.hosts[number].found.insert(query, result);
                }
                Effect::Event(news) => self.note(number, news),
            }
        }
        let host = &mut self.hosts[number];
        let wake = host.node.next_wake().map(|wake| wake.max(self.now));
        if host.is_up()
            && let Some(wake) = wake
            && host.wake != Some(wake)
        {
            host.wake = Some(wake);
            let life = host.life;
            self.schedule(wake.since(self.now), number, Event::Wake { life });
        }
    }

    pub(super) fn send(
        &mut self,
        number: usize,
        call: CallId,
        addr: &Addr,
        envelope: Envelope,
        request: Request<P>,
        timeout: Duration,
    ) {
        self.calls += 1;
        let life = self.hosts[number].life;
        if !self.hosts[number].open.insert(call) {
            self.fail(format!("host {number} used {call:?} twice"));
        }
        let late = Event::Reply { from: None, life, call, result: Err(Failure::TimedOut), rtt: None };
        self.schedule(timeout, number, late);
        match self.by_addr.get(addr).copied() {
            None => {
                let result = Err(Failure::Unreachable);
                let delay = self.delay();
                self.schedule(delay, number, Event::Reply { from: None, life, call, result, rtt: None });
            }
            Some(_) if self.is_lost() => {}
            Some(to) => {
                let delay = self.delay();
                self.schedule(delay, to, Event::Request { from: number, from_life: life, call, envelope, request });
            }
        }
    }

    pub(super) fn note(&mut self, number: usize, news: News) {
        let host = &mut self.hosts[number];
        match &news {
            News::Ring { ring, .. } => host.ring = Some(*ring),
            News::State(State::Left) => {
                host.status = Status::Down;
                host.life += 1;
                host.open.clear();
            }
            _ => {}
        }
        host.news.push(news);
    }

    pub(super) fn schedule(&mut self, after: Duration, number: usize, event: Event<P>) {
        self.events += 1;
        self.queue.insert((self.now.plus(after), self.events), Due { number, event: Box::new(event) });
    }

    pub(super) fn delay(&mut self) -> Duration {
        let (least, most) = self.latency;
        let micros = self.rng.random_range(least.as_micros() as u64..=most.as_micros() as u64);
        Duration::from_micros(micros)
    }

    pub(super) fn is_lost(&mut self) -> bool {
        self.loss_permille > 0 && self.rng.random_range(0..1_000) < self.loss_permille
    }
}
