//! Bringing filetuples together: digests that differ for long lead to a pull, page by page.

use std::collections::{BTreeMap, VecDeque};

use overlay::{Ctx, KeyHash, Peer, Refusal};

use crate::gossip::LIST_MAX;
use crate::{Digest, Filetuple, Kelips, Request, Response, Slot};

/// Filetuples in one answer.
pub(crate) const PAGE: usize = 256;
/// A difference stands for so long before it is looked into: gossip may be about to settle it.
const PATIENCE_ROUNDS: u64 = 1;
/// A difference that comes so much later is another one.
const SAME_ROUNDS: u64 = 12;
/// Slots waiting to be pulled.
const QUEUE_MAX: usize = 64;

/// What is being pulled, one page at a time.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Pulling {
    current: Option<(Peer, Slot)>,
    queue: VecDeque<(Peer, Slot)>,
    /// The round in which a slot's digest first differed from somebody's, or the slot was last pulled.
    differing: BTreeMap<Slot, u64>,
}

impl Kelips {
    pub(crate) fn on_digests(&mut self, from: &Peer, digests: &[Digest], ctx: &mut Ctx<'_, Self>) {
        for theirs in digests.iter().take(LIST_MAX) {
            let slot = theirs.slot;
            if !self.is_slot(slot) || !self.serves(slot.group) {
                continue;
            }
            if self.filetuples.digest(slot) == *theirs {
                continue;
            }
            let since = self.pulling.differing.entry(slot).or_insert(self.round);
            match self.round.saturating_sub(*since) {
                ..PATIENCE_ROUNDS => {}
                PATIENCE_ROUNDS..SAME_ROUNDS => {
                    *since = self.round;
                    self.pulling.ask(from, slot);
                }
                _ => *since = self.round,
            }
        }
        self.pull_next(ctx);
    }

    /// A newcomer has everything to learn.
    pub(crate) fn pull_everything(&mut self, from: &Peer) {
        self.slots(self.group).iter().for_each(|slot| self.pulling.ask(from, slot));
    }

    pub(crate) fn pull_next(&mut self, ctx: &mut Ctx<'_, Self>) {
        if self.pulling.current.is_none()
            && let Some((peer, slot)) = self.pulling.queue.pop_front()
        {
            ctx.call(peer.clone(), Request::Pull { slot, after: None });
            self.pulling.current = Some((peer, slot));
        }
    }

    pub(crate) fn serve_pull(&self, slot: Slot, after: Option<KeyHash>) -> Result<Response, Refusal> {
        if !self.is_slot(slot) {
            return Err(Refusal::NotMine);
        }
        let (filetuples, more) = self.filetuples.page(slot, after, PAGE);
        Ok(Response::Filetuples { filetuples, more })
    }

    /// A page of what was asked for, `asked`. The next one is asked for only if this one went on from there, and was full.
    pub(crate) fn on_page(
        &mut self,
        from: &Peer,
        asked: (Slot, Option<KeyHash>),
        page: &[Filetuple],
        more: bool,
        ctx: &mut Ctx<'_, Self>,
    ) {
        let (slot, after) = asked;
        if self.pulling.current.as_ref() != Some(&(from.clone(), slot)) {
            return;
        }
        let round = self.round;
        for tuple in page.iter().take(PAGE) {
            if self.slot_at(self.places.of_hash(tuple.key.0)) == slot && !self.is_forgotten(slot) {
                self.filetuples.merge(slot, tuple, round);
            }
        }
        let goes_on = more && page.len() == PAGE && !self.filetuples.is_full(slot);
        match page.last() {
            Some(last) if goes_on && Some(last.key) > after => {
                ctx.call(from.clone(), Request::Pull { slot, after: Some(last.key) });
            }
            _ => {
                self.pulling.current = None;
                self.pull_next(ctx);
            }
        }
    }

    pub(crate) fn on_no_page(&mut self, from: &Peer, ctx: &mut Ctx<'_, Self>) {
        if self.pulling.current.as_ref().is_some_and(|(peer, _)| peer == from) {
            self.pulling.current = None;
            self.pulling.queue.retain(|(peer, _)| peer != from);
            self.pull_next(ctx);
        }
    }
}

impl Pulling {
    fn ask(&mut self, from: &Peer, slot: Slot) {
        let waits = |(_, waiting): &(Peer, Slot)| *waiting == slot;
        if self.queue.len() < QUEUE_MAX && !self.queue.iter().any(waits) && !self.current.as_ref().is_some_and(waits) {
            self.queue.push_back((from.clone(), slot));
        }
    }
}
