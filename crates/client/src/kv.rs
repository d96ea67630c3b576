use std::time::{Duration, SystemTime};

use bytes::Bytes;

use crate::Version;

/// A node: its identifier and where to dial it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Peer {
    /// ⌈m/8⌉ bytes, big-endian.
    pub id: Bytes,
    /// HOST:PORT.
    pub addr: String,
}

impl From<wire::v1::Peer> for Peer {
    fn from(wire: wire::v1::Peer) -> Self {
        Self { id: wire.id, addr: wire.addr }
    }
}

/// What a conditional write asks of the record that is there.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Condition {
    /// Its version is still this one.
    IfVersion(Version),
    /// There is no record.
    IfAbsent,
}

/// How many of a record's holders have to answer. Whatever is asked for, a write goes to all of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Consistency {
    /// The primary alone: fastest. What it alone has is lost with it, and what it answers may be out of date.
    One,
    /// A majority, the primary included.
    Quorum,
    /// All: fails while one of them is away.
    All,
}

/// How to put: for ever and whatever is there, unless told otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct PutOptions {
    /// The record is gone after this time; whole milliseconds count, and less than one is refused.
    pub ttl: Option<Duration>,
    /// Write only if this holds.
    pub condition: Option<Condition>,
    /// How many copies before the answer; the cluster's write quorum, if none.
    pub consistency: Option<Consistency>,
}

/// How to get.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct GetOptions {
    /// How many holders are asked; the cluster's read quorum, if none.
    pub consistency: Option<Consistency>,
}

/// How to delete: whatever is there, unless told otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct DeleteOptions {
    /// Delete only if this holds.
    pub condition: Option<Condition>,
    /// How many copies of the deletion before the answer; the cluster's write quorum, if none.
    pub consistency: Option<Consistency>,
}

/// A copy that was made before the write was answered.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Ack {
    /// Who holds it.
    pub peer: Peer,
    /// It is on that node's disk; else in its memory.
    pub durable: bool,
}

/// What a write comes back with.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Receipt {
    /// The key's identifier, ⌈m/8⌉ bytes.
    pub id: Bytes,
    /// The version that was written.
    pub version: Version,
    /// The copies that were made.
    pub acks: Vec<Ack>,
}

/// A record, as read.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Record {
    /// The key's identifier, ⌈m/8⌉ bytes.
    pub id: Bytes,
    /// The value.
    pub value: Bytes,
    /// Its version.
    pub version: Version,
    /// When it will be gone; never, if none.
    pub expires_at: Option<SystemTime>,
    /// The node that answered for the key.
    pub served_by: Option<Peer>,
}

impl From<Condition> for wire::v1::Condition {
    fn from(condition: Condition) -> Self {
        use wire::v1::condition::Kind;
        let kind = match condition {
            Condition::IfVersion(version) => Kind::IfVersion(version.into()),
            Condition::IfAbsent => Kind::IfAbsent(true),
        };
        Self { kind: Some(kind) }
    }
}

/// As in the message: nothing said is the cluster's quorum.
pub(crate) fn consistency(asked: Option<Consistency>) -> i32 {
    use wire::v1::Consistency as Form;
    let form = match asked {
        None => Form::Unspecified,
        Some(Consistency::One) => Form::One,
        Some(Consistency::Quorum) => Form::Quorum,
        Some(Consistency::All) => Form::All,
    };
    form.into()
}

impl From<wire::v1::Ack> for Ack {
    fn from(wire: wire::v1::Ack) -> Self {
        Self { peer: Peer { id: wire.id, addr: wire.addr }, durable: wire.durable }
    }
}
