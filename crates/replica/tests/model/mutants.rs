//! What a mutant does, between the machines and the world.

use replica::{Answer, Ballot, Job, Request, Response};

use crate::process::{id, member, set};
use crate::scenario::Mutant;
use crate::turn::Turn;
use crate::world::Call;

impl Turn<'_> {
    pub(crate) fn is_blind(&self, job: &Job) -> bool {
        match job {
            Job::Sync { .. } => self.mutant(Mutant::SyncedTooEarly),
            Job::Takeover { .. } => self.mutant(Mutant::BlindTakeover),
            Job::Spread { .. } => self.mutant(Mutant::SettledTooEarly),
        }
    }

    /// An answer that nobody gave.
    pub(crate) fn forged(&mut self, call: &Call) -> Option<u32> {
        let [Request::Accept { .. }] = self.memory.said.requests.get(call.requests).as_slice() else { return None };
        self.mutant(Mutant::UncastVotes).then(|| {
            let answers = vec![Answer::Accepted];
            self.memory.said.responses.of(Response { me: member(call.to), leaving: false, read_only: false, answers })
        })
    }

    /// What the caller gets to hear instead of the answer.
    pub(crate) fn tampered(&mut self, call: &Call, response: u32) -> u32 {
        let [Request::Prepare { ballot, after, .. }] = self.memory.said.requests.get(call.requests).as_slice() else {
            return response;
        };
        let (ballot, after) = (*ballot, *after);
        let mut told = self.memory.said.responses.get(response).clone();
        match &mut told.answers[..] {
            [Answer::Promised { accepted }] if self.mutant(Mutant::PrimaryNotFirst) && accepted.is_none() => {
                let fresh = set(after + 1, &self.rules.wanted_by(call.from));
                *accepted = Some((Ballot { round: 0, proposer: id(0) }, fresh));
            }
            [answer] if self.mutant(Mutant::BallotTwice) => {
                if let Answer::Pieces(pieces) = answer
                    && let [piece] = &pieces[..]
                    && piece.promised == Some(ballot)
                    && piece.set.number == after
                {
                    *answer = Answer::Promised { accepted: piece.accepted.clone() };
                }
            }
            _ => {}
        }
        self.memory.said.responses.of(told)
    }
}
