//! Going on without a majority. When most members of a set are gone nobody can choose the next one; the
//! survivors may then go on as a set of their own, if they have good reason to believe that it is the others
//! who are gone and not they who are cut off. What nobody alive knows at all is begun empty for the same reasons.

use std::collections::BTreeSet;
use std::time::Duration;

use overlay::{Peer, Time};
use ring::{Id, Range};

use crate::local::Local;
use crate::{Control, Event, Member, Set, Wait};

/// A majority that is out of reach for less is not worth a word: its members may just have been restarted.
const SAID_AFTER: Duration = Duration::from_secs(1);

impl Control {
    /// Notes where a majority is out of reach, and since when.
    pub(crate) fn watch_majorities(&mut self, now: Time) {
        let mut back = Vec::new();
        let peers = &self.peers;
        for (range, local) in self.locals.values_mut() {
            let members = &local.set.members;
            local.missing = members.iter().filter(|member| !peers.answers(now, member)).cloned().collect();
            local.read_only = members.iter().filter(|member| peers.reads_only(now, member)).cloned().collect();
            let writers = local.set.members.len() - local.missing.len() - local.read_only.len();
            let lost = writers < local.set.majority();
            local.lost_since = lost.then(|| local.lost_since.unwrap_or(now));
            if !lost && local.told.take().is_some() {
                back.push(range);
            }
        }
        back.into_iter().for_each(|range| self.event(Event::MajorityBack(range)));
        self.go_on(now);
    }

    /// Goes on without a majority where the time has come, and says what it waits for where it has not.
    fn go_on(&mut self, now: Time) {
        for share in self.shares.clone() {
            for (range, local) in self.locals.over(share.range) {
                let Some(since) = local.lost_since else { continue };
                match self.waits_for(now, since, &local) {
                    Some(wait) if now.since(since) >= SAID_AFTER => self.tell(range, &local, wait),
                    Some(_) => {}
                    None if self.all_answered(now) => self.go_on_with_survivors(now, range, &local),
                    None => {}
                }
            }
            let Some(patience) = self.config.lost_majority_after else { continue };
            // Whoever came back with part of the ring can't know who held the rest, and whether they only stopped.
            let unknown_since = self.inquiry.as_ref().map(|inquiry| inquiry.since);
            let unknown_long = unknown_since.filter(|since| now.since(*since) >= patience);
            if unknown_long.is_none() || self.is_back_lately(now) || self.read_only {
                continue;
            }
            if !self.anybody_stops(now) && self.all_answered(now) && self.outnumbered(now).is_none() {
                for gap in self.locals.gaps(share.range) {
                    self.begin_empty(now, gap);
                }
            }
        }
    }

    /// Says once what a range waits for, and again when that changes.
    fn tell(&mut self, range: Range, local: &Local, wait: Wait) {
        let same = |told: &Wait| std::mem::discriminant(told) == std::mem::discriminant(&wait);
        if local.told.as_ref().is_some_and(same) {
            return;
        }
        self.locals.update(range, |_, local| local.told = Some(wait.clone()));
        let gone = local.missing.iter().chain(&local.read_only).cloned().collect();
        self.event(Event::MajorityGone(range, local.set.clone(), gone, wait));
    }

    /// Why the survivors of a set whose majority is gone since `since` do not go on yet: at least half of those that this
    /// node knew have to answer, and none of the missing may have said that it only stops.
    fn waits_for(&self, now: Time, since: Time, local: &Local) -> Option<Wait> {
        let Some(patience) = self.config.lost_majority_after else { return Some(Wait::Forever) };
        if self.successors(now, &local.set).is_empty() {
            return Some(Wait::NobodyWrites);
        }
        let stops = |member: &&Member| self.peers.stopped(now, member.peer.id, self.config.stopped_for);
        let stopped: Vec<Member> = local.missing.iter().filter(stops).cloned().collect();
        if !stopped.is_empty() {
            return Some(Wait::Stopped(stopped));
        }
        // What was said before this process began was not heard.
        if self.is_back_lately(now) && local.missing.iter().any(|member| !self.peers.seen(member.peer.id)) {
            return Some(Wait::MayHaveStopped);
        }
        if let Some((alive, known)) = self.outnumbered(now) {
            return Some(Wait::Outnumbered(alive, known));
        }
        (now.since(since) < patience).then_some(Wait::For(patience))
    }

    /// How many nodes answer, of how many that count, if those are less than half: then it may be this node that is cut
    /// off.
    fn outnumbered(&self, now: Time) -> Option<(usize, usize)> {
        let mut known: BTreeSet<Id> = self.peers.counted().collect();
        for (_, local) in self.locals.iter() {
            known.extend(local.set.members.iter().map(|member| member.peer.id));
        }
        known.insert(self.me.peer.id);
        let alive = 1 + self.peers.living_count(now);
        (2 * alive < known.len()).then_some((alive, known.len()))
    }

    /// Somebody said that it only stops: who knows what it holds.
    fn anybody_stops(&self, now: Time) -> bool {
        self.peers.remembered().any(|id| self.peers.stopped(now, id, self.config.stopped_for))
    }

    /// It came back so lately that somebody's announced stop may have gone unheard.
    fn is_back_lately(&self, now: Time) -> bool {
        self.came_back && self.started.is_none_or(|started| now.since(started) < self.config.stopped_for)
    }

    /// Who would go on without the majority of `set`: those of it that take writes, this node first; if there are none, this
    /// node, or where it is read-only the next one that is not.
    fn successors(&self, now: Time, set: &Set) -> Vec<Member> {
        let mut survivors: Vec<Member> =
            set.members.iter().filter(|member| self.peers.alive(now, member)).cloned().collect();
        survivors.sort_by_key(|member| !member.is(&self.me));
        if survivors.is_empty() && !self.read_only {
            survivors.push(self.me.clone());
        }
        if survivors.is_empty() {
            let stays = |peer: &Peer| !self.is_leaving(peer.id) && !self.peers.is_read_only(peer.id);
            let living = self.peers.living(now);
            let others = living.iter().filter(|peer| stays(peer)).filter_map(|peer| self.peers.member(peer));
            survivors.extend(others.min_by_key(|member| self.me.peer.id.distance_to(member.peer.id)));
        }
        survivors
    }

    fn go_on_with_survivors(&mut self, now: Time, range: Range, local: &Local) {
        let number = self.wall_ms.max(local.set.number + 1);
        let members = self.successors(now, &local.set);
        // What can still be read is learnt from, though it takes no more part.
        let heard: Vec<Member> =
            local.set.members.iter().filter(|member| self.peers.answers(now, member)).cloned().collect();
        let before = (!heard.is_empty()).then_some(Set { number: local.set.number, members: heard, forced: true });
        let gone = local.missing.iter().chain(&local.read_only).cloned().collect();
        let set = Set { number, members, forced: true };
        self.event(Event::LostMajority(range, set.clone(), gone));
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

#[cfg(test)]
mod tests;
