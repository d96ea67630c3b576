//! The worked examples that Chord is taught with: the course's ring of 7 bits, and the paper's of 6 bits
//! (SIGCOMM 2001, figures 3 to 5).

use std::time::Duration;

use chord::{Chord, Config, Table};
use overlay::testing::{Net, Subject, conformance};
use overlay::{NodeConfig, Via};
use ring::{Id, Space};

const COURSE: [u64; 6] = [16, 32, 45, 80, 96, 112];
const PAPER: [u64; 10] = [1, 8, 14, 21, 32, 38, 42, 48, 51, 56];

fn successor(target: Id, members: &[Id]) -> Id {
    members.iter().copied().min_by_key(|&member| target.distance_to(member)).expect("a ring has members")
}

/// A ring of these members that has been left alone for a while.
fn ring_of(bits: u32, members: &[u64], config: Config) -> Net<Chord> {
    let space = Space::new(bits).expect("a width that is allowed");
    let node = NodeConfig::default();
    let mut net = Net::new(Subject { space, protocol: config, node, owner: successor }, 1);
    for (number, &member) in members.iter().enumerate() {
        net.add_at(space.id(member).expect("it fits"), if number == 0 { &[] } else { &[0] });
    }
    conformance::converge(&mut net, members.len(), Duration::from_secs(20));
    net.run_for(Duration::from_secs(20));
    net
}

/// Fingers alone: as the examples have it, `--successors 1 --replicas 1`.
fn fingers_alone() -> Config {
    Config { successors: 1, replicas: 1, ..Config::default() }
}

fn number(id: Id) -> u64 {
    u64::from_str_radix(&id.to_string(), 16).expect("a small ring")
}

fn host(net: &Net<Chord>, member: u64) -> usize {
    net.at(net.subject().space.id(member).expect("it fits")).expect("it is a member")
}

fn table(net: &Net<Chord>, member: u64) -> Table {
    net.table(host(net, member))
}

fn fingers(net: &Net<Chord>, member: u64) -> Vec<u64> {
    let known = table(net, member).fingers.into_iter();
    known.map(|finger| number(finger.node.expect("every finger is known by now").id)).collect()
}

/// The members on the way from `start` to the owner of `key`, and how each after the first was known.
fn walk(net: &mut Net<Chord>, start: u64, key: u64) -> (Vec<u64>, Vec<Via>) {
    let key = net.subject().space.id(key).expect("it fits");
    let located = net.lookup(host(net, start), key).expect("the ring is whole");
    let members = located.path.iter().map(|step| number(step.peer.id)).collect();
    (members, located.path.iter().filter_map(|step| step.via).collect())
}

#[test]
fn the_fingers_of_80_are_the_courses() {
    for config in [fingers_alone(), Config::default()] {
        let net = ring_of(7, &COURSE, config);
        assert_eq!(fingers(&net, 80), [96, 96, 96, 96, 96, 112, 16]);
        assert_eq!(table(&net, 80).fingers[6].start, net.subject().space.id(16).unwrap());
        assert_eq!(fingers(&net, 112), [16, 16, 16, 16, 16, 16, 80]);
    }
}

#[test]
fn key_42_is_found_from_80_by_way_of_16_and_32_with_fingers_alone() {
    let mut net = ring_of(7, &COURSE, fingers_alone());
    let (members, via) = walk(&mut net, 80, 42);
    assert_eq!(members, [80, 16, 32, 45]);
    assert_eq!(via, [Via::Finger, Via::Finger, Via::Successor]);
}

#[test]
fn key_42_is_found_from_80_at_once_with_the_default_list() {
    let mut net = ring_of(7, &COURSE, Config::default());
    let (members, via) = walk(&mut net, 80, 42);
    assert_eq!((members, via), (vec![80, 45], vec![Via::Successor]));
    assert_eq!(walk(&mut net, 45, 42), (vec![45], vec![]));
}

#[test]
fn when_40_joins_keys_33_to_40_move_to_it_from_45() {
    for config in [fingers_alone(), Config::default()] {
        let mut net = ring_of(7, &COURSE, config);
        let space = net.subject().space;
        net.add_at(space.id(40).unwrap(), &[3]);
        conformance::converge(&mut net, 7, Duration::from_secs(10));
        assert_eq!(number(table(&net, 32).successors[0].id), 40);
        assert_eq!(number(table(&net, 45).predecessor.unwrap().id), 40);
        for start in [16, 32, 45, 80, 40] {
            let owner = |net: &mut Net<Chord>, key| walk(net, start, key).0.last().copied();
            assert_eq!(owner(&mut net, 32), Some(32), "from {start}");
            for key in 33..=40 {
                assert_eq!(owner(&mut net, key), Some(40), "key {key} from {start}");
            }
            assert_eq!(owner(&mut net, 41), Some(45), "from {start}");
            assert_eq!(owner(&mut net, 42), Some(45), "from {start}");
        }
    }
}

#[test]
fn the_fingers_of_8_are_the_papers() {
    for config in [fingers_alone(), Config::default()] {
        let net = ring_of(6, &PAPER, config);
        assert_eq!(fingers(&net, 8), [14, 14, 14, 21, 32, 42]);
    }
}

#[test]
fn key_54_is_found_from_8_by_way_of_42_and_51_with_fingers_alone() {
    let mut net = ring_of(6, &PAPER, fingers_alone());
    let (members, via) = walk(&mut net, 8, 54);
    assert_eq!(members, [8, 42, 51, 56]);
    assert_eq!(via, [Via::Finger, Via::Finger, Via::Successor]);
}

#[test]
fn key_54_is_found_from_8_at_once_with_the_default_list() {
    let mut net = ring_of(6, &PAPER, Config::default());
    assert_eq!(walk(&mut net, 8, 54), (vec![8, 56], vec![Via::Successor]));
}

#[test]
fn lists_show_each_member_once_and_never_the_node_itself() {
    let net = ring_of(7, &COURSE, Config::default());
    let shown: Vec<u64> = table(&net, 80).successors.iter().map(|peer| number(peer.id)).collect();
    assert_eq!(shown, [96, 112, 16, 32, 45]);
    let alone = ring_of(7, &[80], Config::default());
    assert_eq!(table(&alone, 80).predecessor, None);
    assert_eq!(table(&alone, 80).successors, []);
    assert_eq!(fingers(&alone, 80), [80; 7]);
}
