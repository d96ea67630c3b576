//! Two rings that were started apart, and what happens when they hear of each other.

use std::time::Duration;

use harness::{Cluster, Record, eventually, get_all, records};

const SETTLE: Duration = Duration::from_secs(60);

/// From the moment on when one has heard of the other.
const MEET: Duration = Duration::from_secs(30);

/// Two rings of three in one cluster's directory: 0, 1, 2 and, started later, 3, 4, 5; each with its records.
fn two_rings(name: &str, durable: bool) -> (Cluster, Vec<Record>) {
    let builder = Cluster::named(name).alone();
    let builder = if durable { builder.durable() } else { builder };
    let mut cluster = builder.empty();
    let mut all = Vec::new();
    for (first, prefix) in [(0, "elder"), (3, "younger")] {
        cluster.declare(&[]);
        cluster.declare(&[first]);
        cluster.declare(&[first]);
        cluster.launch_all([first]);
        cluster.launch_all([first + 1, first + 2]);
        let ring = [first, first + 1, first + 2].map(|index| cluster.address(index));
        await_ring_of_three(&cluster, first);
        let records = records(prefix, 150);
        harness::put_all(&ring, &records);
        all.extend(records);
    }
    (cluster, all)
}

fn await_ring_of_three(cluster: &Cluster, first: usize) {
    eventually("a ring of three", SETTLE, || {
        for index in first..first + 3 {
            let members = cluster.members(index)?;
            if members.len() != 3 || members.iter().any(|member| member.state != "ready") {
                return Err(format!("{members:?}"));
            }
        }
        cluster.check(first)
    });
}

/// Waits until the six are one ring, and every record of both can be read. A record of the younger ring may be
/// missed while it moves, but not in the end.
fn assert_one_ring_with_everything(cluster: &mut Cluster, records: &[Record]) {
    let took = cluster.await_one_ring(MEET);
    println!("one ring after {took:?}");
    let addrs = cluster.up_addrs();
    eventually("the records of both rings", MEET.saturating_sub(took), || get_all(&addrs, records, 0).whole());
    cluster.await_copies(records, SETTLE);
    cluster.assert_readable(records);
}

#[test]
fn two_rings_that_are_pointed_at_each_other_become_one_with_the_records_of_both() {
    let (mut cluster, records) = two_rings("meet", false);
    // Any node of the one, any of the other; here the elder is told of the younger.
    let outcome = cluster.dht(1, &["join", &cluster.address(5)]).json();
    assert!(outcome.is_object(), "{outcome}");
    assert_one_ring_with_everything(&mut cluster, &records);
}

#[test]
fn the_younger_ring_can_be_the_one_that_is_told() {
    let (mut cluster, records) = two_rings("meet-younger", false);
    cluster.dht(4, &["join", &cluster.address(0)]).json();
    assert_one_ring_with_everything(&mut cluster, &records);
}

#[test]
fn a_restart_with_the_other_rings_address_brings_both_together() {
    let (mut cluster, records) = two_rings("meet-restart", true);
    assert_eq!(cluster.nodes[4].terminate(SETTLE), 0);
    cluster.set_seeds(4, &[3, 1]);
    cluster.launch_all([4]);
    assert_one_ring_with_everything(&mut cluster, &records);
}
