//! chord.proto.

use std::time::Duration;

use bytes::Bytes;
use chord::{Chord, Entry, Finger, Neighbours, Request, Response, Table};
use overlay::{Envelope, Overlay, Peer, Refusal};
use prost::Message;
use ring::Space;

use super::common::{id_bytes, read_avoid, to_avoid, unless_refused};
use super::{identifier, read_envelope};
use crate::form::{list, message, messages, optional, required};
use crate::protocol::parse;
use crate::table::{other_table, table_peer};
use crate::{Here, Malformed, Rejected, TableReader, WireForm, WireProtocol, v1};

/// Length of a successor list.
const SUCCESSORS_MAX: usize = 256;
/// One for each bit of an identifier.
const FINGERS_MAX: usize = 160;

const FIND_SUCCESSOR: &str = "/dht.v1.Chord/FindSuccessor";
const GET_NEIGHBOURS: &str = "/dht.v1.Chord/GetNeighbours";
const JOIN: &str = "/dht.v1.Chord/Join";
const NOTIFY: &str = "/dht.v1.Chord/Notify";
const STABILIZE: &str = "/dht.v1.Chord/Stabilize";

impl WireForm for Entry {
    type Message = v1::SuccessorEntry;

    fn to_message(&self) -> v1::SuccessorEntry {
        use v1::successor_entry::Kind;
        let kind = match self {
            Entry::Peer(peer) => Kind::Peer(peer.to_message()),
            Entry::Padding(id) => Kind::Padding(id_bytes(*id)),
        };
        v1::SuccessorEntry { kind: Some(kind) }
    }

    fn from_message(message: v1::SuccessorEntry, space: Space) -> Result<Self, Malformed> {
        use v1::successor_entry::Kind;
        match message.kind {
            Some(Kind::Peer(peer)) => required("peer", Some(peer), space).map(Entry::Peer),
            Some(Kind::Padding(id)) => identifier("padding", &id, space).map(Entry::Padding),
            None => Err(Malformed::missing("kind")),
        }
    }
}

impl WireProtocol for Chord {
    const SERVICE: &'static str = "dht.v1.Chord";

