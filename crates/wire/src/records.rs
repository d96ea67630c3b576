//! What nodes say to each other about records, and users to nodes: plain values, checked when they were read.
//!
//! A user's [`Operation`] goes to the primary of its key as [`Execute`] and comes back as an
//! [`Outcome`]. A primary keeps copies with [`Store`] and asks for them with [`Read`]; [`List`] and
//! [`Fetch`] bring a newcomer or a new primary up; [`Digest`] finds out first what there is to bring;
//! [`Offer`] is how a record that lies in the wrong place finds its owner, and [`Forget`] ends a
//! deletion that everybody knows. [`Look`] is for people: nothing is decided by its answer.

use std::time::Duration;

use bytes::Bytes;
use overlay::Peer;
use replica::{Member, Set};
use ring::{Id, Range};
use store::{Cursor, Record, Version};

/// How many of a record's holders have to answer. Whatever is asked for, a write goes to all of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub enum Consistency {
    /// The cluster's write or read quorum.
    #[default]
    Default,
    /// The primary alone.
    One,
    /// A majority, the primary included.
    Quorum,
    /// All.
    All,
}

/// What a user wants done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Operation {
    /// Store a value.
    Put {
        /// 1 to 1,024 bytes.
        key: Bytes,
        /// Up to the node's limit.
        value: Bytes,
        /// Milliseconds from now after which the record is gone; none: never. Not 0.
        ttl_ms: Option<u64>,
        /// Only if this holds.
        condition: Option<Condition>,
        /// How many copies before the answer.
        consistency: Consistency,
    },
    /// Read a value.
    Get {
        /// 1 to 1,024 bytes.
        key: Bytes,
        /// How many holders are asked.
        consistency: Consistency,
    },
    /// Remove a record, whether there is one or not.
    Delete {
        /// 1 to 1,024 bytes.
        key: Bytes,
        /// Only if this holds.
        condition: Option<Condition>,
        /// How many copies before the answer.
        consistency: Consistency,
    },
}

impl Operation {
    /// The key that it is about.
    pub fn key(&self) -> &Bytes {
        match self {
            Operation::Put { key, .. } | Operation::Get { key, .. } | Operation::Delete { key, .. } => key,
        }
    }

    /// Whether it changes anything.
    pub fn is_write(&self) -> bool {
        !matches!(self, Operation::Get { .. })
    }
}

/// What has to hold for a write to be done.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Condition {
    /// The record's present version is this one.
    IfVersion(Version),
    /// There is no record.
    IfAbsent,
}

/// How an operation ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The value is stored.
    Put {
        /// The version that it was given.
        version: Version,
        /// The copies that were made before the answer.
        acks: Vec<Ack>,
        /// The key's identifier.
        id: Id,
    },
    /// The value.
    Get {
        /// It.
        value: Bytes,
        /// Its version.
        version: Version,
        /// Wall-clock milliseconds since 1970; none: never.
        expires_at_ms: Option<u64>,
        /// The node that answered for the key.
        served_by: Peer,
        /// The key's identifier.
        id: Id,
    },
    /// There is no record any more.
    Delete {
        /// The version of the deletion.
        version: Version,
        /// The copies of the deletion that were made before the answer.
        acks: Vec<Ack>,
        /// The key's identifier.
        id: Id,
    },
    /// There is no such record.
    Absent,
    /// A condition did not hold; nothing was done.
    ConditionFailed {
        /// The record's present version, if there is a record.
        current: Option<Version>,
    },
    /// The node asked is not the primary for this key; nothing was done.
    NotPrimary(NotPrimary),
    /// It can't be done just now.
    Unavailable {
        /// What kind of trouble it is.
        reason: Reason,
        /// For people.
        message: String,
        /// A write may or may not have been carried out.
        outcome_unknown: bool,
    },
}

/// A copy that was made before the answer went out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ack {
    /// The holder's identifier.
    pub id: Id,
    /// Its address.
    pub addr: overlay::Addr,
    /// It is on that node's disk; else in its memory.
    pub durable: bool,
}

/// Why a node can't serve a key just now: the trailer `dht-reason`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Reason {
    /// The node is on its way into a ring.
    Joining,
    /// Not enough of the key's holders answer.
    Quorum,
    /// The same, and trying again won't help: they take no writes. Users are told [`Reason::Quorum`].
    ReadOnly,
    /// The key's owner could not be found or reached.
    Unreachable,
    /// The node is on its way out.
    Leaving,
}

