//! kelips.proto.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use kelips::{
    Digest, Entry, Filetuple, Gone, Gossip, Holders, Insertion, Kelips, Listing, Presence, Request, Response, Slot,
    Table, Welcome,
};
use overlay::{Envelope, KeyHash, Overlay, Peer, Refusal};
use prost::Message;
use ring::Space;

use super::common::{id_bytes, read_avoid, to_avoid, unless_refused};
use super::{identifier, read_envelope};
use crate::form::{bounded, list, messages, optional, required};
use crate::protocol::parse;
use crate::table::{other_table, table_peer};
use crate::{Here, Malformed, Rejected, TableReader, WireForm, WireProtocol, v1};

/// Of each list in a gossip message, a welcome, a page.
const LIST_MAX: usize = 4_096;
/// Homes of a slot.
const HOMES_MAX: usize = 128;
/// Groups there can be.
const GROUPS_MAX: usize = 1_024;
/// Of each kind in an insertion.
const NEWS_MAX: usize = 256;

const LOOKUP: &str = "/dht.v1.Kelips/Lookup";
const FIND_MEMBER: &str = "/dht.v1.Kelips/FindMember";
const GOSSIP: &str = "/dht.v1.Kelips/Gossip";
const PING: &str = "/dht.v1.Kelips/Ping";
const JOIN: &str = "/dht.v1.Kelips/Join";
const ADMIT: &str = "/dht.v1.Kelips/Admit";
const INSERT: &str = "/dht.v1.Kelips/Insert";
const PULL: &str = "/dht.v1.Kelips/Pull";

impl WireForm for Presence {
    type Message = v1::Presence;

    fn to_message(&self) -> v1::Presence {
        v1::Presence { heartbeat: self.heartbeat, load: self.load }
    }

    fn from_message(message: v1::Presence, _: Space) -> Result<Self, Malformed> {
        Ok(Self { heartbeat: message.heartbeat, load: message.load })
    }
}

impl WireForm for Entry {
    type Message = v1::KelipsEntry;

    fn to_message(&self) -> v1::KelipsEntry {
        let Presence { heartbeat, load } = self.presence;
        v1::KelipsEntry { peer: Some(self.peer.to_message()), heartbeat, load }
    }

    fn from_message(message: v1::KelipsEntry, space: Space) -> Result<Self, Malformed> {
        let presence = Presence { heartbeat: message.heartbeat, load: message.load };
        Ok(Self { peer: required("peer", message.peer, space)?, presence })
    }
}

impl WireForm for Gone {
    type Message = v1::KelipsGone;

    fn to_message(&self) -> v1::KelipsGone {
        v1::KelipsGone { id: id_bytes(self.id), incarnation: self.incarnation }
    }

    fn from_message(message: v1::KelipsGone, space: Space) -> Result<Self, Malformed> {
        Ok(Self { id: identifier("id", &message.id, space)?, incarnation: message.incarnation })
    }
}

impl WireForm for Holders {
    type Message = v1::SlotHolders;

    fn to_message(&self) -> v1::SlotHolders {
        v1::SlotHolders {
            group: self.slot.group,
            index: self.slot.index,
            number: self.number,
            heartbeat: self.heartbeat,
            homes: messages(&self.homes),
        }
    }

    fn from_message(message: v1::SlotHolders, space: Space) -> Result<Self, Malformed> {
        Ok(Self {
            slot: Slot { group: message.group, index: message.index },
            number: message.number,
            heartbeat: message.heartbeat,
            homes: list("homes", message.homes, HOMES_MAX, space)?,
        })
    }
}

impl WireForm for Filetuple {
    type Message = v1::Filetuple;

    fn to_message(&self) -> v1::Filetuple {
        v1::Filetuple { key: key_bytes(&self.key), version: self.version, there: self.there }
    }

    fn from_message(message: v1::Filetuple, _: Space) -> Result<Self, Malformed> {
        Ok(Self { key: key_hash("key", &message.key)?, version: message.version, there: message.there })
    }
}

