//! A node as the layers above see it.

use std::time::Duration;

use ring::Id;

use crate::{Peer, RingId, Share, Time};

/// Where a node stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum State {
    /// Looks for a ready member.
    Searching,
    /// Has found one; neighbours have not all confirmed yet. Also after a pause, and while changing rings.
    Joining,
    /// A member.
    Ready,
    /// Told to go, still serving while records are handed over.
    Leaving,
    /// Out.
    Left,
}

/// A peer this node knows of, and how it is.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Known {
    /// The peer.
    pub peer: Peer,
    /// False once declared dead, until heard of again.
    pub alive: bool,
    /// It said that it stops, at this time.
    pub stopped: Option<Time>,
    /// It said that it leaves for good.
    pub left: bool,
    /// Smoothed round trip.
    pub rtt: Option<Duration>,
}

/// A snapshot of the node for the layers above: what is published to request handlers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct View {
    /// This node.
    pub me: Peer,
    /// Its standing.
    pub state: State,
    /// Its ring.
    pub ring: Option<RingId>,
    /// The arcs it owns with the desired holders, this node first.
    pub shares: Vec<Share>,
    /// Every peer it remembers, by identifier, bounded: members seen in this ring, dead ones for a while.
    pub known: Vec<Known>,
}

impl View {
    /// The peer of this identifier, as last heard of.
    pub fn peer(&self, id: Id) -> Option<&Known> {
        self.known.iter().find(|known| known.peer.id == id)
    }
}
