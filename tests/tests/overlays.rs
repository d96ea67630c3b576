//! What every overlay owes its users, whatever its tables look like: the same scenarios over Pastry and Kelips. Those of
//! Chord are in `one_ring.rs`, `crashes.rs`, `leaving.rs`, `restarts.rs` and `meeting.rs`.

use std::collections::BTreeSet;
use std::time::Duration;

use harness::{Cluster, Protocol, Record, Signal, eventually, get_all, holds_for, records};

const SETTLE: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(30);

/// A test of each scenario for each of the overlays.
macro_rules! scenarios {
    ($($scenario:ident),+ $(,)?) => {
        mod pastry {
            $(#[test]
            fn $scenario() {
                super::$scenario(|_| harness::Protocol::Pastry);
            })+
        }

        mod kelips {
            $(#[test]
            fn $scenario() {
                super::$scenario(|groups| harness::Protocol::Kelips { groups });
            })+
        }
    };
}

scenarios!(
    sixteen_daemons_that_join_at_once_through_a_tree_of_seeds_agree_on_every_owner,
    a_late_joiner_serves_what_it_takes_over,
    a_thousand_records_survive_four_of_thirty_two_killed_at_once,
    four_of_sixteen_paused_come_back_and_nothing_is_lost,
    one_after_the_other_leaves_until_one_is_left_with_everything,
    a_durable_cluster_stopped_and_started_in_another_order_has_everything,
    two_rings_that_are_pointed_at_each_other_become_one_with_the_records_of_both,
);

fn keys(count: usize) -> Vec<String> {
    (0..count).map(|index| format!("key-{index}")).collect()
}

fn named(name: &str, protocol: Protocol) -> harness::Builder {
    Cluster::named(&format!("{name}-{}", protocol.name())).protocol(protocol)
}

fn sixteen_daemons_that_join_at_once_through_a_tree_of_seeds_agree_on_every_owner(overlay: fn(u32) -> Protocol) {
    let mut cluster = named("sixteen", overlay(4)).nodes(16).empty();
    cluster.declare(&[]);
    for index in 1..16 {
        // Most seeds are still joining themselves when they are asked.
        cluster.declare(&[(index - 1) / 2]);
    }
    cluster.launch_all(0..16);
    cluster.await_one_ring(SETTLE);
    cluster.await_right_lookups(&keys(250), SETTLE);
}

fn a_late_joiner_serves_what_it_takes_over(overlay: fn(u32) -> Protocol) {
    let mut cluster = named("late", overlay(2)).nodes(5).start();
    cluster.await_whole_sets(SETTLE);
    let all = records("late", 300);
    for stored in cluster.put_all(&all) {
        assert!(stored.holders.len() >= 2, "{stored:?} is not on a majority");
        assert!(!stored.durable, "{stored:?}: there is no disk");
    }
    cluster.await_copies(&all, SETTLE);

    let late = cluster.add(&[2]);
    cluster.await_one_ring(SETTLE);
    cluster.await_copies(&all, SETTLE);
    cluster.await_readable(&all, Duration::ZERO);
    cluster.await_right_lookups(&keys(100), SETTLE);

    // Some keys are the newcomer's now: they are put through others and read through it, and the other way round.
    let (ids, newcomer) = (cluster.up_ids(), cluster.nodes[late].id().to_owned());
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let some = keys(100);
    let found = cluster.judge_lookups(&[0], &ids, &some).expect("lookups were right a moment ago");
    let (key, _) = some.iter().zip(&found).find(|(_, found)| found.owner == newcomer).expect("a key of the newcomer");
    let get = |through: usize| Cluster::dht_plain(&["--endpoints", &cluster.address(through), "get", key]).text();
    cluster.dht(0, &["put", key, "welcome"]).json();
    assert_eq!(get(late), "welcome");
    cluster.dht(late, &["put", key, "thank you"]).json();
    assert_eq!(get(4), "thank you");
}

/// Four daemons of which the first two hold the same record, while every record has a third holder elsewhere.
fn worst_four(cluster: &mut Cluster, records: &[Record]) -> Vec<usize> {
    let (up, nodes) = (cluster.up(), cluster.up_ids());
    let nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
    let keys: Vec<String> = records.iter().map(|record| record.key.clone()).collect();
    let found = cluster.judge_lookups(&up[..1], &nodes, &keys).expect("the ring is whole");
    let holders: Vec<BTreeSet<&str>> =
        found.iter().map(|found| found.replicas.iter().map(String::as_str).collect()).collect();
    let survives = |dead: &BTreeSet<&str>| holders.iter().all(|holders| !holders.is_subset(dead));
    let mut dead: BTreeSet<&str> = holders[0].iter().copied().take(2).collect();
    for node in &nodes {
        let mut more = dead.clone();
        more.insert(node);
        if dead.len() < 4 && survives(&more) {
            dead = more;
        }
    }
    assert!(dead.len() == 4 && survives(&dead), "{dead:?}");
    let index = |id: &&str| up.iter().copied().find(|index| cluster.nodes[*index].id() == *id).expect("a daemon");
    dead.iter().map(index).collect()
}

