//! Keeping the leaf set.
//!
//! Every period a node exchanges leaf sets with its left neighbour (the heartbeat of MSPastry, DSN 2004), with its right
//! neighbour if that one was not heard meanwhile, and with one more leaf in random order: so sets agree again after
//! anything (Rhea et al. 2004). A leaf that does not answer is dropped, and the leaf that is then farthest on that
//! side is asked for its set (§3.2). A node that somebody names is contacted before it is taken in.

use overlay::{Ctx, Failure, Overlay, Peer, Refusal, Time};
use rand::seq::SliceRandom;

use crate::leaf_set::Side;
use crate::pastry::Stage;
use crate::{Leaves, Pastry, Request, Response, Timer};

/// Exchanges under way at most with nodes that are no leaves.
const EXCHANGES_MAX: usize = 64;

/// Exchanges of leaf sets under way, and whose turn it is.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Exchanges {
    under_way: Vec<(Peer, u32)>,
    /// Answers to what was asked in an earlier one say nothing of now.
    epoch: u32,
    /// The right neighbour was heard since the last round.
    larger_heard: bool,
    /// Leaves whose turn comes before any other's comes again.
    turns: Vec<Peer>,
}

impl Default for Exchanges {
    fn default() -> Self {
        Self { under_way: Vec::new(), epoch: 0, larger_heard: true, turns: Vec::new() }
    }
}

impl Exchanges {
    /// Whoever has not answered by now has to be asked again.
    pub(crate) fn begin_anew(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
        self.larger_heard = true;
    }

    fn is_under_way(&self, peer: &Peer) -> bool {
        self.under_way.iter().any(|(asked, _)| asked == peer)
    }

    /// The exchange with `peer` has ended; whether it was begun in this epoch.
    fn end(&mut self, peer: &Peer) -> bool {
        let epoch = self.under_way.iter().find(|(asked, _)| asked == peer).map(|(_, epoch)| *epoch);
        self.under_way.retain(|(asked, _)| asked != peer);
        epoch == Some(self.epoch)
    }
}

impl Pastry {
    /// The leaf set as it is shown to others.
    pub(crate) fn leaves(&self, now: Time) -> Leaves {
        Leaves { leaves: self.leaf_set.peers(), failed: self.failures.told(now) }
    }

    pub(crate) fn arm_all(&mut self, ctx: &mut Ctx<'_, Self>) {
        ctx.arm_about(Timer::Heartbeat, self.config.heartbeat_period);
        ctx.arm_about(Timer::Maintain, self.config.maintain_period);
        self.hurry_fill(ctx);
    }

    pub(crate) fn on_heartbeat_timer(&mut self, ctx: &mut Ctx<'_, Self>) {
        if !self.is_member() {
            return;
        }
        if self.has_waited_too_long(ctx.now) {
            return self.give_up("not every leaf has confirmed this node", ctx);
        }
        self.failures.expire(ctx.now);
        ctx.arm_about(Timer::Heartbeat, self.config.heartbeat_period);
        self.drop_the_dead(ctx);
        match self.stage {
            Stage::Unconfirmed(_) => self.settle(ctx),
            Stage::Ready => self.beat(ctx),
            Stage::Outside | Stage::Joining(_) => {}
        }
    }

    fn beat(&mut self, ctx: &mut Ctx<'_, Self>) {
        let quiet = !std::mem::take(&mut self.exchanges.larger_heard);
        let left = self.leaf_set.nearest(Side::Smaller);
        let right = self.leaf_set.nearest(Side::Larger).filter(|_| quiet);
        let short = [Side::Smaller, Side::Larger].into_iter().filter(|&side| self.leaf_set.is_short(side));
        let farthest = short.filter_map(|side| self.leaf_set.farthest(side));
        let mut asked: Vec<Peer> = left.into_iter().chain(right).chain(farthest).cloned().collect();
        asked.extend(self.next_turn(ctx));
        asked.iter().for_each(|leaf| self.exchange(leaf, ctx));
    }

