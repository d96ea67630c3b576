//! When a deletion may be forgotten, and how a record that comes back afterwards is told from one that was never deleted.
//!
//! A deletion is kept as a record of its own, a *tombstone*, so that no older copy wins over it. It may go once no such
//! copy can come back: every member of the set has it, and it is older than the grace period. A store that was away, or
//! kept what it should have handed over, for longer than that may still hold an older copy. It says up to when it had
//! everything by right, and a primary that has forgotten deletions from after that takes nothing from it that it
//! does not know itself. All moments are of the hybrid clock: milliseconds in the upper 48 bits.

use std::time::Duration;

/// Bits of the hybrid clock below its milliseconds.
const COUNTER_BITS: u32 = 16;

fn span(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).saturating_mul(1 << COUNTER_BITS)
}

/// Deletions up to this moment are old enough to be forgotten at `now`; whoever forgets any raises the horizon to it.
pub fn forgotten_up_to(now: u64, grace: Duration) -> u64 {
    now.saturating_sub(span(grace))
}

/// Whether a deletion given at `clock` may be forgotten at `now`: it is as old as `grace`, and every member has all
/// that was written up to `whole`, it among that.
pub fn may_be_forgotten(clock: u64, now: u64, grace: Duration, whole: u64) -> bool {
    clock <= whole && clock <= forgotten_up_to(now, grace)
}

/// Whether a member that holds `held` of a key, the version and whether it is a deletion, has the deletion `version`: only
/// then may the others forget it.
pub fn has_deletion<V: PartialEq>(held: Option<(V, bool)>, version: &V) -> bool {
    held.is_some_and(|(held, deletion)| deletion && held == *version)
}

/// Whether a record given at `clock`, of which nothing is known here, may have been deleted and the deletion forgotten:
/// deletions up to `horizon` were, and whoever offers it had everything by right up to `held_at` only. Clocks may differ
/// by `drift` either way.
pub fn may_have_been_deleted(clock: u64, held_at: u64, horizon: u64, drift: Duration) -> bool {
    clock <= horizon && held_at < horizon.saturating_add(span(drift).saturating_mul(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(10);
    const DRIFT: Duration = Duration::from_millis(500);

    fn at(ms: u64) -> u64 {
        ms << COUNTER_BITS
    }

    #[test]
    fn a_deletion_is_kept_for_the_grace_period_and_until_every_member_has_it() {
        assert!(may_be_forgotten(at(1_000), at(11_000), GRACE, at(1_000)));
        assert!(!may_be_forgotten(at(1_000), at(10_999), GRACE, at(1_000)), "too young");
        assert!(!may_be_forgotten(at(1_000), at(90_000), GRACE, at(999)), "somebody may lack it");
        assert!(!may_be_forgotten(at(90_000), at(11_000), GRACE, u64::MAX), "from a clock that is ahead");
    }

    #[test]
    fn only_the_very_deletion_counts_as_had() {
        assert!(has_deletion(Some((7, true)), &7));
        assert!(!has_deletion(Some((7, false)), &7), "it has not expired there yet");
        assert!(!has_deletion(Some((6, true)), &7));
        assert!(!has_deletion(Some((8, true)), &7), "a newer one is as old as it is");
        assert!(!has_deletion(None, &7));
    }

    #[test]
    fn a_record_is_taken_back_from_whoever_was_there_when_its_deletion_would_have_been_forgotten() {
        let horizon = at(50_000);
        assert!(may_have_been_deleted(at(1_000), at(20_000), horizon, DRIFT), "away when it was deleted");
        assert!(!may_have_been_deleted(at(1_000), at(51_000), horizon, DRIFT), "it was there after that");
        assert!(may_have_been_deleted(at(1_000), at(50_500), horizon, DRIFT), "clocks differ");
        assert!(!may_have_been_deleted(at(50_001), at(0), horizon, DRIFT), "no deletion that new was forgotten");
        assert!(!may_have_been_deleted(at(1), at(0), 0, DRIFT), "none was ever forgotten");
    }
}
