//! Sets of holders, and what is said about them: the part of storage.proto that decides who holds what.

use replica::{Ballot, Member, Piece, Set};
use ring::Space;

use super::common::id_bytes;
use super::identifier;
use crate::form::{list, message, messages, optional, required};
use crate::{Malformed, WireForm, v1};

/// Members of one set.
pub(super) const SET_MEMBERS_MAX: usize = 64;
/// Pieces of the circle in one message.
pub(super) const PIECES_MAX: usize = 4096;

impl WireForm for Member {
    type Message = v1::Member;

    fn to_message(&self) -> v1::Member {
        v1::Member { peer: Some(self.peer.to_message()), store: self.store }
    }

    fn from_message(message: v1::Member, space: Space) -> Result<Self, Malformed> {
        Ok(Self { peer: required("peer", message.peer, space)?, store: message.store })
    }
}

impl WireForm for Set {
    type Message = v1::Set;

    fn to_message(&self) -> v1::Set {
        v1::Set { number: self.number, members: messages(&self.members), forced: self.forced }
    }

    /// A set without members has no primary; one that names a store twice has no honest majority.
    fn from_message(message: v1::Set, space: Space) -> Result<Self, Malformed> {
        let members: Vec<Member> = list("members", message.members, SET_MEMBERS_MAX, space)?;
        if members.is_empty() {
            return Err(Malformed::missing("members"));
        }
        let twice = |(index, member): (usize, &Member)| members.iter().skip(index + 1).any(|other| other.is(member));
        if members.iter().enumerate().any(twice) {
            return Err(Malformed::new("members", "names a store twice"));
        }
        Ok(Self { number: message.number, members, forced: message.forced })
    }
}

impl WireForm for Ballot {
    type Message = v1::Ballot;

    fn to_message(&self) -> v1::Ballot {
        v1::Ballot { round: self.round, proposer: id_bytes(self.proposer) }
    }

    fn from_message(message: v1::Ballot, space: Space) -> Result<Self, Malformed> {
        Ok(Self { round: message.round, proposer: identifier("proposer", &message.proposer, space)? })
    }
}

/// What was accepted, under which ballot.
impl WireForm for (Ballot, Set) {
    type Message = v1::Proposal;

    fn to_message(&self) -> v1::Proposal {
        v1::Proposal { ballot: Some(self.0.to_message()), set: Some(self.1.to_message()) }
    }

    fn from_message(message: v1::Proposal, space: Space) -> Result<Self, Malformed> {
        Ok((required("ballot", message.ballot, space)?, required("set", message.set, space)?))
    }
}

impl WireForm for Piece {
    type Message = v1::Piece;

    fn to_message(&self) -> v1::Piece {
        v1::Piece {
            range: Some(self.range.to_message()),
            set: Some(self.set.to_message()),
            promised: message(&self.promised),
            accepted: message(&self.accepted),
            synced: self.synced,
        }
    }

    fn from_message(message: v1::Piece, space: Space) -> Result<Self, Malformed> {
        Ok(Self {
            range: required("range", message.range, space)?,
            set: required("set", message.set, space)?,
            promised: optional("promised", message.promised, space)?,
            accepted: optional("accepted", message.accepted, space)?,
            synced: message.synced,
        })
    }
}
