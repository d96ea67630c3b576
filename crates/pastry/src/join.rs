//! Joining, from both sides (Rowstron and Druschel 2001, §2.4).
//!
//! A newcomer X finds the node Z that is closest to it, starting from a node A nearby. It takes Z's leaf set, row
//! *i* of the routing table from the *i*-th node on the way, and A's neighbourhood set. Then its leaves must confirm
//! it (`confirmation`). A member helps one newcomer at a time, under a lease with a deadline.

use overlay::{Ctx, Failure, Located, Overlay, Peer, Refusal, Time};
use ring::Id;

use crate::leaf_set::LeafSet;
use crate::pastry::Stage;
use crate::shares::closeness;
use crate::{Leaves, Pastry, Request, Response, Timer};

/// Failures after which the member that we join through is given up.
const FAILURES_MAX: u32 = 10;
/// Lookups of our own place that may fail; each has taken the whole deadline of a lookup.
const LOOKUPS_MAX: u32 = 2;
/// Times a member may be busy or not ready itself.
const BUSY_MAX: u32 = 200;
/// After so many of these in a row the place is looked up afresh.
const BUSY_IN_A_ROW: u32 = 8;
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
    /// Asked this member for help.
    Asking(Peer),
    /// Waiting to ask this member, or to look up the place again.
    Waiting(Option<Peer>),
}

/// The newcomer that this member helps: the next once it is active, or when time is up.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Lease {
    pub(crate) newcomer: Id,
    until: Time,
}

impl Pastry {
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
        match located.owners.first().filter(|owner| owner.id != me) {
            Some(closest) => {
                let way: Vec<&Peer> = located.path.iter().map(|step| &step.peer).filter(|peer| peer.id != me).collect();
                self.collect_rows(&way, ctx);
                self.ask_to_join(closest.clone(), ctx);
            }
            // Somebody still holds our identifier: our own former life, until it is missed.
            None => self.retry(None, ctx),
        }
    }

    /// Row *i* from the *i*-th node on the way, which shares *i* digits with us at least if it could be had.
    fn collect_rows(&mut self, way: &[&Peer], ctx: &mut Ctx<'_, Self>) {
        for (row, node) in (0..).zip(way) {
            let row = self.config.shared(self.me.id, node.id).min(row);
            self.ask_state(node, row, ctx);
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
            Ok(Response::Welcome(leaves)) => self.take_over(from, &leaves, ctx),
            Ok(Response::Elsewhere(member)) if member.id != me && attempt.redirections < REDIRECTIONS_MAX => {
                attempt.redirections += 1;
                self.ask_to_join(member, ctx);
            }
            Err(Failure::Refused(Refusal::Busy | Refusal::NotReady)) => {
                attempt.busy += 1;
                let again = (!attempt.busy.is_multiple_of(BUSY_IN_A_ROW)).then(|| from.clone());
                self.retry(again, ctx);
            }
            _ => {
                attempt.failures += 1;
                attempt.redirections = 0;
                self.retry(None, ctx);
            }
        }
    }

    /// The closest node's leaf set, with that node in it, is ours until its nodes say otherwise.
    fn take_over(&mut self, closest: &Peer, leaves: &Leaves, ctx: &mut Ctx<'_, Self>) {
        self.leaf_set = LeafSet::new(self.me.id, self.config.half());
        self.leaf_set.insert(closest);
        for leaf in leaves.leaves.iter().filter(|leaf| !self.failures.stands(leaf)) {
            self.leaf_set.insert(leaf);
        }
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
        attempt.step = Step::Waiting(member);
        let times = attempt.failures + attempt.busy / 4;
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

    /// A newcomer asks for help.
    pub(crate) fn admit(&mut self, newcomer: &Peer, ctx: &mut Ctx<'_, Self>) -> Result<Response, Refusal> {
        if !self.is_ready() {
            return Err(Refusal::NotReady);
        }
        if let Some(known) = self.leaf_set.get(newcomer.id).filter(|known| known.addr != newcomer.addr).cloned() {
            // Its identifier is held elsewhere, or was: the holder is missed as soon as it is asked.
            self.exchange(&known, ctx);
            return Err(Refusal::Busy);
        }
        if let Some(closer) = self.closer_leaf(newcomer.id) {
            return Ok(Response::Elsewhere(closer));
        }
        let busy = |lease: &Lease| lease.newcomer != newcomer.id && ctx.now < lease.until;
        if self.lease.as_ref().is_some_and(busy) {
            return Err(Refusal::Busy);
        }
        self.lease = Some(Lease { newcomer: newcomer.id, until: ctx.now.plus(self.config.help_lease) });
        Ok(Response::Welcome(self.leaves(ctx.now)))
    }

    /// The leaf that is closest to a newcomer, if it is closer than this node. The newcomer's own former life does not count.
    fn closer_leaf(&self, newcomer: Id) -> Option<Peer> {
        let mut leaves = self.leaf_set.peers();
        leaves.retain(|leaf| leaf.id != newcomer);
        let closest = leaves.into_iter().min_by_key(|leaf| closeness(leaf.id, newcomer))?;
        (closeness(closest.id, newcomer) < closeness(self.me.id, newcomer)).then_some(closest)
    }
}
