//! Kelips' messages and its table.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use kelips::{
    Config, Digest, Entry, Filetuple, Gone, Gossip, Holders, Insertion, Kelips, Listing, Presence, Request, Response,
    Slot, Table, Timer, Welcome,
};
use overlay::testing::step;
use overlay::{KeyHash, Overlay as _, Peer, Time};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use prost::Message;
use rand_pcg::Pcg32;
use ring::{Range, Space};
use wire::{Call, TableReader, WireProtocol, v1};

use crate::arbitrary as any;
use crate::spoken::{answered, asked, envelope, path, peer, sent, small, spoken};

type Overlay = overlay::Request<Kelips>;

const PATHS: [&str; 8] = ["Lookup", "FindMember", "Gossip", "Ping", "Join", "Admit", "Insert", "Pull"];

fn presence() -> impl Strategy<Value = Presence> {
    any::<(u64, u32)>().prop_map(|(heartbeat, load)| Presence { heartbeat, load })
}

fn entries(space: Space) -> impl Strategy<Value = Vec<Entry>> {
    vec((any::peer(space), presence()).prop_map(|(peer, presence)| Entry { peer, presence }), 0..4)
}

fn slot() -> impl Strategy<Value = Slot> {
    any::<(u32, u32)>().prop_map(|(group, index)| Slot { group, index })
}

fn key() -> impl Strategy<Value = KeyHash> {
    any::<[u8; 20]>().prop_map(KeyHash)
}

fn holders(space: Space) -> impl Strategy<Value = Vec<Holders>> {
    let one = (slot(), any::<(u64, u64)>(), vec(any::peer(space), 0..4));
    let one = one.prop_map(|(slot, (number, heartbeat), homes)| Holders { slot, number, heartbeat, homes });
    vec(one, 0..3)
}

fn filetuples() -> impl Strategy<Value = Vec<Filetuple>> {
    let one = (key(), any::<(u64, bool)>()).prop_map(|(key, (version, there))| Filetuple { key, version, there });
    vec(one, 0..5)
}

fn gossip(space: Space) -> impl Strategy<Value = Gossip> {
    let gone = (any::id(space), any::<u64>()).prop_map(|(id, incarnation)| Gone { id, incarnation });
    let digest = (slot(), any::<(u32, u64)>()).prop_map(|(slot, (count, sum))| Digest { slot, count, sum });
    let members = (presence(), entries(space), vec(gone, 0..3), vec(any::<u32>(), 0..3));
    (members, holders(space), filetuples(), vec(digest, 0..3)).prop_map(
        |((presence, entries, gone, wanted), holders, filetuples, digests)| Gossip {
            presence,
            entries,
            gone,
            wanted,
            holders,
            filetuples,
            digests,
        },
    )
}

fn insertion(space: Space) -> impl Strategy<Value = Insertion> {
    let listing = (any::id(space), any::id(space), option::of(key()), option::of(key()), vec(key(), 0..4))
        .prop_map(|(from, to, after, upto, keys)| Listing { range: Range::new(from, to), after, upto, keys });
    (holders(space), vec((key(), any::<bool>()), 0..4), vec(listing, 0..2))
        .prop_map(|(holders, keys, listings)| Insertion { holders, keys, listings })
}

fn welcome(space: Space) -> impl Strategy<Value = Welcome> {
    let members = (any::<u32>(), entries(space), entries(space));
    (members, vec(any::<u32>(), 0..4), holders(space))
        .prop_map(|((group, members, contacts), vacant, holders)| Welcome { group, members, contacts, vacant, holders })
}

fn request(space: Space) -> impl Strategy<Value = Request> {
    let avoid = || vec(any::id(space), 0..4);
    prop_oneof![
        (any::id(space), avoid()).prop_map(|(place, avoid)| Request::Lookup { place, avoid }),
        (any::id(space), avoid(), option::of(presence())).prop_map(|(id, avoid, presence)| Request::FindMember {
            id,
            avoid,
            presence
        }),
        gossip(space).prop_map(Request::Gossip),
        presence().prop_map(Request::Ping),
        Just(Request::Join),
        presence().prop_map(Request::Admit),
        insertion(space).prop_map(Request::Insert),
        (slot(), option::of(key())).prop_map(|(slot, after)| Request::Pull { slot, after }),
    ]
}

/// A reply, and the method that it answers.
fn response(space: Space) -> impl Strategy<Value = (&'static str, Response)> {
    prop_oneof![
        any::route(space).prop_map(|route| ("Lookup", Response::Route(route))),
        any::route(space).prop_map(|route| ("FindMember", Response::Route(route))),
        gossip(space).prop_map(|gossip| ("Gossip", Response::Gossip(gossip))),
        presence().prop_map(|presence| ("Ping", Response::Alive(presence))),
        welcome(space).prop_map(|welcome| ("Join", Response::Welcome(welcome))),
        (presence(), entries(space))
            .prop_map(|(presence, newcomers)| ("Admit", Response::Admitted { presence, newcomers })),
        Just(("Insert", Response::Inserted)),
        (filetuples(), any::<bool>())
            .prop_map(|(filetuples, more)| ("Pull", Response::Filetuples { filetuples, more })),
    ]
}

