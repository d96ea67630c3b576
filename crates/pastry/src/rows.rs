//! Keeping the routing table: who is where, who is nearest, and who is gone.
//!
//! A live node that is met is offered its place, and gets it if the place is empty or its round trip is shorter. Three things
//! bring nodes to meet: newcomers' announcements, which carry a row; the periodic question to an entry for its row
//! (MSPastry's constrained gossip), which also finds dead entries; and, for a place that stays empty although the leaf set does not
//! know everybody who belongs there, a lookup of the middle of that place's identifiers. Whoever is closest to
//! the middle belongs there if anybody does, so a place that can be filled is filled.

use std::time::Duration;

use overlay::{Ctx, Failure, Located, Overlay, Peer};
use rand::RngExt;
use ring::Id;

use crate::leaves::is_end;
use crate::pastry::Stage;
use crate::routing_table::Slot;
use crate::{Pastry, Request, Response, Timer};

/// Probes under way at most.
const PROBES_MAX: usize = 32;
/// Of the nodes that one answer names, so many are measured that might only be nearer than an entry.
const MEASURED_MAX: usize = 2;
/// Every so often it is a neighbour's turn instead of an entry's.
const NEIGHBOUR_EVERY: u32 = 4;

/// Where the upkeep of the routing table stands.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Upkeep {
    /// Nodes that were asked for a row or a sign of life.
    probes: Vec<Peer>,
    /// The entry that was asked last.
    asked: Option<Slot>,
    turn: u32,
    /// The place that somebody is looked for, and the identifier that is looked up.
    seeking: Option<(Slot, Id)>,
    /// The empty place that was looked at last.
    looked: Option<Slot>,
    /// The present round over all empty places has found somebody.
    found: bool,
    period: Duration,
}

impl Upkeep {
    pub(crate) fn new(period: Duration) -> Self {
        Self { probes: Vec::new(), asked: None, turn: 0, seeking: None, looked: None, found: false, period }
    }
}

impl Pastry {
    /// `peer` has just shown that it is a live member.
    pub(crate) fn on_alive(&mut self, peer: &Peer, ctx: &mut Ctx<'_, Self>) {
        if self.failures.has_departed(peer) || peer.id == self.me.id {
            return;
        }
        self.failures.heard(peer);
        self.table.offer(peer, |peer| ctx.rtt(peer));
        if let Some(rtt) = ctx.rtt(peer) {
            self.neighbourhood.note(peer, rtt);
        }
    }

    /// Asks for a sign of life, which tells the round trip as well.
    pub(crate) fn ping(&mut self, peer: &Peer, ctx: &mut Ctx<'_, Self>) {
        self.probe(peer, Request::Ping, ctx);
    }

    pub(crate) fn ask_state(&mut self, peer: &Peer, row: u32, ctx: &mut Ctx<'_, Self>) {
        self.probe(peer, Request::State { row }, ctx);
    }

    fn probe(&mut self, peer: &Peer, request: Request, ctx: &mut Ctx<'_, Self>) {
        let room = self.upkeep.probes.len() < PROBES_MAX;
        if room && peer.id != self.me.id && !self.upkeep.probes.contains(peer) {
            ctx.call(peer.clone(), request);
            self.upkeep.probes.push(peer.clone());
        }
    }

    pub(crate) fn on_probed(&mut self, to: &Peer, result: Result<Response, Failure>, ctx: &mut Ctx<'_, Self>) {
        self.upkeep.probes.retain(|probed| probed != to);
        match result {
            Ok(Response::State { row, neighbourhood }) => {
                self.on_alive(to, ctx);
                let named: Vec<Peer> = row.into_iter().chain(neighbourhood).collect();
                self.consider_entries(&named, ctx);
            }
            Ok(_) => self.on_alive(to, ctx),
            Err(failure) if is_end(&failure) => self.on_failed(to, ctx),
            Err(_) => {}
        }
    }

    /// The answer to [`Request::State`].
    pub(crate) fn state(&self, row: u32) -> Response {
        Response::State {
            row: self.table.row(row).cloned().collect(),
            neighbourhood: self.neighbourhood.peers().cloned().collect(),
        }
    }