fn a_thousand_records_survive_four_of_thirty_two_killed_at_once(overlay: fn(u32) -> Protocol) {
    let mut cluster = named("thirty-two", overlay(6)).nodes(32).start();
    let records = records("survivor", 1000);
    cluster.put_all(&records);
    cluster.await_copies(&records, SETTLE);

    let victims = worst_four(&mut cluster, &records);
    cluster.kill_all(&victims);
    let readable = cluster.await_readable(&records, Duration::from_secs(15));
    let whole = cluster.await_one_ring(Duration::from_secs(30).saturating_sub(readable));
    let copies = cluster.await_copies(&records, SETTLE);
    println!("all readable after {readable:?}, a clean check {whole:?} and whole sets {copies:?} later");
    cluster.assert_readable(&records);
}

fn four_of_sixteen_paused_come_back_and_nothing_is_lost(overlay: fn(u32) -> Protocol) {
    let mut cluster = named("paused", overlay(4)).nodes(16).start();
    let before = records("before", 200);
    cluster.put_all(&before);
    cluster.await_copies(&before, SETTLE);
    let paused = worst_four(&mut cluster, &before);
    cluster.signal_all(&paused, Signal::STOP);
    let healed = cluster.await_one_ring(Duration::from_secs(30));
    cluster.await_readable(&before, Duration::from_secs(15));
    let during = records("during", 200);
    cluster.put_all(&during);
    let all = [before, during].concat();
    cluster.assert_readable(&all);

    cluster.signal_all(&paused, Signal::CONT);
    let back = cluster.await_one_ring(Duration::from_secs(30));
    println!("healed after {healed:?}, back after {back:?}");
    cluster.await_readable(&all, Duration::from_secs(15));
    cluster.await_copies(&all, SETTLE);
    cluster.await_right_lookups(&keys(50), SETTLE);
    cluster.assert_readable(&all);
}

fn one_after_the_other_leaves_until_one_is_left_with_everything(overlay: fn(u32) -> Protocol) {
    let mut cluster = named("leaving", overlay(2)).nodes(5).start();
    let records = records("handed", 200);
    cluster.put_all(&records);
    cluster.await_copies(&records, SETTLE);
    // By a command and by a signal in turn; the seed is among them.
    for (turn, leaver) in [3, 0, 4, 1].into_iter().enumerate() {
        if turn % 2 == 0 {
            cluster.dht(leaver, &["leave"]).json();
            assert_eq!(cluster.nodes[leaver].wait_exit(STOP), 0);
        } else {
            assert_eq!(cluster.nodes[leaver].terminate(STOP), 0);
        }
        cluster.await_readable(&records, Duration::from_secs(5));
    }
    cluster.await_one_ring(SETTLE);
    cluster.await_copies(&records, SETTLE);
    cluster.assert_readable(&records);
    // The last one has nobody to hand to, and that is no failure.
    assert_eq!(cluster.nodes[2].terminate(STOP), 0);
}

fn a_durable_cluster_stopped_and_started_in_another_order_has_everything(overlay: fn(u32) -> Protocol) {
    let mut cluster = named("durable", overlay(2)).nodes(5).durable().start();
    let records = records("kept", 300);
    for stored in cluster.put_all(&records) {
        assert!(stored.durable, "{stored:?} is not on disk");
    }
    cluster.await_copies(&records, SETTLE);
    let ids = cluster.up_ids();
    let ring = cluster.dht(0, &["status"]).json()["ring"].clone();

    // One by one, back in another order: the first finds nobody and takes the ring up alone.
    for index in [2, 0, 4, 1, 3] {
        assert_eq!(cluster.nodes[index].terminate(STOP), 0);
    }
    for index in [4, 2, 3, 0, 1] {
        cluster.launch_all([index]);
    }
    assert_the_old_ring(&mut cluster, &records, &ids);
    // Killed, all at once, and so they come back.
    cluster.kill_all(&[0, 1, 2, 3, 4]);
    cluster.launch_all([3, 1, 0, 4, 2]);
    assert_the_old_ring(&mut cluster, &records, &ids);
    assert_eq!(cluster.dht(1, &["status"]).json()["ring"], ring);
}

