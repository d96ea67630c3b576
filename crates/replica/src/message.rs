use overlay::Peer;
use ring::{Id, Range};

/// A store that holds copies: the node's identifier and the number that its store was born with. A
/// node that comes back without its disk is another member.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Member {
    /// The node. Its address and incarnation are the last known ones and take no part in [`Member::is`].
    pub peer: Peer,
    /// Random, made with the store; in memory new at each start.
    pub store: u64,
}

impl Member {
    /// Whether both are the same store of the same node, wherever it was last seen.
    pub fn is(&self, other: &Member) -> bool {
        self.peer.id == other.peer.id && self.store == other.store
    }
}

/// The members that hold a range, numbered. Majorities count from the last accepted one.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Set {
    /// Greater than every earlier set's of any part of the range.
    pub number: u64,
    /// The primary first. Never empty.
    pub members: Vec<Member>,
    /// Made by survivors without the majority of the set before (`--lost-majority-after`).
    pub forced: bool,
}

impl Set {
    /// The member that orders this set's writes.
    pub fn primary(&self) -> &Member {
        &self.members[0]
    }

    /// Copies that make a majority.
    pub fn majority(&self) -> usize {
        self.members.len() / 2 + 1
    }

    /// How many of the set before, or of itself where that is gone, this set's new primary has to hear before it serves: a
    /// majority, but all of those that a forced set still found.
    pub fn needs_of(&self, before: &Set) -> usize {
        if self.forced && before.number != self.number { before.members.len() } else { before.majority() }
    }

    /// Whether `member` is one of them.
    pub fn includes(&self, member: &Member) -> bool {
        self.members.iter().any(|one| one.is(member))
    }
}

/// Orders proposals for the set after a given one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Ballot {
    /// Raised above every ballot seen.
    pub round: u64,
    /// Breaks ties.
    pub proposer: Id,
}

/// What a node knows about the set of a range, and what it has promised about the next. Kept on disk
/// before any of it is answered.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Piece {
    /// The part of the circle.
    pub range: Range,
    /// The newest set known to be accepted.
    pub set: Set,
    /// No ballot below this is accepted any more for the set after `set`.
    pub promised: Option<Ballot>,
    /// What was accepted by this node for the set after `set`, under which ballot.
    pub accepted: Option<(Ballot, Set)>,
    /// The sets before it whose data may not all have reached this one yet.
    /// (A member of `set` only: its own store holds the range whole.)
    pub synced: bool,
}

/// What nodes ask each other about sets, several questions in one call. The records themselves travel beside this, see
/// the node's storage calls.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Request {
    /// What do you know about this range? And here is what I know.
    Sets {
        /// The range in question.
        range: Range,
        /// The asker's own pieces there (range and set matter, promises do not).
        known: Vec<Piece>,
    },
    /// Phase 1 for the set after number `after`.
    Prepare {
        /// Part of one piece.
        range: Range,
        /// The number of the set that is to be followed.
        after: u64,
        /// The proposer's ballot.
        ballot: Ballot,
    },
    /// Phase 2.
    Accept {
        /// Part of one piece.
        range: Range,
        /// The number of the set that is to be followed.
        after: u64,
        /// The ballot of phase 1.
        ballot: Ballot,
        /// The set proposed.
        set: Set,
    },
    /// A majority of the set before has accepted this one: it holds from now on. Sent again now and then to its members.
    Install {
        /// The range.
        range: Range,
        /// The accepted set.
        set: Set,
        /// The set before it, from whose majority a new primary learns.
        before: Option<Set>,
        /// (From the primary.) Up to this moment of the hybrid clock you have everything; 0: not known.
        whole: u64,
    },
    /// You are wanted as a member of this range: fetch it. Idempotent; asked again until it is done.
    Learn {
        /// The range.
        range: Range,
        /// The accepted set to learn from.
        set: Set,
    },
    /// (Newcomer to primary.) Send me every write of this range from now on.
    Register {
        /// The range.
        range: Range,
        /// The set that the primary acts for.
        number: u64,
    },
    /// (Newcomer to primary.) I still fetch it: keep me registered. One that is not any more is told so when it has done.
    Fetching {
        /// The range.
        range: Range,
        /// The set that it is fetched under.
        number: u64,
    },
    /// (Newcomer to primary.) I have all of it: count no write as done that I do not have, until you drop me.
    Synced {
        /// The range.
        range: Range,
        /// The set that it was fetched under.
        number: u64,
    },
    /// (To primaries.) The sender is about to leave: choose sets without it.
    Leaving,
}

/// What they answer. It carries the answerer, whose store number the asker may not know yet.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Response {
    /// Who answers.
    pub me: Member,
    /// Whether it is leaving.
    pub leaving: bool,
    /// Its disk takes no more writes: it promises nothing and keeps nothing new, until it is started again.
    pub read_only: bool,
    /// To each question, in the order of asking.
    pub answers: Vec<Answer>,
}

/// One of a [`Response`]'s answers.
#[derive(Clone, Debug)]
pub(crate) struct Word {
    pub(crate) me: Member,
    pub(crate) answer: Answer,
}

/// The answers.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Answer {
    /// To [`Request::Sets`]; also the refusal of whoever knows better: a newer set, a higher ballot.
    Pieces(Vec<Piece>),
    /// To [`Request::Prepare`]: promised; what it had accepted before, if anything.
    Promised {
        /// What the answerer had accepted before for the same successor.
        accepted: Option<(Ballot, Set)>,
    },
    /// To [`Request::Accept`].
    Accepted,
    /// To [`Request::Install`], [`Request::Register`], [`Request::Fetching`], [`Request::Synced`], [`Request::Leaving`].
    Done,
    /// To [`Request::Learn`]: still fetching.
    Learning,
    /// To [`Request::Learn`]: everything is here, and the primary of set `number` has been told.
    Learnt {
        /// The set's number.
        number: u64,
    },
    /// Not now, and why: on the way out, or not the primary of that set.
    No(String),
}
