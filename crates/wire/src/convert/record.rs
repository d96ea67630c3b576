//! kv.proto, and what storage.proto says about records.

use bytes::Bytes;
use ring::Space;
use store::{Cursor, Record, Version};

use super::common::{id_bytes, text};
use super::identifier;
use super::sets::SET_MEMBERS_MAX;
use crate::form::{list, message, messages, optional, required};
use crate::records::{
    Ack, Condition, Consistency, Held, Listed, NewerSet, NotPrimary, Operation, Outcome, Part, Reason, Sight,
};
use crate::{Malformed, WireForm, read_addr, v1};

/// Bytes of the longest key.
pub const KEY_LEN_MAX: usize = 1024;
/// Bytes of a digest's sum.
const SUM_LEN: usize = 16;
/// Copies acknowledged in one answer: as many as a set has members, and newcomers as many again.
const ACKS_MAX: usize = 128;

/// Refuses the empty key and one above [`KEY_LEN_MAX`].
pub fn check_key(name: &str, key: &[u8]) -> Result<(), Malformed> {
    match key.len() {
        0 => Err(Malformed::new(name, format_args!("is empty, a key has 1 to {KEY_LEN_MAX} bytes"))),
        1..=KEY_LEN_MAX => Ok(()),
        length => Err(Malformed::new(name, format_args!("is {length} bytes long, the limit is {KEY_LEN_MAX}"))),
    }
}

/// A key that was checked.
pub(super) fn key(key: Bytes) -> Result<Bytes, Malformed> {
    check_key("key", &key).map(|()| key)
}

/// 0 on the wire is "never".
fn never_is_zero(ms: Option<u64>) -> u64 {
    // What was gone at 0 is gone at 1 as well.
    ms.map_or(0, |ms| ms.max(1))
}

fn zero_is_never(ms: u64) -> Option<u64> {
    (ms > 0).then_some(ms)
}

impl WireForm for Condition {
    type Message = v1::Condition;

    fn to_message(&self) -> v1::Condition {
        use v1::condition::Kind;
        let kind = match self {
            Condition::IfVersion(version) => Kind::IfVersion(version.to_message()),
            Condition::IfAbsent => Kind::IfAbsent(true),
        };
        v1::Condition { kind: Some(kind) }
    }

    fn from_message(message: v1::Condition, space: Space) -> Result<Self, Malformed> {
        use v1::condition::Kind;
        match message.kind {
            Some(Kind::IfVersion(version)) => Version::from_message(version, space).map(Condition::IfVersion),
            Some(Kind::IfAbsent(true)) => Ok(Condition::IfAbsent),
            Some(Kind::IfAbsent(false)) => Err(Malformed::new("if_absent", "is false, which is no condition")),
            None => Err(Malformed::missing("kind")),
        }
    }
}

impl WireForm for Consistency {
    type Message = i32;

    fn to_message(&self) -> i32 {
        let consistency = match self {
            Consistency::Default => v1::Consistency::Unspecified,
            Consistency::One => v1::Consistency::One,
            Consistency::Quorum => v1::Consistency::Quorum,
            Consistency::All => v1::Consistency::All,
        };
        consistency.into()
    }

    fn from_message(message: i32, _: Space) -> Result<Self, Malformed> {
        Ok(match v1::Consistency::try_from(message) {
            Ok(v1::Consistency::Unspecified) => Consistency::Default,
            Ok(v1::Consistency::One) => Consistency::One,
            Ok(v1::Consistency::Quorum) => Consistency::Quorum,
            Ok(v1::Consistency::All) => Consistency::All,
            Err(_) => {
                return Err(Malformed::new("consistency", format_args!("is {message}, which is unknown here")));
            }
        })
    }
}

impl WireForm for Ack {
    type Message = v1::Ack;

    fn to_message(&self) -> v1::Ack {
        v1::Ack { id: id_bytes(self.id), addr: self.addr.as_str().to_owned(), durable: self.durable }
    }

    fn from_message(message: v1::Ack, space: Space) -> Result<Self, Malformed> {
        let addr = read_addr(&message.addr).map_err(|why| Malformed::new("addr", why))?;
        Ok(Self { id: identifier("id", &message.id, space)?, addr, durable: message.durable })
    }
}

impl WireForm for Record {
    type Message = v1::Record;

    fn to_message(&self) -> v1::Record {
        v1::Record {
            key: self.key.clone(),
            version: Some(self.version.to_message()),
            expires_at_ms: never_is_zero(self.expires_at_ms),
            tombstone: self.is_tombstone(),
            value: self.value.clone().unwrap_or_default(),
        }
    }

