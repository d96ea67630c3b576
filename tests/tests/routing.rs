//! How lookups travel: passed on from node to node, and over links that take their time.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use harness::{Cluster, Protocol, eventually, ids};
use serde_json::Value;

const SETTLE: Duration = Duration::from_secs(60);

/// Eight nodes with tables so bare that lookups take several hops.
fn recursive(protocol: Protocol, bare: &[[&str; 2]]) {
    let nodes = [5, 20, 37, 52, 70, 85, 101, 118];
    let builder = Cluster::named(&format!("recursive-{}", protocol.name())).protocol(protocol).ids(7, &nodes);
    let builder = builder.replicas(1).arg("--routing", "recursive");
    let mut cluster = bare.iter().fold(builder, |builder, [flag, value]| builder.arg(flag, value)).start();
    let keys: Vec<String> = (0..200).map(|index| format!("key-{index}")).collect();
    cluster.await_right_lookups(&keys, SETTLE);
    // From the node asked to the owner, no step left out, each with how it was reached.
    let mut longest = 0;
    for key in &keys[..40] {
        let lookup = cluster.dht(0, &["lookup", key]).json();
        let path = lookup["path"].as_array().expect("a path");
        assert_eq!(path[0]["id"], ids::number(5, 7), "{lookup}");
        assert_eq!(path[path.len() - 1]["id"], lookup["owner"]["id"], "{lookup}");
        assert_eq!(lookup["hops"], path.len() - 1, "{lookup}");
        assert!(path.iter().all(|step| step["addr"].is_string()), "{lookup}");
        assert!(path[1..].iter().all(|step| step["via"].is_string()), "{lookup}");
        longest = longest.max(path.len() - 1);
    }
    assert!(longest >= 2, "no lookup was passed on: at most {longest} hops");
    cluster.dht(0, &["put", "far", "away"]).json();
    assert_eq!(Cluster::dht_plain(&["--endpoints", &cluster.address(4), "get", "far"]).text(), "away");
}

#[test]
fn recursive_lookups_over_chord_are_right_and_name_every_node_on_the_way() {
    recursive(Protocol::Chord, &[["--successors", "1"]]);
}

#[test]
fn recursive_lookups_over_pastry_are_right_and_name_every_node_on_the_way() {
    recursive(Protocol::Pastry, &[["--leaf-set", "2"], ["--digit-bits", "1"]]);
}

/// The sample matrix: round trips in milliseconds between the hosts of its rows.
fn round_trips(file: &Path) -> Vec<Vec<f64>> {
    let text = fs::read_to_string(file).expect("the sample is in the tree");
    let rows = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    rows.map(|row| row.split_whitespace().map(|entry| entry.parse().expect("milliseconds")).collect()).collect()
}

#[test]
fn with_a_latency_matrix_lookups_take_as_long_as_it_says_and_the_log_is_loud() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/latency-sample.txt");
    let matrix = round_trips(&file);
    assert_eq!(matrix.len(), 16);
    let path = file.display().to_string();
    let mut cluster = Cluster::named("latency").alone().arg("--dev-latency", &path).empty();
    // A node's row follows from its address; the first two must be on different sites of four rows each.
    let row = |addr: &str| ids::group(&ids::hash(addr.as_bytes(), ids::BITS_MAX), 16) as usize;
    let first = cluster.declare(&[]);
    let mut last = cluster.declare(&[first]);
    while row(&cluster.address(last)) / 4 == row(&cluster.address(first)) / 4 {
        last = cluster.declare(&[first]);
    }
    cluster.launch_all([first]);
    cluster.launch_all(first + 1..=last);
    cluster.await_one_ring(SETTLE);
    for node in &cluster.nodes {
        assert!(node.log().contains("DEVELOPMENT ONLY"), "{}", node.log_tail(20));
    }

    let mut slowest: BTreeMap<u64, String> = BTreeMap::new();
    let mut round = 0;
    eventually("a hop between sites", SETTLE, || {
        for _ in 0..10 {
            round += 1;
            let lookup = cluster.dht(first, &["lookup", &format!("key-{round}")]).json();
            for step in lookup["path"].as_array().expect("a path") {
                let Some(took) = step["rtt_us"].as_u64() else { continue };
                assert_as_slow_as_the_matrix(&matrix, row(&cluster.address(first)), step, row, took);
                slowest.insert(took, lookup.to_string());
            }
        }
        match slowest.last_key_value() {
            Some((took, _)) if *took >= 20_000 => Ok(()),
            slowest => Err(format!("slowest {slowest:?}")),
        }
    });
}

/// A call waits half of the caller's entry before it goes out and half after its answer is back.
fn assert_as_slow_as_the_matrix(
    matrix: &[Vec<f64>],
    from: usize,
    step: &Value,
    row: impl Fn(&str) -> usize,
    took_us: u64,
) {
    let to = row(step["addr"].as_str().expect("an address"));
    let least_us = if from == to { 1_000.0 } else { matrix[from][to] * 1_000.0 };
    assert!(took_us as f64 >= least_us, "{took_us} µs from row {from} to row {to}, at least {least_us}: {step}");
}
