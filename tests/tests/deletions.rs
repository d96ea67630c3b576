//! Deletions: kept until every holder has them, then forgotten, and never undone by whoever was away.

use std::fs;
use std::time::Duration;

use harness::{Builder, Cluster, Protocol, Record, eventually, records};

const SETTLE: Duration = Duration::from_secs(60);

/// Deletions are forgotten after two seconds, copies compared every second.
fn forgetful(name: &str, protocol: Protocol) -> Builder {
    let builder = Cluster::named(name).protocol(protocol).durable();
    let builder = builder.arg("--tombstone-grace", "2s").arg("--clock-drift-max", "200ms").arg("--repair-period", "1s");
    builder.arg("--lost-majority-after", "never")
}

fn number(cluster: &Cluster, node: usize, field: &str) -> u64 {
    cluster.dht(node, &["status"]).json()[field].as_u64().unwrap_or_else(|| panic!("no `{field}` in the status"))
}

fn delete_all(cluster: &Cluster, through: usize, records: &[Record]) {
    for record in records {
        cluster.dht(through, &["delete", &record.key]).json();
    }
}

/// Waits until nobody that is up remembers a deletion.
fn await_forgotten(cluster: &mut Cluster) {
    let up = cluster.up();
    eventually("every deletion is forgotten", SETTLE, || {
        let left: Vec<u64> = up.iter().map(|node| number(cluster, *node, "tombstones")).collect();
        if left.iter().all(|left| *left == 0) { Ok(()) } else { Err(format!("tombstones: {left:?}")) }
    });
}

fn assert_absent(cluster: &Cluster, through: usize, records: &[Record]) {
    for record in records {
        let got = cluster.dht(through, &["get", &record.key]);
        assert_eq!(got.code, 3, "{} is back: {}{}", record.key, got.text(), got.stderr);
    }
}

#[test]
fn deletions_and_expired_records_are_forgotten_everywhere() {
    let mut cluster = forgetful("forgotten", Protocol::Chord).nodes(4).start();
    cluster.await_whole_sets(SETTLE);
    let (kept, deleted) = (records("kept", 30), records("deleted", 30));
    cluster.put_all(&[kept.clone(), deleted.clone()].concat());
    for index in 0..10 {
        cluster.dht(0, &["put", &format!("short-{index}"), "lived", "--ttl", "1s"]).json();
    }
    delete_all(&cluster, 1, &deleted);
    assert!((0..4).map(|node| number(&cluster, node, "tombstones")).sum::<u64>() > 0, "there were deletions to forget");
    await_forgotten(&mut cluster);
    let held: u64 = (0..4).map(|node| number(&cluster, node, "keys")).sum();
    assert_eq!(held, 3 * 30, "what is left is what was not deleted");
    assert_absent(&cluster, 2, &deleted);
    cluster.assert_readable(&kept);
}

fn away_for_longer_than_the_grace_period(protocol: Protocol) {
    let mut cluster = forgetful("away", protocol).nodes(4).start();
    cluster.await_whole_sets(SETTLE);
    let (kept, deleted) = (records("kept", 40), records("deleted", 40));
    cluster.put_all(&[kept.clone(), deleted.clone()].concat());
    cluster.await_copies(&[kept.clone(), deleted.clone()].concat(), SETTLE);
    // Over Kelips not every node need hold some.
    let held = |node: &usize| number(&cluster, *node, "keys");
    let away = (1..4).max_by_key(held).expect("three others");
    cluster.kill_all(&[away]);
    cluster.await_readable(&kept, SETTLE);
    delete_all(&cluster, 0, &deleted);
    // The three that are left take its place in every set, or nothing is forgotten.
    await_forgotten(&mut cluster);

    cluster.nodes[away].launch();
    cluster.nodes[away].wait_ready(SETTLE);
    cluster.await_one_ring(SETTLE);
    let file = cluster.data_dir(away).join("quarantine.jsonl");
    let refused = || fs::read_to_string(&file).unwrap_or_default().lines().count() as u64;
    // What it holds that was deleted meanwhile is refused; what was not is taken, or was there already.
    eventually("what was deleted is set aside", SETTLE, || {
        assert_absent(&cluster, 0, &deleted);
        match (number(&cluster, away, "quarantined"), refused()) {
            (count, lines) if count > 0 && count == lines => Ok(()),
            found => Err(format!("quarantined, in the file: {found:?}")),
        }
    });
    cluster.await_whole_sets(SETTLE);
    assert_absent(&cluster, 0, &deleted);
    cluster.assert_readable(&kept);
    await_forgotten(&mut cluster);
    let aside = fs::read_to_string(&file).expect("the file is there");
    assert!(aside.lines().all(|line| line.contains("\"refused_by\"")), "{aside}");
}

#[test]
fn a_chord_node_that_was_away_for_longer_than_deletions_are_kept_brings_none_of_them_back() {
    away_for_longer_than_the_grace_period(Protocol::Chord);
}

#[test]
fn a_kelips_node_that_was_away_for_longer_than_deletions_are_kept_brings_none_of_them_back() {
    away_for_longer_than_the_grace_period(Protocol::Kelips { groups: 2 });
}

#[test]
fn a_deletion_waits_for_a_holder_that_is_away_and_reaches_it_when_it_is_back() {
    let mut cluster = forgetful("waits", Protocol::Pastry).nodes(3).start();
    cluster.await_whole_sets(SETTLE);
    let deleted = records("deleted", 30);
    cluster.put_all(&deleted);
    cluster.await_copies(&deleted, SETTLE);
    cluster.kill_all(&[2]);
    cluster.await_readable(&deleted, SETTLE);
    delete_all(&cluster, 0, &deleted);
    // Nobody can take its place among three, so it stays a holder.
    harness::holds_for("remembering what a holder may lack", Duration::from_secs(6), || {
        match [0, 1].map(|node| number(&cluster, node, "tombstones")) {
            [30, 30] => Ok(()),
            left => Err(format!("tombstones: {left:?}")),
        }
    });
    cluster.nodes[2].launch();
    cluster.nodes[2].wait_ready(SETTLE);
    await_forgotten(&mut cluster);
    assert_absent(&cluster, 2, &deleted);
    assert_eq!(number(&cluster, 2, "quarantined"), 0, "a holder is told, not refused");
}
