//! Going on without a majority. When most members of a set are gone nobody can choose the next one; the
//! survivors may then go on as a set of their own, if they have good reason to believe that it is the others
//! who are gone and not they who are cut off. What nobody alive knows at all is begun empty for the same reasons.

use std::collections::BTreeSet;

use overlay::Time;
use ring::{Id, Range};

use crate::local::Local;
use crate::{Control, Event, Member, Set};

impl Control {
    /// Notes where a majority is out of reach, and since when.
    pub(crate) fn watch_majorities(&mut self, now: Time) {
        let peers = &self.peers;
        for (_, local) in self.locals.values_mut() {
            let missing: Vec<Member> =
                local.set.members.iter().filter(|member| !peers.alive(now, member)).cloned().collect();
            let lost = local.set.members.len() - missing.len() < local.set.majority();
            local.lost_since = lost.then(|| local.lost_since.unwrap_or(now));
            local.missing = if lost { missing } else { Vec::new() };
        }
        self.go_on(now);
    }

    /// Goes on without a majority where the time has come.
    fn go_on(&mut self, now: Time) {
        let Some(patience) = self.config.lost_majority_after else { return };
        for share in self.shares.clone() {
            for (range, local) in self.locals.over(share.range) {
                let lost_long = local.lost_since.is_some_and(|since| now.since(since) >= patience);
                if lost_long && self.may_go_on(now, &local.missing) {
                    self.go_on_with_survivors(now, range, &local);
                }
            }
            // Whoever came back with part of the ring can't know who held the rest, and whether they only stopped.
            let unknown_long = !self.is_back_lately(now)
                && self.inquiry.as_ref().is_some_and(|inquiry| now.since(inquiry.since) >= patience);
            if unknown_long && !self.anybody_stops(now) && self.may_go_on(now, &[]) {
                for gap in self.locals.gaps(share.range) {
                    self.begin_empty(now, gap);
                }
            }
        }
    }

    /// At least half of those that this node knew still answer, everybody alive was asked for news, and none
    /// of the missing said that it only stops.
    fn may_go_on(&self, now: Time, missing: &[Member]) -> bool {
        let window = self.config.stopped_for;
        if !self.all_answered(now) || missing.iter().any(|member| self.peers.stopped(now, member.peer.id, window)) {
            return false;
        }
        // What was said before this process began was not heard.
        if self.is_back_lately(now) && missing.iter().any(|member| !self.peers.seen(member.peer.id)) {
            return false;
        }
        let mut known: BTreeSet<Id> = self.peers.remembered().collect();
        for (_, local) in self.locals.iter() {
            known.extend(local.set.members.iter().map(|member| member.peer.id));
        }
        known.insert(self.me.peer.id);
        let alive = 1 + self.peers.living(now).len();
        2 * alive >= known.len()
    }

    /// Somebody said that it only stops: who knows what it holds.
    fn anybody_stops(&self, now: Time) -> bool {
        self.peers.remembered().any(|id| self.peers.stopped(now, id, self.config.stopped_for))
    }

    /// It came back so lately that somebody's announced stop may have gone unheard.
    fn is_back_lately(&self, now: Time) -> bool {
        self.came_back && self.started.is_none_or(|started| now.since(started) < self.config.stopped_for)
    }

    fn go_on_with_survivors(&mut self, now: Time, range: Range, local: &Local) {
        let number = self.wall_ms.max(local.set.number + 1);
        let mut survivors: Vec<Member> =
            local.set.members.iter().filter(|member| self.peers.alive(now, member)).cloned().collect();
        if let Some(place) = survivors.iter().position(|member| member.is(&self.me)) {
            let me = survivors.remove(place);
            survivors.insert(0, me);
        }
        let nobody = survivors.is_empty();
        let members = if nobody { vec![self.me.clone()] } else { survivors.clone() };
        let before = (!nobody).then_some(Set { number: local.set.number, members: survivors, forced: true });
        let set = Set { number, members, forced: true };
        self.event(Event::LostMajority(range, set.clone(), local.missing.clone()));
        self.adopt(now, range, &set, before.as_ref());
        let mut told = set.members.clone();
        told.extend(local.set.members.iter().filter(|member| !set.includes(member)).cloned());
        self.notify(now, range, &set, before.as_ref(), &told);
    }

    fn begin_empty(&mut self, now: Time, range: Range) {
        let set = Set { number: self.wall_ms.max(1), members: vec![self.me.clone()], forced: true };
        self.event(Event::BegunEmpty(range));
        self.adopt(now, range, &set, None);
    }
}
