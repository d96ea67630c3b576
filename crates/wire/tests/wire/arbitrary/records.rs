//! Any request and reply about records.

use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use ring::Space;
use store::{Cursor, Record};
use wire::records::*;

use super::{addr, id, key, moment, peer, range, set, value, version};

fn record() -> impl Strategy<Value = Record> {
    prop_oneof![
        (key(), version(), moment(), value()).prop_map(|(key, version, expires_at_ms, value)| {
            Record { key, version, expires_at_ms, value: Some(value) }
        }),
        (key(), version()).prop_map(|(key, version)| Record::tombstone(key, version)),
    ]
}

fn condition() -> impl Strategy<Value = Option<Condition>> {
    option::of(prop_oneof![version().prop_map(Condition::IfVersion), Just(Condition::IfAbsent)])
}

pub(crate) fn execute() -> impl Strategy<Value = Execute> {
    let operation = prop_oneof![
        (key(), value(), moment(), condition())
            .prop_map(|(key, value, ttl_ms, condition)| { Operation::Put { key, value, ttl_ms, condition } }),
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

pub(crate) fn outcome(space: Space) -> impl Strategy<Value = Outcome> {
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
        (reason, ".{0,20}", any::<bool>()).prop_map(|(reason, message, outcome_unknown)| {
            Outcome::Unavailable { reason, message, outcome_unknown }
        }),
    ]
}

fn newer(space: Space) -> impl Strategy<Value = NewerSet> {
    (range(space), set(space)).prop_map(|(range, set)| NewerSet { range, set })
}

pub(crate) fn store() -> impl Strategy<Value = Store> {
    (any::<u64>(), any::<u64>(), record()).prop_map(|(holder, number, record)| Store { holder, number, record })
}

pub(crate) fn store_reply(space: Space) -> impl Strategy<Value = StoreReply> {
    prop_oneof![
        any::<bool>().prop_map(|durable| StoreReply::Stored { durable }),
        version().prop_map(StoreReply::Superseded),
        newer(space).prop_map(StoreReply::NewerSet),
    ]
}

pub(crate) fn read() -> impl Strategy<Value = Read> {
    (any::<u64>(), any::<u64>(), key(), option::of(version())).prop_map(|(holder, number, key, have)| Read {
        holder,
        number,
        key,
        have,
    })
}

pub(crate) fn read_reply(space: Space) -> impl Strategy<Value = ReadReply> {
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

pub(crate) fn list(space: Space) -> impl Strategy<Value = List> {
    (any::<u64>(), range(space), set(space), option::of(cursor(space)), any::<u32>())
        .prop_map(|(holder, range, set, after, limit)| List { holder, range, set, after, limit })
}

pub(crate) fn list_reply(space: Space) -> impl Strategy<Value = ListReply> {
    (listed(), option::of(cursor(space)), option::of(newer(space))).prop_map(|(entries, next, newer)| ListReply {
        entries,
        next,
        newer,
    })
}

pub(crate) fn fetch() -> impl Strategy<Value = Fetch> {
    (any::<u64>(), vec(key(), 0..4)).prop_map(|(holder, keys)| Fetch { holder, keys })
}

pub(crate) fn fetch_reply() -> impl Strategy<Value = FetchReply> {
    (vec(record(), 0..4), any::<u32>()).prop_map(|(records, taken)| FetchReply { records, taken })
}

pub(crate) fn offer() -> impl Strategy<Value = Offer> {
    (listed(), vec(record(), 0..4)).prop_map(|(entries, records)| Offer { entries, records })
}

pub(crate) fn offer_reply(space: Space) -> impl Strategy<Value = OfferReply> {
    (vec(any::<u32>(), 0..4), vec(any::<u32>(), 0..4), option::of(not_primary(space)))
        .prop_map(|(wanted, confirmed, not_primary)| OfferReply { wanted, confirmed, not_primary })
}
