//! Every malformed field has an error of its own, which names it.

mod queries;
mod storage;

use bytes::Bytes;
use prost::Message;
use ring::Space;
use wire::v1;
use wire::{Call, Here, Rejected};

type Overlay = overlay::Request<chord::Chord>;

const HELLO: &str = "/dht.v1.Membership/Hello";
const FIND: &str = "/dht.v1.Chord/FindSuccessor";

/// A cluster of 7-bit identifiers: one byte each, below 128.
fn here() -> Here {
    Here { cluster: "default".to_owned(), space: Space::new(7).unwrap() }
}

fn id(number: u8) -> Bytes {
    vec![number].into()
}

fn peer() -> v1::Peer {
    v1::Peer { id: id(5), addr: "127.0.0.1:7160".to_owned(), incarnation: 3 }
}

fn envelope() -> v1::Envelope {
    v1::Envelope {
        cluster: "default".to_owned(),
        from: Some(peer()),
        to: Some(peer()),
        ring: Some(v1::RingId { started_ms: 1, starter: id(5) }),
    }
}

fn set() -> v1::Set {
    v1::Set { number: 1, members: vec![v1::Member { peer: Some(peer()), store: 9 }], forced: false }
}

fn range() -> v1::Range {
    v1::Range { after: id(1), upto: id(2) }
}

fn storage() -> Option<v1::StorageEnvelope> {
    Some(v1::StorageEnvelope { envelope: Some(envelope()), store: 9, wall_ms: 7 })
}

fn version() -> Option<v1::Version> {
    Some(v1::Version { term: 1, clock: 1, store: 1 })
}

/// What is said about a message after `change`.
fn refused<M: Message, C: Call>(path: &str, mut message: M, change: impl FnOnce(&mut M)) -> String {
    change(&mut message);
    match C::decode(path, message.encode_to_vec().into(), &here()) {
        Ok(_) => "taken".to_owned(),
        Err(rejected) => rejected.to_string(),
    }
}

fn find(change: impl FnOnce(&mut v1::FindSuccessorRequest)) -> String {
    let message = v1::FindSuccessorRequest { envelope: Some(envelope()), target: id(7), avoid: vec![id(8)] };
    refused::<_, Overlay>(FIND, message, change)
}

fn hello(change: impl FnOnce(&mut v1::HelloRequest)) -> String {
    let message = v1::HelloRequest {
        envelope: Some(envelope()),
        settings: vec![v1::Setting { name: "replicas".to_owned(), value: "3".to_owned() }],
        standing: v1::Standing::Searching.into(),
        disk_ring: None,
        id_bits: 7,
    };
    refused::<_, Overlay>(HELLO, message, change)
}

fn from_addr(addr: &str) -> String {
    find(|message| message.envelope.as_mut().unwrap().from.as_mut().unwrap().addr = addr.to_owned())
}

#[test]
fn a_good_message_is_taken() {
    assert_eq!(find(|_| {}), "taken");
    assert_eq!(hello(|_| {}), "taken");
}

#[test]
fn a_malformed_envelope_is_refused_by_the_field() {
    assert_eq!(find(|m| m.envelope = None), "envelope is missing");
    assert_eq!(find(|m| m.envelope.as_mut().unwrap().from = None), "envelope.from is missing");
    assert_eq!(
        find(|m| m.envelope.as_mut().unwrap().from.as_mut().unwrap().id = vec![0; 20].into()),
        "envelope.from.id is not an identifier here: an identifier of 7 bits is 1 bytes long, not 20"
    );
    assert_eq!(
        find(|m| m.envelope.as_mut().unwrap().from.as_mut().unwrap().id = id(128)),
        "envelope.from.id is not an identifier here: `80` does not fit in 7 bits"
    );
    assert_eq!(
        find(|m| m.envelope.as_mut().unwrap().to.as_mut().unwrap().incarnation = 1 << 53),
        "envelope.to.incarnation is 9007199254740992, it has to be below 2^53"
    );
    assert_eq!(
        find(|m| m.envelope.as_mut().unwrap().ring.as_mut().unwrap().starter = Bytes::new()),
        "envelope.ring.starter is not an identifier here: an identifier of 7 bits is 1 bytes long, not 0"
    );
}

#[test]
fn an_address_is_a_host_and_a_port() {
    for good in ["a:1", "node-1.example:65535", "10.0.0.1:7160", "[::1]:7160"] {
        assert_eq!(from_addr(good), "taken", "{good}");
    }
    assert_eq!(from_addr(""), "envelope.from.addr is ``, not HOST:PORT");
    assert_eq!(from_addr("node"), "envelope.from.addr is `node`, not HOST:PORT");
    for bad in [":7160", "::1:7160", "[::1:7160", "[x]:7160", "a b:7160", "http://a:7160", "a@b:7160", "é:7160"] {
        assert!(from_addr(bad).contains("whose host is not a name or an address"), "{bad}: {}", from_addr(bad));
    }
    for bad in ["a:0", "a:65536", "a:", "a:+1", "a:-1", "a:1x"] {
        assert!(from_addr(bad).contains("whose port is not from 1 to 65535"), "{bad}: {}", from_addr(bad));
    }
    let long = format!("{}:1", "a".repeat(300));
    assert_eq!(from_addr(&long), "envelope.from.addr is 302 bytes long, the limit is 261");
}