impl WireForm for Digest {
    type Message = v1::SlotDigest;

    fn to_message(&self) -> v1::SlotDigest {
        let Slot { group, index } = self.slot;
        v1::SlotDigest { group, index, count: self.count, sum: self.sum }
    }

    fn from_message(message: v1::SlotDigest, _: Space) -> Result<Self, Malformed> {
        let slot = Slot { group: message.group, index: message.index };
        Ok(Self { slot, count: message.count, sum: message.sum })
    }
}

impl WireForm for Gossip {
    type Message = v1::Gossip;

    fn to_message(&self) -> v1::Gossip {
        v1::Gossip {
            heartbeat: self.presence.heartbeat,
            load: self.presence.load,
            entries: messages(&self.entries),
            gone: messages(&self.gone),
            wanted: self.wanted.clone(),
            holders: messages(&self.holders),
            filetuples: messages(&self.filetuples),
            digests: messages(&self.digests),
        }
    }

    fn from_message(message: v1::Gossip, space: Space) -> Result<Self, Malformed> {
        bounded("wanted", message.wanted.len(), GROUPS_MAX)?;
        Ok(Self {
            presence: Presence { heartbeat: message.heartbeat, load: message.load },
            entries: list("entries", message.entries, LIST_MAX, space)?,
            gone: list("gone", message.gone, LIST_MAX, space)?,
            wanted: message.wanted,
            holders: list("holders", message.holders, LIST_MAX, space)?,
            filetuples: list("filetuples", message.filetuples, LIST_MAX, space)?,
            digests: list("digests", message.digests, LIST_MAX, space)?,
        })
    }
}

impl WireForm for Welcome {
    type Message = v1::Welcome;

    fn to_message(&self) -> v1::Welcome {
        v1::Welcome {
            group: self.group,
            members: messages(&self.members),
            contacts: messages(&self.contacts),
            vacant: self.vacant.clone(),
            holders: messages(&self.holders),
        }
    }

    fn from_message(message: v1::Welcome, space: Space) -> Result<Self, Malformed> {
        bounded("vacant", message.vacant.len(), GROUPS_MAX)?;
        Ok(Self {
            group: message.group,
            members: list("members", message.members, LIST_MAX, space)?,
            contacts: list("contacts", message.contacts, LIST_MAX, space)?,
            vacant: message.vacant,
            holders: list("holders", message.holders, LIST_MAX, space)?,
        })
    }
}

impl WireForm for Listing {
    type Message = v1::KeyListing;

    fn to_message(&self) -> v1::KeyListing {
        v1::KeyListing {
            range: Some(self.range.to_message()),
            after: self.after.as_ref().map(key_bytes),
            upto: self.upto.as_ref().map(key_bytes),
            keys: self.keys.iter().map(key_bytes).collect(),
        }
    }

    fn from_message(message: v1::KeyListing, space: Space) -> Result<Self, Malformed> {
        bounded("keys", message.keys.len(), NEWS_MAX)?;
        let key = |(index, key): (usize, &Bytes)| key_hash(&format!("keys[{index}]"), key);
        Ok(Self {
            range: required("range", message.range, space)?,
            after: optional_key("after", message.after)?,
            upto: optional_key("upto", message.upto)?,
            keys: message.keys.iter().enumerate().map(key).collect::<Result<_, _>>()?,
        })
    }
}

impl WireProtocol for Kelips {
    const SERVICE: &'static str = "dht.v1.Kelips";

