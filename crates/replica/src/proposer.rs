//! Proposing the next set: the proposer of single-decree Paxos (Lamport, "Paxos made simple") towards the
//! members of the set before it.
//!
//! One rule more than usual: a fresh proposal that changes who is a member goes to the primary of the old
//! set first, and to the others only once that has accepted. The primary objects when a newcomer is not
//! synced any more; after it has accepted it acknowledges nothing that the newcomers do not have.

use std::time::Duration;

use overlay::Time;
use ring::{Id, Range};

use crate::control::Asked;
use crate::retry::Kind;
use crate::{Answer, Ballot, Control, Member, Request, Set, Word};

/// A proposal that is not through by then is given up; another follows with a higher ballot.
const DEADLINE: Duration = Duration::from_millis(2_500);
/// Cuts that an acceptor's pieces made necessary are remembered for so long.
const CUT_FOR: Duration = Duration::from_secs(10);

/// A proposal under way, for the set after `old` on `range`.
#[derive(Clone, Debug)]
pub(crate) struct Proposal {
    pub(crate) number: u64,
    pub(crate) range: Range,
    pub(crate) old: Set,
    /// What to propose if nobody has accepted anything yet.
    fresh: Set,
    ballot: Ballot,
    phase: Phase,
    deadline: Time,
}

#[derive(Clone, Debug)]
enum Phase {
    Preparing { promised: Vec<Id>, highest: Option<(Ballot, Set)> },
    Accepting { set: Set, accepted: Vec<Id>, to_all: bool },
}

impl Control {
    /// Proposes `fresh` for the set after `old`, unless something is under way there.
    pub(crate) fn propose(&mut self, now: Time, range: Range, old: &Set, fresh: &Set) {
        for range in self.cut_up(range) {
            let overlaps = |proposal: &Proposal| proposal.range.overlaps(range);
            let due = self.retries.is_due(now, Kind::Propose, range.upto, 0);
            if due && !self.proposals.iter().any(overlaps) {
                self.begin(now, range, old.clone(), fresh.clone());
            }
        }
    }

    fn cut_up(&self, range: Range) -> Vec<Range> {
        self.cuts
            .keys()
            .fold(vec![range], |parts, cut| parts.into_iter().flat_map(|part| part.split_at(*cut)).collect())
    }

    fn begin(&mut self, now: Time, range: Range, old: Set, fresh: Set) {
        self.round += 1;
        self.proposals_begun += 1;
        let ballot = Ballot { round: self.round, proposer: self.me.peer.id };
        let (number, after) = (self.proposals_begun, old.number);
        let phase = Phase::Preparing { promised: Vec::new(), highest: None };
        let members = old.members.clone();
        let deadline = now.plus(DEADLINE);
        self.proposals.push(Proposal { number, range, old, fresh, ballot, phase, deadline });
        for member in &members {
            if !member.is(&self.me) && self.peers.alive(now, member) {
                let request = Request::Prepare { range, after, ballot };
                let asked = Asked::Prepare { proposal: number, member: member.clone() };
                self.call(self.peers.locate(member), request, asked);
            }
        }
        if self.votes_in(&members) {
            let answer = self.prepare(range, after, ballot);
            let me = self.me.clone();
            self.on_prepared(now, number, &me.clone(), Word { me, answer });
        }
    }

    pub(crate) fn on_prepared(&mut self, now: Time, number: u64, member: &Member, word: Word) {
        let Some(proposal) = self.proposals.iter_mut().find(|proposal| proposal.number == number) else { return };
        if !word.me.is(member) {
            return;
        }
        let accepted = match word.answer {
            Answer::Promised { accepted } => accepted,
            answer => return self.on_refusal(now, number, member, &answer),
        };
        let Phase::Preparing { promised, highest } = &mut proposal.phase else { return };
        if !promised.contains(&member.peer.id) {
            promised.push(member.peer.id);
        }
        let higher = match (&accepted, &*highest) {
            (Some((ballot, _)), Some((other, _))) => ballot > other,
            (accepted, _) => accepted.is_some(),
        };
        if higher {
            *highest = accepted;
        }
        if promised.len() < proposal.old.majority() {
            return;
        }
        // With nothing accepted so far a change of members goes to the primary first.
        let (set, to_all) = match highest.take() {
            Some((_, set)) => (set, true),
            None => (proposal.fresh.clone(), proposal.fresh.same_members(&proposal.old)),
        };
        proposal.phase = Phase::Accepting { set, accepted: Vec::new(), to_all };
        self.ask_to_accept(now, number);
    }

