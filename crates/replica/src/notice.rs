//! Telling old and new members about a set that was accepted, until each has answered or is given up.
//! Whoever is given up hears of it from the primary's refreshing, or asks the owner (`member`).

use std::time::Duration;

use overlay::Time;
use ring::Range;

use crate::control::Asked;
use crate::{Answer, Control, Member, Request, Set, Word};

/// Pause between two tries.
const AGAIN_AFTER: Duration = Duration::from_millis(300);
/// Tries before a member is given up.
const TRIES: u32 = 20;
/// Notices waiting at most; the oldest give way.
const NOTICES_MAX: usize = 4_096;

/// An accepted set that a member was not seen to know yet.
#[derive(Clone, Debug)]
pub(crate) struct Notice {
    number: u64,
    to: Member,
    range: Range,
    set: Set,
    before: Option<Set>,
    tries: u32,
    due: Time,
}

impl Control {
    /// Tell `members` other than this node.
    pub(crate) fn notify(&mut self, now: Time, range: Range, set: &Set, before: Option<&Set>, members: &[Member]) {
        for to in members.iter().filter(|member| member.peer.id != self.me.peer.id) {
            if self.notices.len() >= NOTICES_MAX {
                self.notices.remove(0);
            }
            self.notices_begun += 1;
            self.notices.push(Notice {
                number: self.notices_begun,
                to: to.clone(),
                range,
                set: set.clone(),
                before: before.cloned(),
                tries: 0,
                due: now,
            });
        }
    }

    pub(crate) fn send_notices(&mut self, now: Time) {
        let mut due = Vec::new();
        for notice in &mut self.notices {
            if notice.due <= now {
                notice.tries += 1;
                notice.due = now.plus(AGAIN_AFTER);
                due.push(notice.clone());
            }
        }
        self.notices.retain(|notice| notice.tries < TRIES);
        self.busy |= !self.notices.is_empty();
        for Notice { number, to, range, set, before, .. } in due {
            if self.calling(
                to.peer.id,
                |asked| matches!(asked, Asked::Install { notice: Some(one), .. } if *one == number),
            ) {
                continue;
            }
            let asked = Asked::Install { range, number: set.number, notice: Some(number) };
            let peer = self.peers.locate(&to);
            self.call(peer, Request::Install { range, set, before, whole: 0 }, asked);
        }
    }

    pub(crate) fn on_installed(&mut self, range: Range, number: u64, notice: Option<u64>, word: &Word) {
        let heard = matches!(word.answer, Answer::Done | Answer::Pieces(_));
        if let Some(notice) = notice
            && heard
        {
            self.notices.retain(|one| one.number != notice);
        }
        if heard {
            self.on_told(range, number, word);
        }
    }
}