    fn path(request: &Request) -> &'static str {
        match request {
            Request::Lookup { .. } => LOOKUP,
            Request::FindMember { .. } => FIND_MEMBER,
            Request::Gossip(_) => GOSSIP,
            Request::Ping(_) => PING,
            Request::Join => JOIN,
            Request::Admit(_) => ADMIT,
            Request::Insert(_) => INSERT,
            Request::Pull { .. } => PULL,
        }
    }

    fn encode_request(request: &Request, envelope: v1::Envelope) -> Vec<u8> {
        let envelope = Some(envelope);
        match request {
            Request::Lookup { place, avoid } => {
                v1::KelipsLookupRequest { envelope, place: id_bytes(*place), avoid: to_avoid(avoid) }.encode_to_vec()
            }
            Request::FindMember { id, avoid, presence } => v1::FindMemberRequest {
                envelope,
                id: id_bytes(*id),
                avoid: to_avoid(avoid),
                presence: presence.as_ref().map(Presence::to_message),
            }
            .encode_to_vec(),
            Request::Gossip(gossip) => {
                v1::GossipRequest { envelope, gossip: Some(gossip.to_message()) }.encode_to_vec()
            }
            Request::Ping(presence) => {
                v1::KelipsPingRequest { envelope, presence: Some(presence.to_message()) }.encode_to_vec()
            }
            Request::Join => v1::KelipsJoinRequest { envelope }.encode_to_vec(),
            Request::Admit(presence) => {
                v1::AdmitRequest { envelope, presence: Some(presence.to_message()) }.encode_to_vec()
            }
            Request::Insert(insertion) => to_insertion(insertion, envelope).encode_to_vec(),
            Request::Pull { slot: Slot { group, index }, after } => {
                let after = after.as_ref().map(key_bytes);
                v1::PullRequest { envelope, group: *group, index: *index, after }.encode_to_vec()
            }
        }
    }

    fn decode_request(path: &str, body: Bytes, here: &Here) -> Result<(Envelope, Request), Rejected> {
        let space = here.space;
        Ok(match path {
            LOOKUP => {
                let message: v1::KelipsLookupRequest = parse(body)?;
                let envelope = read_envelope(message.envelope, None, here)?;
                let place = identifier("place", &message.place, space)?;
                (envelope, Request::Lookup { place, avoid: read_avoid(&message.avoid, space)? })
            }
            FIND_MEMBER => {
                let message: v1::FindMemberRequest = parse(body)?;
                let envelope = read_envelope(message.envelope, None, here)?;
                let id = identifier("id", &message.id, space)?;
                let avoid = read_avoid(&message.avoid, space)?;
                (envelope, Request::FindMember { id, avoid, presence: optional("presence", message.presence, space)? })
            }
            GOSSIP => {
                let message: v1::GossipRequest = parse(body)?;
                let envelope = read_envelope(message.envelope, None, here)?;
                (envelope, Request::Gossip(required("gossip", message.gossip, space)?))
            }
            PING => {
                let message: v1::KelipsPingRequest = parse(body)?;
                let envelope = read_envelope(message.envelope, None, here)?;
                (envelope, Request::Ping(required("presence", message.presence, space)?))
            }
            JOIN => (read_envelope(parse::<v1::KelipsJoinRequest>(body)?.envelope, None, here)?, Request::Join),
            ADMIT => {
                let message: v1::AdmitRequest = parse(body)?;
                let envelope = read_envelope(message.envelope, None, here)?;
                (envelope, Request::Admit(required("presence", message.presence, space)?))
            }
            INSERT => {
                let mut message: v1::InsertRequest = parse(body)?;
                let envelope = read_envelope(message.envelope.take(), None, here)?;
                (envelope, Request::Insert(read_insertion(message, space)?))
            }
            PULL => {
                let message: v1::PullRequest = parse(body)?;
                let envelope = read_envelope(message.envelope, None, here)?;
                let slot = Slot { group: message.group, index: message.index };
                (envelope, Request::Pull { slot, after: optional_key("after", message.after)? })
            }
            _ => return Err(Rejected::NoSuchMethod(path.to_owned())),
        })
    }

    fn encode_response(path: &str, response: &Result<Response, Refusal>) -> Option<Vec<u8>> {
        let response = match response {
            Ok(response) => response,
            Err(refusal) => return encode_refusal(path, Some(refusal.to_message())),
        };
        let refusal = None;
        Some(match (path, response) {
            (LOOKUP, Response::Route(route)) => {
                v1::KelipsLookupResponse { refusal, route: Some(route.to_message()) }.encode_to_vec()
            }
            (FIND_MEMBER, Response::Route(route)) => {
                v1::FindMemberResponse { refusal, route: Some(route.to_message()) }.encode_to_vec()
            }
            (GOSSIP, Response::Gossip(gossip)) => {
                v1::GossipResponse { refusal, gossip: Some(gossip.to_message()) }.encode_to_vec()
            }
            (PING, Response::Alive(presence)) => {
                v1::KelipsPingResponse { refusal, presence: Some(presence.to_message()) }.encode_to_vec()
            }
            (JOIN, Response::Welcome(welcome)) => {
                v1::KelipsJoinResponse { refusal, welcome: Some(welcome.to_message()) }.encode_to_vec()
            }
            (ADMIT, Response::Admitted { presence, newcomers }) => {
                let (presence, newcomers) = (Some(presence.to_message()), messages(newcomers));
                v1::AdmitResponse { refusal, presence, newcomers }.encode_to_vec()
            }
            (INSERT, Response::Inserted) => v1::InsertResponse { refusal }.encode_to_vec(),
            (PULL, Response::Filetuples { filetuples, more }) => {
                v1::PullResponse { refusal, filetuples: messages(filetuples), more: *more }.encode_to_vec()
            }
            _ => return None,
        })
    }

    fn decode_response(path: &str, body: Bytes, space: Space) -> Result<Result<Response, Refusal>, Malformed> {
        match path {
            LOOKUP => {
                let message: v1::KelipsLookupResponse = parse(body)?;
                unless_refused(message.refusal, space, || Ok(Response::Route(required("route", message.route, space)?)))
            }
            FIND_MEMBER => {
                let message: v1::FindMemberResponse = parse(body)?;
                unless_refused(message.refusal, space, || Ok(Response::Route(required("route", message.route, space)?)))
            }
            GOSSIP => {
                let message: v1::GossipResponse = parse(body)?;
                let read = || Ok(Response::Gossip(required("gossip", message.gossip, space)?));
                unless_refused(message.refusal, space, read)
            }
            PING => {
                let message: v1::KelipsPingResponse = parse(body)?;
                let read = || Ok(Response::Alive(required("presence", message.presence, space)?));
                unless_refused(message.refusal, space, read)
            }
            JOIN => {
                let message: v1::KelipsJoinResponse = parse(body)?;
                let read = || Ok(Response::Welcome(required("welcome", message.welcome, space)?));
                unless_refused(message.refusal, space, read)
            }
            ADMIT => {
                let message: v1::AdmitResponse = parse(body)?;
                let read = || {
                    let presence = required("presence", message.presence, space)?;
                    let newcomers = list("newcomers", message.newcomers, LIST_MAX, space)?;
                    Ok(Response::Admitted { presence, newcomers })
                };
                unless_refused(message.refusal, space, read)
            }
            INSERT => unless_refused(parse::<v1::InsertResponse>(body)?.refusal, space, || Ok(Response::Inserted)),
            PULL => {
                let message: v1::PullResponse = parse(body)?;
                let read = || {
                    let filetuples = list("filetuples", message.filetuples, LIST_MAX, space)?;
                    Ok(Response::Filetuples { filetuples, more: message.more })
                };
                unless_refused(message.refusal, space, read)
            }
            _ => Err(Malformed::new("the method", format_args!("{path} is not one of Kelips'"))),
        }
    }

    fn table(table: &Table, rtt: &dyn Fn(&Peer) -> Option<Duration>) -> v1::table_response::Table {
        let shown = |peers: &[Peer]| peers.iter().map(|peer| table_peer(peer, rtt)).collect();
        let contacts =
            |(group, peers): (&u32, &Vec<Peer>)| v1::KelipsContacts { group: *group, contacts: shown(peers) };
        v1::table_response::Table::Kelips(v1::KelipsTable {
            groups: table.groups,
            group: table.group,
            members: shown(&table.members),
            contacts: table.contacts.iter().map(contacts).collect(),
            filetuples: table.filetuples,
            filetuples_digest: table.filetuples_digest,
        })
    }

    fn read_table(shown: v1::table_response::Table, reader: &mut TableReader) -> Result<Table, Malformed> {
        let v1::table_response::Table::Kelips(shown) = shown else {
            return Err(other_table(Self::NAME));
        };
        let contacts = |reader: &mut TableReader, contacts: v1::KelipsContacts| {
            Ok((contacts.group, reader.peers("contacts", contacts.contacts, LIST_MAX)?))
        };
        let contacts: BTreeMap<u32, Vec<Peer>> =
            reader.list("contacts", shown.contacts, GROUPS_MAX, contacts)?.into_iter().collect();
        Ok(Table {
            groups: shown.groups,
            group: shown.group,
            members: reader.peers("members", shown.members, LIST_MAX)?,
            contacts,
            filetuples: shown.filetuples,
            filetuples_digest: shown.filetuples_digest,
        })
    }
}

