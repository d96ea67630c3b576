//! common.proto.

use bytes::Bytes;
use overlay::{Envelope, Hop, Peer, Refusal, RingId, Route, Via};
use ring::{Id, Range, Space};
use store::Version;

use crate::form::{bounded, list, message, messages, optional, required};
use crate::{Here, Malformed, Rejected, WireForm, read_addr, v1};

/// Incarnations stay below this, so that they are exact in every language's numbers, JSON's too.
const INCARNATION_LIMIT: u64 = 1 << 53;
/// Peers that a caller may ask to pass over.
const AVOID_MAX: usize = 64;
/// Owners or nearer nodes in one answer.
const HOPS_MAX: usize = 256;
/// Bytes of a text that is for people.
const TEXT_LEN_MAX: usize = 4096;

/// Reads an identifier: exactly ⌈m/8⌉ bytes, below 2^m.
pub(crate) fn identifier(name: &str, bytes: &[u8], space: Space) -> Result<Id, Malformed> {
    space.from_bytes(bytes).map_err(|error| Malformed::new(name, format_args!("is not an identifier here: {error}")))
}

/// Refuses a text that is too long to be shown to anybody.
pub(super) fn text(name: &str, text: String) -> Result<String, Malformed> {
    if text.len() <= TEXT_LEN_MAX {
        return Ok(text);
    }
    Err(Malformed::new(name, format_args!("is {} bytes long, the limit is {TEXT_LEN_MAX}", text.len())))
}

pub(super) fn id_bytes(id: Id) -> Bytes {
    id.to_bytes().into()
}

/// Whom a query goes round.
pub(super) fn to_avoid(avoid: &[Id]) -> Vec<Bytes> {
    avoid.iter().copied().map(id_bytes).collect()
}

/// Reads it.
pub(super) fn read_avoid(avoid: &[Bytes], space: Space) -> Result<Vec<Id>, Malformed> {
    bounded("avoid", avoid.len(), AVOID_MAX)?;
    let read = |(index, id): (usize, &Bytes)| identifier(&format!("avoid[{index}]"), id, space);
    avoid.iter().enumerate().map(read).collect()
}

impl WireForm for Peer {
    type Message = v1::Peer;

    fn to_message(&self) -> v1::Peer {
        v1::Peer { id: id_bytes(self.id), addr: self.addr.as_str().to_owned(), incarnation: self.incarnation }
    }

    fn from_message(message: v1::Peer, space: Space) -> Result<Self, Malformed> {
        let id = identifier("id", &message.id, space)?;
        let addr = read_addr(&message.addr).map_err(|why| Malformed::new("addr", why))?;
        let incarnation = message.incarnation;
        if incarnation >= INCARNATION_LIMIT {
            return Err(Malformed::new("incarnation", format_args!("is {incarnation}, it has to be below 2^53")));
        }
        Ok(Self { id, addr, incarnation })
    }
}

impl WireForm for RingId {
    type Message = v1::RingId;

    fn to_message(&self) -> v1::RingId {
        v1::RingId { started_ms: self.started_ms, starter: id_bytes(self.starter) }
    }

    fn from_message(message: v1::RingId, space: Space) -> Result<Self, Malformed> {
        Ok(Self { started_ms: message.started_ms, starter: identifier("starter", &message.starter, space)? })
    }
}

impl WireForm for Range {
    type Message = v1::Range;

    fn to_message(&self) -> v1::Range {
        v1::Range { after: id_bytes(self.after), upto: id_bytes(self.upto) }
    }

    fn from_message(message: v1::Range, space: Space) -> Result<Self, Malformed> {
        let after = identifier("after", &message.after, space)?;
        Ok(Self { after, upto: identifier("upto", &message.upto, space)? })
    }
}

impl WireForm for Version {
    type Message = v1::Version;

    fn to_message(&self) -> v1::Version {
        v1::Version { term: self.term, clock: self.clock, store: self.store }
    }

