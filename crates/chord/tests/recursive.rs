//! Chord by recursive routing: the same answers, sooner over long links.

use std::time::Duration;

use chord::{Chord, Config};
use overlay::testing::{Net, Subject, conformance};
use overlay::{NodeConfig, Routing};
use ring::{Id, Space};

/// The first node at or after the target.
fn successor(target: Id, members: &[Id]) -> Id {
    members.iter().copied().min_by_key(|&member| target.distance_to(member)).expect("a ring has members")
}

fn chord(routing: Routing) -> Subject<Chord> {
    let node = NodeConfig { routing, ..NodeConfig::default() };
    Subject { space: Space::SHA1, protocol: Config::default(), node, owner: successor }
}

overlay::conforms!(
    chord(Routing::Recursive),
    a_node_without_seeds_is_a_ring_of_one,
    nodes_join_all_at_once,
    nodes_join_while_messages_are_lost,
    nodes_join_over_long_links,
    crashes_at_the_same_moment_are_repaired,
    silent_nodes_are_routed_around,
    a_pause_of_all_leaves_the_ring_whole,
    a_healed_partition_is_one_ring_again,
    a_ring_under_churn_heals,
);

/// How long 300 lookups take together in a ring of 64 over links of 50 to 60 ms and how many hops they make.
fn lookups(routing: Routing) -> (Duration, usize) {
    const NODES: usize = 64;
    let (least, most) = (Duration::from_millis(50), Duration::from_millis(60));
    // A short list, so that lookups have some way to go.
    let protocol = Config { successors: 2, replicas: 1, ..Config::default() };
    let subject = Subject { protocol, ..chord(routing) };
    let mut net: Net<Chord> = conformance::together(&subject, 7, NODES).with_latency(least, most);
    conformance::converge(&mut net, NODES, Duration::from_secs(60));
    net.run_for(Duration::from_secs(30));
    let members: Vec<Id> = (0..NODES).map(|number| net.view(number).me.id).collect();
    let (mut took, mut hops) = (Duration::ZERO, 0);
    for lookup in 0..300 {
        let target = conformance::random_id(&mut net);
        let before = net.now();
        let found = net.lookup(lookup % NODES, target).expect("the ring is whole");
        assert_eq!(found.owners[0].id, successor(target, &members));
        took += net.now().since(before);
        hops += found.path.len() - 1;
    }
    (took, hops)
}

/// h hops take h round trips iteratively; recursively each is one way, and so is the answer.
#[test]
fn over_long_links_they_take_little_more_than_half_the_time() {
    let (iterative, iterative_hops) = lookups(Routing::Iterative);
    let (recursive, recursive_hops) = lookups(Routing::Recursive);
    assert!(iterative_hops >= 600, "{iterative_hops} hops are too few to tell");
    let fewer = recursive_hops.abs_diff(iterative_hops);
    assert!(fewer * 20 <= iterative_hops, "{recursive_hops} hops recursively, {iterative_hops} iteratively");
    let percent = recursive.as_micros() * 100 / iterative.as_micros();
    assert!(percent < 80, "{recursive:?} recursively, {iterative:?} iteratively: {percent} %");
}
