//! What is said, and done, when most members of a set are gone.

use std::time::Duration;

use crate::cluster::Cluster;
use crate::fixtures::member;
use crate::{Event, Wait};

const SOON: Option<Duration> = Some(Duration::from_secs(5));

fn said(cluster: &Cluster) -> Vec<Wait> {
    let wait = |event: &Event| match event {
        Event::MajorityGone(_, _, missing, wait) => {
            assert!(!missing.is_empty());
            Some(wait.clone())
        }
        _ => None,
    };
    cluster.events.iter().filter_map(wait).collect()
}

fn went_on(cluster: &Cluster) -> bool {
    cluster.events.iter().any(|event| matches!(event, Event::LostMajority(..)))
}

#[test]
fn it_is_said_once_what_a_range_without_a_majority_waits_for() {
    let mut cluster = Cluster::of(&[10, 20, 30, 40], SOON);
    cluster.dead = vec![20, 30];
    cluster.run(4);
    assert_eq!((said(&cluster), went_on(&cluster)), (vec![Wait::For(Duration::from_secs(5))], false));
    cluster.run(4);
    assert!(went_on(&cluster));
    assert_eq!(said(&cluster).len(), 1);

    let mut never = Cluster::of(&[10, 20, 30, 40], None);
    never.dead = vec![20, 30];
    never.run(60);
    assert_eq!((said(&never), went_on(&never)), (vec![Wait::Forever], false));
    never.dead.clear();
    never.run(5);
    assert!(never.events.iter().any(|event| matches!(event, Event::MajorityBack(_))), "{:?}", never.events);
}

#[test]
fn who_only_stopped_is_waited_for_by_name() {
    let mut cluster = Cluster::of(&[10, 20, 30, 40], SOON);
    (cluster.dead, cluster.stopped) = (vec![20, 30], vec![30]);
    cluster.run(30);
    assert_eq!((said(&cluster), went_on(&cluster)), (vec![Wait::Stopped(vec![member(30)])], false));
}

#[test]
fn whoever_was_dead_long_before_is_no_reason_to_wait() {
    let mut cluster = Cluster::of(&[10, 20, 30, 40, 50, 60, 70], SOON);
    cluster.dead = vec![50, 60, 70];
    cluster.run(90);
    cluster.dead.extend([20, 30]);
    cluster.run(10);
    assert!(went_on(&cluster), "two of the four that were left answer: {:?}", said(&cluster));

    let mut at_once = Cluster::of(&[10, 20, 30, 40, 50, 60, 70], SOON);
    at_once.dead = vec![20, 30, 50, 60, 70];
    at_once.run(300);
    assert_eq!((said(&at_once), went_on(&at_once)), (vec![Wait::Outnumbered(2, 7)], false));
}

#[test]
fn a_minority_does_not_become_a_majority_by_waiting() {
    let mut cut = Cluster::of(&[10, 20, 30, 40, 50, 60, 70, 80, 90], SOON);
    cut.dead = vec![50, 60, 70, 80, 90];
    cut.run(300);
    cut.dead.extend([20, 30]);
    cut.run(60);
    assert!(!went_on(&cut), "two of nine");
    assert_eq!(said(&cut), [Wait::Outnumbered(2, 9)]);
}
