//! What an overlay protocol is to whatever drives it.
//!
//! A protocol is a value that implements [`Overlay`]: plain state, no clock, no socket, no task.
//! Everything it wants done goes into a [`Ctx`]; everything that happens reaches it as a method
//! call with the current time. [`crate::Node`] wraps one protocol together with what all of them
//! share (starting, lookups, liveness, departure, the meeting of two rings), and is what a driver
//! holds.

use std::fmt::Debug;
use std::hash::Hash;
use std::time::Duration;

use ring::{Id, Places, Range, Space};

use crate::{Ctx, Located, Peer};

/// Microseconds since an origin that the driver chose. Never the wall clock.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Time(pub u64);

impl Time {
    /// The moment `after` from here.
    #[must_use]
    pub fn plus(self, after: Duration) -> Time {
        Time(self.0.saturating_add(u64::try_from(after.as_micros()).unwrap_or(u64::MAX)))
    }

    /// How long ago `earlier` was; zero if it lies ahead.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

/// How one node answers "who holds `target`?" from its own state alone.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Route {
    /// These peers should hold it, the owner first. Final only when the first of them says so itself,
    /// which it does by naming itself with [`Via::Owner`] and telling its own arc around the target.
    Owners {
        /// The owner, then the next distinct processes in the overlay's order.
        hops: Vec<Hop>,
        /// The answerer's own arc that the target falls in, when it is the owner.
        arc: Option<Range>,
    },
    /// I am one of those who know who holds it, and this is the answer: it needs nobody's confirmation.
    Known {
        /// The owner.
        owner: Peer,
        /// Who holds it, as far as that is known here. The owner need not be one of them.
        holders: Vec<Peer>,
        /// The owner's arc that the target falls in.
        arc: Option<Range>,
    },
    /// I don't know, but these are nearer, best first. Never empty, never the answerer itself.
    Closer(Vec<Hop>),
}

/// How far a node is from a target in a protocol's own metric; compared field by field.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Distance {
    /// What counts first: in Pastry the digits not shared yet, in Kelips whether the group is another.
    pub class: u32,
    /// Among those of one class.
    pub span: Id,
}

impl Distance {
    /// In a metric that knows no classes.
    pub fn plain(span: Id) -> Self {
        Self { class: 0, span }
    }
}

/// A peer and how the answerer knows it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Hop {
    /// Where to go next.
    pub peer: Peer,
    /// The table entry that named it.
    pub via: Via,
}

/// The table entry that a hop was taken from: shown by `dht lookup`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Via {
    /// The answerer named itself: it is the owner.
    Owner,
    /// Chord: the successor list, or a redirection to the predecessor.
    Successor,
    /// Chord: the finger table.
    Finger,
    /// Pastry: the leaf set.
    Leaf,
    /// Pastry: a routing-table entry that shares one more digit.
    Prefix,
    /// Pastry: any known node that is closer, "the rare case".
    Rare,
    /// Kelips: a contact in the key's group.
    Contact,
    /// Kelips: a member of one's own group.
    Group,
    /// A remembered answer.
    Cache,
}

/// A part of the circle that this node owns, and who should hold it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Share {
    /// The arc.
    pub range: Range,
    /// Distinct processes in order of preference, as many as are known: the first `replicas` that live are wanted. Where
    /// the owner holds what it owns it comes first; in an overlay that keeps data apart from who finds it, it
    /// may not be there at all.
    pub holders: Vec<Peer>,
}

/// SHA-1 of a key, whole, whatever the width of identifiers: what pointers name a key by.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyHash(pub [u8; 20]);

impl Debug for KeyHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().take(6).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What the layer of records tells an overlay that keeps pointers apart from data ([`Overlay::POINTERS`]).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Announcement {
    /// These nodes hold this range since their set of this number was accepted; this node is one of them, or has chosen them.
    Holders {
        /// The range.
        range: Range,
        /// Greater numbers are newer.
        number: u64,
        /// Who.
        holders: Vec<Peer>,
    },
    /// The keys of a range that this node orders the writes of, all of them.
    Keys {
        /// The range.
        range: Range,
        /// In order.
        keys: Vec<KeyHash>,
    },
    /// A key has come, or gone, in a range that this node orders the writes of.
    Key {
        /// Which.
        key: KeyHash,
        /// It is there now.
        there: bool,
    },
}

/// Why a call failed. Each call ends exactly once, in a reply or in one of these.
#[derive(Clone, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum Failure {
    /// No answer before the deadline: it may be dead, slow, paused or cut off.
    #[error("no answer in time")]
    TimedOut,
    /// Nothing listens there, or the connection broke.
    #[error("connection refused or broken")]
    Unreachable,
    /// The node that we meant does not live there any more. Counts as dead at once.
    #[error("refused: {0}")]
    Refused(Refusal),
}

/// A typed "no" from a peer that is alive.
#[derive(Clone, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum Refusal {
    /// That identifier or incarnation does not live here (any more).
    #[error("that identifier or incarnation does not live here")]
    Gone,
    /// I belong to another ring than the call is for.
    #[error("this node belongs to another ring")]
    OtherRing(Option<crate::RingId>),
    /// I am not a ready member yet.
    #[error("this node is still joining")]
    NotReady,
    /// Ask again later: one newcomer at a time.
    #[error("busy")]
    Busy,
    /// Not responsible for that.
    #[error("not mine")]
    NotMine,
    /// On the way out.
    #[error("this node is leaving")]
    Leaving,
    /// The request makes no sense to this node; names the field.
    #[error("malformed: {0}")]
    Malformed(String),
}

