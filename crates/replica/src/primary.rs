//! Being a set's primary: take over from the set before, bring the members up to date, keep a list of
//! newcomers, and tell the members now and then that the set still stands.

use std::time::Duration;

use overlay::Time;
use ring::Range;

use crate::control::Asked;
use crate::local::{Duty, Local, Primary};
use crate::retry::Kind;
use crate::{Answer, Control, Job, Learner, Member, Request, Set, Word};

/// A dropped newcomer may register again only after so long: by then no call of its earlier attempt is under way.
const DROPPED_FOR: Duration = Duration::from_secs(3);
/// A newcomer says every second that it fetches, or has everything; one that does not any more has given up, or is gone.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(10);

impl Local {
    /// Everything that the set before held is here.
    pub(crate) fn took_over(&mut self) {
        if self.duty == Duty::TakingOver {
            self.duty = Duty::Primary(Primary::of(&self.set));
            self.part_with_before();
        }
    }
}

impl Control {
    pub(crate) fn register(&mut self, now: Time, from: &Member, range: Range, number: u64) -> Answer {
        if let Some(refusal) = self.not_primary_of(range, number) {
            return refusal;
        }
        let dropped = |primary: &Primary| {
            primary.dropped.iter().any(|(member, at)| member.is(from) && now.since(*at) < DROPPED_FOR)
        };
        if self.locals.over(range).iter().any(|(_, local)| local.primary().is_some_and(dropped)) {
            return Answer::No("dropped just now".into());
        }
        self.locals.update(range, |_, local| {
            if let Some(primary) = local.primary_mut() {
                primary.dropped.retain(|(_, at)| now.since(*at) < DROPPED_FOR);
                // It begins anew, and a former life of the same node learns no more.
                primary.learners.retain(|learner| learner.member.peer.id != from.peer.id);
                primary.learners.push(Learner { member: from.clone(), synced: false });
                local.hear_of(from, now);
            }
        });
        Answer::Done
    }

    /// A newcomer is still on its way in, or `synced`: has everything.
    pub(crate) fn hear_of(&mut self, now: Time, from: &Member, range: Range, number: u64, synced: bool) -> Answer {
        if let Some(refusal) = self.not_primary_of(range, number) {
            return refusal;
        }
        let registered = |local: &Local| {
            local.primary().is_some_and(|primary| primary.learners.iter().any(|learner| learner.member.is(from)))
        };
        if !self.locals.over(range).iter().all(|(_, local)| registered(local)) {
            return Answer::No("not registered".into());
        }
        self.locals.update(range, |_, local| {
            if let Some(primary) = local.primary_mut()
                && let Some(learner) = primary.learners.iter_mut().find(|learner| learner.member.is(from))
            {
                learner.synced |= synced;
                local.hear_of(from, now);
            }
        });
        Answer::Done
    }

    fn not_primary_of(&self, range: Range, number: u64) -> Option<Answer> {
        let parts = self.locals.over(range);
        if parts.iter().any(|(_, local)| local.set.number > number) {
            return Some(self.pieces_over(range));
        }
        let serves = |local: &Local| local.set.number == number && local.primary().is_some();
        let all = self.locals.gaps(range).is_empty() && parts.iter().all(|(_, local)| serves(local));
        (!all).then(|| Answer::No("not the primary of that set (yet)".into()))
    }

    /// Takes a learner's promise back; false if that is too late.
    pub(crate) fn take_off(&mut self, now: Time, range: Range, number: u64, learner: &Member) -> bool {
        let parts = self.locals.over(range);
        let open = |local: &Local| local.set.number == number && local.accepted.is_none() && local.primary().is_some();
        if !self.locals.gaps(range).is_empty() || !parts.iter().all(|(_, local)| open(local)) {
            return false;
        }
        self.locals.update(range, |_, local| {
            if let Some(primary) = local.primary_mut() {
                primary.learners.retain(|one| !one.member.is(learner));
                primary.dropped.retain(|(member, _)| !member.is(learner));
                primary.dropped.push((learner.clone(), now));
            }
        });
        true
    }

    pub(crate) fn mark_behind(&mut self, range: Range, number: u64, member: &Member) {
        self.outdate_spread(range, number, member);
        self.locals.update(range, |_, local| {
            let is_member = local.set.number == number && local.set.includes(member);
            if let Some(primary) = local.primary_mut()
                && is_member
                && !primary.behind.iter().any(|one| one.is(member))
            {
                primary.behind.push(member.clone());
            }
        });
    }

    /// Newcomers that nobody wanted any more are not waited for: while one is registered no deletion is forgotten.
    fn drop_given_up(&mut self, now: Time) {
        let mut given_up = Vec::new();
        for (range, local) in self.locals.values_mut() {
            let learners = local.primary().map_or(Vec::new(), |primary| primary.learners.clone());
            local.heard_of.retain(|(one, _)| learners.iter().any(|learner| learner.member.is(one)));
            for Learner { member, .. } in learners {
                let heard = local.heard_of.iter().find(|(one, _)| one.is(&member)).map(|(_, at)| *at);
                if heard.is_none_or(|at| now.since(at) >= GIVEN_UP_AFTER) {
                    given_up.push((range, local.set.number, member));
                }
            }
        }
        for (range, number, member) in given_up {
            self.take_off(now, range, number, &member);
        }
    }

