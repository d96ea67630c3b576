//! Keeping the ring: stabilize and rectify, step by step as Zave's version of 2017 has them.
//!
//! Each operation is one step at one node that reads at most one other node. One of them waits for an
//! answer at a time; an answer counts only while the node asked is still the one to ask. Of several
//! notifications that would have to wait, the closest does.

use overlay::{Ctx, Overlay, Peer, growing};
use ring::between;

use crate::chord::Stage;
use crate::successor_list::SuccessorList;
use crate::{Chord, Neighbours, Request, Timer};

/// The operation that waits for [`Request::GetNeighbours`] to be answered.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Operation {
    /// Asked the head of the list.
    StabilizeFromSuccessor { head: Peer },
    /// Asked the head's predecessor, which lies between this node and the head.
    StabilizeFromPredecessor { candidate: Peer },
    /// Asked the predecessor whether it lives, since `notifier` claims its place.
    Rectify { predecessor: Peer, notifier: Peer },
}

impl Operation {
    pub(crate) fn asked(&self) -> &Peer {
        match self {
            Operation::StabilizeFromSuccessor { head } => head,
            Operation::StabilizeFromPredecessor { candidate } => candidate,
            Operation::Rectify { predecessor, .. } => predecessor,
        }
    }
}

impl Chord {
    pub(crate) fn arm_stabilize(&mut self, ctx: &mut Ctx<'_, Self>) {
        let period = match &self.stage {
            Stage::Unconfirmed(wait) => self.config.stabilize_period.min(growing(wait.asked)),
            _ => self.config.stabilize_period,
        };
        ctx.arm_about(Timer::Stabilize, period);
    }

    pub(crate) fn on_stabilize_timer(&mut self, ctx: &mut Ctx<'_, Self>) {
        if !self.is_member() {
            return;
        }
        self.silence.expire(ctx.now);
        self.believers.next_round(2 * self.successors.entries().len() as u32);
        if let Stage::Unconfirmed(wait) = &mut self.stage {
            wait.asked = wait.asked.saturating_add(1);
            if ctx.now.since(wait.since) > self.config.confirm_timeout {
                return self.give_up("neighbours have not confirmed this node's place", ctx);
            }
        }
        self.arm_stabilize(ctx);
        self.probe_somebody(ctx);
        if self.operation.is_none() {
            self.stabilize(ctx);
        }
    }

    /// Stabilize from successor: ask the head of the list for its list and predecessor.
    pub(crate) fn stabilize(&mut self, ctx: &mut Ctx<'_, Self>) {
        if !self.is_member() {
            return;
        }
        if self.operation.is_some() {
            self.again = true;
            return;
        }
        self.again = false;
        match self.successors.head().cloned() {
            None => self.go_round_by_predecessor(ctx),
            Some(head) if head.id == self.me.id => self.stabilize_from_itself(ctx),
            Some(head) if self.silence.is_dead(&head, ctx.now) => self.on_successor_dead(&head, ctx),
            Some(head) => self.ask(Operation::StabilizeFromSuccessor { head }, ctx),
        }
    }

    /// The list has come round: this node is its own successor, and answers itself.
    fn stabilize_from_itself(&mut self, ctx: &mut Ctx<'_, Self>) {
        match self.predecessor.clone() {
            None => {
                self.successors = SuccessorList::alone(&self.me, self.config.successors);
                self.stage = Stage::Ready;
            }
            // Any other node lies between this one and itself.
            Some(candidate) if self.silence.is_dead(&candidate, ctx.now) => self.on_nobody_left(&candidate, ctx),
            Some(candidate) => self.ask(Operation::StabilizeFromPredecessor { candidate }, ctx),
        }
    }

    /// Everybody in the list is dead, which the proof excludes. A living predecessor leads back to the ring: as if
    /// the list had come round, it is taken as the successor, and its predecessors after it.
    fn go_round_by_predecessor(&mut self, ctx: &mut Ctx<'_, Self>) {
        if self.predecessor.is_none() {
            return self.give_up("nobody in the successor list is left", ctx);
        }
        self.successors = SuccessorList::alone(&self.me, self.config.successors);
        self.stabilize_from_itself(ctx);
    }

