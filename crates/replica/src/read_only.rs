//! A node whose disk takes no more writes. It can't keep a promise any more, so it makes none: as a member and as a newcomer
//! it counts as gone, and says so with each answer. What it holds can still be read, and what the overlay calls its own it
//! still coordinates, for others: a proposer promises nothing, so it needs no disk.

use overlay::Time;
use ring::Range;

use crate::{Control, Member, Piece, Request, Set};

impl Request {
    /// Whether the answer could bind the one who gives it. What a node knows it may tell, and hear of newer sets.
    pub(crate) fn asks_for_a_promise(&self) -> bool {
        match self {
            Request::Sets { .. } | Request::Install { .. } => false,
            Request::Prepare { .. }
            | Request::Accept { .. }
            | Request::Learn { .. }
            | Request::Register { .. }
            | Request::Fetching { .. }
            | Request::Synced { .. }
            | Request::Leaving => true,
        }
    }
}

impl Control {
    /// The disk takes no more writes; `kept` is what it has of this machine's pieces. Effects that were polled before are
    /// not carried out if they followed one that would have changed the disk.
    pub fn on_disk_failed(&mut self, now: Time, kept: &[Piece]) {
        if self.read_only {
            return;
        }
        self.read_only = true;
        self.peers.set_read_only();
        // A vote of its own that did not reach the disk may be among them, and what was chosen by it among what is told.
        self.proposals.clear();
        self.notices.clear();
        for piece in self.unkept(kept) {
            let restored = self.restored(now, &piece);
            self.locals.update(piece.range, |_, local| {
                if local.set == piece.set {
                    // Only a promise was not kept: what this node may do under the set it goes on doing.
                    (local.promised, local.accepted) = (restored.promised, restored.accepted.clone());
                    local.fenced_at = local.fenced_at.filter(|_| local.accepted.is_some());
                } else {
                    *local = restored.clone();
                }
            });
        }
        let ranges = || kept.iter().map(|piece| piece.range);
        let unknown: Vec<Range> = self.locals.iter().flat_map(|(range, _)| range.without(ranges())).collect();
        for range in unknown {
            self.locals.update(range, |_, local| {
                (local.promised, local.accepted, local.fenced_at) = (None, None, None);
            });
        }
        for (_, local) in self.locals.values_mut() {
            local.newcomer = None;
        }
        self.hurry(now);
    }

    /// Whether it was told so.
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// What the disk has otherwise than it is known here.
    fn unkept(&self, kept: &[Piece]) -> Vec<Piece> {
        let mut unkept = Vec::new();
        for piece in kept {
            for (range, local) in self.locals.over(piece.range) {
                let piece = Piece { range, ..piece.clone() };
                if !local.is_piece(range, &self.me, &piece) {
                    unkept.push(piece);
                }
            }
        }
        unkept
    }

    /// Whether this node has a vote among these.
    pub(crate) fn votes_in(&self, members: &[Member]) -> bool {
        !self.read_only && members.iter().any(|member| member.is(&self.me))
    }

    /// Those of `set` that can be read, as far as is known; `None` if that is nobody but this node.
    pub(crate) fn heard(&self, now: Time, set: &Set) -> Option<Set> {
        let heard = set.members.iter().filter(|member| self.peers.answers(now, member));
        let members: Vec<Member> = heard.cloned().collect();
        let others = members.iter().any(|member| !member.is(&self.me));
        others.then(|| Set { members, ..set.clone() })
    }

    /// Whether what a majority of `set` holds can be read, as far as is known.
    pub(crate) fn hears_majority(&self, now: Time, set: &Set) -> bool {
        set.members.iter().filter(|member| self.peers.answers(now, member)).count() >= set.majority()
    }
}

#[cfg(test)]
mod tests;
