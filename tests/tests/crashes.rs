//! Daemons that crash or stop answering, and what is left of the records.

use std::time::{Duration, Instant};

use harness::{Cluster, Signal, eventually, ids, lookup_all, records};

const SETTLE: Duration = Duration::from_secs(60);

/// Indices of the daemons that are up, in the order of their identifiers.
fn in_ring_order(cluster: &mut Cluster) -> Vec<usize> {
    let mut up = cluster.up();
    up.sort_by_key(|index| cluster.nodes[*index].id().to_owned());
    up
}

#[test]
fn a_thousand_records_survive_two_of_sixteen_killed_at_once() {
    let mut cluster = Cluster::named("two-of-sixteen").nodes(16).start();
    let records = records("survivor", 1000);
    cluster.put_all(&records);
    cluster.await_copies(&records, SETTLE);

    // The worst two: neighbours, which share two of the three copies of many records.
    let order = in_ring_order(&mut cluster);
    cluster.kill_all(&[order[4], order[5]]);
    cluster.await_readable(&records, Duration::from_secs(30));
    cluster.await_one_ring(Duration::from_secs(30));
    cluster.await_copies(&records, SETTLE);
    cluster.assert_readable(&records);
}

#[test]
fn a_record_that_loses_two_of_three_holders_is_served_again_by_the_third_once_it_may() {
    let mut cluster = Cluster::named("majority").nodes(6).alone().start();
    let records = records("majority", 60);
    cluster.put_all(&records);
    cluster.await_copies(&records, SETTLE);
    let order = in_ring_order(&mut cluster);
    // Of the three holders of the record that the third in the ring owns, the owner and the next one die.
    let nodes = cluster.up_ids();
    let nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
    let owner = cluster.nodes[order[2]].id().to_owned();
    let key = ids::key_whose_id("lonely", ids::BITS_MAX, |id| ids::owner(&nodes, id) == owner);
    cluster.dht(0, &["put", &key, "still here"]).json();

    let killed = Instant::now();
    cluster.kill_all(&[order[2], order[3]]);
    let asker = order[0];
    let third = cluster.nodes[order[4]].id().to_owned();
    let (got, _) = eventually("the lonely record", Duration::from_secs(30), || {
        let got = cluster.dht(asker, &["--timeout", "2s", "get", &key]);
        match got.code {
            0 => Ok(got.json()),
            4 | 5 => Err(got.stderr),
            _ => panic!("{got:?}"),
        }
    });
    let took = killed.elapsed();
    assert!(took >= Duration::from_secs(5), "one holder of three answered alone after {took:?}: {got}");
    assert_eq!(got["served_by"]["id"], third.as_str(), "{got}");
    cluster.await_readable(&records, Duration::from_secs(30));
    cluster.await_one_ring(SETTLE);
    cluster.await_copies(&with(&records, &key), SETTLE);
}

fn with(records: &[harness::Record], key: &str) -> Vec<harness::Record> {
    let mut all = records.to_vec();
    all.push(harness::Record { key: key.to_owned(), value: Vec::new() });
    all
}

#[test]
fn with_never_a_majority_that_is_gone_stays_gone_and_says_who_is_missing() {
    let mut cluster = Cluster::named("never").nodes(3).arg("--lost-majority-after", "never").start();
    cluster.dht(0, &["put", "kept", "safe"]).json();
    cluster.await_copies(&with(&[], "kept"), SETTLE);
    // A copy at a newcomer is one before its set is: until all three are members, fewer are a majority.
    eventually("sets of three", SETTLE, || {
        let status: Vec<_> = (0..3).map(|node| cluster.dht(node, &["status"]).json()).collect();
        let sets = || status.iter().flat_map(|one| one["sets"].as_array().into_iter().flatten());
        match sets().all(|set| set["members"].as_array().is_some_and(|members| members.len() == 3)) {
            true if sets().count() > 0 => Ok(()),
            _ => Err(format!("{status:?}")),
        }
    });
    cluster.kill_all(&[1, 2]);
    harness::holds_for("refusing alone", Duration::from_secs(9), || {
        let got = cluster.dht(0, &["--timeout", "2s", "get", "kept"]);
        match got.code {
            4 | 5 => Ok(()),
            code => Err(format!("exit {code}: {}{}", got.text(), got.stderr)),
        }
    });
    let got = cluster.dht(0, &["--timeout", "4s", "get", "kept"]);
    let missing = [&cluster.nodes[1], &cluster.nodes[2]];
    assert!(
        missing.iter().any(|node| got.stderr.contains(&node.addr()) || got.stderr.contains(node.id())),
        "no word on who is missing: {}",
        got.stderr
    );
}

