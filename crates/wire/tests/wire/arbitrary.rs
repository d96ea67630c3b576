//! Any domain value of any space.

use std::time::Duration;

use bytes::Bytes;
use chord::{Chord, Entry, Neighbours};
use overlay::{Departure, Envelope, Hello, HelloReply, HelloState, Hop, Peer, Refusal, RingId, Route, Settings, Via};
use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use replica::{Answer, Ballot, Member, Piece, Set};
use ring::{Id, Range, Space};
use store::{Cursor, Record, Version};
use wire::StorageEnvelope;
use wire::records::*;

pub fn space() -> impl Strategy<Value = Space> {
    (3u32..=160).prop_map(|bits| Space::new(bits).unwrap())
}

pub fn id(space: Space) -> impl Strategy<Value = Id> {
    any::<[u8; 20]>().prop_map(move |bytes| space.truncate(bytes))
}

fn addr() -> impl Strategy<Value = overlay::Addr> {
    let host = prop_oneof![Just("127.0.0.1"), Just("[2001:db8::7]"), Just("node_1.example")];
    (host, 1u16..).prop_map(|(host, port)| wire::read_addr(&format!("{host}:{port}")).unwrap())
}

pub fn peer(space: Space) -> impl Strategy<Value = Peer> {
    (id(space), addr(), 0u64..1 << 53).prop_map(|(id, addr, incarnation)| Peer { id, addr, incarnation })
}

fn ring_id(space: Space) -> impl Strategy<Value = RingId> {
    (any::<u64>(), id(space)).prop_map(|(started_ms, starter)| RingId { started_ms, starter })
}

fn range(space: Space) -> impl Strategy<Value = Range> {
    (id(space), id(space)).prop_map(|(after, upto)| Range { after, upto })
}