    fn ask(&mut self, operation: Operation, ctx: &mut Ctx<'_, Self>) {
        if self.probing.as_ref() != Some(operation.asked()) {
            ctx.call(operation.asked().clone(), Request::GetNeighbours);
        }
        self.operation = Some(Box::new(operation));
    }

    /// The end of a [`Request::GetNeighbours`]; `None` if there was no answer.
    pub(crate) fn on_neighbours(&mut self, from: &Peer, answer: Option<Neighbours>, ctx: &mut Ctx<'_, Self>) {
        match &answer {
            Some(_) => {
                self.silence.heard(from);
                self.failed_in_a_row.clear();
            }
            None => self.on_silent(from, ctx),
        }
        self.probing = self.probing.take().filter(|probed| probed != from);
        match self.operation.take() {
            Some(operation) if operation.asked() == from => self.conclude(*operation, answer, ctx),
            other => self.operation = other,
        }
        self.take_up_what_waits(ctx);
    }

    /// `from` lives and did not answer the question: the step ends without effect, and comes again at the next round.
    pub(crate) fn on_no_news(&mut self, from: &Peer, ctx: &mut Ctx<'_, Self>) {
        self.silence.heard(from);
        self.probing = self.probing.take().filter(|probed| probed != from);
        self.operation = self.operation.take().filter(|operation| operation.asked() != from);
        if self.operation.is_none()
            && let Some(notifier) = self.notified.take()
        {
            self.rectify(notifier, ctx);
        }
    }

    fn conclude(&mut self, operation: Operation, answer: Option<Neighbours>, ctx: &mut Ctx<'_, Self>) {
        match (operation, answer) {
            (Operation::StabilizeFromSuccessor { head }, answer) => {
                if self.successors.head() != Some(&head) {
                    self.again = true;
                    return;
                }
                match answer {
                    Some(answer) => self.on_successor_alive(head, answer, ctx),
                    None => self.on_successor_dead(&head, ctx),
                }
            }
            (Operation::StabilizeFromPredecessor { candidate }, Some(answer)) => {
                let head = self.successors.head().map_or(self.me.id, |head| head.id);
                if between(self.me.id, candidate.id, head) {
                    self.take_list(candidate, &answer, ctx);
                }
                self.notify_head(ctx);
            }
            (Operation::StabilizeFromPredecessor { candidate }, None) => {
                let alone = self.successors.head().is_some_and(|head| head.id == self.me.id);
                if alone && self.predecessor.as_ref() == Some(&candidate) {
                    self.on_nobody_left(&candidate, ctx);
                } else {
                    self.notify_head(ctx);
                }
            }
            (Operation::Rectify { .. }, Some(_)) => {}
            (Operation::Rectify { predecessor, notifier }, None) => {
                if self.predecessor.as_ref() == Some(&predecessor) {
                    self.take_predecessor(notifier, ctx);
                }
            }
        }
    }

    fn on_successor_alive(&mut self, head: Peer, answer: Neighbours, ctx: &mut Ctx<'_, Self>) {
        self.take_list(head.clone(), &answer, ctx);
        if let Stage::Unconfirmed(wait) = &mut self.stage {
            wait.by_successor = answer.predecessor.as_ref() == Some(&self.me);
            self.settle(ctx);
        }
        match answer.predecessor {
            Some(candidate)
                if between(self.me.id, candidate.id, head.id) && !self.silence.is_dead(&candidate, ctx.now) =>
            {
                self.ask(Operation::StabilizeFromPredecessor { candidate }, ctx);
            }
            _ => self.notify_head(ctx),
        }
    }

    /// No answer: drop the head and pad the end; notify the new head, and ask it in a step of its own.
    fn on_successor_dead(&mut self, head: &Peer, ctx: &mut Ctx<'_, Self>) {
        if !self.silence.has_departed(head) && !self.failed_in_a_row.contains(&head.id) {
            self.failed_in_a_row.push(head.id);
        }
        self.fingers.forget(head.id);
        self.successors = self.successors.without_head();
        self.hurry_fingers(ctx);
        self.notify_head(ctx);
        self.stabilize(ctx);
    }

