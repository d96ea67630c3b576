//! Any domain value of any space.

mod records;

use bytes::Bytes;
use chord::{Chord, Entry, Neighbours};
use overlay::{
    Departure, Envelope, Forward, Found, Hello, HelloReply, HelloState, Hop, Located, Peer, QueryId, Refusal, RingId,
    Route, Settings, Step, Via,
};
use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use replica::{Answer, Ballot, Member, Piece, Set};
use ring::{Id, Range, Space};
use store::Version;
use wire::StorageEnvelope;

pub(crate) use records::*;

pub(crate) fn space() -> impl Strategy<Value = Space> {
    (3u32..=160).prop_map(|bits| Space::new(bits).unwrap())
}

pub(crate) fn id(space: Space) -> impl Strategy<Value = Id> {
    any::<[u8; 20]>().prop_map(move |bytes| space.truncate(bytes))
}

fn addr() -> impl Strategy<Value = overlay::Addr> {
    let host = prop_oneof![Just("127.0.0.1"), Just("[2001:db8::7]"), Just("node_1.example")];
    (host, 1u16..).prop_map(|(host, port)| wire::read_addr(&format!("{host}:{port}")).unwrap())
}

pub(crate) fn peer(space: Space) -> impl Strategy<Value = Peer> {
    (id(space), addr(), 0u64..1 << 53).prop_map(|(id, addr, incarnation)| Peer { id, addr, incarnation })
}

fn ring_id(space: Space) -> impl Strategy<Value = RingId> {
    (any::<u64>(), id(space)).prop_map(|(started_ms, starter)| RingId { started_ms, starter })
}

fn range(space: Space) -> impl Strategy<Value = Range> {
    (id(space), id(space)).prop_map(|(after, upto)| Range { after, upto })
}

fn version() -> impl Strategy<Value = Version> {
    any::<(u64, u64, u64)>().prop_map(|(term, clock, store)| Version { term, clock, store })
}

fn key() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 1..40).prop_map(Bytes::from)
}

fn value() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..40).prop_map(Bytes::from)
}

/// No moment is 0, which the wire reads as "never".
fn moment() -> impl Strategy<Value = Option<u64>> {
    option::of(1u64..)
}

pub(crate) fn envelope(space: Space) -> impl Strategy<Value = Envelope> {
    (peer(space), option::of(peer(space)), option::of(ring_id(space))).prop_map(|(from, to, ring)| Envelope {
        from,
        to,
        ring,
    })
}

pub(crate) fn storage_envelope(space: Space) -> impl Strategy<Value = StorageEnvelope> {
    (envelope(space), any::<u64>(), any::<u64>()).prop_map(|(envelope, store, wall_ms)| StorageEnvelope {
        envelope,
        store,
        wall_ms,
    })
}

pub(crate) fn refusal(space: Space) -> impl Strategy<Value = Refusal> {
    prop_oneof![
        Just(Refusal::Gone),
        option::of(ring_id(space)).prop_map(Refusal::OtherRing),
        Just(Refusal::NotReady),
        Just(Refusal::Busy),
        Just(Refusal::NotMine),
        Just(Refusal::Leaving),
        ".{0,20}".prop_map(Refusal::Malformed),
    ]
}

fn via() -> impl Strategy<Value = Via> {
    prop_oneof![
        Just(Via::Owner),
        Just(Via::Successor),
        Just(Via::Finger),
        Just(Via::Leaf),
        Just(Via::Prefix),
        Just(Via::Rare),
        Just(Via::Contact),
        Just(Via::Group),
        Just(Via::Cache),
    ]
}

fn hop(space: Space) -> impl Strategy<Value = Hop> {
    (peer(space), via()).prop_map(|(peer, via)| Hop { peer, via })
}

fn step(space: Space) -> impl Strategy<Value = Step> {
    let rtt = option::of(any::<u64>().prop_map(std::time::Duration::from_micros));
    (peer(space), rtt, option::of(via())).prop_map(|(peer, rtt, via)| Step { peer, rtt, via })
}

