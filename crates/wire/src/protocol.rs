use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use overlay::inspect::Inspect;
use overlay::{Envelope, Overlay, Peer, Refusal, Request, Response};
use prost::Message;
use ring::Space;

use crate::convert::membership::{
    read_depart, read_forward, read_found, read_hello, to_depart, to_forward, to_found, to_hello,
};
use crate::convert::{read_envelope, refusal, to_envelope};
use crate::form::WireForm;
use crate::{Call, Here, Malformed, Rejected, TableReader, v1};

/// What an overlay protocol adds to be spoken over the wire: its own gRPC service, message by message.
///
/// Together with its `.proto` and a line in the node's registry this is all that a new protocol needs here.
pub trait WireProtocol:
    Overlay<Request: Send + Sync + 'static, Response: Send + Sync + 'static, Table: Inspect> + Send + Sync + 'static
{
    /// The gRPC service, `dht.v1.Chord`.
    const SERVICE: &'static str;

    /// The path that a request goes to: `/dht.v1.Chord/FindSuccessor`.
    fn path(request: &Self::Request) -> &'static str;

    /// The request's message in bytes, behind `envelope`.
    fn encode_request(request: &Self::Request, envelope: v1::Envelope) -> Vec<u8>;

    /// Reads a request that arrived under `path`.
    fn decode_request(path: &str, body: Bytes, here: &Here) -> Result<(Envelope, Self::Request), Rejected>;

    /// The reply's message in bytes; `None` when it is not one to `path`.
    fn encode_response(path: &str, response: &Result<Self::Response, Refusal>) -> Option<Vec<u8>>;

    /// Reads a reply to a request that went out under `path`.
    fn decode_response(path: &str, body: Bytes, space: Space) -> Result<Result<Self::Response, Refusal>, Malformed>;

    /// The routing state for `dht table`; `rtt` tells a peer's smoothed round trip, where one is known.
    fn table(table: &Self::Table, rtt: &dyn Fn(&Peer) -> Option<Duration>) -> v1::table_response::Table;

    /// What a node keeps in memory to find its way, in bytes as encoded: every peer that the table names, once, and the
    /// pointers to records.
    fn state_bytes(table: &Self::Table) -> u64 {
        let peers: BTreeSet<&Peer> = table.peers().into_iter().collect();
        let of_peers: usize = peers.into_iter().map(|peer| peer.to_message().encoded_len()).sum();
        of_peers as u64 + table.pointers() * POINTER_LEN
    }

    /// Reads it again, and the round trips into `reader`; refuses the table of another protocol.
    fn read_table(shown: v1::table_response::Table, reader: &mut TableReader) -> Result<Self::Table, Malformed>;
}

/// A key's SHA-1 and a version.
const POINTER_LEN: u64 = 20 + 8;

const HELLO: &str = "/dht.v1.Membership/Hello";
const DEPART: &str = "/dht.v1.Membership/Depart";
const FORWARD: &str = "/dht.v1.Membership/Forward";
const FOUND: &str = "/dht.v1.Membership/Found";

impl<P: WireProtocol> Call for Request<P> {
    type Envelope = Envelope;
    type Reply = Response<P>;

