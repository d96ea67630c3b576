//! Pastry passes the suite that every overlay passes.

use overlay::NodeConfig;
use overlay::testing::Subject;
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

overlay::conforms!(pastry());