#[test]
fn four_of_thirty_two_killed_at_once_are_routed_around_within_ten_seconds() {
    let mut cluster = Cluster::named("four-of-thirty-two").nodes(32).start();
    let order = in_ring_order(&mut cluster);
    // Two neighbours, and two that stand alone.
    cluster.kill_all(&[order[3], order[4], order[14], order[25]]);
    let killed = Instant::now();
    let nodes = cluster.up_ids();
    let nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
    let addrs = cluster.up_addrs();
    let asker = cluster.up()[0];
    let mut slowest = Duration::ZERO;
    let mut round = 0;
    eventually("right lookups and a clean check", Duration::from_secs(10), || {
        round += 1;
        let keys: Vec<String> = (0..20).map(|index| format!("{round}-{index}")).collect();
        for addr in addrs.iter().skip(round % 4).step_by(4) {
            for (key, found) in keys.iter().zip(lookup_all(addr, &keys, ids::BITS_MAX)) {
                let took = found.as_ref().map_or_else(|missed| missed.took, |it| it.took);
                slowest = slowest.max(took);
                let found = found.map_err(|missed| missed.reason)?;
                let id = ids::hash(key.as_bytes(), ids::BITS_MAX);
                if found.owner != ids::owner(&nodes, &id) {
                    return Err(format!("{key} through {addr}: {found:?}"));
                }
            }
        }
        cluster.check(asker)
    });
    println!("healed after {:?}, slowest lookup {slowest:?}", killed.elapsed());
    assert!(slowest <= Duration::from_secs(3), "a lookup took {slowest:?}");
    cluster.await_one_ring(Duration::from_secs(10));
}

#[test]
fn four_of_thirty_two_paused_for_a_minute_are_back_within_fifteen_seconds_and_nothing_is_lost() {
    let mut cluster = Cluster::named("paused").nodes(32).start();
    let before = records("before", 300);
    cluster.put_all(&before);
    cluster.await_copies(&before, SETTLE);
    let order = in_ring_order(&mut cluster);
    let paused = [order[3], order[4], order[14], order[25]];
    let ids: Vec<String> = paused.iter().map(|index| cluster.nodes[*index].id().to_owned()).collect();
    cluster.signal_all(&paused, Signal::STOP);
    let start = Instant::now();
    cluster.await_one_ring(Duration::from_secs(15));
    cluster.await_readable(&before, Duration::from_secs(30));
    let during = records("during", 300);
    cluster.put_all(&during);
    let all = [before, during].concat();
    let left = Duration::from_secs(60).saturating_sub(start.elapsed());
    harness::holds_for("reading everything", left, || {
        cluster.assert_readable(&all);
        Ok(())
    });

    cluster.signal_all(&paused, Signal::CONT);
    let took = cluster.await_one_ring(Duration::from_secs(15));
    println!("back after {took:?}");
    let ids_now = cluster.up_ids();
    assert!(ids.iter().all(|id| ids_now.contains(id)));
    cluster.await_readable(&all, Duration::from_secs(15));
    cluster.await_copies(&all, SETTLE);
    cluster.assert_readable(&all);
}