/// A refusal in the reply of its method.
fn encode_refusal(path: &str, refusal: Option<v1::Refusal>) -> Option<Vec<u8>> {
    Some(match path {
        LOOKUP => v1::KelipsLookupResponse { refusal, ..Default::default() }.encode_to_vec(),
        FIND_MEMBER => v1::FindMemberResponse { refusal, ..Default::default() }.encode_to_vec(),
        GOSSIP => v1::GossipResponse { refusal, ..Default::default() }.encode_to_vec(),
        PING => v1::KelipsPingResponse { refusal, ..Default::default() }.encode_to_vec(),
        JOIN => v1::KelipsJoinResponse { refusal, ..Default::default() }.encode_to_vec(),
        ADMIT => v1::AdmitResponse { refusal, ..Default::default() }.encode_to_vec(),
        INSERT => v1::InsertResponse { refusal }.encode_to_vec(),
        PULL => v1::PullResponse { refusal, ..Default::default() }.encode_to_vec(),
        _ => return None,
    })
}

fn to_insertion(insertion: &Insertion, envelope: Option<v1::Envelope>) -> v1::InsertRequest {
    let news = |(key, there): &(KeyHash, bool)| v1::KeyNews { key: key_bytes(key), there: *there };
    v1::InsertRequest {
        envelope,
        holders: messages(&insertion.holders),
        keys: insertion.keys.iter().map(news).collect(),
        listings: messages(&insertion.listings),
    }
}