    fn path(&self) -> &'static str {
        match self {
            Request::Hello(_) => HELLO,
            Request::Depart(_) => DEPART,
            Request::Forward(_) => FORWARD,
            Request::Found(_) => FOUND,
            Request::Protocol(request) => P::path(request),
        }
    }

    fn encode(&self, cluster: &str, envelope: &Envelope) -> Vec<u8> {
        let space = envelope.from.id.space();
        let envelope = to_envelope(cluster, envelope);
        match self {
            Request::Hello(hello) => to_hello(hello, envelope, space).encode_to_vec(),
            Request::Depart(departure) => to_depart(*departure, envelope).encode_to_vec(),
            Request::Forward(forward) => to_forward(forward, envelope).encode_to_vec(),
            Request::Found(found) => to_found(found, envelope).encode_to_vec(),
            Request::Protocol(request) => P::encode_request(request, envelope),
        }
    }

    fn decode(path: &str, body: Bytes, here: &Here) -> Result<(Envelope, Self), Rejected> {
        match path {
            HELLO => {
                let mut message: v1::HelloRequest = parse(body)?;
                let envelope = read_envelope(message.envelope.take(), Some(message.id_bits), here)?;
                Ok((envelope, Request::Hello(read_hello(message, here.space)?)))
            }
            DEPART => {
                let mut message: v1::DepartRequest = parse(body)?;
                let envelope = read_envelope(message.envelope.take(), None, here)?;
                Ok((envelope, Request::Depart(read_depart(&message))))
            }
            FORWARD => {
                let mut message: v1::ForwardRequest = parse(body)?;
                let envelope = read_envelope(message.envelope.take(), None, here)?;
                Ok((envelope, Request::Forward(read_forward(message, here.space)?)))
            }
            FOUND => {
                let mut message: v1::FoundRequest = parse(body)?;
                let envelope = read_envelope(message.envelope.take(), None, here)?;
                Ok((envelope, Request::Found(read_found(message, here.space)?)))
            }
            _ => {
                let (envelope, request) = P::decode_request(path, body, here)?;
                Ok((envelope, Request::Protocol(request)))
            }
        }
    }

    fn encode_reply(path: &str, reply: &Result<Response<P>, Refusal>) -> Option<Vec<u8>> {
        Some(match (path, reply) {
            (HELLO, Ok(Response::Hello(reply))) => reply.to_message().encode_to_vec(),
            (HELLO, Err(refusal)) => {
                v1::HelloResponse { refusal: Some(refusal.to_message()), ..Default::default() }.encode_to_vec()
            }
            (DEPART, Ok(Response::Departed)) => v1::DepartResponse { refusal: None }.encode_to_vec(),
            (DEPART, Err(refusal)) => v1::DepartResponse { refusal: Some(refusal.to_message()) }.encode_to_vec(),
            (FORWARD, Ok(Response::Forwarded)) => v1::ForwardResponse { refusal: None }.encode_to_vec(),
            (FORWARD, Err(refusal)) => v1::ForwardResponse { refusal: Some(refusal.to_message()) }.encode_to_vec(),
            (FOUND, Ok(Response::Noted)) => v1::FoundResponse { refusal: None }.encode_to_vec(),
            (FOUND, Err(refusal)) => v1::FoundResponse { refusal: Some(refusal.to_message()) }.encode_to_vec(),
            (HELLO | DEPART | FORWARD | FOUND, _)
            | (_, Ok(Response::Hello(_) | Response::Departed | Response::Forwarded | Response::Noted)) => return None,
            (_, Ok(Response::Protocol(response))) => {
                return P::encode_response(path, &Ok(response.clone()));
            }
            (_, Err(refusal)) => return P::encode_response(path, &Err(refusal.clone())),
        })
    }

    fn decode_reply(path: &str, body: Bytes, space: Space) -> Result<Result<Response<P>, Refusal>, Malformed> {
        match path {
            HELLO => {
                let mut message: v1::HelloResponse = parse(body)?;
                match refusal(message.refusal.take(), space)? {
                    Some(refusal) => Ok(Err(refusal)),
                    None => WireForm::from_message(message, space).map(|reply| Ok(Response::Hello(reply))),
                }
            }
            DEPART => {
                let message: v1::DepartResponse = parse(body)?;
                Ok(refusal(message.refusal, space)?.map_or(Ok(Response::Departed), Err))
            }
            FORWARD => {
                let message: v1::ForwardResponse = parse(body)?;
                Ok(refusal(message.refusal, space)?.map_or(Ok(Response::Forwarded), Err))
            }
            FOUND => {
                let message: v1::FoundResponse = parse(body)?;
                Ok(refusal(message.refusal, space)?.map_or(Ok(Response::Noted), Err))
            }
            _ => Ok(P::decode_response(path, body, space)?.map(Response::Protocol)),
        }
    }
}

/// Bytes that are no message of this kind at all.
pub(crate) fn parse<M: Message + Default>(body: Bytes) -> Result<M, Malformed> {
    M::decode(body).map_err(|error| Malformed::new("the message", format_args!("can't be read: {error}")))
}
