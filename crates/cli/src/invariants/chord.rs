//! Chord: one ordered ring. Correctness rests on successor lists and predecessors (Zave 2017); fingers only shorten lookups,
//! so one that is not at the nearest node counts as a detour, and one that names a dead node as a dead entry.

use std::collections::{BTreeMap, BTreeSet};

use ring::Id;

use super::{Standing, Standings, Verdict, by_ring, name};
use crate::survey::{ChordTable, Named, Overlay, Report, Table};

/// A ready member of one ring, with its table.
struct Node<'a> {
    id: Id,
    table: &'a ChordTable,
    /// Its successor list down to ready members, up to where it comes round to itself.
    successors: Vec<Id>,
}

pub(super) fn judge(overlay: &Overlay, verdict: &mut Verdict) {
    let standings = Standings::new(overlay);
    for reports in by_ring(overlay).values() {
        let mut nodes = Vec::new();
        for report in reports {
            match &report.table {
                Some(Table::Chord(table)) => nodes.push(Node::new(report, table, &standings)),
                None => verdict.add(report.me.id, "table", "shows no Chord table".to_owned()),
            }
        }
        // The members of one ring are judged as a ring of their own, in ring order.
        let order: Vec<Id> = nodes.iter().map(|node| node.id).collect();
        one_ring(&nodes, verdict);
        for (place, node) in nodes.iter().enumerate() {
            ordered_successors(node, &expected_after(&order, place), verdict);
            predecessor(node, &order, place, &standings, verdict);
            dead_entries(node, &standings, verdict);
            verdict.detours += detours(node, &order, &standings);
        }
    }
}

impl<'a> Node<'a> {
    fn new(report: &Report, table: &'a ChordTable, standings: &Standings<'_>) -> Self {
        let id = report.me.id;
        let before_itself = table.successors.iter().take_while(|peer| peer.id != id);
        let ready = before_itself.filter(|peer| standings.of(peer) == Standing::Ready);
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
        let (start_name, at) = (name(start), name(at));
        let detail = format!("following successors from {start_name} leads to {at} and not back");
        verdict.add(start, "one_ring", detail);
    }
    for node in nodes.iter().filter(|node| !visited.contains(&node.id)) {
        verdict.add(node.id, "one_ring", format!("is not reached by following successors from {}", name(start)));
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
        let should = expected.get(place).map_or_else(|| "the end of the list".to_owned(), |id| name(*id));
        let found = name(*found);
        let detail = format!("successor {} is {found}, should be {should}", place + 1);
        verdict.add(node.id, "ordered_successors", detail);
    }
}

/// A member's predecessor is the member before it; alone it has none, or itself.
fn predecessor(node: &Node<'_>, order: &[Id], place: usize, standings: &Standings<'_>, verdict: &mut Verdict) {
    let found = node.table.predecessor.as_ref();
    // A node on its way in or out may stand between.
    if found.is_some_and(|found| standings.of(found) == Standing::Moving) {
        return;
    }
    let found = found.map(|found| found.id);
    let alone = order.len() == 1;
    let before = order.iter().cycle().nth(place + order.len() - 1).copied();
    if found != before && !(alone && found.is_none()) {
        let show = |id: Option<Id>| id.map_or_else(|| "unknown".to_owned(), name);
        verdict.add(node.id, "predecessor", format!("is {}, should be {}", show(found), show(before)));
    }
}

/// No table names a node that is gone.
fn dead_entries(node: &Node<'_>, standings: &Standings<'_>, verdict: &mut Verdict) {
    let mut dead: BTreeMap<Id, Vec<String>> = BTreeMap::new();
    let mut look = |named: &Named, place: String| {
        if named.id != node.id && standings.of(named) == Standing::Dead {
            dead.entry(named.id).or_default().push(place);
        }
    };
    if let Some(named) = &node.table.predecessor {
        look(named, "predecessor".to_owned());
    }
    for (place, named) in node.table.successors.iter().enumerate() {
        look(named, format!("successor {}", place + 1));
    }
    for (place, (_, named)) in node.table.fingers.iter().enumerate() {
        if let Some(named) = named {
            look(named, format!("finger {}", place + 1));
        }
    }
    for (id, places) in dead {
        let more = places.len().saturating_sub(3);
        let mut named_as = places.into_iter().take(3).collect::<Vec<_>>().join(", ");
        if more > 0 {
            named_as.push_str(&format!(" and {more} more"));
        }
        verdict.add(node.id, "dead_entry", format!("names {}, which is gone, as {named_as}", name(id)));
    }
}

/// Fingers that are not at the first ready member at or after their start. Dead ones are told elsewhere.
fn detours(node: &Node<'_>, order: &[Id], standings: &Standings<'_>) -> usize {
    let nearest = |start: Id| order.iter().find(|id| **id >= start).or(order.first()).copied();
    let detour = |(start, named): &&(Id, Option<Named>)| match named {
        None => nearest(*start) != Some(node.id),
        Some(named) => standings.of(named) == Standing::Ready && Some(named.id) != nearest(*start),
    };
    node.table.fingers.iter().filter(detour).count()
}

#[cfg(test)]
mod tests;
