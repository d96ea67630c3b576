//! Pastry passes the suite that every overlay passes.

use overlay::NodeConfig;
use overlay::testing::{Subject, conformance};
use pastry::{Config, Pastry};
use ring::{Id, Space};

/// The node numerically closest to the target; of two that are equally close the lower identifier.
fn closest(target: Id, members: &[Id]) -> Id {
    members.iter().copied().min_by_key(|&member| (member.gap(target), member)).expect("a ring has members")
}

fn pastry() -> Subject<Pastry> {
    let node = NodeConfig::default();
    Subject { space: Space::SHA1, protocol: Config::default(), node, owner: closest }
}

macro_rules! conforms {
    ($($scenario:ident),+ $(,)?) => {
        $(#[test]
        fn $scenario() {
            conformance::$scenario(&pastry());
        })+
    };
}

conforms!(
    a_node_without_seeds_is_a_ring_of_one,
    nodes_join_one_by_one,
    nodes_join_all_at_once,
    nodes_join_while_messages_are_lost,
    nodes_join_over_long_links,
    crashes_at_the_same_moment_are_repaired,
    silent_nodes_are_routed_around,
    a_pause_of_all_leaves_the_ring_whole,
    a_crashed_node_rejoins_in_a_new_incarnation,
    the_survivor_of_two_goes_on_alone,
    nodes_leave_until_one_is_left,
    nodes_stop_and_come_back,
    a_stopped_cluster_comes_back_as_the_old_ring,
    a_healed_partition_is_one_ring_again,
    a_node_that_was_cut_off_comes_back,
    two_rings_that_meet_become_one,
    a_ring_under_churn_heals,
);
