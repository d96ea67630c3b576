//! The part of storage.proto that moves records: each request and its reply.

use std::time::Duration;

use bytes::Bytes;
use overlay::Refusal;
use prost::Message;
use ring::Space;

use super::record::{check_key, key};
use super::{read_envelope, refusal, to_envelope};
use crate::form::{bounded, list, message, messages, optional, required};
use crate::protocol::parse;
use crate::records::{
    Execute, Fetch, FetchReply, List, ListReply, NewerSet, NotPrimary, Offer, OfferReply, Operation, Outcome, Read,
    ReadReply, Store, StoreReply,
};
use crate::{Call, Here, Malformed, Rejected, StorageEnvelope, WireForm, v1};

/// Keys, entries or records in one message.
const ENTRIES_MAX: usize = 65_536;

pub(super) fn to_storage_envelope(cluster: &str, envelope: &StorageEnvelope) -> v1::StorageEnvelope {
    v1::StorageEnvelope { envelope: Some(to_envelope(cluster, &envelope.envelope)), store: envelope.store }
}

pub(super) fn read_storage_envelope(
    field: Option<v1::StorageEnvelope>,
    here: &Here,
) -> Result<StorageEnvelope, Rejected> {
    let field = field.ok_or_else(|| Malformed::missing("envelope"))?;
    let envelope = read_envelope(field.envelope, None, here).map_err(|rejected| match rejected {
        Rejected::Malformed(error) => Rejected::Malformed(error.within("envelope")),
        other => other,
    })?;
    Ok(StorageEnvelope { envelope, store: field.store })
}

/// The part of [`Call`] that differs from one request about records to the next.
/// Public because its associated types show in `Call`, and out of reach because nobody else needs it.
pub trait RecordCall: Sized {
    const PATH: &'static str;
    type Request: Message + Default;
    type Reply;
    type Response: Message + Default;

    fn request(&self, envelope: Option<v1::StorageEnvelope>) -> Self::Request;
    fn envelope(message: &mut Self::Request) -> Option<v1::StorageEnvelope>;
    fn read(message: Self::Request, space: Space) -> Result<Self, Malformed>;
    fn response(reply: &Result<Self::Reply, Refusal>) -> Self::Response;
    fn refusal(message: &mut Self::Response) -> Option<v1::Refusal>;
    fn read_reply(message: Self::Response, space: Space) -> Result<Self::Reply, Malformed>;
}

impl<C: RecordCall> Call for C {
    type Envelope = StorageEnvelope;
    type Reply = C::Reply;

    fn path(&self) -> &'static str {
        C::PATH
    }

    fn encode(&self, cluster: &str, envelope: &StorageEnvelope) -> Vec<u8> {
        self.request(Some(to_storage_envelope(cluster, envelope))).encode_to_vec()
    }

    fn decode(path: &str, body: Bytes, here: &Here) -> Result<(StorageEnvelope, Self), Rejected> {
        if path != C::PATH {
            return Err(Rejected::NoSuchMethod(path.to_owned()));
        }
        let mut message: C::Request = parse(body)?;
        let envelope = read_storage_envelope(C::envelope(&mut message), here)?;
        Ok((envelope, C::read(message, here.space)?))
    }

    fn encode_reply(_: &str, reply: &Result<Self::Reply, Refusal>) -> Option<Vec<u8>> {
        Some(C::response(reply).encode_to_vec())
    }

    fn decode_reply(_: &str, body: Bytes, space: Space) -> Result<Result<Self::Reply, Refusal>, Malformed> {
        let mut message: C::Response = parse(body)?;
        match refusal(C::refusal(&mut message), space)? {
            Some(refusal) => Ok(Err(refusal)),
            None => C::read_reply(message, space).map(Ok),
        }
    }
}

impl RecordCall for Execute {
    const PATH: &'static str = Execute::PATH;
    type Request = v1::ExecuteRequest;
    type Reply = Outcome;
    type Response = v1::ExecuteResponse;

    fn request(&self, envelope: Option<v1::StorageEnvelope>) -> v1::ExecuteRequest {
        let budget_ms = u32::try_from(self.budget.as_millis()).unwrap_or(u32::MAX);
        v1::ExecuteRequest { envelope, operation: Some(self.operation.to_message()), budget_ms }
    }

    fn envelope(message: &mut v1::ExecuteRequest) -> Option<v1::StorageEnvelope> {
        message.envelope.take()
    }

    fn read(message: v1::ExecuteRequest, space: Space) -> Result<Self, Malformed> {
        let operation = required::<Operation>("operation", message.operation, space)?;
        Ok(Self { operation, budget: Duration::from_millis(message.budget_ms.into()) })
    }

    fn response(reply: &Result<Outcome, Refusal>) -> v1::ExecuteResponse {
        match reply {
            Ok(outcome) => v1::ExecuteResponse { refusal: None, outcome: Some(outcome.to_message()) },
            Err(refusal) => v1::ExecuteResponse { refusal: Some(refusal.to_message()), outcome: None },
        }
    }

