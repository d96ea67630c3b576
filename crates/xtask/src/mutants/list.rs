//! The bugs, and who has to find each.

use super::{Check, LIBRARY};

/// A file under `crates`, what stands there once, and what stands there instead.
type Edit = (&'static str, &'static str, &'static str);

/// A bug: what it is called, where which text becomes what, and the test that has to fail with it.
pub(super) struct Mutant {
    pub(super) name: &'static str,
    pub(super) edits: &'static [Edit],
    pub(super) caught_by: Check,
}

/// A story of the simulation.
const fn story(test: &'static str, seeds: u32) -> Check {
    Check { package: "dht-replica", target: "sim", test, seeds }
}

/// A rule that is said twice: where one of the two is broken the other holds, so that no story finds it.
const fn unit(test: &'static str) -> Check {
    Check { package: "dht-replica", target: LIBRARY, test, seeds: 0 }
}

const fn store(target: &'static str, test: &'static str) -> Check {
    Check { package: "dht-store", target, test, seeds: 0 }
}

/// Most are found in a small ring soon enough.
const ONE: Check = story("small::one_thing_that_happens_to_a_small_ring_is_repaired_ten_thousand_times", 2_000);
const SMALL: Check = story("small::whatever_happens_to_a_small_ring_is_repaired_thousands_of_times", 4_000);
const AWAY: Check = story("deletes::who_comes_back_after_the_grace_period_undoes_no_delete_and_loses_nothing", 150);
const JOINS: Check = story("scenarios::joins_in_bad_weather_lose_nothing", 150);
const LEAVE: Check = story("scenarios::two_of_five_holders_leave_at_once_a_third_crashes_and_nothing_is_lost", 200);
const MISSING: Check = story("deletes::a_copy_that_went_missing_is_found_by_the_next_comparison_and_brought_back", 20);
const LATE: Check = story("late::what_a_primary_orders_after_it_was_replaced_wins_over_nothing", 60);

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "a write is acknowledged while it is in the process only",
        edits: &[("store/src/durable/changes.rs", ".durability(Some(PersistMode::SyncData))", ".durability(None)")],
        caught_by: store("crash", "a_killed_process_leaves_every_put_that_it_acknowledged"),
    },
    Mutant {
        name: "a write is acknowledged before its fsync",
        edits: &[(
            "store/src/durable/changes.rs",
            ".durability(Some(PersistMode::SyncData))",
            ".durability(Some(PersistMode::Buffer))",
        )],
        caught_by: store("fsync", "an_acknowledged_put_was_waited_for"),
    },
    Mutant {
        name: "a write is acknowledged before a majority has it",
        edits: &[(
            "replica/src/quorum.rs",
            "primary == Some(Vote::Yes) && self.yes() >= self.needed",
            "primary == Some(Vote::Yes)",
        )],
        caught_by: SMALL,
    },
    Mutant {
        name: "a write is acknowledged without the newcomers",
        edits: &[(
            "replica/src/quorum.rs",
            "QuorumState::Done if !self.awaited.is_empty() => QuorumState::Pending,",
            "",
        )],
        caught_by: SMALL,
    },
    Mutant {
        name: "a newcomer may be dropped after it was let in",
        edits: &[(
            "replica/src/primary.rs",
            "local.set.number == number && local.accepted.is_none() && local.primary().is_some()",
            "local.set.number == number && local.primary().is_some()",
        )],
        caught_by: unit("acceptor::tests::after_a_primary_has_let_a_newcomer_in_it_is_too_late_to_drop_it"),
    },
    Mutant {
        name: "a read tells what a newcomer may have missed",
        edits: &[("replica/src/quorum.rs", "let safe = on_majority && !doubted;", "let safe = on_majority;")],
        caught_by: unit("quorum::tests::what_a_newcomer_may_have_missed_is_not_told_yet"),
    },
    Mutant {
        name: "a read tells what is not on a majority and does not write it back",
        edits: &[("replica/src/quorum.rs", "write_back: newest.is_some() && !safe && !lesser,", "write_back: false,")],
        caught_by: SMALL,
    },
    Mutant {
        name: "a fenced member takes writes",
        edits: &[(
            "replica/src/holdings.rs",
            "            // A write under this set could be missed by whoever takes over.
            Some(holding) if holding.set.number == number && holding.fenced => Verdict::Fenced,
",
            "",
        )],
        caught_by: unit("holdings::tests::a_copy_is_taken_by_whoever_counts_and_knows_nothing_newer"),
    },
    Mutant {
        name: "a fenced member answers reads",
        edits: &[(
            "replica/src/holdings.rs",
            "            // What it holds may be overwritten by the next set's primary already.
            Some(holding) if holding.set.number == number && holding.fenced => Verdict::Fenced,
",
            "",
        )],
        caught_by: unit("holdings::tests::a_read_is_answered_by_members_that_still_take_writes"),
    },
    Mutant {
        name: "a fenced primary goes on serving",
        edits: &[(
            "replica/src/holdings.rs",
            "            Role::Primary { .. } if self.fenced => Service::Fenced,
",
            "",
        )],
        caught_by: unit("holdings::tests::only_a_primary_that_may_go_on_serves"),
    },
    Mutant {
        name: "a new primary serves before it has heard a majority",
        edits: &[("replica/src/history.rs", "let at_once = served || alone;", "let at_once = true;")],
        caught_by: unit("history::tests::a_new_primary_hears_a_majority_of_the_set_before_until_its_own_is_settled"),
    },
    Mutant {
        name: "a newcomer is let in before it has everything",
        edits: &[
            (
                "replica/src/newcomer.rs",
                "newcomer.step == Step::Synced && newcomer.parting.is_none()",
                "newcomer.step >= Step::Registered && newcomer.parting.is_none()",
            ),
            ("replica/src/acceptor.rs", "learner.synced && learner.member.is(member)", "learner.member.is(member)"),
        ],
        caught_by: JOINS,
    },
    Mutant {
        name: "a set shrinks by two at once",
        edits: &[
            (
                "replica/src/next_set.rs",
                "current.len().saturating_sub(1).max(1)",
                "current.len().saturating_sub(2).max(1)",
            ),
            (
                "replica/src/acceptor.rs",
                "(fewer > 1 || fewer == 1 && !primary.settled)",
                "(fewer == 1 && !primary.settled)",
            ),
        ],
        caught_by: unit("next_set::tests::a_set_shrinks_by_one_at_a_time"),
    },
    Mutant {
        name: "an acceptor accepts below what it has promised",
        edits: &[("replica/src/acceptor.rs", "local.promised > Some(ballot)", "false")],
        caught_by: unit("acceptor::tests::a_ballot_is_promised_to_once_and_nothing_below_it_is"),
    },
    Mutant {
        name: "a proposer ignores what was accepted before",
        edits: &[(
            "replica/src/proposer.rs",
            "Some((_, set)) => (set, true),",
            "Some(_) => (proposal.fresh.clone(), true),",
        )],
        caught_by: SMALL,
    },
    Mutant {
        name: "a promise is not kept on disk",
        edits: &[(
            "replica/src/local.rs",
            "            && piece.promised == self.promised
            && piece.accepted == self.accepted
            && piece.synced",
            "            && piece.synced",
        )],
        caught_by: SMALL,
    },
    Mutant {
        name: "a version is compared by its clock before its term",
        edits: &[(
            "store/src/version.rs",
            "    /// The number of the set that its primary acted for.
    pub term: u64,
    /// Wall-clock milliseconds since 1970 in the upper 48 bits, a counter in the lower 16.
    pub clock: u64,
",
            "    /// Wall-clock milliseconds since 1970 in the upper 48 bits, a counter in the lower 16.
    pub clock: u64,
    /// The number of the set that its primary acted for.
    pub term: u64,
",
        )],
        caught_by: LATE,
    },
    Mutant {
        name: "a leaver goes before others have what it held",
        edits: &[(
            "replica/src/leaver.rs",
            "let remaining = self.locals.iter().filter(|(_, local)| self.is_bound(local)).count();",
            "let remaining = 0;",
        )],
        caught_by: LEAVE,
    },
    Mutant {
        name: "a newcomer that gave up is waited for for ever",
        edits: &[("replica/src/primary.rs", "        self.drop_given_up(now);\n", "")],
        caught_by: unit("acceptor::tests::a_newcomer_that_gave_up_is_not_waited_for"),
    },
    Mutant {
        name: "scheduled comparisons never come",
        edits: &[("replica/src/primary.rs", "if now < self.repair_at {", "if true {")],
        caught_by: MISSING,
    },
    Mutant {
        name: "a deletion is forgotten before every member has it",
        edits: &[
            ("replica/src/deletion.rs", "held.is_some_and(|(held, deletion)| deletion && held == *version)", "true"),
            ("replica/src/deletion.rs", "clock <= whole && clock <=", "clock <="),
        ],
        caught_by: ONE,
    },
    Mutant {
        name: "a deletion is forgotten before the grace period is over",
        edits: &[("replica/src/deletion.rs", " && clock <= forgotten_up_to(now, grace)", "")],
        caught_by: SMALL,
    },
    Mutant {
        name: "a deletion is forgotten while a newcomer fetches",
        edits: &[
            ("replica/src/holdings.rs", "if learners.is_empty() && *settled", "if *settled"),
            ("replica/tests/sim/transfers.rs", "if !all_there {", "if false {"),
        ],
        caught_by: unit("holdings::tests::a_primary_forgets_while_nobody_comes_or_goes"),
    },
    Mutant {
        name: "whoever was away gives back what was deleted",
        edits: &[(
            "replica/src/deletion.rs",
            "clock <= horizon && held_at < horizon",
            "clock < 1 && held_at < horizon",
        )],
        caught_by: AWAY,
    },
    Mutant {
        name: "who compares with another does not learn what that one has forgotten",
        edits: &[("replica/tests/sim/transfers.rs", "records.horizon = records.horizon.max(comparison.horizon);", "")],
        caught_by: SMALL,
    },
    Mutant {
        name: "a primary that was cut off claims to have been one all along",
        edits: &[(
            "replica/src/holdings.rs",
            "Role::Primary { .. } if !holding.fenced && holding.whole > 0 => Some(until.min(holding.whole)),",
            "Role::Primary { .. } => Some(until),",
        )],
        caught_by: unit(
            "holdings::tests::a_primary_is_one_for_as_long_as_its_members_are_known_to_have_gone_by_its_set",
        ),
    },
    Mutant {
        name: "a settled primary still learns from a former holder",
        edits: &[("replica/src/local.rs", "            self.before = None;\n", "")],
        caught_by: unit("history::tests::a_new_primary_hears_a_majority_of_the_set_before_until_its_own_is_settled"),
    },
    Mutant {
        name: "a newcomer that gave up erases what is counted on",
        edits: &[(
            "replica/src/holdings.rs",
            "self.set.includes(member) || self.learners()",
            "false && self.learners()",
        )],
        caught_by: unit("holdings::tests::whose_copy_may_come_to_count_is_counted_on"),
    },
];