    fn ask_to_accept(&mut self, now: Time, number: u64) {
        let Some(proposal) = self.proposals.iter().find(|proposal| proposal.number == number) else { return };
        let Phase::Accepting { set, accepted, to_all } = &proposal.phase else { return };
        let (set, range, ballot, after) = (set.clone(), proposal.range, proposal.ballot, proposal.old.number);
        let asked_now = if *to_all { proposal.old.members.as_slice() } else { &proposal.old.members[..1] };
        let asked_now: Vec<Member> =
            asked_now.iter().filter(|member| !accepted.contains(&member.peer.id)).cloned().collect();
        for member in &asked_now {
            if !member.is(&self.me) && self.peers.alive(now, member) {
                let request = Request::Accept { range, after, ballot, set: set.clone() };
                let asked = Asked::Accept { proposal: number, member: member.clone() };
                self.call(self.peers.locate(member), request, asked);
            }
        }
        if self.votes_in(&asked_now) {
            let answer = self.accept(now, range, after, ballot, set);
            let me = self.me.clone();
            self.on_accepted(now, number, &me.clone(), Word { me, answer });
        }
    }

    pub(crate) fn on_accepted(&mut self, now: Time, number: u64, member: &Member, word: Word) {
        let Some(proposal) = self.proposals.iter_mut().find(|proposal| proposal.number == number) else { return };
        if !word.me.is(member) {
            return;
        }
        if word.answer != Answer::Accepted {
            return self.on_refusal(now, number, member, &word.answer);
        }
        let Phase::Accepting { accepted, to_all, set } = &mut proposal.phase else { return };
        if !accepted.contains(&member.peer.id) {
            accepted.push(member.peer.id);
        }
        if accepted.len() >= proposal.old.majority() {
            let (range, set, old) = (proposal.range, set.clone(), proposal.old.clone());
            self.proposals.retain(|proposal| proposal.number != number);
            self.retries.succeeded(Kind::Propose, range.upto, 0);
            self.chosen(now, range, &set, &old);
        } else if !*to_all {
            *to_all = true;
            self.ask_to_accept(now, number);
        }
    }

    /// A majority has accepted: whoever is concerned is told.
    pub(crate) fn chosen(&mut self, now: Time, range: Range, set: &Set, old: &Set) {
        let mut concerned = set.members.clone();
        concerned.extend(old.members.iter().filter(|member| !set.includes(member)).cloned());
        self.adopt(now, range, set, Some(old));
        self.notify(now, range, set, Some(old), &concerned);
    }

    /// A voter knows better, or objects. What it knows was already learnt.
    fn on_refusal(&mut self, now: Time, number: u64, member: &Member, answer: &Answer) {
        let Some(place) = self.proposals.iter().position(|proposal| proposal.number == number) else { return };
        let Proposal { range, old, phase, .. } = self.proposals[place].clone();
        match answer {
            Answer::Pieces(pieces) => {
                for piece in pieces {
                    let promised = piece.promised.map_or(0, |ballot| ballot.round);
                    self.round = self.round.max(promised);
                    for end in [piece.range.after, piece.range.upto] {
                        if end != range.after && end != range.upto && range.contains(end) {
                            self.cuts.insert(end, now);
                        }
                    }
                }
                // It has not heard of the old set yet: tell it, or it can't vote.
                let unheard = range.without(pieces.iter().map(|piece| piece.range));
                if !unheard.is_empty() || pieces.iter().any(|piece| old.supersedes(&piece.set)) {
                    self.notify(now, range, &old, None, std::slice::from_ref(member));
                }
            }
            // The rest may do without the old primary where it is no matter of newcomers; the deadline tells.
            Answer::No(_) if matches!(phase, Phase::Accepting { to_all: true, .. }) => return,
            // Newcomers that are not synced after all.
            Answer::No(_) => self.lessons.clear(),
            _ => {}
        }
        self.give_up(now, number);
    }

    /// A vote did not come. When no other can either, there is nothing to wait for.
    pub(crate) fn on_vote_lost(&mut self, now: Time, number: u64) {
        let open = self.is_asking(|asked| match asked {
            Asked::Prepare { proposal, .. } | Asked::Accept { proposal, .. } => *proposal == number,
            _ => false,
        });
        if !open {
            self.give_up(now, number);
        }
    }

    fn give_up(&mut self, now: Time, number: u64) {
        let Some(place) = self.proposals.iter().position(|proposal| proposal.number == number) else { return };
        let proposal = self.proposals.remove(place);
        self.back_off(now, Kind::Propose, proposal.range.upto, 0);
        self.busy = true;
    }

    /// Gives up what takes too long or was overtaken.
    pub(crate) fn expire_proposals(&mut self, now: Time) {
        self.cuts.retain(|_, learnt| now.since(*learnt) < CUT_FOR);
        let current = |proposal: &Proposal| {
            self.locals.over(proposal.range).iter().all(|(_, local)| local.set.number == proposal.old.number)
        };
        let (late, overtaken): (Vec<_>, Vec<_>) = (
            self.proposals.iter().filter(|proposal| proposal.deadline <= now).map(|proposal| proposal.number).collect(),
            self.proposals.iter().filter(|proposal| !current(proposal)).map(|proposal| proposal.number).collect(),
        );
        for number in late {
            self.give_up(now, number);
        }
        self.proposals.retain(|proposal| !overtaken.contains(&proposal.number));
        self.busy |= !self.proposals.is_empty();
    }
}
