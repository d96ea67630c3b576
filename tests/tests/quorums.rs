//! How many holders have to answer, what is said when they don't, and who wins a race.

use std::fs;
use std::thread;
use std::time::Duration;

use harness::{Cluster, Protocol, eventually, records};

const SETTLE: Duration = Duration::from_secs(60);

/// Three holders of everything, who go on without a majority never.
fn three(name: &str) -> Cluster {
    let mut cluster = Cluster::named(name).nodes(3).arg("--lost-majority-after", "never").start();
    cluster.await_whole_sets(SETTLE);
    cluster
}

#[test]
fn a_call_says_how_many_holders_it_needs() {
    let mut cluster = three("consistency");
    for consistency in ["one", "quorum", "all"] {
        let put = cluster.dht(0, &["put", consistency, "value", "--consistency", consistency]).json();
        let acks = put["acks"].as_array().expect("receipts").len();
        let least = if consistency == "one" {
            1
        } else if consistency == "quorum" {
            2
        } else {
            3
        };
        assert!(acks >= least, "{consistency}: {put}");
        assert_eq!(cluster.dht(1, &["get", consistency, "--consistency", consistency]).code, 0);
    }
    cluster.kill_all(&[2]);
    // The third may have been the primary: two of three go on once another is.
    cluster.await_readable(&records("none", 0), SETTLE);
    eventually("a quorum of two", SETTLE, || {
        let put = cluster.dht(0, &["put", "quorum", "of two"]);
        if put.code == 0 { Ok(()) } else { Err(put.stderr) }
    });
    for key in ["quorum", "all", "one"] {
        let all = cluster.dht(0, &["put", key, "newer", "--consistency", "all"]);
        assert_eq!(all.code, 5, "{}{}", all.text(), all.stderr);
        // As many as had answered when it was clear that not all would.
        assert!(all.stderr.contains(" of the 3 copies that a write needs"), "{}", all.stderr);
        assert!(all.stderr.contains("unknown"), "{}", all.stderr);
        let read = cluster.dht(1, &["get", key, "--consistency", "all"]);
        assert_eq!(read.code, 5, "{}{}", read.text(), read.stderr);
        assert!(read.stderr.contains(" of the 3 copies that a read needs"), "{}", read.stderr);
        assert_eq!(cluster.dht(1, &["get", key, "--consistency", "one"]).code, 0);
        // Its outcome was called unknown: it is there.
        assert_eq!(cluster.dht(1, &["get", key]).json()["value"], "bmV3ZXI=");
    }
}

#[test]
fn a_cluster_has_quorums_of_its_own_and_refuses_whoever_has_others() {
    let mut cluster = Cluster::named("quorums").nodes(3).arg("--write-quorum", "3").arg("--read-quorum", "1");
    cluster = cluster.arg("--lost-majority-after", "never");
    let mut cluster = cluster.start();
    cluster.await_whole_sets(SETTLE);
    let put = cluster.dht(0, &["put", "key", "value"]).json();
    assert_eq!(put["acks"].as_array().expect("receipts").len(), 3, "{put}");
    let status = cluster.dht(0, &["status"]).json();
    assert_eq!((status["write_quorum"].as_u64(), status["read_quorum"].as_u64()), (Some(3), Some(1)), "{status}");

    let (seed, name) = (cluster.address(0), "quorums");
    let other = ["--listen", "127.0.0.1:0", "--http", "off", "--cluster", name, "--join", &seed];
    let refused = Cluster::dhtd_plain(&other, Duration::from_secs(60));
    assert_eq!(refused.code, 4, "{}", refused.stderr);
    assert!(refused.stderr.contains("quorum"), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("majority") && refused.stderr.contains("it has to be the same"),
        "both values: {}",
        refused.stderr
    );

    cluster.kill_all(&[2]);
    eventually("writes that need all three fail", SETTLE, || match cluster.dht(0, &["put", "key", "newer"]) {
        put if put.code == 5 && put.stderr.contains(" of the 3 copies") => Ok(()),
        put => Err(format!("exit {}: {}", put.code, put.stderr)),
    });
    assert_eq!(cluster.dht(0, &["put", "key", "newest", "--consistency", "quorum"]).code, 0);
}

