//! Joining (§2.2), from both sides, and being confirmed.
//!
//! A newcomer joins through any member: it copies the view of one of its own group, and gossip would do the rest. Here it
//! also says at once to everyone of its group (up to 32 of them) that it has come, and is ready when all of those
//! that live have taken it in. The first of an empty group says so to those who served the group's keys until now.
//! Whoever takes a newcomer in names others who came lately: two that come at the same time meet at the members that
//! both ask, so each is confirmed by the other.

use std::collections::BTreeMap;
use std::time::Duration;

use overlay::{Ctx, Failure, Located, Peer, Refusal, Time};
use rand::RngExt;
use ring::Id;

use crate::kelips::{Stage, Timer};
use crate::view::{Source, micros};
use crate::{Entry, Kelips, Presence, Request, Response, Welcome};

/// Failures after which the member that we join through is given up.
const FAILURES_MAX: u32 = 8;
/// Members asked for a view, one after the other, until one is of the group that matters.
const REFERRALS_MAX: u32 = 6;
/// Members that are told directly.
pub(crate) const TOLD_MAX: usize = 32;
/// Of each list in a welcome.
const WELCOME_MAX: usize = 1_024;
/// Newcomers that are remembered, and for how many rounds.
const NEWCOMERS_MAX: usize = 64;
const NEWCOMER_ROUNDS: u64 = 20;

/// A newcomer's way in.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Attempt {
    via: Peer,
    step: Step,
    failures: u32,
    referrals: u32,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Step {
    /// Looking up the own identifier.
    Locating,
    /// Asked this member for its view.
    Asking(Peer),
    /// For the next try.
    Waiting,
}

/// Who is still to take this node in.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Confirmation {
    waiting: BTreeMap<Id, Peer>,
    /// Everybody who was ever asked.
    asked: Vec<Id>,
    confirmed: u32,
    since: Time,
}

impl Kelips {
    pub(crate) fn begin_join(&mut self, via: Peer, ctx: &mut Ctx<'_, Self>) {
        ctx.locate_member(self.me.id, Some(via.clone()));
        self.stage = Stage::Joining(Box::new(Attempt { via, step: Step::Locating, failures: 0, referrals: 0 }));
    }

    /// That nobody else holds our identifier has been seen to by then.
    pub(crate) fn on_place_located(&mut self, found: Result<Located, Failure>, ctx: &mut Ctx<'_, Self>) {
        let me = self.me.id;
        let Stage::Joining(attempt) = &mut self.stage else {
            return;
        };
        if attempt.step != Step::Locating {
            return;
        }
        match found {
            Ok(located) => {
                // Whoever answered is of our group, if that has members.
                let answered = located.path.last().map(|step| step.peer.clone()).filter(|peer| peer.id != me);
                let member = answered.unwrap_or_else(|| attempt.via.clone());
                self.ask_for_view(member, ctx);
            }
            Err(_) => self.retry_join(ctx),
        }
    }

    fn ask_for_view(&mut self, member: Peer, ctx: &mut Ctx<'_, Self>) {
        if let Stage::Joining(attempt) = &mut self.stage {
            attempt.step = Step::Asking(member.clone());
            ctx.call(member, Request::Join);
        }
    }

    /// A newcomer asks for a view to begin with.
    pub(crate) fn welcome(&mut self, newcomer: &Peer) -> Result<Response, Refusal> {
        let group = self.places.group_of(newcomer.id);
        let serving = self.serving(group).ok_or(Refusal::NotReady)?;
        let its = self.contacts.get(&serving).into_iter().flat_map(|contacts| contacts.values());
        let own = || std::iter::once(self.own_entry()).chain(self.members.values().map(|known| known.entry.clone()));
        let (members, others): (Vec<Entry>, Vec<Entry>) = if serving == self.group {
            (own().take(WELCOME_MAX).collect(), Vec::new())
        } else {
            (its.map(|known| known.entry.clone()).collect(), own().take(self.config.contacts).collect())
        };
        let contacts = self.contacts.values().flat_map(|contacts| contacts.values()).map(|known| known.entry.clone());
        let holders = self.holders.iter().filter(|(slot, _)| slot.group == group);
        Ok(Response::Welcome(Welcome {
            group: serving,
            members: members.into_iter().filter(|entry| entry.peer.id != newcomer.id).collect(),
            contacts: others.into_iter().chain(contacts).take(WELCOME_MAX).collect(),
            vacant: self.vacant_groups(),
            holders: holders.map(|(_, held)| held.told.clone()).collect(),
        }))
    }

