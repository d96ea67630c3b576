//! The part of storage.proto that decides who holds what.

use bytes::Bytes;
use overlay::Refusal;
use prost::Message;
use replica::{Answer, Ballot, Member, Piece, Request, Response, Set};
use ring::{Range, Space};

use super::common::{id_bytes, text};
use super::record_calls::{read_storage_envelope, to_storage_envelope};
use super::{identifier, refusal};
use crate::form::{list, message, messages, optional, required};
use crate::protocol::parse;
use crate::{Call, Here, Malformed, Rejected, StorageEnvelope, WireForm, v1};

/// Members of one set.
const SET_MEMBERS_MAX: usize = 64;
/// Pieces of the circle in one message.
const PIECES_MAX: usize = 4096;

const SETS: &str = "/dht.v1.Storage/Sets";
const PREPARE: &str = "/dht.v1.Storage/Prepare";
const ACCEPT: &str = "/dht.v1.Storage/Accept";
const INSTALL: &str = "/dht.v1.Storage/Install";
const LEARN: &str = "/dht.v1.Storage/Learn";
const REGISTER: &str = "/dht.v1.Storage/Register";
const SYNCED: &str = "/dht.v1.Storage/Synced";
const LEAVING: &str = "/dht.v1.Storage/Leaving";

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

impl Call for Request {
    type Envelope = StorageEnvelope;
    type Reply = Response;

    fn path(&self) -> &'static str {
        match self {
            Request::Sets { .. } => SETS,
            Request::Prepare { .. } => PREPARE,
            Request::Accept { .. } => ACCEPT,
            Request::Install { .. } => INSTALL,
            Request::Learn { .. } => LEARN,
            Request::Register { .. } => REGISTER,
            Request::Synced { .. } => SYNCED,
            Request::Leaving => LEAVING,
        }
    }

    fn encode(&self, cluster: &str, envelope: &StorageEnvelope) -> Vec<u8> {
        let envelope = Some(to_storage_envelope(cluster, envelope));
        let arc = |range: &Range| Some(range.to_message());
        match self {
            Request::Sets { range, known } => {
                v1::SetsRequest { envelope, range: arc(range), known: messages(known) }.encode_to_vec()
            }
            Request::Prepare { range, after, ballot } => v1::PrepareRequest {
                envelope,
                range: arc(range),
                after: *after,
                ballot: Some(ballot.to_message()),
            }
            .encode_to_vec(),
            Request::Accept { range, after, ballot, set } => v1::AcceptRequest {
                envelope,
                range: arc(range),
                after: *after,
                ballot: Some(ballot.to_message()),
                set: Some(set.to_message()),
            }
            .encode_to_vec(),
            Request::Install { range, set, before } => v1::InstallRequest {
                envelope,
                range: arc(range),
                set: Some(set.to_message()),
                before: message(before),
            }
            .encode_to_vec(),
            Request::Learn { range, set } => {
                v1::LearnRequest { envelope, range: arc(range), set: Some(set.to_message()) }.encode_to_vec()
            }
            Request::Register { range, number } => {
                v1::RegisterRequest { envelope, range: arc(range), number: *number }.encode_to_vec()
            }
            Request::Synced { range, number } => {
                v1::SyncedRequest { envelope, range: arc(range), number: *number }.encode_to_vec()
            }
            Request::Leaving => v1::LeavingRequest { envelope }.encode_to_vec(),
        }
    }

    fn decode(path: &str, body: Bytes, here: &Here) -> Result<(StorageEnvelope, Self), Rejected> {
        let space = here.space;
        let caller = |envelope| read_storage_envelope(envelope, here);
        let arc = |range| required("range", range, space);
        Ok(match path {
            SETS => {
                let message: v1::SetsRequest = parse(body)?;
                let caller = caller(message.envelope)?;
                let known = list("known", message.known, PIECES_MAX, space)?;
                (caller, Request::Sets { range: arc(message.range)?, known })
            }
            PREPARE => {
                let message: v1::PrepareRequest = parse(body)?;
                let caller = caller(message.envelope)?;
                let ballot = required("ballot", message.ballot, space)?;
                (caller, Request::Prepare { range: arc(message.range)?, after: message.after, ballot })
            }
            ACCEPT => {
                let message: v1::AcceptRequest = parse(body)?;
                let caller = caller(message.envelope)?;
                let (ballot, set) = (required("ballot", message.ballot, space)?, required("set", message.set, space)?);
                (caller, Request::Accept { range: arc(message.range)?, after: message.after, ballot, set })
            }
            INSTALL => {
                let message: v1::InstallRequest = parse(body)?;
                let caller = caller(message.envelope)?;
                let (set, before) = (required("set", message.set, space)?, optional("before", message.before, space)?);
                (caller, Request::Install { range: arc(message.range)?, set, before })
            }
            LEARN => {
                let message: v1::LearnRequest = parse(body)?;
                let caller = caller(message.envelope)?;
                let set = required("set", message.set, space)?;
                (caller, Request::Learn { range: arc(message.range)?, set })
            }
            REGISTER => {
                let message: v1::RegisterRequest = parse(body)?;
                let caller = caller(message.envelope)?;
                (caller, Request::Register { range: arc(message.range)?, number: message.number })
            }
            SYNCED => {
                let message: v1::SyncedRequest = parse(body)?;
                let caller = caller(message.envelope)?;
                (caller, Request::Synced { range: arc(message.range)?, number: message.number })
            }
            LEAVING => (caller(parse::<v1::LeavingRequest>(body)?.envelope)?, Request::Leaving),
            _ => return Err(Rejected::NoSuchMethod(path.to_owned())),
        })
    }

    /// Any answer may come to any of them: each can be refused by somebody who knows better.
    fn encode_reply(_: &str, reply: &Result<Response, Refusal>) -> Option<Vec<u8>> {
        Some(match reply {
            Ok(response) => response.to_message().encode_to_vec(),
            Err(refusal) => {
                v1::ControlResponse { refusal: Some(refusal.to_message()), ..Default::default() }.encode_to_vec()
            }
        })
    }

    fn decode_reply(_: &str, body: Bytes, space: Space) -> Result<Result<Response, Refusal>, Malformed> {
        let mut message: v1::ControlResponse = parse(body)?;
        match refusal(message.refusal.take(), space)? {
            Some(refusal) => Ok(Err(refusal)),
            None => Response::from_message(message, space).map(Ok),
        }
    }
}