    /// Does the next step wherever this node is a primary.
    pub(crate) fn be_primary(&mut self, now: Time) {
        self.drop_given_up(now);
        let to_refresh = self.refresh_at <= now;
        let is_due = |local: &Local| to_refresh || !matches!(local.duty, Duty::None);
        let due = self.locals.iter().filter(|(_, local)| is_due(local));
        let parts: Vec<(Range, Local)> = due.map(|(range, local)| (range, local.clone())).collect();
        for (range, local) in &parts {
            match &local.duty {
                Duty::None => {}
                Duty::TakingOver => self.take_over(now, *range, local),
                Duty::Primary(primary) => self.spread(now, *range, &local.set, primary),
            }
        }
        if to_refresh {
            self.refresh_at = now.plus(self.jittered(self.config.refresh_period));
            for (range, local) in &parts {
                self.refresh(now, *range, local);
            }
        }
        self.repair(now, &parts);
    }

    /// One range after another is compared with its members, each once in a period, though nobody was seen to miss anything.
    fn repair(&mut self, now: Time, parts: &[(Range, Local)]) {
        if now < self.repair_at {
            return;
        }
        let own: Vec<&(Range, Local)> =
            parts.iter().filter(|(_, local)| local.primary().is_some_and(|primary| primary.settled)).collect();
        let turns = u32::try_from(own.len()).unwrap_or(u32::MAX).max(1);
        self.repair_at = now.plus(self.jittered(self.config.repair_period / turns));
        // Arcs are in the order of their ends.
        let next = own.iter().find(|(range, _)| self.repaired.is_none_or(|last| range.upto > last)).or(own.first());
        self.repaired = next.map(|(range, _)| range.upto);
        if let Some((range, local)) = next {
            for member in local.set.members.iter().skip(1) {
                // Whoever is being brought up already is compared by that.
                let is_behind = |primary: &Primary| primary.behind.iter().any(|one| one.is(member));
                if self.peers.alive(now, member) && !local.primary().is_some_and(is_behind) {
                    self.mark_behind(*range, local.set.number, member);
                }
            }
            self.hurry(now);
        }
    }

    fn take_over(&mut self, now: Time, range: Range, local: &Local) {
        let number = local.set.number;
        self.busy = true;
        if local.unconfirmed || !self.retries.is_due(now, Kind::Takeover, self.me.peer.id, number) {
            return;
        }
        // What counts is on a majority of the set before and within reach of any majority of this one, see
        // `next_set`. So where the one is gone, the other will do.
        let tries = self.retries.failures(Kind::Takeover, self.me.peer.id, number);
        let before = match &local.before {
            // Those that went on by themselves share no majority with the set before: all of it that can be read counts.
            Some(before) if local.set.forced => self.heard(now, before).unwrap_or_else(|| local.set.clone()),
            Some(before) if tries % 3 != 2 && self.hears_majority(now, before) => before.clone(),
            _ => local.set.clone(),
        };
        self.start_job(Job::Takeover { range, set: local.set.clone(), before });
    }

    fn spread(&mut self, now: Time, range: Range, set: &Set, primary: &Primary) {
        for member in &primary.behind {
            let due = self.retries.is_due(now, Kind::Spread, member.peer.id, set.number);
            if due && self.peers.alive(now, member) {
                self.start_job(Job::Spread { range, set: set.clone(), to: member.clone() });
            }
        }
        self.busy |= !primary.settled;
    }

    /// The set still stands, as far as its primary knows. The owner tells the primary, which may have been away when
    /// the set was chosen.
    fn refresh(&mut self, now: Time, range: Range, local: &Local) {
        if local.set.primary().is(&self.me) {
            for member in local.set.members.iter().skip(1) {
                self.remind(range, local, member);
            }
            return;
        }
        let primary = local.set.primary();
        let own: Vec<Range> = self.shares.iter().flat_map(|share| range.intersect(share.range)).collect();
        if self.peers.alive(now, primary) {
            for part in own {
                self.remind(part, local, primary);
            }
        }
    }

    fn remind(&mut self, range: Range, local: &Local, member: &Member) {
        let asked = Asked::Install { range, number: local.set.number, notice: None };
        if !self.calling(member.peer.id, |one| *one == asked) {
            let whole = local.whole_at(member);
            let request = Request::Install { range, set: local.set.clone(), before: local.before.clone(), whole };
            self.call(self.peers.locate(member), request, asked);
        }
    }

    /// Whether the leaver may go as far as this node's own sets are concerned.
    pub(crate) fn serve_leaving(&mut self, now: Time, from: &Member) -> Answer {
        self.peers.set_leaving(from, true);
        self.hurry(now);
        let (me, mut needs) = (&self.me, false);
        for (_, local) in self.locals.values_mut() {
            if local.set.primary().is(me) {
                // A set with it may be on the way only where one is accepted already.
                let fenced = local.accepted.as_ref().is_some_and(|(_, set)| set.includes(from));
                // What it held in the set before may not be on a majority of this one yet.
                let held = local.before.as_ref().is_none_or(|before| before.includes(from));
                let settled = local.primary().is_some_and(|primary| primary.settled);
                needs |= fenced || held && !settled || local.set.includes(from);
                if let Some(primary) = local.primary_mut() {
                    primary.learners.retain(|learner| !learner.member.is(from));
                }
            }
        }
        self.locals.settle();
        if needs { Answer::No("still needed".into()) } else { Answer::Done }
    }

    /// A member answered what it was told about a set.
    pub(crate) fn on_told(&mut self, range: Range, number: u64, word: &Word) {
        self.note_told(range, number, &word.me);
    }

    /// Whether a majority of `set` can be reached, as far as is known.
    pub(crate) fn has_majority(&self, now: Time, set: &Set) -> bool {
        set.members.iter().filter(|member| self.peers.alive(now, member)).count() >= set.majority()
    }
}