    fn from_message(message: v1::Version, _: Space) -> Result<Self, Malformed> {
        Ok(Self { term: message.term, clock: message.clock, store: message.store })
    }
}

impl WireForm for Via {
    type Message = i32;

    fn to_message(&self) -> i32 {
        let via = match self {
            Via::Owner => v1::Via::Owner,
            Via::Successor => v1::Via::Successor,
            Via::Finger => v1::Via::Finger,
            Via::Leaf => v1::Via::Leaf,
            Via::Prefix => v1::Via::Prefix,
            Via::Rare => v1::Via::Rare,
            Via::Contact => v1::Via::Contact,
            Via::Group => v1::Via::Group,
            Via::Cache => v1::Via::Cache,
        };
        via.into()
    }

    fn from_message(message: i32, _: Space) -> Result<Self, Malformed> {
        Ok(match v1::Via::try_from(message) {
            Ok(v1::Via::Owner) => Via::Owner,
            Ok(v1::Via::Successor) => Via::Successor,
            Ok(v1::Via::Finger) => Via::Finger,
            Ok(v1::Via::Leaf) => Via::Leaf,
            Ok(v1::Via::Prefix) => Via::Prefix,
            Ok(v1::Via::Rare) => Via::Rare,
            Ok(v1::Via::Contact) => Via::Contact,
            Ok(v1::Via::Group) => Via::Group,
            Ok(v1::Via::Cache) => Via::Cache,
            Ok(v1::Via::Unspecified) => return Err(Malformed::missing("via")),
            Err(_) => {
                return Err(Malformed::new("via", format_args!("is {message}, which is unknown here")));
            }
        })
    }
}

impl WireForm for Hop {
    type Message = v1::Hop;

    fn to_message(&self) -> v1::Hop {
        v1::Hop { peer: Some(self.peer.to_message()), via: self.via.to_message() }
    }

    fn from_message(message: v1::Hop, space: Space) -> Result<Self, Malformed> {
        Ok(Self { peer: required("peer", message.peer, space)?, via: Via::from_message(message.via, space)? })
    }
}

impl WireForm for Route {
    type Message = v1::Route;

    fn to_message(&self) -> v1::Route {
        match self {
            Route::Owners { hops, arc } => {
                v1::Route { owners: messages(hops), arc: message(arc), ..v1::Route::default() }
            }
            Route::Known { owner, holders, arc } => v1::Route {
                owner: Some(owner.to_message()),
                holders: messages(holders),
                arc: message(arc),
                ..v1::Route::default()
            },
            Route::Closer(hops) => v1::Route { closer: messages(hops), ..v1::Route::default() },
        }
    }

    fn from_message(message: v1::Route, space: Space) -> Result<Self, Malformed> {
        let owners = list("owners", message.owners, HOPS_MAX, space)?;
        let closer = list("closer", message.closer, HOPS_MAX, space)?;
        let arc = optional("arc", message.arc, space)?;
        let holders = list("holders", message.holders, HOPS_MAX, space)?;
        let owner = optional("owner", message.owner, space)?;
        if !holders.is_empty() && owner.is_none() {
            return Err(Malformed::new("holders", "are there although no owner is"));
        }
        match (owner, owners.is_empty(), closer.is_empty()) {
            (Some(owner), true, true) => Ok(Route::Known { owner, holders, arc }),
            (Some(_), ..) => Err(Malformed::new("owner", "is there beside owners or closer")),
            (None, false, true) => Ok(Route::Owners { hops: owners, arc }),
            (None, true, false) if arc.is_some() => Err(Malformed::new("arc", "is there although no owner is")),
            (None, true, false) => Ok(Route::Closer(closer)),
            (None, true, true) => Err(Malformed::missing("owners")),
            (None, false, false) => Err(Malformed::new("closer", "is there beside owners")),
        }
    }
}

