//! Nodes whose disks fail, among others.

use std::time::Duration;

use overlay::Time;

use crate::cluster::Cluster;
use crate::fixtures::{id, member, range, set};
use crate::{Answer, Ballot, Config, Control, Event, Job, Piece, Request, Role};

const SOON: Option<Duration> = Some(Duration::from_secs(5));

#[test]
fn a_read_only_owner_hands_its_range_to_those_that_write() {
    let mut cluster = Cluster::of(&[10, 20, 30, 40], None);
    assert_eq!(cluster.members(), [10, 20, 30]);
    cluster.fail_disk(0);
    cluster.run(1);
    assert_eq!(cluster.members()[0], 20, "the next one orders the writes at once");
    cluster.run(15);
    assert_eq!(cluster.members(), [20, 30, 40], "and a newcomer has taken its place");
    assert!(matches!(&cluster.nodes[1].holdings().ranges[0].role, Role::Primary { settled: true, .. }));
}

#[test]
fn a_read_only_member_is_replaced_where_somebody_can() {
    let mut cluster = Cluster::of(&[10, 20, 30, 40], None);
    cluster.fail_disk(2);
    cluster.run(20);
    assert_eq!(cluster.members(), [10, 20, 40]);
}

#[test]
fn of_three_the_two_that_write_go_on_and_keep_the_third_to_be_read() {
    for failing in 0..3 {
        let mut cluster = Cluster::of(&[10, 20, 30], SOON);
        cluster.fail_disk(failing);
        cluster.run(30);
        let (members, gone) = (cluster.members(), [10, 20, 30][failing]);
        assert!(members.len() == 3 && members[0] != gone && !cluster.set().forced, "{members:?} without {gone}");
        let primary = cluster.nodes.iter().find(|node| node.me.is(cluster.set().primary())).unwrap();
        let holding = &primary.holdings().ranges[0];
        assert_eq!(holding.read_only, [member(gone)]);
        assert!(
            holding.missing.is_empty() && matches!(holding.role, Role::Primary { settled: true, .. }),
            "{holding:?}"
        );
    }
}

#[test]
fn survivors_of_a_majority_of_read_only_members_learn_from_them() {
    let mut cluster = Cluster::of(&[10, 20, 30], SOON);
    cluster.fail_disk(0);
    cluster.fail_disk(1);
    cluster.run(3);
    assert!(cluster.nodes.iter().all(|node| node.holdings().ranges[0].missing.is_empty()), "all can be read");
    assert!(!cluster.events.iter().any(|event| matches!(event, Event::LostMajority(..))));
    cluster.run(12);
    assert_eq!((cluster.members(), cluster.set().forced), (vec![30], true));
    let learnt_from = |job: &Job| match job {
        Job::Takeover { before, .. } => before.members.len(),
        _ => 0,
    };
    assert_eq!(cluster.jobs.iter().map(learnt_from).max(), Some(3));
}

#[test]
fn a_node_outside_goes_on_where_the_whole_set_is_read_only() {
    let mut cluster = Cluster::of(&[10, 20, 30, 40], SOON);
    (0..3).for_each(|node| cluster.fail_disk(node));
    cluster.run(15);
    assert_eq!((cluster.members(), cluster.set().forced), (vec![40], true));
    let learnt_from = |job: &Job| match job {
        Job::Takeover { before, set, .. } => (before.members.len(), set.needs_of(before)),
        _ => (0, 0),
    };
    assert_eq!(cluster.jobs.iter().map(learnt_from).max(), Some((3, 3)), "from all three");
}

#[test]
fn where_nobody_writes_any_more_nothing_is_begun_anew() {
    let mut cluster = Cluster::of(&[10, 20, 30], SOON);
    let before = cluster.set();
    (0..3).for_each(|node| cluster.fail_disk(node));
    cluster.run(30);
    assert_eq!(cluster.set(), before);
    assert!(cluster.nodes[0].holdings().ranges[0].missing.is_empty(), "it goes on answering reads");
}

fn machine(place: u64, disk: &[Piece]) -> Control {
    let config = Config {
        replicas: 3,
        lost_majority_after: None,
        stopped_for: Duration::ZERO,
        refresh_period: Duration::from_secs(2),
        repair_period: Duration::from_secs(60),
    };
    Control::new(member(place), config, disk.to_vec(), 1)
}

fn piece() -> Piece {
    Piece { range: range(0, 100), set: set(4, &[10, 20, 30]), promised: None, accepted: None, synced: true }
}

#[test]
fn nothing_is_promised_without_a_disk_and_what_is_known_is_told() {
    let mut control = machine(20, &[piece()]);
    control.on_disk_failed(Time::default(), &[piece()]);
    let ballot = Ballot { round: 7, proposer: id(10) };
    let asked = vec![
        Request::Sets { range: range(0, 100), known: Vec::new() },
        Request::Prepare { range: range(0, 100), after: 4, ballot },
        Request::Accept { range: range(0, 100), after: 4, ballot, set: set(5, &[10, 20]) },
    ];
    let response = control.serve(Time::default(), &member(10), asked);
    assert!(response.read_only);
    assert!(
        matches!(&response.answers[..], [Answer::Pieces(pieces), Answer::No(_), Answer::No(_)] if *pieces == [piece()]),
        "{response:?}"
    );
}

#[test]
fn a_vote_that_did_not_reach_the_disk_is_not_counted() {
    let mut control = machine(20, &[piece()]);
    let ballot = Ballot { round: 7, proposer: id(10) };
    let accept = Request::Accept { range: range(0, 100), after: 4, ballot, set: set(5, &[10, 20]) };
    let response = control.serve(Time::default(), &member(10), vec![accept]);
    assert_eq!(response.answers, [Answer::Accepted]);
    control.on_disk_failed(Time::default(), &[piece()]);
    let sets = Request::Sets { range: range(0, 100), known: Vec::new() };
    let response = control.serve(Time::default(), &member(10), vec![sets]);
    assert_eq!(response.answers, [Answer::Pieces(vec![piece()])]);
}