    /// `head : butlast(head.list)`, from a head that has just answered.
    fn take_list(&mut self, head: Peer, answer: &Neighbours, ctx: &mut Ctx<'_, Self>) {
        let list = SuccessorList::led_by(head, &answer.successors, self.config.successors);
        if list.head() != self.successors.head() {
            self.again = true;
            if let Stage::Unconfirmed(wait) = &mut self.stage {
                wait.by_successor = false;
            }
        }
        if list != self.successors {
            self.successors = list;
            self.hurry_fingers(ctx);
        }
    }

    /// "I believe that I am your predecessor." Its answer needs no waiting for, except by a newcomer.
    fn notify_head(&mut self, ctx: &mut Ctx<'_, Self>) {
        match self.successors.head() {
            Some(head) if head.id != self.me.id => ctx.call(head.clone(), Request::Notify),
            _ => {}
        }
    }

    /// Rectify: `notifier` believes that it is this node's predecessor.
    pub(crate) fn rectify(&mut self, notifier: Peer, ctx: &mut Ctx<'_, Self>) {
        if notifier.id == self.me.id || self.silence.has_departed(&notifier) {
            return;
        }
        self.believers.note(notifier.id);
        let Some(predecessor) = self.predecessor.clone() else {
            return self.take_predecessor(notifier, ctx);
        };
        let same = predecessor.id == notifier.id && predecessor.incarnation <= notifier.incarnation;
        if same || between(predecessor.id, notifier.id, self.me.id) || self.silence.is_dead(&predecessor, ctx.now) {
            // Nobody has to be asked: the step ends here, whatever else waits for an answer.
            return self.take_predecessor(notifier, ctx);
        }
        if self.operation.is_none() {
            return self.ask(Operation::Rectify { predecessor, notifier }, ctx);
        }
        let closer = self.notified.as_ref().is_none_or(|waiting| between(waiting.id, notifier.id, self.me.id));
        if closer {
            self.notified = Some(notifier);
        }
    }

    /// Takes the predecessor that has just been heard, which has this node at the head of its list.
    fn take_predecessor(&mut self, notifier: Peer, ctx: &mut Ctx<'_, Self>) {
        if let Some(before) = &self.predecessor {
            self.believers.note(before.id);
        }
        self.predecessor = Some(notifier);
        self.predecessor_heard = true;
        if let Stage::Unconfirmed(wait) = &mut self.stage {
            wait.by_predecessor = true;
            self.settle(ctx);
        }
        if self.successors.head().is_some_and(|head| head.id == self.me.id) {
            self.stabilize(ctx);
        }
    }

    pub(crate) fn take_up_what_waits(&mut self, ctx: &mut Ctx<'_, Self>) {
        if let (None, Some(notifier)) = (&self.operation, self.notified.take()) {
            self.rectify(notifier, ctx);
        }
        if self.again && self.operation.is_none() {
            self.stabilize(ctx);
        }
    }

    /// This node is at the head of its own list and `last`, its predecessor, is gone as well.
    ///
    /// If that is the only member that failed since somebody last answered, the ring had two members and
    /// has one now. If several fell silent together, it is more likely that this node was cut off from a
    /// ring that goes on without it: it looks for a way back instead of claiming everything.
    fn on_nobody_left(&mut self, last: &Peer, ctx: &mut Ctx<'_, Self>) {
        if !self.silence.has_departed(last) && !self.failed_in_a_row.contains(&last.id) {
            self.failed_in_a_row.push(last.id);
        }
        // A node that woke from a pause does not know what became of its ring meanwhile.
        if self.stage != Stage::Ready || self.failed_in_a_row.len() > 1 {
            return self.give_up("every member known has fallen silent", ctx);
        }
        self.predecessor = None;
        self.successors = SuccessorList::alone(&self.me, self.config.successors);
        self.fingers = Default::default();
        self.failed_in_a_row.clear();
        self.again = false;
        self.lease = None;
        self.stage = Stage::Ready;
    }

    /// This node can't go on in the ring; the shared starting rules find another way in.
    pub(crate) fn give_up(&mut self, why: &str, ctx: &mut Ctx<'_, Self>) {
        self.reset(self.me.clone());
        for timer in [Timer::Join, Timer::Stabilize, Timer::FixFingers] {
            ctx.disarm(timer);
        }
        ctx.lost(why);
    }
}
