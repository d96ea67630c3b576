//! What a new primary does first, and what it stops doing.

use crate::cluster::Cluster;
use crate::{Job, Role};

#[test]
fn a_new_primary_hears_a_majority_of_the_set_before_until_its_own_is_settled() {
    let mut cluster = Cluster::of(&[10, 20, 30, 40], None);
    let before = cluster.set();
    cluster.fail_disk(0);
    cluster.run(30);
    let primary = &cluster.nodes[1];
    let takes_over = |job: &Job| matches!(job, Job::Takeover { before: from, .. } if *from == before);
    assert!(cluster.jobs.iter().any(takes_over), "{:?}", cluster.jobs);
    let holding = &primary.holdings().ranges[0];
    assert!(matches!(holding.role, Role::Primary { settled: true, .. }), "{holding:?}");
    // What former holders still have may have been deleted since.
    assert!(primary.locals.iter().all(|(_, local)| local.before.is_none()));
}

#[test]
fn whoever_ordered_the_writes_before_goes_on_at_once() {
    let mut cluster = Cluster::of(&[10, 20, 30, 40], None);
    cluster.dead.push(30);
    cluster.run(30);
    assert_eq!(cluster.members(), [10, 20, 40]);
    assert!(!cluster.jobs.iter().any(|job| matches!(job, Job::Takeover { .. })), "{:?}", cluster.jobs);
}