impl Reason {
    /// As in the trailer.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Joining => "joining",
            Reason::Quorum => "quorum",
            Reason::ReadOnly => "read-only",
            Reason::Unreachable => "unreachable",
            Reason::Leaving => "leaving",
        }
    }

    /// Reads [`Reason::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        [Reason::Joining, Reason::Quorum, Reason::ReadOnly, Reason::Unreachable, Reason::Leaving]
            .into_iter()
            .find(|reason| reason.as_str() == text)
    }
}

/// Somebody else is the primary.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NotPrimary {
    /// Who, if it is known.
    pub primary: Option<Peer>,
    /// The range that this speaks of, if one is known.
    pub range: Option<Range>,
}

/// Somebody knows a newer set than the call was made under.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewerSet {
    /// Where it holds.
    pub range: Range,
    /// The set.
    pub set: Set,
}

/// To the owner: carry out a user's operation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Execute {
    /// What to do.
    pub operation: Operation,
    /// How long the caller still waits, to the millisecond.
    pub budget: Duration,
}

/// From a primary: keep this copy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Store {
    /// The number of the store that is meant: a node that came back with another one refuses.
    pub holder: u64,
    /// The set that the primary acts for.
    pub number: u64,
    /// The copy.
    pub record: Record,
}

/// To [`Store`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StoreReply {
    /// It is kept.
    Stored {
        /// On disk; else in memory.
        durable: bool,
    },
    /// A newer version is here already: this one.
    Superseded(Version),
    /// There is a newer set; the copy was not kept.
    NewerSet(NewerSet),
}

/// From a primary: keep this copy for a member that did not take it, and give it to that one when it is back. The reply
/// says whether there is room for it; it never counts as a copy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hint {
    /// Whom it is for.
    pub member: Member,
    /// The set that the primary acts for.
    pub number: u64,
    /// The copy.
    pub record: Record,
}

/// From a primary: what do you hold of this key?
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Read {
    /// The number of the store that is meant: a node that came back with another one refuses.
    pub holder: u64,
    /// The set that the primary acts for.
    pub number: u64,
    /// The key.
    pub key: Bytes,
    /// What the primary has; the record comes back only if it is newer.
    pub have: Option<Version>,
}

/// To [`Read`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ReadReply {
    /// Nothing of this key.
    Absent,
    /// The same version, or an older one, which is named.
    Version(Version),
    /// A newer record.
    Record(Record),
    /// There is a newer set.
    NewerSet(NewerSet),
}

/// What do you hold of this key, and what are you to its range? For showing: nothing is decided by it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Look {
    /// The key.
    pub key: Bytes,
}

/// To [`Look`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LookReply {
    /// What the node knows of the key's range; none when it knows no set of it.
    pub sight: Option<Sight>,
    /// What it has of the key; none when that is nothing.
    pub held: Option<Held>,
    /// What it has is on its disk; else in its memory.
    pub durable: bool,
    /// The number of its store: a set that names another one does not count on what is there.
    pub store: u64,
    /// It takes no writes: its disk failed.
    pub read_only: bool,
}

/// What a node knows of a range, and what it is to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sight {
    /// The range.
    pub range: Range,
    /// The newest accepted set that is known there.
    pub set: Set,
    /// The node's part.
    pub part: Part,
    /// At the primary: everything from before the set is on a majority of it.
    pub settled: bool,
    /// The node has accepted a proposal for the next set.
    pub fenced: bool,
    /// At the primary: newcomers that are being brought up.
    pub learners: Vec<Member>,
    /// Who keeps the set from having a majority.
    pub missing: Vec<Member>,
}

/// A node's part in a range, in a word.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Part {
    /// Orders the range's writes.
    Primary,
    /// Is the primary, and still learns what the set before it holds.
    TakingOver,
    /// Holds a copy that counts.
    Member,
    /// On its way into the set.
    Newcomer,
    /// Has no part in it.
    Outside,
}

impl Part {
    const ALL: [Part; 5] = [Part::Primary, Part::TakingOver, Part::Member, Part::Newcomer, Part::Outside];

    /// As it is shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Part::Primary => "primary",
            Part::TakingOver => "taking over",
            Part::Member => "member",
            Part::Newcomer => "newcomer",
            Part::Outside => "outside",
        }
    }

    /// Reads [`Part::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Part::ALL.into_iter().find(|part| part.as_str() == text)
    }
}

/// A record without its key and value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Held {
    /// Which write it is.
    pub version: Version,
    /// It is a deletion.
    pub tombstone: bool,
    /// Wall-clock milliseconds since 1970; none: never.
    pub expires_at_ms: Option<u64>,
}

