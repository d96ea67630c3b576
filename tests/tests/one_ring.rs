//! Daemons that join, and what everybody then agrees on.

use std::time::Duration;

use harness::{Cluster, Found, eventually, ids, lookup_all, records};

const SETTLE: Duration = Duration::from_secs(60);

fn keys(count: usize) -> Vec<String> {
    (0..count).map(|index| format!("key-{index}")).collect()
}

/// Looks `keys` up through every daemon and asserts that each names the true successor of SHA-1(key).
fn assert_everybody_knows_the_owners(cluster: &mut Cluster, keys: &[String]) -> Vec<Found> {
    let nodes = cluster.up_ids();
    let nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
    let mut all = Vec::new();
    for addr in cluster.up_addrs() {
        for (key, found) in keys.iter().zip(lookup_all(&addr, keys, ids::BITS_MAX)) {
            let found = found.unwrap_or_else(|missed| panic!("{missed:?}"));
            let id = ids::hash(key.as_bytes(), ids::BITS_MAX);
            let owner = ids::owner(&nodes, &id);
            assert_eq!(found.owner, owner, "{key} ({id}) through {addr}: {found:?}");
            assert_eq!(found.path.last().map(String::as_str), Some(owner));
            all.push(found);
        }
    }
    all
}

#[test]
fn sixteen_daemons_that_join_at_once_through_different_seeds_agree_on_every_owner() {
    let mut cluster = Cluster::named("sixteen").nodes(16).empty();
    cluster.declare(&[]);
    for index in 1..16 {
        // A tree of seeds, most of which are still joining themselves when they are asked.
        cluster.declare(&[(index - 1) / 2]);
    }
    cluster.launch_all(0..16);
    cluster.await_one_ring(SETTLE);
    assert_everybody_knows_the_owners(&mut cluster, &keys(1000));
}

#[test]
fn daemons_that_start_at_once_with_the_same_list_of_all_of_them_found_one_ring() {
    let mut cluster = Cluster::named("list").nodes(5).empty();
    for _ in 0..5 {
        cluster.declare(&[0, 1, 2, 3, 4]);
    }
    cluster.launch_all(0..5);
    cluster.await_one_ring(SETTLE);
}

#[test]
fn a_seed_is_found_by_its_name() {
    let mut cluster = Cluster::named("name").nodes(2).empty();
    cluster.declare(&[]);
    cluster.declare(&[]);
    let seed = cluster.address(0).replace("127.0.0.1", "localhost");
    cluster.nodes[1].args.extend(["--join".to_owned(), seed]);
    cluster.launch_all(0..2);
    cluster.await_one_ring(SETTLE);
}

#[test]
fn a_late_joiner_takes_its_range_over_and_serves_it() {
    let mut cluster = Cluster::named("late").nodes(5).start();
    cluster.await_whole_sets(SETTLE);
    let records = records("late", 300);
    for stored in cluster.put_all(&records) {
        assert!(stored.holders.len() >= 2, "{stored:?} is not on a majority");
        assert!(!stored.durable, "{stored:?}: there is no disk");
    }
    cluster.await_copies(&records, SETTLE);

    let late = cluster.add(&[2]);
    cluster.await_one_ring(SETTLE);
    cluster.await_copies(&records, SETTLE);
    cluster.await_readable(&records, Duration::ZERO);

    let nodes = cluster.up_ids();
    let nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
    let newcomer = cluster.nodes[late].id().to_owned();
    let owned = |id: &str| ids::owner(&nodes, id) == newcomer;
    let key = ids::key_whose_id("for-the-newcomer", ids::BITS_MAX, owned);
    cluster.dht(0, &["put", &key, "welcome"]).json();
    let got = cluster.dht(1, &["get", &key]).json();
    assert_eq!(got["served_by"]["id"], newcomer.as_str(), "{got}");
}

