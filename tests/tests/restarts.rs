//! Daemons that come back: one, the seed, and all of them in every order.

use std::time::Duration;

use harness::{Cluster, Signal, records};

const SETTLE: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(30);

/// Identifier and incarnation of every member.
fn lives(cluster: &Cluster, through: usize) -> Vec<(String, u64)> {
    let members = cluster.members(through).expect("a ring");
    members.into_iter().map(|member| (member.id, member.incarnation)).collect()
}

fn incarnation(cluster: &Cluster, through: usize, id: &str) -> u64 {
    let lives = lives(cluster, through);
    let life = lives.iter().find(|(member, _)| member == id);
    life.expect("a member").1
}

#[test]
fn a_node_killed_alone_comes_back_on_its_disk_with_every_record() {
    let mut cluster = Cluster::named("alone").durable().start();
    let records = records("alone", 200);
    for stored in cluster.put_all(&records) {
        assert!(stored.durable, "{stored:?} is not on disk");
    }
    let id = cluster.nodes[0].id().to_owned();
    let before = incarnation(&cluster, 0, &id);
    cluster.nodes[0].kill();
    cluster.launch_all([0]);
    assert_eq!(cluster.nodes[0].id(), id);
    assert!(incarnation(&cluster, 0, &id) > before);
    cluster.assert_readable(&records);
}

#[test]
fn a_member_killed_and_restarted_is_the_same_node_in_a_newer_life_with_its_records() {
    let mut cluster = Cluster::named("restart").nodes(5).durable().start();
    let records = records("restart", 200);
    cluster.put_all(&records);
    cluster.await_copies(&records, SETTLE);
    let id = cluster.nodes[3].id().to_owned();
    let before = incarnation(&cluster, 0, &id);
    cluster.nodes[3].kill();
    cluster.launch_all([3]);
    assert_eq!(cluster.nodes[3].id(), id);
    cluster.await_one_ring(SETTLE);
    assert!(incarnation(&cluster, 0, &id) > before);
    cluster.await_copies(&records, SETTLE);
    cluster.assert_readable(&records);
}

#[test]
fn a_seed_restarted_on_its_disk_is_in_its_old_ring_when_it_says_ready() {
    let mut cluster = Cluster::named("seed-disk").nodes(5).durable().start();
    let records = records("seed", 200);
    cluster.put_all(&records);
    cluster.await_copies(&records, SETTLE);
    let ring = cluster.dht(1, &["status"]).json()["ring"].clone();
    cluster.nodes[0].kill();
    // It has no seed of its own: only its disk knows the others.
    cluster.launch_all([0]);
    assert_eq!(cluster.dht(0, &["status"]).json()["ring"], ring);
    cluster.await_readable(&records, Duration::from_secs(15));
    cluster.await_one_ring(SETTLE);
    cluster.await_copies(&records, SETTLE);
}

#[test]
fn a_seed_restarted_without_a_disk_or_seeds_is_in_its_old_ring_within_thirty_seconds() {
    let mut cluster = Cluster::named("seed-memory").nodes(5).alone().start();
    let records = records("seed", 200);
    cluster.put_all(&records);
    cluster.await_copies(&records, SETTLE);
    cluster.nodes[0].kill();
    cluster.launch_all([0]);
    cluster.await_one_ring(Duration::from_secs(30));
    cluster.await_readable(&records, Duration::from_secs(15));
    cluster.await_copies(&records, SETTLE);
}

#[test]
fn a_seed_restarted_without_a_disk_but_with_seeds_joins_its_old_ring() {
    let mut cluster = Cluster::named("seed-seeds").nodes(4).start();
    let records = records("seed", 100);
    cluster.put_all(&records);
    cluster.await_copies(&records, SETTLE);
    let ring = cluster.dht(1, &["status"]).json()["ring"].clone();
    cluster.nodes[0].kill();
    cluster.set_seeds(0, &[2, 3]);
    cluster.launch_all([0]);
    assert_eq!(cluster.dht(0, &["status"]).json()["ring"], ring);
    cluster.await_one_ring(Duration::from_secs(30));
    cluster.await_copies(&records, SETTLE);
    cluster.assert_readable(&records);
}

/// A durable ring of five with 300 records, every one with its copies.
fn durable_five(name: &str) -> (Cluster, Vec<harness::Record>) {
    let mut cluster = Cluster::named(name).nodes(5).durable().start();
    let records = records("kept", 300);
    cluster.put_all(&records);
    cluster.await_copies(&records, SETTLE);
    (cluster, records)
}

/// Asserts that the ring is the one of before, with every record and nobody's life older than it was.
fn assert_the_old_ring(cluster: &mut Cluster, records: &[harness::Record], before: &[(String, u64)]) {
    cluster.await_one_ring(SETTLE);
    cluster.await_readable(records, Duration::from_secs(30));
    cluster.await_copies(records, SETTLE);
    for (id, life) in before {
        assert!(incarnation(cluster, 0, id) > *life, "{id} in an older life");
    }
}

#[test]
fn all_stopped_and_started_at_once_are_the_old_ring() {
    let (mut cluster, records) = durable_five("all-at-once");
    let before = lives(&cluster, 0);
    cluster.signal_all(&[0, 1, 2, 3, 4], Signal::TERM);
    for index in 0..5 {
        assert_eq!(cluster.nodes[index].wait_exit(STOP), 0);
    }
    cluster.launch_all([3, 1, 4, 0, 2]);
    assert_the_old_ring(&mut cluster, &records, &before);
}

#[test]
fn all_killed_at_once_and_started_at_once_are_the_old_ring() {
    let (mut cluster, records) = durable_five("all-killed");
    let before = lives(&cluster, 0);
    cluster.kill_all(&[0, 1, 2, 3, 4]);
    cluster.launch_all([2, 4, 0, 1, 3]);
    assert_the_old_ring(&mut cluster, &records, &before);
}

#[test]
fn stopped_one_by_one_and_started_one_by_one_in_the_same_order_they_are_the_old_ring() {
    let (mut cluster, records) = durable_five("one-by-one");
    let before = lives(&cluster, 0);
    for index in 0..5 {
        assert_eq!(cluster.nodes[index].terminate(STOP), 0);
    }
    for index in 0..5 {
        // The first finds nobody and takes the ring up alone.
        cluster.launch_all([index]);
    }
    assert_the_old_ring(&mut cluster, &records, &before);
}

#[test]
fn stopped_one_by_one_and_started_in_the_opposite_order_they_are_the_old_ring() {
    let (mut cluster, records) = durable_five("opposite");
    let before = lives(&cluster, 0);
    for index in 0..5 {
        assert_eq!(cluster.nodes[index].terminate(STOP), 0);
    }
    for index in (0..5).rev() {
        cluster.launch_all([index]);
    }
    assert_the_old_ring(&mut cluster, &records, &before);
}

#[test]
fn a_rolling_restart_loses_nothing() {
    let (mut cluster, records) = durable_five("rolling");
    let before = lives(&cluster, 0);
    for index in 0..5 {
        assert_eq!(cluster.nodes[index].terminate(STOP), 0);
        cluster.await_readable(&records, Duration::from_secs(15));
        cluster.launch_all([index]);
        cluster.await_one_ring(SETTLE);
    }
    assert_the_old_ring(&mut cluster, &records, &before);
}
