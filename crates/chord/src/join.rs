//! Joining, from both sides (Zave 2017, join).
//!
//! A newcomer j finds a member m such that j lies strictly between m and m's first successor, takes over
//! m's whole list as it is, and has m as its predecessor. If anything fails: later, again. From then on j is
//! a member whose neighbours don't know it yet; stabilize and rectify do the rest.

use overlay::{Ctx, Failure, Located, Overlay, Peer, Refusal, Time};
use ring::{Id, between};

use crate::chord::Stage;
use crate::successor_list::SuccessorList;
use crate::{Chord, Entry, Request, Response, Timer};

/// Failures after which the member that we join through is given up.
const FAILURES_MAX: u32 = 10;
/// Lookups of our own place that may fail; each has taken the whole deadline of a lookup.
const LOOKUPS_MAX: u32 = 2;
/// Times a member may answer "busy": newcomers at one place of a small ring are taken in one by one.
const BUSY_MAX: u32 = 200;
/// Redirections followed before the place is looked up afresh.
const REDIRECTIONS_MAX: u32 = 32;

/// A newcomer's way in.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Attempt {
    via: Peer,
    step: Step,
    failures: u32,
    lookups_failed: u32,
    busy: u32,
    redirections: u32,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Step {
    /// Looking up the own identifier.
    Locating,
    /// Asked this member to take us in.
    Asking(Peer),
    /// Waiting to ask this member, or to look up the place again.
    Waiting(Option<Peer>),
}

/// In a ring of fewer than r + 1 members: the newcomer that both neighbours must list before the next.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Lease {
    newcomer: Id,
    until: Time,
}

impl Chord {
    pub(crate) fn begin_join(&mut self, via: Peer, ctx: &mut Ctx<'_, Self>) {
        ctx.locate(self.me.id, Some(via.clone()));
        self.stage = Stage::Joining(Box::new(Attempt {
            via,
            step: Step::Locating,
            failures: 0,
            lookups_failed: 0,
            busy: 0,
            redirections: 0,
        }));
    }

    pub(crate) fn on_place_located(&mut self, found: Result<Located, Failure>, ctx: &mut Ctx<'_, Self>) {
        let me = self.me.id;
        let Stage::Joining(attempt) = &mut self.stage else {
            return;
        };
        if attempt.step != Step::Locating {
            return;
        }
        let Ok(located) = found else {
            attempt.lookups_failed += 1;
            return self.retry(None, ctx);
        };
        // The hop before the owner is the owner's predecessor, or was. If there was none, the owner redirects.
        let before = located.path.iter().rev().nth(1).map(|step| &step.peer);
        let member = before.into_iter().chain(located.owners.first()).find(|peer| peer.id != me);
        match member {
            Some(member) => self.ask_to_join(member.clone(), ctx),
            // Somebody still holds our identifier: our own former life, until it is missed.
            None => self.retry(None, ctx),
        }
    }

    fn ask_to_join(&mut self, member: Peer, ctx: &mut Ctx<'_, Self>) {
        if let Stage::Joining(attempt) = &mut self.stage {
            attempt.step = Step::Asking(member.clone());
            ctx.call(member, Request::Join);
        }
    }

    pub(crate) fn on_join_reply(&mut self, from: &Peer, result: Result<Response, Failure>, ctx: &mut Ctx<'_, Self>) {
        let me = self.me.id;
        let Stage::Joining(attempt) = &mut self.stage else {
            return;
        };
        if attempt.step != Step::Asking(from.clone()) {
            return;
        }
        match result {
            Ok(Response::Admitted(list)) => self.take_over(from.clone(), list, ctx),
            Ok(Response::Elsewhere(member)) if member.id != me && attempt.redirections < REDIRECTIONS_MAX => {
                attempt.redirections += 1;
                self.ask_to_join(member, ctx);
            }
            Err(Failure::Refused(Refusal::Busy)) => {
                attempt.busy += 1;
                self.retry(Some(from.clone()), ctx);
            }
            _ => {
                attempt.failures += 1;
                attempt.redirections = 0;
                self.retry(None, ctx);
            }
        }
    }

