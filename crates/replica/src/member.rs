//! Noticing silence. A set's primary tells its members now and then that the set stands; whoever hears
//! nothing for a while looks for the owner of the range and compares notes with it. So an owner that never
//! heard of a set learns of it, and so does a member that missed its successor.

use std::collections::BTreeSet;
use std::time::Duration;

use overlay::{Peer, Time};
use ring::{Id, Range};

use crate::control::Asked;
use crate::local::{Local, Release};
use crate::{Control, Effect, Request};

/// So many refresh periods without a word are too many.
const REFRESHES_MISSED: u32 = 3;
/// A member fenced for so long asks the owner to finish what it began.
const FENCED_FOR: Duration = Duration::from_secs(1);
/// Sets that this node has no part in are forgotten so long after they were last of use.
const KEPT_FOR: Duration = Duration::from_secs(60);
/// Ranges that this node has no part in are kept at most; more are forgotten at once.
const KEPT_MAX: usize = 1_024;

impl Control {
    /// Looks for owners that should know something.
    pub(crate) fn be_member(&mut self, now: Time) {
        let patience = self.config.refresh_period.saturating_mul(REFRESHES_MISSED);
        let period = self.config.refresh_period;
        self.located.retain(|_, at| now.since(*at) < period);
        let mut targets = Vec::new();
        for (range, local) in self.locals.iter() {
            let bound = local.set.includes(&self.me) || self.leaving && self.is_bound(local);
            let fenced = local.fenced_at.is_some_and(|at| now.since(at) > FENCED_FOR);
            let silence = now.since(local.heard);
            let silent = silence > if self.leaving { period } else { patience };
            let in_doubt = bound && (silent || fenced || local.unconfirmed);
            if in_doubt && !self.outside_shares(range).is_empty() {
                // The range may have several owners: whoever owns its ends is found first, the rest once those have acted.
                targets.extend([range.upto, range.after.plus_power(0)]);
            }
        }
        for target in targets {
            let own = self.shares.iter().any(|share| share.range.contains(target));
            if !own && !self.located.contains_key(&target) {
                self.located.insert(target, now);
                self.emit(Effect::Locate(target));
            }
        }
    }

    /// What of `range` does not fall to this node.
    pub(crate) fn outside_shares(&self, range: Range) -> Vec<Range> {
        range.without(self.shares.iter().map(|share| share.range))
    }

    /// The owner of `target` was found: compare notes about the range around it.
    pub(crate) fn ask_owner(&mut self, target: Id, owner: Peer) {
        if owner.id == self.me.peer.id {
            return;
        }
        let found = self.locals.iter().find(|(range, _)| range.contains(target));
        let Some(range) = found.map(|(range, _)| range) else { return };
        let asked = Asked::Sets { range };
        if !self.calling(owner.id, |one| *one == asked) {
            let known = self.known_over(range);
            self.call(owner, Request::Sets { range, known }, asked);
        }
    }

    /// Forgets what is of no use any more.
    pub(crate) fn prune(&mut self, now: Time) {
        self.cancel_unwanted_jobs();
        self.retries.prune(now);
        let mut spare: Vec<(Time, Range)> = Vec::new();
        for (range, local) in self.locals.iter() {
            if self.is_spare(range, local) {
                spare.push((local.used, range));
            }
        }
        spare.sort_by_key(|(used, _)| std::cmp::Reverse(*used));
        for (place, (used, range)) in spare.into_iter().enumerate() {
            if place >= KEPT_MAX || now.since(used) > KEPT_FOR {
                self.locals.remove(range);
            }
        }
    }

    /// Forgets nodes that neither the overlay nor any set here knows.
    pub(crate) fn forget_strangers(&mut self) {
        let sets = self.locals.iter().flat_map(|(_, local)| &local.set.members);
        let named: BTreeSet<Id> = sets.map(|member| member.peer.id).collect();
        self.peers.keep(&named);
    }

    fn is_spare(&self, range: Range, local: &Local) -> bool {
        let needed = self.leaving && local.release != Release::Free;
        let has_part = needed || local.newcomer.is_some() || local.set.includes(&self.me);
        !has_part && !self.shares.iter().any(|share| share.range.overlaps(range))
    }
}
