//! Going for good. A leaver tells everybody; the owners choose sets without it. It stays until no set
//! names it and every set that it was in has what it had on a majority.

use std::time::Duration;

use overlay::{Peer, Time};
use ring::Range;

use crate::control::Asked;
use crate::local::{Local, Release};
use crate::{Answer, Control, LeaveProgress, Member, Request, Word};

/// How often the others are told.
const FAREWELL_PERIOD: Duration = Duration::from_millis(500);
/// Nobody has answered for so long: there is nobody.
const ALONE_AFTER: Duration = Duration::from_secs(3);
/// The same when several that did not say they would go are out of reach: they may come back.
const CUT_OFF_AFTER: Duration = Duration::from_secs(20);

impl Control {
    pub(crate) fn farewell_progress(&self) -> LeaveProgress {
        let remaining = self.locals.iter().filter(|(_, local)| self.is_bound(local)).count();
        LeaveProgress { remaining, alone: self.alone }
    }

    /// Whether a set names this node, may come to name it, or still needs its copy.
    pub(crate) fn is_bound(&self, local: &Local) -> bool {
        local.set.includes(&self.me) || local.release != Release::Free || local.newcomer.is_some()
    }

    /// Neither the overlay nor a set that this node has to do with has anybody else alive.
    fn is_deserted(&self, now: Time) -> bool {
        let mut bound = self.locals.iter().filter(|(_, local)| self.is_bound(local));
        let other_lives = |member: &Member| !member.is(&self.me) && self.peers.alive(now, member);
        self.peers.living_count(now) == 0 && !bound.any(|(_, local)| local.set.members.iter().any(other_lives))
    }

    /// More than one node is out of reach that did not take its leave, or it may be so: whoever came back, and met nobody
    /// yet, does not know.
    fn is_perhaps_cut_off(&self, now: Time) -> bool {
        self.peers.deserted(now) > 1 || self.came_back && !self.peers.seen_anybody()
    }

    /// What was begun as a newcomer is not gone on with; it is over once the primary knows.
    pub(crate) fn part_as_newcomer(&mut self, now: Time) {
        for (_, local) in self.locals.values_mut() {
            if let Some(newcomer) = &mut local.newcomer {
                newcomer.parting.get_or_insert(now);
            }
        }
    }

    /// Tells everybody that this node is about to go, and asks the primaries whether it may.
    pub(crate) fn say_farewell(&mut self, now: Time) {
        self.alone_since = self.is_deserted(now).then(|| self.alone_since.unwrap_or(now));
        let patience = if self.is_perhaps_cut_off(now) { CUT_OFF_AFTER } else { ALONE_AFTER };
        self.alone = self.alone_since.is_some_and(|since| now.since(since) >= patience);
        if !self.leaving {
            return;
        }
        self.busy = true;
        if now < self.farewell_at {
            return;
        }
        self.farewell_at = now.plus(FAREWELL_PERIOD);
        let mut to: Vec<Member> = Vec::new();
        for (_, local) in self.locals.iter() {
            let primary = local.set.primary();
            if self.is_bound(local) && !to.iter().any(|one| one.is(primary)) && self.peers.alive(now, primary) {
                to.push(primary.clone());
            }
        }
        // Whoever this node takes something from knows by its answers, and must not let it go meanwhile.
        let takes_from = |id| {
            self.locals.iter().any(|(_, local)| {
                let newcomer = local.newcomer.as_ref();
                local.set.primary().peer.id == id && newcomer.is_some_and(|newcomer| newcomer.parting.is_none())
            })
        };
        let living: Vec<Peer> = self.peers.living(now).into_iter().filter(|peer| !takes_from(peer.id)).collect();
        to.retain(|primary| !takes_from(primary.peer.id));
        for peer in living {
            if !to.iter().any(|one| one.peer.id == peer.id) {
                self.call(peer, Request::Leaving, Asked::Leaving { told: Vec::new() });
            }
        }
        to.retain(|primary| !primary.is(&self.me));
        for primary in to {
            self.part_from(&primary);
        }
    }

    /// Asks a primary whether it may go without this node; first makes sure that it knows it is the primary.
    fn part_from(&mut self, primary: &Member) {
        let peer = self.peers.locate(primary);
        let mut told = Vec::new();
        let mut untold = Vec::new();
        for (range, local) in self.locals.iter() {
            if local.set.primary().is(primary) {
                let parting = local.newcomer.as_ref().is_some_and(|newcomer| newcomer.parting.is_some());
                match local.release {
                    Release::Free if parting => told.push((range, local.set.number)),
                    Release::Needed => untold.push((range, local.set.clone(), local.before.clone())),
                    Release::Told => told.push((range, local.set.number)),
                    Release::Free => {}
                }
            }
        }
        for (range, set, before) in untold {
            let asked = Asked::Install { range, number: set.number, notice: None };
            if !self.calling(peer.id, |one| *one == asked) {
                self.call(peer.clone(), Request::Install { range, set, before, whole: 0 }, asked);
            }
        }
        if !self.calling(peer.id, |asked| matches!(asked, Asked::Leaving { .. })) {
            self.call(peer, Request::Leaving, Asked::Leaving { told });
        }
    }

    /// A primary knows about a set that this node is not in any more.
    pub(crate) fn note_told(&mut self, range: Range, number: u64, primary: &Member) {
        self.locals.update(range, |_, local| {
            let same = local.set.number == number && local.set.primary().is(primary);
            if same && local.release == Release::Needed {
                local.release = Release::Told;
            }
        });
    }

    pub(crate) fn on_released(&mut self, told: &[(Range, u64)], word: &Word) {
        if word.answer != Answer::Done {
            return;
        }
        for (range, number) in told {
            self.locals.update(*range, |_, local| {
                let same = local.set.number == *number && local.set.primary().is(&word.me);
                if same && local.release == Release::Told {
                    local.release = Release::Free;
                }
                if same && local.newcomer.as_ref().is_some_and(|newcomer| newcomer.parting.is_some()) {
                    local.newcomer = None;
                }
            });
        }
    }

    /// Whether this leaver takes a range from another one: only the lower identifier does, and only while
    /// it knows of nobody who stays.
    pub(crate) fn takes_from(&self, now: Time, from: &Member) -> bool {
        let higher = from.peer.id >= self.me.peer.id;
        let takes_nothing = |peer: &Peer| self.is_leaving(peer.id) || self.peers.is_read_only(peer.id);
        higher && self.is_leaving(from.peer.id) && self.peers.living(now).iter().all(takes_nothing)
    }
}
