//! One node of an overlay, whole and without IO: the protocol and everything every protocol shares.

use std::time::Duration;

use ring::Id;

use crate::{Addr, Departure, Failure, Overlay, Peer, Refusal, RingId, Share, Time, Via};

/// What must be equal in a whole cluster, compared when nodes meet; a difference is refused with both values.
///
/// Name and value in order of name, for instance `("replicas", "3")`. `cluster`, `protocol` and `id_bits` are among them.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Settings(pub Vec<(String, String)>);

/// How this node begins.
#[derive(Clone, Debug)]
pub struct Start {
    /// `--join`: addresses to try, after each resolution of their names. The driver may replace them later.
    pub seeds: Vec<Addr>,
    /// Peers remembered on disk.
    pub remembered: Vec<Addr>,
    /// The ring that the disk belongs to.
    pub disk_ring: Option<RingId>,
    /// Wall clock, for the identifier of a ring that is started here.
    pub wall_ms: u64,
}

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

/// Numbers a call; never reused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct CallId(pub u64);

/// Numbers a query; never reused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct QueryId(pub u64);

/// What nodes of one overlay ask each other.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Request<P: Overlay> {
    /// Who are you, and are you in a ring? The first thing said to an address.
    Hello(Hello),
    /// I am going away.
    Depart(Departure),
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

/// One step of a lookup's path.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Step {
    /// The node.
    pub peer: Peer,
    /// Round trip of the call that it answered; `None` for the first, which is the node asked.
    pub rtt: Option<Duration>,
    /// How the node before it knew it; `None` for the first.
    pub via: Option<Via>,
}

/// A lookup's result.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Located {
    /// The key or identifier asked for.
    pub target: Id,
    /// The owner, confirmed by itself, then the next holders as it knows them.
    pub owners: Vec<Peer>,
    /// From the node asked to the owner, dead hops left out; length − 1 is the number of hops.
    pub path: Vec<Step>,
    /// The owner's own arc that the target falls in, if it told.
    pub arc: Option<ring::Range>,
}

/// What a driver must do. Taken with [`Node::poll_effect`] until there is none.
#[derive(Clone, Debug)]
pub enum Effect<P: Overlay> {
    /// Send a request; end it exactly once through [`Node::on_reply`], at the latest after `timeout`.
    Call {
        /// Its number.
        call: CallId,
        /// Where to.
        addr: Addr,
        /// In front of the request.
        envelope: Envelope,
        /// The request.
        request: Request<P>,
        /// When to give up.
        timeout: Duration,
    },
    /// A lookup begun by [`Node::locate`] ended.
    Located {
        /// Which.
        query: QueryId,
        /// With what.
        result: Result<Located, LocateError>,
    },
    /// Something a human or the layer above wants to know.
    Event(Event),
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

/// News. The view ([`Node::view`]) has changed whenever one of these is seen.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Event {
    /// The node's standing changed.
    State(State),
    /// It is in this ring now: to be kept on disk. `founded`: it started the ring just now, as its first node.
    Ring {
        /// The ring.
        ring: RingId,
        /// This node started it just now with no disk of it, so that it holds everything there is: nothing.
        founded: bool,
    },
    /// The arcs it owns, or their holders, changed.
    Shares,
    /// A peer was declared dead (or gone).
    Down(Peer),
    /// A peer was heard of for the first time, or again.
    Up(Peer),
    /// It is about to leave its ring for an older one that it met: records go to their owners there.
    Rejoining {
        /// The ring it leaves.
        from: RingId,
        /// The ring it joins.
        to: RingId,
    },
    /// A peer announced that it stops, and will come back with its disk.
    Stopping(Peer),
    /// It can't join and never will: settings differ, or its identifier is taken. Says which and both values.
    Refused(String),
    /// Worth a line in the log.
    Note(String),
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

/// Timing of what every overlay shares.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct NodeConfig {
    /// Overall deadline of a lookup.
    pub lookup_timeout: Duration,
    /// How many peers a lookup asks at a time.
    pub lookup_parallelism: usize,
    /// A call's deadline before anything is known of the peer's round trip.
    pub call_timeout_initial: Duration,
    /// No call's deadline is below this.
    pub call_timeout_min: Duration,
    /// Nor above this.
    pub call_timeout_max: Duration,
    /// So many misses in a row, each with a longer deadline, and a peer counts as dead.
    pub misses_until_dead: u32,
    /// A timer that fires later than this was not late: the process was paused.
    pub pause_after: Duration,
    /// Searching nodes that reach one another for so long start a ring.
    pub search_together: Duration,
    /// A searching node with a ring's disk that reaches nobody for so long takes the ring up alone.
    pub search_alone: Duration,
    /// How often a searching node tries its addresses.
    pub search_period: Duration,
    /// How often a member looks for itself through somebody else, to notice a second ring.
    pub self_check_period: Duration,
    /// Peers remembered at most.
    pub known_max: usize,
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self {
            lookup_timeout: Duration::from_millis(2_800),
            lookup_parallelism: 1,
            call_timeout_initial: Duration::from_millis(500),
            call_timeout_min: Duration::from_millis(50),
            call_timeout_max: Duration::from_millis(1_000),
            misses_until_dead: 3,
            pause_after: Duration::from_millis(1_500),
            search_together: Duration::from_secs(3),
            search_alone: Duration::from_secs(5),
            search_period: Duration::from_millis(300),
            self_check_period: Duration::from_secs(4),
            known_max: 128,
        }
    }
}

