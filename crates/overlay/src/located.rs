//! What a lookup ends in.

use std::time::Duration;

use ring::Id;

use crate::{Peer, Via};

/// One step of a lookup's path.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Step {
    /// The node.
    pub peer: Peer,
    /// Round trip of the call that it answered; `None` for the first, which is the node asked. Of a recursive lookup it
    /// is the smoothed round trip between it and the node before it, as that one knew it: how long the call itself
    /// takes can't be known when the path goes out with it.
    pub rtt: Option<Duration>,
    /// How the node before it knew it; `None` for the first.
    pub via: Option<Via>,
}

/// A lookup's result.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Located {
    /// The key or identifier asked for.
    pub target: Id,
    /// The owner, confirmed by itself or by one who knows, then those who should hold the target with it.
    pub owners: Vec<Peer>,
    /// Who holds the target, or should. The owner is among them unless the overlay keeps data apart from who finds it.
    pub holders: Vec<Peer>,
    /// From the node asked to the one that answered for the target, dead hops left out; length − 1 is the number of hops.
    pub path: Vec<Step>,
    /// The owner's own arc that the target falls in, if it told.
    pub arc: Option<ring::Range>,
}

/// Why a lookup found nobody.
#[derive(Clone, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum LocateError {
    /// This node is not in a ring yet (or again).
    #[error("this node is still joining")]
    Joining,
    /// The overall deadline passed; so many nodes had been asked.
    #[error("no owner could be found in time, {asked} nodes were asked, {silent} did not answer")]
    TimedOut {
        /// Nodes asked.
        asked: usize,
        /// Of these, silent.
        silent: usize,
    },
}
