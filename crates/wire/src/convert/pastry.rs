//! pastry.proto.

use std::time::Duration;

use bytes::Bytes;
use overlay::{Envelope, Overlay, Peer, Refusal};
use pastry::{Config, Entry, Leaves, Pastry, Request, Response, Row, Table};
use prost::Message;
use ring::Space;

use super::common::{id_bytes, read_avoid, to_avoid, unless_refused};
use super::{identifier, read_envelope};
use crate::form::{list, messages, optional, required};
use crate::protocol::parse;
use crate::table::{other_table, table_peer};
use crate::{Here, Malformed, Rejected, TableReader, WireForm, WireProtocol, v1};

/// Nodes of a leaf set, and of those that failed lately.
const LEAVES_MAX: usize = Config::LEAF_SET_MAX;
/// Entries of a row: one for each value of the widest digit.
const ROW_MAX: usize = 1 << Config::DIGIT_BITS_MAX;
/// Nodes of a neighbourhood set.
const NEIGHBOURHOOD_MAX: usize = Config::NEIGHBOURHOOD_MAX;
/// One for each bit of an identifier.
const ROWS_MAX: usize = 160;

const ROUTE: &str = "/dht.v1.Pastry/Route";
const JOIN: &str = "/dht.v1.Pastry/Join";
const LEAF_SET: &str = "/dht.v1.Pastry/LeafSet";
const STATE: &str = "/dht.v1.Pastry/State";
const ANNOUNCE: &str = "/dht.v1.Pastry/Announce";
const PING: &str = "/dht.v1.Pastry/Ping";

impl WireForm for Leaves {
    type Message = v1::LeafSet;

    fn to_message(&self) -> v1::LeafSet {
        v1::LeafSet { leaves: messages(&self.leaves), failed: messages(&self.failed) }
    }

    fn from_message(message: v1::LeafSet, space: Space) -> Result<Self, Malformed> {
        Ok(Self {
            leaves: list("leaves", message.leaves, LEAVES_MAX, space)?,
            failed: list("failed", message.failed, LEAVES_MAX, space)?,
        })
    }
}

impl WireProtocol for Pastry {
    const SERVICE: &'static str = "dht.v1.Pastry";

