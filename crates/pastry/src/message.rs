use overlay::{Peer, Route};
use ring::Id;

/// What Pastry nodes ask each other.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Request {
    /// Where does a message with this key go next? One step of a lookup.
    Route {
        /// The key.
        target: Id,
        /// Peers that the asker could not reach just now.
        avoid: Vec<Id>,
    },
    /// You are the node closest to me: help me to join.
    Join,
    /// Take me into your leaf set if I belong there; here is mine, and show me yours.
    LeafSet(Leaves),
    /// A row of your routing table, please, and your neighbourhood set.
    State {
        /// Which row.
        row: u32,
    },
    /// I am active. Here is the row of my routing table that is of use to you.
    Announce {
        /// Its entries.
        row: Vec<Peer>,
    },
    /// Are you there, and how far away?
    Ping,
}

/// What they answer.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Response {
    /// To [`Request::Route`].
    Route(Route),
    /// To [`Request::Join`]: the answerer's leaf set; it belongs there itself.
    Welcome(Leaves),
    /// To [`Request::Join`]: this node is closer to the newcomer; ask there.
    Elsewhere(Peer),
    /// To [`Request::LeafSet`]: the answerer's own as it was before it took the asker in, so that whoever had to
    /// give way to the asker is named to it.
    LeafSet(Leaves),
    /// To [`Request::State`].
    State {
        /// The entries of the row.
        row: Vec<Peer>,
        /// The neighbourhood set, nearest first.
        neighbourhood: Vec<Peer>,
    },
    /// To [`Request::Announce`] and [`Request::Ping`].
    Noted,
}

/// A leaf set as it is exchanged.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Leaves {
    /// Its nodes, each once.
    pub leaves: Vec<Peer>,
    /// Nodes that failed lately, as far as the sender can tell: whoever has one of them looks for itself.
    pub failed: Vec<Peer>,
}

/// The routing state, as `dht table` and `dht check` show it.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Table {
    /// b, bits of a digit.
    pub digit_bits: u32,
    /// |L|: half of it on either side.
    pub leaf_set: u32,
    /// The leaves with the next smaller identifiers, nearest first. In a ring of |L| nodes or fewer a node may be on both sides.
    pub smaller: Vec<Peer>,
    /// The leaves with the next larger identifiers, nearest first.
    pub larger: Vec<Peer>,
    /// The rows of the routing table that have entries, in order.
    pub rows: Vec<Row>,
    /// The neighbourhood set, nearest by round trip first.
    pub neighbourhood: Vec<Peer>,
}

/// A row of a routing table: nodes that share the first `row` digits with this one and differ in the next.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Row {
    /// Digits shared.
    pub row: u32,
    /// In the order of their digits.
    pub entries: Vec<Entry>,
}

/// An entry of a row.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Entry {
    /// The digit after the shared ones.
    pub digit: u32,
    /// Who.
    pub node: Peer,
}
