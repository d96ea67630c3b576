//! What the owner of a range does with a record that somebody offers who should not have it: a stray.

use std::time::Duration;

use crate::may_have_been_deleted;

/// What becomes of an offered record.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Offered {
    /// It, or a newer version, is seen to on a majority; then the offerer may erase its copy.
    Secured,
    /// The offerer is to send it whole.
    Wanted,
    /// It may have been deleted, and the deletion forgotten: nobody takes it, the offerer sets it aside.
    SetAside,
}

/// The moments of the hybrid clock that tell whether an offered record may have been deleted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Terms {
    /// Up to when the offerer had everything by right.
    pub held_at: u64,
    /// Up to when deletions were forgotten here.
    pub horizon: u64,
    /// How far clocks may differ either way.
    pub drift: Duration,
}

impl Terms {
    /// About a record of which only the version is told, given at `clock`. `known` is what is here of its key.
    pub fn on_listed<V: Ord>(&self, offered: &V, clock: u64, known: Option<&V>) -> Offered {
        match known {
            Some(known) if known >= offered => Offered::Secured,
            None if self.is_ghost(clock) => Offered::SetAside,
            _ => Offered::Wanted,
        }
    }

    /// About a record that was sent whole. `known`: something is here of its key. A value whose time is over is kept like
    /// any other, until it may be forgotten as a deletion: somebody else may have an older one yet that it hides.
    pub fn on_sent(&self, clock: u64, known: bool) -> Offered {
        if !known && self.is_ghost(clock) { Offered::SetAside } else { Offered::Secured }
    }

    fn is_ghost(&self, clock: u64) -> bool {
        may_have_been_deleted(clock, self.held_at, self.horizon, self.drift)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALWAYS_HERE: Terms = Terms { held_at: u64::MAX, horizon: 50, drift: Duration::ZERO };
    const WAS_AWAY: Terms = Terms { held_at: 10, ..ALWAYS_HERE };

    #[test]
    fn what_is_known_is_secured_and_what_is_not_is_asked_for() {
        for terms in [ALWAYS_HERE, WAS_AWAY] {
            assert_eq!(terms.on_listed(&7, 7, Some(&7)), Offered::Secured);
            assert_eq!(terms.on_listed(&7, 7, Some(&9)), Offered::Secured, "the newer one, that is");
            assert_eq!(terms.on_listed(&7, 7, Some(&6)), Offered::Wanted);
            assert_eq!(terms.on_sent(7, true), Offered::Secured);
        }
        assert_eq!(ALWAYS_HERE.on_listed(&7, 7, None), Offered::Wanted);
        assert_eq!(ALWAYS_HERE.on_sent(7, false), Offered::Secured);
    }

    #[test]
    fn what_may_have_been_deleted_is_set_aside_unless_something_is_known_of_its_key() {
        assert_eq!(WAS_AWAY.on_listed(&7, 7, None), Offered::SetAside);
        assert_eq!(WAS_AWAY.on_sent(7, false), Offered::SetAside);
        assert_eq!(WAS_AWAY.on_listed(&60, 60, None), Offered::Wanted, "no deletion that new was forgotten");
        assert_eq!(WAS_AWAY.on_sent(60, false), Offered::Secured);
    }
}
