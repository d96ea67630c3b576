//! Votes about the set after a given one: the acceptor of single-decree Paxos (Lamport, "Paxos made simple"),
//! once for every identifier of the circle, and the installation of what was chosen.
//!
//! A vote is about a whole arc, so it is given only where this node's pieces say the same all along it. The
//! primary of the old set votes with care about who comes and goes: once it has accepted, it acknowledges
//! nothing under the old set any more, so what holds then about its newcomers holds for good.

use overlay::Time;
use ring::Range;

use crate::local::Local;
use crate::{Answer, Ballot, Control, Member, Piece, Set};

impl Control {
    /// Phase 1.
    pub(crate) fn prepare(&mut self, range: Range, after: u64, ballot: Ballot) -> Answer {
        self.round = self.round.max(ballot.round);
        let Some(accepted) = self.vote_on(range, after) else { return self.pieces_over(range) };
        let parts = self.locals.over(range);
        // Strictly greater: a ballot is promised to once, so a proposer that lost its memory can't use one again.
        if parts.iter().any(|(_, local)| local.promised >= Some(ballot)) {
            return self.pieces_over(range);
        }
        self.locals.update(range, |_, local| local.promised = Some(ballot));
        Answer::Promised { accepted }
    }

    /// Phase 2.
    pub(crate) fn accept(&mut self, now: Time, range: Range, after: u64, ballot: Ballot, set: Set) -> Answer {
        self.round = self.round.max(ballot.round);
        if self.vote_on(range, after).is_none() || set.members.is_empty() || set.number <= after {
            return self.pieces_over(range);
        }
        let parts = self.locals.over(range);
        if parts.iter().any(|(_, local)| local.promised > Some(ballot)) {
            return self.pieces_over(range);
        }
        if let Some(why) = parts.iter().find_map(|(_, local)| self.objection(local, &set)) {
            return Answer::No(why);
        }
        self.locals.update(range, |_, local| {
            local.promised = Some(ballot);
            local.accepted = Some((ballot, set.clone()));
            local.fenced_at.get_or_insert(now);
            local.used = now;
        });
        self.hurry(now);
        Answer::Accepted
    }

    /// What was accepted all along `range` for the set after `after`; `None` if this node can't vote on it as a whole.
    fn vote_on(&self, range: Range, after: u64) -> Option<Option<(Ballot, Set)>> {
        let parts = self.locals.over(range);
        let (_, first) = parts.first()?;
        let whole = self.locals.gaps(range).is_empty();
        let one = parts.iter().all(|(_, local)| {
            local.set.number == after && local.set.includes(&self.me) && local.accepted == first.accepted
        });
        (whole && one).then(|| first.accepted.clone())
    }

    /// Why the primary of the old set must not let `set` follow, if so.
    fn objection(&self, old: &Local, set: &Set) -> Option<String> {
        let again = old.accepted.as_ref().is_some_and(|(_, accepted)| accepted == set);
        if again || !old.set.primary().is(&self.me) || set.same_members(&old.set) {
            return None;
        }
        let Some(primary) = old.primary() else { return Some("taking over".into()) };
        let is_synced = |member| primary.learners.iter().any(|learner| learner.synced && learner.member.is(member));
        if let Some(other) = set.members.iter().find(|member| !old.set.includes(member) && !is_synced(member)) {
            return Some(format!("{} is not synced", other.peer.id));
        }
        let fewer = old.set.members.len().saturating_sub(set.members.len());
        (fewer > 1 || fewer == 1 && !primary.settled).then(|| "not everything is on a majority yet".into())
    }

    /// A majority accepted this set.
    pub(crate) fn install(
        &mut self,
        now: Time,
        from: &Member,
        range: Range,
        (set, before): (Set, Option<Set>),
        whole: u64,
    ) -> Answer {
        if set.members.is_empty() {
            return Answer::No("a set without members".into());
        }
        self.adopt(now, range, &set, before.as_ref());
        self.confirm(now, range, &set);
        if whole > 0 && set.primary().is(from) {
            self.locals.update(range, |_, local| {
                // Whoever has voted for another set may have missed what that one deleted, and its old primary too.
                if local.set.number == set.number && local.accepted.is_none() {
                    local.whole = local.whole.max(whole);
                }
            });
        }
        let parts = self.locals.over(range);
        if parts.iter().any(|(_, local)| local.set.number > set.number) {
            self.pieces_over(range)
        } else {
            Answer::Done
        }
    }

    /// Somebody who should know still calls this set the newest.
    pub(crate) fn confirm(&mut self, now: Time, range: Range, set: &Set) {
        self.locals.update(range, |_, local| {
            if local.set.number == set.number {
                local.heard = now;
                local.used = now;
            }
        });
    }

    /// Everything that is known about `range`, cut to it.
    pub(crate) fn pieces_over(&self, range: Range) -> Answer {
        Answer::Pieces(self.known_over(range))
    }

    pub(crate) fn known_over(&self, range: Range) -> Vec<Piece> {
        self.locals.over(range).into_iter().map(|(part, local)| local.piece(part, &self.me)).collect()
    }
}

#[cfg(test)]
mod tests;
