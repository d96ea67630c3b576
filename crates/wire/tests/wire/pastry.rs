//! Pastry's messages and its table.

use std::time::Duration;

use bytes::Bytes;
use overlay::Peer;
use pastry::{Entry, Leaves, Pastry, Request, Response, Row, Table};
use proptest::collection::vec;
use proptest::prelude::*;
use ring::Space;
use wire::{Call, TableReader, WireProtocol, v1};

use crate::arbitrary as any;
use crate::spoken::{answered, asked, envelope, path, peer, sent, small, spoken};

type Overlay = overlay::Request<Pastry>;

const PATHS: [&str; 6] = ["Route", "Join", "LeafSet", "State", "Announce", "Ping"];

fn peers(space: Space) -> impl Strategy<Value = Vec<Peer>> {
    vec(any::peer(space), 0..4)
}

fn leaves(space: Space) -> impl Strategy<Value = Leaves> {
    (peers(space), peers(space)).prop_map(|(leaves, failed)| Leaves { leaves, failed })
}

fn request(space: Space) -> impl Strategy<Value = Request> {
    prop_oneof![
        (any::id(space), vec(any::id(space), 0..4)).prop_map(|(target, avoid)| Request::Route { target, avoid }),
        Just(Request::Join),
        leaves(space).prop_map(Request::LeafSet),
        any::<u32>().prop_map(|row| Request::State { row }),
        peers(space).prop_map(|row| Request::Announce { row }),
        Just(Request::Ping),
    ]
}

/// A reply, and the method that it answers.
fn response(space: Space) -> impl Strategy<Value = (&'static str, Response)> {
    prop_oneof![
        any::route(space).prop_map(|route| ("Route", Response::Route(route))),
        leaves(space).prop_map(|leaves| ("Join", Response::Welcome(leaves))),
        any::peer(space).prop_map(|peer| ("Join", Response::Elsewhere(peer))),
        leaves(space).prop_map(|leaves| ("LeafSet", Response::LeafSet(leaves))),
        (peers(space), peers(space)).prop_map(|(row, neighbourhood)| ("State", Response::State { row, neighbourhood })),
        Just(("Announce", Response::Noted)),
        Just(("Ping", Response::Noted)),
    ]
}

spoken!(Pastry, PATHS, request, response);

#[test]
fn a_reply_to_another_request_is_not_sent() {
    let noted = Ok(overlay::Response::Protocol(Response::Noted));
    assert!(Overlay::encode_reply(&path::<Pastry>("Ping"), &noted).is_some());
    assert!(Overlay::encode_reply(&path::<Pastry>("Join"), &noted).is_none());
    assert!(Overlay::encode_reply("/dht.v1.Chord/Notify", &noted).is_none());
}

#[test]
fn a_malformed_request_is_refused_by_the_field() {
    let route = |target: u8, avoid: Vec<Bytes>| {
        asked::<Pastry>("Route", v1::PastryRouteRequest { envelope: envelope(), target: vec![target].into(), avoid })
    };
    assert_eq!(route(7, vec![vec![8].into()]), "taken");
    assert!(route(0x80, vec![]).contains("target"));
    assert!(route(7, vec![vec![1].into(), vec![1, 2].into()]).contains("avoid[1]"));
    assert!(route(7, vec![vec![1].into(); 65]).contains("avoid has 65 entries, the limit is 64"));

    let exchange = |leaf_set: Option<v1::LeafSet>| {
        asked::<Pastry>("LeafSet", v1::LeafSetRequest { envelope: envelope(), leaf_set })
    };
    let set = |leaves: Vec<v1::Peer>, failed: Vec<v1::Peer>| Some(v1::LeafSet { leaves, failed });
    assert_eq!(exchange(set(vec![sent(1)], vec![sent(2)])), "taken");
    assert!(exchange(None).contains("leaf_set is missing"));
    assert!(exchange(set(vec![sent(1), sent(0x80)], vec![])).contains("leaf_set.leaves[1].id"));
    assert!(
        exchange(set(vec![], vec![v1::Peer { addr: String::new(), ..sent(1) }])).contains("leaf_set.failed[0].addr")
    );
    assert!(exchange(set(vec![sent(1); 129], vec![])).contains("leaf_set.leaves has 129 entries, the limit is 128"));

    let announce = |row: Vec<v1::Peer>| asked::<Pastry>("Announce", v1::AnnounceRequest { envelope: envelope(), row });
    assert_eq!(announce(vec![sent(1)]), "taken");
    assert!(announce(vec![sent(0xff)]).contains("row[0].id"));
    assert!(announce(vec![sent(1); 257]).contains("row has 257 entries, the limit is 256"));
    assert!(asked::<Pastry>("State", v1::StateRequest { envelope: None, row: 0 }).contains("envelope is missing"));
}