fn one_wins(protocol: Protocol) {
    let nodes = 5;
    let mut cluster = Cluster::named("race").protocol(protocol).nodes(nodes).start();
    cluster.await_whole_sets(SETTLE);
    for round in 0..5 {
        let key = format!("race-{round}");
        let race = |condition: &[&str]| {
            let outcomes: Vec<(usize, i32)> = thread::scope(|scope| {
                let run = |node: usize| {
                    let (cluster, key) = (&cluster, key.as_str());
                    scope.spawn(move || {
                        let value = format!("of {node}");
                        let put = cluster.dht(node, &[&["put", key, &value], condition].concat());
                        (node, put.code)
                    })
                };
                let racers: Vec<_> = (0..nodes).map(run).collect();
                racers.into_iter().map(|racer| racer.join().expect("it ends")).collect()
            });
            let winners: Vec<usize> = outcomes.iter().filter(|(_, code)| *code == 0).map(|(node, _)| *node).collect();
            assert_eq!(winners.len(), 1, "{key} {condition:?}: {outcomes:?}");
            assert!(outcomes.iter().all(|(_, code)| [0, 7].contains(code)), "{key} {condition:?}: {outcomes:?}");
            let got = cluster.dht(round % nodes, &["get", &key]).json();
            (got["version"].as_str().expect("a version").to_owned(), winners[0])
        };
        let (version, _) = race(&["--if-absent"]);
        let (next, _) = race(&["--if-version", &version]);
        let stale = cluster.dht(0, &["delete", &key, "--if-version", &version]);
        assert_eq!(stale.code, 7, "{}", stale.stderr);
        assert_eq!(cluster.dht(1, &["delete", &key, "--if-version", &next]).code, 0);
    }
}

#[test]
fn of_conditional_writes_raced_from_all_nodes_one_wins_over_chord() {
    one_wins(Protocol::Chord);
}

#[test]
fn of_conditional_writes_raced_from_all_nodes_one_wins_over_kelips() {
    one_wins(Protocol::Kelips { groups: 2 });
}

#[test]
fn a_member_whose_clock_is_far_off_is_reported_and_pulls_no_version_along() {
    let mut cluster = Cluster::named("skew").nodes(3).empty();
    let ahead = cluster.dir().join("ahead.faults");
    fs::write(&ahead, "clock +60000ms\n").expect("a file");
    for node in 0..3 {
        cluster.declare(if node == 0 { &[] } else { &[0] });
        // A third of the circle each: every one orders some of the keys below.
        let place = ["2", "7", "c"][node].to_owned() + &"0".repeat(39);
        cluster.nodes[node].args.splice(0..0, ["--id".to_owned(), place]);
        if node == 2 {
            let flag = ["--dev-faults".to_owned(), ahead.display().to_string()];
            cluster.nodes[2].args.splice(0..0, flag);
        }
        cluster.nodes[node].launch();
        cluster.nodes[node].wait_ready(SETTLE);
    }
    cluster.await_one_ring(SETTLE);
    cluster.await_whole_sets(SETTLE);
    let skewed = cluster.nodes[2].id().to_owned();
    for viewer in [0, 1] {
        eventually("the clock is reported", SETTLE, || {
            let status = cluster.dht(viewer, &["status"]).json();
            let ahead_ms = status["skewed"][0]["ahead_ms"].as_i64().unwrap_or(0);
            let named = status["skewed"][0]["peer"]["id"] == skewed.as_str();
            if named && (59_000..61_000).contains(&ahead_ms) { Ok(()) } else { Err(status["skewed"].to_string()) }
        });
    }
    // Keys that the member with the wrong clock orders, and then others: their versions are of their own time.
    let all = records("skewed", 40);
    let versions: Vec<u64> = all
        .iter()
        .map(|record| {
            let put = cluster.dht(0, &["put", &record.key, "value"]).json();
            let version = put["version"].as_str().expect("a version");
            u64::from_str_radix(&version[17..29], 16).expect("milliseconds")
        })
        .collect();
    let least = versions.iter().min().expect("some");
    let (ahead, right): (Vec<u64>, Vec<u64>) = versions.iter().partition(|ms| **ms > least + 50_000);
    assert!(!ahead.is_empty() && !right.is_empty(), "some keys are ordered by either: {ahead:?} {right:?}");
    for record in &all {
        assert_eq!(cluster.dht(1, &["put", &record.key, "newer"]).code, 0);
        assert_eq!(cluster.dht(0, &["get", &record.key]).json()["value"], "bmV3ZXI=");
    }
}
