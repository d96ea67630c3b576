//! Any request and reply about records.

use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use ring::Space;
use store::{Cursor, Record};
use wire::records::*;

use super::{addr, id, key, member, moment, peer, range, set, value, version};

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

fn consistency() -> impl Strategy<Value = Consistency> {
    prop_oneof![Just(Consistency::Default), Just(Consistency::One), Just(Consistency::Quorum), Just(Consistency::All),]
}

pub(crate) fn execute() -> impl Strategy<Value = Execute> {
    let operation = prop_oneof![
        (key(), value(), moment(), condition(), consistency()).prop_map(
            |(key, value, ttl_ms, condition, consistency)| Operation::Put {
                key,
                value,
                ttl_ms,
                condition,
                consistency
            }
        ),
        (key(), consistency()).prop_map(|(key, consistency)| Operation::Get { key, consistency }),
        (key(), condition(), consistency()).prop_map(|(key, condition, consistency)| Operation::Delete {
            key,
            condition,
            consistency
        }),
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
    let reason = prop_oneof![
        Just(Reason::Joining),
        Just(Reason::Quorum),
        Just(Reason::ReadOnly),
        Just(Reason::Unreachable),
        Just(Reason::Leaving),
    ];
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

pub(crate) fn hint(space: Space) -> impl Strategy<Value = Hint> {
    (member(space), any::<u64>(), record()).prop_map(|(member, number, record)| Hint { member, number, record })
}

pub(crate) fn look() -> impl Strategy<Value = Look> {
    key().prop_map(|key| Look { key })
}

fn sight(space: Space) -> impl Strategy<Value = Sight> {
    use Part::{Member, Newcomer, Outside, Primary, TakingOver};
    let part = prop_oneof![Just(Primary), Just(TakingOver), Just(Member), Just(Newcomer), Just(Outside)];
    let members = || vec(member(space), 0..4);
    (range(space), set(space), part, any::<(bool, bool)>(), members(), members()).prop_map(
        |(range, set, part, (settled, fenced), learners, missing)| Sight {
            range,
            set,
            part,
            settled,
            fenced,
            learners,
            missing,
        },
    )
}

fn held() -> impl Strategy<Value = Held> {
    (version(), any::<bool>(), moment()).prop_map(|(version, tombstone, expires_at_ms)| Held {
        version,
        tombstone,
        expires_at_ms,
    })
}

pub(crate) fn look_reply(space: Space) -> impl Strategy<Value = LookReply> {
    (option::of(sight(space)), option::of(held()), any::<bool>(), any::<u64>(), any::<bool>())
        .prop_map(|(sight, held, durable, store, read_only)| LookReply { sight, held, durable, store, read_only })
}

pub(crate) fn digest(space: Space) -> impl Strategy<Value = Digest> {
    (any::<u64>(), range(space), set(space), vec(range(space), 0..4), 1u32..=4_096)
        .prop_map(|(holder, range, set, cuts, parts)| Digest { holder, range, set, cuts, parts })
}

fn digests() -> impl Strategy<Value = Vec<store::Digest>> {
    let sum = prop_oneof![Just(0), any::<u128>()];
    vec((any::<u64>(), sum).prop_map(|(count, sum)| store::Digest { count, sum }), 0..4)
}

pub(crate) fn digest_reply(space: Space) -> impl Strategy<Value = DigestReply> {
    (digests(), option::of(newer(space)), any::<u64>()).prop_map(|(digests, newer, horizon)| DigestReply {
        digests,
        newer,
        horizon,
    })
}

pub(crate) fn forget() -> impl Strategy<Value = Forget> {
    (any::<u64>(), any::<u64>(), listed(), option::of(any::<u64>()))
        .prop_map(|(holder, number, entries, horizon)| Forget { holder, number, entries, horizon })
}

pub(crate) fn forget_reply(space: Space) -> impl Strategy<Value = ForgetReply> {
    (vec(any::<u32>(), 0..4), option::of(newer(space))).prop_map(|(held, newer)| ForgetReply { held, newer })
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

pub(crate) fn fetch(space: Space) -> impl Strategy<Value = Fetch> {
    (any::<u64>(), range(space), any::<u64>(), vec(key(), 0..4)).prop_map(|(holder, range, number, keys)| Fetch {
        holder,
        range,
        number,
        keys,
    })
}

pub(crate) fn fetch_reply(space: Space) -> impl Strategy<Value = FetchReply> {
    (vec(record(), 0..4), any::<u32>(), option::of(newer(space))).prop_map(|(records, taken, newer)| FetchReply {
        records,
        taken,
        newer,
    })
}

pub(crate) fn offer() -> impl Strategy<Value = Offer> {
    (listed(), vec(record(), 0..4), any::<u64>()).prop_map(|(entries, records, held_at)| Offer {
        entries,
        records,
        held_at,
    })
}

pub(crate) fn offer_reply(space: Space) -> impl Strategy<Value = OfferReply> {
    let indexes = || vec(any::<u32>(), 0..4);
    (indexes(), indexes(), option::of(not_primary(space)), indexes()).prop_map(
        |(wanted, confirmed, not_primary, quarantined)| OfferReply { wanted, confirmed, not_primary, quarantined },
    )
}
