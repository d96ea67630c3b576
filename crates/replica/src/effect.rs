//! What the machine asks of its driver, and the parameters it runs by.

use std::time::Duration;

use overlay::Peer;
use ring::{Id, Range};

use crate::{Holdings, Member, Piece, Request, Set};

/// Parameters, the same in a whole cluster where they say so.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Config {
    /// Copies of each record (cluster-wide).
    pub replicas: usize,
    /// After a majority of a set has been gone for so long the survivors go on alone; `None`: never.
    pub lost_majority_after: Option<Duration>,
    /// How long a peer that announced *stop* counts as coming back.
    pub stopped_for: Duration,
    /// How often a primary tells a set's members that it still holds.
    pub refresh_period: Duration,
    /// How often a primary compares what each member holds with what it holds itself, where nothing asks for it sooner.
    pub repair_period: Duration,
}

/// Numbers a call of this machine; never reused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct CallId(pub u64);

/// Numbers a job; never reused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct JobId(pub u64);

/// Work on records that the driver does beside this machine, and whose end it reports.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Job {
    /// Fetch, for every key of `range`, the newest version held by a majority of `set`, the primary
    /// among them; offer the primary what is newer here. This node is not a member of `set` (or its store is not whole).
    Sync {
        /// The range.
        range: Range,
        /// The accepted set that is fetched from.
        set: Set,
    },
    /// This node is the primary of `set` now: learn, for every key of `range`, the newest version held
    /// by a majority of `before` (itself counts if it is one of them). The listing calls carry `set`, so
    /// whoever answers takes part in nothing older any more.
    Takeover {
        /// The range.
        range: Range,
        /// The set that this node is the primary of.
        set: Set,
        /// The set before it.
        before: Set,
    },
    /// Bring a member of `set` up to what this primary holds. Ends well when it has everything.
    Spread {
        /// The range.
        range: Range,
        /// The set.
        set: Set,
        /// The member.
        to: Member,
    },
}

/// What the driver must do.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Effect {
    /// Ask a peer all this; end it exactly once through [`crate::Control::on_reply`].
    Call {
        /// Its number.
        call: CallId,
        /// Whom.
        to: Peer,
        /// What, in this order.
        requests: Vec<Request>,
        /// When to give up.
        timeout: Duration,
    },
    /// Keep these pieces (all there are) on disk, before any answer or effect that comes after this one is let go.
    Persist(Vec<Piece>),
    /// The view that request handlers act by has changed: swap it in, and wait until no handler acts by
    /// the old one, before any answer or effect that comes after this one is let go.
    Publish(Holdings),
    /// Do this beside; report through [`crate::Control::on_job`].
    Start(JobId, Job),
    /// Stop doing it.
    Cancel(JobId),
    /// Find the owner of `target` through the overlay; report through [`crate::Control::on_located`].
    Locate(Id),
    /// Worth a line in the log, a count, or more.
    Event(Event),
}

/// News for humans and metrics.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Event {
    /// A set was accepted and this node has to do with it.
    Accepted(Range, Set),
    /// Survivors went on without the majority of a set: who is missing.
    LostMajority(Range, Set, Vec<Member>),
    /// A majority of this range's set is out of reach: who is missing, and what becomes of it.
    MajorityGone(Range, Set, Vec<Member>, Wait),
    /// It is there again.
    MajorityBack(Range),
    /// A range that nobody alive knew anything about was begun empty.
    BegunEmpty(Range),
    /// Worth a line in the log.
    Note(String),
}

/// What the survivors of a lost majority wait for.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Wait {
    /// For the missing: this cluster never goes on without them.
    Forever,
    /// So long; then they go on without the missing.
    For(Duration),
    /// These said that they only stop, and have time to come back.
    Stopped(Vec<Member>),
    /// This node was itself away lately, and may not have heard that somebody only stops.
    MayHaveStopped,
    /// It may be this node that is cut off: so many nodes answer, itself counted, of so many.
    Outnumbered(usize, usize),
    /// Nobody is left who could take the range over.
    NobodyWrites,
}
