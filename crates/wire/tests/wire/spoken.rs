//! What the messages of every protocol are held to, whatever they say, and what to say them with.

use bytes::Bytes;
use overlay::{Envelope, Peer, Refusal, Request, Response};
use proptest::prelude::*;
use prost::Message;
use ring::Space;
use wire::{Call, Here, WireProtocol, v1};

pub(crate) fn here(space: Space) -> Here {
    Here { cluster: "default".to_owned(), space }
}

pub(crate) fn path<P: WireProtocol>(method: &str) -> String {
    format!("/{}/{method}", P::SERVICE)
}

/// Identifiers of seven bits.
pub(crate) fn small() -> Space {
    Space::new(7).unwrap()
}

pub(crate) fn peer(number: u64) -> Peer {
    let addr = wire::read_addr(&format!("127.0.0.1:{}", 7000 + number)).unwrap();
    Peer { id: small().id(number).unwrap(), addr, incarnation: 1 }
}

/// A peer as it is sent; above 127 its identifier is too wide.
pub(crate) fn sent(number: u8) -> v1::Peer {
    v1::Peer { id: vec![number].into(), addr: "127.0.0.1:7160".to_owned(), incarnation: 3 }
}

pub(crate) fn envelope() -> Option<v1::Envelope> {
    Some(v1::Envelope { cluster: "default".to_owned(), from: Some(sent(5)), to: Some(sent(6)), ring: None })
}

/// What is said about a request.
pub(crate) fn asked<P: WireProtocol>(method: &str, message: impl Message) -> String {
    match Request::<P>::decode(&path::<P>(method), message.encode_to_vec().into(), &here(small())) {
        Ok(_) => "taken".to_owned(),
        Err(rejected) => rejected.to_string(),
    }
}

/// What is said about a reply.
pub(crate) fn answered<P: WireProtocol>(method: &str, message: impl Message) -> String {
    match Request::<P>::decode_reply(&path::<P>(method), message.encode_to_vec().into(), small()) {
        Ok(_) => "taken".to_owned(),
        Err(malformed) => malformed.to_string(),
    }
}

/// A request arrives as it was.
pub(crate) fn arrives<P: WireProtocol>(
    space: Space,
    envelope: Envelope,
    request: P::Request,
) -> Result<(), TestCaseError> {
    let call = Request::<P>::Protocol(request);
    let body = call.encode("default", &envelope).into();
    let read = Request::<P>::decode(call.path(), body, &here(space));
    prop_assert_eq!(format!("{read:?}"), format!("{:?}", Ok::<_, ()>((envelope, call))));
    Ok(())
}

/// A reply to this method, and a refusal, arrive as they were.
pub(crate) fn comes_back<P: WireProtocol>(
    space: Space,
    method: &str,
    reply: P::Response,
    refusal: Refusal,
) -> Result<(), TestCaseError> {
    let path = path::<P>(method);
    for reply in [Ok(Response::<P>::Protocol(reply)), Err(refusal)] {
        let body = Request::<P>::encode_reply(&path, &reply).expect("a reply to this request").into();
        let read = Request::<P>::decode_reply(&path, body, space);
        prop_assert_eq!(format!("{read:?}"), format!("{:?}", Ok::<_, ()>(reply)));
    }
    Ok(())
}

/// Reads a body as a request and as a reply of each method; it must not panic.
pub(crate) fn read_as_everything<P: WireProtocol>(methods: &[&str], body: &Bytes) {
    for method in methods {
        let _ = Request::<P>::decode(&path::<P>(method), body.clone(), &here(Space::SHA1));
        let _ = Request::<P>::decode_reply(&path::<P>(method), body.clone(), Space::SHA1);
    }
}

/// The properties of a protocol's messages: its methods, and strategies for its requests and for its replies with the
/// method that each answers.
macro_rules! spoken {
    ($protocol:ty, $methods:expr, $request:ident, $response:ident) => {
        proptest! {
            #[test]
            fn what_is_asked_arrives_as_it_was(
                (space, envelope, request) in crate::arbitrary::space().prop_flat_map(|space| {
                    (Just(space), crate::arbitrary::envelope(space), $request(space))
                })
            ) {
                crate::spoken::arrives::<$protocol>(space, envelope, request)?;
            }

            #[test]
            fn what_is_answered_arrives_as_it_was(
                (space, (method, reply), refusal) in crate::arbitrary::space().prop_flat_map(|space| {
                    (Just(space), $response(space), crate::arbitrary::refusal(space))
                })
            ) {
                crate::spoken::comes_back::<$protocol>(space, method, reply, refusal)?;
            }

            #[test]
            fn any_bytes_are_read_or_refused(body in vec(any::<u8>(), 0..200)) {
                crate::spoken::read_as_everything::<$protocol>(&$methods, &body.into());
            }

            #[test]
            fn a_changed_message_is_read_or_refused(
                envelope in crate::arbitrary::envelope(Space::SHA1), asked in $request(Space::SHA1),
                changes in vec(any::<(prop::sample::Index, u8)>(), 1..4),
            ) {
                let mut body = wire::Call::encode(&Overlay::Protocol(asked), "default", &envelope);
                for (place, byte) in changes {
                    let place = place.index(body.len());
                    body[place] = byte;
                }
                crate::spoken::read_as_everything::<$protocol>(&$methods, &body.into());
            }
        }
    };
}
pub(crate) use spoken;