    /// A random leaf, but each once before any comes again.
    fn next_turn(&mut self, ctx: &mut Ctx<'_, Self>) -> Option<Peer> {
        let leaf_set = &self.leaf_set;
        self.exchanges.turns.retain(|leaf| leaf_set.contains(leaf));
        if self.exchanges.turns.is_empty() {
            self.exchanges.turns = leaf_set.peers();
            self.exchanges.turns.shuffle(ctx.rng);
        }
        self.exchanges.turns.pop()
    }

    /// Whoever the layers around this one have found dead.
    fn drop_the_dead(&mut self, ctx: &mut Ctx<'_, Self>) {
        let mut dead = self.leaf_set.peers();
        dead.extend(self.table.peers().chain(self.neighbourhood.peers()).cloned());
        dead.retain(|peer| ctx.is_dead(peer));
        for peer in dead {
            // It may have left the tables with one before it, or this node its ring.
            if self.is_member() && self.knows(&peer) {
                self.on_failed(&peer, ctx);
            }
        }
    }

    fn knows(&self, peer: &Peer) -> bool {
        self.leaf_set.contains(peer)
            || self.table.contains(peer)
            || self.neighbourhood.peers().any(|known| known == peer)
    }

    /// Shows `peer` this node's leaf set and asks for its own, unless that is under way.
    pub(crate) fn exchange(&mut self, peer: &Peer, ctx: &mut Ctx<'_, Self>) {
        // Strangers that somebody names never keep this node from hearing its own leaves.
        let room = self.exchanges.under_way.len() < EXCHANGES_MAX || self.leaf_set.contains(peer);
        if room && peer.id != self.me.id && !self.exchanges.is_under_way(peer) {
            ctx.call(peer.clone(), Request::LeafSet(self.leaves(ctx.now)));
            self.exchanges.under_way.push((peer.clone(), self.exchanges.epoch));
        }
    }

    /// `from` wants to be taken in, and shows its own leaf set.
    pub(crate) fn on_leaf_set_offered(&mut self, from: &Peer, offered: &Leaves, ctx: &mut Ctx<'_, Self>) -> Leaves {
        let answer = self.leaves(ctx.now);
        self.take_in(from, ctx);
        self.consider_leaves(offered, ctx);
        self.settle(ctx);
        answer
    }

    pub(crate) fn on_exchanged(&mut self, to: &Peer, result: Result<Response, Failure>, ctx: &mut Ctx<'_, Self>) {
        let current = self.exchanges.end(to);
        if !self.is_member() {
            return;
        }
        match result {
            Ok(Response::LeafSet(answer)) => {
                self.failed_in_a_row.clear();
                self.take_in(to, ctx);
                if current {
                    self.note_confirmed(to);
                }
                self.consider_leaves(&answer, ctx);
                if self.leaf_set.is_closed_by(to, &answer.leaves) {
                    self.leaf_set.rebalance();
                }
                self.settle(ctx);
            }
            Err(failure) if is_end(&failure) => self.on_failed(to, ctx),
            // Alive, and with no time for this now: it is asked again at the next round.
            _ => {}
        }
    }

    /// A live member belongs into the leaf set if it is close enough. Keys between it and this node may change hands.
    fn take_in(&mut self, peer: &Peer, ctx: &mut Ctx<'_, Self>) {
        self.on_alive(peer, ctx);
        self.exchanges.larger_heard |= self.leaf_set.nearest(Side::Larger).is_some_and(|right| right.id == peer.id);
        if !self.failures.has_departed(peer) {
            self.leaf_set.insert(peer);
        }
    }