    fn from_message(message: v1::Record, space: Space) -> Result<Self, Malformed> {
        let key = key(message.key)?;
        let version = required("version", message.version, space)?;
        if message.tombstone && !message.value.is_empty() {
            return Err(Malformed::new("value", "is there although the record is a tombstone"));
        }
        if message.tombstone {
            return Ok(Self::tombstone(key, version));
        }
        let expires_at_ms = zero_is_never(message.expires_at_ms);
        Ok(Self { key, version, expires_at_ms, value: Some(message.value) })
    }
}

impl WireForm for store::Digest {
    type Message = v1::Digest;

    fn to_message(&self) -> v1::Digest {
        let sum = if self.sum == 0 { Bytes::new() } else { Bytes::copy_from_slice(&self.sum.to_be_bytes()) };
        v1::Digest { count: self.count, sum }
    }

    fn from_message(message: v1::Digest, _: Space) -> Result<Self, Malformed> {
        let sum = match message.sum.len() {
            0 => 0,
            length => {
                let bytes = <[u8; SUM_LEN]>::try_from(message.sum.as_ref())
                    .map_err(|_| Malformed::new("sum", format_args!("is {length} bytes long, not {SUM_LEN}")))?;
                u128::from_be_bytes(bytes)
            }
        };
        Ok(Self { count: message.count, sum })
    }
}

impl WireForm for Cursor {
    type Message = v1::Cursor;

    fn to_message(&self) -> v1::Cursor {
        v1::Cursor { id: id_bytes(self.id), key: self.key.clone() }
    }

    fn from_message(message: v1::Cursor, space: Space) -> Result<Self, Malformed> {
        Ok(Self { id: identifier("id", &message.id, space)?, key: key(message.key)? })
    }
}

impl WireForm for Listed {
    type Message = v1::Listed;

    fn to_message(&self) -> v1::Listed {
        v1::Listed { key: self.key.clone(), version: Some(self.version.to_message()) }
    }

    fn from_message(message: v1::Listed, space: Space) -> Result<Self, Malformed> {
        Ok(Self { key: key(message.key)?, version: required("version", message.version, space)? })
    }
}

impl WireForm for NewerSet {
    type Message = v1::NewerSet;

    fn to_message(&self) -> v1::NewerSet {
        v1::NewerSet { range: Some(self.range.to_message()), set: Some(self.set.to_message()) }
    }

    fn from_message(message: v1::NewerSet, space: Space) -> Result<Self, Malformed> {
        Ok(Self { range: required("range", message.range, space)?, set: required("set", message.set, space)? })
    }
}

impl WireForm for Sight {
    type Message = v1::Sight;

    fn to_message(&self) -> v1::Sight {
        v1::Sight {
            range: Some(self.range.to_message()),
            set: Some(self.set.to_message()),
            role: self.part.as_str().to_owned(),
            settled: self.settled,
            fenced: self.fenced,
            learners: messages(&self.learners),
            missing: messages(&self.missing),
        }
    }

    fn from_message(message: v1::Sight, space: Space) -> Result<Self, Malformed> {
        Ok(Self {
            range: required("range", message.range, space)?,
            set: required("set", message.set, space)?,
            part: Part::parse(&message.role).ok_or_else(|| Malformed::new("role", "is not one that is known here"))?,
            settled: message.settled,
            fenced: message.fenced,
            learners: list("learners", message.learners, SET_MEMBERS_MAX, space)?,
            missing: list("missing", message.missing, SET_MEMBERS_MAX, space)?,
        })
    }
}

impl WireForm for Held {
    type Message = v1::Held;

    fn to_message(&self) -> v1::Held {
        v1::Held {
            version: Some(self.version.to_message()),
            tombstone: self.tombstone,
            expires_at_ms: never_is_zero(self.expires_at_ms),
        }
    }

    fn from_message(message: v1::Held, space: Space) -> Result<Self, Malformed> {
        Ok(Self {
            version: required("version", message.version, space)?,
            tombstone: message.tombstone,
            expires_at_ms: zero_is_never(message.expires_at_ms),
        })
    }
}

impl WireForm for NotPrimary {
    type Message = v1::NotPrimary;

    fn to_message(&self) -> v1::NotPrimary {
        v1::NotPrimary { primary: message(&self.primary), range: message(&self.range) }
    }

    fn from_message(message: v1::NotPrimary, space: Space) -> Result<Self, Malformed> {
        Ok(Self {
            primary: optional("primary", message.primary, space)?,
            range: optional("range", message.range, space)?,
        })
    }
}

/// A user's operation comes as one of three messages; between nodes, inside an Execute.
impl WireForm for Operation {
    type Message = v1::execute_request::Operation;

