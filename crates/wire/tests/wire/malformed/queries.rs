//! Recursive routing.

use bytes::Bytes;
use prost::Message;
use wire::{Call, v1};

use super::{Overlay, envelope, here, id, peer, refused};

fn step() -> v1::Step {
    v1::Step { peer: Some(peer()), via: v1::Via::Finger.into(), rtt_us: Some(350) }
}

fn forward(change: impl FnOnce(&mut v1::ForwardRequest)) -> String {
    let message = v1::ForwardRequest {
        envelope: Some(envelope()),
        origin: Some(peer()),
        query: 1,
        target: id(7),
        path: vec![step()],
        avoid: vec![id(8)],
    };
    refused::<_, Overlay>("/dht.v1.Membership/Forward", message, change)
}

fn found(change: impl FnOnce(&mut v1::FoundRequest)) -> String {
    let message = v1::FoundRequest {
        envelope: Some(envelope()),
        query: 1,
        target: id(7),
        owners: vec![peer()],
        holders: vec![peer()],
        arc: None,
        path: vec![step()],
    };
    refused::<_, Overlay>("/dht.v1.Membership/Found", message, change)
}

#[test]
fn a_malformed_query_is_refused_by_the_field() {
    assert_eq!(forward(|_| {}), "taken");
    assert_eq!(forward(|m| m.envelope = None), "envelope is missing");
    assert_eq!(forward(|m| m.origin = None), "origin is missing");
    assert_eq!(forward(|m| m.origin.as_mut().unwrap().addr.clear()), "origin.addr is ``, not HOST:PORT");
    assert_eq!(
        forward(|m| m.target = Bytes::new()),
        "target is not an identifier here: an identifier of 7 bits is 1 bytes long, not 0"
    );
    assert_eq!(forward(|m| m.path.clear()), "path is missing");
    assert_eq!(forward(|m| m.path = vec![step(); 64]), "taken");
    assert_eq!(forward(|m| m.path = vec![step(); 65]), "path has 65 entries, the limit is 64");
    assert_eq!(forward(|m| m.path[0].peer = None), "path[0].peer is missing");
    assert_eq!(forward(|m| m.path[0].via = 0), "taken");
    assert_eq!(forward(|m| m.path[0].via = 77), "path[0].via is 77, which is unknown here");
    assert_eq!(forward(|m| m.avoid.push(id(128))), "avoid[1] is not an identifier here: `80` does not fit in 7 bits");
    assert_eq!(forward(|m| m.avoid = vec![id(1); 65]), "avoid has 65 entries, the limit is 64");
}

#[test]
fn a_malformed_answer_to_a_query_is_refused_by_the_field() {
    assert_eq!(found(|_| {}), "taken");
    assert_eq!(found(|m| m.envelope = None), "envelope is missing");
    assert_eq!(found(|m| m.target = id(128)), "target is not an identifier here: `80` does not fit in 7 bits");
    assert_eq!(found(|m| m.owners.clear()), "owners is missing");
    assert_eq!(found(|m| m.owners = vec![peer(); 257]), "owners has 257 entries, the limit is 256");
    assert_eq!(found(|m| m.holders.clear()), "taken");
    assert_eq!(found(|m| m.holders = vec![peer(); 257]), "holders has 257 entries, the limit is 256");
    assert_eq!(found(|m| m.path.clear()), "path is missing");
    assert_eq!(found(|m| m.path = vec![step(); 65]), "taken");
    assert_eq!(found(|m| m.path = vec![step(); 66]), "path has 66 entries, the limit is 65");
    let half = v1::Range { after: id(1), upto: Bytes::new() };
    assert_eq!(
        found(|m| m.arc = Some(half)),
        "arc.upto is not an identifier here: an identifier of 7 bits is 1 bytes long, not 0"
    );
}

#[test]
fn a_malformed_acknowledgement_is_refused_by_the_field() {
    let refusal = Some(v1::Refusal { kind: 50, ..Default::default() });
    let bodies = [
        ("/dht.v1.Membership/Forward", v1::ForwardResponse { refusal: refusal.clone() }.encode_to_vec()),
        ("/dht.v1.Membership/Found", v1::FoundResponse { refusal }.encode_to_vec()),
    ];
    for (path, body) in bodies {
        let read = Overlay::decode_reply(path, body.into(), here().space).map(|_| ());
        assert_eq!(read.unwrap_err().to_string(), "refusal.kind is 50, which is unknown here");
    }
}