fn assert_the_old_ring(cluster: &mut Cluster, records: &[Record], ids: &[String]) {
    cluster.await_one_ring(SETTLE);
    assert_eq!(cluster.up_ids(), ids);
    cluster.await_readable(records, Duration::from_secs(30));
    cluster.await_copies(records, SETTLE);
}

fn two_rings_that_are_pointed_at_each_other_become_one_with_the_records_of_both(overlay: fn(u32) -> Protocol) {
    let mut cluster = named("meet", overlay(2)).alone().empty();
    let mut all = Vec::new();
    for (first, prefix) in [(0, "elder"), (3, "younger")] {
        cluster.declare(&[]);
        cluster.declare(&[first]);
        cluster.declare(&[first]);
        cluster.launch_all([first]);
        cluster.launch_all([first + 1, first + 2]);
        eventually("a ring of three", SETTLE, || {
            let members = cluster.members(first)?;
            if members.len() == 3 { cluster.check(first) } else { Err(format!("{members:?}")) }
        });
        let records = records(prefix, 150);
        harness::put_all(&[first, first + 1, first + 2].map(|index| cluster.address(index)), &records);
        all.extend(records);
    }
    assert!(cluster.dht(1, &["join", &cluster.address(5)]).json().is_object());
    let took = cluster.await_one_ring(SETTLE);
    println!("one ring after {took:?}");
    // A record of the younger ring may be missed while it moves, but not in the end.
    let addrs = cluster.up_addrs();
    eventually("the records of both rings", SETTLE, || get_all(&addrs, &all, 0).whole());
    cluster.await_copies(&all, SETTLE);
    cluster.assert_readable(&all);
}

#[test]
fn pastry_over_sixty_four_daemons_takes_about_log_16_of_64_hops() {
    let mut cluster = Cluster::named("pastry-64").protocol(Protocol::Pastry).nodes(64).start();
    let found = measured(&mut cluster, 1000);
    let hops: usize = found.iter().map(|found| found.path.len() - 1).sum();
    // log16 64 = 1.5.
    println!("{hops} hops for 1000 lookups");
    assert!(hops <= 2000, "{hops} hops for 1000 lookups");
}

/// Looks keys up, each through one of the nodes in turn, and judges every answer.
fn measured(cluster: &mut Cluster, count: usize) -> Vec<harness::Found> {
    let (up, nodes) = (cluster.up(), cluster.up_ids());
    let nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
    let keys = keys(count);
    let mut all = Vec::new();
    for (at, index) in up.iter().enumerate() {
        let some: Vec<String> = keys.iter().skip(at).step_by(up.len()).cloned().collect();
        all.extend(cluster.judge_lookups(&[*index], &nodes, &some).unwrap_or_else(|wrong| panic!("{wrong}")));
    }
    all
}

#[test]
fn kelips_over_sixty_four_daemons_takes_one_hop_and_knows_a_newcomer_within_ten_rounds() {
    const GROUPS: u32 = 8;
    let protocol = Protocol::Kelips { groups: GROUPS };
    let mut cluster = Cluster::named("kelips-64").protocol(protocol).nodes(64).start();
    // Who has just come or gone makes a lookup ask twice; that is over some rounds later. And homes move until all have
    // come.
    let up = cluster.up();
    cluster.await_right_lookups(&keys(1000), SETTLE);
    holds_for("a clean check", Duration::from_secs(5), || cluster.check(up[0]));
    let found = measured(&mut cluster, 1000);
    let one_hop = found.iter().filter(|found| found.path.len() <= 2).count();
    println!("{one_hop} of 1000 lookups in one hop");
    assert!(one_hop >= 990, "{one_hop} of 1000 lookups in one hop");
    let nodes = cluster.up_ids();
    let nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
    cluster.judge_lookups(&up, &nodes, &keys(40)).expect("one owner of each key, whoever is asked");

    // Ten rounds of 500 ms after its ready line all of its group know the newcomer.
    let late = cluster.add(&[17]);
    let newcomer = cluster.nodes[late].id().to_owned();
    let group = harness::ids::group(&newcomer, GROUPS);
    let mates: Vec<usize> =
        up.into_iter().filter(|index| harness::ids::group(cluster.nodes[*index].id(), GROUPS) == group).collect();
    let (_, took) = eventually("a group that knows its newcomer", Duration::from_secs(5), || {
        for mate in &mates {
            let table = cluster.dht(*mate, &["table"]).json();
            let members = table["members"].as_array().ok_or("no members")?;
            if !members.iter().any(|member| member["id"] == newcomer.as_str()) {
                return Err(format!("node{mate} knows {} members", members.len()));
            }
        }
        Ok(())
    });
    println!("known to {} members of its group after {took:?}", mates.len());
}
