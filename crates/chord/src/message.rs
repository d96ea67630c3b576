use overlay::{Peer, Route};
use ring::Id;

/// What Chord nodes ask each other.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Request {
    /// Who is the successor of `target`? One step of a lookup.
    FindSuccessor {
        /// The identifier asked for.
        target: Id,
        /// Peers that the asker could not reach just now.
        avoid: Vec<Id>,
    },
    /// Your predecessor and successor list, please: stabilize, rectify (as a sign of life), check.
    GetNeighbours,
    /// I lie between you and your successor: take me in (Zave 2017, join).
    Join,
    /// I believe that I am your predecessor (Zave 2017, rectify).
    Notify,
    /// Something has changed next to you: stabilize now instead of at your next round.
    Stabilize,
}

/// What they answer.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Response {
    /// To [`Request::FindSuccessor`].
    Route(Route),
    /// To [`Request::GetNeighbours`].
    Neighbours(Neighbours),
    /// To [`Request::Join`]: the answerer's whole list, to be taken over as it is.
    Admitted(Vec<Entry>),
    /// To [`Request::Join`]: the newcomer does not lie between the answerer and its successor; ask there.
    Elsewhere(Peer),
    /// To [`Request::Notify`] and [`Request::Stabilize`].
    Noted,
}

/// A node's neighbours in one answer.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Neighbours {
    /// The predecessor, if any.
    pub predecessor: Option<Peer>,
    /// The successor list, always full: r entries.
    pub successors: Vec<Entry>,
}

/// An entry of a successor list.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Entry {
    /// A node.
    Peer(Peer),
    /// Fills the list where no node is known: never called, never a replica, never sent as a peer.
    Padding(Id),
}

/// The routing state, as `dht table` and `dht check` show it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Table {
    /// The predecessor; none in a ring of one.
    pub predecessor: Option<Peer>,
    /// The successor list without padding, duplicates and the node itself.
    pub successors: Vec<Peer>,
    /// All m fingers in order.
    pub fingers: Vec<Finger>,
}

/// A finger: `successor(start)`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Finger {
    /// n + 2^(i−1).
    pub start: Id,
    /// The node, once known. May be the node itself.
    pub node: Option<Peer>,
}