fn read_insertion(message: v1::InsertRequest, space: Space) -> Result<Insertion, Malformed> {
    bounded("keys", message.keys.len(), NEWS_MAX)?;
    let news = |(index, news): (usize, v1::KeyNews)| {
        Ok((key_hash("key", &news.key).map_err(|error| error.within(&format!("keys[{index}]")))?, news.there))
    };
    Ok(Insertion {
        holders: list("holders", message.holders, NEWS_MAX, space)?,
        keys: message.keys.into_iter().enumerate().map(news).collect::<Result<_, Malformed>>()?,
        listings: list("listings", message.listings, NEWS_MAX, space)?,
    })
}

fn key_bytes(key: &KeyHash) -> Bytes {
    Bytes::copy_from_slice(&key.0)
}

/// SHA-1 of a key: 20 bytes, whatever the width of identifiers.
fn key_hash(name: &str, bytes: &Bytes) -> Result<KeyHash, Malformed> {
    let hash = <[u8; 20]>::try_from(bytes.as_ref());
    hash.map(KeyHash).map_err(|_| Malformed::new(name, format_args!("is {} bytes long, not 20", bytes.len())))
}

fn optional_key(name: &str, bytes: Option<Bytes>) -> Result<Option<KeyHash>, Malformed> {
    bytes.map(|bytes| key_hash(name, &bytes)).transpose()
}
