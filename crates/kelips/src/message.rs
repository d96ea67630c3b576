//! What Kelips nodes say to each other, under the paper's names where it has one.

use std::collections::BTreeMap;

use overlay::{KeyHash, Peer, Route};
use ring::{Id, Range};

/// How a node says that it is there.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Presence {
    /// Counts its gossip rounds; greater is newer (§2.1).
    pub heartbeat: u64,
    /// Keys that it is home of, among those it knows: what homes are chosen by.
    pub load: u32,
}

/// A member as it is gossiped: of the receiver's group for its view, of another one as a possible contact.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Entry {
    /// Who.
    pub peer: Peer,
    /// The latest heard of it.
    pub presence: Presence,
}

/// A rumour that a life of a member is over. Whoever hears it finds out for itself.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Gone {
    /// Who.
    pub id: Id,
    /// Which life.
    pub incarnation: u64,
}

/// One of the equal parts of a group's arc.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Slot {
    /// The group of the keys.
    pub group: u32,
    /// Number of the part, from 0.
    pub index: u32,
}

/// Who holds the records of a slot. A filetuple's homes are those of its slot: they are said once, not in each tuple.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Holders {
    /// Which.
    pub slot: Slot,
    /// Number of the set; greater is newer.
    pub number: u64,
    /// Counted up by the slot's arbiter as long as a home lives.
    pub heartbeat: u64,
    /// The homes.
    pub homes: Vec<Peer>,
}

/// That a key is there, or is no longer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Filetuple {
    /// Which.
    pub key: KeyHash,
    /// Greater is newer.
    pub version: u64,
    /// False: a tombstone.
    pub there: bool,
}

/// What a slot's filetuples come to: equal at two nodes that know the same keys to be there.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Digest {
    /// Which slot.
    pub slot: Slot,
    /// Keys that are there.
    pub count: u32,
    /// Of their hashes, mixed and combined by exclusive or.
    pub sum: u64,
}

/// One gossip message: everything in one stream (§2.1), at most `gossip_bytes` long. Request and response are alike, since
/// a newcomer that is only pushed to stays isolated.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Gossip {
    /// The sender's own, fresh in every message.
    pub presence: Presence,
    /// Members of any group.
    pub entries: Vec<Entry>,
    /// Lives that the sender found to be over.
    pub gone: Vec<Gone>,
    /// Groups in which the sender has no contact.
    pub wanted: Vec<u32>,
    /// Within a group: who holds what.
    pub holders: Vec<Holders>,
    /// Within a group: keys.
    pub filetuples: Vec<Filetuple>,
    /// Within a group: some slots' digests.
    pub digests: Vec<Digest>,
}

/// What a newcomer begins with.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Welcome {
    /// The group that `members` are of: the newcomer's own, or, if that is empty, the one that serves its keys.
    pub group: u32,
    /// Of that group: all of it if the answerer is one of them, who is then the first; else those it knows.
    pub members: Vec<Entry>,
    /// Of every other group.
    pub contacts: Vec<Entry>,
    /// Groups that are known to be empty.
    pub vacant: Vec<u32>,
    /// Who holds the slots of the newcomer's group.
    pub holders: Vec<Holders>,
}

/// All keys of a part of the circle, between two hashes: others that are known there are gone.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Listing {
    /// The places meant.
    pub range: Range,
    /// Hashes above this one only; none: from the first.
    pub after: Option<KeyHash>,
    /// Hashes up to this one only; none: to the last.
    pub upto: Option<KeyHash>,
    /// The keys, in order.
    pub keys: Vec<KeyHash>,
}

/// News of records for the group of their keys, from a home outside of it (§2.2, insertion).
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Insertion {
    /// Who holds what, by set number.
    pub holders: Vec<Holders>,
    /// Single keys: there, or gone.
    pub keys: Vec<(KeyHash, bool)>,
    /// Whole parts.
    pub listings: Vec<Listing>,
}

/// What Kelips nodes ask each other.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Request {
    /// Who holds the key at this place? One step of a lookup.
    Lookup {
        /// The place.
        place: Id,
        /// Peers that the asker could not reach just now.
        avoid: Vec<Id>,
    },
    /// Where is the member of this identifier? One step of a lookup.
    FindMember {
        /// The identifier.
        id: Id,
        /// Peers that the asker could not reach just now.
        avoid: Vec<Id>,
        /// The asker is a member itself: to be taken in.
        presence: Option<Presence>,
    },
    /// The round's message; answered by one of the same kind.
    Gossip(Gossip),
    /// Do you live? From a member that has not heard of the callee for long, or heard that it is gone.
    Ping(Presence),
    /// A newcomer asks for a view to begin with.
    Join,
    /// A newcomer, or a member after a pause, says that it is here.
    Admit(Presence),
    /// News of records of the callee's group.
    Insert(Insertion),
    /// The filetuples of a slot, a page of them.
    Pull {
        /// Which slot.
        slot: Slot,
        /// Hashes above this one only.
        after: Option<KeyHash>,
    },
}

/// What they answer.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Response {
    /// To [`Request::Lookup`] and [`Request::FindMember`].
    Route(Route),
    /// To [`Request::Gossip`].
    Gossip(Gossip),
    /// To [`Request::Ping`].
    Alive(Presence),
    /// To [`Request::Join`].
    Welcome(Welcome),
    /// To [`Request::Admit`]: taken in.
    Admitted {
        /// The answerer's own.
        presence: Presence,
        /// Others of the newcomer's group that were taken in lately: it may not have heard of them.
        newcomers: Vec<Entry>,
    },
    /// To [`Request::Insert`].
    Inserted,
    /// To [`Request::Pull`].
    Filetuples {
        /// In order of their hashes, tombstones too.
        filetuples: Vec<Filetuple>,
        /// There are more behind the last.
        more: bool,
    },
}

/// The routing state, as `dht table` and `dht check` show it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Table {
    /// k.
    pub groups: u32,
    /// The node's own group.
    pub group: u32,
    /// The other members of its group, by identifier. The node itself is not among them.
    pub members: Vec<Peer>,
    /// Contacts, by group; groups without any are left out.
    pub contacts: BTreeMap<u32, Vec<Peer>>,
    /// Keys that are there, of all slots that the node's group serves.
    pub filetuples: u64,
    /// What they come to: equal at all members that know the same keys.
    pub filetuples_digest: u64,
}