    fn refusal(message: &mut v1::ExecuteResponse) -> Option<v1::Refusal> {
        message.refusal.take()
    }

    fn read_reply(message: v1::ExecuteResponse, space: Space) -> Result<Outcome, Malformed> {
        required("outcome", message.outcome, space)
    }
}

impl RecordCall for Store {
    const PATH: &'static str = Store::PATH;
    type Request = v1::StoreRequest;
    type Reply = StoreReply;
    type Response = v1::StoreResponse;

    fn request(&self, envelope: Option<v1::StorageEnvelope>) -> v1::StoreRequest {
        v1::StoreRequest { envelope, number: self.number, record: Some(self.record.to_message()), holder: self.holder }
    }

    fn envelope(message: &mut v1::StoreRequest) -> Option<v1::StorageEnvelope> {
        message.envelope.take()
    }

    fn read(message: v1::StoreRequest, space: Space) -> Result<Self, Malformed> {
        Ok(Self { holder: message.holder, number: message.number, record: required("record", message.record, space)? })
    }

    fn response(reply: &Result<StoreReply, Refusal>) -> v1::StoreResponse {
        use v1::store_response::Answer;
        let answer = match reply {
            Ok(StoreReply::Stored { durable }) => Answer::Stored(v1::Stored { durable: *durable }),
            Ok(StoreReply::Superseded(version)) => Answer::Superseded(version.to_message()),
            Ok(StoreReply::NewerSet(newer)) => Answer::NewerSet(newer.to_message()),
            Err(refusal) => {
                return v1::StoreResponse { refusal: Some(refusal.to_message()), answer: None };
            }
        };
        v1::StoreResponse { refusal: None, answer: Some(answer) }
    }

    fn refusal(message: &mut v1::StoreResponse) -> Option<v1::Refusal> {
        message.refusal.take()
    }

    fn read_reply(message: v1::StoreResponse, space: Space) -> Result<StoreReply, Malformed> {
        use v1::store_response::Answer;
        Ok(match message.answer {
            Some(Answer::Stored(stored)) => StoreReply::Stored { durable: stored.durable },
            Some(Answer::Superseded(version)) => StoreReply::Superseded(WireForm::from_message(version, space)?),
            Some(Answer::NewerSet(newer)) => StoreReply::NewerSet(required("newer_set", Some(newer), space)?),
            None => return Err(Malformed::missing("answer")),
        })
    }
}

impl RecordCall for Read {
    const PATH: &'static str = Read::PATH;
    type Request = v1::ReadRequest;
    type Reply = ReadReply;
    type Response = v1::ReadResponse;

    fn request(&self, envelope: Option<v1::StorageEnvelope>) -> v1::ReadRequest {
        v1::ReadRequest {
            envelope,
            number: self.number,
            key: self.key.clone(),
            have: message(&self.have),
            holder: self.holder,
        }
    }

    fn envelope(message: &mut v1::ReadRequest) -> Option<v1::StorageEnvelope> {
        message.envelope.take()
    }

    fn read(message: v1::ReadRequest, space: Space) -> Result<Self, Malformed> {
        let have = optional("have", message.have, space)?;
        Ok(Self { holder: message.holder, number: message.number, key: key(message.key)?, have })
    }

    fn response(reply: &Result<ReadReply, Refusal>) -> v1::ReadResponse {
        use v1::read_response::Answer;
        let answer = match reply {
            Ok(ReadReply::Absent) => Answer::Absent(v1::Empty {}),
            Ok(ReadReply::Version(version)) => Answer::Version(version.to_message()),
            Ok(ReadReply::Record(record)) => Answer::Record(record.to_message()),
            Ok(ReadReply::NewerSet(newer)) => Answer::NewerSet(newer.to_message()),
            Err(refusal) => {
                return v1::ReadResponse { refusal: Some(refusal.to_message()), answer: None };
            }
        };
        v1::ReadResponse { refusal: None, answer: Some(answer) }
    }

    fn refusal(message: &mut v1::ReadResponse) -> Option<v1::Refusal> {
        message.refusal.take()
    }

    fn read_reply(message: v1::ReadResponse, space: Space) -> Result<ReadReply, Malformed> {
        use v1::read_response::Answer;
        Ok(match message.answer {
            Some(Answer::Absent(_)) => ReadReply::Absent,
            Some(Answer::Version(version)) => ReadReply::Version(WireForm::from_message(version, space)?),
            Some(Answer::Record(record)) => ReadReply::Record(required("record", Some(record), space)?),
            Some(Answer::NewerSet(newer)) => ReadReply::NewerSet(required("newer_set", Some(newer), space)?),
            None => return Err(Malformed::missing("answer")),
        })
    }
}

impl RecordCall for List {
    const PATH: &'static str = List::PATH;
    type Request = v1::ListRequest;
    type Reply = ListReply;
    type Response = v1::ListResponse;

