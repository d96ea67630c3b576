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
    Digest, DigestReply, Execute, Fetch, FetchReply, Forget, ForgetReply, Hint, List, ListReply, Look, LookReply,
    NewerSet, NotPrimary, Offer, OfferReply, Operation, Outcome, Read, ReadReply, Store, StoreReply,
};
use crate::{Call, Here, Malformed, Rejected, StorageEnvelope, WireForm, v1};

/// Keys, entries or records in one message.
const ENTRIES_MAX: usize = 65_536;
/// Ranges that one question for digests is about.
const CUTS_MAX: usize = 4_096;
/// Parts that each of them is cut into.
const PARTS_MAX: u32 = 4_096;
/// Digests in one answer.
const DIGESTS_MAX: usize = 65_536;

pub(super) fn to_storage_envelope(cluster: &str, envelope: &StorageEnvelope) -> v1::StorageEnvelope {
    v1::StorageEnvelope {
        envelope: Some(to_envelope(cluster, &envelope.envelope)),
        store: envelope.store,
        wall_ms: envelope.wall_ms,
    }
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
    Ok(StorageEnvelope { envelope, store: field.store, wall_ms: field.wall_ms })
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

impl RecordCall for Hint {
    const PATH: &'static str = Hint::PATH;
    type Request = v1::HintRequest;
    type Reply = bool;
    type Response = v1::HintResponse;

    fn request(&self, envelope: Option<v1::StorageEnvelope>) -> v1::HintRequest {
        let (member, record) = (Some(self.member.to_message()), Some(self.record.to_message()));
        v1::HintRequest { envelope, member, number: self.number, record }
    }

    fn envelope(message: &mut v1::HintRequest) -> Option<v1::StorageEnvelope> {
        message.envelope.take()
    }

    fn read(message: v1::HintRequest, space: Space) -> Result<Self, Malformed> {
        Ok(Self {
            member: required("member", message.member, space)?,
            number: message.number,
            record: required("record", message.record, space)?,
        })
    }

    fn response(reply: &Result<bool, Refusal>) -> v1::HintResponse {
        match reply {
            Ok(kept) => v1::HintResponse { refusal: None, kept: *kept },
            Err(refusal) => v1::HintResponse { refusal: Some(refusal.to_message()), kept: false },
        }
    }

    fn refusal(message: &mut v1::HintResponse) -> Option<v1::Refusal> {
        message.refusal.take()
    }

    fn read_reply(message: v1::HintResponse, _: Space) -> Result<bool, Malformed> {
        Ok(message.kept)
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

impl RecordCall for Look {
    const PATH: &'static str = Look::PATH;
    type Request = v1::LookRequest;
    type Reply = LookReply;
    type Response = v1::LookResponse;

    fn request(&self, envelope: Option<v1::StorageEnvelope>) -> v1::LookRequest {
        v1::LookRequest { envelope, key: self.key.clone() }
    }

    fn envelope(message: &mut v1::LookRequest) -> Option<v1::StorageEnvelope> {
        message.envelope.take()
    }

    fn read(message: v1::LookRequest, _: Space) -> Result<Self, Malformed> {
        Ok(Self { key: key(message.key)? })
    }

    fn response(reply: &Result<LookReply, Refusal>) -> v1::LookResponse {
        match reply {
            Ok(reply) => v1::LookResponse {
                refusal: None,
                sight: message(&reply.sight),
                held: message(&reply.held),
                durable: reply.durable,
                store: reply.store,
                read_only: reply.read_only,
            },
            Err(refusal) => v1::LookResponse { refusal: Some(refusal.to_message()), ..Default::default() },
        }
    }

    fn refusal(message: &mut v1::LookResponse) -> Option<v1::Refusal> {
        message.refusal.take()
    }

    fn read_reply(message: v1::LookResponse, space: Space) -> Result<LookReply, Malformed> {
        Ok(LookReply {
            sight: optional("sight", message.sight, space)?,
            held: optional("held", message.held, space)?,
            durable: message.durable,
            store: message.store,
            read_only: message.read_only,
        })
    }
}

impl RecordCall for Digest {
    const PATH: &'static str = Digest::PATH;
    type Request = v1::DigestRequest;
    type Reply = DigestReply;
    type Response = v1::DigestResponse;

    fn request(&self, envelope: Option<v1::StorageEnvelope>) -> v1::DigestRequest {
        v1::DigestRequest {
            envelope,
            range: Some(self.range.to_message()),
            set: Some(self.set.to_message()),
            cuts: messages(&self.cuts),
            parts: self.parts,
            holder: self.holder,
        }
    }

    fn envelope(message: &mut v1::DigestRequest) -> Option<v1::StorageEnvelope> {
        message.envelope.take()
    }

    fn read(message: v1::DigestRequest, space: Space) -> Result<Self, Malformed> {
        let cuts = list("cuts", message.cuts, CUTS_MAX, space)?;
        check_parts(message.parts, cuts.len())?;
        Ok(Self {
            range: required("range", message.range, space)?,
            set: required("set", message.set, space)?,
            cuts,
            parts: message.parts,
            holder: message.holder,
        })
    }

    fn response(reply: &Result<DigestReply, Refusal>) -> v1::DigestResponse {
        match reply {
            Ok(reply) => v1::DigestResponse {
                refusal: None,
                digests: messages(&reply.digests),
                newer_set: message(&reply.newer),
                horizon: reply.horizon,
            },
            Err(refusal) => v1::DigestResponse { refusal: Some(refusal.to_message()), ..Default::default() },
        }
    }

    fn refusal(message: &mut v1::DigestResponse) -> Option<v1::Refusal> {
        message.refusal.take()
    }

    fn read_reply(message: v1::DigestResponse, space: Space) -> Result<DigestReply, Malformed> {
        Ok(DigestReply {
            digests: list("digests", message.digests, DIGESTS_MAX, space)?,
            newer: optional::<NewerSet>("newer_set", message.newer_set, space)?,
            horizon: message.horizon,
        })
    }
}

/// The answer is as long as the question says: it is bounded before anybody works on it.
fn check_parts(parts: u32, cuts: usize) -> Result<(), Malformed> {
    let digests = cuts.saturating_mul(usize::try_from(parts).unwrap_or(usize::MAX));
    match parts {
        0 => Err(Malformed::missing("parts")),
        1..=PARTS_MAX if digests <= DIGESTS_MAX => Ok(()),
        1..=PARTS_MAX => {
            let why = format_args!("is {parts}, of {cuts} cuts that is {digests} digests, the limit is {DIGESTS_MAX}");
            Err(Malformed::new("parts", why))
        }
        _ => Err(Malformed::new("parts", format_args!("is {parts}, the limit is {PARTS_MAX}"))),
    }
}

impl RecordCall for Forget {
    const PATH: &'static str = Forget::PATH;
    type Request = v1::ForgetRequest;
    type Reply = ForgetReply;
    type Response = v1::ForgetResponse;

    fn request(&self, envelope: Option<v1::StorageEnvelope>) -> v1::ForgetRequest {
        v1::ForgetRequest {
            envelope,
            number: self.number,
            entries: messages(&self.entries),
            horizon: self.horizon,
            holder: self.holder,
        }
    }

    fn envelope(message: &mut v1::ForgetRequest) -> Option<v1::StorageEnvelope> {
        message.envelope.take()
    }

    fn read(message: v1::ForgetRequest, space: Space) -> Result<Self, Malformed> {
        Ok(Self {
            holder: message.holder,
            number: message.number,
            entries: list("entries", message.entries, ENTRIES_MAX, space)?,
            horizon: message.horizon,
        })
    }

    fn response(reply: &Result<ForgetReply, Refusal>) -> v1::ForgetResponse {
        match reply {
            Ok(reply) => {
                v1::ForgetResponse { refusal: None, held: reply.held.clone(), newer_set: message(&reply.newer) }
            }
            Err(refusal) => v1::ForgetResponse { refusal: Some(refusal.to_message()), ..Default::default() },
        }
    }

    fn refusal(message: &mut v1::ForgetResponse) -> Option<v1::Refusal> {
        message.refusal.take()
    }

    fn read_reply(message: v1::ForgetResponse, space: Space) -> Result<ForgetReply, Malformed> {
        bounded("held", message.held.len(), ENTRIES_MAX)?;
        Ok(ForgetReply { held: message.held, newer: optional::<NewerSet>("newer_set", message.newer_set, space)? })
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
        v1::FetchRequest {
            envelope,
            keys: self.keys.clone(),
            holder: self.holder,
            range: Some(self.range.to_message()),
            number: self.number,
        }
    }

    fn envelope(message: &mut v1::FetchRequest) -> Option<v1::StorageEnvelope> {
        message.envelope.take()
    }

    fn read(message: v1::FetchRequest, space: Space) -> Result<Self, Malformed> {
        bounded("keys", message.keys.len(), ENTRIES_MAX)?;
        for (index, key) in message.keys.iter().enumerate() {
            check_key(&format!("keys[{index}]"), key)?;
        }
        Ok(Self {
            holder: message.holder,
            range: required("range", message.range, space)?,
            number: message.number,
            keys: message.keys,
        })
    }

    fn response(reply: &Result<FetchReply, Refusal>) -> v1::FetchResponse {
        match reply {
            Ok(reply) => v1::FetchResponse {
                refusal: None,
                records: messages(&reply.records),
                taken: reply.taken,
                newer_set: message(&reply.newer),
            },
            Err(refusal) => v1::FetchResponse { refusal: Some(refusal.to_message()), ..Default::default() },
        }
    }

    fn refusal(message: &mut v1::FetchResponse) -> Option<v1::Refusal> {
        message.refusal.take()
    }

    fn read_reply(message: v1::FetchResponse, space: Space) -> Result<FetchReply, Malformed> {
        Ok(FetchReply {
            records: list("records", message.records, ENTRIES_MAX, space)?,
            taken: message.taken,
            newer: optional::<NewerSet>("newer_set", message.newer_set, space)?,
        })
    }
}

impl RecordCall for Offer {
    const PATH: &'static str = Offer::PATH;
    type Request = v1::OfferRequest;
    type Reply = OfferReply;
    type Response = v1::OfferResponse;

    fn request(&self, envelope: Option<v1::StorageEnvelope>) -> v1::OfferRequest {
        v1::OfferRequest {
            envelope,
            entries: messages(&self.entries),
            records: messages(&self.records),
            held_at: self.held_at,
        }
    }

    fn envelope(message: &mut v1::OfferRequest) -> Option<v1::StorageEnvelope> {
        message.envelope.take()
    }

    fn read(message: v1::OfferRequest, space: Space) -> Result<Self, Malformed> {
        Ok(Self {
            entries: list("entries", message.entries, ENTRIES_MAX, space)?,
            records: list("records", message.records, ENTRIES_MAX, space)?,
            held_at: message.held_at,
        })
    }

    fn response(reply: &Result<OfferReply, Refusal>) -> v1::OfferResponse {
        match reply {
            Ok(reply) => v1::OfferResponse {
                refusal: None,
                wanted: reply.wanted.clone(),
                confirmed: reply.confirmed.clone(),
                not_primary: message(&reply.not_primary),
                quarantined: reply.quarantined.clone(),
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
        bounded("quarantined", message.quarantined.len(), 2 * ENTRIES_MAX)?;
        Ok(OfferReply {
            wanted: message.wanted,
            confirmed: message.confirmed,
            not_primary: optional::<NotPrimary>("not_primary", message.not_primary, space)?,
            quarantined: message.quarantined,
        })
    }
}
