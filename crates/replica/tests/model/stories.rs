//! What is explored.

use crate::check::explore;
use crate::scenario::{Mutant, Scenario};

fn holds(scenario: &Scenario) {
    let findings = explore(scenario);
    if let Some((property, story)) = findings.broken.first() {
        panic!("{scenario}: it is not so that {property}:\n{story}");
    }
    assert_eq!(findings.never(scenario), [""; 0], "{scenario}: never happens");
}

fn is_caught(scenario: Scenario, mutant: Mutant) {
    let scenario = scenario.breaking(mutant);
    let findings = explore(&scenario);
    assert!(!findings.broken.is_empty(), "{scenario}: makes no difference");
    for (property, story) in &findings.broken {
        println!("    not any more: {property}");
        if std::env::var("STORIES").is_ok() {
            println!("{story}");
        }
    }
}

#[test]
fn two_owners_order_a_set_anew_and_anybody_crashes() {
    holds(&Scenario::two_takeovers().with(1, 1, 0).until(2));
}

#[test]
fn a_newcomer_comes_in_and_anybody_crashes() {
    holds(&Scenario::newcomer().with(1, 1, 0).until(2));
}

#[test]
fn a_newcomer_comes_in_while_a_member_takes_over() {
    holds(&Scenario::newcomer_against_takeover().with(1, 0, 0).until(2));
}

#[test]
fn two_newcomers_come_in_one_after_the_other() {
    holds(&Scenario::two_newcomers().with(1, 0, 0).until(3));
}

#[test]
fn a_set_shrinks_to_one_member() {
    holds(&Scenario::shrinking().with(1, 0, 0).until(3).waiting(1, &[3]));
}

#[test]
#[ignore = "takes minutes"]
fn a_newcomer_comes_in_while_a_member_takes_over_and_anybody_crashes() {
    holds(&Scenario::newcomer_against_takeover().with(1, 1, 0).until(2));
}

#[test]
#[ignore = "takes minutes"]
fn two_newcomers_come_in_and_anybody_crashes() {
    holds(&Scenario::two_newcomers().with(1, 1, 0).until(2));
}

#[test]
#[ignore = "takes minutes"]
fn two_newcomers_come_into_a_set_of_three() {
    holds(&Scenario::two_newcomers_to_three().with(1, 0, 0).until(2));
}

#[test]
#[ignore = "takes minutes"]
fn a_newcomer_comes_in_and_any_answer_is_lost() {
    holds(&Scenario::newcomer().with(1, 0, 1).until(2));
}

#[test]
#[ignore = "takes minutes"]
fn two_owners_try_again_with_higher_ballots() {
    holds(&Scenario::two_takeovers().with(1, 0, 1).until(2).waiting(2, &[3, 4]));
}

#[test]
#[ignore = "takes minutes"]
fn a_set_shrinks_to_one_member_and_anybody_crashes() {
    holds(&Scenario::shrinking().with(1, 1, 0).until(3).waiting(1, &[3]));
}

// Each rule is needed: without it something goes wrong.

#[test]
fn a_holder_that_takes_writes_though_it_is_fenced_is_caught() {
    is_caught(Scenario::newcomer().with(1, 1, 0).until(2), Mutant::NoFence);
}

#[test]
fn a_holder_that_takes_writes_of_a_set_that_is_over_is_caught() {
    is_caught(Scenario::two_takeovers().with(1, 0, 0).until(2), Mutant::OldNumbersTaken);
}

#[test]
fn a_voter_that_forgets_its_promises_is_caught() {
    is_caught(Scenario::newcomer_against_takeover().with(0, 1, 0).until(2), Mutant::ForgetsPromises);
}

#[test]
fn a_ballot_that_is_promised_to_twice_is_caught() {
    is_caught(Scenario::two_takeovers().with(0, 1, 0).until(2), Mutant::BallotTwice);
}

#[test]
fn a_vote_that_was_never_cast_is_caught() {
    is_caught(Scenario::two_takeovers().with(0, 0, 0).until(2), Mutant::UncastVotes);
}

#[test]
fn a_change_of_members_that_does_not_go_to_the_primary_first_is_caught() {
    is_caught(Scenario::newcomer_against_takeover().with(1, 0, 1).until(2), Mutant::PrimaryNotFirst);
}

#[test]
fn a_newcomer_that_is_counted_before_it_is_synced_is_caught() {
    is_caught(Scenario::newcomer().with(1, 0, 0).until(2), Mutant::SyncedTooEarly);
}

#[test]
fn a_write_that_does_not_wait_for_newcomers_is_caught() {
    is_caught(Scenario::newcomer().with(1, 0, 0).until(2), Mutant::LearnersNotAwaited);
}

#[test]
fn a_newcomer_that_missed_a_write_and_is_not_dropped_is_caught() {
    is_caught(Scenario::newcomer().with(1, 0, 1).until(2), Mutant::MissedLearnerStays);
}

#[test]
fn a_takeover_that_asks_no_majority_is_caught() {
    is_caught(Scenario::two_takeovers().with(1, 0, 0).until(2), Mutant::BlindTakeover);
}

#[test]
fn a_primary_that_shrinks_its_set_before_all_is_on_a_majority_is_caught() {
    is_caught(Scenario::shrinking().with(1, 0, 0).until(3).waiting(1, &[3]), Mutant::SettledTooEarly);
}