    pub(crate) fn on_welcome(&mut self, from: &Peer, welcome: Welcome, ctx: &mut Ctx<'_, Self>) {
        let Stage::Joining(attempt) = &mut self.stage else {
            return;
        };
        if attempt.step != Step::Asking(from.clone()) {
            return;
        }
        if self.places.group_of(from.id) == welcome.group {
            return self.take_over(from, welcome, ctx);
        }
        let known = |entry: &&Entry| self.places.group_of(entry.peer.id) == welcome.group && entry.peer != *from;
        let members: Vec<&Entry> = welcome.members.iter().filter(known).collect();
        attempt.referrals += 1;
        if members.is_empty() || attempt.referrals > REFERRALS_MAX {
            return self.retry_join(ctx);
        }
        let next = members.get(ctx.rng.random_range(0..members.len())).map(|entry| entry.peer.clone());
        if let Some(next) = next {
            self.ask_for_view(next, ctx);
        }
    }

    /// Copies the view, and tells everybody in it.
    fn take_over(&mut self, from: &Peer, welcome: Welcome, ctx: &mut Ctx<'_, Self>) {
        self.heartbeat = 1;
        self.await_confirmation(ctx);
        for entry in welcome.members.iter().chain(&welcome.contacts).take(2 * WELCOME_MAX) {
            let source = if entry.peer == *from { Source::Itself } else { Source::Hearsay };
            self.take_in(entry, source, ctx);
        }
        self.believe_vacant(&welcome.vacant);
        for holders in &welcome.holders {
            if holders.slot.group == self.group && self.is_slot(holders.slot) {
                self.take_holders(holders);
            }
        }
        self.pull_everything(from);
        let (mine, me) = (welcome.group == self.group, self.me.id);
        let told = welcome.members.iter().map(|entry| &entry.peer).filter(|peer| peer.id != me);
        let known = |peer: &&Peer| !mine || self.members.contains_key(&peer.id);
        let told: Vec<Peer> = told.filter(known).take(TOLD_MAX).cloned().collect();
        told.into_iter().for_each(|peer| self.ask_to_admit(peer, ctx));
        self.settle_confirmation(ctx);
    }

    /// This node has a view, and waits until those in it have it in theirs.
    fn await_confirmation(&mut self, ctx: &mut Ctx<'_, Self>) {
        let confirmation = Confirmation { waiting: BTreeMap::new(), asked: Vec::new(), confirmed: 0, since: ctx.now };
        self.stage = Stage::Confirming(confirmation);
        ctx.arm_about(Timer::Gossip, self.config.gossip_period);
    }

    fn ask_to_admit(&mut self, peer: Peer, ctx: &mut Ctx<'_, Self>) {
        let presence = self.presence();
        let Stage::Confirming(confirmation) = &mut self.stage else {
            return;
        };
        if confirmation.asked.len() < 2 * TOLD_MAX && !confirmation.asked.contains(&peer.id) {
            confirmation.asked.push(peer.id);
            confirmation.waiting.insert(peer.id, peer.clone());
            ctx.call(peer, Request::Admit(presence));
        }
    }

    /// Somebody has come (or is back), and has been taken in.
    pub(crate) fn admit(&mut self, newcomer: &Peer, presence: Presence) -> Response {
        let (round, group) = (self.round, self.places.group_of(newcomer.id));
        let recent = |since: u64| round.saturating_sub(since) < NEWCOMER_ROUNDS;
        self.newcomers.retain(|(entry, since)| recent(*since) && entry.peer.id != newcomer.id);
        let beside = self.newcomers.iter().filter(|(entry, _)| self.places.group_of(entry.peer.id) == group);
        let newcomers = beside.map(|(entry, _)| entry.clone()).collect();
        if self.newcomers.len() >= NEWCOMERS_MAX {
            self.newcomers.remove(0);
        }
        self.newcomers.push((Entry { peer: newcomer.clone(), presence }, round));
        Response::Admitted { presence: self.presence(), newcomers }
    }