impl WireForm for Response {
    type Message = v1::ControlResponse;

    fn to_message(&self) -> v1::ControlResponse {
        use v1::control_response::Answer as Form;
        let answer = match &self.answer {
            Answer::Pieces(pieces) => Form::Pieces(v1::Pieces { pieces: messages(pieces) }),
            Answer::Promised { accepted } => Form::Promised(v1::Promised { accepted: message(accepted) }),
            Answer::Accepted => Form::Accepted(v1::Empty {}),
            Answer::Done => Form::Done(v1::Empty {}),
            Answer::Learning => Form::Learning(v1::Empty {}),
            Answer::Learnt { number } => Form::Learnt(*number),
            Answer::No(why) => Form::No(why.clone()),
        };
        v1::ControlResponse {
            refusal: None,
            me: Some(self.me.to_message()),
            leaving: self.leaving,
            answer: Some(answer),
        }
    }

    fn from_message(message: v1::ControlResponse, space: Space) -> Result<Self, Malformed> {
        use v1::control_response::Answer as Form;
        let answer = match message.answer {
            Some(Form::Pieces(pieces)) => Answer::Pieces(list("pieces.pieces", pieces.pieces, PIECES_MAX, space)?),
            Some(Form::Promised(promised)) => {
                Answer::Promised { accepted: optional("promised.accepted", promised.accepted, space)? }
            }
            Some(Form::Accepted(_)) => Answer::Accepted,
            Some(Form::Done(_)) => Answer::Done,
            Some(Form::Learning(_)) => Answer::Learning,
            Some(Form::Learnt(number)) => Answer::Learnt { number },
            Some(Form::No(why)) => Answer::No(text("no", why)?),
            None => return Err(Malformed::missing("answer")),
        };
        Ok(Self { me: required("me", message.me, space)?, leaving: message.leaving, answer })
    }
}