    /// Takes over the member's whole list, with the member as predecessor.
    fn take_over(&mut self, member: Peer, list: Vec<Entry>, ctx: &mut Ctx<'_, Self>) {
        let usable = SuccessorList::adopted(list, self.config.successors)
            .filter(|list| list.head().is_some_and(|head| between(member.id, self.me.id, head.id)));
        let Some(list) = usable else {
            if let Stage::Joining(attempt) = &mut self.stage {
                attempt.failures += 1;
            }
            return self.retry(None, ctx);
        };
        self.successors = list;
        self.predecessor = Some(member);
        self.await_confirmation(ctx);
    }

    /// Later, again: tens of milliseconds at first, growing, and never in step with other newcomers.
    fn retry(&mut self, member: Option<Peer>, ctx: &mut Ctx<'_, Self>) {
        let Stage::Joining(attempt) = &mut self.stage else {
            return;
        };
        if attempt.failures >= FAILURES_MAX || attempt.lookups_failed >= LOOKUPS_MAX || attempt.busy >= BUSY_MAX {
            let why = format!("{} could not help to join", attempt.via.addr);
            return self.give_up(&why, ctx);
        }
        let times = if member.is_some() { attempt.busy / 4 } else { attempt.failures };
        attempt.step = Step::Waiting(member);
        ctx.arm_again(Timer::Join, times);
    }

    pub(crate) fn continue_join(&mut self, ctx: &mut Ctx<'_, Self>) {
        let Stage::Joining(attempt) = &mut self.stage else {
            return;
        };
        match &attempt.step {
            Step::Waiting(Some(member)) => {
                let member = member.clone();
                self.ask_to_join(member, ctx);
            }
            Step::Waiting(None) => {
                attempt.step = Step::Locating;
                ctx.locate(self.me.id, Some(attempt.via.clone()));
            }
            Step::Locating | Step::Asking(_) => {}
        }
    }

    /// A newcomer asks to be taken in.
    pub(crate) fn admit(&mut self, newcomer: &Peer, ctx: &mut Ctx<'_, Self>) -> Result<Response, Refusal> {
        if !self.is_ready() {
            return Err(Refusal::NotReady);
        }
        if newcomer.id == self.me.id {
            return Err(Refusal::NotMine);
        }
        let head = self.successors.head().ok_or(Refusal::NotReady)?.clone();
        if head.id == newcomer.id {
            // A former life of the newcomer stands there: it is missed as soon as it is asked.
            self.stabilize(ctx);
            return Err(Refusal::Busy);
        }
        if !between(self.me.id, newcomer.id, head.id) {
            return self.nearer_member(newcomer.id).map(Response::Elsewhere).ok_or(Refusal::Busy);
        }
        if self.is_small_ring() {
            self.take_lease(newcomer.id, head.id, ctx.now)?;
        }
        Ok(Response::Admitted(self.successors.entries().to_vec()))
    }

    /// Below r + 1 members no proof holds, so newcomers come one at a time: the next once both neighbours
    /// list the last. This node learns of a newcomer as its head only from the other neighbour, which lists
    /// it by then.
    fn take_lease(&mut self, newcomer: Id, head: Id, now: Time) -> Result<(), Refusal> {
        if let Some(lease) = &self.lease
            && lease.newcomer != newcomer
            && lease.newcomer != head
            && now < lease.until
        {
            return Err(Refusal::Busy);
        }
        self.lease = Some(Lease { newcomer, until: now.plus(self.config.admission_lease) });
        Ok(())
    }

    /// Fewer than r + 1 members, as far as the list tells.
    fn is_small_ring(&self) -> bool {
        self.successors.in_order(self.me.id).count() < self.config.successors
    }

    /// Who is nearer to the place of `newcomer`, going by this node's tables.
    fn nearer_member(&self, newcomer: Id) -> Option<Peer> {
        let reachable = |peer: &&Peer| !self.silence.is_shunned(peer) && peer.id != newcomer;
        let own = self.predecessor.as_ref().filter(|_| self.owns(newcomer));
        own.filter(reachable)
            .cloned()
            .or_else(|| self.closest_preceding(newcomer, &[]).into_iter().next().map(|hop| hop.peer))
    }
}
