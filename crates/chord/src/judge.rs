//! What must hold in a ring, judged over every member's table. Correctness rests on successor lists and predecessors
//! (Zave 2017); fingers only shorten lookups, so one that is not at the nearest node counts as a detour, and one that names
//! a dead node as a dead entry.

use std::collections::{BTreeMap, BTreeSet};

use overlay::Peer;
use overlay::inspect::{Inspected, Inspection, Standing, Verdict, dead_entries, short};
use ring::Id;

use crate::{Finger, Table};

/// A ready member of the ring.
struct Node<'a> {
    id: Id,
    table: &'a Table,
    /// Its successor list down to ready members, up to where it comes round to itself.
    successors: Vec<Id>,
}

pub(crate) fn judge(ring: &Inspection<'_, Table>, verdict: &mut Verdict) {
    let nodes: Vec<Node<'_>> = ring.members.iter().map(|member| Node::new(member, ring)).collect();
    let order: Vec<Id> = nodes.iter().map(|node| node.id).collect();
    one_ring(&nodes, verdict);
    for (place, node) in nodes.iter().enumerate() {
        ordered_successors(node, &expected_after(&order, place), verdict);
        predecessor(node, &order, place, ring, verdict);
        dead_entries(ring, node.id, entries(node.table), verdict);
        verdict.detours += detours(node, &order, ring);
    }
}

impl<'a> Node<'a> {
    fn new(member: &'a Inspected<Table>, ring: &Inspection<'_, Table>) -> Self {
        let (id, table) = (member.me.id, &member.table);
        let before_itself = table.successors.iter().take_while(|peer| peer.id != id);
        let ready = before_itself.filter(|peer| ring.standing(peer) == Standing::Ready);
        Self { id, table, successors: ready.map(|peer| peer.id).collect() }
    }
}

/// The other members, clockwise from the one at `place`.
fn expected_after(order: &[Id], place: usize) -> Vec<Id> {
    let (before, after) = order.split_at(place);
    after.iter().skip(1).chain(before).copied().collect()
}

/// Following first successors from any member visits all of them exactly once. Members that the walk from the first
/// one does not come by are in violation.
fn one_ring(nodes: &[Node<'_>], verdict: &mut Verdict) {
    let next: BTreeMap<Id, Option<Id>> = nodes.iter().map(|node| (node.id, node.successors.first().copied())).collect();
    let Some(start) = nodes.first().map(|node| node.id) else {
        return;
    };
    let mut visited = BTreeSet::from([start]);
    let mut at = start;
    while let Some(Some(successor)) = next.get(&at) {
        at = *successor;
        if !visited.insert(at) {
            break;
        }
    }
    if at != start {
        let (start_name, at) = (short(start), short(at));
        let detail = format!("following successors from {start_name} leads to {at} and not back");
        verdict.add(start, "one_ring", detail);
    }
    for node in nodes.iter().filter(|node| !visited.contains(&node.id)) {
        verdict.add(node.id, "one_ring", format!("is not reached by following successors from {}", short(start)));
    }
    if nodes.len() > 1 {
        for node in nodes.iter().filter(|node| node.successors.is_empty()) {
            verdict.add(node.id, "one_ring", "has no live successor".to_owned());
        }
    }
}

/// A list equals the next members in ring order, up to its length.
fn ordered_successors(node: &Node<'_>, expected: &[Id], verdict: &mut Verdict) {
    let wrong = node.successors.iter().enumerate().find(|(place, id)| expected.get(*place) != Some(*id));
    if let Some((place, found)) = wrong {
        let should = expected.get(place).map_or_else(|| "the end of the list".to_owned(), |id| short(*id));
        let found = short(*found);
        let detail = format!("successor {} is {found}, should be {should}", place + 1);
        verdict.add(node.id, "ordered_successors", detail);
    }
}

/// A member's predecessor is the member before it; alone it has none, or itself.
fn predecessor(node: &Node<'_>, order: &[Id], place: usize, ring: &Inspection<'_, Table>, verdict: &mut Verdict) {
    let found = node.table.predecessor.as_ref();
    // A node on its way in or out may stand between.
    if found.is_some_and(|found| ring.standing(found) == Standing::Moving) {
        return;
    }
    let found = found.map(|found| found.id);
    let alone = order.len() == 1;
    let before = order.iter().cycle().nth(place + order.len() - 1).copied();
    if found != before && !(alone && found.is_none()) {
        let show = |id: Option<Id>| id.map_or_else(|| "unknown".to_owned(), short);
        verdict.add(node.id, "predecessor", format!("is {}, should be {}", show(found), show(before)));
    }
}

/// Every entry of a table, with its place in words.
fn entries(table: &Table) -> impl Iterator<Item = (String, &Peer)> {
    let predecessor = table.predecessor.iter().map(|peer| ("predecessor".to_owned(), peer));
    let successors = (1..).zip(&table.successors).map(|(place, peer)| (format!("successor {place}"), peer));
    let fingers = (1..).zip(&table.fingers).filter_map(|(place, finger)| {
        let peer = finger.node.as_ref()?;
        Some((format!("finger {place}"), peer))
    });
    predecessor.chain(successors).chain(fingers)
}

/// Fingers that are not at the first ready member at or after their start. Dead ones are told elsewhere.
fn detours(node: &Node<'_>, order: &[Id], ring: &Inspection<'_, Table>) -> usize {
    let nearest = |start: Id| order.iter().find(|id| **id >= start).or(order.first()).copied();
    let detour = |finger: &&Finger| match &finger.node {
        None => nearest(finger.start) != Some(node.id),
        Some(named) => ring.standing(named) == Standing::Ready && Some(named.id) != nearest(finger.start),
    };
    node.table.fingers.iter().filter(detour).count()
}

#[cfg(test)]
mod tests;