    fn to_message(&self) -> Self::Message {
        use v1::execute_request::Operation as Form;
        match self {
            Operation::Put { key, value, ttl_ms, condition, consistency } => Form::Put(v1::PutRequest {
                key: key.clone(),
                value: value.clone(),
                ttl_ms: never_is_zero(*ttl_ms),
                condition: message(condition),
                consistency: consistency.to_message(),
            }),
            Operation::Get { key, consistency } => {
                Form::Get(v1::GetRequest { key: key.clone(), consistency: consistency.to_message() })
            }
            Operation::Delete { key, condition, consistency } => Form::Delete(v1::DeleteRequest {
                key: key.clone(),
                condition: message(condition),
                consistency: consistency.to_message(),
            }),
        }
    }

    fn from_message(message: Self::Message, space: Space) -> Result<Self, Malformed> {
        use v1::execute_request::Operation as Form;
        Ok(match message {
            Form::Put(put) => Operation::Put {
                key: key(put.key)?,
                value: put.value,
                ttl_ms: zero_is_never(put.ttl_ms),
                condition: optional("condition", put.condition, space)?,
                consistency: Consistency::from_message(put.consistency, space)?,
            },
            Form::Get(get) => {
                Operation::Get { key: key(get.key)?, consistency: Consistency::from_message(get.consistency, space)? }
            }
            Form::Delete(delete) => Operation::Delete {
                key: key(delete.key)?,
                condition: optional("condition", delete.condition, space)?,
                consistency: Consistency::from_message(delete.consistency, space)?,
            },
        })
    }
}

impl WireForm for Outcome {
    type Message = v1::execute_response::Outcome;

    fn to_message(&self) -> Self::Message {
        use v1::execute_response::Outcome as Form;
        match self {
            Outcome::Put { version, acks, id } => Form::Put(v1::PutResponse {
                version: Some(version.to_message()),
                acks: messages(acks),
                id: id_bytes(*id),
            }),
            Outcome::Get { value, version, expires_at_ms, served_by, id } => Form::Get(v1::GetResponse {
                value: value.clone(),
                version: Some(version.to_message()),
                expires_at_ms: never_is_zero(*expires_at_ms),
                served_by: Some(served_by.to_message()),
                id: id_bytes(*id),
            }),
            Outcome::Delete { version, acks, id } => Form::Delete(v1::DeleteResponse {
                version: Some(version.to_message()),
                acks: messages(acks),
                id: id_bytes(*id),
            }),
            Outcome::Absent => Form::Absent(v1::Empty {}),
            Outcome::ConditionFailed { current } => {
                Form::ConditionFailed(v1::ConditionFailed { current: message(current) })
            }
            Outcome::NotPrimary(elsewhere) => Form::NotPrimary(elsewhere.to_message()),
            Outcome::Unavailable { reason, message, outcome_unknown } => Form::Unavailable(v1::Unavailable {
                reason: reason.as_str().to_owned(),
                message: message.clone(),
                outcome_unknown: *outcome_unknown,
            }),
        }
    }

    fn from_message(message: Self::Message, space: Space) -> Result<Self, Malformed> {
        use v1::execute_response::Outcome as Form;
        Ok(match message {
            Form::Put(put) => Outcome::Put {
                version: required("version", put.version, space)?,
                acks: list("acks", put.acks, ACKS_MAX, space)?,
                id: identifier("id", &put.id, space)?,
            },
            Form::Get(get) => Outcome::Get {
                value: get.value,
                version: required("version", get.version, space)?,
                expires_at_ms: zero_is_never(get.expires_at_ms),
                served_by: required("served_by", get.served_by, space)?,
                id: identifier("id", &get.id, space)?,
            },
            Form::Delete(delete) => Outcome::Delete {
                version: required("version", delete.version, space)?,
                acks: list("acks", delete.acks, ACKS_MAX, space)?,
                id: identifier("id", &delete.id, space)?,
            },
            Form::Absent(_) => Outcome::Absent,
            Form::ConditionFailed(failed) => {
                Outcome::ConditionFailed { current: optional("current", failed.current, space)? }
            }
            Form::NotPrimary(elsewhere) => Outcome::NotPrimary(NotPrimary::from_message(elsewhere, space)?),
            Form::Unavailable(unavailable) => Outcome::Unavailable {
                reason: Reason::parse(&unavailable.reason)
                    .ok_or_else(|| Malformed::new("reason", "is not one that is known here"))?,
                message: text("message", unavailable.message)?,
                outcome_unknown: unavailable.outcome_unknown,
            },
        })
    }
}
