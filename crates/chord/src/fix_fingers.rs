//! Refreshing fingers at random intervals (Chord, §V.B).
//!
//! One lookup serves a run of fingers: whoever owns `n + 2^i` also owns every later power before it. What
//! the successor list spans, and the node's own arc, need no lookup at all, so a round over m = 160 fingers
//! is about log2(N / r) lookups. After a round that changed nothing the interval doubles up to its limit;
//! any change in a table brings it back.

use std::time::Duration;

use overlay::{Ctx, Failure, Located, Overlay, Peer};
use rand::RngExt;
use ring::Id;

use crate::{Chord, Timer};

/// Where the current round stands.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Fixing {
    /// The power that the round goes on with.
    next: u32,
    /// The power whose owner is being looked up.
    looking_up: Option<u32>,
    changed: bool,
    period: Duration,
}

/// What a power of two leads to without asking anybody.
pub(crate) enum Finger<'a> {
    /// A node in the successor list.
    Listed(&'a Peer),
    /// The node itself: the power leads into its own arc.
    Own,
    /// Beyond what the node knows by itself.
    Far(Option<&'a Peer>),
}

impl Chord {
    /// `successor(me + 2^power)`, as far as this node knows.
    pub(crate) fn finger(&self, power: u32) -> Finger<'_> {
        let start = self.me.id.plus_power(power);
        let distance = self.me.id.distance_to(start);
        if self.owns(start) {
            return Finger::Own;
        }
        let listed = self.successors.in_order(self.me.id);
        match listed.into_iter().find(|peer| self.me.id.distance_to(peer.id) >= distance) {
            Some(peer) => Finger::Listed(peer),
            None => Finger::Far(self.fingers.get(power)),
        }
    }

    pub(crate) fn start_fixing(&mut self, ctx: &mut Ctx<'_, Self>) {
        self.fixing = Fixing { period: self.config.fix_fingers_period, ..Fixing::default() };
        self.arm_fixing(ctx);
    }

    /// Something changed: fingers may be out of date, and the next round should come soon.
    pub(crate) fn hurry_fingers(&mut self, ctx: &mut Ctx<'_, Self>) {
        self.fixing.changed = true;
        if self.fixing.period > self.config.fix_fingers_period {
            self.fixing.period = self.config.fix_fingers_period;
            self.arm_fixing(ctx);
        }
    }

    fn arm_fixing(&mut self, ctx: &mut Ctx<'_, Self>) {
        let mean = u64::try_from(self.fixing.period.as_micros()).unwrap_or(u64::MAX / 2);
        let after = ctx.rng.random_range(mean / 2..=mean + mean / 2);
        ctx.arm(Timer::FixFingers, Duration::from_micros(after));
    }

    pub(crate) fn fix_next_finger(&mut self, ctx: &mut Ctx<'_, Self>) {
        if !self.is_member() || self.fixing.looking_up.is_some() {
            return;
        }
        let far = self.far_powers();
        let far = (self.fixing.next.max(far.start)..far.end).next();
        match far {
            Some(power) if self.is_ready() => {
                self.fixing.next = power;
                self.fixing.looking_up = Some(power);
                ctx.locate(self.me.id.plus_power(power), None);
            }
            Some(_) => self.arm_fixing(ctx),
            None => {
                self.end_round();
                self.arm_fixing(ctx);
            }
        }
    }

    fn end_round(&mut self) {
        let fixing = &mut self.fixing;
        fixing.period = match fixing.changed {
            true => self.config.fix_fingers_period,
            false => (fixing.period * 2).min(self.config.fix_fingers_period_max),
        };
        fixing.changed = false;
        fixing.next = 0;
    }

    pub(crate) fn on_finger_located(&mut self, target: Id, found: Result<Located, Failure>, ctx: &mut Ctx<'_, Self>) {
        let Some(power) = self.fixing.looking_up.filter(|&power| self.me.id.plus_power(power) == target) else {
            return;
        };
        self.fixing.looking_up = None;
        self.fixing.next = power + 1;
        if let Some(owner) = found.ok().and_then(|located| located.owners.into_iter().next()) {
            self.set_fingers_from(power, &owner);
        }
        if self.is_member() {
            self.arm_fixing(ctx);
        }
    }

    /// `owner` is the successor of `me + 2^power`, so of every later power up to itself too.
    fn set_fingers_from(&mut self, power: u32, owner: &Peer) {
        let top = self.me.id.space().bits() - 1;
        let reach = self.me.id.distance_to(owner.id).log2();
        let last = match reach {
            Some(reach) if reach >= power => reach,
            // The owner is this node, or lies before the finger's start, past this node: no power is left.
            _ => top,
        };
        if owner.id == self.me.id {
            self.fingers.clear(power, last);
        } else if self.fingers.set(power, last, owner) {
            self.fixing.changed = true;
        }
        self.fixing.next = last + 1;
        self.forget_near_fingers();
    }

    /// The list has grown over these: it knows them better.
    fn forget_near_fingers(&mut self) {
        if let Some(last_near) = self.far_powers().start.checked_sub(1) {
            self.fingers.clear(0, last_near);
        }
    }

    /// The powers of two that lead beyond the successor list, and not into this node's own arc.
    fn far_powers(&self) -> std::ops::Range<u32> {
        let me = self.me.id;
        let beyond = |to: Option<&Peer>| to.and_then(|to| me.distance_to(to.id).log2()).map_or(0, |power| power + 1);
        beyond(self.successors.in_order(me).last())..beyond(self.predecessor.as_ref())
    }
}