/// One node of an overlay: the protocol `P`, and everything every protocol shares.
#[derive(Clone, Debug)]
pub struct Node<P: Overlay> {
    protocol: P,
}

#[expect(unused_variables, clippy::todo, reason = "the shape first")]
impl<P: Overlay> Node<P> {
    /// A node that has not started. `seed` decides all its randomness.
    pub fn new(me: Peer, settings: Settings, config: NodeConfig, protocol: P::Config, seed: u64) -> Self {
        todo!()
    }

    /// Begin to look for a ring, or start one.
    pub fn start(&mut self, now: Time, start: Start) {
        todo!()
    }

    /// Replaces the seeds: their names were resolved again.
    pub fn set_seeds(&mut self, seeds: Vec<Addr>) {
        todo!()
    }

    /// Find the owner of `target`; ends in [`Effect::Located`].
    pub fn locate(&mut self, now: Time, target: Id) -> QueryId {
        todo!()
    }

    /// Forget a query: its caller went away. No [`Effect::Located`] follows.
    pub fn cancel(&mut self, query: QueryId) {
        todo!()
    }

    /// Answer a peer.
    pub fn serve(&mut self, now: Time, envelope: &Envelope, request: Request<P>) -> Result<Response<P>, Refusal> {
        todo!()
    }

    /// A call ended. `rtt` only of a call that was neither retried nor opened its connection.
    pub fn on_reply(&mut self, now: Time, call: CallId, result: Result<Response<P>, Failure>, rtt: Option<Duration>) {
        todo!()
    }

    /// The layer above could or could not reach a peer: evidence for liveness like any call's.
    pub fn on_evidence(&mut self, now: Time, peer: &Peer, result: Result<(), Failure>) {
        todo!()
    }

    /// Handle all timers that are due.
    pub fn tick(&mut self, now: Time) {
        todo!()
    }

    /// When [`Node::tick`] is wanted next.
    pub fn next_wake(&self) -> Option<Time> {
        todo!()
    }

    /// Look at the ring behind `addr` now, and merge with it by the usual rules (`dht join`).
    pub fn meet(&mut self, now: Time, addr: Addr) {
        todo!()
    }

    /// Told to leave: state [`State::Leaving`], everything else goes on while records are handed over.
    pub fn begin_leaving(&mut self, now: Time) {
        todo!()
    }

    /// Tell the neighbours and be gone: [`State::Left`] once they have answered or a second has passed.
    pub fn depart(&mut self, now: Time, departure: Departure) {
        todo!()
    }

    /// The next thing to do, if any.
    pub fn poll_effect(&mut self) -> Option<Effect<P>> {
        todo!()
    }

    /// A snapshot for the layers above.
    pub fn view(&self) -> View {
        todo!()
    }

    /// The protocol's own routing state.
    pub fn table(&self) -> P::Table {
        self.protocol.table()
    }
}
