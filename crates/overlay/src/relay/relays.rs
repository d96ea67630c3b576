use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ring::Id;

use super::Relay;
use crate::{Forward, QueryId, Time};

/// Queries that wait for their next hop's acknowledgement; beyond that a node is busy.
const UNDER_WAY_MAX: usize = 1_024;
/// Queries remembered after they have gone on, to know them again.
const PASSED_MAX: usize = 1_024;

/// Numbers a query at this node; never reused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) struct RelayId(pub(crate) u64);

/// Tells two copies of one query from two queries: who asked in which life, its number, and after how many hops it is
/// here.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) struct Mark {
    origin: Id,
    incarnation: u64,
    query: QueryId,
    hops: usize,
}

impl Mark {
    pub(crate) fn of(forward: &Forward) -> Self {
        let Forward { origin, query, path, .. } = forward;
        Self { origin: origin.id, incarnation: origin.incarnation, query: *query, hops: path.len() }
    }
}

/// All queries on their way through this node, and the latest that have gone on from here.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Relays {
    under_way: BTreeMap<RelayId, Relay>,
    /// When each has a slow next hop.
    wakes: BTreeSet<(Time, RelayId)>,
    passed: BTreeSet<Mark>,
    /// The same, the oldest first.
    order: VecDeque<Mark>,
}

impl Relays {
    pub(crate) fn is_full(&self) -> bool {
        self.under_way.len() >= UNDER_WAY_MAX
    }

    pub(crate) fn insert(&mut self, id: RelayId, relay: Relay) {
        self.under_way.insert(id, relay);
    }

    pub(crate) fn get(&self, id: RelayId) -> Option<&Relay> {
        self.under_way.get(&id)
    }

    pub(crate) fn get_mut(&mut self, id: RelayId) -> Option<&mut Relay> {
        self.under_way.get_mut(&id)
    }

    /// Wakes the node for this one at `slow_at`. An earlier moment stands, and finds nothing to do.
    pub(crate) fn wake_at(&mut self, id: RelayId, slow_at: Time) {
        self.wakes.insert((slow_at, id));
    }

    pub(crate) fn remove(&mut self, id: RelayId) -> Option<Relay> {
        let relay = self.under_way.remove(&id)?;
        if let Some(slow_at) = relay.slow_at() {
            self.wakes.remove(&(slow_at, id));
        }
        Some(relay)
    }

    pub(crate) fn clear(&mut self) {
        self.under_way.clear();
        self.wakes.clear();
    }

    /// When the next one has a slow next hop.
    pub(crate) fn wake(&self) -> Option<Time> {
        self.wakes.first().map(|(at, _)| *at)
    }

    /// Those whose next hop may be slow by now.
    pub(crate) fn take_due(&mut self, now: Time) -> Vec<RelayId> {
        let mut due = Vec::new();
        while let Some((at, id)) = self.wakes.first().copied().filter(|(at, _)| *at <= now) {
            self.wakes.remove(&(at, id));
            due.push(id);
        }
        due
    }

    /// Whether a copy of this one has gone on from here lately.
    pub(crate) fn has_passed(&self, mark: Mark) -> bool {
        self.passed.contains(&mark)
    }

    pub(crate) fn remember(&mut self, mark: Mark) {
        if self.passed.insert(mark) {
            self.order.push_back(mark);
        }
        if self.order.len() > PASSED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.passed.remove(&oldest);
        }
    }
}