#[test]
fn the_cluster_is_compared_before_any_identifier() {
    let text = find(|m| {
        let envelope = m.envelope.as_mut().unwrap();
        envelope.cluster = "staging".to_owned();
        envelope.from.as_mut().unwrap().id = Bytes::new();
    });
    assert_eq!(text, "cluster: it is `default` there, `staging` here");
}

#[test]
fn a_hello_tells_its_width_before_its_identifiers() {
    let text = hello(|m| {
        m.id_bits = 160;
        m.envelope.as_mut().unwrap().from.as_mut().unwrap().id = vec![0; 20].into();
    });
    assert_eq!(text, "id_bits: it is 7 there, 160 here");
    assert_eq!(hello(|m| m.id_bits = 0), "id_bits is missing");
}

#[test]
fn a_malformed_hello_is_refused_by_the_field() {
    assert_eq!(hello(|m| m.standing = 0), "standing is missing");
    assert_eq!(hello(|m| m.standing = 99), "standing is 99, which is unknown here");
    assert_eq!(hello(|m| m.settings = vec![v1::Setting::default(); 65]), "settings has 65 entries, the limit is 64");
}

#[test]
fn a_malformed_step_of_a_lookup_is_refused_by_the_field() {
    assert!(find(|m| m.target = Bytes::new()).starts_with("target is not an identifier here"));
    assert!(find(|m| m.avoid = vec![id(1), id(200)]).starts_with("avoid[1] is not an identifier here"));
    assert_eq!(find(|m| m.avoid = vec![id(1); 65]), "avoid has 65 entries, the limit is 64");
    assert_eq!(find(|m| m.avoid = vec![id(1); 64]), "taken");
}

#[test]
fn a_malformed_reply_is_refused_by_the_field() {
    let reply = |path, message: Vec<u8>| {
        let read = Overlay::decode_reply(path, message.into(), here().space);
        read.map(|_| ()).unwrap_err().to_string()
    };
    let found = |route| v1::FindSuccessorResponse { refusal: None, route }.encode_to_vec();
    let hop = |via| v1::Hop { peer: Some(peer()), via };
    assert_eq!(reply(FIND, found(None)), "route is missing");
    assert_eq!(reply(FIND, found(Some(v1::Route::default()))), "route.owners is missing");
    let both = v1::Route { owners: vec![hop(1)], closer: vec![hop(1)], ..Default::default() };
    assert_eq!(reply(FIND, found(Some(both))), "route.closer is there beside owners");
    let arc = v1::Route { closer: vec![hop(1)], arc: Some(range()), ..Default::default() };
    assert_eq!(reply(FIND, found(Some(arc))), "route.arc is there although no owner is");
    let unknown = v1::Route { owners: vec![hop(1), hop(77)], ..Default::default() };
    assert_eq!(reply(FIND, found(Some(unknown))), "route.owners[1].via is 77, which is unknown here");
    let many = v1::Route { closer: vec![hop(1); 257], ..Default::default() };
    assert_eq!(reply(FIND, found(Some(many))), "route.closer has 257 entries, the limit is 256");

    let refused = |kind| v1::Refusal { kind, message: String::new(), ring: None };
    let depart = |kind| v1::DepartResponse { refusal: Some(refused(kind)) }.encode_to_vec();
    assert_eq!(reply("/dht.v1.Membership/Depart", depart(0)), "refusal.kind is missing");
    assert_eq!(reply("/dht.v1.Membership/Depart", depart(50)), "refusal.kind is 50, which is unknown here");

    let admission = v1::JoinResponse::default().encode_to_vec();
    assert_eq!(reply("/dht.v1.Chord/Join", admission), "successors is missing");
    let list = v1::GetNeighboursResponse { successors: vec![v1::SuccessorEntry { kind: None }], ..Default::default() };
    assert_eq!(reply("/dht.v1.Chord/GetNeighbours", list.encode_to_vec()), "successors[0].kind is missing");
    let members =
        v1::HelloResponse { me: Some(peer()), standing: 3, members: vec![peer(); 1025], ..Default::default() };
    assert_eq!(reply(HELLO, members.encode_to_vec()), "members has 1025 entries, the limit is 1024");
}

#[test]
fn bytes_that_are_no_message_and_methods_that_are_not_there_are_told_apart() {
    let garbage = Bytes::from_static(&[0xff; 9]);
    let read = Overlay::decode(FIND, garbage.clone(), &here()).map(|_| ()).unwrap_err();
    assert!(matches!(&read, Rejected::Malformed(error) if error.field == "the message"), "{read}");
    let read = Overlay::decode("/dht.v1.Chord/Sing", garbage.clone(), &here()).map(|_| ()).unwrap_err();
    assert_eq!(read, Rejected::NoSuchMethod("/dht.v1.Chord/Sing".to_owned()));
    let read = Vec::<replica::Request>::decode("/dht.v1.Storage/Sing", garbage, &here()).unwrap_err();
    assert_eq!(read, Rejected::NoSuchMethod("/dht.v1.Storage/Sing".to_owned()));
}
