//! What must hold in a ring, judged over every member's table.
//!
//! Delivery rests on the leaf sets: each is exactly the next members on either side, and with that symmetric, and
//! the keys that the members own cover the circle once. The routing table has to be right (§2.1: its nodes share the row's digits)
//! and complete: a place that some member could fill is not empty. Which of several nodes has a place is a matter of
//! distance, and not judged. A node on its way in or out may be in tables or not.

use std::collections::BTreeSet;

use overlay::Peer;
use overlay::inspect::{Inspected, Inspection, Standing, Verdict, dead_entries, short, short_arc};
use ring::{Id, Range};

use crate::{Config, Table};

type Member = Inspected<Table>;

pub(crate) fn judge(ring: &Inspection<'_, Table>, verdict: &mut Verdict) {
    let order: Vec<Id> = ring.members.iter().map(|member| member.me.id).collect();
    for (place, member) in ring.members.iter().enumerate() {
        let (before, after) = order.split_at(place);
        let larger: Vec<Id> = after.iter().skip(1).chain(before).copied().collect();
        let smaller: Vec<Id> = larger.iter().rev().copied().collect();
        leaf_set(ring, member, ("smaller", &member.table.smaller), &smaller, verdict);
        leaf_set(ring, member, ("larger", &member.table.larger), &larger, verdict);
        symmetric(ring, member, verdict);
        dead_entries(ring, member.me.id, entries(&member.table), verdict);
        prefixes(member, verdict);
        filled(member, &order, verdict);
    }
    owned_once(ring, verdict);
}

/// A side of a leaf set is the next members on that side, |L|/2 of them or as many as there are.
fn leaf_set(
    ring: &Inspection<'_, Table>,
    member: &Member,
    (side, leaves): (&str, &[Peer]),
    expected: &[Id],
    verdict: &mut Verdict,
) {
    let found: Vec<Id> = ready(ring, leaves).collect();
    let wrong = found.iter().enumerate().find(|(place, id)| expected.get(*place) != Some(*id));
    if let Some((place, found)) = wrong {
        let should = expected.get(place).map_or_else(|| "nobody".to_owned(), |id| short(*id));
        let detail = format!("{side} leaf {} is {}, should be {should}", place + 1, short(*found));
        return verdict.add(member.me.id, "leaf_set", detail);
    }
    let count = expected.len().min(member.table.leaf_set as usize / 2);
    if leaves.len() < count {
        let detail = format!("has {} {side} leaves, should have {count}", leaves.len());
        verdict.add(member.me.id, "leaf_set", detail);
    }
}

/// Whoever is somebody's larger leaf has it as a smaller leaf, and the other way round.
fn symmetric(ring: &Inspection<'_, Table>, member: &Member, verdict: &mut Verdict) {
    for other in ring.members.iter().filter(|other| other.me.id != member.me.id) {
        let sides = [
            ("larger", &member.table.larger, "smaller", &other.table.smaller),
            ("smaller", &member.table.smaller, "larger", &other.table.larger),
        ];
        for (side, mine, back, theirs) in sides {
            let all_ready = ready(ring, theirs).count() == theirs.len();
            if all_ready && names(mine, other.me.id) && !names(theirs, member.me.id) {
                let other = short(other.me.id);
                let detail = format!("has {other} as a {side} leaf, which does not have it as a {back} one");
                verdict.add(member.me.id, "symmetric_leaf_sets", detail);
            }
        }
    }
}

/// An entry shares exactly the digits of its row, and goes on with its own.
fn prefixes(member: &Member, verdict: &mut Verdict) {
    for (row, digit, node) in places(&member.table) {
        if slot(member, node.id) != (row, digit) {
            let detail = format!("row {row}, digit {digit:x} is {}, which does not belong there", short(node.id));
            verdict.add(member.me.id, "prefix", detail);
        }
    }
}

/// No place is empty that a ready member could fill.
fn filled(member: &Member, order: &[Id], verdict: &mut Verdict) {
    let mut taken: BTreeSet<(u32, u32)> = places(&member.table).map(|(row, digit, _)| (row, digit)).collect();
    for &other in order.iter().filter(|other| **other != member.me.id) {
        let (row, digit) = slot(member, other);
        if taken.insert((row, digit)) {
            let detail = format!("row {row}, digit {digit:x} is empty, though {} belongs there", short(other));
            verdict.add(member.me.id, "filled_table", detail);
        }
    }
}

/// The members' arcs follow each other round the circle. A newcomer's keys may be nobody's for a moment.
fn owned_once(ring: &Inspection<'_, Table>, verdict: &mut Verdict) {
    let mut arcs: Vec<(Range, Id)> = Vec::new();
    for member in ring.members {
        arcs.extend(member.owns.iter().map(|range| (*range, member.me.id)));
    }
    arcs.sort_by_key(|(range, _)| (range.upto, range.after));
    if arcs.is_empty() {
        for member in ring.members {
            verdict.add(member.me.id, "owned_once", "owns nothing, nor does anybody else".to_owned());
        }
        return;
    }
    let moving =
        |gap: Range| ring.answered.iter().any(|(id, (_, standing))| *standing == Standing::Moving && gap.contains(*id));
    let next = arcs.iter().cycle().skip(1);
    for ((arc, owner), (following, next_owner)) in arcs.iter().zip(next) {
        let alone = arcs.len() == 1 && arc.is_full();
        if following.after == arc.upto && (alone || !arc.is_full()) {
            continue;
        }
        if following.contains(arc.upto) && arcs.len() > 1 {
            let also = short(*next_owner);
            let detail = format!("{} is owned by {also} as well: {}", short_arc(*arc), short_arc(*following));
            verdict.add(*owner, "owned_once", detail);
        } else if !moving(Range::new(arc.upto, following.after)) {
            let detail = format!("nobody owns {}", short_arc(Range::new(arc.upto, following.after)));
            verdict.add(*owner, "owned_once", detail);
        }
    }
}

/// The ready ones of these.
fn ready(ring: &Inspection<'_, Table>, peers: &[Peer]) -> impl Iterator<Item = Id> {
    peers.iter().filter(|peer| ring.standing(peer) == Standing::Ready).map(|peer| peer.id)
}

fn names(peers: &[Peer], id: Id) -> bool {
    peers.iter().any(|peer| peer.id == id)
}

/// Row and digit of a node in a member's table.
fn slot(member: &Member, id: Id) -> (u32, u32) {
    let bits = member.table.digit_bits.clamp(1, Config::DIGIT_BITS_MAX);
    let row = member.me.id.shared_digits(id, bits);
    (row, id.digit(row, bits))
}

fn places(table: &Table) -> impl Iterator<Item = (u32, u32, &Peer)> {
    table.rows.iter().flat_map(|row| row.entries.iter().map(|entry| (row.row, entry.digit, &entry.node)))
}

/// What must not name the dead, with its place in words. The neighbourhood set is a memory of who was near.
fn entries(table: &Table) -> impl Iterator<Item = (String, &Peer)> {
    let smaller = (1..).zip(&table.smaller).map(|(place, peer)| (format!("smaller leaf {place}"), peer));
    let larger = (1..).zip(&table.larger).map(|(place, peer)| (format!("larger leaf {place}"), peer));
    let rows = places(table).map(|(row, digit, peer)| (format!("row {row}, digit {digit:x}"), peer));
    smaller.chain(larger).chain(rows)
}

#[cfg(test)]
mod tests;
