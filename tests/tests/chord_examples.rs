//! The worked examples of the Chord paper and of its courses, on real daemons: small circles, identifiers given by
//! hand, and a successor list of one, so that fingers alone lead the way.

use std::time::Duration;

use harness::{Cluster, Record, eventually, ids};
use serde_json::Value;

const SETTLE: Duration = Duration::from_secs(60);

/// One daemon for each of `nodes`, with the paper's bare tables.
fn bare_ring(name: &str, bits: u32, nodes: &[u64]) -> Cluster {
    Cluster::named(name).ids(bits, nodes).replicas(1).arg("--successors", "1").start()
}

/// Waits until every finger of every daemon is the true successor of its start.
fn await_true_fingers(cluster: &Cluster, bits: u32, nodes: &[u64]) {
    for (index, node) in nodes.iter().enumerate() {
        let expected = true_fingers(*node, bits, nodes);
        eventually(&format!("the fingers of {node}"), SETTLE, || {
            let fingers = fingers(&cluster.dht(index, &["table"]).json());
            if fingers == expected { Ok(()) } else { Err(format!("{fingers:?}, should be {expected:?}")) }
        });
    }
}

/// Start and node of each finger, by definition.
fn true_fingers(node: u64, bits: u32, nodes: &[u64]) -> Vec<(u64, u64)> {
    let successor = |start: u64| {
        let at_or_after = nodes.iter().copied().filter(|node| *node >= start).min();
        at_or_after.unwrap_or_else(|| nodes.iter().copied().min().expect("a node"))
    };
    (0..bits).map(|power| (node + (1 << power)) % (1 << bits)).map(|start| (start, successor(start))).collect()
}

/// Start and node of each finger, as `dht table` shows them.
fn fingers(table: &Value) -> Vec<(u64, u64)> {
    let fingers = table["fingers"].as_array().expect("fingers");
    fingers.iter().map(|finger| (number(&finger["start"]), number(&finger["node"]["id"]))).collect()
}

/// An identifier as a number; a node that is not known as one that there cannot be.
fn number(id: &Value) -> u64 {
    id.as_str().map_or(u64::MAX, |id| u64::from_str_radix(id, 16).expect("an id"))
}

/// The way to an identifier, as `dht lookup --id` shows it.
fn way(cluster: &Cluster, from: usize, target: u64, bits: u32) -> Vec<u64> {
    let lookup = cluster.dht(from, &["lookup", "--id", &ids::number(target, bits)]).json();
    let path = lookup["path"].as_array().expect("a path");
    assert_eq!(lookup["hops"], path.len() - 1, "{lookup}");
    assert_eq!(lookup["key"], Value::Null, "{lookup}");
    assert_eq!(path[0]["via"], Value::Null, "{lookup}");
    assert_eq!(path[0]["rtt_us"], Value::Null, "{lookup}");
    let way: Vec<u64> = path.iter().map(|step| number(&step["id"])).collect();
    assert_eq!(number(&lookup["owner"]["id"]), way[way.len() - 1]);
    way
}

/// Waits until a lookup goes this way. A node that was lately believed to be the owner redirects straight to its
/// predecessor; that is forgotten soon after the ring has formed.
#[track_caller]
fn await_way(cluster: &Cluster, target: u64, bits: u32, from: usize, expected: &[u64]) {
    let what = format!("the way to {target}, {expected:?}");
    eventually(&what, SETTLE, || {
        let way = way(cluster, from, target, bits);
        if way == expected { Ok(()) } else { Err(format!("{way:?}")) }
    });
}

/// One record for each identifier of the circle.
fn one_record_each(bits: u32) -> Vec<Record> {
    (0..1_u64 << bits)
        .map(|id| {
            let wanted = ids::number(id, bits);
            let key = ids::key_whose_id("record", bits, |id| id == wanted);
            let value = wanted.into_bytes();
            Record { key, value }
        })
        .collect()
}

const COURSE: [u64; 6] = [16, 32, 45, 80, 96, 112];

#[test]
fn in_the_courses_ring_of_seven_bits_fingers_lead_from_80_to_key_42() {
    let mut cluster = bare_ring("course", 7, &COURSE);
    await_true_fingers(&cluster, 7, &COURSE);

    let table = cluster.dht(3, &["table"]).json();
    assert_eq!(number(&table["id"]), 80);
    assert_eq!(number(&table["predecessor"]["id"]), 45);
    assert_eq!(number(&table["successors"][0]["id"]), 96);
    assert_eq!(table["successors"].as_array().map(Vec::len), Some(1));
    let nodes: Vec<u64> = fingers(&table).iter().map(|(_, node)| *node).collect();
    assert_eq!(nodes, [96, 96, 96, 96, 96, 112, 16]);
    await_way(&cluster, 42, 7, 3, &[80, 16, 32, 45]);
    // The node asked may be the owner itself.
    assert_eq!(way(&cluster, 2, 42, 7), [45]);

    // Then 40 joins: it takes 33 to 40 over from 45, becomes 32's successor, and 42 stays at 45.
    let records = one_record_each(7);
    cluster.put_all(&records);
    cluster.await_copies(&records, SETTLE);
    cluster.next_id(40);
    cluster.add(&[5]);
    cluster.await_one_ring(SETTLE);
    cluster.await_copies(&records, SETTLE);
    cluster.assert_readable(&records);
    let held = |id: u64, members: &[harness::Member]| {
        let id = ids::number(id, 7);
        let member = members.iter().find(|member| member.id == id);
        member.expect("a member").keys
    };
    let members = cluster.members(0).expect("a ring");
    assert_eq!(held(40, &members), 8);
    assert_eq!(held(45, &members), 5);
    let table = cluster.dht(1, &["table"]).json();
    assert_eq!(number(&table["successors"][0]["id"]), 40);
    for (target, owner) in [(33, 40), (40, 40), (41, 45), (42, 45)] {
        assert_eq!(way(&cluster, 3, target, 7).last(), Some(&owner));
    }
}

#[test]
fn with_a_whole_successor_list_80_knows_the_holder_of_42_itself() {
    let cluster = Cluster::named("course-list").ids(7, &COURSE).start();
    eventually("80's list of all others", SETTLE, || {
        let table = cluster.dht(3, &["table"]).json();
        let list: Vec<u64> =
            table["successors"].as_array().expect("a list").iter().map(|peer| number(&peer["id"])).collect();
        if list == [96, 112, 16, 32, 45] { Ok(()) } else { Err(format!("{list:?}")) }
    });
    assert_eq!(way(&cluster, 3, 42, 7), [80, 45]);
}

#[test]
fn in_the_papers_ring_of_six_bits_a_lookup_of_54_goes_from_8_by_42_and_51_to_56() {
    let nodes = [1, 8, 14, 21, 32, 38, 42, 48, 51, 56];
    let cluster = bare_ring("paper", 6, &nodes);
    await_true_fingers(&cluster, 6, &nodes);
    let table = cluster.dht(1, &["table"]).json();
    let found: Vec<u64> = fingers(&table).iter().map(|(_, node)| *node).collect();
    assert_eq!(found, [14, 14, 14, 21, 32, 42]);
    await_way(&cluster, 54, 6, 1, &[8, 42, 51, 56]);
}
