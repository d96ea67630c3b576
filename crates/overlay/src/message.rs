//! What nodes of every overlay say to each other, around the protocol's own requests.

use ring::Id;

use crate::{Departure, Located, Overlay, Peer, QueryId, RingId, Step};

/// What must be equal in a whole cluster, compared when nodes meet; a difference is refused with both values.
///
/// Name and value in order of name, for instance `("replicas", "3")`. `cluster`, `protocol` and `id_bits` are among them.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Settings(pub Vec<(String, String)>);

impl Settings {
    /// The first setting whose values differ: its name, ours, theirs. A missing one reads `none`.
    pub fn difference(&self, other: &Settings) -> Option<(String, String, String)> {
        let value = |of: &Settings, name: &str| {
            let found = of.0.iter().find(|(known, _)| known == name);
            found.map_or_else(|| "none".to_owned(), |(_, value)| value.clone())
        };
        let mut names: Vec<&String> = self.0.iter().chain(&other.0).map(|(name, _)| name).collect();
        // What tells most comes first: a node of another overlay has other settings as well.
        names.sort_by_key(|name| (*name != "cluster", *name != "protocol", *name));
        let differing = names.into_iter().find(|name| value(self, name) != value(other, name))?;
        Some((differing.clone(), value(self, differing), value(other, differing)))
    }
}

/// What nodes of one overlay ask each other.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Request<P: Overlay> {
    /// Who are you, and are you in a ring? The first thing said to an address.
    Hello(Hello),
    /// I am going away.
    Depart(Departure),
    /// Recursive routing: pass this query on, or answer it if you can.
    Forward(Forward),
    /// Recursive routing: the answer to a query of yours.
    Found(Found),
    /// The protocol's own.
    Protocol(P::Request),
}

/// What they answer.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Response<P: Overlay> {
    /// To [`Request::Hello`].
    Hello(HelloReply),
    /// To [`Request::Depart`].
    Departed,
    /// To [`Request::Forward`]: it goes on from here, or has done so already.
    Forwarded,
    /// To [`Request::Found`], whether anybody still waited for it or not.
    Noted,
    /// The protocol's own.
    Protocol(P::Response),
}

/// Says who is calling and what it expects of its cluster.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Hello {
    /// The caller's cluster-wide settings.
    pub settings: Settings,
    /// Where the caller stands.
    pub state: HelloState,
    /// The ring that the caller's disk belongs to.
    pub disk_ring: Option<RingId>,
}

/// A node's standing as told to others.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum HelloState {
    /// Looking for a member, like the asker perhaps.
    Searching,
    /// On its way in.
    Joining,
    /// A member: may be joined through.
    Ready,
    /// On its way out.
    Leaving,
}

/// Answers [`Hello`]; a difference in settings is in it, so that the asker can say both values.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct HelloReply {
    /// Who answers.
    pub me: Peer,
    /// Where it stands.
    pub state: HelloState,
    /// The ring it is in.
    pub ring: Option<RingId>,
    /// The ring that its disk belongs to.
    pub disk_ring: Option<RingId>,
    /// Its settings: the asker compares and gives up, with both values, where they differ.
    pub settings: Settings,
    /// Other members it knows, a bounded sample.
    pub members: Vec<Peer>,
}

/// A query on its way from node to node: "who owns `target`?".
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Forward {
    /// Who wants to know, and is told by whoever can answer.
    pub origin: Peer,
    /// The origin's number for it.
    pub query: QueryId,
    /// What is looked for.
    pub target: Id,
    /// Every node on the way, the origin left out; the last is the one that this goes to, so the length is the number
    /// of hops so far.
    pub path: Vec<Step>,
    /// Peers that could not be reached on the way.
    pub avoid: Vec<Id>,
}

/// The end of a query, told to its origin by the node that answers for the target.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Found {
    /// The origin's number for it.
    pub query: QueryId,
    /// The answer, with the whole path.
    pub located: Located,
}

/// Whom and what a call between nodes is for. In front of every request but [`Request::Hello`] it must match.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Envelope {
    /// Who asks.
    pub from: Peer,
    /// The identifier that is meant; `None` in a Hello to a bare address.
    pub to: Option<Peer>,
    /// The ring that the caller is in.
    pub ring: Option<RingId>,
}