    fn request(&self, envelope: Option<v1::StorageEnvelope>) -> v1::ListRequest {
        v1::ListRequest {
            envelope,
            range: Some(self.range.to_message()),
            set: Some(self.set.to_message()),
            after: message(&self.after),
            limit: self.limit,
            holder: self.holder,
        }
    }

    fn envelope(message: &mut v1::ListRequest) -> Option<v1::StorageEnvelope> {
        message.envelope.take()
    }

    fn read(message: v1::ListRequest, space: Space) -> Result<Self, Malformed> {
        Ok(Self {
            range: required("range", message.range, space)?,
            set: required("set", message.set, space)?,
            after: optional("after", message.after, space)?,
            limit: message.limit,
            holder: message.holder,
        })
    }

    fn response(reply: &Result<ListReply, Refusal>) -> v1::ListResponse {
        match reply {
            Ok(reply) => v1::ListResponse {
                refusal: None,
                entries: messages(&reply.entries),
                next: message(&reply.next),
                newer_set: message(&reply.newer),
            },
            Err(refusal) => v1::ListResponse { refusal: Some(refusal.to_message()), ..Default::default() },
        }
    }

    fn refusal(message: &mut v1::ListResponse) -> Option<v1::Refusal> {
        message.refusal.take()
    }

    fn read_reply(message: v1::ListResponse, space: Space) -> Result<ListReply, Malformed> {
        Ok(ListReply {
            entries: list("entries", message.entries, ENTRIES_MAX, space)?,
            next: optional("next", message.next, space)?,
            newer: optional::<NewerSet>("newer_set", message.newer_set, space)?,
        })
    }
}

impl RecordCall for Fetch {
    const PATH: &'static str = Fetch::PATH;
    type Request = v1::FetchRequest;
    type Reply = FetchReply;
    type Response = v1::FetchResponse;

    fn request(&self, envelope: Option<v1::StorageEnvelope>) -> v1::FetchRequest {
        v1::FetchRequest { envelope, keys: self.keys.clone(), holder: self.holder }
    }

    fn envelope(message: &mut v1::FetchRequest) -> Option<v1::StorageEnvelope> {
        message.envelope.take()
    }

    fn read(message: v1::FetchRequest, _: Space) -> Result<Self, Malformed> {
        bounded("keys", message.keys.len(), ENTRIES_MAX)?;
        for (index, key) in message.keys.iter().enumerate() {
            check_key(&format!("keys[{index}]"), key)?;
        }
        Ok(Self { holder: message.holder, keys: message.keys })
    }

    fn response(reply: &Result<FetchReply, Refusal>) -> v1::FetchResponse {
        match reply {
            Ok(reply) => v1::FetchResponse { refusal: None, records: messages(&reply.records), taken: reply.taken },
            Err(refusal) => v1::FetchResponse { refusal: Some(refusal.to_message()), ..Default::default() },
        }
    }

    fn refusal(message: &mut v1::FetchResponse) -> Option<v1::Refusal> {
        message.refusal.take()
    }

    fn read_reply(message: v1::FetchResponse, space: Space) -> Result<FetchReply, Malformed> {
        Ok(FetchReply { records: list("records", message.records, ENTRIES_MAX, space)?, taken: message.taken })
    }
}

impl RecordCall for Offer {
    const PATH: &'static str = Offer::PATH;
    type Request = v1::OfferRequest;
    type Reply = OfferReply;
    type Response = v1::OfferResponse;

    fn request(&self, envelope: Option<v1::StorageEnvelope>) -> v1::OfferRequest {
        v1::OfferRequest { envelope, entries: messages(&self.entries), records: messages(&self.records) }
    }

    fn envelope(message: &mut v1::OfferRequest) -> Option<v1::StorageEnvelope> {
        message.envelope.take()
    }

    fn read(message: v1::OfferRequest, space: Space) -> Result<Self, Malformed> {
        Ok(Self {
            entries: list("entries", message.entries, ENTRIES_MAX, space)?,
            records: list("records", message.records, ENTRIES_MAX, space)?,
        })
    }

    fn response(reply: &Result<OfferReply, Refusal>) -> v1::OfferResponse {
        match reply {
            Ok(reply) => v1::OfferResponse {
                refusal: None,
                wanted: reply.wanted.clone(),
                confirmed: reply.confirmed.clone(),
                not_primary: message(&reply.not_primary),
            },
            Err(refusal) => v1::OfferResponse { refusal: Some(refusal.to_message()), ..Default::default() },
        }
    }

    fn refusal(message: &mut v1::OfferResponse) -> Option<v1::Refusal> {
        message.refusal.take()
    }

    fn read_reply(message: v1::OfferResponse, space: Space) -> Result<OfferReply, Malformed> {
        bounded("wanted", message.wanted.len(), 2 * ENTRIES_MAX)?;
        bounded("confirmed", message.confirmed.len(), 2 * ENTRIES_MAX)?;
        Ok(OfferReply {
            wanted: message.wanted,
            confirmed: message.confirmed,
            not_primary: optional::<NotPrimary>("not_primary", message.not_primary, space)?,
        })
    }
}
