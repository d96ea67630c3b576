//! Chord passes the suite that every overlay passes.

use chord::{Chord, Config};
use overlay::NodeConfig;
use overlay::testing::Subject;
use ring::{Id, Space};

/// The first node at or after the target.
fn successor(target: Id, members: &[Id]) -> Id {
    members.iter().copied().min_by_key(|&member| target.distance_to(member)).expect("a ring has members")
}

fn chord() -> Subject<Chord> {
    let node = NodeConfig::default();
    Subject { space: Space::SHA1, protocol: Config::default(), node, owner: successor }
}

overlay::conforms!(chord());
