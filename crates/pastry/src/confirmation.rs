//! Being active: every leaf has confirmed this node.
//!
//! As published, Pastry can lose the ring when nodes join at the same time: two newcomers that don't know each other
//! may both answer for a key (found by model checking: Lu, Merz and Weidenbach, "Towards verification of the Pastry protocol using TLA+", FORTE 2011). So a
//! newcomer answers for nothing until every live leaf has taken it into its own leaf set and shown that set, and no
//! answer names a closer live node that it has not asked as well. A node that takes a newcomer in gives up
//! the keys between them at once: for a moment nobody answers for them, never two.
//!
//! Of two newcomers next to each other, both ask the active nodes around them. Whoever is second there hears of
//! the first and has to ask it as well; after that both know each other. A node that is not active itself confirms
//! others at once, so newcomers never wait for each other. It holds as long as no live node is taken for dead.
//!
//! In place of the paper's time stamps on states (§2.4): whatever moved on in between is in somebody's answer.

use overlay::{Ctx, Overlay, Peer, Time};

use crate::pastry::Stage;
use crate::{Pastry, Request};

/// Who has confirmed this node.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Confirmation {
    /// Leaves that answered since.
    by: Vec<Peer>,
    /// When the wait began.
    since: Time,
}

impl Pastry {
    /// The leaf set must be confirmed, for the first time or again.
    pub(crate) fn await_confirmation(&mut self, ctx: &mut Ctx<'_, Self>) {
        self.stage = Stage::Unconfirmed(Confirmation { by: Vec::new(), since: ctx.now });
        self.exchanges.begin_anew();
        self.arm_all(ctx);
        self.ask_leaves(ctx);
    }

    /// While this node is not active: asks every leaf that has not confirmed it.
    pub(crate) fn ask_leaves(&mut self, ctx: &mut Ctx<'_, Self>) {
        let Stage::Unconfirmed(wait) = &self.stage else {
            return;
        };
        let mut open = self.leaf_set.peers();
        open.retain(|leaf| !wait.by.contains(leaf));
        open.iter().for_each(|leaf| self.exchange(leaf, ctx));
    }

    pub(crate) fn note_confirmed(&mut self, by: &Peer) {
        if let Stage::Unconfirmed(wait) = &mut self.stage {
            wait.by.retain(|leaf| leaf.id != by.id);
            wait.by.push(by.clone());
        }
    }

    /// Asks whoever is still to be asked; active once nobody is.
    pub(crate) fn settle(&mut self, ctx: &mut Ctx<'_, Self>) {
        self.ask_leaves(ctx);
        let Stage::Unconfirmed(wait) = &mut self.stage else {
            return;
        };
        let leaves = self.leaf_set.peers();
        wait.by.retain(|peer| leaves.contains(peer));
        if !leaves.is_empty() && wait.by.len() == leaves.len() {
            self.stage = Stage::Ready;
            self.announce(ctx);
        }
    }

    pub(crate) fn has_waited_too_long(&self, now: Time) -> bool {
        match &self.stage {
            Stage::Unconfirmed(wait) => now.since(wait.since) > self.config.confirm_timeout,
            _ => false,
        }
    }

    /// Tells everyone in this node's state that it is active (§2.4), and each the row that is of use to it.
    fn announce(&mut self, ctx: &mut Ctx<'_, Self>) {
        self.hurry_fill(ctx);
        let mut told = self.leaf_set.peers();
        for peer in self.table.peers().chain(self.neighbourhood.peers()) {
            if !told.iter().any(|seen| seen.id == peer.id) {
                told.push(peer.clone());
            }
        }
        for peer in told {
            let row = self.config.shared(self.me.id, peer.id);
            let row = self.table.row(row).filter(|entry| entry.id != peer.id).cloned().collect();
            ctx.call(peer, Request::Announce { row });
        }
    }

    /// Somebody next to this node, or far away, has become active.
    pub(crate) fn on_announced(&mut self, from: &Peer, row: &[Peer], ctx: &mut Ctx<'_, Self>) {
        self.lease.take_if(|lease| lease.newcomer == from.id);
        self.on_alive(from, ctx);
        if self.is_ready() {
            self.consider_entries(row, ctx);
        }
    }
}