/// How a node goes away on purpose.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Departure {
    /// For good: its records were handed over.
    Leave,
    /// For a while: it keeps its disk and comes back.
    Stop,
}

/// An overlay protocol: one node of it.
///
/// Same inputs, same outputs, byte for byte: ordered maps only, integer arithmetic, randomness from [`Ctx`].
pub trait Overlay: Clone + Debug + Send + 'static {
    /// What peers ask each other, under the paper's own names.
    type Request: Clone + Debug + Eq + Hash + Send + 'static;
    /// What they answer.
    type Response: Clone + Debug + Eq + Hash + Send + 'static;
    /// Tags of periodic and one-off timers; arming a tag again replaces its earlier deadline.
    type Timer: Copy + Debug + Ord + Hash + Send + 'static;
    /// Parameters with their defaults: periods, table sizes.
    type Config: Clone + Debug + Send + 'static;
    /// The node's own routing state, for `dht table` and `dht check`.
    type Table: Clone + Debug + Send + 'static;

    /// `chord`, `pastry`, `kelips`, …
    const NAME: &'static str;

    /// It keeps pointers to data apart from the data, and wants [`Overlay::announce`] called.
    const POINTERS: bool = false;

    /// Where keys of these identifiers lie on the circle that [`Share`]s and targets speak of.
    fn places(_config: &Self::Config, space: Space) -> Places {
        Places::plain(space)
    }

    /// A node that is in no ring yet.
    fn new(me: Peer, config: Self::Config) -> Self;

    /// Become the first node of a new ring: ready at once.
    fn create(&mut self, ctx: &mut Ctx<'_, Self>);

    /// Begin to join through `via`, a ready member. Ends when [`Overlay::is_ready`] turns true; keeps
    /// trying until then, or calls [`Ctx::lost`] when `via` can't help so that another member is found.
    fn join(&mut self, via: Peer, ctx: &mut Ctx<'_, Self>);

    /// Forget the ring: back to the state of [`Overlay::new`], all timers disarmed by the caller.
    fn reset(&mut self, me: Peer);

    /// Every neighbour whose table must hold this node has confirmed that it does.
    fn is_ready(&self) -> bool;

    /// The node was paused (SIGSTOP, a suspended laptop): not ready until its neighbours have confirmed it again.
    fn resumed(&mut self, ctx: &mut Ctx<'_, Self>);

    /// A peer has announced that it goes away: stop routing through it, check its place at once.
    fn on_departure(&mut self, peer: &Peer, departure: Departure, ctx: &mut Ctx<'_, Self>);

    /// Who must be told that this node goes away.
    fn neighbours(&self) -> Vec<Peer>;

    /// "Who holds `target`?", from this node's own state. `avoid` lists peers that the asker could not
    /// reach just now; they are not named unless there is nobody else, and are worth checking soon.
    fn route(&self, target: Id, avoid: &[Id]) -> Route;

    /// How far `from` is from `target` in this protocol's metric: lookups prefer the smaller, and among
    /// equals whoever was named first.
    fn distance(&self, from: Id, target: Id) -> Distance;

    /// The protocol's own request for one step of a lookup (Chord: FindSuccessor).
    fn lookup_request(&self, target: Id, avoid: Vec<Id>) -> Self::Request;

    /// Like [`Overlay::route`], to the member of this identifier: where that is another question than who
    /// owns it as a key. The owner that is named is the member itself, if it is known, else whoever would be asked next.
    fn route_to_member(&self, id: Id, avoid: &[Id]) -> Route {
        self.route(id, avoid)
    }

    /// Like [`Overlay::distance`], from a node to the member of this identifier.
    fn distance_to_member(&self, from: Id, id: Id) -> Distance {
        self.distance(from, id)
    }

    /// Like [`Overlay::lookup_request`], for [`Overlay::route_to_member`].
    fn member_request(&self, id: Id, avoid: Vec<Id>) -> Self::Request {
        self.lookup_request(id, avoid)
    }

    /// News from the layer of records, if [`Overlay::POINTERS`].
    fn announce(&mut self, _news: Announcement, _ctx: &mut Ctx<'_, Self>) {}

    /// Reads the answer to [`Overlay::lookup_request`] and [`Overlay::member_request`]; `None` if it is of another kind.
    fn lookup_answer(&self, response: &Self::Response) -> Option<Route>;

    /// Answers a peer at once, from local state.
    fn serve(
        &mut self,
        from: &Peer,
        request: Self::Request,
        ctx: &mut Ctx<'_, Self>,
    ) -> Result<Self::Response, Refusal>;

    /// A call made through [`Ctx::call`] ended; the request comes back with its result.
    fn on_reply(
        &mut self,
        to: &Peer,
        request: Self::Request,
        result: Result<Self::Response, Failure>,
        ctx: &mut Ctx<'_, Self>,
    );

    /// A timer set through [`Ctx::arm`] is due.
    fn on_timer(&mut self, timer: Self::Timer, ctx: &mut Ctx<'_, Self>);

    /// A lookup begun through [`Ctx::locate`] ended. `Err` when nobody could be found in time.
    fn on_located(&mut self, target: Id, found: Result<Located, Failure>, ctx: &mut Ctx<'_, Self>);

    /// The arcs this node owns now, each with its desired holders. Empty until ready.
    fn shares(&self) -> Vec<Share>;

    /// The node's own routing state.
    fn table(&self) -> Self::Table;
}
