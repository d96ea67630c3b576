//! Kelips passes the suite that every overlay passes: with two groups, and in part with three, so that groups are empty.

use kelips::{Config, Kelips, arbiter};
use overlay::NodeConfig;
use overlay::testing::Subject;
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

mod two_groups {
    overlay::conforms!(super::kelips(2, super::of_two));
}

mod three_groups {
    overlay::conforms!(
        super::kelips(3, super::of_three),
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
