//! What a node costs while nothing happens. Read from `/proc`, so on Linux only.

#![cfg(target_os = "linux")]

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use harness::Cluster;

/// Resident memory of a process in KiB.
fn resident_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number.and_then(|kib| kib.parse().ok()).expect("a number of KiB")
}

/// Time that a process has had on a core, in ticks of 10 ms.
fn ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    // After the command's name, which ends with the last bracket: fields 3 and on; 14 and 15 are user and system.
    let (_, rest) = stat.rsplit_once(')').expect("a name in brackets");
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let number = |field: usize| fields[field - 3].parse::<u64>().expect("ticks");
    number(14) + number(15)
}

#[test]
fn an_idle_node_is_small_and_quiet() {
    let mut cluster = Cluster::named("idle").nodes(16).start();
    let pids: Vec<u32> = cluster.up().into_iter().map(|index| cluster.nodes[index].pid()).collect();
    let largest = pids.iter().map(|pid| resident_kib(*pid)).max();
    let total = || pids.iter().map(|pid| ticks(*pid)).sum::<u64>();
    let window = Duration::from_secs(10);
    let before = total();
    sleep(window);
    let spent = total() - before;
    // 16 nodes, 1,000 ticks in the window: one percent of a core each is 160.
    println!("largest {largest:?} KiB; {spent} of at most 160 ticks");
    assert!(largest <= Some(20 * 1024), "{largest:?} KiB resident");
    assert!(spent <= 160, "{spent} ticks of 10 ms in {window:?}");
}
