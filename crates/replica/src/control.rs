//! The machine that decides who holds what.

use std::time::Duration;

use overlay::{Peer, RingId, Time, View};
use ring::{Id, Range};

use crate::{Answer, Member, Piece, Request, Response, Set};

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
    /// among them when `primary_alive`; offer the primary what is newer here. This node is not a member of `set` (or its store is not whole).
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
    /// Ask a peer; end it exactly once through [`Control::on_reply`].
    Call {
        /// Its number.
        call: CallId,
        /// Whom.
        to: Peer,
        /// What.
        request: Request,
        /// When to give up.
        timeout: Duration,
    },
    /// Keep these pieces (all there are) on disk, before any answer or effect that comes after this one is let go.
    Persist(Vec<Piece>),
    /// The view that request handlers act by has changed: swap it in, and wait until no handler acts by
    /// the old one, before any answer or effect that comes after this one is let go.
    Publish(Holdings),
    /// Do this beside; report through [`Control::on_job`].
    Start(JobId, Job),
    /// Stop doing it.
    Cancel(JobId),
    /// Find the owner of `target` through the overlay; report through [`Control::on_located`].
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
    /// A range that nobody alive knew anything about was begun empty.
    BegunEmpty(Range),
    /// Worth a line in the log.
    Note(String),
}

/// A node's part in a range.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Role {
    /// Orders the range's writes and answers its reads.
    Primary {
        /// Newcomers: every write is sent to them.
        learners: Vec<Learner>,
        /// Everything that this primary held when the set was accepted is on a majority of it.
        settled: bool,
    },
    /// Is the primary, and still learns what the set before it holds: answers nobody yet.
    TakingOver,
    /// Holds a copy that counts.
    Member,
    /// Holds a copy that does not count: a newcomer, or not in the set any more.
    Outside,
}

/// A newcomer that a primary sends every write to.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Learner {
    /// The newcomer.
    pub member: Member,
    /// It has everything: no write is done without it, or else it is dropped first ([`Control::drop_learner`]).
    pub synced: bool,
}

/// One range of [`Holdings`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Holding {
    /// The range.
    pub range: Range,
    /// The newest accepted set that is known here.
    pub set: Set,
    /// This node's part.
    pub role: Role,
    /// Why the range can't be served just now, if so: who is missing.
    pub missing: Vec<Member>,
    /// This node has accepted a proposal for a later set: it takes no write under `set` any more.
    pub fenced: bool,
}

/// The immutable view that request handlers act by. Ranges do not overlap; in order of `range.upto`.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Holdings {
    /// The ranges this node knows a set of.
    pub ranges: Vec<Holding>,
}

impl Holdings {
    /// What is known about the range that `id` falls in.
    pub fn find(&self, id: Id) -> Option<&Holding> {
        self.ranges.iter().find(|holding| holding.range.contains(id))
    }
}

/// How far a leaver's hand-over is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct LeaveProgress {
    /// Pieces that still name this node.
    pub remaining: usize,
    /// Nobody is there to take them: the last member.
    pub alone: bool,
}

/// The machine that decides who holds what: acceptor, proposer, newcomer and primary in one.
#[derive(Clone, Debug)]
pub struct Control {
    me: Member,
}

#[expect(unused_variables, clippy::todo, reason = "the shape first")]
impl Control {
    /// With the pieces that the disk holds.
    pub fn new(me: Member, config: Config, disk: Vec<Piece>, seed: u64) -> Self {
        todo!()
    }

    /// This node has just started a ring that never was before: it holds all of it, empty.
    pub fn found(&mut self, now: Time, ring: RingId) {
        todo!()
    }

    /// This node leaves its ring for another: everything known about sets is void there, the records stay to be offered.
    pub fn forget(&mut self, now: Time) {
        todo!()
    }

    /// The overlay's view changed: shares, who lives, this node's standing. `wall_ms` is the wall clock.
    pub fn on_view(&mut self, now: Time, view: &View, wall_ms: u64) {
        todo!()
    }

    /// The process was paused: nothing that was measured across the gap counts.
    pub fn on_pause(&mut self, now: Time) {
        todo!()
    }

    /// Answer a peer. The answer may go out only after the effects that this left were carried out in order.
    pub fn serve(&mut self, now: Time, from: &Member, request: Request) -> Response {
        todo!()
    }

    /// A call ended.
    pub fn on_reply(&mut self, now: Time, call: CallId, result: Result<Response, overlay::Failure>) {
        todo!()
    }

    /// A job ended; `Err` says why, it is started again later where it is still wanted.
    pub fn on_job(&mut self, now: Time, job: JobId, result: Result<(), String>) {
        todo!()
    }

    /// A lookup asked for by [`Effect::Locate`] ended.
    pub fn on_located(&mut self, now: Time, target: Id, owner: Option<Peer>) {
        todo!()
    }

    /// A storage call met somebody who knows this newer set.
    pub fn on_newer(&mut self, now: Time, range: Range, set: Set) {
        todo!()
    }

    /// A write could not be brought to a synced learner in time: it must not count as synced any more
    /// before that write is acknowledged.
    pub fn drop_learner(&mut self, now: Time, range: Range, number: u64, learner: &Member) {
        todo!()
    }

    /// A write did not reach this member of a set that this node is the primary of: spread to it again.
    pub fn on_lagging(&mut self, now: Time, range: Range, number: u64, member: &Member) {
        todo!()
    }

    /// Hand everything over; see [`Control::leave_progress`].
    pub fn leave(&mut self, now: Time) {
        todo!()
    }

    /// How far that is.
    pub fn leave_progress(&self) -> LeaveProgress {
        todo!()
    }

    /// Handle what is due.
    pub fn tick(&mut self, now: Time, wall_ms: u64) {
        todo!()
    }

    /// When [`Control::tick`] is wanted next.
    pub fn next_wake(&self) -> Option<Time> {
        todo!()
    }

    /// The next thing to do, in order.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        todo!()
    }

    /// What handlers act by.
    pub fn holdings(&self) -> Holdings {
        todo!()
    }
}

#[expect(dead_code, reason = "the shape first")]
fn unused(_: Answer) {}
