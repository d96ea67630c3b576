//! How a member notices a second ring (`docs/architecture.md`, "Starting, and coming back", 4).
//!
//! Every so often a member says Hello to somebody who is not its neighbour: a dead peer that may live
//! on the far side of a healed partition, a seed, any other. If that one is in another ring, the
//! younger ring dissolves. If it is in the same one, the member looks itself up *from there*: if
//! somebody else claims its place, the ring has fallen in two, and the owners of identifier 0 decide
//! which part dissolves. That finding must be made twice, since it costs a node its place.
//!
//! [`Meeting`] holds where the current check stands; [`crate::Node`] sends and looks up for it.

use std::time::Duration;

use ring::Id;

use crate::{Addr, Peer, RingId, Time};

/// Checks that others bring about come no closer than this.
const URGENT_PERIOD: Duration = Duration::from_secs(1);
/// After a first finding of a partition, the second look comes so soon.
const SECOND_LOOK: Duration = Duration::from_millis(300);
/// A first finding older than this no longer counts.
const FINDING_MAX_AGE: Duration = Duration::from_secs(10);

/// One member's watch for other rings.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Meeting {
    next_check: Time,
    urgent: Option<(Time, Addr)>,
    /// Somebody wants to hear how the check of this address ends.
    asked_for: Option<Addr>,
    last_urgent: Option<Time>,
    turn: usize,
    stage: Stage,
    found: Option<Time>,
}

/// Where the current check stands.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Stage {
    /// None is under way.
    Idle,
    /// A Hello is out.
    Greeting,
    /// Looking this node up from there.
    Myself(Peer),
    /// Looking up identifier 0 from there and from here.
    Zero {
        /// There.
        via: Peer,
        /// Its owner as seen from there.
        theirs: Option<Id>,
        /// And from here.
        ours: Option<Id>,
    },
}

/// Whose view of identifier 0 a lookup brings.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Side {
    Theirs,
    Ours,
}

/// What two rings that meet come to for this node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    /// Its own ring is the younger: leave it for the other.
    Rejoin,
    /// The other is the younger, and will notice from our Hello.
    TheyRejoin,
    /// The same ring, by name at least.
    Same,
}

/// Greater is younger, and the younger dissolves.
pub(crate) fn compare(ours: RingId, theirs: RingId) -> Outcome {
    match ours.cmp(&theirs) {
        std::cmp::Ordering::Greater => Outcome::Rejoin,
        std::cmp::Ordering::Less => Outcome::TheyRejoin,
        std::cmp::Ordering::Equal => Outcome::Same,
    }
}

impl Meeting {
    pub(crate) fn new(first_check: Time) -> Self {
        Self {
            next_check: first_check,
            urgent: None,
            asked_for: None,
            last_urgent: None,
            turn: 0,
            stage: Stage::Idle,
            found: None,
        }
    }

    pub(crate) fn stage(&self) -> &Stage {
        &self.stage
    }

    /// When a check is due; none while one is under way.
    pub(crate) fn wake(&self) -> Option<Time> {
        let urgent = self.urgent.as_ref().map(|(at, _)| *at);
        (self.stage == Stage::Idle).then(|| urgent.map_or(self.next_check, |at| at.min(self.next_check)))
    }

    /// No regular check before `next_check`.
    pub(crate) fn put_off(&mut self, next_check: Time) {
        self.next_check = next_check;
    }

    /// Somebody gave reason to look at `addr` at once. Rate-limited, so that a whole ring's messages bring about one check.
    pub(crate) fn alarm(&mut self, addr: &Addr, now: Time) {
        let recent = self.last_urgent.is_some_and(|last| now.since(last) < URGENT_PERIOD);
        if self.urgent.is_none() && !recent {
            self.urgent = Some((now, addr.clone()));
            self.last_urgent = Some(now);
        }
    }

    /// Look at `addr` as soon as possible, and say how that went.
    pub(crate) fn ask_for(&mut self, addr: &Addr, now: Time) {
        self.urgent = Some((now, addr.clone()));
        self.asked_for = Some(addr.clone());
    }

    /// Whether somebody wants to hear of `addr`; only once.
    pub(crate) fn is_asked_for(&mut self, addr: &Addr) -> bool {
        self.asked_for.take_if(|asked| asked == addr).is_some()
    }

    /// A check is due: whom to greet. `rotation` holds kinds of addresses; every regular check takes the
    /// next kind that has any, and of it the one that `draw` picks.
    pub(crate) fn begin(&mut self, now: Time, next_check: Time, rotation: [Vec<Addr>; 3], draw: u32) -> Option<Addr> {
        if let Some((_, addr)) = self.urgent.take_if(|(at, _)| *at <= now) {
            self.stage = Stage::Greeting;
            return Some(addr);
        }
        self.next_check = next_check;
        let kinds = rotation.len();
        let (step, kind) =
            (0..kinds).map(|step| (step, &rotation[(self.turn + step) % kinds])).find(|(_, kind)| !kind.is_empty())?;
        self.turn = (self.turn + step + 1) % kinds;
        let addr = kind.get(draw as usize % kind.len())?.clone();
        self.stage = Stage::Greeting;
        Some(addr)
    }

    /// The one that was greeted is in the same ring: look this node up from there.
    pub(crate) fn look_from(&mut self, via: Peer) {
        self.stage = Stage::Myself(via);
    }

    /// Somebody else claims this node's place there: compare the owners of identifier 0.
    pub(crate) fn compare_from(&mut self, via: Peer) {
        self.stage = Stage::Zero { via, theirs: None, ours: None };
    }

    /// One of the two owners of identifier 0 is known. Once both are: whom to rejoin through, if this
    /// node's part of the ring is the one that dissolves, and that was found twice.
    pub(crate) fn on_zero(&mut self, side: Side, owner: Id, now: Time) -> Option<Peer> {
        let Stage::Zero { via, theirs, ours } = &mut self.stage else {
            return None;
        };
        match side {
            Side::Theirs => *theirs = Some(owner),
            Side::Ours => *ours = Some(owner),
        }
        let (Some(theirs), Some(ours)) = (*theirs, *ours) else {
            return None;
        };
        let via = via.clone();
        self.stage = Stage::Idle;
        if ours <= theirs {
            self.found = None;
            return None;
        }
        if self.found.is_some_and(|first| now.since(first) <= FINDING_MAX_AGE) {
            return Some(via);
        }
        self.found = Some(now);
        self.urgent = Some((now.plus(SECOND_LOOK), via.addr));
        None
    }

    /// This check is over without a finding.
    pub(crate) fn end(&mut self) {
        self.stage = Stage::Idle;
    }

    /// There was nothing to find after all.
    pub(crate) fn all_well(&mut self) {
        self.stage = Stage::Idle;
        self.found = None;
    }
}

#[cfg(test)]
mod tests;
