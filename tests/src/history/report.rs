//! What a check found.

use std::collections::BTreeMap;
use std::fmt;

/// What is wrong.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// An acknowledged write is not what the last reads see, and nothing that came after it is either; or it was
    /// acknowledged with a version that was overtaken before it began.
    Lost,
    /// A value came back that a later write had replaced, or a delete had removed.
    Resurrected,
    /// A read was told something older than the newest write acknowledged before it began.
    Stale,
    /// A read was told something older than a read before it.
    GoingBack,
    /// A write whose outcome was unknown was carried out longer after the end of its call than is allowed.
    Late,
    /// A value that nobody had put there.
    Torn,
    /// A value whose write was said not to have been carried out.
    Phantom,
    /// Two conditional writes were carried out on one and the same state.
    TwoWinners,
    /// A condition was judged by another state than the one that there was.
    Misjudged,
    /// Two different states with one version.
    Forked,
}

impl Kind {
    /// What it is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Resurrected => "resurrected",
            Self::Stale => "stale",
            Self::GoingBack => "going back",
            Self::Late => "late",
            Self::Torn => "torn",
            Self::Phantom => "phantom",
            Self::TwoWinners => "two winners",
            Self::Misjudged => "misjudged",
            Self::Forked => "forked",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One answer that a cluster which keeps its promises would not have given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// What is wrong.
    pub kind: Kind,
    /// Of which key.
    pub key: u32,
    /// The call that was answered so, by its place in the history.
    pub call: usize,
    /// The calls that it contradicts.
    pub because: Vec<usize>,
    /// In words.
    pub why: String,
}

/// Everything that a check found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What nothing excuses, in order of time.
    pub violations: Vec<Violation>,
    /// What a set that was forced excuses.
    pub excused: Vec<Violation>,
    /// Keys with acknowledged writes that no last read was answered for; none when there were no last reads.
    pub unread: Vec<u32>,
}

impl Report {
    /// Nothing is wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.violations.is_empty() && self.unread.is_empty()
    }

    /// How many of each kind, of what nothing excuses.
    #[must_use]
    pub fn by_kind(&self) -> BTreeMap<Kind, usize> {
        counted(&self.violations)
    }

    /// How many of each kind, of what is excused.
    #[must_use]
    pub fn excused_by_kind(&self) -> BTreeMap<Kind, usize> {
        counted(&self.excused)
    }
}

fn counted(violations: &[Violation]) -> BTreeMap<Kind, usize> {
    let mut counts = BTreeMap::new();
    for violation in violations {
        *counts.entry(violation.kind).or_default() += 1;
    }
    counts
}
