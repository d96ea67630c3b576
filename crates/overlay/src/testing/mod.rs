//! For the tests of protocol crates: a deterministic network in virtual time, and the conformance suite
//! that every overlay passes.
//!
//! [`Net`] runs many [`crate::Node`]s in one thread. Its clock jumps from one event to the next, so a minute
//! of a ring's life takes milliseconds; everything random in it comes from one seed, which every failure prints.
//! [`conformance`] holds the scenarios: each is one public function, and [`conforms!`](crate::conforms) makes tests of
//! them for a protocol crate's [`Subject`]. [`step`] drives a bare protocol, without a node around
//! it, for tests that replace failure detection by a perfect one.

pub mod conformance;
mod host;
mod net;
mod step;
mod subject;

pub use net::Net;
pub use step::{Effects, step};
pub use subject::Subject;

/// Tests that the [`Subject`] of an expression passes the whole suite, or the scenarios that are named.
#[macro_export]
macro_rules! conforms {
    ($subject:expr) => {
        $crate::conforms!(
            $subject,
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
            recursive_lookups_are_right,
        );
    };
    ($subject:expr, $($scenario:ident),+ $(,)?) => {
        $(#[test]
        fn $scenario() {
            $crate::testing::conformance::$scenario(&$subject);
        })+
    };
}
