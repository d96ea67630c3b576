//! Going away in good order: by `dht leave`, by SIGTERM, and by stopping with a disk to come back to.

use std::time::Duration;

use harness::{Cluster, Signal, records};

const SETTLE: Duration = Duration::from_secs(60);
const LEAVE: Duration = Duration::from_secs(30);

#[test]
fn whoever_leaves_hands_its_only_copies_over() {
    let mut cluster = Cluster::named("leave").nodes(5).replicas(1).start();
    let records = records("handed", 200);
    cluster.put_all(&records);
    cluster.await_copies(&records, SETTLE);

    // Asked to by one command, by a signal, and the seed itself.
    cluster.dht(3, &["leave"]).json();
    assert_eq!(cluster.nodes[3].wait_exit(LEAVE), 0);
    cluster.await_readable(&records, Duration::from_secs(5));
    assert_eq!(cluster.nodes[1].terminate(LEAVE), 0);
    cluster.await_readable(&records, Duration::from_secs(5));
    assert_eq!(cluster.nodes[0].terminate(LEAVE), 0);
    cluster.await_readable(&records, Duration::from_secs(5));
    cluster.await_one_ring(SETTLE);
    cluster.await_copies(&records, SETTLE);
    cluster.assert_readable(&records);

    // The last one has nobody to hand to, and that is no failure.
    assert_eq!(cluster.nodes[4].terminate(LEAVE), 0);
    cluster.await_readable(&records, Duration::from_secs(5));
    assert_eq!(cluster.nodes[2].terminate(LEAVE), 0);
}

#[test]
fn neighbours_that_leave_at_the_same_moment_lose_nothing() {
    let mut cluster = Cluster::named("leave-both").nodes(6).replicas(1).start();
    let records = records("pair", 200);
    cluster.put_all(&records);
    cluster.await_copies(&records, SETTLE);
    let mut order: Vec<usize> = (0..6).collect();
    order.sort_by_key(|index| cluster.nodes[*index].id().to_owned());
    let leavers = [order[1], order[2], order[3]];
    cluster.signal_all(&leavers, Signal::TERM);
    for leaver in leavers {
        assert_eq!(cluster.nodes[leaver].wait_exit(LEAVE), 0);
    }
    cluster.await_readable(&records, Duration::from_secs(15));
    cluster.await_one_ring(SETTLE);
    cluster.await_copies(&records, SETTLE);
}

#[test]
fn a_leave_erases_the_disk_and_a_stop_keeps_it() {
    let mut cluster = Cluster::named("disk").nodes(4).durable().start();
    let records = records("disk", 100);
    for stored in cluster.put_all(&records) {
        assert!(stored.durable, "{stored:?} is not on disk");
    }
    cluster.await_copies(&records, SETTLE);
    let identity = cluster.nodes[2].id().to_owned();
    let held_before = held(&cluster, &identity);

    // With a data directory SIGTERM means stop.
    assert_eq!(cluster.nodes[2].terminate(LEAVE), 0);
    cluster.nodes[2].launch();
    cluster.nodes[2].wait_ready(LEAVE);
    assert_eq!(cluster.nodes[2].id(), identity);
    cluster.await_one_ring(SETTLE);
    cluster.await_copies(&records, SETTLE);
    assert_eq!(held(&cluster, &identity), held_before);

    // `dht leave` means leave, with a data directory too.
    cluster.dht(2, &["leave"]).json();
    assert_eq!(cluster.nodes[2].wait_exit(LEAVE), 0);
    cluster.await_one_ring(SETTLE);
    cluster.await_copies(&records, SETTLE);
    cluster.assert_readable(&records);
    // Alone and without seeds, it has nothing left to serve.
    let data_dir = cluster.data_dir(2).display().to_string();
    let mut alone = Cluster::named("disk-alone").replicas(3).empty_beside(&cluster);
    let index = alone.declare(&[]);
    alone.nodes[index].args.extend(["--data-dir".to_owned(), data_dir]);
    alone.nodes[index].launch();
    alone.nodes[index].wait_ready(LEAVE);
    let status = alone.dht(index, &["status"]).json();
    assert_eq!(status["keys"], 0, "{status}");
}

fn held(cluster: &Cluster, id: &str) -> u64 {
    let members = cluster.members(0).expect("a ring");
    let member = members.iter().find(|member| member.id == id);
    member.expect("a member").keys
}

#[test]
fn a_second_signal_ends_a_leave_that_cannot_finish_with_exit_code_1() {
    let mut cluster = Cluster::named("impatient").nodes(3).replicas(1).start();
    let records = records("stuck", 60);
    cluster.put_all(&records);
    cluster.await_copies(&records, SETTLE);
    // The others are there, but do not answer.
    cluster.signal_all(&[1, 2], Signal::STOP);
    cluster.nodes[0].signal(Signal::TERM);
    harness::eventually("a word about leaving", LEAVE, || {
        let log = cluster.nodes[0].log();
        if log.to_lowercase().contains("leav") { Ok(()) } else { Err("nothing in the log".to_owned()) }
    });
    assert_eq!(cluster.nodes[0].terminate(Duration::from_secs(3)), 1);
}

#[test]
fn the_leave_timeout_ends_a_leave_that_cannot_finish_in_it_with_exit_code_1() {
    let mut cluster = Cluster::named("timeout").nodes(3).replicas(1).arg("--leave-timeout", "1ms").start();
    let records = records("stuck", 300);
    cluster.put_all(&records);
    cluster.await_copies(&records, SETTLE);
    assert_eq!(cluster.nodes[0].terminate(Duration::from_secs(5)), 1);
}