    /// Somebody's leaf set may name nodes that belong into this one's. A node that is active contacts them first; one that
    /// is not has to have them confirm it anyway. Nodes that others found dead are looked at.
    fn consider_leaves(&mut self, shown: &Leaves, ctx: &mut Ctx<'_, Self>) {
        for peer in shown.leaves.iter().take(crate::Config::LEAF_SET_MAX) {
            if self.failures.stands(peer) || !self.leaf_set.would_take(peer) {
                continue;
            }
            match self.stage {
                Stage::Ready => self.exchange(peer, ctx),
                _ => _ = self.leaf_set.insert(peer),
            }
        }
        for peer in shown.failed.iter().take(crate::failures::TOLD_MAX) {
            if self.leaf_set.get(peer.id) == Some(peer) {
                self.exchange(peer, ctx);
            } else if self.table.toward(peer.id) == Some(peer) {
                self.ping(peer, ctx);
            }
        }
    }

    /// `peer` did not answer, or is not a member any more.
    pub(crate) fn on_failed(&mut self, peer: &Peer, ctx: &mut Ctx<'_, Self>) {
        self.failures.note(peer, ctx.now);
        if !self.failures.has_departed(peer) && !self.failed_in_a_row.contains(&peer.id) {
            self.failed_in_a_row.push(peer.id);
        }
        // All that counts is whether it was more than one.
        self.failed_in_a_row.truncate(2);
        self.on_gone(peer, ctx);
    }

    /// `peer` is no member from here on: drop it everywhere, and mend what that leaves.
    pub(crate) fn on_gone(&mut self, peer: &Peer, ctx: &mut Ctx<'_, Self>) {
        self.lease.take_if(|lease| lease.newcomer == peer.id);
        self.neighbourhood.remove(peer);
        let on_side = |side: &Side| self.leaf_set.side(*side).iter().any(|leaf| leaf.id == peer.id);
        let sides: Vec<Side> = [Side::Smaller, Side::Larger].into_iter().filter(on_side).collect();
        let met = self.leaf_set.meets();
        let was_leaf = self.leaf_set.remove(peer);
        if let Some(slot) = self.table.remove(peer) {
            self.mend_slot(slot, ctx);
        }
        if !was_leaf || !self.is_member() {
            return;
        }
        if self.leaf_set.is_empty() {
            return self.on_nobody_left(ctx);
        }
        if met {
            self.leaf_set.rebalance();
        }
        if self.leaf_set.is_one_sided() {
            return self.on_side_lost(ctx);
        }
        if self.is_ready() {
            let farthest: Vec<Peer> = sides.iter().filter_map(|&side| self.leaf_set.farthest(side)).cloned().collect();
            farthest.iter().for_each(|leaf| self.exchange(leaf, ctx));
        }
        self.settle(ctx);
    }

    /// All leaves on one side are gone, which the paper excludes: half of a leaf set failed at once. Who is next there is
    /// not known, so nothing may be claimed: this node begins from whomever it knows, and has to be confirmed again.
    fn on_side_lost(&mut self, ctx: &mut Ctx<'_, Self>) {
        self.leaf_set.rebalance();
        let known: Vec<Peer> = self.table.peers().chain(self.neighbourhood.peers()).cloned().collect();
        for peer in known.iter().filter(|peer| !self.failures.stands(peer)) {
            self.leaf_set.insert(peer);
        }
        self.await_confirmation(ctx);
    }

    /// The last leaf is gone.
    ///
    /// If that is the only member that failed since somebody last answered, the ring had two members and has one
    /// now. If several fell silent together, it is more likely that this node was cut off from a ring that goes on without
    /// it: it looks for a way back instead of claiming everything. So does one that woke from a pause.
    fn on_nobody_left(&mut self, ctx: &mut Ctx<'_, Self>) {
        let others = self.table.peers().next().is_some();
        if !self.is_ready() || others || self.failed_in_a_row.len() > 1 {
            return self.give_up("every member known has fallen silent", ctx);
        }
        self.failed_in_a_row.clear();
        self.lease = None;
    }
}

/// What a call that failed so says: the peer is dead, or no member of this ring (any more).
pub(crate) fn is_end(failure: &Failure) -> bool {
    match failure {
        Failure::TimedOut | Failure::Unreachable => true,
        Failure::Refused(refusal) => matches!(refusal, Refusal::Gone | Refusal::OtherRing(_) | Refusal::NotReady),
    }
}
