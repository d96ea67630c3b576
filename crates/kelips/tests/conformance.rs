//! Kelips passes the suite that every overlay passes: with two groups, and in part with three, so that groups are empty.

use kelips::{Config, Kelips, arbiter};
use overlay::NodeConfig;
use overlay::testing::{Subject, conformance};
use ring::{Id, Places, Space};

fn of_two(target: Id, members: &[Id]) -> Id {
    owner(2, target, members)
}

fn of_three(target: Id, members: &[Id]) -> Id {
    owner(3, target, members)
}

fn owner(groups: u32, target: Id, members: &[Id]) -> Id {
    let places = Places::grouped(Space::SHA1, groups).expect("SHA-1 can be divided into a few groups");
    arbiter(places, target, members).expect("a ring has members")
}

fn kelips(groups: u32, owner: fn(Id, &[Id]) -> Id) -> Subject<Kelips> {
    let protocol = Config { groups, ..Config::default() };
    Subject { space: Space::SHA1, protocol, node: NodeConfig::default(), owner }
}

macro_rules! conforms {
    ($groups:literal, $owner:ident: $($scenario:ident),+ $(,)?) => {
        $(#[test]
        fn $scenario() {
            conformance::$scenario(&kelips($groups, super::$owner));
        })+
    };
}

mod two_groups {
    use super::{conformance, kelips};
    conforms!(
        2, of_two:
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
}

mod three_groups {
    use super::{conformance, kelips};
    conforms!(
        3, of_three:
        a_node_without_seeds_is_a_ring_of_one,
        nodes_join_one_by_one,
        nodes_join_all_at_once,
        a_crashed_node_rejoins_in_a_new_incarnation,
        the_survivor_of_two_goes_on_alone,
        nodes_leave_until_one_is_left,
        a_stopped_cluster_comes_back_as_the_old_ring,
        a_node_that_was_cut_off_comes_back,
        a_ring_under_churn_heals,
    );
}