impl WireForm for Refusal {
    type Message = v1::Refusal;

    fn to_message(&self) -> v1::Refusal {
        use v1::refusal::Kind;
        let (kind, ring) = match self {
            Refusal::Gone => (Kind::Gone, None),
            Refusal::OtherRing(ring) => (Kind::OtherRing, message(ring)),
            Refusal::NotReady => (Kind::NotReady, None),
            Refusal::Busy => (Kind::Busy, None),
            Refusal::NotMine => (Kind::NotMine, None),
            Refusal::Leaving => (Kind::Leaving, None),
            Refusal::Malformed(_) => (Kind::Malformed, None),
        };
        let message = match self {
            Refusal::Malformed(why) => why.clone(),
            other => other.to_string(),
        };
        v1::Refusal { kind: kind.into(), message, ring }
    }

    fn from_message(message: v1::Refusal, space: Space) -> Result<Self, Malformed> {
        use v1::refusal::Kind;
        let text = text("message", message.message)?;
        Ok(match Kind::try_from(message.kind) {
            Ok(Kind::Gone) => Refusal::Gone,
            Ok(Kind::OtherRing) => Refusal::OtherRing(optional("ring", message.ring, space)?),
            Ok(Kind::NotReady) => Refusal::NotReady,
            Ok(Kind::Busy) => Refusal::Busy,
            Ok(Kind::NotMine) => Refusal::NotMine,
            Ok(Kind::Leaving) => Refusal::Leaving,
            Ok(Kind::Malformed) => Refusal::Malformed(text),
            Ok(Kind::Unspecified) => return Err(Malformed::missing("kind")),
            Err(_) => {
                return Err(Malformed::new("kind", format_args!("is {}, which is unknown here", message.kind)));
            }
        })
    }
}

/// The refusal in front of a reply, if there is one.
pub(crate) fn refusal(field: Option<v1::Refusal>, space: Space) -> Result<Option<Refusal>, Malformed> {
    optional("refusal", field, space)
}

/// What a reply says, or the refusal in front of it.
pub(super) fn unless_refused<R>(
    field: Option<v1::Refusal>,
    space: Space,
    read: impl FnOnce() -> Result<R, Malformed>,
) -> Result<Result<R, Refusal>, Malformed> {
    match refusal(field, space)? {
        Some(refusal) => Ok(Err(refusal)),
        None => read().map(Ok),
    }
}

/// The message in front of every request.
pub(crate) fn to_envelope(cluster: &str, envelope: &Envelope) -> v1::Envelope {
    v1::Envelope {
        cluster: cluster.to_owned(),
        from: Some(envelope.from.to_message()),
        to: message(&envelope.to),
        ring: message(&envelope.ring),
    }
}

/// Reads it. The cluster comes first: another cluster's identifiers may be of another width. So may
/// `id_bits`, which a Hello tells.
pub(crate) fn read_envelope(
    field: Option<v1::Envelope>,
    id_bits: Option<u32>,
    here: &Here,
) -> Result<Envelope, Rejected> {
    let envelope = field.ok_or_else(|| Malformed::missing("envelope"))?;
    if envelope.cluster != here.cluster {
        let there = text("cluster", envelope.cluster).map_err(|error| error.within("envelope"))?;
        return Err(Rejected::OtherCluster { here: here.cluster.clone(), there });
    }
    match id_bits {
        Some(0) => return Err(Malformed::missing("id_bits").into()),
        Some(there) if there != here.space.bits() => {
            return Err(Rejected::OtherWidth { here: here.space.bits(), there });
        }
        _ => {}
    }
    let read = || {
        Ok(Envelope {
            from: required("from", envelope.from, here.space)?,
            to: optional("to", envelope.to, here.space)?,
            ring: optional("ring", envelope.ring, here.space)?,
        })
    };
    read().map_err(|error: Malformed| error.within("envelope").into())
}
