//! The immutable view that request handlers act by.

use ring::{Id, Range};

use crate::{Member, Set};

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
    /// On its way into the set: keeps what it is sent, and nothing that it answers counts yet.
    Newcomer,
    /// Has no part in it (any more): what it still holds is to be offered to the primary.
    Outside,
}

/// A newcomer that a primary sends every write to.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Learner {
    /// The newcomer.
    pub member: Member,
    /// It has everything: no write is done without it, or else it is dropped first ([`crate::Control::drop_learner`]).
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
