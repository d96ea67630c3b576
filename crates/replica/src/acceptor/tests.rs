//! One acceptor's promises, on arcs.

use std::time::Duration;

use overlay::Time;

use crate::fixtures::{id, member, range, set};
use crate::{Answer, Ballot, Config, Control, Effect, Piece, Request, Response, Set};

const NOW: Time = Time(1_000_000);

fn config() -> Config {
    Config {
        replicas: 3,
        lost_majority_after: None,
        stopped_for: Duration::from_secs(600),
        refresh_period: Duration::from_secs(2),
        repair_period: Duration::from_secs(60),
    }
}

fn ballot(round: u64, proposer: u64) -> Ballot {
    Ballot { round, proposer: id(proposer) }
}

/// Node 20, a member of set 4 = {10, 20, 30} all around.
fn acceptor() -> Control {
    let piece = Piece { range: range(0, 0), set: set(4, &[10, 20, 30]), promised: None, accepted: None, synced: true };
    Control::new(member(20), config(), vec![piece], 1)
}

fn ask(control: &mut Control, request: Request) -> Answer {
    one(control.serve(NOW, &member(10), vec![request]))
}

fn one(mut response: Response) -> Answer {
    assert_eq!(response.answers.len(), 1);
    response.answers.remove(0)
}

fn prepare(after: u64, upto: u64, ballot: Ballot) -> Request {
    Request::Prepare { range: range(after, upto), after: 4, ballot }
}

fn accept(after: u64, upto: u64, ballot: Ballot, set: Set) -> Request {
    Request::Accept { range: range(after, upto), after: 4, ballot, set }
}

fn effects(control: &mut Control) -> Vec<Effect> {
    std::iter::from_fn(|| control.poll_effect()).collect()
}

#[test]
fn a_ballot_is_promised_to_once_and_nothing_below_it_is() {
    let mut control = acceptor();
    assert_eq!(ask(&mut control, prepare(0, 0, ballot(2, 10))), Answer::Promised { accepted: None });
    for lower in [ballot(1, 30), ballot(2, 9), ballot(2, 10)] {
        assert!(matches!(ask(&mut control, prepare(0, 0, lower)), Answer::Pieces(_)), "{lower:?}");
    }
    assert_eq!(ask(&mut control, prepare(0, 0, ballot(2, 11))), Answer::Promised { accepted: None });
    assert!(matches!(ask(&mut control, accept(0, 0, ballot(2, 10), set(5, &[20, 10, 30]))), Answer::Pieces(_)));
    assert_eq!(ask(&mut control, accept(0, 0, ballot(2, 11), set(5, &[20, 10, 30]))), Answer::Accepted);
}

#[test]
fn what_was_accepted_is_told_to_the_next_proposer() {
    let mut control = acceptor();
    let chosen = set(5, &[20, 10, 30]);
    ask(&mut control, prepare(0, 0, ballot(1, 10)));
    ask(&mut control, accept(0, 0, ballot(1, 10), chosen.clone()));
    let accepted = Some((ballot(1, 10), chosen));
    assert_eq!(ask(&mut control, prepare(0, 0, ballot(2, 30))), Answer::Promised { accepted });
}

#[test]
fn a_promise_is_on_disk_and_an_acceptance_in_force_before_it_is_told() {
    let mut control = acceptor();
    effects(&mut control);
    ask(&mut control, prepare(0, 0, ballot(1, 10)));
    let [Effect::Persist(pieces)] = &effects(&mut control)[..] else {
        panic!("a promise is kept, and is all there is")
    };
    assert_eq!(pieces[0].promised, Some(ballot(1, 10)));
    ask(&mut control, accept(0, 0, ballot(1, 10), set(5, &[20, 10, 30])));
    let [Effect::Persist(pieces), Effect::Publish(holdings)] = &effects(&mut control)[..] else {
        panic!("in this order")
    };
    assert!(pieces[0].accepted.is_some() && holdings.ranges[0].fenced);
}

#[test]
fn promises_survive_a_restart() {
    let mut control = acceptor();
    ask(&mut control, prepare(0, 0, ballot(7, 10)));
    let Some(Effect::Persist(disk)) =
        effects(&mut control).into_iter().rfind(|effect| matches!(effect, Effect::Persist(_)))
    else {
        panic!("nothing was kept")
    };
    let mut again = Control::new(member(20), config(), disk, 2);
    assert!(matches!(ask(&mut again, prepare(0, 0, ballot(6, 30))), Answer::Pieces(_)));
}

#[test]
fn a_vote_on_part_of_a_piece_leaves_the_rest_free() {
    let mut control = acceptor();
    ask(&mut control, prepare(50, 60, ballot(5, 10)));
    ask(&mut control, accept(50, 60, ballot(5, 10), set(5, &[20, 10, 30])));
    assert_eq!(ask(&mut control, prepare(60, 70, ballot(1, 30))), Answer::Promised { accepted: None });
    // Over both, what was accepted differs: the proposer must go by parts.
    let Answer::Pieces(pieces) = ask(&mut control, prepare(40, 65, ballot(9, 30))) else { panic!("one vote for all") };
    let parts: Vec<_> = pieces.iter().map(|piece| (piece.range, piece.accepted.is_some())).collect();
    assert_eq!(parts, [(range(40, 50), false), (range(50, 60), true), (range(60, 65), false)]);
}