    /// Nodes that somebody named: for an empty place any will do once it has answered, for others a few are
    /// measured at a time.
    pub(crate) fn consider_entries(&mut self, named: &[Peer], ctx: &mut Ctx<'_, Self>) {
        let mut measured = 0;
        let mut filled: Vec<Slot> = Vec::new();
        let start = if named.is_empty() { 0 } else { ctx.rng.random_range(0..named.len()) };
        for peer in named.iter().skip(start).chain(named.iter().take(start)) {
            let Some(slot) = self.table.slot(peer.id) else {
                continue;
            };
            if self.failures.stands(peer) || self.table.contains(peer) {
                continue;
            }
            let entry = self.table.get(slot);
            // One that was measured before may be nearer than whoever is there by now.
            let far = |peer: &Peer| ctx.rtt(peer).unwrap_or(Duration::MAX);
            let maybe_nearer = ctx.rtt(peer).is_none() || entry.is_some_and(|entry| far(peer) < far(entry));
            if entry.is_none_or(|entry| entry.id == peer.id) {
                if !filled.contains(&slot) {
                    filled.push(slot);
                    self.ping(peer, ctx);
                }
            } else if measured < MEASURED_MAX && maybe_nearer {
                measured += 1;
                self.ping(peer, ctx);
            }
        }
    }

    /// Asks the next entry for its row, or now and then the next neighbour for a sign of life.
    pub(crate) fn on_maintain_timer(&mut self, ctx: &mut Ctx<'_, Self>) {
        if !self.is_member() {
            return;
        }
        ctx.arm_about(Timer::Maintain, self.config.maintain_period);
        self.upkeep.turn = self.upkeep.turn.wrapping_add(1);
        let turn = self.upkeep.turn;
        let neighbours = self.neighbourhood.peers().count();
        if turn.is_multiple_of(NEIGHBOUR_EVERY) && neighbours > 0 {
            let neighbour = self.neighbourhood.peers().nth((turn / NEIGHBOUR_EVERY) as usize % neighbours).cloned();
            neighbour.iter().for_each(|neighbour| self.ping(neighbour, ctx));
        } else if let Some((slot, entry)) = self.table.next_entry(self.upkeep.asked) {
            let entry = entry.clone();
            self.upkeep.asked = Some(slot);
            self.ask_state(&entry, slot.row, ctx);
        }
    }

    /// An entry is gone: the leaf set or the neighbourhood may have another; else one of the same row is asked for its, or one
    /// of the next row (§3.2). If neither knows, a lookup finds whoever there is.
    pub(crate) fn mend_slot(&mut self, slot: Slot, ctx: &mut Ctx<'_, Self>) {
        let near: Vec<Peer> = self.leaf_set.peers().into_iter().chain(self.neighbourhood.peers().cloned()).collect();
        for peer in near.iter().filter(|peer| !self.failures.stands(peer)) {
            self.table.offer(peer, |peer| ctx.rtt(peer));
        }
        if self.table.get(slot).is_none() && self.is_ready() {
            let other = (slot.row..=slot.row + 1).find_map(|row| self.table.row(row).next()).cloned();
            other.iter().for_each(|other| self.ask_state(other, slot.row, ctx));
            self.hurry_fill(ctx);
        }
    }

    /// Something has changed: empty places are looked at again soon.
    pub(crate) fn hurry_fill(&mut self, ctx: &mut Ctx<'_, Self>) {
        self.upkeep.period = self.config.fill_period;
        self.upkeep.found = true;
        ctx.arm_about(Timer::Fill, self.upkeep.period);
    }

    /// Looks for somebody for the next empty place.
    pub(crate) fn on_fill_timer(&mut self, ctx: &mut Ctx<'_, Self>) {
        if !self.is_member() {
            return;
        }
        ctx.arm_about(Timer::Fill, self.upkeep.period);
        if self.stage != Stage::Ready || self.upkeep.seeking.is_some() {
            return;
        }
        let empty = self.table.next_empty(self.upkeep.looked, self.leaf_set.span());
        self.upkeep.looked = empty;
        match empty.and_then(|slot| Some((slot, self.table.middle(slot)?))) {
            Some((slot, middle)) => {
                self.upkeep.seeking = Some((slot, middle));
                ctx.locate(middle, None);
            }
            None if std::mem::take(&mut self.upkeep.found) => {}
            None => self.upkeep.period = (self.upkeep.period * 2).min(self.config.fill_period_max),
        }
    }

    /// Whoever owns the middle of a place has just said so itself.
    pub(crate) fn on_slot_located(&mut self, target: Id, found: Result<Located, Failure>, ctx: &mut Ctx<'_, Self>) {
        let Some((slot, _)) = self.upkeep.seeking.take_if(|(_, middle)| *middle == target) else {
            return;
        };
        let Some(owner) = found.ok().and_then(|located| located.owners.into_iter().next()) else {
            return;
        };
        if self.table.slot(owner.id) == Some(slot) && !self.failures.has_departed(&owner) {
            self.table.offer(&owner, |peer| ctx.rtt(peer));
            self.upkeep.found = true;
        }
    }
}
