//! A disk that is full: the node on it says so, goes on answering reads, and loses nothing.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use harness::{Cluster, Protocol, Record, eventually, http_get, records};

const SETTLE: Duration = Duration::from_secs(60);
/// Enough for a store, and little enough to be filled at once.
const DISK: &str = "size=40m";

/// A small disk of its own, taken away again.
struct Disk(PathBuf);

impl Disk {
    /// None where this user may not mount one.
    fn at(dir: &Path) -> Option<Self> {
        std::fs::create_dir_all(dir).expect("a directory");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", DISK, "tmpfs"]).arg(dir).output();
        mounted.is_ok_and(|mounted| mounted.status.success()).then(|| Self(dir.to_owned()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// A durable cluster of which the last daemon's disk is a small one; none where this user may not mount one.
fn with_a_small_disk(name: &str, nodes: usize, protocol: Protocol) -> Option<(Cluster, Disk)> {
    let cluster = Cluster::named(name).nodes(nodes).protocol(protocol).durable();
    let mut cluster = cluster.arg("--lost-majority-after", "never").empty();
    for node in 0..nodes {
        cluster.declare(if node == 0 { &[] } else { &[0] });
    }
    let Some(disk) = Disk::at(&cluster.data_dir(nodes - 1)) else {
        eprintln!("skipped: no right to mount a small disk (root has it)");
        return None;
    };
    cluster.launch_all([0]);
    cluster.launch_all(1..nodes);
    cluster.await_whole_sets(SETTLE);
    Some((cluster, disk))
}

/// Puts large records until the last daemon is read-only; those that were acknowledged.
fn fill(cluster: &Cluster) -> Vec<Record> {
    let last = cluster.nodes.len() - 1;
    let value = "x".repeat(1_000_000);
    let file = cluster.dir().join("filler");
    std::fs::write(&file, &value).expect("a file");
    let file = file.display().to_string();
    let mut acknowledged: Vec<Record> = Vec::new();
    eventually("the disk is full", SETTLE, || {
        for _ in 0..5 {
            let key = format!("filler-{}", acknowledged.len());
            if cluster.dht(acknowledged.len() % (last + 1), &["put", &key, "--file", &file]).code == 0 {
                acknowledged.push(Record { key, value: value.clone().into_bytes() });
            }
        }
        let health = health(cluster, last);
        if health.starts_with("read-only") { Ok(()) } else { Err(health) }
    });
    acknowledged
}

fn health(cluster: &Cluster, node: usize) -> String {
    cluster.dht(node, &["status"]).json()["health"].as_str().unwrap_or_default().to_owned()
}

/// Everything that was acknowledged is read through every node.
fn assert_all_read<'a>(cluster: &Cluster, records: impl Iterator<Item = &'a Record> + Clone) {
    for node in 0..cluster.nodes.len() {
        for record in records.clone() {
            let got = cluster.dht(node, &["get", &record.key]);
            assert_eq!(got.code, 0, "{} through node{node}: {}", record.key, got.stderr);
        }
    }
}

/// The ranges that this daemon is the primary of: who is in their sets, and who of them does not do its part.
fn led_by(cluster: &Cluster, node: usize) -> Vec<(Vec<String>, usize)> {
    let status = cluster.dht(node, &["status"]).json();
    let sets = status["sets"].as_array().cloned().unwrap_or_default();
    let led = sets.iter().filter(|set| set["role"] == "primary");
    let members = |set: &serde_json::Value| {
        let members = set["members"].as_array().cloned().unwrap_or_default();
        members.iter().map(|member| member["addr"].as_str().unwrap_or_default().to_owned()).collect()
    };
    led.map(|set| (members(set), set["missing"].as_array().map_or(0, Vec::len))).collect()
}

/// Puts a few small records through every daemon in turn.
fn put_some(cluster: &Cluster, prefix: &str, options: &[&str]) -> Result<(), String> {
    for turn in 0..12 {
        let key = format!("{prefix}-{turn}");
        let put = cluster.dht(turn % cluster.nodes.len(), &[&["put", key.as_str(), "small"], options].concat());
        if put.code != 0 {
            return Err(format!("put {key} {options:?}: exit {} {}", put.code, put.stderr));
        }
    }
    Ok(())
}

#[test]
fn of_three_nodes_the_others_order_all_writes_when_the_disk_of_one_is_full() {
    let Some((mut cluster, _disk)) = with_a_small_disk("full", 3, Protocol::Chord) else { return };
    let before = records("before", 60);
    cluster.put_all(&before);
    cluster.await_copies(&before, SETTLE);
    let acknowledged = fill(&cluster);
    assert!(cluster.nodes[2].is_up(), "it goes on");
    let health = health(&cluster, 2);
    assert!(health.contains("No space left") && health.contains("restart the node"), "{health}");
    let http = cluster.nodes[2].wait_ready(SETTLE).http.expect("it answers HTTP");
    let (status, body) = http_get(&http, "/healthz").expect("an answer");
    assert_eq!(status, 503, "{body}");
    assert!(body.contains("read-only"), "{body}");
    assert_all_read(&cluster, before.iter().chain(&acknowledged).step_by(5));

    // It gives up the lead of its own ranges; nobody is there to replace it, and the others say that it is missing.
    eventually("no range is led by the node that is read-only", SETTLE, || {
        if !led_by(&cluster, 2).is_empty() {
            return Err("it leads some still".to_owned());
        }
        let led: Vec<_> = (0..2).flat_map(|node| led_by(&cluster, node)).collect();
        if led.iter().all(|(members, missing)| members.len() == 3 && *missing == 1) {
            Ok(())
        } else {
            Err(format!("{led:?}"))
        }
    });
    for options in [[].as_slice(), &["--consistency", "one"], &["--if-absent"]] {
        put_some(&cluster, &format!("after-{}", options.concat()), options).expect("two of three take every write");
    }
    let all = cluster.dht(0, &["put", "all", "small", "--consistency", "all"]);
    assert_eq!(all.code, 5, "{}", all.stderr);
    assert!(all.stderr.contains("read-only") && all.stderr.contains(&cluster.address(2)), "{}", all.stderr);
    assert_all_read(&cluster, before.iter().chain(&acknowledged).step_by(7));
}

fn another_one_takes_its_place(protocol: Protocol) {
    let Some((mut cluster, _disk)) = with_a_small_disk("full-4", 4, protocol) else { return };
    let before = records("before", 60);
    cluster.put_all(&before);
    let acknowledged = fill(&cluster);
    let full = cluster.address(3);
    eventually("every range has three members that take writes", SETTLE, || {
        if !led_by(&cluster, 3).is_empty() {
            return Err("the node that is read-only leads some".to_owned());
        }
        let led: Vec<_> = (0..3).flat_map(|node| led_by(&cluster, node)).collect();
        let whole =
            |(members, missing): &(Vec<String>, usize)| members.len() == 3 && *missing == 0 && !members.contains(&full);
        if led.iter().all(whole) { Ok(()) } else { Err(format!("{led:?}")) }
    });
    put_some(&cluster, "after", &["--consistency", "all"]).expect("three take every write");
    assert_all_read(&cluster, before.iter().chain(&acknowledged).step_by(5));
}

#[test]
fn of_four_nodes_of_chord_another_one_takes_the_place_of_that_whose_disk_is_full() {
    another_one_takes_its_place(Protocol::Chord);
}

#[test]
fn of_four_nodes_of_pastry_another_one_takes_the_place_of_that_whose_disk_is_full() {
    another_one_takes_its_place(Protocol::Pastry);
}

#[test]
fn of_four_nodes_of_kelips_another_one_takes_the_place_of_that_whose_disk_is_full() {
    another_one_takes_its_place(Protocol::Kelips { groups: 2 });
}