    fn path(request: &Request) -> &'static str {
        match request {
            Request::FindSuccessor { .. } => FIND_SUCCESSOR,
            Request::GetNeighbours => GET_NEIGHBOURS,
            Request::Join => JOIN,
            Request::Notify => NOTIFY,
            Request::Stabilize => STABILIZE,
        }
    }

    fn encode_request(request: &Request, envelope: v1::Envelope) -> Vec<u8> {
        let envelope = Some(envelope);
        match request {
            Request::FindSuccessor { target, avoid } => {
                v1::FindSuccessorRequest { envelope, target: id_bytes(*target), avoid: to_avoid(avoid) }.encode_to_vec()
            }
            Request::GetNeighbours => v1::GetNeighboursRequest { envelope }.encode_to_vec(),
            Request::Join => v1::JoinRequest { envelope }.encode_to_vec(),
            Request::Notify => v1::NotifyRequest { envelope }.encode_to_vec(),
            Request::Stabilize => v1::StabilizeRequest { envelope }.encode_to_vec(),
        }
    }

    fn decode_request(path: &str, body: Bytes, here: &Here) -> Result<(Envelope, Request), Rejected> {
        let (envelope, request) = match path {
            FIND_SUCCESSOR => {
                let message: v1::FindSuccessorRequest = parse(body)?;
                let envelope = read_envelope(message.envelope, None, here)?;
                let target = identifier("target", &message.target, here.space)?;
                let avoid = read_avoid(&message.avoid, here.space)?;
                return Ok((envelope, Request::FindSuccessor { target, avoid }));
            }
            GET_NEIGHBOURS => (parse::<v1::GetNeighboursRequest>(body)?.envelope, Request::GetNeighbours),
            JOIN => (parse::<v1::JoinRequest>(body)?.envelope, Request::Join),
            NOTIFY => (parse::<v1::NotifyRequest>(body)?.envelope, Request::Notify),
            STABILIZE => (parse::<v1::StabilizeRequest>(body)?.envelope, Request::Stabilize),
            _ => return Err(Rejected::NoSuchMethod(path.to_owned())),
        };
        Ok((read_envelope(envelope, None, here)?, request))
    }

    fn encode_response(path: &str, response: &Result<Response, Refusal>) -> Option<Vec<u8>> {
        let refusal = response.as_ref().err().map(Refusal::to_message);
        Some(match (path, response.as_ref().ok()) {
            (FIND_SUCCESSOR, None) => v1::FindSuccessorResponse { refusal, route: None }.encode_to_vec(),
            (FIND_SUCCESSOR, Some(Response::Route(route))) => {
                v1::FindSuccessorResponse { refusal, route: Some(route.to_message()) }.encode_to_vec()
            }
            (GET_NEIGHBOURS, None) => v1::GetNeighboursResponse { refusal, ..Default::default() }.encode_to_vec(),
            (GET_NEIGHBOURS, Some(Response::Neighbours(neighbours))) => v1::GetNeighboursResponse {
                refusal,
                predecessor: message(&neighbours.predecessor),
                successors: messages(&neighbours.successors),
            }
            .encode_to_vec(),
            (JOIN, None) => v1::JoinResponse { refusal, ..Default::default() }.encode_to_vec(),
            (JOIN, Some(Response::Admitted(list))) => {
                v1::JoinResponse { refusal, successors: messages(list), elsewhere: None }.encode_to_vec()
            }
            (JOIN, Some(Response::Elsewhere(peer))) => {
                v1::JoinResponse { refusal, elsewhere: Some(peer.to_message()), ..Default::default() }.encode_to_vec()
            }
            (NOTIFY, None | Some(Response::Noted)) => v1::NotifyResponse { refusal }.encode_to_vec(),
            (STABILIZE, None | Some(Response::Noted)) => v1::StabilizeResponse { refusal }.encode_to_vec(),
            _ => return None,
        })
    }

    fn decode_response(path: &str, body: Bytes, space: Space) -> Result<Result<Response, Refusal>, Malformed> {
        match path {
            FIND_SUCCESSOR => {
                let message: v1::FindSuccessorResponse = parse(body)?;
                unless_refused(message.refusal, space, || Ok(Response::Route(required("route", message.route, space)?)))
            }
            GET_NEIGHBOURS => {
                let message: v1::GetNeighboursResponse = parse(body)?;
                let read = || {
                    Ok(Response::Neighbours(Neighbours {
                        predecessor: optional("predecessor", message.predecessor, space)?,
                        successors: list("successors", message.successors, SUCCESSORS_MAX, space)?,
                    }))
                };
                unless_refused(message.refusal, space, read)
            }
            JOIN => {
                let mut message: v1::JoinResponse = parse(body)?;
                unless_refused(message.refusal.take(), space, || read_admission(message, space))
            }
            NOTIFY => unless_refused(parse::<v1::NotifyResponse>(body)?.refusal, space, || Ok(Response::Noted)),
            STABILIZE => unless_refused(parse::<v1::StabilizeResponse>(body)?.refusal, space, || Ok(Response::Noted)),
            _ => Err(Malformed::new("the method", format_args!("{path} is not one of Chord's"))),
        }
    }

    fn table(table: &Table, rtt: &dyn Fn(&Peer) -> Option<Duration>) -> v1::table_response::Table {
        let shown = |peer: &Peer| table_peer(peer, rtt);
        let finger =
            |finger: &Finger| v1::ChordFinger { start: id_bytes(finger.start), node: finger.node.as_ref().map(shown) };
        v1::table_response::Table::Chord(v1::ChordTable {
            predecessor: table.predecessor.as_ref().map(shown),
            successors: table.successors.iter().map(shown).collect(),
            fingers: table.fingers.iter().map(finger).collect(),
        })
    }

    fn read_table(shown: v1::table_response::Table, reader: &mut TableReader) -> Result<Table, Malformed> {
        let v1::table_response::Table::Chord(shown) = shown else {
            return Err(other_table(Self::NAME));
        };
        let finger = |reader: &mut TableReader, finger: v1::ChordFinger| {
            let start = reader.id("start", &finger.start)?;
            Ok(Finger { start, node: reader.optional_peer("node", finger.node)? })
        };
        Ok(Table {
            predecessor: reader.optional_peer("predecessor", shown.predecessor)?,
            successors: reader.peers("successors", shown.successors, SUCCESSORS_MAX)?,
            fingers: reader.list("fingers", shown.fingers, FINGERS_MAX, finger)?,
        })
    }
}

/// Either a list that is taken over, which then has entries, or where else to ask.
fn read_admission(message: v1::JoinResponse, space: Space) -> Result<Response, Malformed> {
    let successors: Vec<Entry> = list("successors", message.successors, SUCCESSORS_MAX, space)?;
    match optional("elsewhere", message.elsewhere, space)? {
        None if successors.is_empty() => Err(Malformed::missing("successors")),
        None => Ok(Response::Admitted(successors)),
        Some(peer) if successors.is_empty() => Ok(Response::Elsewhere(peer)),
        Some(_) => Err(Malformed::new("elsewhere", "is there beside successors")),
    }
}
