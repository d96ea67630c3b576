//! One set after another: what this node becomes when it learns of a newer one, or comes back with an old one.

use overlay::Time;
use ring::Range;

use crate::local::{Duty, Local, Primary, Release};
use crate::{Control, Event, Piece, Set};

impl Control {
    /// Takes `set` as the newest of whatever part of `range` only older ones, or none, are known of. What this node was
    /// in the set before decides what it does from now on.
    pub(crate) fn adopt(&mut self, now: Time, range: Range, set: &Set, before: Option<&Set>) {
        let mut parts: Vec<(Range, Option<Local>)> =
            self.locals.over(range).into_iter().map(|(part, local)| (part, Some(local))).collect();
        parts.extend(self.locals.gaps(range).into_iter().map(|gap| (gap, None)));
        for (part, old) in parts {
            if old.as_ref().is_some_and(|old| !set.supersedes(&old.set)) {
                continue;
            }
            let was_in = old.as_ref().is_some_and(|old| old.set.includes(&self.me));
            if was_in || set.includes(&self.me) {
                self.event(Event::Accepted(part, set.clone()));
            }
            let local = self.succeed(now, set, before, old);
            self.locals.put(part, local);
            self.busy = true;
        }
        self.hurry(now);
    }

    fn succeed(&self, now: Time, set: &Set, before: Option<&Set>, old: Option<Local>) -> Local {
        let mut local = Local::new(now, set.clone());
        local.before = before.cloned();
        let was_bound = old.as_ref().is_some_and(|old| old.set.includes(&self.me) || old.release != Release::Free);
        if was_bound && !set.includes(&self.me) {
            local.release = Release::Needed;
        }
        if set.primary().is(&self.me) {
            // Whoever ordered the writes of the very set before has everything that counts.
            let served = old.is_some_and(|old| {
                old.primary().is_some() && before.is_some_and(|before| before.number == old.set.number)
            });
            let alone = before.unwrap_or(set).members.iter().all(|member| member.is(&self.me));
            let at_once = served || alone;
            local.duty = if at_once { Duty::Primary(Primary::of(set)) } else { Duty::TakingOver };
            local.part_with_before();
        }
        local
    }

    /// What the disk holds of an arc, as this node begins with it.
    pub(crate) fn restored(&self, now: Time, piece: &Piece) -> Local {
        let mut local = Local::from_piece(now, piece);
        // What it knows may be old: it serves again once a majority, and everybody it can ask, has nothing newer.
        if piece.set.primary().is(&self.me) {
            local.duty = Duty::TakingOver;
            local.unconfirmed = true;
        }
        local
    }

    /// What the disk holds is known from the start.
    pub(crate) fn restore(&mut self, disk: Vec<Piece>) {
        for piece in disk {
            let promised = piece.promised.map_or(0, |ballot| ballot.round);
            let accepted = piece.accepted.as_ref().map_or(0, |(ballot, _)| ballot.round);
            self.round = self.round.max(promised).max(accepted);
            self.locals.put(piece.range, self.restored(Time::default(), &piece));
        }
        self.persisted = self.locals.iter().map(|(range, local)| local.piece(range, &self.me)).collect();
        self.flush();
    }
}

#[cfg(test)]
mod tests;