    fn path(request: &Request) -> &'static str {
        match request {
            Request::Route { .. } => ROUTE,
            Request::Join => JOIN,
            Request::LeafSet(_) => LEAF_SET,
            Request::State { .. } => STATE,
            Request::Announce { .. } => ANNOUNCE,
            Request::Ping => PING,
        }
    }

    fn encode_request(request: &Request, envelope: v1::Envelope) -> Vec<u8> {
        let envelope = Some(envelope);
        match request {
            Request::Route { target, avoid } => {
                v1::PastryRouteRequest { envelope, target: id_bytes(*target), avoid: to_avoid(avoid) }.encode_to_vec()
            }
            Request::Join => v1::PastryJoinRequest { envelope }.encode_to_vec(),
            Request::LeafSet(leaves) => {
                v1::LeafSetRequest { envelope, leaf_set: Some(leaves.to_message()) }.encode_to_vec()
            }
            Request::State { row } => v1::StateRequest { envelope, row: *row }.encode_to_vec(),
            Request::Announce { row } => v1::AnnounceRequest { envelope, row: messages(row) }.encode_to_vec(),
            Request::Ping => v1::PingRequest { envelope }.encode_to_vec(),
        }
    }

    fn decode_request(path: &str, body: Bytes, here: &Here) -> Result<(Envelope, Request), Rejected> {
        let space = here.space;
        Ok(match path {
            ROUTE => {
                let message: v1::PastryRouteRequest = parse(body)?;
                let envelope = read_envelope(message.envelope, None, here)?;
                let target = identifier("target", &message.target, space)?;
                (envelope, Request::Route { target, avoid: read_avoid(&message.avoid, space)? })
            }
            JOIN => (read_envelope(parse::<v1::PastryJoinRequest>(body)?.envelope, None, here)?, Request::Join),
            LEAF_SET => {
                let message: v1::LeafSetRequest = parse(body)?;
                let envelope = read_envelope(message.envelope, None, here)?;
                (envelope, Request::LeafSet(required("leaf_set", message.leaf_set, space)?))
            }
            STATE => {
                let message: v1::StateRequest = parse(body)?;
                (read_envelope(message.envelope, None, here)?, Request::State { row: message.row })
            }
            ANNOUNCE => {
                let message: v1::AnnounceRequest = parse(body)?;
                let envelope = read_envelope(message.envelope, None, here)?;
                (envelope, Request::Announce { row: list("row", message.row, ROW_MAX, space)? })
            }
            PING => (read_envelope(parse::<v1::PingRequest>(body)?.envelope, None, here)?, Request::Ping),
            _ => return Err(Rejected::NoSuchMethod(path.to_owned())),
        })
    }

    fn encode_response(path: &str, response: &Result<Response, Refusal>) -> Option<Vec<u8>> {
        let refusal = response.as_ref().err().map(Refusal::to_message);
        let response = response.as_ref().ok();
        Some(match (path, response) {
            (ROUTE, None) => v1::PastryRouteResponse { refusal, route: None }.encode_to_vec(),
            (ROUTE, Some(Response::Route(route))) => {
                v1::PastryRouteResponse { refusal, route: Some(route.to_message()) }.encode_to_vec()
            }
            (JOIN, None) => v1::PastryJoinResponse { refusal, ..Default::default() }.encode_to_vec(),
            (JOIN, Some(Response::Welcome(leaves))) => {
                let leaf_set = Some(leaves.to_message());
                v1::PastryJoinResponse { refusal, leaf_set, elsewhere: None }.encode_to_vec()
            }
            (JOIN, Some(Response::Elsewhere(peer))) => {
                let elsewhere = Some(peer.to_message());
                v1::PastryJoinResponse { refusal, leaf_set: None, elsewhere }.encode_to_vec()
            }
            (LEAF_SET, None) => v1::LeafSetResponse { refusal, leaf_set: None }.encode_to_vec(),
            (LEAF_SET, Some(Response::LeafSet(leaves))) => {
                v1::LeafSetResponse { refusal, leaf_set: Some(leaves.to_message()) }.encode_to_vec()
            }
            (STATE, None) => v1::StateResponse { refusal, ..Default::default() }.encode_to_vec(),
            (STATE, Some(Response::State { row, neighbourhood })) => {
                let (row, neighbourhood) = (messages(row), messages(neighbourhood));
                v1::StateResponse { refusal, row, neighbourhood }.encode_to_vec()
            }
            (ANNOUNCE, None | Some(Response::Noted)) => v1::AnnounceResponse { refusal }.encode_to_vec(),
            (PING, None | Some(Response::Noted)) => v1::PingResponse { refusal }.encode_to_vec(),
            _ => return None,
        })
    }

    fn decode_response(path: &str, body: Bytes, space: Space) -> Result<Result<Response, Refusal>, Malformed> {
        match path {
            ROUTE => {
                let message: v1::PastryRouteResponse = parse(body)?;
                unless_refused(message.refusal, space, || Ok(Response::Route(required("route", message.route, space)?)))
            }
            JOIN => {
                let mut message: v1::PastryJoinResponse = parse(body)?;
                unless_refused(message.refusal.take(), space, || read_admission(message, space))
            }
            LEAF_SET => {
                let message: v1::LeafSetResponse = parse(body)?;
                let read = || Ok(Response::LeafSet(required("leaf_set", message.leaf_set, space)?));
                unless_refused(message.refusal, space, read)
            }
            STATE => {
                let message: v1::StateResponse = parse(body)?;
                let read = || {
                    Ok(Response::State {
                        row: list("row", message.row, ROW_MAX, space)?,
                        neighbourhood: list("neighbourhood", message.neighbourhood, NEIGHBOURHOOD_MAX, space)?,
                    })
                };
                unless_refused(message.refusal, space, read)
            }
            ANNOUNCE => unless_refused(parse::<v1::AnnounceResponse>(body)?.refusal, space, || Ok(Response::Noted)),
            PING => unless_refused(parse::<v1::PingResponse>(body)?.refusal, space, || Ok(Response::Noted)),
            _ => Err(Malformed::new("the method", format_args!("{path} is not one of Pastry's"))),
        }
    }

    fn table(table: &Table, rtt: &dyn Fn(&Peer) -> Option<Duration>) -> v1::table_response::Table {
        let shown = |peers: &[Peer]| peers.iter().map(|peer| table_peer(peer, rtt)).collect();
        let entry = |entry: &Entry| v1::PastryEntry { digit: entry.digit, node: Some(table_peer(&entry.node, rtt)) };
        let row = |row: &Row| v1::PastryRow { row: row.row, entries: row.entries.iter().map(entry).collect() };
        v1::table_response::Table::Pastry(v1::PastryTable {
            digit_bits: table.digit_bits,
            leaf_set: table.leaf_set,
            smaller: shown(&table.smaller),
            larger: shown(&table.larger),
            rows: table.rows.iter().map(row).collect(),
            neighbourhood: shown(&table.neighbourhood),
        })
    }

    fn read_table(shown: v1::table_response::Table, reader: &mut TableReader) -> Result<Table, Malformed> {
        let v1::table_response::Table::Pastry(shown) = shown else {
            return Err(other_table(Self::NAME));
        };
        if !(1..=Config::DIGIT_BITS_MAX).contains(&shown.digit_bits) {
            let limit = Config::DIGIT_BITS_MAX;
            return Err(Malformed::new("digit_bits", format_args!("is {}, not in 1..={limit}", shown.digit_bits)));
        }
        let entry = |reader: &mut TableReader, entry: v1::PastryEntry| {
            let node = entry.node.ok_or_else(|| Malformed::missing("node"))?;
            Ok(Entry { digit: entry.digit, node: reader.peer("node", node)? })
        };
        let row = |reader: &mut TableReader, row: v1::PastryRow| {
            Ok(Row { row: row.row, entries: reader.list("entries", row.entries, ROW_MAX, entry)? })
        };
        Ok(Table {
            digit_bits: shown.digit_bits,
            leaf_set: shown.leaf_set,
            smaller: reader.peers("smaller", shown.smaller, LEAVES_MAX)?,
            larger: reader.peers("larger", shown.larger, LEAVES_MAX)?,
            rows: reader.list("rows", shown.rows, ROWS_MAX, row)?,
            neighbourhood: reader.peers("neighbourhood", shown.neighbourhood, NEIGHBOURHOOD_MAX)?,
        })
    }
}

/// Either a leaf set or where else to ask.
fn read_admission(message: v1::PastryJoinResponse, space: Space) -> Result<Response, Malformed> {
    let leaves = optional("leaf_set", message.leaf_set, space)?;
    let elsewhere = optional("elsewhere", message.elsewhere, space)?;
    match (leaves, elsewhere) {
        (Some(leaves), None) => Ok(Response::Welcome(leaves)),
        (None, Some(peer)) => Ok(Response::Elsewhere(peer)),
        (None, None) => Err(Malformed::missing("leaf_set")),
        (Some(_), Some(_)) => Err(Malformed::new("elsewhere", "is there beside leaf_set")),
    }
}