fn forward(space: Space) -> impl Strategy<Value = Forward> {
    (peer(space), any::<u64>(), id(space), vec(step(space), 1..5), vec(id(space), 0..4))
        .prop_map(|(origin, query, target, path, avoid)| Forward { origin, query: QueryId(query), target, path, avoid })
}

fn found(space: Space) -> impl Strategy<Value = Found> {
    let peers = (vec(peer(space), 1..4), vec(peer(space), 0..4));
    (any::<u64>(), id(space), peers, vec(step(space), 1..5), option::of(range(space))).prop_map(
        |(query, target, (owners, holders), path, arc)| Found {
            query: QueryId(query),
            located: Located { target, owners, holders, path, arc },
        },
    )
}

pub(crate) fn route(space: Space) -> impl Strategy<Value = Route> {
    prop_oneof![
        (vec(hop(space), 1..4), option::of(range(space))).prop_map(|(hops, arc)| Route::Owners { hops, arc }),
        vec(hop(space), 1..4).prop_map(Route::Closer),
        (peer(space), vec(peer(space), 0..4), option::of(range(space)))
            .prop_map(|(owner, holders, arc)| Route::Known { owner, holders, arc }),
    ]
}

fn settings() -> impl Strategy<Value = Settings> {
    vec(("[a-z]{1,8}", ".{0,8}"), 0..4).prop_map(Settings)
}

fn hello_state() -> impl Strategy<Value = HelloState> {
    use HelloState::{Joining, Leaving, Ready, Searching};
    prop_oneof![Just(Searching), Just(Joining), Just(Ready), Just(Leaving)]
}

pub(crate) fn overlay_request(space: Space) -> impl Strategy<Value = overlay::Request<Chord>> {
    let hello = (settings(), hello_state(), option::of(ring_id(space)));
    prop_oneof![
        hello.prop_map(|(settings, state, disk_ring)| overlay::Request::Hello(Hello { settings, state, disk_ring })),
        Just(overlay::Request::Depart(Departure::Leave)),
        Just(overlay::Request::Depart(Departure::Stop)),
        forward(space).prop_map(overlay::Request::Forward),
        found(space).prop_map(overlay::Request::Found),
        (id(space), vec(id(space), 0..4))
            .prop_map(|(target, avoid)| chord::Request::FindSuccessor { target, avoid })
            .prop_map(overlay::Request::Protocol),
        Just(overlay::Request::Protocol(chord::Request::GetNeighbours)),
        Just(overlay::Request::Protocol(chord::Request::Join)),
        Just(overlay::Request::Protocol(chord::Request::Notify)),
        Just(overlay::Request::Protocol(chord::Request::Stabilize)),
    ]
}

fn hello_reply(space: Space) -> impl Strategy<Value = HelloReply> {
    let rings = (option::of(ring_id(space)), option::of(ring_id(space)));
    (peer(space), hello_state(), rings, settings(), vec(peer(space), 0..4)).prop_map(
        |(me, state, (ring, disk_ring), settings, members)| HelloReply {
            me,
            state,
            ring,
            disk_ring,
            settings,
            members,
        },
    )
}

fn entry(space: Space) -> impl Strategy<Value = Entry> {
    prop_oneof![peer(space).prop_map(Entry::Peer), id(space).prop_map(Entry::Padding)]
}