    pub(crate) fn on_admitted(&mut self, by: &Peer, presence: Presence, newcomers: &[Entry], ctx: &mut Ctx<'_, Self>) {
        if !self.is_member() {
            return;
        }
        self.take_in(&Entry { peer: by.clone(), presence }, Source::Itself, ctx);
        for newcomer in newcomers.iter().take(NEWCOMERS_MAX) {
            self.take_in(newcomer, Source::Hearsay, ctx);
            if self.members.contains_key(&newcomer.peer.id) {
                self.ask_to_admit(newcomer.peer.clone(), ctx);
            }
        }
        if let Stage::Confirming(confirmation) = &mut self.stage
            && confirmation.waiting.remove(&by.id).is_some()
        {
            confirmation.confirmed += 1;
            self.settle_confirmation(ctx);
        }
    }

    /// It won't take anybody in now, since it is on its way in itself: it will tell us when it has come.
    pub(crate) fn on_not_admitted(&mut self, by: &Peer, ctx: &mut Ctx<'_, Self>) {
        self.on_dead_while_confirming(by, ctx);
    }

    pub(crate) fn on_dead_while_confirming(&mut self, peer: &Peer, ctx: &mut Ctx<'_, Self>) {
        if let Stage::Confirming(confirmation) = &mut self.stage
            && confirmation.waiting.remove(&peer.id).is_some()
        {
            self.settle_confirmation(ctx);
        }
    }

    fn settle_confirmation(&mut self, ctx: &mut Ctx<'_, Self>) {
        if let Stage::Confirming(confirmation) = &self.stage
            && confirmation.waiting.is_empty()
        {
            match confirmation.confirmed {
                0 => self.give_up("nobody of those known has taken this node in", ctx),
                _ => self.come_in(ctx),
            }
        }
    }

    /// In. The first round comes soon.
    pub(crate) fn come_in(&mut self, ctx: &mut Ctx<'_, Self>) {
        self.stage = Stage::Ready;
        self.dirty = true;
        let soon = micros(self.config.gossip_period) / 8;
        let after = Duration::from_micros(ctx.rng.random_range(0..=soon));
        ctx.arm(Timer::Gossip, after);
        self.pull_next(ctx);
    }

    /// After a pause others may have gone on without this node: they have to take it in again.
    pub(crate) fn reconfirm(&mut self, ctx: &mut Ctx<'_, Self>) {
        if !self.is_member() {
            return;
        }
        self.failed_in_a_row.clear();
        if self.is_alone() {
            return self.come_in(ctx);
        }
        self.heartbeat += 1;
        self.await_confirmation(ctx);
        let known = self.everybody().take(TOLD_MAX);
        let told: Vec<Peer> = known.map(|known| known.entry.peer.clone()).collect();
        told.into_iter().for_each(|peer| self.ask_to_admit(peer, ctx));
    }

    /// In a round while it waits.
    pub(crate) fn check_confirmation(&mut self, ctx: &mut Ctx<'_, Self>) {
        if let Stage::Confirming(confirmation) = &self.stage
            && ctx.now.since(confirmation.since) > self.config.confirm_timeout
        {
            self.give_up("this node was not taken in in time", ctx);
        }
    }

    pub(crate) fn on_no_welcome(&mut self, from: &Peer, ctx: &mut Ctx<'_, Self>) {
        if let Stage::Joining(attempt) = &self.stage
            && attempt.step == Step::Asking(from.clone())
        {
            self.retry_join(ctx);
        }
    }

    /// Later, again: tens of milliseconds at first, growing, and never in step with other newcomers.
    fn retry_join(&mut self, ctx: &mut Ctx<'_, Self>) {
        let Stage::Joining(attempt) = &mut self.stage else {
            return;
        };
        attempt.failures += 1;
        attempt.referrals = 0;
        attempt.step = Step::Waiting;
        if attempt.failures >= FAILURES_MAX {
            let why = format!("{} could not help to join", attempt.via.addr);
            return self.give_up(&why, ctx);
        }
        ctx.arm_again(Timer::Join, attempt.failures);
    }

    pub(crate) fn continue_join(&mut self, ctx: &mut Ctx<'_, Self>) {
        if let Stage::Joining(attempt) = &mut self.stage
            && attempt.step == Step::Waiting
        {
            attempt.step = Step::Locating;
            ctx.locate_member(self.me.id, Some(attempt.via.clone()));
        }
    }
}
