use std::collections::BTreeMap;

use overlay::{Distance, Overlay};
use proptest::collection::btree_set;
use proptest::prelude::*;
use ring::Space;

use super::*;
use crate::Config;
use crate::testing::{id, knowing, knowing_all, node, peer, peer_at};

const KEY: u64 = 0xd4_6a1c;

fn config(leaf_set: usize) -> Config {
    Config { leaf_set, replicas: 1, ..Config::default() }
}

/// Whom a node names first, and how it knows it.
fn first(route: &Route) -> (Id, Via) {
    let (Route::Owners { hops, .. } | Route::Closer(hops)) = route else { panic!("{route:?} names nobody") };
    (hops[0].peer.id, hops[0].via)
}

/// Follows the best hop from node to node until one names itself.
fn walk(nodes: &BTreeMap<Id, Pastry>, from: Id, target: Id) -> Vec<(Id, Via)> {
    let mut way = Vec::new();
    let mut at = from;
    loop {
        let (next, via) = first(&nodes[&at].route(target, &[]));
        if next == at {
            assert_eq!(via, Via::Owner);
            return way;
        }
        assert!(way.len() < 64, "from {from} to {target} in circles: {way:?}");
        way.push((next, via));
        at = next;
    }
}

fn by_id(nodes: impl IntoIterator<Item = Pastry>) -> BTreeMap<Id, Pastry> {
    nodes.into_iter().map(|node| (node.me.id, node)).collect()
}

#[test]
fn the_papers_example_goes_one_digit_further_at_each_hop() {
    let small = || config(2);
    let nodes = by_id([
        node(0x65_a1fc, small(), &[0x65_a1f0, 0x65_a210], &[0xd1_3da3]),
        node(0xd1_3da3, small(), &[0xd1_3d00, 0xd1_3e00], &[0xd4_213f, 0x65_a1fc]),
        node(0xd4_213f, small(), &[0xd4_2000, 0xd4_2200], &[0xd4_62ba]),
        node(0xd4_62ba, config(4), &[0xd4_5fff, 0xd4_6200, 0xd4_67c4, 0xd4_71f1], &[]),
        node(0xd4_67c4, small(), &[0xd4_62ba, 0xd4_71f1], &[]),
    ]);
    let way = walk(&nodes, id(0x65_a1fc), id(KEY));
    // The third shares three digits, and so does the owner, which its leaf set names: it is the closest by number.
    let expected =
        [(0xd1_3da3, Via::Prefix), (0xd4_213f, Via::Prefix), (0xd4_62ba, Via::Prefix), (0xd4_67c4, Via::Leaf)];
    assert_eq!(way, expected.map(|(number, via)| (id(number), via)));
    let shared = way.iter().map(|(hop, _)| hop.shared_digits(id(KEY), 4)).collect::<Vec<_>>();
    assert_eq!(shared, [1, 2, 3, 3]);
}

#[test]
fn with_empty_tables_the_leaf_sets_alone_lead_there() {
    let numbers: Vec<u64> = (0..24).map(|place| place * 0xa_aaaa + 0x1_2345).collect();
    let nodes = by_id(numbers.iter().map(|&number| node(number, config(4), &numbers, &[])));
    let way = walk(&nodes, id(numbers[9]), id(KEY));
    let owner = numbers.iter().copied().min_by_key(|&number| closeness(id(number), id(KEY))).unwrap();
    assert_eq!(way.last(), Some(&(id(owner), Via::Leaf)));
    assert!(way.len() > 3 && way.iter().rev().skip(1).all(|(_, via)| *via == Via::Rare), "{way:?}");
}

#[test]
fn a_key_within_the_leaf_set_goes_to_the_closest_leaf_whatever_the_table_says() {
    let node = node(0x80_0000, config(4), &[0x70_0000, 0x7f_0000, 0x81_0000, 0x90_0000], &[0x8f_0000]);
    assert_eq!(first(&node.route(id(0x8f_fff0), &[])), (id(0x90_0000), Via::Leaf));
    assert_eq!(first(&node.route(id(0x80_1000), &[])), (id(0x80_0000), Via::Owner));
    // Half way to a leaf the lower identifier has the key.
    assert_eq!(first(&node.route(id(0x80_8000), &[])), (id(0x80_0000), Via::Owner));
    assert_eq!(first(&node.route(id(0x7f_8000), &[])), (id(0x7f_0000), Via::Leaf));
    assert_eq!(first(&node.route(id(0x7f_8001), &[])), (id(0x80_0000), Via::Owner));
}

#[test]
fn the_owner_that_a_leaf_set_names_knows_better_itself() {
    let before = node(0x70_0000, config(2), &[0x60_0000, 0x80_0000], &[]);
    assert_eq!(first(&before.route(id(0x7a_0000), &[])), (id(0x80_0000), Via::Leaf));
    let named = node(0x80_0000, config(2), &[0x78_0000, 0x90_0000], &[]);
    let Route::Owners { hops, arc: None } = named.route(id(0x7a_0000), &[]) else { panic!("it is a claim") };
    assert_eq!((hops[0].peer.id, hops[0].via), (id(0x78_0000), Via::Leaf));
}