fn version() -> impl Strategy<Value = Version> {
    any::<(u64, u64)>().prop_map(|(clock, store)| Version { clock, store })
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

pub fn envelope(space: Space) -> impl Strategy<Value = Envelope> {
    (peer(space), option::of(peer(space)), option::of(ring_id(space)))
        .prop_map(|(from, to, ring)| Envelope { from, to, ring })
}

pub fn storage_envelope(space: Space) -> impl Strategy<Value = StorageEnvelope> {
    (envelope(space), any::<u64>()).prop_map(|(envelope, store)| StorageEnvelope { envelope, store })
}

pub fn refusal(space: Space) -> impl Strategy<Value = Refusal> {
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

fn hop(space: Space) -> impl Strategy<Value = Hop> {
    let via = prop_oneof![
        Just(Via::Owner),
        Just(Via::Successor),
        Just(Via::Finger),
        Just(Via::Leaf),
        Just(Via::Prefix),
        Just(Via::Rare),
        Just(Via::Contact),
        Just(Via::Group),
        Just(Via::Cache),
    ];
    (peer(space), via).prop_map(|(peer, via)| Hop { peer, via })
}

fn route(space: Space) -> impl Strategy<Value = Route> {
    prop_oneof![
        (vec(hop(space), 1..4), option::of(range(space))).prop_map(|(hops, arc)| Route::Owners { hops, arc }),
        vec(hop(space), 1..4).prop_map(Route::Closer),
    ]
}

fn settings() -> impl Strategy<Value = Settings> {
    vec(("[a-z]{1,8}", ".{0,8}"), 0..4).prop_map(Settings)
}

fn hello_state() -> impl Strategy<Value = HelloState> {
    use HelloState::{Joining, Leaving, Ready, Searching};
    prop_oneof![Just(Searching), Just(Joining), Just(Ready), Just(Leaving)]
}

pub fn overlay_request(space: Space) -> impl Strategy<Value = overlay::Request<Chord>> {
    let hello = (settings(), hello_state(), option::of(ring_id(space)));
    prop_oneof![
        hello.prop_map(|(settings, state, disk_ring)| overlay::Request::Hello(Hello { settings, state, disk_ring })),
        Just(overlay::Request::Depart(Departure::Leave)),
        Just(overlay::Request::Depart(Departure::Stop)),
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
pub fn overlay_response(space: Space) -> impl Strategy<Value = (&'static str, overlay::Response<Chord>)> {
    let chord = |path, response| (path, overlay::Response::Protocol(response));
    prop_oneof![
        hello_reply(space).prop_map(|reply| ("/dht.v1.Membership/Hello", overlay::Response::Hello(reply))),
        Just(("/dht.v1.Membership/Depart", overlay::Response::Departed)),
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

pub fn set(space: Space) -> impl Strategy<Value = Set> {
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
    (range(space), set(space), option::of(ballot(space)), accepted, any::<bool>()).prop_map(
        |(range, set, promised, accepted, synced)| Piece { range, set, promised, accepted, synced },
    )
}

pub fn control_request(space: Space) -> impl Strategy<Value = replica::Request> {
    use replica::Request;
    prop_oneof![
        (range(space), vec(piece(space), 0..3)).prop_map(|(range, known)| Request::Sets { range, known }),
        (range(space), any::<u64>(), ballot(space))
            .prop_map(|(range, after, ballot)| Request::Prepare { range, after, ballot }),
        (range(space), any::<u64>(), ballot(space), set(space))
            .prop_map(|(range, after, ballot, set)| Request::Accept { range, after, ballot, set }),
        (range(space), set(space), option::of(set(space)))
            .prop_map(|(range, set, before)| Request::Install { range, set, before }),
        (range(space), set(space)).prop_map(|(range, set)| Request::Learn { range, set }),
        (range(space), any::<u64>()).prop_map(|(range, number)| Request::Register { range, number }),
        (range(space), any::<u64>()).prop_map(|(range, number)| Request::Synced { range, number }),
        Just(Request::Leaving),
    ]
}

pub fn control_response(space: Space) -> impl Strategy<Value = replica::Response> {
    let answer = prop_oneof![
        vec(piece(space), 0..3).prop_map(Answer::Pieces),
        option::of((ballot(space), set(space))).prop_map(|accepted| Answer::Promised { accepted }),
        Just(Answer::Accepted),
        Just(Answer::Done),
        Just(Answer::Learning),
        any::<u64>().prop_map(|number| Answer::Learnt { number }),
        ".{0,20}".prop_map(Answer::No),
    ];
    (member(space), any::<bool>(), answer).prop_map(|(me, leaving, answer)| replica::Response { me, leaving, answer })
}

fn record() -> impl Strategy<Value = Record> {
    prop_oneof![
        (key(), version(), moment(), value()).prop_map(|(key, version, expires_at_ms, value)| Record {
            key,
            version,
            expires_at_ms,
            value: Some(value)
        }),
        (key(), version()).prop_map(|(key, version)| Record::tombstone(key, version)),
    ]
}

fn condition() -> impl Strategy<Value = Option<Condition>> {
    option::of(prop_oneof![version().prop_map(Condition::IfVersion), Just(Condition::IfAbsent)])
}

pub fn execute() -> impl Strategy<Value = Execute> {
    let operation = prop_oneof![
        (key(), value(), moment(), condition())
            .prop_map(|(key, value, ttl_ms, condition)| Operation::Put { key, value, ttl_ms, condition }),
        key().prop_map(|key| Operation::Get { key }),
        (key(), condition()).prop_map(|(key, condition)| Operation::Delete { key, condition }),
    ];
    (operation, any::<u32>())
        .prop_map(|(operation, ms)| Execute { operation, budget: Duration::from_millis(ms.into()) })
}

fn acks(space: Space) -> impl Strategy<Value = Vec<Ack>> {
    vec((id(space), addr(), any::<bool>()).prop_map(|(id, addr, durable)| Ack { id, addr, durable }), 0..4)
}

fn not_primary(space: Space) -> impl Strategy<Value = NotPrimary> {
    (option::of(peer(space)), option::of(range(space))).prop_map(|(primary, range)| NotPrimary { primary, range })
}

pub fn outcome(space: Space) -> impl Strategy<Value = Outcome> {
    let reason =
        prop_oneof![Just(Reason::Joining), Just(Reason::Quorum), Just(Reason::Unreachable), Just(Reason::Leaving)];
    prop_oneof![
        (version(), acks(space), id(space)).prop_map(|(version, acks, id)| Outcome::Put { version, acks, id }),
        (value(), version(), moment(), peer(space), id(space)).prop_map(
            |(value, version, expires_at_ms, served_by, id)| Outcome::Get {
                value,
                version,
                expires_at_ms,
                served_by,
                id
            }
        ),
        (version(), acks(space), id(space)).prop_map(|(version, acks, id)| Outcome::Delete { version, acks, id }),
        Just(Outcome::Absent),
        option::of(version()).prop_map(|current| Outcome::ConditionFailed { current }),
        not_primary(space).prop_map(Outcome::NotPrimary),
        (reason, ".{0,20}", any::<bool>()).prop_map(|(reason, message, outcome_unknown)| Outcome::Unavailable {
            reason,
            message,
            outcome_unknown
        }),
    ]
}

fn newer(space: Space) -> impl Strategy<Value = NewerSet> {
    (range(space), set(space)).prop_map(|(range, set)| NewerSet { range, set })
}

pub fn store() -> impl Strategy<Value = Store> {
    (any::<u64>(), any::<u64>(), record()).prop_map(|(holder, number, record)| Store { holder, number, record })
}

pub fn store_reply(space: Space) -> impl Strategy<Value = StoreReply> {
    prop_oneof![
        any::<bool>().prop_map(|durable| StoreReply::Stored { durable }),
        version().prop_map(StoreReply::Superseded),
        newer(space).prop_map(StoreReply::NewerSet),
    ]
}

pub fn read() -> impl Strategy<Value = Read> {
    (any::<u64>(), any::<u64>(), key(), option::of(version()))
        .prop_map(|(holder, number, key, have)| Read { holder, number, key, have })
}

pub fn read_reply(space: Space) -> impl Strategy<Value = ReadReply> {
    prop_oneof![
        Just(ReadReply::Absent),
        version().prop_map(ReadReply::Version),
        record().prop_map(ReadReply::Record),
        newer(space).prop_map(ReadReply::NewerSet),
    ]
}

fn cursor(space: Space) -> impl Strategy<Value = Cursor> {
    (id(space), key()).prop_map(|(id, key)| Cursor { id, key })
}

fn listed() -> impl Strategy<Value = Vec<Listed>> {
    vec((key(), version()).prop_map(|(key, version)| Listed { key, version }), 0..4)
}

pub fn list(space: Space) -> impl Strategy<Value = List> {
    (any::<u64>(), range(space), set(space), option::of(cursor(space)), any::<u32>())
        .prop_map(|(holder, range, set, after, limit)| List { holder, range, set, after, limit })
}

pub fn list_reply(space: Space) -> impl Strategy<Value = ListReply> {
    (listed(), option::of(cursor(space)), option::of(newer(space)))
        .prop_map(|(entries, next, newer)| ListReply { entries, next, newer })
}

pub fn fetch() -> impl Strategy<Value = Fetch> {
    (any::<u64>(), vec(key(), 0..4)).prop_map(|(holder, keys)| Fetch { holder, keys })
}

pub fn fetch_reply() -> impl Strategy<Value = FetchReply> {
    (vec(record(), 0..4), any::<u32>()).prop_map(|(records, taken)| FetchReply { records, taken })
}

pub fn offer() -> impl Strategy<Value = Offer> {
    (listed(), vec(record(), 0..4)).prop_map(|(entries, records)| Offer { entries, records })
}

pub fn offer_reply(space: Space) -> impl Strategy<Value = OfferReply> {
    (vec(any::<u32>(), 0..4), vec(any::<u32>(), 0..4), option::of(not_primary(space)))
        .prop_map(|(wanted, confirmed, not_primary)| OfferReply { wanted, confirmed, not_primary })
}