spoken!(Kelips, PATHS, request, response);

proptest! {
    /// The protocol counts bytes before anybody encodes them; it never counts too few.
    #[test]
    fn a_gossip_message_keeps_within_its_bound_as_encoded(
        told in gossip(Space::SHA1), number in any::<u32>(), bytes in 200usize..1_500, groups in 1u32..6, seed: u64
    ) {
        let (mut node, mut rng) = node(bytes, groups, seed);
        for addition in 0..24u32 {
            // Each from another peer, which names itself and what was told.
            let name = format!("a-rather-long-name-of-a-node-{number}.example:7160");
            let id = Space::SHA1.hash(&(number ^ addition).to_be_bytes());
            let from = Peer { id, addr: wire::read_addr(&name).unwrap(), incarnation: (1 << 53) - 1 };
            let request = Request::Gossip(told.clone());
            let (answer, _) = step(Time(2), &mut rng, |ctx| node.serve(&from, request, ctx));
            if let Ok(Response::Gossip(answer)) = answer {
                prop_assert!(encoded(&answer) <= bytes);
            }
            let ((), effects) = step(Time(3), &mut rng, |ctx| node.on_timer(Timer::Gossip, ctx));
            for (_, request) in effects.calls {
                if let Request::Gossip(message) = request {
                    prop_assert!(encoded(&message) <= bytes);
                }
            }
        }
    }
}

fn node(gossip_bytes: usize, groups: u32, seed: u64) -> (Kelips, Pcg32) {
    let config = Config { gossip_bytes, groups, ..Config::default() };
    let me = Peer { id: Space::SHA1.hash(b"me"), addr: wire::read_addr("me:1").unwrap(), incarnation: 1 };
    let (mut node, mut rng) = (Kelips::new(me, config), Pcg32::new(seed, 1));
    step(Time(1), &mut rng, |ctx| node.create(ctx));
    (node, rng)
}

/// Length of the message alone: what is around it is not the protocol's.
fn encoded(gossip: &Gossip) -> usize {
    use wire::WireForm;
    gossip.to_message().encoded_len()
}

#[test]
fn a_reply_to_another_request_is_not_sent() {
    let inserted = Ok(overlay::Response::Protocol(Response::Inserted));
    assert!(Overlay::encode_reply(&path::<Kelips>("Insert"), &inserted).is_some());
    assert!(Overlay::encode_reply(&path::<Kelips>("Gossip"), &inserted).is_none());
    assert!(Overlay::encode_reply("/dht.v1.Chord/Notify", &inserted).is_none());
}

#[test]
fn a_malformed_request_is_refused_by_the_field() {
    let lookup = |place: u8, avoid: Vec<Bytes>| {
        asked::<Kelips>("Lookup", v1::KelipsLookupRequest { envelope: envelope(), place: vec![place].into(), avoid })
    };
    assert_eq!(lookup(7, vec![vec![8].into()]), "taken");
    assert!(lookup(0x80, vec![]).starts_with("place is not an identifier here"));
    assert!(lookup(7, vec![vec![1].into(), vec![1, 2].into()]).starts_with("avoid[1] is not an identifier here"));
    assert_eq!(lookup(7, vec![vec![1].into(); 65]), "avoid has 65 entries, the limit is 64");

    let gossip = |gossip: v1::Gossip| {
        asked::<Kelips>("Gossip", v1::GossipRequest { envelope: envelope(), gossip: Some(gossip) })
    };
    assert_eq!(gossip(v1::Gossip::default()), "taken");
    assert_eq!(
        asked::<Kelips>("Gossip", v1::GossipRequest { envelope: envelope(), gossip: None }),
        "gossip is missing"
    );
    let nobody = v1::Gossip { entries: vec![v1::KelipsEntry::default()], ..Default::default() };
    assert_eq!(gossip(nobody), "gossip.entries[0].peer is missing");
    let wide =
        v1::Gossip { gone: vec![v1::KelipsGone { id: vec![0x80].into(), incarnation: 1 }], ..Default::default() };
    assert!(gossip(wide).starts_with("gossip.gone[0].id is not an identifier here"));
    let short = v1::Filetuple { key: vec![1; 19].into(), version: 1, there: true };
    let short = v1::Gossip { filetuples: vec![short], ..Default::default() };
    assert_eq!(gossip(short), "gossip.filetuples[0].key is 19 bytes long, not 20");
    let endless = v1::Gossip { filetuples: vec![v1::Filetuple::default(); 4_097], ..Default::default() };
    assert_eq!(gossip(endless), "gossip.filetuples has 4097 entries, the limit is 4096");
    let wanted = v1::Gossip { wanted: vec![1; 1_025], ..Default::default() };
    assert_eq!(gossip(wanted), "gossip.wanted has 1025 entries, the limit is 1024");
    let home = v1::SlotHolders { homes: vec![sent(1), sent(0xff)], ..Default::default() };
    let home = v1::Gossip { holders: vec![home], ..Default::default() };
    assert!(gossip(home).starts_with("gossip.holders[0].homes[1].id is not an identifier here"));

    let ping = v1::KelipsPingRequest { envelope: envelope(), presence: None };
    assert_eq!(asked::<Kelips>("Ping", ping), "presence is missing");
    assert_eq!(
        asked::<Kelips>("Admit", v1::AdmitRequest { envelope: envelope(), presence: None }),
        "presence is missing"
    );
    assert_eq!(asked::<Kelips>("Join", v1::KelipsJoinRequest { envelope: None }), "envelope is missing");
    let pull = |after| asked::<Kelips>("Pull", v1::PullRequest { envelope: envelope(), group: 1, index: 2, after });
    assert_eq!(pull(None), "taken");
    assert_eq!(pull(Some(Bytes::new())), "after is 0 bytes long, not 20");
}