#[test]
fn a_malformed_reply_is_refused_by_the_field() {
    assert_eq!(answered::<Pastry>("Route", v1::PastryRouteResponse::default()), "route is missing");
    assert_eq!(answered::<Pastry>("LeafSet", v1::LeafSetResponse::default()), "leaf_set is missing");
    let state = v1::StateResponse { neighbourhood: vec![sent(1), sent(0x80)], ..Default::default() };
    assert!(answered::<Pastry>("State", state).starts_with("neighbourhood[1].id"));

    let join =
        |leaf_set, elsewhere| answered::<Pastry>("Join", v1::PastryJoinResponse { refusal: None, leaf_set, elsewhere });
    assert_eq!(join(Some(v1::LeafSet::default()), None), "taken");
    assert_eq!(join(None, Some(sent(1))), "taken");
    assert_eq!(join(None, None), "leaf_set is missing");
    assert_eq!(join(Some(v1::LeafSet::default()), Some(sent(1))), "elsewhere is there beside leaf_set");
}

fn table() -> Table {
    let entry = |digit, node| Entry { digit, node: peer(node) };
    Table {
        digit_bits: 4,
        leaf_set: 16,
        smaller: vec![peer(20), peer(9)],
        larger: vec![peer(30)],
        rows: vec![
            Row { row: 0, entries: vec![entry(0, 9), entry(6, 0x60)] },
            Row { row: 1, entries: vec![entry(8, 20)] },
        ],
        neighbourhood: vec![peer(30)],
    }
}

/// Only 20 was ever measured.
fn shown() -> v1::table_response::Table {
    Pastry::table(&table(), &|asked: &Peer| (*asked == peer(20)).then(|| Duration::from_micros(350)))
}

fn spoiled(spoil: impl FnOnce(&mut v1::PastryTable)) -> String {
    let mut shown = shown();
    if let v1::table_response::Table::Pastry(table) = &mut shown {
        spoil(table);
    }
    Pastry::read_table(shown, &mut TableReader::new(small())).unwrap_err().to_string()
}

#[test]
fn a_table_is_read_as_it_was_shown_with_the_round_trips_that_are_known() {
    let mut reader = TableReader::new(small());
    assert_eq!(Pastry::read_table(shown(), &mut reader), Ok(table()));
    assert_eq!(reader.rtt(peer(20).id), Some(Duration::from_micros(350)));
    assert_eq!(reader.rtt(peer(30).id), None);
}

#[test]
fn what_is_wrong_in_a_table_is_named() {
    assert_eq!(spoiled(|table| table.digit_bits = 9), "digit_bits is 9, not in 1..=8");
    assert_eq!(spoiled(|table| table.larger[0].peer = None), "larger[0].peer is missing");
    assert_eq!(spoiled(|table| table.rows[1].entries[0].node = None), "rows[1].entries[0].node is missing");
    let wide = spoiled(|table| {
        let peer = table.rows[0].entries[1].node.as_mut().and_then(|node| node.peer.as_mut()).unwrap();
        peer.id = vec![0x80].into();
    });
    assert!(wide.starts_with("rows[0].entries[1].node.peer.id is not an identifier here"), "{wide}");
    let endless = spoiled(|table| table.smaller = vec![table.smaller[0].clone(); 129]);
    assert_eq!(endless, "smaller has 129 entries, the limit is 128");
}
