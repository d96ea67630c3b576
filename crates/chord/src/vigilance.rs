//! Noticing that neighbours are gone, before Zave's steps come across them.
//!
//! Nothing here changes a list or a predecessor: it only decides whom to ask sooner, and remembers who did not
//! answer, so that the step whose turn it is need not wait for a detection of its own.

use overlay::{Ctx, Peer};
use ring::Id;

use crate::{Chord, Request};

impl Chord {
    /// Asks one neighbour a round for a sign of life: the predecessor when it has gone quiet, else the
    /// predecessor and the tail of the list in turn.
    ///
    /// This changes nothing by itself. But round trips get known, and when several neighbours die
    /// together, they are missed side by side instead of one detection after the other: a dead predecessor
    /// before a notification asks for it, a dead entry before it is the head.
    pub(crate) fn probe_somebody(&mut self, ctx: &mut Ctx<'_, Self>) {
        let quiet = !std::mem::take(&mut self.predecessor_heard);
        let neighbours = self.distinct_neighbours();
        let turn = match quiet {
            true => 0,
            false => self.believers.round() as usize % neighbours.len().max(1),
        };
        if let Some(neighbour) = neighbours.into_iter().nth(turn) {
            self.probe(neighbour, ctx);
        }
    }

    pub(crate) fn probe(&mut self, peer: Peer, ctx: &mut Ctx<'_, Self>) {
        let is_asked = self.operation.as_ref().is_some_and(|operation| *operation.asked() == peer)
            || self.successors.head() == Some(&peer);
        if self.probing.is_none() && !is_asked && !self.silence.is_dead(&peer, ctx.now) {
            ctx.call(peer.clone(), Request::GetNeighbours);
            self.probing = Some(peer);
        }
    }

    /// A node said that it goes: from here on it counts as dead, and is dropped when its turn comes. At once,
    /// if it is the head of the list.
    pub(crate) fn check_departed(&mut self, peer: &Peer, ctx: &mut Ctx<'_, Self>) {
        self.silence.note_departure(peer);
        if self.fingers.forget(peer.id) {
            self.hurry_fingers(ctx);
        }
        if self.operation.as_ref().is_some_and(|operation| operation.asked() == peer) {
            // What it answered before it went does not count any more.
            self.operation = None;
        }
        let head = self.successors.head().is_some_and(|head| head == peer);
        if head || self.successors.head().is_some_and(|head| head.id == self.me.id) {
            self.stabilize(ctx);
        }
        self.take_up_what_waits(ctx);
    }

    /// Somebody could not reach these: a neighbour among them is looked at now instead of at the next round.
    pub(crate) fn check_avoided(&mut self, avoid: &[Id], ctx: &mut Ctx<'_, Self>) {
        if self.operation.is_none() && self.successors.head().is_some_and(|head| avoid.contains(&head.id)) {
            self.stabilize(ctx);
        }
        if let Some(predecessor) = self.predecessor.clone().filter(|predecessor| avoid.contains(&predecessor.id)) {
            self.probe(predecessor, ctx);
        }
        if self.fingers.peers().any(|finger| avoid.contains(&finger.id)) {
            self.hurry_fingers(ctx);
        }
    }

    pub(crate) fn on_silent(&mut self, peer: &Peer, ctx: &mut Ctx<'_, Self>) {
        self.silence.note(peer, ctx.now);
        if self.fingers.forget(peer.id) {
            self.hurry_fingers(ctx);
        }
    }
}
