//! What is asked about sets: the control half of storage.proto, each request and its reply.

use bytes::Bytes;
use overlay::Refusal;
use prost::Message;
use replica::{Request, Response};
use ring::{Range, Space};

use super::record_calls::{read_storage_envelope, to_storage_envelope};
use super::refusal;
use super::sets::PIECES_MAX;
use crate::form::{list, message, messages, optional, required};
use crate::protocol::parse;
use crate::{Call, Here, Malformed, Rejected, StorageEnvelope, WireForm, v1};

const SETS: &str = "/dht.v1.Storage/Sets";
const PREPARE: &str = "/dht.v1.Storage/Prepare";
const ACCEPT: &str = "/dht.v1.Storage/Accept";
const INSTALL: &str = "/dht.v1.Storage/Install";
const LEARN: &str = "/dht.v1.Storage/Learn";
const REGISTER: &str = "/dht.v1.Storage/Register";
const SYNCED: &str = "/dht.v1.Storage/Synced";
const LEAVING: &str = "/dht.v1.Storage/Leaving";

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
            Request::Prepare { range, after, ballot } => {
                v1::PrepareRequest { envelope, range: arc(range), after: *after, ballot: Some(ballot.to_message()) }
                    .encode_to_vec()
            }
            Request::Accept { range, after, ballot, set } => v1::AcceptRequest {
                envelope,
                range: arc(range),
                after: *after,
                ballot: Some(ballot.to_message()),
                set: Some(set.to_message()),
            }
            .encode_to_vec(),
            Request::Install { range, set, before } => {
                v1::InstallRequest { envelope, range: arc(range), set: Some(set.to_message()), before: message(before) }
                    .encode_to_vec()
            }
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
        match path {
            SETS => read::<v1::SetsRequest>(body, here),
            PREPARE => read::<v1::PrepareRequest>(body, here),
            ACCEPT => read::<v1::AcceptRequest>(body, here),
            INSTALL => read::<v1::InstallRequest>(body, here),
            LEARN => read::<v1::LearnRequest>(body, here),
            REGISTER => read::<v1::RegisterRequest>(body, here),
            SYNCED => read::<v1::SyncedRequest>(body, here),
            LEAVING => read::<v1::LeavingRequest>(body, here),
            _ => Err(Rejected::NoSuchMethod(path.to_owned())),
        }
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

/// One of the messages that a [`Request`] travels as.
trait ControlMessage: Message + Default {
    fn envelope(&mut self) -> Option<v1::StorageEnvelope>;
    fn request(self, space: Space) -> Result<Request, Malformed>;
}

fn read<M: ControlMessage>(body: Bytes, here: &Here) -> Result<(StorageEnvelope, Request), Rejected> {
    let mut message: M = parse(body)?;
    let envelope = read_storage_envelope(message.envelope(), here)?;
    Ok((envelope, message.request(here.space)?))
}

/// Every message has an envelope, and fields of its own.
macro_rules! control_messages {
    ($($message:ident ($self:ident, $space:ident) $request:expr;)*) => {$(
        impl ControlMessage for v1::$message {
            fn envelope(&mut self) -> Option<v1::StorageEnvelope> {
                self.envelope.take()
            }

            fn request($self, $space: Space) -> Result<Request, Malformed> {
                Ok($request)
            }
        }
    )*};
}

control_messages! {
    SetsRequest (self, space) Request::Sets {
        range: required("range", self.range, space)?,
        known: list("known", self.known, PIECES_MAX, space)?,
    };
    PrepareRequest (self, space) Request::Prepare {
        range: required("range", self.range, space)?,
        after: self.after,
        ballot: required("ballot", self.ballot, space)?,
    };
    AcceptRequest (self, space) Request::Accept {
        range: required("range", self.range, space)?,
        after: self.after,
        ballot: required("ballot", self.ballot, space)?,
        set: required("set", self.set, space)?,
    };
    InstallRequest (self, space) Request::Install {
        range: required("range", self.range, space)?,
        set: required("set", self.set, space)?,
        before: optional("before", self.before, space)?,
    };
    LearnRequest (self, space) Request::Learn {
        range: required("range", self.range, space)?,
        set: required("set", self.set, space)?,
    };
    RegisterRequest (self, space) Request::Register {
        range: required("range", self.range, space)?,
        number: self.number,
    };
    SyncedRequest (self, space) Request::Synced {
        range: required("range", self.range, space)?,
        number: self.number,
    };
    LeavingRequest (self, _space) Request::Leaving;
}