#[test]
fn the_rare_case_names_who_shares_as_many_digits_and_is_closer() {
    let leaves = [0xd3_0000, 0xd3_fff0, 0xd4_1000, 0xd4_2000];
    let node = node(0xd4_0000, config(4), &leaves, &[0xe0_0000, 0xd5_0000]);
    let Route::Closer(hops) = node.route(id(KEY), &[]) else { panic!("it is out of the leaf set's reach") };
    let named: Vec<_> = hops.iter().map(|hop| (hop.peer.id, hop.via)).collect();
    // d50000 is closer by number, but shares fewer digits.
    assert_eq!(named, [(id(0xd4_2000), Via::Rare), (id(0xd4_1000), Via::Rare)]);
}

#[test]
fn a_silent_entry_is_gone_round_and_named_only_when_nobody_else_is_there() {
    let leaves = [0x64_0000, 0x66_0000];
    let node = node(0x65_a1fc, config(2), &leaves, &[0xd1_3da3, 0xe0_0000]);
    assert_eq!(first(&node.route(id(KEY), &[])), (id(0xd1_3da3), Via::Prefix));
    let (next, via) = first(&node.route(id(KEY), &[id(0xd1_3da3)]));
    assert_eq!((next, via), (id(0xe0_0000), Via::Rare));
    let everybody = [0xd1_3da3, 0xe0_0000, 0x66_0000].map(id);
    assert_eq!(first(&node.route(id(KEY), &everybody)), (id(0xd1_3da3), Via::Prefix));
}

#[test]
fn the_owner_tells_its_arc_and_those_next_to_the_key() {
    let node = knowing(0x80_0000, &[0x70_0000, 0x90_0000, 0xa0_0000], Config::default());
    let Route::Owners { hops, arc } = node.route(id(0x81_0000), &[id(0x70_0000)]) else { panic!("it owns that") };
    assert_eq!(hops.iter().map(|hop| hop.peer.id).collect::<Vec<_>>(), [0x80_0000, 0x90_0000, 0xa0_0000].map(id));
    assert_eq!(arc, Some(ring::Range::new(id(0x78_0000), id(0x88_0000))));
}

#[test]
fn with_perfect_tables_it_takes_about_log_16_of_1000_hops() {
    let ids: Vec<Id> = (0u32..1_000).map(|number| Space::SHA1.hash(&number.to_be_bytes())).collect();
    let peers: Vec<Peer> = ids.iter().copied().map(peer_at).collect();
    let nodes: BTreeMap<Id, Pastry> =
        peers.iter().map(|me| (me.id, knowing_all(me, &peers, Config::default()))).collect();
    let mut hops = 0;
    for lookup in 0..1_000u32 {
        let target = Space::SHA1.hash(&(lookup + 1_000_000).to_be_bytes());
        let way = walk(&nodes, ids[lookup as usize], target);
        let owner = ids.iter().copied().min_by_key(|&id| closeness(id, target)).unwrap();
        assert_eq!(way.last().map_or(ids[lookup as usize], |(last, _)| *last), owner);
        hops += way.len();
    }
    // log16 1000 = 2.49 (Rowstron and Druschel 2001, figure 4).
    assert!((2_100..=2_800).contains(&hops), "{hops} hops in 1000 lookups");
}

proptest! {
    /// What a lookup relies on: every step but a leaf set's is nearer in the protocol's own metric, so it comes to an end.
    #[test]
    fn every_step_is_nearer_until_a_leaf_set_answers_and_the_walk_ends_at_the_closest(
        numbers in btree_set(0u64..1 << 12, 1..60), digit_bits in 1u32..=5, target in 0u64..1 << 12, full in any::<bool>(),
    ) {
        let space = Space::new(12).unwrap();
        let ids: Vec<Id> = numbers.into_iter().map(|number| space.id(number).unwrap()).collect();
        let peers: Vec<Peer> = ids.iter().copied().map(peer_at).collect();
        let target = space.id(target).unwrap();
        let owner = ids.iter().copied().min_by_key(|&id| closeness(id, target)).unwrap();
        let config = Config { digit_bits, ..config(4) };
        let nodes: BTreeMap<Id, Pastry> = ids.iter().map(|&me| {
            let mut node = knowing_all(&peer_at(me), &peers, config.clone());
            if !full {
                ids.iter().for_each(|&id| _ = node.table.remove(&peer_at(id)));
            }
            (me, node)
        }).collect();
        for (at, node) in &nodes {
            let distance = |from: Id| -> Distance { node.distance(from, target) };
            if let Route::Closer(hops) = node.route(target, &[]) {
                prop_assert!(!hops.is_empty() && hops.len() <= CLOSER_MAX);
                prop_assert!(hops.iter().all(|hop| distance(hop.peer.id) < distance(*at)), "{hops:?} from {at}");
            }
            let way = walk(&nodes, *at, target);
            prop_assert_eq!(way.last().map_or(*at, |(last, _)| *last), owner);
        }
    }
}

#[test]
fn distance_counts_digits_that_are_not_shared_and_then_the_gap() {
    let node = node(0x1, Config::default(), &[], &[]);
    let distance = |from: u64| node.distance(id(from), id(KEY));
    assert!(distance(0xd4_0000) < distance(0xd3_ffff) && distance(0xd4_6a1d) < distance(0xd4_6a1f));
    assert_eq!((distance(KEY).class, distance(0x65_a1fc).class), (0, 6));
    assert_eq!(peer(1).id, node.me.id);
}