#[test]
fn lookups_over_sixty_four_daemons_take_as_many_hops_as_a_model_with_global_knowledge() {
    let mut cluster = Cluster::named("sixty-four").nodes(64).start();
    let nodes = cluster.up_ids();
    for index in cluster.up() {
        await_true_fingers(&cluster, index, &nodes);
    }
    let keys = keys(1000);
    let (mut hops, mut model) = (0, 0);
    for (index, addr) in cluster.up_addrs().iter().enumerate() {
        let some: Vec<String> = keys.iter().skip(index).step_by(64).cloned().collect();
        for (key, found) in some.iter().zip(lookup_all(addr, &some, ids::BITS_MAX)) {
            let found = found.unwrap_or_else(|missed| panic!("{missed:?}"));
            let id = ids::hash(key.as_bytes(), ids::BITS_MAX);
            let way = model_way(&nodes, &found.path[0], &id);
            assert_eq!(found.owner, way[way.len() - 1], "{key}");
            hops += found.path.len() - 1;
            model += way.len() - 1;
        }
    }
    println!("{hops} hops for 1000 lookups, {model} in the model");
    assert!(
        hops * 10 <= model * 11 && hops * 10 >= model * 9,
        "{hops} hops for 1000 lookups, but {model} in the model"
    );
}

/// Where finger `power` of `node` begins.
fn finger_start(node: &str, power: usize) -> String {
    // Addition of one bit on hexadecimal digits, from the last to the first, modulo 2^160.
    let mut digits: Vec<u32> = node.chars().filter_map(|digit| digit.to_digit(16)).collect();
    let mut carry = 1 << (power % 4);
    for digit in digits.iter_mut().rev().skip(power / 4) {
        let sum = *digit + carry;
        *digit = sum % 16;
        carry = sum / 16;
    }
    digits.into_iter().filter_map(|digit| char::from_digit(digit, 16)).collect()
}

/// The true fingers of a node.
fn true_fingers(nodes: &[String], node: &str) -> Vec<String> {
    let nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
    (0..ids::BITS_MAX as usize).map(|power| ids::owner(&nodes, &finger_start(node, power)).to_owned()).collect()
}

fn await_true_fingers(cluster: &Cluster, index: usize, nodes: &[String]) {
    let expected = true_fingers(nodes, cluster.nodes[index].id());
    eventually("true fingers", SETTLE, || {
        let table = cluster.dht(index, &["table"]).json();
        let fingers = table["fingers"].as_array().ok_or("no fingers")?;
        let wrong =
            fingers.iter().zip(&expected).filter(|(finger, node)| finger["node"]["id"] != node.as_str()).count();
        if wrong == 0 && fingers.len() == expected.len() {
            Ok(())
        } else {
            Err(format!("{wrong} of {} are wrong", fingers.len()))
        }
    });
}

/// The way of a greedy lookup over true fingers and true successor lists of the default length: to the owner if the
/// list holds it, else to the closest node before the target.
fn model_way(nodes: &[String], from: &str, target: &str) -> Vec<String> {
    const LIST: usize = 8;
    let sorted: Vec<&str> = nodes.iter().map(String::as_str).collect();
    let owner = ids::owner(&sorted, target).to_owned();
    let mut way = vec![from.to_owned()];
    while way[way.len() - 1] != owner {
        let here = way[way.len() - 1].clone();
        // The list is what follows this node: the holders from this node on, itself left out.
        let list = ids::holders(&sorted, &here, LIST + 1).split_off(1);
        if list.contains(&owner.as_str()) {
            way.push(owner);
            break;
        }
        let known = true_fingers(nodes, &here);
        let known = known.iter().map(String::as_str).chain(list);
        let next = known
            .filter(|node| precedes(&here, node, target))
            .max_by_key(|node| around(&here, node))
            .expect("the successor precedes the target");
        way.push(next.to_owned());
    }
    way
}

/// `node` lies strictly between `here` and `target`, going up around the circle.
fn precedes(here: &str, node: &str, target: &str) -> bool {
    node != here && node != target && around(here, node) < around(here, target)
}

/// Sorts identifiers by how far they lie behind `here`.
fn around(here: &str, node: &str) -> (bool, String) {
    (node < here, node.to_owned())
}
