//! Being ready: both neighbours have confirmed this node's place.
//!
//! A node that has joined is a member as Zave's protocol counts, but nobody may send it keys yet. It is ready
//! once its successor has named it as predecessor and its predecessor has notified it, which a node does only
//! to the head of its list. After a pause both must say so again.

use overlay::{Ctx, Time};

use crate::chord::Stage;
use crate::{Chord, Request};

/// Who has confirmed this node's place.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Confirmation {
    /// The successor named this node as its predecessor.
    pub(crate) by_successor: bool,
    /// The predecessor has this node at the head of its list.
    pub(crate) by_predecessor: bool,
    /// When the wait began.
    pub(crate) since: Time,
    /// So often asked already: the delay until the next time grows with it.
    pub(crate) asked: u32,
}

impl Chord {
    /// The head has taken note. While this node waits to be confirmed, the predecessor is told to look,
    /// and the successor is asked again at once; later rounds follow at growing intervals.
    pub(crate) fn on_notified(&mut self, ctx: &mut Ctx<'_, Self>) {
        let Stage::Unconfirmed(wait) = &mut self.stage else {
            return;
        };
        let (first, by_successor, by_predecessor) = (wait.asked == 0, wait.by_successor, wait.by_predecessor);
        wait.asked = wait.asked.saturating_add(1);
        if let (false, Some(predecessor)) = (by_predecessor, self.predecessor.clone()) {
            ctx.call(predecessor, Request::Stabilize);
        }
        self.arm_stabilize(ctx);
        if first && !by_successor {
            self.stabilize(ctx);
        }
    }

    pub(crate) fn settle(&mut self, ctx: &mut Ctx<'_, Self>) {
        if let Stage::Unconfirmed(wait) = &self.stage
            && wait.by_successor
            && wait.by_predecessor
        {
            self.stage = Stage::Ready;
            self.hurry_fingers(ctx);
        }
    }

    /// The place must be confirmed, for the first time or again.
    pub(crate) fn await_confirmation(&mut self, ctx: &mut Ctx<'_, Self>) {
        self.stage =
            Stage::Unconfirmed(Confirmation { by_successor: false, by_predecessor: false, since: ctx.now, asked: 0 });
        self.arm_stabilize(ctx);
        self.start_fixing(ctx);
        self.stabilize(ctx);
    }

    /// After a pause: what was measured across the gap is forgotten, and both neighbours are asked again.
    pub(crate) fn reconfirm(&mut self, ctx: &mut Ctx<'_, Self>) {
        if matches!(self.stage, Stage::Outside | Stage::Joining(_)) {
            return;
        }
        self.operation = None;
        self.probing = None;
        self.predecessor_heard = true;
        self.notified = None;
        self.failed_in_a_row.clear();
        self.silence = Default::default();
        self.lease = None;
        self.await_confirmation(ctx);
    }
}
