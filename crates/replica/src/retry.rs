//! When something that failed may be tried again: exponential back-off with jitter, keyed by what it was.

use std::collections::BTreeMap;
use std::time::Duration;

use overlay::Time;
use ring::Id;

use crate::Control;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(3);
/// Entries are forgotten so long after they were last due.
const FORGET_AFTER: Duration = Duration::from_secs(30);

/// What was tried.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Kind {
    /// A proposal for the arc that ends there.
    Propose,
    /// A call or job of a newcomer, with that primary.
    Newcomer,
    /// A job of a new primary.
    Takeover,
    /// A job that brings that member up to date.
    Spread,
}

/// What failed how often, and when it may be tried again. Keyed by kind, node and set number.
#[derive(Clone, Default, Debug)]
pub(crate) struct Retries {
    entries: BTreeMap<(Kind, Id, u64), (u32, Time)>,
}

impl Retries {
    pub(crate) fn is_due(&self, now: Time, kind: Kind, id: Id, number: u64) -> bool {
        self.entries.get(&(kind, id, number)).is_none_or(|(_, due)| *due <= now)
    }

    pub(crate) fn failures(&self, kind: Kind, id: Id, number: u64) -> u32 {
        self.entries.get(&(kind, id, number)).map_or(0, |(failures, _)| *failures)
    }

    pub(crate) fn succeeded(&mut self, kind: Kind, id: Id, number: u64) {
        self.entries.remove(&(kind, id, number));
    }

    pub(crate) fn prune(&mut self, now: Time) {
        self.entries.retain(|_, (_, due)| now.since(*due) < FORGET_AFTER);
    }
}

impl Control {
    /// Notes a failure; the next try is at least 100 ms away, at most about 3 s.
    pub(crate) fn back_off(&mut self, now: Time, kind: Kind, id: Id, number: u64) {
        let failures = self.retries.failures(kind, id, number);
        let pause = self.jittered(FIRST.saturating_mul(1 << failures.min(5)).min(LONGEST));
        self.retries.entries.insert((kind, id, number), (failures.saturating_add(1), now.plus(pause)));
    }
}
