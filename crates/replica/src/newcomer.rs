//! Coming into a set from outside: register with the primary, so that every write comes here too; fetch
//! what there is from a majority; tell the primary that it is all here. Asked for by the owner
//! ([`Request::Learn`]), who then proposes a set with this node in it.

use std::time::Duration;

use overlay::Time;
use ring::Range;

use crate::control::Asked;
use crate::local::{Local, Newcomer, Step};
use crate::retry::Kind;
use crate::{Answer, Control, Job, Member, Request, Set, Word};

/// Nobody wants this node there any more when nobody has asked for so long.
const WANTED_FOR: Duration = Duration::from_secs(5);
/// A leaver does not wait longer for a primary to let it go as a newcomer: then that one is gone itself.
const PARTING_FOR: Duration = Duration::from_secs(15);
/// How often the primary is asked whether it still counts on this node.
const CONFIRM_PERIOD: Duration = Duration::from_secs(1);

impl Control {
    pub(crate) fn serve_learn(&mut self, now: Time, from: &Member, range: Range, set: &Set) -> Answer {
        if set.members.is_empty() {
            return Answer::No("a set without members".into());
        }
        if self.leaving && !self.takes_from(now, from) {
            return Answer::No("leaving".into());
        }
        self.adopt(now, range, set, None);
        let parts = self.locals.over(range);
        if parts.iter().any(|(_, local)| local.set.number > set.number) {
            return self.pieces_over(range);
        }
        if set.includes(&self.me) {
            return Answer::Learnt { number: set.number };
        }
        // A dead primary orders no writes and registers nobody: another must take over first.
        if !self.peers.alive(now, set.primary()) {
            return Answer::No("the primary can't be reached".into());
        }
        self.locals.update(range, |_, local| {
            local.used = now;
            let fresh = Newcomer { step: Step::Asked, asked: now, confirmed: now, parting: None };
            local.newcomer.get_or_insert(fresh).asked = now;
        });
        self.hurry(now);
        let synced = self.locals.over(range).iter().all(|(_, local)| is_synced(local));
        if synced { Answer::Learnt { number: set.number } } else { Answer::Learning }
    }

    /// Does the next step wherever this node is a newcomer.
    pub(crate) fn be_newcomer(&mut self, now: Time) {
        for (_, local) in self.locals.values_mut() {
            let Some(newcomer) = &mut local.newcomer else { continue };
            let over = match newcomer.parting {
                Some(since) => now.since(since) > PARTING_FOR,
                None => now.since(newcomer.asked) > WANTED_FOR,
            };
            if over {
                local.newcomer = None;
            }
        }
        let newcomers = self.locals.iter().filter(|(_, local)| local.newcomer.is_some());
        let parts: Vec<(Range, Local)> = newcomers.map(|(range, local)| (range, local.clone())).collect();
        for (range, local) in parts {
            let Some(newcomer) = local.newcomer.as_ref().filter(|newcomer| newcomer.parting.is_none()) else {
                continue;
            };
            let (primary, number) = (local.set.primary(), local.set.number);
            self.busy = true;
            if !self.peers.alive(now, primary) || !self.retries.is_due(now, Kind::Newcomer, primary.peer.id, number) {
                continue;
            }
            match newcomer.step {
                Step::Asked => self.ask_primary(primary, Asked::Register { range, number }),
                Step::Registered => {
                    self.start_job(Job::Sync { range, set: local.set.clone() });
                    if now.since(newcomer.confirmed) >= CONFIRM_PERIOD {
                        self.ask_primary(primary, Asked::Fetching { range, number });
                    }
                }
                Step::Fetched => self.ask_primary(primary, Asked::Synced { range, number }),
                Step::Synced if now.since(newcomer.confirmed) < CONFIRM_PERIOD => {}
                Step::Synced => self.ask_primary(primary, Asked::Synced { range, number }),
            }
        }
    }

    fn ask_primary(&mut self, primary: &Member, asked: Asked) {
        let step = |asked: &Asked| match *asked {
            Asked::Register { range, number } => Some((range, number, Request::Register { range, number })),
            Asked::Fetching { range, number } => Some((range, number, Request::Fetching { range, number })),
            Asked::Synced { range, number } => Some((range, number, Request::Synced { range, number })),
            _ => None,
        };
        let Some((range, number, request)) = step(&asked) else { return };
        let same = |(other, one, _): (Range, u64, Request)| one == number && range.overlaps(other);
        if !self.calling(primary.peer.id, |asked| step(asked).is_some_and(same)) {
            self.call(self.peers.locate(primary), request, asked);
        }
    }

    pub(crate) fn on_registered(&mut self, now: Time, range: Range, number: u64, word: &Word) {
        if word.answer != Answer::Done {
            self.back_off(now, Kind::Newcomer, word.me.peer.id, number);
            return;
        }
        self.retries.succeeded(Kind::Newcomer, word.me.peer.id, number);
        self.advance(range, number, |newcomer| {
            if newcomer.step == Step::Asked {
                newcomer.step = Step::Registered;
                newcomer.confirmed = now;
            }
        });
    }

    /// The primary still counts on this newcomer; or it does not, and says so again when all is here.
    pub(crate) fn on_still_registered(&mut self, now: Time, range: Range, number: u64) {
        self.advance(range, number, |newcomer| newcomer.confirmed = now);
    }

    pub(crate) fn on_synced(&mut self, now: Time, range: Range, number: u64, word: &Word) {
        match word.answer {
            Answer::Done => self.advance(range, number, |newcomer| {
                if newcomer.step >= Step::Fetched {
                    newcomer.step = Step::Synced;
                    newcomer.confirmed = now;
                }
            }),
            // Dropped, or the primary was born again: from the start.
            Answer::No(_) => {
                self.back_off(now, Kind::Newcomer, word.me.peer.id, number);
                self.advance(range, number, |newcomer| newcomer.step = Step::Asked);
            }
            _ => self.back_off(now, Kind::Newcomer, word.me.peer.id, number),
        }
    }

    fn advance(&mut self, range: Range, number: u64, change: impl Fn(&mut Newcomer)) {
        self.locals.update(range, |_, local| {
            if local.set.number == number
                && let Some(newcomer) = &mut local.newcomer
            {
                change(newcomer);
            }
        });
    }
}

fn is_synced(local: &Local) -> bool {
    local.newcomer.as_ref().is_some_and(|newcomer| newcomer.step == Step::Synced && newcomer.parting.is_none())
}