#[test]
fn a_malformed_insertion_is_refused_by_the_field() {
    let insert = |keys: Vec<v1::KeyNews>, listings: Vec<v1::KeyListing>| {
        asked::<Kelips>("Insert", v1::InsertRequest { envelope: envelope(), holders: vec![], keys, listings })
    };
    let news = |length| v1::KeyNews { key: vec![1; length].into(), there: true };
    assert_eq!(insert(vec![news(20)], vec![]), "taken");
    assert_eq!(insert(vec![news(20), news(3)], vec![]), "keys[1].key is 3 bytes long, not 20");
    assert_eq!(insert(vec![news(20); 257], vec![]), "keys has 257 entries, the limit is 256");
    assert_eq!(insert(vec![], vec![v1::KeyListing::default()]), "listings[0].range is missing");
    let range = Some(v1::Range { after: vec![1].into(), upto: vec![2].into() });
    let listing = v1::KeyListing { range, keys: vec![vec![7; 21].into()], ..Default::default() };
    assert_eq!(insert(vec![], vec![listing]), "listings[0].keys[0] is 21 bytes long, not 20");
}

#[test]
fn a_malformed_reply_is_refused_by_the_field() {
    assert_eq!(answered::<Kelips>("Lookup", v1::KelipsLookupResponse::default()), "route is missing");
    assert_eq!(answered::<Kelips>("FindMember", v1::FindMemberResponse::default()), "route is missing");
    assert_eq!(answered::<Kelips>("Gossip", v1::GossipResponse::default()), "gossip is missing");
    assert_eq!(answered::<Kelips>("Ping", v1::KelipsPingResponse::default()), "presence is missing");
    assert_eq!(answered::<Kelips>("Join", v1::KelipsJoinResponse::default()), "welcome is missing");
    assert_eq!(answered::<Kelips>("Admit", v1::AdmitResponse::default()), "presence is missing");
    let welcome = v1::Welcome { members: vec![v1::KelipsEntry::default()], ..Default::default() };
    let welcome = v1::KelipsJoinResponse { refusal: None, welcome: Some(welcome) };
    assert_eq!(answered::<Kelips>("Join", welcome), "welcome.members[0].peer is missing");
    let page = v1::PullResponse { filetuples: vec![v1::Filetuple::default()], ..Default::default() };
    assert_eq!(answered::<Kelips>("Pull", page), "filetuples[0].key is 0 bytes long, not 20");
}

fn table() -> Table {
    Table {
        groups: 3,
        group: 2,
        members: vec![peer(20), peer(5)],
        contacts: BTreeMap::from([(0, vec![peer(30)]), (1, vec![peer(4), peer(7)])]),
        filetuples: 77,
        filetuples_digest: u64::MAX - 5,
    }
}

/// Only 20 was ever measured.
fn shown() -> v1::table_response::Table {
    <Kelips as WireProtocol>::table(&table(), &|asked: &Peer| (*asked == peer(20)).then(|| Duration::from_micros(350)))
}

#[test]
fn a_table_is_read_as_it_was_shown_with_the_round_trips_that_are_known() {
    let mut reader = TableReader::new(small());
    assert_eq!(Kelips::read_table(shown(), &mut reader), Ok(table()));
    assert_eq!(reader.rtt(peer(20).id), Some(Duration::from_micros(350)));
    assert_eq!(reader.rtt(peer(30).id), None);
}

#[test]
fn what_is_wrong_in_a_table_is_named() {
    let spoiled = |spoil: &dyn Fn(&mut v1::KelipsTable)| {
        let mut shown = shown();
        if let v1::table_response::Table::Kelips(table) = &mut shown {
            spoil(table);
        }
        Kelips::read_table(shown, &mut TableReader::new(small())).unwrap_err().to_string()
    };
    assert_eq!(spoiled(&|table| table.members[1].peer = None), "members[1].peer is missing");
    assert_eq!(spoiled(&|table| table.contacts[1].contacts[0].peer = None), "contacts[1].contacts[0].peer is missing");
    let chord = v1::table_response::Table::Chord(v1::ChordTable::default());
    let error = Kelips::read_table(chord, &mut TableReader::new(small())).unwrap_err();
    assert_eq!(error.to_string(), "table is not one of kelips");
}