/// A reply, and the path of a request that it may answer.
pub(crate) fn overlay_response(space: Space) -> impl Strategy<Value = (&'static str, overlay::Response<Chord>)> {
    let chord = |path, response| (path, overlay::Response::Protocol(response));
    prop_oneof![
        hello_reply(space).prop_map(|reply| ("/dht.v1.Membership/Hello", overlay::Response::Hello(reply))),
        Just(("/dht.v1.Membership/Depart", overlay::Response::Departed)),
        Just(("/dht.v1.Membership/Forward", overlay::Response::Forwarded)),
        Just(("/dht.v1.Membership/Found", overlay::Response::Noted)),
        route(space).prop_map(move |route| chord("/dht.v1.Chord/FindSuccessor", chord::Response::Route(route))),
        (option::of(peer(space)), vec(entry(space), 0..4)).prop_map(move |(predecessor, successors)| chord(
            "/dht.v1.Chord/GetNeighbours",
            chord::Response::Neighbours(Neighbours { predecessor, successors })
        )),
        vec(entry(space), 1..4).prop_map(move |list| chord("/dht.v1.Chord/Join", chord::Response::Admitted(list))),
        peer(space).prop_map(move |peer| chord("/dht.v1.Chord/Join", chord::Response::Elsewhere(peer))),
        Just(chord("/dht.v1.Chord/Notify", chord::Response::Noted)),
        Just(chord("/dht.v1.Chord/Stabilize", chord::Response::Noted)),
    ]
}

fn member(space: Space) -> impl Strategy<Value = Member> {
    (peer(space), any::<u64>()).prop_map(|(peer, store)| Member { peer, store })
}

pub(crate) fn set(space: Space) -> impl Strategy<Value = Set> {
    // Distinct store numbers: no set names a store twice.
    let members = (btree_set(any::<u64>(), 1..5), vec(peer(space), 5)).prop_map(|(stores, peers)| {
        stores.into_iter().zip(peers).map(|(store, peer)| Member { peer, store }).collect()
    });
    (any::<u64>(), members, any::<bool>()).prop_map(|(number, members, forced)| Set { number, members, forced })
}

fn ballot(space: Space) -> impl Strategy<Value = Ballot> {
    (any::<u64>(), id(space)).prop_map(|(round, proposer)| Ballot { round, proposer })
}

fn piece(space: Space) -> impl Strategy<Value = Piece> {
    let accepted = option::of((ballot(space), set(space)));
    (range(space), set(space), option::of(ballot(space)), accepted, any::<bool>())
        .prop_map(|(range, set, promised, accepted, synced)| Piece { range, set, promised, accepted, synced })
}

pub(crate) fn control_request(space: Space) -> impl Strategy<Value = Vec<replica::Request>> {
    use replica::Request;
    let request = prop_oneof![
        (range(space), vec(piece(space), 0..3)).prop_map(|(range, known)| Request::Sets { range, known }),
        (range(space), any::<u64>(), ballot(space))
            .prop_map(|(range, after, ballot)| { Request::Prepare { range, after, ballot } }),
        (range(space), any::<u64>(), ballot(space), set(space))
            .prop_map(|(range, after, ballot, set)| Request::Accept { range, after, ballot, set }),
        (range(space), set(space), option::of(set(space)), any::<u64>())
            .prop_map(|(range, set, before, whole)| Request::Install { range, set, before, whole }),
        (range(space), set(space)).prop_map(|(range, set)| Request::Learn { range, set }),
        (range(space), any::<u64>()).prop_map(|(range, number)| Request::Register { range, number }),
        (range(space), any::<u64>()).prop_map(|(range, number)| Request::Fetching { range, number }),
        (range(space), any::<u64>()).prop_map(|(range, number)| Request::Synced { range, number }),
        Just(Request::Leaving),
    ];
    vec(request, 0..4)
}

pub(crate) fn control_response(space: Space) -> impl Strategy<Value = replica::Response> {
    let answer = prop_oneof![
        vec(piece(space), 0..3).prop_map(Answer::Pieces),
        option::of((ballot(space), set(space))).prop_map(|accepted| Answer::Promised { accepted }),
        Just(Answer::Accepted),
        Just(Answer::Done),
        Just(Answer::Learning),
        any::<u64>().prop_map(|number| Answer::Learnt { number }),
        ".{0,20}".prop_map(Answer::No),
    ];
    (member(space), any::<[bool; 2]>(), vec(answer, 0..4))
        .prop_map(|(me, [leaving, read_only], answers)| replica::Response { me, leaving, read_only, answers })
}