/// What the records of some ranges come to: two that come to the same are the same.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Digest {
    /// The number of the store that is meant: a node that came back with another one refuses.
    pub holder: u64,
    /// The range.
    pub range: Range,
    /// The set that it is asked under, as for [`List`].
    pub set: Set,
    /// Parts of the range, 4,096 at most…
    pub cuts: Vec<Range>,
    /// …each to be cut evenly into so many, 1 to 4,096; 65,536 at most in all.
    pub parts: u32,
}

/// To [`Digest`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DigestReply {
    /// Of each part of each cut, clockwise.
    pub digests: Vec<store::Digest>,
    /// There is a newer set; nothing was looked at.
    pub newer: Option<NewerSet>,
    /// Deletions up to this moment of the hybrid clock may have been forgotten by this store.
    pub horizon: u64,
}

/// From a primary: deletions that every holder knows, to be forgotten.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Forget {
    /// The number of the store that is meant: a node that came back with another one refuses.
    pub holder: u64,
    /// The set that the primary acts for.
    pub number: u64,
    /// The deletions.
    pub entries: Vec<Listed>,
    /// Forget those, and raise the horizon to this moment of the hybrid clock; none: only say which are here as deletions.
    pub horizon: Option<u64>,
}

/// To [`Forget`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ForgetReply {
    /// By index: here, as a deletion of exactly this version.
    pub held: Vec<u32>,
    /// There is a newer set; nothing was done.
    pub newer: Option<NewerSet>,
}

/// Keys and versions of a range, in order, a page at a time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct List {
    /// The number of the store that is meant: a node that came back with another one refuses.
    pub holder: u64,
    /// The range.
    pub range: Range,
    /// The set that the list is asked under: whoever knows only older ones takes it over.
    pub set: Set,
    /// Go on after this entry; none at the start.
    pub after: Option<Cursor>,
    /// Entries wanted at most.
    pub limit: u32,
}

/// A key and its newest version.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Listed {
    /// The key.
    pub key: Bytes,
    /// Its version.
    pub version: Version,
}

/// To [`List`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListReply {
    /// In order.
    pub entries: Vec<Listed>,
    /// Where to go on; none at the end.
    pub next: Option<Cursor>,
    /// There is a newer set; nothing was listed.
    pub newer: Option<NewerSet>,
}

/// The records of these keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fetch {
    /// The number of the store that is meant: a node that came back with another one refuses.
    pub holder: u64,
    /// Where the keys lie.
    pub range: Range,
    /// The number of the set that they were listed under.
    pub number: u64,
    /// In the order wanted.
    pub keys: Vec<Bytes>,
}

/// To [`Fetch`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetchReply {
    /// As many of them, in order, as fit in a message; keys of which there is nothing are left out.
    pub records: Vec<Record>,
    /// How many keys were dealt with, 1 at least: ask again for the rest.
    pub taken: u32,
    /// There is a newer set; nothing was fetched.
    pub newer: Option<NewerSet>,
}

/// To the owner: I hold these and should not. Which do you want, which may I erase?
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Offer {
    /// Keys and versions only, at first.
    pub entries: Vec<Listed>,
    /// The records that were wanted, then.
    pub records: Vec<Record>,
    /// Everything here was held by right at this moment of the hybrid clock, or came later.
    pub held_at: u64,
}

/// To [`Offer`]. Indexes count through the entries, then the records.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OfferReply {
    /// Send the record.
    pub wanted: Vec<u32>,
    /// A majority of the owner's set holds this or newer: it may be erased.
    pub confirmed: Vec<u32>,
    /// Not the primary of the first key; nothing was done.
    pub not_primary: Option<NotPrimary>,
    /// It may have been deleted, and that forgotten, while the offerer was away: it is to be set aside.
    pub quarantined: Vec<u32>,
}

macro_rules! paths {
    ($($call:ident $path:literal),*) => {$(
        impl $call {
            /// Its gRPC path.
            pub const PATH: &'static str = $path;
        }
    )*};
}

paths! {
    Execute "/dht.v1.Storage/Execute",
    Store "/dht.v1.Storage/Store",
    Hint "/dht.v1.Storage/Hint",
    Read "/dht.v1.Storage/Read",
    Look "/dht.v1.Storage/Look",
    Digest "/dht.v1.Storage/Digest",
    Forget "/dht.v1.Storage/Forget",
    List "/dht.v1.Storage/List",
    Fetch "/dht.v1.Storage/Fetch",
    Offer "/dht.v1.Storage/Offer"
}