#[test]
fn only_members_vote_and_only_about_the_set_they_know_as_newest() {
    let mut control = acceptor();
    let request = Request::Prepare { range: range(0, 0), after: 3, ballot: ballot(1, 10) };
    assert!(matches!(ask(&mut control, request), Answer::Pieces(_)));
    let piece = Piece { range: range(0, 0), set: set(4, &[10, 30]), promised: None, accepted: None, synced: false };
    let mut outsider = Control::new(member(20), config(), vec![piece], 1);
    assert!(matches!(ask(&mut outsider, prepare(0, 0, ballot(1, 10))), Answer::Pieces(_)));
    let mut nobody = Control::new(member(20), config(), Vec::new(), 1);
    assert_eq!(ask(&mut nobody, prepare(0, 0, ballot(1, 10))), Answer::Pieces(Vec::new()));
}

#[test]
fn a_set_that_is_not_later_is_not_accepted() {
    let mut control = acceptor();
    ask(&mut control, prepare(0, 0, ballot(1, 10)));
    assert!(matches!(ask(&mut control, accept(0, 0, ballot(1, 10), set(4, &[20, 10, 30]))), Answer::Pieces(_)));
}

#[test]
fn a_primary_lets_in_only_newcomers_that_are_synced() {
    // A founder is its own primary, settled.
    let mut control = Control::new(member(20), config(), Vec::new(), 1);
    control.found(NOW, overlay::RingId { started_ms: 1, starter: id(20) });
    let whole = range(0, 0);
    let newcomer = member(10);
    let vote = |control: &mut Control, round| {
        let request = Request::Prepare { range: whole, after: 1, ballot: ballot(round, 10) };
        control.serve(NOW, &newcomer, vec![request]);
        let request = Request::Accept { range: whole, after: 1, ballot: ballot(round, 10), set: set(2, &[10, 20]) };
        one(control.serve(NOW, &newcomer, vec![request]))
    };
    assert!(matches!(vote(&mut control, 1), Answer::No(_)), "not registered");
    assert_eq!(ask(&mut control, Request::Register { range: whole, number: 1 }), Answer::Done);
    assert!(matches!(vote(&mut control, 2), Answer::No(_)), "not synced");
    assert_eq!(ask(&mut control, Request::Synced { range: whole, number: 1 }), Answer::Done);
    assert!(control.drop_learner(NOW, whole, 1, &member(10)));
    assert!(matches!(vote(&mut control, 3), Answer::No(_)), "dropped");
    assert!(
        matches!(ask(&mut control, Request::Synced { range: whole, number: 1 }), Answer::No(_)),
        "dropped is dropped"
    );
    assert!(matches!(ask(&mut control, Request::Register { range: whole, number: 1 }), Answer::No(_)), "too soon");
}

#[test]
fn after_a_primary_has_let_a_newcomer_in_it_is_too_late_to_drop_it() {
    let mut control = Control::new(member(20), config(), Vec::new(), 1);
    control.found(NOW, overlay::RingId { started_ms: 1, starter: id(20) });
    let whole = range(0, 0);
    ask(&mut control, Request::Register { range: whole, number: 1 });
    ask(&mut control, Request::Synced { range: whole, number: 1 });
    ask(&mut control, Request::Prepare { range: whole, after: 1, ballot: ballot(1, 10) });
    let request = Request::Accept { range: whole, after: 1, ballot: ballot(1, 10), set: set(2, &[10, 20]) };
    assert_eq!(ask(&mut control, request), Answer::Accepted);
    assert!(!control.drop_learner(NOW, whole, 1, &member(10)));
}

#[test]
fn a_newcomer_that_gave_up_is_not_waited_for() {
    let mut control = Control::new(member(20), config(), Vec::new(), 1);
    control.found(NOW, overlay::RingId { started_ms: 1, starter: id(20) });
    let whole = range(0, 0);
    let after = |seconds| NOW.plus(Duration::from_secs(seconds));
    let waits = |control: &mut Control, now| {
        control.tick(now, 0);
        !control.holdings().ranges[0].learners().is_empty()
    };
    ask(&mut control, Request::Register { range: whole, number: 1 });
    assert!(waits(&mut control, after(9)));
    control.serve(after(9), &member(10), vec![Request::Fetching { range: whole, number: 1 }]);
    assert!(waits(&mut control, after(18)), "it is still at it");
    assert!(!waits(&mut control, after(19)));
    let mut control = Control::new(member(20), config(), Vec::new(), 1);
    control.found(NOW, overlay::RingId { started_ms: 1, starter: id(20) });
    ask(&mut control, Request::Register { range: whole, number: 1 });
    ask(&mut control, Request::Synced { range: whole, number: 1 });
    assert!(waits(&mut control, after(9)));
    control.serve(after(9), &member(10), vec![Request::Synced { range: whole, number: 1 }]);
    assert!(waits(&mut control, after(18)), "it still says so");
    assert!(!waits(&mut control, after(19)));
    assert!(matches!(ask(&mut control, Request::Synced { range: whole, number: 1 }), Answer::No(_)), "it begins anew");
}
