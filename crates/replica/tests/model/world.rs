//! The world at one moment, and what may happen next.
//!
//! The network is the set of calls under way: each may arrive, or never, in any order; the caller may hear that it
//! ended in silence while it arrives later all the same. Records are bits: each write is of a key of its own.

/// Processes, or records, as bits.
pub(crate) type Bits = u8;

pub(crate) fn bit(number: usize) -> Bits {
    1 << number
}

pub(crate) fn bits(set: Bits) -> impl Iterator<Item = usize> {
    (0..8).filter(move |number| set & bit(*number) != 0)
}

/// A call of the machines under way.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) struct Call {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) requests: u32,
    pub(crate) stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) enum Stage {
    /// On its way there.
    Asked,
    /// On its way there, and nobody waits for the answer.
    Forgotten,
    /// It will not arrive: the life that it was meant for is over.
    Lost,
    /// On its way back.
    Answered(u32),
}

/// A write under way.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Write {
    pub(crate) record: Bits,
    pub(crate) at: usize,
    pub(crate) number: u64,
    pub(crate) learners: Bits,
    /// Copies on their way.
    pub(crate) open: Bits,
    /// Copies on their way that nobody waits for.
    pub(crate) forgotten: Bits,
    /// Copies that will not arrive, which the primary does not know yet.
    pub(crate) lost: Bits,
    /// What still counts the answers.
    pub(crate) quorum: Option<u32>,
}

/// The world at one moment.
#[derive(Clone, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct World {
    pub(crate) processes: Vec<u32>,
    /// How often each has crashed.
    pub(crate) lives: Vec<usize>,
    /// The records at each process, which survive its crashes.
    pub(crate) held: Vec<Bits>,
    pub(crate) calls: Vec<Call>,
    pub(crate) writes: Vec<Write>,
    pub(crate) written: usize,
    pub(crate) acknowledged: Bits,
    /// A write was acknowledged under a later set than the first.
    pub(crate) acknowledged_later: bool,
    /// Every set that was chosen: its number, and which it is.
    pub(crate) chosen: Vec<(u64, u32)>,
    /// Who has ever accepted what.
    pub(crate) votes: Vec<(u32, Bits)>,
    pub(crate) crashes: usize,
    pub(crate) losses: usize,
    pub(crate) waits: usize,
    /// There were two sets of one number.
    pub(crate) parted: bool,
}

/// Something that may happen next. Calls and writes are named by their places.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Action {
    Deliver(usize),
    Answer(usize),
    /// The caller hears nothing.
    Silence(usize),
    Write(usize),
    Copy(usize, usize),
    CopySilence(usize, usize),
    /// A process's job gets another one's listing.
    List(usize, usize, usize),
    JobFails(usize, usize),
    Found(usize, usize),
    Wait(usize),
    Crash(usize),
    Restart(usize),
}
